//! Counts what an erasure would remove.

use arrow::array::AsArray;
use rayon::prelude::*;

use super::partitions::column;
use super::{EraseSummary, Targets, other_files, pages};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::rejected;
use crate::spool::Spool;
use crate::table::{Entry, PartitionKey, Table};

/// Counts rows, records in pages and rejected records of the targets. Changes nothing.
pub(super) fn count(
    table: &Table,
    spool: &Spool,
    ledger: &Ledger,
    targets: &Targets<'_>,
) -> Result<EraseSummary> {
    let mut summary = EraseSummary::default();
    let entries = table.manifest()?.into_entries(table.out())?;
    for dataset in Dataset::ALL {
        for bot in table.bots(dataset)? {
            for date in table.dates(dataset, &bot)? {
                let bot = bot.clone();
                let key = PartitionKey { dataset, bot, date };
                if !entries.contains_key(&key) && table.has_file(&key)? {
                    return Err(Error::Damaged {
                        path: table.out().join(key.folder()),
                        what: "it has no entry".into(),
                    });
                }
            }
        }
    }
    let found = entries
        .par_iter()
        .map(|(key, entry)| Ok((key, entry, rows(table, key, entry, targets)?)))
        .collect::<Result<Vec<_>>>()?;
    for (key, entry, rows) in found.into_iter().filter(|(.., rows)| *rows > 0) {
        *summary.rows.entry(key.dataset.name()).or_default() += rows;
        match rows < entry.rows {
            true => summary.partitions_changed += 1,
            false => summary.partitions_removed += 1,
        }
    }
    for (is_retained, headers) in [(false, spool.list()?.0), (true, spool.list_retained()?.0)] {
        for header in headers {
            let Ok(dataset) = header.dataset.parse::<Dataset>() else {
                continue;
            };
            if let Some(id) = &header.conversation {
                // a page of one conversation; this marks the id as found
                targets.contains(id);
            }
            let body = match pages::read(spool, &header, is_retained) {
                Err(error) if error.is_not_found() || matches!(error, Error::Damaged { .. }) => continue,
                body => body?,
            };
            if let Ok(Some((_, removed))) = pages::strip(dataset, &body, targets) {
                summary.records_in_pages += removed;
            }
        }
    }
    for (dataset, bots) in &ledger.datasets {
        for bot in bots.keys() {
            let is_target = |record: &str| targets.is_named_in(record);
            summary.rejected += rejected::count(&table.own_folder(), dataset, bot, is_target)?;
        }
    }
    summary.damaged_files = other_files::count_quarantined(table)?;
    Ok(summary)
}

/// Counts the rows of the targets in a partition.
fn rows(table: &Table, key: &PartitionKey, entry: &Entry, targets: &Targets<'_>) -> Result<u64> {
    let column = column(key.dataset)?;
    let Some(file) = table.open_current(key, entry)? else {
        return Ok(0);
    };
    let mut rows = 0;
    for batch in file.batches(Some(&[column]))? {
        let batch = batch?;
        let ids = batch.column(0).as_string::<i32>().iter().flatten();
        rows += ids.filter(|id| targets.contains(id)).count() as u64;
    }
    Ok(rows)
}
