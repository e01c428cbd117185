//! New rows that were not compared yet with those of other partitions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Account;
use crate::table::Period;
use crate::window::Windows;

/// New rows of an account that are named one by one.
const MOST_NAMED: usize = 20_000;

/// New rows that were not compared yet with those of other partitions: a record whose time was corrected has a row there,
/// too. It is part of the ledger until that is done, so that a run that is killed leaves it to the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    /// The time that the run was asked to fetch.
    pub ranges: Windows,
    /// The new rows, by partition.
    pub arrivals: BTreeMap<Period, Arrivals>,
}

/// Which rows of a partition are new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// All of them may be.
    All,
    /// Those whose ids have these hashes, in the order in which they were committed.
    Named(Vec<u64>),
}

impl Account {
    /// Takes note of new rows of a partition, before they are committed.
    pub fn arrive(&mut self, period: Period, ranges: &Windows, arrivals: Arrivals) {
        let moves = self.moves.get_or_insert_default();
        moves.ranges.extend(ranges.iter().copied());
        let named = |arrivals: &Arrivals| match arrivals {
            Arrivals::All => 0,
            Arrivals::Named(ids) => ids.len(),
        };
        let all: usize = moves.arrivals.values().map(named).sum();
        let known = moves.arrivals.remove(&period);
        let arrivals = match (known, arrivals) {
            (known, arrivals) if all + named(&arrivals) > MOST_NAMED => {
                drop(known);
                Arrivals::All
            }
            (Some(Arrivals::Named(mut known)), Arrivals::Named(more)) => {
                known.extend(more);
                Arrivals::Named(known)
            }
            (None, arrivals) => arrivals,
            (Some(_), _) => Arrivals::All,
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
    fn new_rows_are_named_up_to_a_bound() {
        let period = |day| Period::of(PartitionBy::Day, jiff::civil::date(2023, 10, day));
        let ranges: Windows = [Window::new(0, 9)].into_iter().collect();
        let mut account = Account::default();
        let arrivals =
            |account: &Account, day| account.moves.as_ref().unwrap().arrivals[&period(day)].clone();
        account.arrive(period(1), &ranges, Arrivals::Named(vec![1, u64::MAX]));
        account.arrive(period(1), &ranges, Arrivals::Named(vec![3]));
        account.arrive(period(2), &ranges, Arrivals::All);
        assert_eq!(arrivals(&account, 1), Arrivals::Named(vec![1, u64::MAX, 3]));
        let json = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&json).unwrap(), account);
        account.arrive(period(3), &ranges, Arrivals::Named(vec![7; MOST_NAMED]));
        account.arrive(period(2), &ranges, Arrivals::Named(vec![4]));
        account.arrive(period(1), &ranges, Arrivals::All);
        for day in 1..=3 {
            assert_eq!(arrivals(&account, day), Arrivals::All, "{day}");
        }
    }
}
