//! Records whose corrected time moves them to another date: the row under the old date goes, where a run sees the record
//! under the new one.

mod search;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Build;
use crate::dataset::id_hash;
use crate::error::Result;
use crate::ledger::{Account, Ledger, NewRows};
use crate::spool::PageHeader;
use crate::store;
use crate::table::{Period, Staged};
use crate::window::Windows;
pub(in crate::export) use search::recover;
use search::{Mover, each_row};

/// Records of which a run remembers the partition: 16 bytes each. `verify` reports what is missed beyond them.
const MOST_SEEN: usize = 4_000_000;
/// New rows of a partition that are distinguished from those that it had before.
const MOST_COMPARED: u64 = 20_000;
/// Where records lie by the API's last word, by the hash of their id.
#[derive(Debug, Default)]
pub(super) struct Seen {
    periods: Vec<(u64, Period)>,
    is_full: bool,
    /// Whether the account had no rows when this run began to build.
    is_first: Option<bool>,
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

    /// Of rows that share ids, those that are to go, by partition.
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
            let seen = self.period_of(id_hash(&id));
            // of the same version the one that was answered last stays
            places.sort_by_key(|(period, version)| (*version, Some(*period) == seen));
            places.pop();
            for (period, _) in places {
                gone.entry(period).or_default().insert(id.clone());
            }
        }
        gone
    }
}

/// A row that shares its id with one of another date.
struct Place {
    id: String,
    period: Period,
    version: Option<i64>,
}

impl Build<'_> {
    /// The complete time that this run reads again.
    fn reread(&self, ledger: &Ledger) -> Windows {
        let account = ledger.known(self.dataset.name(), &self.bot);
        let refetches = account.into_iter().flat_map(Account::refetches);
        refetches
            .flat_map(|refetch| refetch.ranges.iter().copied())
            .collect()
    }

    /// Remembers where the records of a page lie.
    pub(super) fn see(&mut self, header: &PageHeader, places: Vec<(u64, Period)>, ledger: &Ledger) {
        if self.job.regards(header) && !self.reread(ledger).is_empty() {
            self.seen.take(places.into_iter());
        }
    }

    /// Takes note in the ledger of rows that partitions get for the first time, to be committed with them. A record that
    /// was under another date is among them. Nothing is noted in the first run of an account.
    pub(super) fn note_arrivals(&mut self, staged: &[Staged], ledger: &mut Ledger) -> Result<()> {
        let account = ledger.account(self.dataset.name(), &self.bot);
        let is_first = account.partitions.is_empty();
        if *self.seen.is_first.get_or_insert(is_first) {
            return Ok(());
        }
        for staged in staged.iter().filter(|staged| staged.effect.rows > 0) {
            let arrivals = match self.table.entry(&staged.key)? {
                Some(before) if staged.effect.rows <= MOST_COMPARED => {
                    let mut known = HashSet::new();
                    each_row(
                        &self.table.out().join(&before.path),
                        self.dataset,
                        false,
                        |id, _| {
                            known.insert(id_hash(id));
                        },
                    )?;
                    let mut new = Vec::new();
                    each_row(&self.table.staged_path(staged), self.dataset, false, |id, _| {
                        let id = id_hash(id);
                        if !known.contains(&id) {
                            new.push(id);
                        }
                    })?;
                    NewRows::Named(new)
                }
                _ => NewRows::All,
            };
            account.add_new_rows(staged.key.period, &self.job.missing, arrivals);
        }
        Ok(())
    }

    /// Takes rows out of partitions where the API has answered their records with another date, unless the version
    /// there is the later one, which then stays alone.
    pub(super) fn mend_moved(&mut self, ledger: &mut Ledger) -> Result<()> {
        store::step("pages-built");
        let mut sight = self.reread(ledger);
        sight.extend(self.job.missing.iter().copied());
        let mover = Mover {
            table: self.table,
            spool: self.spool,
            zone: self.zone,
            dataset: self.dataset,
            bot: &self.bot,
            keep_pages: self.keep_pages,
        };
        let gone = mover.search(ledger, std::mem::take(&mut self.seen), sight)?;
        let out = mover.take_out(&gone, ledger)?;
        self.stats.changed.extend(out.changed);
        for key in out.withdrawn {
            self.stats.changed.remove(&key);
        }
        self.stats.moved += out.rows;
        // a record that came with another date counted as a new row of this run
        let new = out.rows.min(self.stats.effect.rows);
        self.stats.effect.rows -= new;
        self.stats.effect.superseded += new;
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
