//! The ledger in the commit log: what a commit changes of it, and what it publishes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{DatasetState, Ledger, PartitionMetadata, earlier};
use crate::error::{Error, Result};
use crate::log::{self, Log, ObjectDamage, Opened, State};
use crate::store::{self, LocalStore, Store};
use crate::table::{Entry, PartitionDate, PartitionKey, QUARANTINE};

/// The work after the append of a commit. The next writer that opens the table repeats it if a crash interrupted it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Partitions with new versions, which are staged.
    pub partitions: Vec<(PartitionKey, Entry)>,
    /// Partitions without rows, which are removed.
    pub removed: Vec<PartitionKey>,
    /// Spooled pages whose records are in the table.
    pub pages: Vec<u64>,
    /// Whether these pages are moved to `_export/kept/` instead of being removed.
    pub keeps_pages: bool,
}

impl Publication {
    /// Whether it replaces or removes a partition.
    pub(crate) fn concerns(&self, key: &PartitionKey) -> bool {
        self.partitions.iter().any(|(changed, _)| changed == key) || self.removed.contains(key)
    }

    fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.removed.is_empty() && self.pages.is_empty()
    }
}

/// What a commit changes of a ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LedgerChange {
    next_sequence: u64,
    changes: u64,
    states: Vec<StateChange>,
    /// Datasets of bots that the ledger does not have any more.
    removed: Vec<(String, String)>,
    publication: Publication,
}

/// The new state of a dataset of a bot, of whose partitions only those that changed are given.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StateChange {
    dataset: String,
    bot: String,
    state: DatasetState,
    partitions: BTreeMap<PartitionDate, Option<PartitionMetadata>>,
}

impl LedgerChange {
    fn between(before: &Ledger, after: &Ledger, publication: Publication) -> Self {
        let mut states = Vec::new();
        for (dataset, bot, state) in after.saved_states() {
            let known = before.state(dataset, bot);
            if known != Some(state) {
                let (dataset, bot) = (dataset.to_owned(), bot.to_owned());
                states.push(StateChange::between(dataset, bot, known, state));
            }
        }
        let removed = before
            .saved_states()
            .filter(|(dataset, bot, _)| {
                after
                    .state(dataset, bot)
                    .is_none_or(DatasetState::has_no_response)
            })
            .map(|(dataset, bot, _)| (dataset.to_owned(), bot.to_owned()));
        Self {
            next_sequence: after.next_sequence,
            changes: after.changes,
            states,
            removed: removed.collect(),
            publication,
        }
    }

    fn changes_nothing(&self, before: &Ledger) -> bool {
        self.states.is_empty()
            && self.removed.is_empty()
            && self.publication.is_empty()
            && (self.next_sequence, self.changes) == (before.next_sequence, before.changes)
    }
}

impl StateChange {
    fn between(dataset: String, bot: String, before: Option<&DatasetState>, after: &DatasetState) -> Self {
        let none = BTreeMap::new();
        let before = before.map_or(&none, |before| &before.partitions);
        let new = after
            .partitions
            .iter()
            .filter(|(date, partition)| before.get(date) != Some(*partition));
        let gone = before.keys().filter(|date| !after.partitions.contains_key(date));
        Self {
            dataset,
            bot,
            partitions: new
                .map(|(date, partition)| (*date, Some(partition.clone())))
                .chain(gone.map(|date| (*date, None)))
                .collect(),
            state: after.without_partitions(),
        }
    }
}

impl State for Ledger {
    type Change = LedgerChange;

    fn apply(&mut self, change: LedgerChange) {
        (self.next_sequence, self.changes) = (change.next_sequence, change.changes);
        for (dataset, bot) in change.removed {
            if let Some(bots) = self.datasets.get_mut(&dataset) {
                bots.remove(&bot);
            }
        }
        for StateChange {
            dataset,
            bot,
            state,
            partitions,
        } in change.states
        {
            let now = self.state_mut(&dataset, &bot);
            let known = std::mem::take(&mut now.partitions);
            *now = DatasetState {
                partitions: known,
                ..state
            };
            for (date, partition) in partitions {
                match partition {
                    Some(partition) => now.partitions.insert(date, partition),
                    None => now.partitions.remove(&date),
                };
            }
        }
        self.datasets.retain(|_, bots| !bots.is_empty());
    }
}

/// The log that a ledger was read from. Clones of a ledger share it.
#[derive(Clone, Default)]
pub(super) struct LogHandle(Arc<Mutex<Option<Saved>>>);

/// The end of the log, and the ledger there.
struct Saved {
    log: Log<Ledger>,
    ledger: Ledger,
    last: Option<Publication>,
    damages: Vec<ObjectDamage>,
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogHandle")
    }
}

/// Ledgers are compared by their contents.
impl PartialEq for LogHandle {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for LogHandle {}

impl LogHandle {
    fn with<T>(&self, own_folder: &Path, run: impl FnOnce(&mut Option<Saved>) -> Result<T>) -> Result<T> {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.is_none() {
            *saved = Some(Saved::read(own_folder)?);
        }
        run(&mut saved)
    }

    fn get<T>(&self, get: impl FnOnce(&Saved) -> T) -> Option<T> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(get)
    }
}

impl Saved {
    fn read(own_folder: &Path) -> Result<Self> {
        let store = local(own_folder);
        let Opened {
            log,
            state,
            last,
            damages,
        } = Log::open(&store, true)?;
        Ok(Self {
            log,
            ledger: state,
            last: last.map(|change| change.publication),
            damages,
        })
    }
}

/// Moves a damaged object of the log to `_export/quarantine/log/`.
fn quarantine(own_folder: &Path, key: &str) -> Result<()> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let path = own_folder.join("log").join(name);
    store::set_aside(
        &path,
        own_folder,
        &own_folder.join(QUARANTINE).join("log").join(name),
    )
}

/// The files of the table.
fn local(own_folder: &Path) -> Arc<dyn Store> {
    Arc::new(LocalStore::new(own_folder.parent().unwrap_or(own_folder)))
}

impl Ledger {
    /// Reads the ledger, which is empty if there is none. Writes nothing, and needs no lock.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if something of the log is damaged without a substitute,
    /// [`Error::Usage`](crate::Error::Usage) if it is of a newer version of this program.
    pub fn load(own_folder: &Path) -> Result<Self> {
        let saved = Saved::read(own_folder)?;
        let mut ledger = match saved.log.is_empty() {
            true => earlier::load(own_folder)?.unwrap_or_else(Self::new),
            false => saved.ledger.clone(),
        };
        ledger.log = LogHandle(Arc::new(Mutex::new(Some(saved))));
        Ok(ledger)
    }

    /// Reads the ledger for a writer, who must have the lock: converts the files of an earlier version, quarantines damaged
    /// objects of the log, and makes it independent of them.
    ///
    /// # Errors
    /// As [`Ledger::load`], and if the log cannot be written.
    pub(crate) fn load_to_write(own_folder: &Path) -> Result<Self> {
        let ledger = Self::load(own_folder)?;
        if earlier::exists(own_folder) {
            ledger.save(own_folder)?;
            earlier::remove(own_folder)?;
        }
        ledger.log.with(own_folder, |saved| {
            if let Some(saved) = saved {
                // also objects that only a later damage would make necessary
                let known: Vec<String> = saved.damages.iter().map(|damage| damage.key.clone()).collect();
                let damages = log::find_damage(&*local(own_folder))?.into_iter();
                saved
                    .damages
                    .extend(damages.filter(|damage| !known.contains(&damage.key)));
            }
            let Some(Saved {
                log, ledger, damages, ..
            }) = saved.as_mut().filter(|saved| !saved.damages.is_empty())
            else {
                return Ok(());
            };
            for ObjectDamage { key, what } in &*damages {
                tracing::warn!("{key}: {what}: restored what it contained");
                quarantine(own_folder, key)?;
            }
            log.write_checkpoint(ledger)
        })?;
        Ok(ledger)
    }

    /// Whether there is neither a commit nor a ledger of an earlier version.
    pub(crate) fn is_new(&self) -> bool {
        *self == Self::new() && self.log.get(|saved| saved.log.is_empty()).unwrap_or(true)
    }

    /// What was found damaged in the log when the ledger was read, as keys below the table's folder with a sentence each.
    pub(crate) fn log_damages(&self) -> Vec<ObjectDamage> {
        self.log.get(|saved| saved.damages.clone()).unwrap_or_default()
    }

    /// What the last commit of the log publishes. A crash may have interrupted it.
    pub(crate) fn last_publication(&self) -> Option<Publication> {
        self.log.get(|saved| saved.last.clone()).flatten()
    }

    /// Appends a commit with what changed since the last one; it is durable when this returns. Nothing is written if nothing
    /// changed. The caller must have the lock.
    ///
    /// # Errors
    /// If the log cannot be written; the ledger is as before then, or has the change.
    pub fn save(&self, own_folder: &Path) -> Result<()> {
        self.commit(own_folder, Publication::default())
    }

    /// The same with what is to be published after that.
    ///
    /// # Errors
    /// As [`Ledger::save`].
    pub(crate) fn commit(&self, own_folder: &Path, publication: Publication) -> Result<()> {
        self.log.with(own_folder, |shared| {
            // after an error the log is read again
            let mut saved = shared
                .take()
                .ok_or_else(|| Error::Internal("the commit log was not read".into()))?;
            let change = LedgerChange::between(&saved.ledger, self, publication);
            if !change.changes_nothing(&saved.ledger) {
                saved.ledger.apply(change.clone());
                saved.log.append(&change, &saved.ledger)?;
                saved.last = Some(change.publication);
            }
            *shared = Some(saved);
            Ok(())
        })
    }
}
