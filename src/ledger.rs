//! What a folder's exports have completed, per dataset and bot, in a file that a person can read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Observed};
use crate::drift::Drift;
use crate::error::{Error, Result};
use crate::plan::Knowledge;
use crate::store;
use crate::table::{Entry, Period};
use crate::window::Windows;

mod learned;
mod partition_check;
mod sync;
mod unchecked_rows;

pub use sync::{Refetch, SyncRun, SyncState};
pub use unchecked_rows::{NewRows, UncheckedRows};

const VERSION: u32 = 1;
const COPY: &str = "ledger.copy.json";

/// The account of one folder. It is replaced as a whole, and only ever by one that is true of what is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    version: u32,
    /// Pages get sequence numbers from here on.
    pub next_sequence: u64,
    /// The number of the last file that told what has changed.
    #[serde(default)]
    pub changes: u64,
    /// By dataset, then by bot.
    pub datasets: BTreeMap<String, BTreeMap<String, Account>>,
}

/// What every version of the ledger says.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The account of one dataset of one bot, over all runs.
/// At every moment `received = rows + duplicates + superseded + rejected + erased`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Ranges of the time that the API filters by, of which every record is in the table.
    pub complete: Windows,
    /// Requests that were made for it, retries included.
    pub requests: u64,
    /// Pages that became part of the table.
    pub pages: u64,
    /// Records that became part of the table or were rejected, as often as they came.
    pub received: u64,
    /// Rows of all partitions: distinct records.
    pub rows: u64,
    /// Records that came again as they were, rejected ones among them.
    pub duplicates: u64,
    /// Records that gave way to another version.
    pub superseded: u64,
    /// Rows that went since their records have another date now; they are counted in `superseded`, too.
    pub moved: u64,
    /// Distinct records that could not become rows.
    pub rejected: u64,
    /// Records that went, or were not kept, since their conversations were erased on request.
    pub erased: u64,
    /// Records that lay outside the range asked for, and so are neither in the table nor in `received`.
    pub outside: u64,
    /// The earliest time of a row.
    pub first: Option<Timestamp>,
    /// The latest time of a row.
    pub last: Option<Timestamp>,
    /// What the API showed of its ways.
    pub learnt: Knowledge,
    /// When the limits in it were found, or found again; `None` where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits_since: Option<Timestamp>,
    /// The keys that records of earlier runs had.
    pub known_keys: Observed,
    /// The keys of what the run under way has built so far.
    pub observing: Observed,
    /// What the last run that brought records saw otherwise than those before it.
    pub drift: Drift,
    /// How the last run that did something ended.
    pub last_run: Option<LastRun>,
    /// Pages that the spool still holds though some of their partitions are part of the table already: those partitions.
    pub under_way: BTreeMap<u64, BTreeSet<Period>>,
    /// What each partition holds, so that a row taken out of a file and its manifest alike is noticed.
    pub partitions: BTreeMap<Period, PartitionMetadata>,
    /// Partitions that have changed since it was told last what has.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub changed: BTreeSet<Period>,
    /// New rows that were not compared yet with those of other partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moves: Option<UncheckedRows>,
    /// What a run was asked to fetch anew, as long as not all of it is.
    pub refetching: Option<Refetch>,
    /// How far `sync` has come, where it was ever asked for.
    pub sync: Option<SyncState>,
}

/// What a partition holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionMetadata {
    /// Its rows, one for each id.
    pub rows: u64,
    /// [`Entry::ids_sha256`].
    pub ids_sha256: String,
    /// [`Entry::sha256`].
    pub sha256: String,
}

impl PartitionMetadata {
    /// What the partition with this entry holds.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        Self {
            rows: entry.rows,
            ids_sha256: entry.ids_sha256.clone(),
            sha256: entry.sha256.clone(),
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When.
    pub ended: Timestamp,
    /// Rows that it brought.
    pub rows: u64,
    /// Whether all that it was asked for was in the table then.
    pub whole: bool,
}

impl Account {
    /// Whether the API has never answered: a bot whose name is mistyped is not recorded.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        let counts = [
            self.pages,
            self.received,
            self.rows,
            self.rejected,
            self.erased,
            self.outside,
        ];
        counts.iter().all(|count| *count == 0)
            && self.complete.is_empty()
            && self.partitions.is_empty()
            && self.changed.is_empty()
            && self.under_way.is_empty()
            && self.learnt == Knowledge::default()
    }

    /// Compares the keys of a run that has ended with those of the runs before it, and knows them from now on.
    pub fn end_observing(&mut self, dataset: Dataset) -> Drift {
        let run = std::mem::take(&mut self.observing);
        if run.records == 0 {
            return Drift::default();
        }
        self.drift = Drift::between(dataset, &self.known_keys, &run);
        self.known_keys.add(&run);
        self.drift.clone()
    }

    /// Takes note of what a partition holds from now on.
    pub fn record_partition(&mut self, period: Period, entry: &Entry) {
        let held = PartitionMetadata::of(entry);
        self.rows += held.rows;
        let before = self.partitions.insert(period, held);
        if before.as_ref() != self.partitions.get(&period) {
            self.changed.insert(period);
        }
        self.rows -= before.map_or(0, |before| before.rows);
        self.first = [self.first, entry.first].into_iter().flatten().min();
        self.last = self.last.max(entry.last);
    }

    /// Takes in a partition that stands in the table and was not known of.
    pub fn adopt_partition(&mut self, period: Period, entry: &Entry) {
        self.received += entry.rows;
        self.record_partition(period, entry);
    }

    /// Lets go of a partition; answers how many rows it had.
    pub fn remove_partition(&mut self, period: Period) -> u64 {
        let rows = self.partitions.remove(&period).map_or(0, |held| held.rows);
        self.rows -= rows;
        self.changed.insert(period);
        rows
    }

    /// Lets go of a partition whose rows are lost, so that pages may bring them again.
    pub fn remove_lost_partition(&mut self, period: Period) {
        self.received -= self.remove_partition(period);
        for periods in self.under_way.values_mut() {
            periods.remove(&period);
        }
    }
}

impl Ledger {
    /// A ledger that knows of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            version: VERSION,
            ..Self::default()
        }
    }

    /// Reads the ledger; a new one where there was none.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is not as it was written, or only its copy is there, [`Error::Usage`] where it is from a newer version.
    pub fn load(path: &Path) -> Result<Self> {
        let Some(content) = store::read_if_there(path)? else {
            return match path.with_file_name(COPY).exists() {
                true => Err(Error::Damaged {
                    path: path.to_owned(),
                    what: "it is missing".into(),
                }),
                false => Ok(Self::new()),
            };
        };
        let damaged = |what: String| Error::Damaged {
            path: path.to_owned(),
            what,
        };
        let content = store::unseal(&content).map_err(damaged)?;
        // a newer version may hold what this one cannot read, and is no damage
        let Versioned { version } = content.fields().map_err(damaged)?;
        if version > VERSION {
            return Err(Error::Usage {
                what: format!(
                    "{} has version {version}, this program knows {VERSION}",
                    path.display()
                ),
                hint: "update converse-export".into(),
            });
        }
        let mut ledger: Self = content.read().map_err(damaged)?;
        // earlier versions of this program recorded them
        ledger.remove_unanswered();
        Ok(ledger)
    }

    /// Reads the ledger of a table or, where it is damaged or missing, its copy, which then replaces it. Only for the
    /// process that has the lock.
    ///
    /// # Errors
    /// As [`Ledger::load`], where the copy is not intact either.
    pub(crate) fn load_or_restore(export_folder: &Path) -> Result<Self> {
        let damage = match Self::load(&Self::path(export_folder)) {
            Err(damage @ Error::Damaged { .. }) => damage,
            loaded => return loaded,
        };
        let copy = Self::copy_path(export_folder);
        let Some(ledger) = copy.exists().then(|| Self::load(&copy)).and_then(Result::ok) else {
            return Err(damage);
        };
        tracing::warn!("{}: its copy replaces it", damage.with_causes());
        ledger.save(export_folder)?;
        Ok(ledger)
    }

    /// Makes the copy what the ledger is, where it is not.
    ///
    /// # Errors
    /// Where one of them cannot be read or written.
    pub(crate) fn restore_copy(export_folder: &Path) -> Result<()> {
        let [ledger, copy] = [Self::path(export_folder), Self::copy_path(export_folder)];
        match store::read_if_there(&ledger)? {
            Some(content) if store::read_if_there(&copy)?.as_ref() != Some(&content) => {
                store::write_atomically(&copy, &content)
            }
            _ => Ok(()),
        }
    }

    fn remove_unanswered(&mut self) {
        for bots in self.datasets.values_mut() {
            bots.retain(|_, account| !account.is_unanswered());
        }
        self.datasets.retain(|_, bots| !bots.is_empty());
    }

    /// Replaces the ledger in one step, and then its copy: a bad disk may take one of them. Accounts that the API has never
    /// answered are left out.
    ///
    /// # Errors
    /// Where it cannot be written; the old one is then still there.
    pub fn save(&self, export_folder: &Path) -> Result<()> {
        let mut accounts = self.datasets.values().flat_map(BTreeMap::values);
        let answered = accounts.any(Account::is_unanswered).then(|| {
            let mut answered = self.clone();
            answered.remove_unanswered();
            answered
        });
        let json = store::seal(answered.as_ref().unwrap_or(self))?;
        let [ledger, copy] = [Self::path(export_folder), Self::copy_path(export_folder)];
        store::write_unnamed(&ledger, &json)?;
        store::write_unnamed(&copy, &json)?;
        store::sync_names([&ledger, &copy])
    }

    /// Where the ledger of a table stands.
    #[must_use]
    pub fn path(export_folder: &Path) -> PathBuf {
        export_folder.join("ledger.json")
    }

    /// Where its copy stands.
    #[must_use]
    pub fn copy_path(export_folder: &Path) -> PathBuf {
        export_folder.join(COPY)
    }

    /// The account of a dataset of a bot, if there is one.
    #[must_use]
    pub fn known(&self, dataset: &str, bot: &str) -> Option<&Account> {
        self.datasets.get(dataset)?.get(bot)
    }

    /// The account of a dataset of a bot, made where there is none.
    pub fn account(&mut self, dataset: &str, bot: &str) -> &mut Account {
        self.datasets
            .entry(dataset.to_owned())
            .or_default()
            .entry(bot.to_owned())
            .or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Window;

    #[test]
    fn a_ledger_comes_back_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = Ledger::path(folder.path());
        let mut ledger = Ledger::load(&path).unwrap();
        ledger
            .account("messages", "r3")
            .complete
            .insert(Window::new(0, 86_400));
        ledger.save(folder.path()).unwrap();
        assert_eq!(Ledger::load(&path).unwrap(), ledger);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(matches!(Ledger::load(&path), Err(Error::Damaged { .. })));
        std::fs::write(&path, r#"{"version": 2, "datasets": "moved"}"#).unwrap();
        assert!(matches!(Ledger::load(&path), Err(Error::Usage { .. })));
    }

    #[test]
    fn a_damaged_or_missing_ledger_is_restored_from_its_copy() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path();
        let (path, copy) = (Ledger::path(own), Ledger::copy_path(own));
        let mut ledger = Ledger::new();
        ledger.account("messages", "r3").received = 10;
        ledger.save(own).unwrap();
        let sound = std::fs::read_to_string(&path).unwrap();
        // valid JSON that says something else
        let bent = sound.replace("\"received\": 10", "\"received\": 11");
        assert_ne!(bent, sound);
        for damaged in [&bent, &sound[..90]] {
            std::fs::write(&path, damaged).unwrap();
            assert!(matches!(Ledger::load(&path), Err(Error::Damaged { .. })));
            assert_eq!(Ledger::load_or_restore(own).unwrap(), ledger);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), sound);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Ledger::load_or_restore(own).unwrap(), ledger);
        std::fs::write(&copy, &bent).unwrap();
        Ledger::restore_copy(own).unwrap();
        assert_eq!(std::fs::read_to_string(&copy).unwrap(), sound);
        for path in [&path, &copy] {
            std::fs::write(path, &bent).unwrap();
        }
        assert!(matches!(Ledger::load_or_restore(own), Err(Error::Damaged { .. })));
        // one of an earlier version has no checksum
        let (fields, _) = sound.split_once(",\n  \"checksum\"").unwrap();
        std::fs::write(&path, format!("{fields}\n}}")).unwrap();
        assert_eq!(Ledger::load(&path).unwrap(), ledger);
    }
}
