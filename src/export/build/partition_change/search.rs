//! Searches the partitions of an account for records under two dates, and takes the outdated rows out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use rayon::prelude::*;

use super::{MOST_SEEN, Place, Seen};
use crate::changes::PartitionFile;
use crate::commit::Commit;
use crate::dataset::{Dataset, id_hash};
use crate::error::Result;
use crate::export::Options;
use crate::ledger::{Account, Ledger, NewRows};
use crate::spool::Spool;
use crate::table::{DataFile, PartitionKey, Period, Table, Without, Zone};
use crate::window::Windows;

/// Rows of an account of which all are searched.
const MOST_SEARCHED: u64 = 5_000_000;

/// What it takes to search an account's partitions for records under two dates.
pub(super) struct Mover<'a> {
    pub(super) table: &'a Table,
    pub(super) spool: &'a Spool,
    pub(super) zone: &'a Zone,
    pub(super) dataset: Dataset,
    pub(super) bot: &'a str,
    pub(super) keep_pages: bool,
}

/// What was taken out of partitions.
#[derive(Default)]
pub(super) struct TakenOut {
    pub(super) rows: u64,
    pub(super) changed: Vec<(PartitionKey, PartitionFile)>,
    pub(super) withdrawn: Vec<PartitionKey>,
}

/// Does what an earlier run did not reach when it was killed: takes rows out of partitions where it committed their records under another
/// date. Only for the holder of the lock.
pub(in crate::export) fn recover(
    (table, spool, zone): (&Table, &Spool, &Zone),
    ledger: &mut Ledger,
    options: &Options,
) -> Result<()> {
    let mut pending = Vec::new();
    for (dataset, bots) in &ledger.datasets {
        let pends = bots.iter().filter(|(_, account)| account.moves.is_some());
        pending.extend(pends.map(|(bot, _)| (dataset.clone(), bot.clone())));
    }
    for (dataset, bot) in pending {
        let Ok(dataset) = dataset.parse::<Dataset>() else {
            continue;
        };
        let mover = Mover {
            table,
            spool,
            zone,
            dataset,
            bot: &bot,
            keep_pages: options.keep_pages,
        };
        let moved = mover
            .search(ledger, Seen::default(), Windows::new())
            .and_then(|gone| mover.take_out(&gone, ledger));
        match moved {
            Ok(_) => ledger.save(&table.own_folder())?,
            // another run repairs what is damaged
            Err(error) if !(options.datasets.contains(&dataset) && options.bots.contains(&bot)) => {
                tracing::warn!(
                    "cannot search {dataset} of {bot} for records under two dates: {}",
                    error.with_causes()
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Mover<'_> {
    fn key(&self, period: Period) -> PartitionKey {
        PartitionKey {
            dataset: self.dataset,
            bot: self.bot.to_owned(),
            period,
        }
    }

    /// The ids whose rows are to go, by partition: those whose records were seen, or have arrived, under another date.
    /// Large tables are searched in the partitions of `sight` and of what arrived alone.
    pub(super) fn search(
        &self,
        ledger: &Ledger,
        seen: Seen,
        mut sight: Windows,
    ) -> Result<BTreeMap<Period, BTreeSet<String>>> {
        let none = BTreeMap::new();
        let Some(account) = ledger.known(self.dataset.name(), self.bot) else {
            return Ok(none);
        };
        let mut last = Seen::default();
        if let Some(moves) = &account.moves {
            sight.extend(moves.ranges.iter().copied());
            self.arrivals(account, &moves.arrivals, &mut last)?;
        }
        if !seen.is_full {
            last.periods.extend(seen.periods);
        }
        last.settle();
        if last.periods.is_empty() {
            return Ok(none);
        }
        let periods: Vec<Period> = if account.rows <= MOST_SEARCHED {
            account.partitions.keys().copied().collect()
        } else {
            let of_last: BTreeSet<Period> = last.periods.iter().map(|(_, period)| *period).collect();
            let is_in_sight = |period: &Period| {
                let window = self.zone.window(*period);
                of_last.contains(period) || window.is_some_and(|window| !sight.intersect(window).is_empty())
            };
            let periods = account.partitions.keys().copied();
            periods.filter(is_in_sight).collect()
        };
        let is_elsewhere = |period: Period, id: u64| last.period_of(id).is_some_and(|seen| seen != period);
        let moved = periods.par_iter().map(|period| {
            let mut moved = HashSet::new();
            self.each_row(*period, false, |id, _| {
                let id = id_hash(id);
                if is_elsewhere(*period, id) {
                    moved.insert(id);
                }
            })?;
            Ok(moved)
        });
        let moved: HashSet<u64> = moved.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        if moved.is_empty() {
            return Ok(none);
        }
        let mut places: Vec<Place> = Vec::new();
        for period in &periods {
            self.each_row(*period, true, |id, version| {
                if moved.contains(&id_hash(id)) {
                    let (id, period) = (id.to_owned(), *period);
                    places.push(Place { id, period, version });
                }
            })?;
        }
        Ok(last.outdated(places))
    }

    /// Adds the rows that arrived, those that are named last: they are known to be the later ones.
    fn arrivals(
        &self,
        account: &Account,
        arrivals: &BTreeMap<Period, NewRows>,
        last: &mut Seen,
    ) -> Result<()> {
        let is_all = |period: &&Period| matches!(arrivals.get(period), Some(NewRows::All));
        let all: Vec<Period> = account.partitions.keys().filter(is_all).copied().collect();
        let rows = all
            .iter()
            .filter_map(|period| account.partitions.get(period))
            .map(|held| held.rows);
        if rows.sum::<u64>() <= MOST_SEEN as u64 {
            for period in all {
                self.each_row(period, false, |id, _| last.periods.push((id_hash(id), period)))?;
            }
        } else {
            tracing::info!(
                "too many new {} of {} to search for records under two dates: `verify` reports them",
                self.dataset,
                self.bot
            );
        }
        for (period, arrivals) in arrivals {
            if let NewRows::Named(ids) = arrivals {
                last.periods.extend(ids.iter().map(|id| (*id, *period)));
            }
        }
        Ok(())
    }

    /// Takes rows out of partitions. What arrived is compared then.
    pub(super) fn take_out(
        &self,
        gone: &BTreeMap<Period, BTreeSet<String>>,
        ledger: &mut Ledger,
    ) -> Result<TakenOut> {
        let mut out = TakenOut::default();
        let without = gone
            .par_iter()
            .map(|(period, gone)| {
                let key = self.key(*period);
                let ids = |batch: &RecordBatch, row: usize| {
                    let ids = batch.column(self.dataset.id_column()).as_string::<i32>();
                    gone.contains(ids.value(row))
                };
                Ok((key.clone(), self.table.stage_without(&key, ids)?))
            })
            .collect::<Result<Vec<(PartitionKey, Without)>>>()?;
        if ledger.known(self.dataset.name(), self.bot).is_none() {
            return Ok(out);
        }
        let account = ledger.account(self.dataset.name(), self.bot);
        account.moves = None;
        let mut staged = Vec::new();
        for (key, without) in without {
            match without {
                Without::AsItWas => {}
                Without::Less(next, rows) => {
                    out.rows += rows;
                    account.record_partition(key.period, &next.entry);
                    out.changed.push((key, PartitionFile::of(&next.entry)));
                    staged.push(next);
                }
                Without::Nothing(rows) => {
                    out.rows += rows;
                    account.remove_partition(key.period);
                    out.withdrawn.push(key);
                }
            }
        }
        if out.rows == 0 {
            return Ok(out);
        }
        account.superseded += out.rows;
        account.moved += out.rows;
        tracing::info!(
            "{} {} of {} have another date now: the rows under the old one are removed",
            out.rows,
            self.dataset,
            self.bot
        );
        let commit = Commit::new(&staged, ledger.clone(), Vec::new(), self.keep_pages);
        let commit = commit.removing(out.withdrawn.clone());
        commit.execute(self.table, self.spool)?;
        Ok(out)
    }

    /// Calls `row` with the id of each row of a partition, and its version where that is wanted.
    fn each_row(&self, period: Period, versions: bool, row: impl FnMut(&str, Option<i64>)) -> Result<()> {
        match self.table.entry(&self.key(period))? {
            Some(entry) => each_row(&self.table.out().join(&entry.path), self.dataset, versions, row),
            None => Ok(()),
        }
    }
}

/// Calls `row` with the id of each row of a file, and its version where that is wanted.
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
        // the columns come in the order of the file
        let place = |column: usize| columns.iter().filter(|other| **other < column).count();
        let ids = batch.column(place(id)).as_string::<i32>();
        let versions = version.map(|version| {
            let versions = batch.column(place(version));
            versions.as_primitive::<TimestampMicrosecondType>()
        });
        for number in 0..batch.num_rows() {
            let version = versions.filter(|versions| versions.is_valid(number));
            row(ids.value(number), version.map(|versions| versions.value(number)));
        }
    }
    Ok(())
}
