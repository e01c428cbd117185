//! Rows of erased conversations: every partition that has some gets a next version without them.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use rayon::prelude::*;

use super::{Erased, Goes};
use crate::commit::Commit;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::spool::Spool;
use crate::table::{Entry, Footer, PartitionKey, Table, Without};

/// Partitions that are written anew before they are committed: what bounds the room that they take twice.
const AT_A_TIME: usize = 64;

pub(super) fn erase(
    table: &Table,
    spool: &Spool,
    ledger: &mut Ledger,
    goes: &Goes<'_>,
    erased: &mut Erased,
) -> Result<()> {
    let manifest = table.manifest()?;
    if let Some((path, what)) = manifest.unreadable.into_iter().next() {
        let path = table.out().join(path);
        return Err(Error::Damaged { path, what });
    }
    let touched = manifest
        .entries
        .into_par_iter()
        .map(|(key, entry)| Ok(holds_some(table, &key, &entry, goes)?.then_some(key)))
        .collect::<Result<Vec<_>>>()?;
    let touched: Vec<PartitionKey> = touched.into_iter().flatten().collect();
    for some in touched.chunks(AT_A_TIME) {
        let without = some
            .par_iter()
            .map(|key| {
                let column = column(key.dataset)?;
                let is_gone = |batch: &RecordBatch, row: usize| {
                    let ids = batch.column(column).as_string::<i32>();
                    ids.is_valid(row) && goes.has(ids.value(row))
                };
                table.stage_without(key, is_gone)
            })
            .collect::<Result<Vec<Without>>>()?;
        commit(table, spool, ledger, some.iter().zip(without), erased)?;
    }
    Ok(())
}

pub(super) fn column(dataset: Dataset) -> Result<usize> {
    let column = dataset.conversation_column();
    column.ok_or_else(|| Error::Internal(format!("{dataset} name no conversation")))
}

/// Whether a partition holds a row that is to go.
fn holds_some(table: &Table, key: &PartitionKey, entry: &Entry, goes: &Goes<'_>) -> Result<bool> {
    let column = column(key.dataset)?;
    for batch in Footer::open(&table.out().join(&entry.path))?.batches(Some(&[column]))? {
        let batch = batch?;
        let mut ids = batch.column(0).as_string::<i32>().iter().flatten();
        if ids.any(|id| goes.has(id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn commit<'a>(
    table: &Table,
    spool: &Spool,
    ledger: &mut Ledger,
    without: impl Iterator<Item = (&'a PartitionKey, Without)>,
    erased: &mut Erased,
) -> Result<()> {
    let (mut staged, mut withdrawn) = (Vec::new(), Vec::new());
    let mut gone: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (key, without) in without {
        let account = ledger.account(key.dataset.name(), &key.bot);
        let is_known = account.partitions.contains_key(&key.period);
        let (rows, left) = match without {
            Without::AsItWas => continue,
            Without::Less(next, rows) => {
                account.hold(key.period, &next.entry);
                erased.partitions_changed += 1;
                let left = next.entry.rows;
                staged.push(next);
                (rows, left)
            }
            Without::Nothing(rows) => {
                account.withdraw(key.period);
                erased.partitions_removed += 1;
                withdrawn.push(key.clone());
                (rows, 0)
            }
        };
        if !is_known {
            // it stood there, and only the ledger did not know of it
            account.received += rows + left;
        }
        account.erased += rows;
        *gone.entry(key.dataset.name()).or_default() += rows;
    }
    Commit::new(&staged, ledger.clone(), Vec::new(), false)
        .withdrawing(withdrawn)
        .carry_out(table, spool)?;
    for (dataset, rows) in gone {
        *erased.rows.entry(dataset).or_default() += rows;
    }
    Ok(())
}
