//! A partition with more records than may be in memory at a time, built in slices of its time: the earlier ones while the
//! later are still fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use rayon::prelude::*;

use super::{Build, DecodedPage, FEW_RECORDS, GROUP_RECORDS, Met, PeriodPages};
use crate::dataset::Rejected;
use crate::error::{Error, Result};
use crate::export::arrived::{QUARTER, Span};
use crate::plan::Field;
use crate::table::{Period, RowRef, Slices, Staged};
use crate::window::Window;

/// The most records of a slice where small ones would make pages be decoded again and again.
const LARGEST_SLICE: u64 = 8 * GROUP_RECORDS;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// What a page holds of a slice.
struct Piece {
    page: u64,
    batch: RecordBatch,
    count: u32,
    rejected: Vec<Rejected>,
    met: Met,
}

/// A partition whose next version is made already, up to a moment.
pub(super) struct Begun<'a> {
    pub(super) period: Period,
    /// Never locked: it lets others read the rest of a build while it is held.
    slices: Mutex<Slices<'a>>,
    /// Rows before it (microseconds) are written.
    pub(super) end: i64,
    /// How many rows the partition holds in each quarter of an hour.
    held: BTreeMap<i64, u64>,
    /// Pages of which `rejected` and `met` know.
    counted: BTreeSet<u64>,
    rejected: Vec<Rejected>,
    met: Met,
    /// False where a record came in two slices: its partition can only be built as a whole.
    fits: bool,
}

impl<'a> Build<'a> {
    /// Stages a partition's next version, and says what was met in its records. `None` where it can
    /// only be built as a whole: records without a time have no order, and one that has changed its time may
    /// have to be compared with itself across slices.
    pub(super) fn stage_in_slices(
        &mut self,
        period: Period,
        waiting: &PeriodPages,
    ) -> Result<Option<(Staged, Met)>> {
        if period.first().is_none() {
            return Ok(None);
        }
        let mut begun = self.begun(period)?;
        if begun.fits {
            self.grow(&mut begun, waiting, i64::MAX)?;
        }
        if !begun.fits {
            return Ok(None);
        }
        self.rejected.keep(&begun.rejected)?;
        let slices = begun.slices.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Some((slices.finish()?, begun.met)))
    }

    /// A large partition, and the moment (microseconds) up to which enough of it is read to go on with building it.
    pub(super) fn growing(&self) -> Option<(Period, i64)> {
        // an earlier record may come with each later window of last actions
        if !self.grows || self.progress.learned.filter == Some(Field::LastAction) {
            return None;
        }
        let (period, end) = match &self.begun {
            Some(begun) if !begun.fits => return None,
            Some(begun) => (begun.period, begun.end),
            None => {
                let is_large = |(_, pages): &(&Period, &PeriodPages)| pages.records > 2 * FEW_RECORDS;
                (*self.waiting.iter().find(is_large)?.0, i64::MIN)
            }
        };
        let waiting = self.waiting.get(&period)?;
        let window = self.zone.window(period)?;
        let mut missing = self.ranges.intersect(window);
        missing.subtract_all(&self.progress.read);
        let until = missing
            .iter()
            .next()
            .map_or(window.end, |Window { start, .. }| *start - 1)
            * SECOND;
        let quarters = end.div_euclid(QUARTER)..until.div_euclid(QUARTER).max(end.div_euclid(QUARTER));
        let records: u64 = waiting.quarters.range(quarters).map(|(_, count)| count).sum();
        (records >= FEW_RECORDS).then_some((period, until))
    }

    /// Whether a part of a partition's next version is made already.
    pub(super) fn is_begun(&self, period: Period) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.period == period)
    }

    /// Goes on with a large partition as far as it is read.
    pub(super) fn grow_begun(&mut self) -> Result<()> {
        let Some((period, until)) = self.growing() else {
            return Ok(());
        };
        let Some(waiting) = self.waiting.remove(&period) else {
            return Ok(());
        };
        let mut begun = self.begun(period)?;
        tracing::debug!(%period, "building a partition while its rest is fetched");
        let grown = self.grow(&mut begun, &waiting, until);
        self.waiting.insert(period, waiting);
        self.begun = Some(begun);
        grown
    }

    /// What is made of a partition so far.
    fn begun(&mut self, period: Period) -> Result<Begun<'a>> {
        if let Some(begun) = self.begun.take_if(|begun| begun.period == period) {
            return Ok(begun);
        }
        let key = self.key(period);
        let mut held = BTreeMap::new();
        self.table.each_time(&key, |time| {
            *held.entry(time.div_euclid(QUARTER)).or_default() += 1
        })?;
        Ok(Begun {
            period,
            slices: Mutex::new(self.table.slices(&key)?),
            end: i64::MIN,
            held,
            counted: BTreeSet::new(),
            rejected: Vec::new(),
            met: Met::default(),
            fits: true,
        })
    }

    /// Takes in all rows of the partition before `until`.
    fn grow(&self, begun: &mut Begun<'a>, waiting: &PeriodPages, until: i64) -> Result<()> {
        let mut quarters = begun.held.clone();
        for (quarter, count) in &waiting.quarters {
            *quarters.entry(*quarter).or_default() += count;
        }
        quarters.retain(|quarter, _| (quarter + 1) * QUARTER > begun.end && quarter * QUARTER < until);
        let spans = waiting.pages.iter();
        let spans: Vec<(u64, Span)> = spans
            .filter_map(|(page, span)| Some((*page, (*span)?)))
            .filter(|(_, span)| span.meets(begun.end, until))
            .collect();
        let mut ends = few_ends(&spans, &quarters);
        ends.retain(|end| (begun.end + 1..until).contains(end));
        ends.push(until);
        let wanted = BTreeMap::from([(begun.period, waiting.pages.keys().copied().collect())]);
        let begins = std::iter::once(begun.end).chain(ends.iter().copied());
        let parts: Vec<Range<i64>> = begins.zip(&ends).map(|(begin, end)| begin..*end).collect();
        let period = begun.period;
        let decode = |part: &Range<i64>| {
            let met = spans
                .par_iter()
                .filter(|(_, span)| span.meets(part.start, part.end));
            met.map(|(number, _)| {
                let page = self.decode(*number, &wanted)?;
                let (batch, count) = self.slice(&page, period, part.clone())?;
                Ok(Piece {
                    page: *number,
                    batch,
                    count,
                    rejected: page.rejected,
                    met: page.met,
                })
            })
            .collect::<Result<Vec<Piece>>>()
        };
        let Slices { merging, writing, .. } = begun.slices.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (counted, met, rejected) = (&mut begun.counted, &mut begun.met, &mut begun.rejected);
        let mut merge = |part: Option<&Range<i64>>| {
            let Some(part) = part else {
                return Ok(None);
            };
            let (mut batches, mut rows) = (Vec::new(), Vec::new());
            for (batch, piece) in (0..).zip(decode(part)?) {
                // a page may be part of several slices
                if counted.insert(piece.page) {
                    *met += piece.met;
                    rejected.extend(piece.rejected);
                }
                batches.push(piece.batch);
                rows.extend((0..piece.count).map(|row| RowRef { batch, row }));
            }
            merging.slice(part.end, &batches, &rows)
        };
        let mut next = merge(parts.first())?;
        for (number, part) in parts.iter().enumerate() {
            let Some(slice) = next else {
                begun.fits = false;
                break;
            };
            // one core writes while others make the next slice
            let (written, made) = rayon::join(|| writing.write(&slice), || merge(parts.get(number + 1)));
            written?;
            begun.end = part.end;
            next = made?;
            self.forget_written(&spans, part);
        }
        Ok(())
    }

    /// Lets go of pages that end in a part which is written, and are of no other partition.
    fn forget_written(&self, spans: &[(u64, Span)], part: &Range<i64>) {
        let ends = |(_, span): &&(u64, Span)| part.contains(&span.last);
        for (page, _) in spans.iter().filter(ends) {
            let others = self.pending.get(page).map_or(0, |pending| pending.periods.len());
            if others <= 1 {
                self.at_hand.forget(*page);
            }
        }
    }

    /// A page's rows within a part of the partition, and how many they are.
    fn slice(&self, page: &DecodedPage, period: Period, part: Range<i64>) -> Result<(RecordBatch, u32)> {
        let times = page.batch.column(self.dataset.time_column());
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let rows = page.rows.get(&period).map_or(&[][..], Vec::as_slice);
        let within = |row: &&u32| part.contains(&times.value(**row as usize));
        let places: UInt32Array = rows.iter().filter(within).copied().collect::<Vec<_>>().into();
        let count = u32::try_from(places.len()).map_err(|error| Error::Internal(error.to_string()))?;
        if places.len() == page.batch.num_rows() {
            return Ok((page.batch.clone(), count));
        }
        Ok((take_record_batch(&page.batch, &places)?, count))
    }
}

/// Where slices end. Each page is decoded for every slice that it has records of: where records come in no order
/// that is all of them, so there slices are larger and fewer.
fn few_ends(spans: &[(u64, Span)], quarters: &BTreeMap<i64, u64>) -> Vec<i64> {
    let mut most = GROUP_RECORDS;
    loop {
        let ends = ends(quarters, most);
        let begins = std::iter::once(i64::MIN).chain(ends.iter().copied());
        let met =
            |(begin, end): (i64, &i64)| spans.iter().filter(|(_, span)| span.meets(begin, *end)).count();
        let decoded: usize = begins.zip(&ends).map(met).sum();
        if decoded <= 2 * spans.len() || most >= LARGEST_SLICE {
            return ends;
        }
        most *= 2;
    }
}

/// Where slices end (microseconds, at whole seconds), so that none holds more than so many records where those of
/// a quarter of an hour are spread evenly over it, unless a second does.
fn ends(quarters: &BTreeMap<i64, u64>, most: u64) -> Vec<i64> {
    let (mut ends, mut held) = (Vec::new(), 0);
    for (quarter, count) in quarters {
        let (mut begin, mut left) = (quarter * QUARTER / SECOND, *count);
        let end = begin + QUARTER / SECOND;
        while held + left > most {
            let seconds = end - begin;
            let fit = seconds * whole(most - held) / whole(left);
            let fit = fit.max(i64::from(held == 0));
            if fit >= seconds {
                break;
            }
            left -= left * fit.unsigned_abs() / seconds.unsigned_abs();
            begin += fit;
            ends.push(begin * SECOND);
            held = 0;
        }
        held += left;
    }
    ends.push(i64::MAX);
    ends
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_6_no_slice_holds_more_than_it_may_unless_a_second_does() {
        let most = 100;
        let second = |quarter: i64, second: i64| (quarter * 900 + second) * SECOND;
        let quarters = BTreeMap::from([(5, 99), (6, 1), (9, 1), (10, 300), (12, 50), (13, 1)]);
        assert_eq!(
            ends(&quarters, most),
            [
                second(9, 0),
                second(10, 297),
                second(10, 597),
                second(10, 897),
                i64::MAX
            ]
        );
        assert_eq!(ends(&BTreeMap::new(), most), [i64::MAX]);
        let crowded = BTreeMap::from([(0, 900 * most * 10)]);
        assert_eq!(ends(&crowded, most).len(), 900);
    }

    #[test]
    fn pages_in_no_order_are_decoded_for_few_slices() {
        let quarters: BTreeMap<i64, u64> = (0..400).map(|quarter| (quarter, 1_000)).collect();
        let page = |number: u64, first: i64, last: i64| {
            let (first, last) = (first * QUARTER, last * QUARTER);
            (number, Span { first, last })
        };
        let ordered: Vec<(u64, Span)> = (0..400).zip(0..400).map(|(n, q)| page(n, q, q)).collect();
        let least = usize::try_from(400_000_u64.div_ceil(GROUP_RECORDS)).unwrap();
        assert_eq!(few_ends(&ordered, &quarters).len(), least);
        let mixed: Vec<(u64, Span)> = (0..400).map(|number| page(number, 0, 399)).collect();
        let few = few_ends(&mixed, &quarters).len();
        assert!(few <= 3, "{few}");
    }
}
