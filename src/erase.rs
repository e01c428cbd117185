//! Erases conversations permanently: from partitions, pages, rejected records and quarantined files.
//!
//! Tombstones are written first, so that no run exports the conversations again. Every later step is idempotent: the next
//! export, sync or erasure completes an interrupted one, from its tombstones alone.

mod other_files;
mod pages;
mod partitions;
mod preview_counts;
mod targets;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::changes;
use crate::commit;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::rebuild;
use crate::spool::Spool;
use crate::table::{Lock, OWN_FOLDER, Table};
use crate::tombstones::Tombstones;
use targets::Targets;

/// What an erasure removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EraseSummary {
    /// Whether this was a dry run, which changes nothing.
    pub dry_run: bool,
    /// Number of requested conversations.
    #[serde(rename = "asked")]
    pub requested: u64,
    /// Those of them that were found in a row, a page or a rejected record.
    pub conversations: u64,
    /// Those of them that were not found, now or by an earlier erasure. They have tombstones, too.
    pub not_found: Vec<String>,
    /// Those of them that an earlier erasure removed.
    pub erased_before: u64,
    /// Removed rows, by dataset.
    pub rows: BTreeMap<&'static str, u64>,
    /// Partitions that were written again.
    pub partitions_changed: u64,
    /// Partitions that had no other rows and were removed.
    pub partitions_removed: u64,
    /// Records in spooled and kept pages.
    pub records_in_pages: u64,
    /// Rejected records.
    pub rejected: u64,
    /// Quarantined files, whose contents are unknown.
    pub damaged_files: u64,
    /// The file that lists the changed partitions.
    pub changes: Option<PathBuf>,
    /// Files that do not belong to the table and contain an id, relative to the table's folder. They are not removed.
    pub left: Vec<PathBuf>,
}

/// Erases conversations with their messages, and stores tombstones of them.
///
/// # Errors
/// If there is no table, or a part of it cannot be read or written. If the tombstones are written by then, the next run
/// completes the erasure.
pub fn erase(out: &Path, ids: &[String]) -> Result<EraseSummary> {
    check(ids)?;
    Table::open(out)?;
    let own = out.join(OWN_FOLDER);
    let _lock = Lock::acquire(out, &own)?;
    rebuild::finish(out)?;
    let table = Table::open(out)?;
    let spool = Spool::open(&own.join("pages"))?;
    commit::recover_earlier(&table, &spool)?;
    let mut ledger = Ledger::load_to_write(&own)?;
    commit::recover(&table, &spool, &ledger)?;
    table.remove_leftovers()?;
    spool.begin_at(ledger.next_sequence);
    let mut tombstones = match Tombstones::load(&own)? {
        Some(tombstones) => tombstones,
        None => Tombstones::new(&own)?,
    };
    let was_interrupted = tombstones.is_unfinished();
    // restores missing or damaged entries whose data files are intact
    partitions::verify(&table, &ledger)?;
    let targets = Targets::of_ids(ids);
    let is_readable = preview_counts::count(&table, &spool, &ledger, &targets).is_ok();
    let mut found = targets.into_found();
    if !is_readable {
        // the tombstones are written all the same: every id counts as found
        found.extend(ids.iter().map(String::as_str));
    }
    let mut counts = EraseSummary::default();
    counts.count_ids(ids, &found, Some(&tombstones));
    tombstones.begin(ids.iter(), |id| found.contains(id))?;
    let targets = match was_interrupted {
        true => Targets::of_tombstones(&tombstones),
        false => Targets::of_ids(ids),
    };
    execute(&table, &spool, &mut ledger, &targets, &mut counts)?;
    if was_interrupted {
        counts.left = other_files::find_foreign(&table, &Targets::of_ids(ids))?;
    }
    tombstones.end()?;
    Ok(counts)
}

/// A dry run looks for foreign files this often, since files of a concurrent run are foreign for a moment.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Returns what [`erase`] would remove. Changes nothing and takes no lock.
///
/// # Errors
/// If there is no table, or a part of it cannot be read.
pub fn dry_run(out: &Path, ids: &[String]) -> Result<EraseSummary> {
    check(ids)?;
    Table::read(out, |table| {
        let own = table.own_folder();
        let spool = Spool::open(&own.join("pages"))?;
        let ledger = Ledger::load(&own)?;
        let tombstones = Tombstones::load(&own)?;
        let targets = Targets::of_ids(ids);
        let mut summary = preview_counts::count(table, &spool, &ledger, &targets)?;
        let staging = Path::new(OWN_FOLDER).join("staging");
        for _ in 0..ATTEMPTS {
            summary.left = other_files::find_foreign(table, &Targets::of_ids(ids))?;
            summary.left.retain(|path| !path.starts_with(&staging));
            if summary.left.is_empty() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        summary.dry_run = true;
        summary.count_ids(ids, &targets.into_found(), tombstones.as_ref());
        Ok(summary)
    })
}

fn check(ids: &[String]) -> Result<()> {
    if ids.is_empty() || ids.iter().any(|id| id.trim().is_empty()) {
        return Err(Error::Usage {
            what: "cannot erase: no conversation is given".into(),
            hint: "give the id of a conversation, or a file with one id per line".into(),
        });
    }
    Ok(())
}

impl EraseSummary {
    /// Counts which ids were found, given the tombstones of earlier erasures.
    fn count_ids(&mut self, ids: &[String], found: &HashSet<&str>, tombstones: Option<&Tombstones>) {
        let mut counted = HashSet::new();
        for id in ids.iter().filter(|id| counted.insert(id.as_str())) {
            self.requested += 1;
            if found.contains(id.as_str()) {
                self.conversations += 1;
            } else if tombstones.is_some_and(|tombstones| tombstones.was_found(id)) {
                self.erased_before += 1;
            } else {
                self.not_found.push(id.clone());
            }
        }
    }
}

/// Completes an interrupted erasure, and removes pages and rejected records that a crash restored. Returns the
/// tombstones, if there are any. The caller must have the lock, and have recovered the last commit.
///
/// # Errors
/// If a file cannot be read or written.
pub(crate) fn recover(table: &Table, spool: &Spool, ledger: &mut Ledger) -> Result<Option<Tombstones>> {
    let Some(mut tombstones) = Tombstones::load(&table.own_folder())? else {
        return Ok(None);
    };
    let targets = Targets::of_tombstones(&tombstones);
    let mut summary = EraseSummary::default();
    if tombstones.is_unfinished() {
        tracing::warn!("completing an interrupted erasure");
        execute(table, spool, ledger, &targets, &mut summary)?;
        tombstones.end()?;
        return Ok(Some(tombstones));
    }
    pages::erase_spooled(spool, &targets, &mut summary)?;
    other_files::erase_rejected(table, ledger, &targets, &mut summary)?;
    let restored = summary.records_in_pages + summary.rejected;
    if restored > 0 {
        tracing::warn!("removed {restored} records of erased conversations that reappeared after a crash");
    }
    Ok(Some(tombstones))
}

/// Removes the targets everywhere.
fn execute(
    table: &Table,
    spool: &Spool,
    ledger: &mut Ledger,
    targets: &Targets<'_>,
    summary: &mut EraseSummary,
) -> Result<()> {
    // pages first: a later run must not build erased rows from them
    pages::erase(spool, targets, summary)?;
    other_files::erase_rejected(table, ledger, targets, summary)?;
    partitions::erase(table, spool, ledger, targets, summary)?;
    other_files::erase_quarantine(table, summary)?;
    summary.changes = changes::write(table, ledger, "erase")?;
    summary.left = other_files::find_foreign(table, targets)?;
    Ok(())
}
