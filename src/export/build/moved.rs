//! Records whose corrected time moves them to another date: the row under the old date goes, where a run that looks
//! back sees both.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use rayon::prelude::*;

use super::Build;
use crate::changes::Changed;
use crate::commit::Commit;
use crate::dataset::id_hash;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::spool::PageHeader;
use crate::table::{Footer, PartitionKey, Period, Without};
use crate::window::Windows;

/// Records of which a run remembers the partition: 16 bytes each. Where it meets more, `verify` tells what has moved.
const MOST_SEEN: usize = 4_000_000;

/// Where records lie by the API's last word, by the hash of their id.
#[derive(Debug, Default)]
pub(super) struct Seen {
    periods: Vec<(u64, Period)>,
    is_full: bool,
}

impl Seen {
    fn take(&mut self, records: impl Iterator<Item = (u64, Period)>) {
        if !self.is_full {
            self.periods.extend(records);
            self.is_full = self.periods.len() > MOST_SEEN;
        }
    }

    /// One partition for each id: the last one that it was answered with.
    fn settle(&mut self) {
        self.periods.reverse();
        self.periods.sort_by_key(|(id, _)| *id);
        self.periods.dedup_by_key(|(id, _)| *id);
    }

    fn period_of(&self, id: u64) -> Option<Period> {
        let at = self.periods.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.periods[at].1)
    }
}

/// A row that shares its id with one of another date.
struct Place {
    id: String,
    period: Period,
    version: Option<i64>,
}

impl Build<'_> {
    /// What is looked back into, where this run looks back.
    fn behind(&self, ledger: &Ledger) -> Option<Windows> {
        let account = ledger.known(self.dataset.name(), &self.bot)?;
        let run = account.sync.as_ref()?.under_way.as_ref()?;
        Some(run.behind.ranges.clone()).filter(|ranges| !ranges.is_empty())
    }

    /// Remembers where the records of a page lie.
    pub(super) fn see(&mut self, header: &PageHeader, places: Vec<(u64, Period)>, ledger: &Ledger) {
        if self.job.regards(header) && self.behind(ledger).is_some() {
            self.seen.take(places.into_iter());
        }
    }

    /// Takes rows out of partitions where the API has answered their records with another date, unless the version
    /// there is the later one, which then stays alone.
    pub(super) fn mend_moved(&mut self, ledger: &mut Ledger) -> Result<()> {
        let Some(mut sight) = self.behind(ledger) else {
            return Ok(());
        };
        if self.seen.is_full {
            tracing::warn!(
                "too much was looked back into to see what has moved to another date: `verify` tells"
            );
            return Ok(());
        }
        self.seen.settle();
        sight.extend(self.job.missing.iter().copied());
        let mut periods: BTreeSet<Period> = self.seen.periods.iter().map(|(_, period)| *period).collect();
        let account = ledger.account(self.dataset.name(), &self.bot);
        let is_in_sight = |period: &&Period| {
            let period = self.zone.window(**period);
            period.is_some_and(|period| !sight.intersect(period).is_empty())
        };
        periods.extend(account.partitions.keys().filter(is_in_sight));
        let periods: Vec<Period> = periods
            .into_iter()
            .filter(|period| account.partitions.contains_key(period))
            .collect();
        let elsewhere = |period: Period, id: u64| self.seen.period_of(id).is_some_and(|seen| seen != period);
        let mut moved = BTreeSet::new();
        for period in &periods {
            self.each_row(*period, false, |id, _| {
                if elsewhere(*period, id_hash(id)) {
                    moved.insert(id_hash(id));
                }
            })?;
        }
        if moved.is_empty() {
            return Ok(());
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
        let gone = self.outdated(places);
        self.take_out(&gone, ledger)
    }

    /// The ids that are to go, by partition.
    fn outdated(&self, places: Vec<Place>) -> BTreeMap<Period, BTreeSet<String>> {
        let mut of_id: HashMap<String, Vec<(Period, Option<i64>)>> = HashMap::new();
        for place in places {
            of_id
                .entry(place.id)
                .or_default()
                .push((place.period, place.version));
        }
        let mut gone: BTreeMap<Period, BTreeSet<String>> = BTreeMap::new();
        for (id, mut places) in of_id {
            let seen = self.seen.period_of(id_hash(&id));
            // of the same version the one that was answered last stays
            places.sort_by_key(|(period, version)| (*version, Some(*period) == seen));
            places.pop();
            for (period, _) in places {
                gone.entry(period).or_default().insert(id.clone());
            }
        }
        gone
    }

    fn take_out(&mut self, gone: &BTreeMap<Period, BTreeSet<String>>, ledger: &mut Ledger) -> Result<()> {
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
        let account = ledger.account(self.dataset.name(), &self.bot);
        let (mut staged, mut withdrawn, mut moved) = (Vec::new(), Vec::new(), 0);
        for (key, without) in without {
            match without {
                Without::AsItWas => {}
                Without::Less(next, rows) => {
                    moved += rows;
                    account.hold(key.period, &next.entry);
                    self.tally.changed.insert(key, Changed::of(&next.entry));
                    staged.push(next);
                }
                Without::Nothing(rows) => {
                    moved += rows;
                    account.withdraw(key.period);
                    self.tally.changed.remove(&key);
                    withdrawn.push(key);
                }
            }
        }
        account.superseded += moved;
        account.moved += moved;
        self.tally.moved += moved;
        // a record that came with another date counted as a new row of this run
        let new = moved.min(self.tally.effect.rows);
        self.tally.effect.rows -= new;
        self.tally.effect.superseded += new;
        tracing::info!("{moved} {} of {} moved to another date", self.dataset, self.bot);
        let commit = Commit::new(&staged, ledger.clone(), Vec::new(), self.keep_pages);
        commit.withdrawing(withdrawn).carry_out(self.table, self.spool)
    }

    /// Tells the id of each row of a partition, and its version where that is wanted.
    fn each_row(
        &self,
        period: Period,
        versions: bool,
        mut told: impl FnMut(&str, Option<i64>),
    ) -> Result<()> {
        let Some(entry) = self.table.entry(&self.key(period))? else {
            return Ok(());
        };
        let id = self.dataset.id_column();
        let version = self.dataset.version_column().filter(|_| versions);
        let columns: Vec<usize> = [id].into_iter().chain(version).collect();
        for batch in Footer::open(&self.table.out().join(&entry.path))?.batches(Some(&columns))? {
            let batch = batch?;
            // the columns come in the order of the file
            let place = |column: usize| columns.iter().filter(|other| **other < column).count();
            let ids = batch.column(place(id)).as_string::<i32>();
            let versions = version.map(|version| {
                let versions = batch.column(place(version));
                versions.as_primitive::<TimestampMicrosecondType>()
            });
            for row in 0..batch.num_rows() {
                let version = versions.filter(|versions| versions.is_valid(row));
                told(ids.value(row), version.map(|versions| versions.value(row)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::PartitionBy;

    #[test]
    fn the_last_answer_tells_where_a_record_lies() {
        let period = |number| Period::of(PartitionBy::Day, jiff::civil::date(2023, 10, number));
        let mut seen = Seen::default();
        seen.take([(7, period(1)), (3, period(1)), (7, period(2))].into_iter());
        seen.take([(3, period(4))].into_iter());
        seen.settle();
        assert_eq!(
            [3, 7, 9].map(|id| seen.period_of(id)),
            [Some(period(4)), Some(period(2)), None]
        );
    }
}
