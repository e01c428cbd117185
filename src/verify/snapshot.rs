//! A table that a run may change while it is checked: a consistent view of its small files, and a second check of
//! whatever seems wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::Verified;
use super::partition::{Check, Checked};
use crate::commit::Commit;
use crate::error::Result;
use crate::ledger::{Ledger, PartitionMetadata};
use crate::spool::Spool;
use crate::table::{Entry, Lock, Manifest, OWN_FOLDER, PartitionKey, Table, TableVersion};

/// How often a view is taken, and a partition is looked at, in all; the time between.
const ATTEMPTS: usize = 20;
const RETRY_DELAY: Duration = Duration::from_millis(25);

/// How many pages wait to become part of the table, by dataset and bot.
pub(super) type PendingPages = BTreeMap<(String, String), u64>;

/// What the small files of a table hold at one moment, as far as no run was too busy for that.
pub(super) struct Snapshot {
    pub(super) version: TableVersion,
    /// The run that was at work.
    pub(super) holder: Option<String>,
    pub(super) table: Table,
    /// The commit that is written down and not carried out yet.
    pub(super) commit: Result<Option<Commit>>,
    pub(super) manifest: Manifest,
    pub(super) ledger: Result<Option<Ledger>>,
    pub(super) pending_pages: PendingPages,
}

impl Snapshot {
    /// Reads until nothing changes in between.
    ///
    /// # Errors
    /// Where there is no table, or a folder of it cannot be read.
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
        let commit = Commit::interrupted(&own);
        let mut manifest = table.manifest()?;
        let next = commit.as_ref().ok().and_then(Option::as_ref);
        manifest.entries = in_place(manifest.entries, next, &table);
        let path = Ledger::path(&own);
        let ledger = match path.exists() {
            true => Ledger::load(&path).map(Some),
            false => Ok(None),
        };
        let mut pending_pages = PendingPages::new();
        for header in Spool::open_to_read(&own.join("pages"))?.list()?.0 {
            *pending_pages.entry((header.dataset, header.bot)).or_default() += 1;
        }
        Ok(Self {
            version,
            holder,
            table,
            commit,
            manifest,
            ledger,
            pending_pages,
        })
    }
}

/// The entries that should fit the files: where a commit is not carried out yet, those of the version that is in place.
fn in_place(
    mut entries: BTreeMap<PartitionKey, Entry>,
    commit: Option<&Commit>,
    table: &Table,
) -> BTreeMap<PartitionKey, Entry> {
    let keys = commit.iter().flat_map(|commit| {
        let next = commit.partitions().iter().map(|(key, _)| key);
        next.chain(commit.removed())
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
    commit: Option<&Commit>,
    table: &Table,
) -> Option<Entry> {
    let Some(commit) = commit else { return entry };
    let is_there = |entry: &Entry| table.out().join(&entry.path).exists();
    let mut partitions = commit.partitions().iter();
    match partitions.find(|(other, _)| other == key) {
        Some((_, next)) if is_there(next) => Some(next.clone()),
        // between its two versions, on a file system that cannot exchange them
        Some(_) => entry.filter(is_there),
        None if commit.removed().contains(key) => entry.filter(is_there),
        None => entry,
    }
}

/// What is known of a partition now.
pub(super) struct CurrentState {
    /// The entry that should fit its file.
    pub(super) entry: Option<Entry>,
    /// What ledgers say of it: one, or where a commit is not carried out yet, that of before and that of after.
    pub(super) metadata: Vec<PartitionMetadata>,
    /// Whether a commit that is not carried out yet changes it.
    pub(super) is_changing: bool,
}

impl Verified {
    /// Whether no run has changed the table since its small files were read.
    pub(super) fn is_unchanged(&self) -> bool {
        TableVersion::of(&self.table.own_folder()) == self.version
    }

    /// What is known of a partition now; `None` where a run changes the table too often for that.
    pub(super) fn current(&self, key: &PartitionKey) -> Result<Option<CurrentState>> {
        let own = self.table.own_folder();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(RETRY_DELAY);
            }
            let version = TableVersion::of(&own);
            let commit = Commit::interrupted(&own).ok().flatten();
            let entry = in_place_entry(
                key,
                self.table.entry(key).ok().flatten(),
                commit.as_ref(),
                &self.table,
            );
            let ledger = Ledger::load(&Ledger::path(&own)).ok();
            if TableVersion::of(&own) != version {
                continue;
            }
            let ledgers = ledger.iter().chain(commit.as_ref().map(Commit::ledger));
            let metadata = ledgers
                .filter_map(|ledger| metadata(ledger, key).cloned())
                .collect();
            let is_changing = commit.is_some_and(|commit| {
                let mut partitions = commit.partitions().iter();
                partitions.any(|(other, _)| other == key) || commit.removed().contains(key)
            });
            return Ok(Some(CurrentState {
                entry,
                metadata,
                is_changing,
            }));
        }
        Ok(None)
    }

    /// Checks a partition against its entry; where something is wrong, once more in the version that is current, until it
    /// stays the same. `None` where it was taken out of the table.
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

/// What a ledger says of a partition.
pub(super) fn metadata<'a>(ledger: &'a Ledger, key: &PartitionKey) -> Option<&'a PartitionMetadata> {
    ledger
        .state(key.dataset.name(), &key.bot)?
        .partitions
        .get(&key.date)
}
