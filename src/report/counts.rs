//! How often each of many values came, in memory that has a bound.

use std::cmp::Reverse;

use hashbrown::HashMap;
use serde::Serialize;

/// Values that are told apart, and their bytes; whoever writes to a chatbot may send another one each time.
const VALUES: usize = 10_000;
const VALUE_BYTES: usize = 4 << 20;

/// A growing count.
#[derive(Debug, Default)]
pub(super) struct DimensionCounts {
    counts: HashMap<String, u64>,
    bytes: usize,
    others: u64,
    missing: u64,
}

/// How often the most frequent values came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ranking {
    /// The most frequent values, the most frequent first.
    pub values: Vec<(String, u64)>,
    /// All other values together.
    pub others: u64,
    /// Rows without a value.
    pub missing: u64,
}

impl DimensionCounts {
    pub(super) fn add(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.add_times(value, 1),
            None => self.missing += 1,
        }
    }

    fn add_times(&mut self, value: &str, times: u64) {
        if let Some(count) = self.counts.get_mut(value) {
            *count += times;
        } else if self.counts.len() < VALUES && self.bytes + value.len() <= VALUE_BYTES {
            self.bytes += value.len();
            self.counts.insert(value.to_owned(), times);
        } else {
            self.others += times;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.others += other.others;
        self.missing += other.missing;
        // in an order of their own, so that what there is room for is no matter of chance
        let mut values: Vec<_> = other.counts.into_iter().collect();
        values.sort_unstable();
        for (value, times) in values {
            self.add_times(&value, times);
        }
    }

    /// The most frequent `top` values.
    pub(super) fn ranking(self, top: usize) -> Ranking {
        let mut values: Vec<_> = self.counts.into_iter().collect();
        values.sort_unstable_by(|one, other| (Reverse(one.1), &one.0).cmp(&(Reverse(other.1), &other.0)));
        let rest = values.split_off(top.min(values.len()));
        Ranking {
            values,
            others: self.others + rest.iter().map(|(_, count)| count).sum::<u64>(),
            missing: self.missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_come_first_and_the_rest_is_one() {
        let mut counts = DimensionCounts::default();
        for value in ["b", "a", "c", "b", "d"] {
            counts.add(Some(value));
        }
        counts.add(None);
        let mut more = DimensionCounts::default();
        more.add(Some("d"));
        more.add(None);
        counts.merge(more);
        let ranking = counts.ranking(3);
        assert_eq!(
            ranking.values,
            [("b".into(), 2), ("d".into(), 2), ("a".into(), 1)]
        );
        assert_eq!((ranking.others, ranking.missing), (1, 2));
    }

    #[test]
    fn values_without_end_do_not_fill_the_memory() {
        let mut counts = DimensionCounts::default();
        for value in 0..VALUES + 5 {
            counts.add(Some(&value.to_string()));
        }
        counts.add(Some("0"));
        counts.add(Some(&"x".repeat(VALUE_BYTES)));
        let ranking = counts.ranking(1);
        assert_eq!(ranking.values, [("0".into(), 2)]);
        assert_eq!(ranking.others, VALUES as u64 - 1 + 6);
    }
}
