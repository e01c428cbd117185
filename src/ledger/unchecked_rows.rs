//! New rows that are not compared with other partitions yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Account;
use crate::table::Period;
use crate::window::Windows;

/// Maximum number of new rows of an account that are stored by id.
const MAX_NAMED: usize = 20_000;

/// New rows that are not compared with other partitions yet. A record whose date changed has an old row in another
/// partition. The ledger stores them until the comparison, so that the next run continues after a kill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncheckedRows {
    /// The ranges that the run fetches.
    pub ranges: Windows,
    /// The new rows, by partition.
    pub arrivals: BTreeMap<Period, NewRows>,
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

impl Account {
    /// Adds new rows of a partition, before they are committed.
    pub fn add_new_rows(&mut self, period: Period, ranges: &Windows, arrivals: NewRows) {
        let moves = self.moves.get_or_insert_default();
        moves.ranges.extend(ranges.iter().copied());
        let named = |arrivals: &NewRows| match arrivals {
            NewRows::All => 0,
            NewRows::Named(ids) => ids.len(),
        };
        let all: usize = moves.arrivals.values().map(named).sum();
        let known = moves.arrivals.remove(&period);
        let arrivals = match (known, arrivals) {
            (known, arrivals) if all + named(&arrivals) > MAX_NAMED => {
                drop(known);
                NewRows::All
            }
            (Some(NewRows::Named(mut known)), NewRows::Named(more)) => {
                known.extend(more);
                NewRows::Named(known)
            }
            (None, arrivals) => arrivals,
            (Some(_), _) => NewRows::All,
        };
        moves.arrivals.insert(period, arrivals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::PartitionBy;
    use crate::window::Window;

    #[test]
    fn new_rows_are_stored_by_id_up_to_a_bound() {
        let period = |day| Period::of(PartitionBy::Day, jiff::civil::date(2023, 10, day));
        let ranges: Windows = [Window::new(0, 9)].into_iter().collect();
        let mut account = Account::default();
        let arrivals =
            |account: &Account, day| account.moves.as_ref().unwrap().arrivals[&period(day)].clone();
        account.add_new_rows(period(1), &ranges, NewRows::Named(vec![1, u64::MAX]));
        account.add_new_rows(period(1), &ranges, NewRows::Named(vec![3]));
        account.add_new_rows(period(2), &ranges, NewRows::All);
        assert_eq!(arrivals(&account, 1), NewRows::Named(vec![1, u64::MAX, 3]));
        let json = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&json).unwrap(), account);
        account.add_new_rows(period(3), &ranges, NewRows::Named(vec![7; MAX_NAMED]));
        account.add_new_rows(period(2), &ranges, NewRows::Named(vec![4]));
        account.add_new_rows(period(1), &ranges, NewRows::All);
        for day in 1..=3 {
            assert_eq!(arrivals(&account, day), NewRows::All, "{day}");
        }
    }
}
