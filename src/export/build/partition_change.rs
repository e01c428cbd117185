//! Handles records whose date changed because of a corrected time: if a run receives the record with the new date,
//! the row with the old date is removed.

mod search;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Build;
use crate::dataset::id_hash;
use crate::error::Result;
use crate::ledger::{DatasetState, Ledger, NewRows};
use crate::spool::PageHeader;
use crate::store;
use crate::table::{PartitionDate, Staged};
use crate::window::Windows;
pub(in crate::export) use search::recover;
use search::{PartitionChangeSearch, each_row};

/// Maximum number of records whose locations are in memory, with 16 bytes each. `verify` reports what is missed
/// beyond them.
const MAX_LOCATIONS: usize = 4_000_000;
/// Maximum number of new rows of a partition that are compared with its previous rows.
const MAX_COMPARED: u64 = 20_000;
/// The latest partition of each record, by the hash of its id.
#[derive(Debug, Default)]
pub(super) struct RecordLocations {
    dates: Vec<(u64, PartitionDate)>,
    is_full: bool,
    /// Whether the dataset of the bot had no rows when this run began to build.
    is_first: Option<bool>,
}

impl RecordLocations {
    fn add(&mut self, records: impl Iterator<Item = (u64, PartitionDate)>) {
        if !self.is_full {
            self.dates.extend(records);
            self.is_full = self.dates.len() > MAX_LOCATIONS;
        }
    }

    /// Keeps one partition for each id: the latest one.
    fn keep_latest(&mut self) {
        self.dates.reverse();
        self.dates.sort_by_key(|(id, _)| *id);
        self.dates.dedup_by_key(|(id, _)| *id);
    }

    fn date_of_folder(&self, id: u64) -> Option<PartitionDate> {
        let at = self.dates.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.dates[at].1)
    }

    /// Returns the outdated rows among rows that share ids, by partition.
    fn outdated(&self, row_locations: Vec<RowLocation>) -> BTreeMap<PartitionDate, BTreeSet<String>> {
        let mut of_id: HashMap<String, Vec<(PartitionDate, Option<i64>)>> = HashMap::new();
        for row_location in row_locations {
            of_id
                .entry(row_location.id)
                .or_default()
                .push((row_location.date, row_location.version));
        }
        let mut outdated: BTreeMap<PartitionDate, BTreeSet<String>> = BTreeMap::new();
        for (id, mut row_locations) in of_id {
            let latest = self.date_of_folder(id_hash(&id));
            // of equal versions, the latest response wins
            row_locations.sort_by_key(|(date, version)| (*version, Some(*date) == latest));
            row_locations.pop();
            for (date, _) in row_locations {
                outdated.entry(date).or_default().insert(id.clone());
            }
        }
        outdated
    }
}

/// A row that shares its id with a row of another date.
struct RowLocation {
    id: String,
    date: PartitionDate,
    version: Option<i64>,
}

impl Build<'_> {
    /// Returns the complete time that this run refetches.
    fn refetched(&self, ledger: &Ledger) -> Windows {
        let state = ledger.state(self.dataset.name(), &self.bot);
        let refetches = state.into_iter().flat_map(DatasetState::refetches);
        refetches
            .flat_map(|refetch| refetch.ranges.iter().copied())
            .collect()
    }

    /// Adds the locations of a page's records.
    pub(super) fn record_locations(
        &mut self,
        header: &PageHeader,
        row_locations: Vec<(u64, PartitionDate)>,
        ledger: &Ledger,
    ) {
        if self.job.is_current(header) && !self.refetched(ledger).is_empty() {
            self.locations.add(row_locations.into_iter());
        }
    }

    /// Adds the new rows of partitions to the ledger, to be committed with them. They include records whose date
    /// changed. The first run of a dataset of a bot adds none.
    pub(super) fn record_new_rows(&mut self, staged: &[Staged], ledger: &mut Ledger) -> Result<()> {
        let state = ledger.state_mut(self.dataset.name(), &self.bot);
        let is_first = state.partitions.is_empty();
        if *self.locations.is_first.get_or_insert(is_first) {
            return Ok(());
        }
        for staged in staged.iter().filter(|staged| staged.effect.rows > 0) {
            let new_rows = match self.table.entry(&staged.key)? {
                Some(before) if staged.effect.rows <= MAX_COMPARED => {
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
            state.add_new_rows(staged.key.date, &self.job.missing, new_rows);
        }
        Ok(())
    }

    /// Removes rows from partitions if the API returned their records with another date. The row with the latest
    /// version is kept.
    pub(super) fn remove_outdated_rows(&mut self, ledger: &mut Ledger) -> Result<()> {
        store::step("pages-built");
        let mut searched = self.refetched(ledger);
        searched.extend(self.job.missing.iter().copied());
        let search = PartitionChangeSearch {
            table: self.table,
            spool: self.spool,
            zone: self.zone,
            dataset: self.dataset,
            bot: &self.bot,
            keep_pages: self.keep_pages,
        };
        let outdated = search.search(ledger, std::mem::take(&mut self.locations), searched)?;
        let out = search.remove_rows(&outdated, ledger)?;
        self.stats.changed.extend(out.changed);
        for key in out.withdrawn {
            self.stats.changed.remove(&key);
        }
        self.stats.date_changes += out.rows;
        // such a record was counted as a new row of this run
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
        let date = |number| PartitionDate::of(PartitionBy::Day, jiff::civil::date(2023, 10, number));
        let mut locations = RecordLocations::default();
        locations.add([(7, date(1)), (3, date(1)), (7, date(2))].into_iter());
        locations.add([(3, date(4))].into_iter());
        locations.keep_latest();
        assert_eq!(
            [3, 7, 9].map(|id| locations.date_of_folder(id)),
            [Some(date(4)), Some(date(2)), None]
        );
    }
}
