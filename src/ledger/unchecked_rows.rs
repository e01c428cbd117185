//! New rows that are not compared with other partitions yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DatasetState;
use crate::table::PartitionDate;
use crate::window::Windows;

/// Maximum number of new rows, per dataset and bot, that are stored by id.
const MAX_NAMED: usize = 20_000;

/// New rows that are not compared with other partitions yet. A record whose date changed has an old row in another
/// partition. The ledger stores them until the comparison, so that the next run continues after a kill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncheckedRows {
    /// The ranges that the run fetches.
    pub ranges: Windows,
    /// The new rows, by partition.
    #[serde(rename = "arrivals")]
    pub new_rows: BTreeMap<PartitionDate, NewRows>,
}

/// Which rows of a partition are new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewRows {
    /// All rows may be new.
    All,
    /// Rows whose ids have these hashes, in the order of their commits.
    Named(Vec<u64>),
}

impl DatasetState {
    /// Adds new rows of a partition, before they are committed.
    pub fn add_new_rows(&mut self, date: PartitionDate, ranges: &Windows, new_rows: NewRows) {
        let unchecked_rows = self.unchecked_rows.get_or_insert_default();
        unchecked_rows.ranges.extend(ranges.iter().copied());
        let named = |new_rows: &NewRows| match new_rows {
            NewRows::All => 0,
            NewRows::Named(ids) => ids.len(),
        };
        let all: usize = unchecked_rows.new_rows.values().map(named).sum();
        let known = unchecked_rows.new_rows.remove(&date);
        let new_rows = match (known, new_rows) {
            (known, new_rows) if all + named(&new_rows) > MAX_NAMED => {
                drop(known);
                NewRows::All
            }
            (Some(NewRows::Named(mut known)), NewRows::Named(more)) => {
                known.extend(more);
                NewRows::Named(known)
            }
            (None, new_rows) => new_rows,
            (Some(_), _) => NewRows::All,
        };
        unchecked_rows.new_rows.insert(date, new_rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::PartitionBy;
    use crate::window::Window;

    #[test]
    fn new_rows_are_stored_by_id_up_to_a_bound() {
        let date = |day| PartitionDate::of(PartitionBy::Day, jiff::civil::date(2023, 10, day));
        let ranges: Windows = [Window::new(0, 9)].into_iter().collect();
        let mut state = DatasetState::default();
        let new_rows =
            |state: &DatasetState, day| state.unchecked_rows.as_ref().unwrap().new_rows[&date(day)].clone();
        state.add_new_rows(date(1), &ranges, NewRows::Named(vec![1, u64::MAX]));
        state.add_new_rows(date(1), &ranges, NewRows::Named(vec![3]));
        state.add_new_rows(date(2), &ranges, NewRows::All);
        assert_eq!(new_rows(&state, 1), NewRows::Named(vec![1, u64::MAX, 3]));
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<DatasetState>(&json).unwrap(), state);
        state.add_new_rows(date(3), &ranges, NewRows::Named(vec![7; MAX_NAMED]));
        state.add_new_rows(date(2), &ranges, NewRows::Named(vec![4]));
        state.add_new_rows(date(1), &ranges, NewRows::All);
        for day in 1..=3 {
            assert_eq!(new_rows(&state, day), NewRows::All, "{day}");
        }
    }
}
