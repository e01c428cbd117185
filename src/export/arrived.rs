//! What building has to know of a page once it is kept: far less than its records.

use std::collections::BTreeMap;

use crate::dataset::PeekedRecord;
use crate::plan::Field;
use crate::spool::PageHeader;
use crate::table::{Period, Zone};

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;
/// Microseconds of a quarter of an hour.
pub(super) const QUARTER: i64 = 900_000_000;

/// A page that the spool keeps.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) header: PageHeader,
    /// What it holds of each partition.
    pub(super) periods: BTreeMap<Period, PeriodShare>,
    /// Records of it that cannot become rows.
    pub(super) rejected: u64,
    /// The hash of each id with its partition, where a run looks back and so may see what has moved to another date.
    pub(super) places: Vec<(u64, Period)>,
}

/// What a page holds of a partition.
#[derive(Debug, Default)]
pub(super) struct PeriodShare {
    pub(super) records: u64,
    /// The first and the last time, in microseconds; none where there is no time.
    pub(super) span: Option<Span>,
    /// How many records each quarter of an hour has, by its number since 1970.
    pub(super) quarters: BTreeMap<i64, u64>,
    /// Whether some record lies outside the requested range by a time that windows may filter.
    pub(super) may_be_outside: bool,
}

/// From the first to the last of some times, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Arrived {
    /// `filters` are the times that windows may filter.
    pub(super) fn new(
        header: PageHeader,
        records: &[PeekedRecord],
        zone: &Zone,
        looks_back: bool,
        filters: &[Field],
    ) -> Self {
        let is_outside = |record: &PeekedRecord| {
            let times = filters.iter().filter_map(|field| match field {
                Field::Time => record.time,
                Field::LastAction => record.last_action,
            });
            times
                .map(|time| time.div_euclid(SECOND))
                .any(|second| !header.range.contains(second))
        };
        let mut periods = zone.periods();
        let mut shares: BTreeMap<Period, PeriodShare> = BTreeMap::new();
        let mut places = Vec::new();
        for record in records.iter().filter(|record| !record.rejected) {
            let period = periods.of(record.time);
            let share = shares.entry(period).or_default();
            share.add(record.time);
            share.may_be_outside |= is_outside(record);
            if looks_back {
                places.push((record.id, period));
            }
        }
        Self {
            header,
            periods: shares,
            rejected: records.iter().filter(|record| record.rejected).count() as u64,
            places,
        }
    }

    /// Records of the page.
    pub(super) fn records(&self) -> u64 {
        self.rejected + self.periods.values().map(|share| share.records).sum::<u64>()
    }
}

impl PeriodShare {
    fn add(&mut self, time: Option<i64>) {
        self.records += 1;
        if let Some(time) = time {
            let span = self.span.get_or_insert(Span {
                first: time,
                last: time,
            });
            span.first = span.first.min(time);
            span.last = span.last.max(time);
            *self.quarters.entry(time.div_euclid(QUARTER)).or_default() += 1;
        }
    }
}

impl Span {
    /// Whether some of it may lie from `begin` on and before `end`.
    pub(super) fn meets(&self, begin: i64, end: i64) -> bool {
        self.first < end && self.last >= begin
    }
}
