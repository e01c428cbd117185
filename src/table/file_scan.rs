//! Reads some columns of many data files on all cores, for catalogues and reports.

use arrow::array::TimestampMicrosecondArray;
use rayon::prelude::*;

use super::{DataFile, Entry, PartitionKey, Table};
use crate::error::Result;
use crate::window::Window;

/// Files that are read at a time: they bound the memory, whatever the range.
const FILES: usize = 64;

/// Which rows count: those whose time is in a range; without a range all, also those without a time. Each row that
/// counts gives what `map` makes of its time in microseconds.
pub(crate) fn times_in<T>(
    times: &TimestampMicrosecondArray,
    range: Option<Window>,
    mut map: impl FnMut(i64) -> Option<T>,
) -> Vec<Option<Option<T>>> {
    let counts = |time: Option<i64>| {
        range.is_none_or(|range| time.is_some_and(|time| range.contains(time.div_euclid(1_000_000))))
    };
    times
        .iter()
        .map(|time| counts(time).then(|| time.and_then(&mut map)))
        .collect()
}

impl Entry {
    /// Whether a partition may have rows with a time in a range; always without a range.
    pub(crate) fn may_lie_in(&self, range: Option<Window>) -> bool {
        range.is_none_or(|range| match (self.first, self.last) {
            (Some(first), Some(last)) => first.as_second() < range.end && last.as_second() >= range.start,
            _ => false,
        })
    }
}

impl Table {
    /// Makes something of the file of each of these partitions, on all cores, and gives it to `take` in their order.
    /// A partition that a run has removed meanwhile gives nothing.
    ///
    /// # Errors
    /// The first of opening a file or of `make`.
    pub(crate) fn each_file<T: Send>(
        &self,
        partitions: &[(&PartitionKey, &Entry)],
        make: impl Fn(DataFile) -> Result<T> + Sync,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        for partitions in partitions.chunks(FILES) {
            let made = partitions
                .par_iter()
                .with_max_len(1)
                .map(|(key, entry)| self.open_current(key, entry)?.map(&make).transpose())
                .collect::<Result<Vec<_>>>()?;
            made.into_iter().flatten().for_each(&mut take);
        }
        Ok(())
    }
}
