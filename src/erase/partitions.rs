//! Removes rows of erased conversations: each partition with such rows is written again without them.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use rayon::prelude::*;

use super::{EraseSummary, Targets};
use crate::commit::Commit;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::ledger::{DatasetState, Ledger};
use crate::spool::Spool;
use crate::table::{DataFile, Entry, PartitionKey, RowRemoval, Table};

/// Number of partitions per commit. It bounds the disk space of partitions that exist twice.
const PER_COMMIT: usize = 64;

/// Removes the rows of the targets. Damaged partitions are reported after all others are done.
pub(super) fn erase(
    table: &Table,
    spool: &Spool,
    ledger: &mut Ledger,
    targets: &Targets<'_>,
    summary: &mut EraseSummary,
) -> Result<()> {
    let affected = |(key, verified): (PartitionKey, Result<Entry>)| match verified {
        Ok(entry) => contains_targets(table, &key, &entry, targets).map(|contains| contains.then_some(key)),
        Err(error) => Err(error),
    };
    let results: Vec<_> = verify(table, ledger)?.into_par_iter().map(affected).collect();
    let (mut affected, mut damage) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(key) => affected.extend(key),
            Err(error @ (Error::Damaged { .. } | Error::Parquet { .. })) => {
                damage.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    for keys in affected.chunks(PER_COMMIT) {
        let without = keys
            .par_iter()
            .map(|key| {
                let column = column(key.dataset)?;
                let is_target = |batch: &RecordBatch, row: usize| {
                    let ids = batch.column(column).as_string::<i32>();
                    ids.is_valid(row) && targets.contains(ids.value(row))
                };
                table.stage_removal(key, is_target)
            })
            .collect::<Result<Vec<RowRemoval>>>()?;
        commit(table, spool, ledger, keys.iter().zip(without), summary)?;
    }
    damage.map_or(Ok(()), Err)
}

/// Verifies every partition with a file, an entry or a record in the ledger; returns its entry, or the damage.
pub(super) fn verify(table: &Table, ledger: &Ledger) -> Result<Vec<(PartitionKey, Result<Entry>)>> {
    let (unknown, mut keys) = (DatasetState::default(), BTreeSet::new());
    for dataset in Dataset::ALL {
        let mut bots = table.bots(dataset)?;
        let known = ledger.datasets.get(dataset.name()).into_iter();
        bots.extend(known.flat_map(BTreeMap::keys).cloned());
        for bot in bots {
            let mut dates = table.dates(dataset, &bot)?;
            let state = ledger.state(dataset.name(), &bot);
            dates.extend(state.iter().flat_map(|state| state.partitions.keys()));
            keys.extend(dates.into_iter().map(|date| PartitionKey {
                dataset,
                bot: bot.clone(),
                date,
            }));
        }
    }
    let verify = |key: PartitionKey| {
        let state = ledger.state(key.dataset.name(), &key.bot);
        match state.unwrap_or(&unknown).verify_partition(table, &key) {
            Ok(None) => None,
            Ok(Some(entry)) => Some(Ok((key, Ok(entry)))),
            Err(error @ (Error::Damaged { .. } | Error::Parquet { .. })) => Some(Ok((key, Err(error)))),
            Err(error) => Some(Err(error)),
        }
    };
    keys.into_par_iter().filter_map(verify).collect()
}

/// Returns the column of conversation ids.
pub(super) fn column(dataset: Dataset) -> Result<usize> {
    let column = dataset.conversation_column();
    column.ok_or_else(|| Error::Internal(format!("{dataset} have no column of conversation ids")))
}

/// Whether a partition contains a row of a target.
fn contains_targets(table: &Table, key: &PartitionKey, entry: &Entry, targets: &Targets<'_>) -> Result<bool> {
    let column = column(key.dataset)?;
    for batch in DataFile::open(&table.out().join(&entry.path))?.batches(Some(&[column]))? {
        let batch = batch?;
        let mut ids = batch.column(0).as_string::<i32>().iter().flatten();
        if ids.any(|id| targets.contains(id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Commits partitions that were written without the targets.
fn commit<'a>(
    table: &Table,
    spool: &Spool,
    ledger: &mut Ledger,
    without: impl Iterator<Item = (&'a PartitionKey, RowRemoval)>,
    summary: &mut EraseSummary,
) -> Result<()> {
    let (mut staged, mut emptied) = (Vec::new(), Vec::new());
    let mut removed: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (key, without) in without {
        let state = ledger.state_mut(key.dataset.name(), &key.bot);
        let is_known = state.partitions.contains_key(&key.date);
        let (rows, left) = match without {
            RowRemoval::Unchanged => continue,
            RowRemoval::Rewritten(next, rows) => {
                state.record_partition(key.date, &next.entry);
                summary.partitions_changed += 1;
                let left = next.entry.rows;
                staged.push(next);
                (rows, left)
            }
            RowRemoval::Emptied(rows) => {
                state.remove_partition(key.date);
                summary.partitions_removed += 1;
                emptied.push(key.clone());
                (rows, 0)
            }
        };
        if !is_known {
            // the ledger did not contain the partition
            state.received += rows + left;
        }
        state.erased += rows;
        *removed.entry(key.dataset.name()).or_default() += rows;
    }
    Commit::new(&staged, Vec::new(), false)
        .removing(emptied)
        .execute(table, spool, ledger)?;
    for (dataset, rows) in removed {
        *summary.rows.entry(dataset).or_default() += rows;
    }
    Ok(())
}
