//! Migrates a table to the state that this version of the program expects, before a run changes it.

use std::path::Path;

use super::{RebuildOptions, exchange, rebuild_locked};
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::ledger::Ledger;
use crate::table::{Entry, OWN_FOLDER, PartitionKey, Settings, Table, Zone};

/// Completes an interrupted rebuild, renames folders of an earlier version, and stores the rules of the table's time
/// zone if there are none yet. Only for the process that has the lock.
///
/// # Errors
/// If a file operation fails.
pub fn finish(out: &Path) -> Result<()> {
    finish_rebuild(out)?;
    match Settings::load(&out.join(OWN_FOLDER))? {
        Some(settings) if settings.timezone_rules.is_none() => save_zone_rules(out, settings),
        _ => Ok(()),
    }
}

/// Returns the settings of the table in `out`, after an interrupted rebuild if there is one; `None` if there is no
/// table. Writes nothing.
///
/// # Errors
/// If they cannot be read.
pub fn settings(out: &Path) -> Result<Option<Settings>> {
    if !out.is_dir() {
        return Ok(None);
    }
    match exchange::interrupted(out)? {
        Some(settings) => Ok(Some(settings)),
        None => Settings::load(&out.join(OWN_FOLDER)),
    }
}

/// Stores the current rules of the time zone in a table that has none. If rows have other dates by these rules, the
/// table is rebuilt.
fn save_zone_rules(out: &Path, settings: Settings) -> Result<()> {
    let kept = settings.clone().with_rules()?;
    if kept.timezone_rules.is_none() {
        return Ok(());
    }
    let table = Table::open(out)?;
    let Some(key) = misplaced(&table, &kept.zone()?)? else {
        return kept.save(&table.own_folder());
    };
    tracing::warn!(
        "the rules of {} have changed since {} was written: the table is rebuilt with the current rules",
        settings.timezone,
        key.folder().display()
    );
    let cancellation = CancellationToken::new();
    match rebuild_locked(out, settings, &RebuildOptions::default(), &cancellation, false) {
        Err(error @ Error::Damaged { .. }) => {
            // this run repairs the damage, and the next one rebuilds
            tracing::warn!("cannot rebuild yet: {}", error.with_causes());
            Ok(())
        }
        rebuilt => rebuilt.map(|_| ()),
    }
}

/// Returns a partition with rows of another date by the rules of this time zone.
fn misplaced(table: &Table, zone: &Zone) -> Result<Option<PartitionKey>> {
    let is_misplaced = |(key, entry): &(PartitionKey, Entry)| {
        let mut times = [entry.first, entry.last].into_iter().flatten();
        let window = zone.window(key.date);
        window.is_some_and(|window| times.any(|time| !window.contains(super::partitions::floor(time))))
    };
    let commit = Ledger::load(&table.own_folder())
        .ok()
        .and_then(|ledger| ledger.last_publication());
    let staged = commit.into_iter().flat_map(|commit| commit.partitions);
    let all = table.manifest()?.entries.into_iter().chain(staged);
    Ok(all.into_iter().find(is_misplaced).map(|(key, _)| key))
}

/// Completes an interrupted rebuild and renames folders, without storing rules. Returns whether there was an
/// interrupted rebuild.
pub(super) fn finish_rebuild(out: &Path) -> Result<bool> {
    let was_interrupted = exchange::finish(out)?;
    if Settings::load(&out.join(OWN_FOLDER))?.is_some() {
        rename_januaries(&Table::open(out)?)?;
    }
    Ok(was_interrupted)
}

fn rename_januaries(table: &Table) -> Result<()> {
    table.rename_staged_januaries()?;
    let found = table.unnamed_januaries()?;
    if found.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        partitions = found.len(),
        "renaming Januaries whose folders lack the month"
    );
    let own = table.own_folder();
    // a ledger that cannot be read is not this function's concern
    if let Ok(mut ledger) = Ledger::load_to_write(&own) {
        let mut is_changed = false;
        for key in &found {
            if ledger.state(key.dataset.name(), &key.bot).is_some() {
                let state = ledger.state_mut(key.dataset.name(), &key.bot);
                is_changed |= state.changed.insert(key.date);
            }
        }
        if is_changed {
            ledger.save(&own)?;
        }
    }
    found.iter().try_for_each(|key| table.rename_january(key))
}
