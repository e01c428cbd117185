//! Searches the partitions of a bot for records with two dates, and removes the outdated rows.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use rayon::prelude::*;

use super::{MAX_LOCATIONS, RecordLocations, RowLocation};
use crate::changes::PartitionFile;
use crate::commit::Commit;
use crate::dataset::{Dataset, id_hash};
use crate::error::Result;
use crate::export::Options;
use crate::ledger::{DatasetState, Ledger, NewRows};
use crate::spool::Spool;
use crate::table::{DataFile, PartitionDate, PartitionKey, RowRemoval, Table, Zone};
use crate::window::Windows;

/// Maximum number of rows for a search in all partitions.
const MAX_SEARCHED: u64 = 5_000_000;

/// The context of a search for records with two dates.
pub(super) struct PartitionChangeSearch<'a> {
    pub(super) table: &'a Table,
    pub(super) spool: &'a Spool,
    pub(super) zone: &'a Zone,
    pub(super) dataset: Dataset,
    pub(super) bot: &'a str,
    pub(super) keep_pages: bool,
}

/// Rows that were removed from partitions.
#[derive(Default)]
pub(super) struct RemovedRows {
    pub(super) rows: u64,
    pub(super) changed: Vec<(PartitionKey, PartitionFile)>,
    pub(super) withdrawn: Vec<PartitionKey>,
}

/// Removes the outdated rows of an earlier run that was killed before. Only for the process that has the lock.
pub(in crate::export) fn recover(
    (table, spool, zone): (&Table, &Spool, &Zone),
    ledger: &mut Ledger,
    options: &Options,
) -> Result<()> {
    let mut pending = Vec::new();
    for (dataset, bots) in &ledger.datasets {
        let pends = bots.iter().filter(|(_, state)| state.unchecked_rows.is_some());
        pending.extend(pends.map(|(bot, _)| (dataset.clone(), bot.clone())));
    }
    for (dataset, bot) in pending {
        let Ok(dataset) = dataset.parse::<Dataset>() else {
            continue;
        };
        let search = PartitionChangeSearch {
            table,
            spool,
            zone,
            dataset,
            bot: &bot,
            keep_pages: options.keep_pages,
        };
        let date_changes = search
            .search(ledger, RecordLocations::default(), Windows::new())
            .and_then(|outdated| search.remove_rows(&outdated, ledger));
        match date_changes {
            Ok(_) => ledger.save(&table.own_folder())?,
            // the run that exports the damaged partition repairs it
            Err(error) if !(options.datasets.contains(&dataset) && options.bots.contains(&bot)) => {
                tracing::warn!(
                    "cannot search {dataset} of {bot} for records with two dates: {}",
                    error.with_causes()
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl PartitionChangeSearch<'_> {
    fn key(&self, date: PartitionDate) -> PartitionKey {
        PartitionKey {
            dataset: self.dataset,
            bot: self.bot.to_owned(),
            date,
        }
    }

    /// Returns the ids of outdated rows by partition: those whose records were received, or committed, with another
    /// date. In large tables only the partitions of `searched` and of new rows are searched.
    pub(super) fn search(
        &self,
        ledger: &Ledger,
        locations: RecordLocations,
        mut searched: Windows,
    ) -> Result<BTreeMap<PartitionDate, BTreeSet<String>>> {
        let none = BTreeMap::new();
        let Some(state) = ledger.state(self.dataset.name(), self.bot) else {
            return Ok(none);
        };
        let mut last = RecordLocations::default();
        if let Some(unchecked_rows) = &state.unchecked_rows {
            searched.extend(unchecked_rows.ranges.iter().copied());
            self.new_rows(state, &unchecked_rows.new_rows, &mut last)?;
        }
        if !locations.is_full {
            last.dates.extend(locations.dates);
        }
        last.keep_latest();
        if last.dates.is_empty() {
            return Ok(none);
        }
        let dates: Vec<PartitionDate> = if state.rows <= MAX_SEARCHED {
            state.partitions.keys().copied().collect()
        } else {
            let of_last: BTreeSet<PartitionDate> = last.dates.iter().map(|(_, date)| *date).collect();
            let is_searched = |date: &PartitionDate| {
                let window = self.zone.window(*date);
                of_last.contains(date) || window.is_some_and(|window| !searched.intersect(window).is_empty())
            };
            let dates = state.partitions.keys().copied();
            dates.filter(is_searched).collect()
        };
        let is_elsewhere =
            |date: PartitionDate, id: u64| last.date_of_folder(id).is_some_and(|location| location != date);
        let date_changes = dates.par_iter().map(|date| {
            let mut date_changes = HashSet::new();
            self.each_row(*date, false, |id, _| {
                let id = id_hash(id);
                if is_elsewhere(*date, id) {
                    date_changes.insert(id);
                }
            })?;
            Ok(date_changes)
        });
        let date_changes: HashSet<u64> = date_changes
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        if date_changes.is_empty() {
            return Ok(none);
        }
        let mut row_locations: Vec<RowLocation> = Vec::new();
        for date in &dates {
            self.each_row(*date, true, |id, version| {
                if date_changes.contains(&id_hash(id)) {
                    let (id, date) = (id.to_owned(), *date);
                    row_locations.push(RowLocation { id, date, version });
                }
            })?;
        }
        Ok(last.outdated(row_locations))
    }

    /// Adds the new rows in the ledger. Those with ids come last, since they are known to be later.
    fn new_rows(
        &self,
        state: &DatasetState,
        new_rows: &BTreeMap<PartitionDate, NewRows>,
        last: &mut RecordLocations,
    ) -> Result<()> {
        let is_all = |date: &&PartitionDate| matches!(new_rows.get(date), Some(NewRows::All));
        let all: Vec<PartitionDate> = state.partitions.keys().filter(is_all).copied().collect();
        let rows = all
            .iter()
            .filter_map(|date| state.partitions.get(date))
            .map(|metadata| metadata.rows);
        if rows.sum::<u64>() <= MAX_LOCATIONS as u64 {
            for date in all {
                self.each_row(date, false, |id, _| last.dates.push((id_hash(id), date)))?;
            }
        } else {
            tracing::info!(
                "too many new {} of {} to search for records with two dates: `verify` reports them",
                self.dataset,
                self.bot
            );
        }
        for (date, new_rows) in new_rows {
            if let NewRows::Named(ids) = new_rows {
                last.dates.extend(ids.iter().map(|id| (*id, *date)));
            }
        }
        Ok(())
    }

    /// Removes rows from partitions. All new rows are compared then.
    pub(super) fn remove_rows(
        &self,
        outdated: &BTreeMap<PartitionDate, BTreeSet<String>>,
        ledger: &mut Ledger,
    ) -> Result<RemovedRows> {
        let mut out = RemovedRows::default();
        let excluding = outdated
            .par_iter()
            .map(|(date, outdated)| {
                let key = self.key(*date);
                let ids = |batch: &RecordBatch, row: usize| {
                    let ids = batch.column(self.dataset.id_column()).as_string::<i32>();
                    outdated.contains(ids.value(row))
                };
                Ok((key.clone(), self.table.stage_removal(&key, ids)?))
            })
            .collect::<Result<Vec<(PartitionKey, RowRemoval)>>>()?;
        if ledger.state(self.dataset.name(), self.bot).is_none() {
            return Ok(out);
        }
        let state = ledger.state_mut(self.dataset.name(), self.bot);
        state.unchecked_rows = None;
        let mut staged = Vec::new();
        for (key, excluding) in excluding {
            match excluding {
                RowRemoval::Unchanged => {}
                RowRemoval::Rewritten(next, rows) => {
                    out.rows += rows;
                    state.record_partition(key.date, &next.entry);
                    out.changed.push((key, PartitionFile::of(&next.entry)));
                    staged.push(next);
                }
                RowRemoval::Emptied(rows) => {
                    out.rows += rows;
                    state.remove_partition(key.date);
                    out.withdrawn.push(key);
                }
            }
        }
        if out.rows == 0 {
            return Ok(out);
        }
        state.superseded += out.rows;
        state.date_changes += out.rows;
        tracing::info!(
            "{} {} of {} have another date: the rows with the old date are removed",
            out.rows,
            self.dataset,
            self.bot
        );
        let commit = Commit::new(&staged, Vec::new(), self.keep_pages);
        let commit = commit.removing(out.withdrawn.clone());
        commit.execute(self.table, self.spool, ledger)?;
        Ok(out)
    }

    /// Calls `row` with the id of each row of a partition, and its version if `versions` is true.
    fn each_row(
        &self,
        date: PartitionDate,
        versions: bool,
        row: impl FnMut(&str, Option<i64>),
    ) -> Result<()> {
        match self.table.entry(&self.key(date))? {
            Some(entry) => each_row(&self.table.out().join(&entry.path), self.dataset, versions, row),
            None => Ok(()),
        }
    }
}

/// Calls `row` with the id of each row of a file, and its version if `versions` is true.
pub(super) fn each_row(
    path: &Path,
    dataset: Dataset,
    versions: bool,
    mut row: impl FnMut(&str, Option<i64>),
) -> Result<()> {
    let id = dataset.id_column();
    let version = dataset.version_column().filter(|_| versions);
    let columns: Vec<usize> = [id].into_iter().chain(version).collect();
    for batch in DataFile::open(path)?.batches(Some(&columns))? {
        let batch = batch?;
        // columns are in the order of the file
        let position = |column: usize| columns.iter().filter(|other| **other < column).count();
        let ids = batch.column(position(id)).as_string::<i32>();
        let versions = version.map(|version| {
            let versions = batch.column(position(version));
            versions.as_primitive::<TimestampMicrosecondType>()
        });
        for number in 0..batch.num_rows() {
            let version = versions.filter(|versions| versions.is_valid(number));
            row(ids.value(number), version.map(|versions| versions.value(number)));
        }
    }
    Ok(())
}
