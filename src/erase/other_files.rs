//! Removes erased conversations from rejected records and quarantined files, and finds foreign files with their ids.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{EraseSummary, Targets};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::rejected;
use crate::store;
use crate::table::{OWN_FOLDER, QUARANTINE_FOLDERS, Table};

/// Maximum number of foreign files that are listed.
const LISTED: usize = 1_000;

/// Removes rejected records that name a target anywhere.
pub(super) fn erase_rejected(
    table: &Table,
    ledger: &mut Ledger,
    targets: &Targets<'_>,
    summary: &mut EraseSummary,
) -> Result<()> {
    let own = table.own_folder();
    let mut is_changed = false;
    for (dataset, bots) in &mut ledger.datasets {
        for (bot, state) in bots {
            let is_target = |record: &str| targets.is_named_in(record);
            let (removed, left) = rejected::remove(&own, dataset, bot, is_target)?;
            summary.rejected += removed;
            // computed from what is left, so that a repetition counts the same
            let erased = state.rejected.saturating_sub(left);
            state.rejected -= erased;
            state.erased += erased;
            is_changed |= erased > 0;
        }
    }
    if is_changed { ledger.save(&own) } else { Ok(()) }
}

/// Removes all quarantined files, since their contents are unknown.
pub(super) fn erase_quarantine(table: &Table, summary: &mut EraseSummary) -> Result<()> {
    summary.damaged_files += count_quarantined(table)?;
    quarantine_folders(table)
        .iter()
        .try_for_each(|folder| store::remove_folder(folder))?;
    store::sync_folder(&table.own_folder())
}

/// Counts the quarantined files.
pub(super) fn count_quarantined(table: &Table) -> Result<u64> {
    let mut count = 0;
    for folder in quarantine_folders(table) {
        count += files(&folder)?.len() as u64;
    }
    Ok(count)
}

fn quarantine_folders(table: &Table) -> [PathBuf; 2] {
    QUARANTINE_FOLDERS.map(|name| table.own_folder().join(name))
}

/// Finds files that do not belong to the table and contain the id of a target.
pub(super) fn find_foreign(table: &Table, targets: &Targets<'_>) -> Result<Vec<PathBuf>> {
    let entries = table.manifest()?.entries;
    let known: HashSet<_> = entries.into_values().map(|entry| entry.path).collect();
    // pages were searched when they were decompressed; the commit log never contains an id
    let own = ["pages", "kept", "log"].map(|folder| Path::new(OWN_FOLDER).join(folder));
    let mut found = Vec::new();
    for path in files(table.out())? {
        let name = path.strip_prefix(table.out()).unwrap_or(&path).to_owned();
        let is_own = own.iter().any(|folder| name.starts_with(folder));
        if known.contains(&name) || is_own || found.len() >= LISTED {
            continue;
        }
        let content = match std::fs::read(&path) {
            // removed by a concurrent run, since a dry run has no lock
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            content => content.map_err(Error::io("read", &path))?,
        };
        if targets.is_in(&content) {
            found.push(name);
        }
    }
    if !found.is_empty() {
        // a concurrent run may have published them meanwhile
        let entries = table.manifest()?.entries;
        let is_known = |name: &PathBuf| entries.values().any(|entry| entry.path == *name);
        found.retain(|name| !is_known(name) && table.out().join(name).exists());
    }
    Ok(found)
}

/// Lists all files below a folder, without following links.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for name in store::names(&folder)? {
            let path = folder.join(name);
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}
