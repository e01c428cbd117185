//! A day with more records than may be in memory at a time, built in slices of its time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use rayon::prelude::*;

use super::{Build, DecodedPage, GROUP_RECORDS};
use crate::dataset::{Rejected, peek};
use crate::error::{Error, Result};
use crate::table::{Day, RowRef, Staged};

/// The most records of a slice where small ones would make pages be decoded again and again.
const LARGEST_SLICE: u64 = 8 * GROUP_RECORDS;

/// The first and the last time (microseconds) of a page's records in a day.
struct Span {
    page: u64,
    first: i64,
    last: i64,
}

/// What a page holds of a slice.
struct Piece {
    page: u64,
    batch: RecordBatch,
    count: u32,
    rejected: Vec<Rejected>,
    outside: u64,
}

impl Span {
    /// Whether the page may hold records from `begin` on and before `end`.
    fn is_in(&self, begin: i64, end: i64) -> bool {
        self.first < end && self.last >= begin
    }
}

impl Build<'_> {
    /// Stages a day's next version, and says how many of its records lay outside the range. `None` where it can
    /// only be built as a whole: records without a time have no order, and one that has changed its time may
    /// have to be compared with itself across slices.
    pub(super) fn stage_in_slices(
        &mut self,
        day: Day,
        pages: &BTreeSet<u64>,
    ) -> Result<Option<(Staged, u64)>> {
        if day == Day(None) {
            return Ok(None);
        }
        let key = self.key(day);
        let (spans, mut seconds) = self.spans(day, pages)?;
        self.table
            .each_time(&key, |time| *seconds.entry(second(time)).or_default() += 1)?;
        let ends = few_ends(&spans, seconds);
        let mut slices = self.table.slices(&key)?;
        let wanted = BTreeMap::from([(day, pages.clone())]);
        let begins = std::iter::once(i64::MIN).chain(ends.iter().copied());
        let parts: Vec<Range<i64>> = begins.zip(&ends).map(|(begin, end)| begin..*end).collect();
        let decode = |part: Option<&Range<i64>>| {
            let part = part.cloned().unwrap_or(0..0);
            let met = spans.par_iter().filter(|span| span.is_in(part.start, part.end));
            met.map(|span| {
                let page = self.decode(span.page, &wanted)?;
                let (batch, count) = self.slice(&page, day, part.clone())?;
                Ok(Piece {
                    page: span.page,
                    batch,
                    count,
                    rejected: page.rejected,
                    outside: page.outside,
                })
            })
            .collect::<Result<Vec<Piece>>>()
        };
        let (mut counted, mut outside) = (BTreeSet::new(), 0);
        let mut rejected = Vec::new();
        let mut next = decode(parts.first())?;
        for (number, part) in parts.iter().enumerate() {
            let (mut batches, mut rows) = (Vec::new(), Vec::new());
            for (batch, piece) in (0..).zip(next) {
                // a page may be part of several slices
                if counted.insert(piece.page) {
                    outside += piece.outside;
                    rejected.extend(piece.rejected);
                }
                batches.push(piece.batch);
                rows.extend((0..piece.count).map(|row| RowRef { batch, row }));
            }
            // one core writes while the others decode
            let (added, decoded) = rayon::join(
                || slices.add(part.end, &batches, &rows),
                || decode(parts.get(number + 1)),
            );
            if !added? {
                return Ok(None);
            }
            next = decoded?;
        }
        self.rejected.keep(&rejected)?;
        Ok(Some((slices.finish()?, outside)))
    }

    /// Which part of the day each page holds, and how many records each second of the day has.
    fn spans(&self, day: Day, pages: &BTreeSet<u64>) -> Result<(Vec<Span>, HashMap<i64, u64>)> {
        let pages: Vec<u64> = pages.iter().copied().collect();
        let seconds = Mutex::new(HashMap::new());
        let spans = pages
            .par_iter()
            .map(|page| {
                let peek = peek(self.dataset, &self.spool.read(*page)?)
                    .map_err(|error| Error::Internal(format!("page {page}: {error}")))?;
                let mut days = self.zone.days();
                let records = peek.records.iter().filter(|record| !record.rejected);
                let in_day = records.filter(|record| days.of(record.time) == day);
                let times: Vec<i64> = in_day.filter_map(|record| record.time).collect();
                let mut seconds = seconds.lock().unwrap_or_else(PoisonError::into_inner);
                for time in &times {
                    *seconds.entry(second(*time)).or_default() += 1;
                }
                Ok(times
                    .iter()
                    .min()
                    .zip(times.iter().max())
                    .map(|(first, last)| Span {
                        page: *page,
                        first: *first,
                        last: *last,
                    }))
            })
            .collect::<Result<Vec<Option<Span>>>>()?;
        let seconds = seconds.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((spans.into_iter().flatten().collect(), seconds))
    }

    /// A page's rows within a part of the day, and how many they are.
    fn slice(&self, page: &DecodedPage, day: Day, part: Range<i64>) -> Result<(RecordBatch, u32)> {
        let times = page.batch.column(self.dataset.time_column());
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let rows = page.rows.get(&day).map_or(&[][..], Vec::as_slice);
        let within = |row: &&u32| part.contains(&times.value(**row as usize));
        let places: UInt32Array = rows.iter().filter(within).copied().collect::<Vec<_>>().into();
        let count = u32::try_from(places.len()).map_err(|error| Error::Internal(error.to_string()))?;
        Ok((take_record_batch(&page.batch, &places)?, count))
    }
}

fn second(time: i64) -> i64 {
    time.div_euclid(1_000_000)
}

/// Where slices end. Each page is decoded for every slice that it has records of: where records come in no order
/// that is all of them, so there slices are larger and fewer.
fn few_ends(spans: &[Span], seconds: HashMap<i64, u64>) -> Vec<i64> {
    let mut seconds: Vec<(i64, u64)> = seconds.into_iter().collect();
    seconds.sort_unstable();
    let mut most = GROUP_RECORDS;
    loop {
        let ends = ends(&seconds, most);
        let begins = std::iter::once(i64::MIN).chain(ends.iter().copied());
        let met = |(begin, end): (i64, &i64)| spans.iter().filter(|span| span.is_in(begin, *end)).count();
        let decoded: usize = begins.zip(&ends).map(met).sum();
        if decoded <= 2 * spans.len() || most >= LARGEST_SLICE {
            return ends;
        }
        most *= 2;
    }
}

/// Where slices end (microseconds), so that none holds more than so many records, but for a single second that does.
fn ends(seconds: &[(i64, u64)], most: u64) -> Vec<i64> {
    let (mut ends, mut held) = (Vec::new(), 0);
    for &(second, count) in seconds {
        if held > 0 && held + count > most {
            ends.push(second * 1_000_000);
            held = 0;
        }
        held += count;
    }
    ends.push(i64::MAX);
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_6_no_slice_holds_more_than_it_may_unless_a_second_does() {
        let most = 100;
        let seconds = [(5, 99), (6, 1), (9, 1), (10, 300), (12, 50), (13, 1)];
        assert_eq!(
            ends(&seconds, most),
            [9_000_000, 10_000_000, 12_000_000, i64::MAX]
        );
        assert_eq!(ends(&[], most), [i64::MAX]);
    }

    #[test]
    fn pages_in_no_order_are_decoded_for_few_slices() {
        let seconds: HashMap<i64, u64> = (0..400).map(|second| (second, 1_000)).collect();
        let page = |page: u64, first: u64, last: u64| Span {
            page,
            first: i64::try_from(first).unwrap() * 1_000_000,
            last: i64::try_from(last).unwrap() * 1_000_000,
        };
        let ordered: Vec<Span> = (0..400).map(|number| page(number, number, number)).collect();
        let least = usize::try_from(400_000_u64.div_ceil(GROUP_RECORDS)).unwrap();
        assert_eq!(few_ends(&ordered, seconds.clone()).len(), least);
        let mixed: Vec<Span> = (0..400).map(|number| page(number, 0, 399)).collect();
        let few = few_ends(&mixed, seconds).len();
        assert!(few <= 3, "{few}");
    }
}
