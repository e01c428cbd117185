//! Reads a consistent snapshot of a table that a run may change, and checks findings a second time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::Verified;
use super::partition::{Check, Checked};
use crate::commit;
use crate::error::Result;
use crate::ledger::{Ledger, PartitionMetadata, Publication};
use crate::log::{self, ObjectDamage};
use crate::spool::Spool;
use crate::store::LocalStore;
use crate::table::{Entry, Lock, Manifest, OWN_FOLDER, PartitionKey, Table, TableVersion};

/// Maximum number of snapshots and of checks of a partition, and the delay between them.
const ATTEMPTS: usize = 20;
const RETRY_DELAY: Duration = Duration::from_millis(25);

/// Number of spooled pages, by dataset and bot.
pub(super) type PendingPages = BTreeMap<(String, String), u64>;

/// The contents of a table's small files at one moment, unless a run changes them too often.
pub(super) struct Snapshot {
    pub(super) version: TableVersion,
    /// The active run.
    pub(super) holder: Option<String>,
    pub(super) table: Table,
    /// What the last commit publishes, if that is not done yet.
    pub(super) commit: Option<Publication>,
    pub(super) manifest: Manifest,
    pub(super) ledger: Result<Option<Ledger>>,
    /// Damaged objects of the commit log.
    pub(super) log_damages: Vec<ObjectDamage>,
    pub(super) pending_pages: PendingPages,
}

impl Snapshot {
    /// Reads the files until they do not change meanwhile.
    ///
    /// # Errors
    /// If there is no table, or a folder cannot be read.
    pub(super) fn take(out: &Path) -> Result<Self> {
        let own = out.join(OWN_FOLDER);
        let mut attempts = 1;
        loop {
            let version = TableVersion::of(&own);
            let taken = Self::read(out, version.clone());
            if TableVersion::of(&own) == version || attempts >= ATTEMPTS {
                return taken;
            }
            attempts += 1;
            std::thread::sleep(RETRY_DELAY);
        }
    }

    fn read(out: &Path, version: TableVersion) -> Result<Self> {
        let own = out.join(OWN_FOLDER);
        let holder = Lock::holder(&own)?;
        let table = Table::open(out)?;
        let spool = Spool::open_to_read(&own.join("pages"))?;
        let ledger = Ledger::load(&own);
        let commit = match &ledger {
            Ok(ledger) => commit::unfinished(&table, &spool, ledger)?,
            Err(_) => None,
        };
        let ledger = ledger.map(|ledger| (!ledger.is_new()).then_some(ledger));
        let log_damages = log::find_damage(&LocalStore::new(out))?;
        let mut manifest = table.manifest()?;
        manifest.entries = in_place(manifest.entries, commit.as_ref(), &table);
        let mut pending_pages = PendingPages::new();
        for header in spool.list()?.0 {
            *pending_pages.entry((header.dataset, header.bot)).or_default() += 1;
        }
        Ok(Self {
            version,
            holder,
            table,
            commit,
            manifest,
            ledger,
            log_damages,
            pending_pages,
        })
    }
}

/// Returns the entries that match the files. If a commit is not completed yet, these are the entries of the files in
/// place.
fn in_place(
    mut entries: BTreeMap<PartitionKey, Entry>,
    commit: Option<&Publication>,
    table: &Table,
) -> BTreeMap<PartitionKey, Entry> {
    let keys = commit.iter().flat_map(|commit| {
        let next = commit.partitions.iter().map(|(key, _)| key);
        next.chain(&commit.removed)
    });
    for key in keys {
        let entry = entries.remove(key);
        entries.extend(in_place_entry(key, entry, commit, table).map(|entry| (key.clone(), entry)));
    }
    entries
}

fn in_place_entry(
    key: &PartitionKey,
    entry: Option<Entry>,
    commit: Option<&Publication>,
    table: &Table,
) -> Option<Entry> {
    let Some(commit) = commit else { return entry };
    let is_there = |entry: &Entry| table.out().join(&entry.path).exists();
    let mut partitions = commit.partitions.iter();
    match partitions.find(|(other, _)| other == key) {
        Some((_, next)) if is_there(next) => Some(next.clone()),
        // between its two versions, on a file system that cannot exchange folders
        Some(_) => entry.filter(is_there),
        None if commit.removed.contains(key) => entry.filter(is_there),
        None => entry,
    }
}

/// The current state of a partition.
pub(super) struct CurrentState {
    /// The entry that matches the file.
    pub(super) entry: Option<Entry>,
    /// What the ledger says of it.
    pub(super) metadata: Option<PartitionMetadata>,
    /// Whether a commit that is not carried out yet changes it.
    pub(super) is_changing: bool,
}

impl Verified {
    /// Whether no run has changed the table since its small files were read.
    pub(super) fn is_unchanged(&self) -> bool {
        // the publication of a commit changes files after the log
        !self.was_publishing && self.has_same_version()
    }

    /// Whether nothing was committed since then.
    pub(super) fn has_same_version(&self) -> bool {
        TableVersion::of(&self.table.own_folder()) == self.version
    }

    /// Returns the current state of a partition; `None` if a run changes the table too often.
    pub(super) fn current(&self, key: &PartitionKey) -> Result<Option<CurrentState>> {
        let own = self.table.own_folder();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(RETRY_DELAY);
            }
            let version = TableVersion::of(&own);
            let spool = Spool::open_to_read(&own.join("pages"))?;
            let ledger = Ledger::load(&own).ok();
            let commit = match &ledger {
                Some(ledger) => commit::unfinished(&self.table, &spool, ledger)?,
                None => None,
            };
            let entry = in_place_entry(
                key,
                self.table.entry(key).ok().flatten(),
                commit.as_ref(),
                &self.table,
            );
            if TableVersion::of(&own) != version {
                continue;
            }
            let metadata = ledger.as_ref().and_then(|ledger| metadata(ledger, key).cloned());
            let is_changing = commit.is_some_and(|commit| commit.concerns(key));
            return Ok(Some(CurrentState {
                entry,
                metadata,
                is_changing,
            }));
        }
        Ok(None)
    }

    /// Checks a partition against its entry. A defect is checked again in the current version until the partition
    /// does not change. `None` if the partition was removed.
    pub(super) fn check(
        &self,
        check: &Check<'_>,
        key: &PartitionKey,
        entry: &Entry,
    ) -> Result<(Option<Entry>, Checked)> {
        let mut entry = entry.clone();
        for _ in 0..ATTEMPTS {
            let checked = check.partition(key, &entry)?;
            if checked.findings.is_empty() || self.is_unchanged() {
                return Ok((Some(entry), checked));
            }
            match self.current(key)? {
                None => std::thread::sleep(RETRY_DELAY),
                Some(CurrentState {
                    entry: None,
                    is_changing,
                    ..
                }) => {
                    if self.table.entry(key).is_ok_and(|entry| entry.is_none()) {
                        return Ok((None, Checked::default()));
                    }
                    if !is_changing {
                        return Ok((Some(entry), checked));
                    }
                    std::thread::sleep(RETRY_DELAY);
                }
                Some(CurrentState { entry: Some(now), .. }) if now == entry => {
                    return Ok((Some(entry), checked));
                }
                Some(CurrentState { entry: Some(now), .. }) => entry = now,
            }
        }
        let checked = Checked {
            is_changing: true,
            ..Checked::default()
        };
        Ok((Some(entry), checked))
    }
}

/// Returns a partition's metadata in a ledger.
pub(super) fn metadata<'a>(ledger: &'a Ledger, key: &PartitionKey) -> Option<&'a PartitionMetadata> {
    ledger
        .state(key.dataset.name(), &key.bot)?
        .partitions
        .get(&key.date)
}
