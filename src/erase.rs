//! Conversations removed on request: from every partition, every kept page and the rejected records, for good.
//!
//! Tombstones are written first, so that no run brings them back from then on. Everything after that may be done twice:
//! an erasure that was interrupted is ended by the next export, sync or erasure, which knows the conversations by
//! their tombstones alone.

mod partitions;
mod preview_counts;
mod rest;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::changes;
use crate::commit::Commit;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::rebuild;
use crate::spool::Spool;
use crate::table::{Lock, OWN_FOLDER, Table};
use crate::tombstones::Tombstones;

/// What an erasure removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EraseSummary {
    /// Whether nothing was changed: this is what an erasure would do.
    pub dry_run: bool,
    /// Conversations that were asked for.
    pub asked: u64,
    /// Those of them that were found: in a row, a page or a rejected record.
    pub conversations: u64,
    /// Those of them that were not found, and were found by no earlier erasure. They have tombstones, too.
    pub not_found: Vec<String>,
    /// Those of them that an earlier erasure removed.
    pub erased_before: u64,
    /// Rows that went, by dataset.
    pub rows: BTreeMap<&'static str, u64>,
    /// Partitions that were written anew.
    pub partitions_changed: u64,
    /// Partitions that had no other rows, and are gone.
    pub partitions_removed: u64,
    /// Records in pages that were answered and wait to become part of the table, or are kept beside it.
    pub records_in_pages: u64,
    /// Rejected records.
    pub rejected: u64,
    /// Files in `_export/damaged/`: nobody can tell what they hold.
    pub damaged_files: u64,
    /// The file that tells jobs what has changed.
    pub changes: Option<PathBuf>,
    /// Files that are none of the table's and hold one of the ids, from the table's folder on: they are left.
    pub left: Vec<PathBuf>,
}

/// Which conversations go.
struct Targets<'a> {
    tombstones: Option<&'a Tombstones>,
    /// Their ids, where these are known and nothing older has to be ended.
    ids: Option<HashSet<&'a str>>,
    /// Those of the ids that were found.
    found: Mutex<HashSet<&'a str>>,
}

impl<'a> Targets<'a> {
    fn of_ids(ids: &'a [String]) -> Self {
        Self {
            tombstones: None,
            ids: Some(ids.iter().map(String::as_str).collect()),
            found: Mutex::default(),
        }
    }

    fn of_tombstones(tombstones: &'a Tombstones) -> Self {
        Self {
            tombstones: Some(tombstones),
            ids: None,
            found: Mutex::default(),
        }
    }

    /// Whether this is the id of one of them.
    fn has(&self, id: &str) -> bool {
        match &self.ids {
            Some(ids) => ids.get(id).is_some_and(|id| self.is_found(id)),
            None => self.tombstones.is_some_and(|tombstones| tombstones.has(id)),
        }
    }

    /// Whether one of the ids stands somewhere in these bytes, as far as ids are known.
    fn is_in(&self, bytes: &[u8]) -> bool {
        let ids = self.ids.iter().flatten();
        let is_there = |id: &&&'a str| memchr::memmem::find(bytes, id.as_bytes()).is_some();
        // each of them, and not the first alone
        ids.filter(is_there).filter(|id| self.is_found(id)).count() > 0
    }

    fn is_found(&self, id: &'a str) -> bool {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
        true
    }
}

/// Removes conversations with their messages from the table in `out`, and keeps tombstones of them.
///
/// # Errors
/// Where there is no table, or something of it cannot be read or written: the tombstones stand then, and the next run
/// targets on.
pub fn erase(out: &Path, ids: &[String]) -> Result<EraseSummary> {
    check(ids)?;
    Table::standing(out)?;
    let own = out.join(OWN_FOLDER);
    let _lock = Lock::take(out, &own)?;
    rebuild::finish(out)?;
    let table = Table::standing(out)?;
    let spool = Spool::open(&own.join("pages"))?;
    Commit::recover(&table, &spool)?;
    table.sweep()?;
    let mut ledger = Ledger::load_or_restore(&own)?;
    spool.begin_at(ledger.next_sequence);
    let mut tombstones = match Tombstones::load(&own)? {
        Some(tombstones) => tombstones,
        None => Tombstones::new(&own)?,
    };
    let had_begun = tombstones.is_unfinished();
    let targets = Targets::of_ids(ids);
    // entries that are missing or damaged are made again where the files are as they were written
    partitions::prove(&table, &ledger)?;
    // where something cannot be read, tombstones are written all the same: all ids count as found
    let all_is_read = preview_counts::count(&table, &spool, &ledger, &targets).is_ok();
    let mut found = targets.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !all_is_read {
        found.extend(ids.iter().map(String::as_str));
    }
    let counted = EraseSummary::count(ids, &found, Some(&tombstones));
    tombstones.begin(ids.iter(), |id| found.contains(id))?;
    let targets = match had_begun {
        true => Targets::of_tombstones(&tombstones),
        false => Targets::of_ids(ids),
    };
    let mut erased = execute(&table, &spool, &mut ledger, &targets)?;
    if had_begun {
        erased.left = rest::left(&table, &Targets::of_ids(ids))?;
    }
    tombstones.end()?;
    Ok(EraseSummary {
        asked: counted.asked,
        conversations: counted.conversations,
        not_found: counted.not_found,
        erased_before: counted.erased_before,
        ..erased
    })
}

/// A dry run looks so often, with a pause between, at files that seem to be none of the table's.
const LOOKS: u32 = 10;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// What [`erase`] would do with the same ids. Nothing is changed, and no lock is taken.
///
/// # Errors
/// Where there is no table, or something of it cannot be read.
pub fn dry_run(out: &Path, ids: &[String]) -> Result<EraseSummary> {
    check(ids)?;
    Table::read(out, |table| {
        let own = table.own_folder();
        let spool = Spool::open(&own.join("pages"))?;
        let ledger = Ledger::load(&Ledger::path(&own))?;
        let tombstones = Tombstones::load(&own)?;
        let targets = Targets::of_ids(ids);
        let mut erased = preview_counts::count(table, &spool, &ledger, &targets)?;
        // what a run stages is not part of the table yet, and what it has just placed is part of it in a moment
        let staged = Path::new(OWN_FOLDER).join("staging");
        for _ in 0..LOOKS {
            erased.left = rest::left(table, &Targets::of_ids(ids))?;
            erased.left.retain(|path| !path.starts_with(&staged));
            if erased.left.is_empty() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        let found = targets.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let counted = EraseSummary::count(ids, &found, tombstones.as_ref());
        Ok(EraseSummary {
            dry_run: true,
            asked: counted.asked,
            conversations: counted.conversations,
            not_found: counted.not_found,
            erased_before: counted.erased_before,
            ..erased
        })
    })
}

fn check(ids: &[String]) -> Result<()> {
    if ids.is_empty() || ids.iter().any(|id| id.trim().is_empty()) {
        return Err(Error::Usage {
            what: "no conversation was named".into(),
            hint: "give --conversation ID, or --from a file with an id in each line".into(),
        });
    }
    Ok(())
}

impl EraseSummary {
    /// Counts which ids were found, given the tombstones of before.
    fn count(ids: &[String], found: &HashSet<&str>, tombstones: Option<&Tombstones>) -> Self {
        let mut erased = Self::default();
        let mut counted = HashSet::new();
        for id in ids.iter().filter(|id| counted.insert(id.as_str())) {
            erased.asked += 1;
            if found.contains(id.as_str()) {
                erased.conversations += 1;
            } else if tombstones.is_some_and(|tombstones| tombstones.was_found(id)) {
                erased.erased_before += 1;
            } else {
                erased.not_found.push(id.clone());
            }
        }
        erased
    }
}

/// Ends an erasure that was interrupted, if one was, and removes what a crash brought back of pages that wait and of
/// rejected records; answers the tombstones, if there are any. Only for the holder of the lock, after the last commit was
/// carried through.
///
/// # Errors
/// Where something cannot be read or written.
pub(crate) fn recover(table: &Table, spool: &Spool, ledger: &mut Ledger) -> Result<Option<Tombstones>> {
    let Some(mut tombstones) = Tombstones::load(&table.own_folder())? else {
        return Ok(None);
    };
    let targets = Targets::of_tombstones(&tombstones);
    if tombstones.is_unfinished() {
        tracing::warn!("an erasure was interrupted: it is ended now");
        execute(table, spool, ledger, &targets)?;
        tombstones.end()?;
        return Ok(Some(tombstones));
    }
    let mut erased = EraseSummary::default();
    rest::waiting_pages(spool, &targets, &mut erased)?;
    rest::rejected(table, ledger, &targets, &mut erased)?;
    let again = erased.records_in_pages + erased.rejected;
    if again > 0 {
        tracing::warn!("{again} records of erased conversations were back, and are removed again");
    }
    Ok(Some(tombstones))
}

fn execute(table: &Table, spool: &Spool, ledger: &mut Ledger, targets: &Targets<'_>) -> Result<EraseSummary> {
    let mut erased = EraseSummary::default();
    // pages first: what a run builds from them must not bring anything back
    rest::pages(spool, targets, &mut erased)?;
    rest::rejected(table, ledger, targets, &mut erased)?;
    partitions::erase(table, spool, ledger, targets, &mut erased)?;
    rest::damaged(table, &mut erased)?;
    erased.changes = changes::write(table, ledger, "erase")?;
    erased.left = rest::left(table, targets)?;
    Ok(erased)
}
