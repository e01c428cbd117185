//! Rows of erased conversations: every partition that has some gets a next version without them.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use rayon::prelude::*;

use super::{EraseSummary, Targets};
use crate::commit::Commit;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::ledger::{Account, Ledger};
use crate::spool::Spool;
use crate::table::{Entry, Footer, PartitionKey, Table, Without};

/// Partitions that are written anew before they are committed: what bounds the room that they take twice.
const AT_A_TIME: usize = 64;

pub(super) fn erase(
    table: &Table,
    spool: &Spool,
    ledger: &mut Ledger,
    targets: &Targets<'_>,
    erased: &mut EraseSummary,
) -> Result<()> {
    let holds_some = |(key, proven): (PartitionKey, Result<Entry>)| match proven {
        Ok(entry) => holds_some(table, &key, &entry, targets).map(|holds| holds.then_some(key)),
        Err(error) => Err(error),
    };
    let looks: Vec<_> = prove(table, ledger)?.into_par_iter().map(holds_some).collect();
    let (mut touched, mut damage) = (Vec::new(), None);
    for look in looks {
        match look {
            Ok(key) => touched.extend(key),
            // what can be erased is, before the damage is reported
            Err(error @ (Error::Damaged { .. } | Error::Parquet { .. })) => {
                damage.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    for some in touched.chunks(AT_A_TIME) {
        let without = some
            .par_iter()
            .map(|key| {
                let column = column(key.dataset)?;
                let is_gone = |batch: &RecordBatch, row: usize| {
                    let ids = batch.column(column).as_string::<i32>();
                    ids.is_valid(row) && targets.has(ids.value(row))
                };
                table.stage_without(key, is_gone)
            })
            .collect::<Result<Vec<Without>>>()?;
        commit(table, spool, ledger, some.iter().zip(without), erased)?;
    }
    damage.map_or(Ok(()), Err)
}

/// Every partition of which there is a file, an entry or a record in the ledger: its entry, where its file was read whole
/// and is what was written, or the damage.
pub(super) fn prove(table: &Table, ledger: &Ledger) -> Result<Vec<(PartitionKey, Result<Entry>)>> {
    let (unknown, mut keys) = (Account::default(), BTreeSet::new());
    for dataset in Dataset::ALL {
        let mut bots = table.bots(dataset)?;
        let known = ledger.datasets.get(dataset.name()).into_iter();
        bots.extend(known.flat_map(BTreeMap::keys).cloned());
        for bot in bots {
            let mut periods = table.periods(dataset, &bot)?;
            let account = ledger.known(dataset.name(), &bot);
            periods.extend(account.iter().flat_map(|account| account.partitions.keys()));
            keys.extend(periods.into_iter().map(|period| PartitionKey {
                dataset,
                bot: bot.clone(),
                period,
            }));
        }
    }
    let prove = |key: PartitionKey| {
        let account = ledger.known(key.dataset.name(), &key.bot);
        match account.unwrap_or(&unknown).verify_partition(table, &key) {
            Ok(None) => None,
            Ok(Some(entry)) => Some(Ok((key, Ok(entry)))),
            Err(error @ (Error::Damaged { .. } | Error::Parquet { .. })) => Some(Ok((key, Err(error)))),
            Err(error) => Some(Err(error)),
        }
    };
    keys.into_par_iter().filter_map(prove).collect()
}

pub(super) fn column(dataset: Dataset) -> Result<usize> {
    let column = dataset.conversation_column();
    column.ok_or_else(|| Error::Internal(format!("{dataset} name no conversation")))
}

/// Whether a partition holds a row that is to go.
fn holds_some(table: &Table, key: &PartitionKey, entry: &Entry, targets: &Targets<'_>) -> Result<bool> {
    let column = column(key.dataset)?;
    for batch in Footer::open(&table.out().join(&entry.path))?.batches(Some(&[column]))? {
        let batch = batch?;
        let mut ids = batch.column(0).as_string::<i32>().iter().flatten();
        if ids.any(|id| targets.has(id)) {
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
    erased: &mut EraseSummary,
) -> Result<()> {
    let (mut staged, mut withdrawn) = (Vec::new(), Vec::new());
    let mut gone: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (key, without) in without {
        let account = ledger.account(key.dataset.name(), &key.bot);
        let is_known = account.partitions.contains_key(&key.period);
        let (rows, left) = match without {
            Without::AsItWas => continue,
            Without::Less(next, rows) => {
                account.record_partition(key.period, &next.entry);
                erased.partitions_changed += 1;
                let left = next.entry.rows;
                staged.push(next);
                (rows, left)
            }
            Without::Nothing(rows) => {
                account.remove_partition(key.period);
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
        .execute(table, spool)?;
    for (dataset, rows) in gone {
        *erased.rows.entry(dataset).or_default() += rows;
    }
    Ok(())
}
