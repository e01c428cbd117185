//! What pages show about the API: which time a window filters, whether bounds are inclusive, and the order of
//! records.
//!
//! Observations determine the size of windows, and which rows are outside the requested range. They never make a
//! window complete.

use serde::{Deserialize, Serialize};

use super::facts::{Knowledge, RecordFacts};
use crate::window::Window;

/// A time of a record, by which windows may filter or records may be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The record's own time.
    Time,
    /// The time of its last update.
    LastAction,
}

impl Field {
    const BOTH: [Self; 2] = [Self::Time, Self::LastAction];

    /// Returns the second of a record's time.
    pub(super) fn second(self, record: &RecordFacts) -> Option<i64> {
        self.micros(record).map(|micros| micros.div_euclid(1_000_000))
    }

    fn micros(self, record: &RecordFacts) -> Option<i64> {
        match self {
            Self::Time => record.time,
            Self::LastAction => record.last_action,
        }
    }
}

/// The direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Earliest first.
    Ascending,
    /// Latest first.
    Descending,
}

/// Order of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The field by which records are ordered.
    pub field: Field,
    /// The direction.
    pub direction: Direction,
}

/// Minimum steps in one direction, with none in the other, that show an order.
const STEPS: u64 = 8;
/// Minimum number of chains with a record exactly in the first requested second.
const FIRST_SECONDS: u32 = 2;
/// Distance in seconds from a window's start within which records show whether the bound is exact.
const NEAR_START: i64 = 3;
/// Minimum number of such records, with none before the start, that prove that windows filter this field and not a
/// slightly later time, such as the arrival of a record.
const ENOUGH_NEAR_START: u64 = 6;

/// What the pages show about one field.
#[derive(Debug, Clone, Copy, Default)]
struct Trace {
    inside: u64,
    /// Records one second outside a bound, because of rounding or of a filter by another field.
    beside: u64,
    outside: u64,
    near_start: u64,
    rises: u64,
    falls: u64,
}

impl Trace {
    fn direction(&self) -> Option<Direction> {
        match (self.rises, self.falls) {
            (rises, 0) if rises >= STEPS => Some(Direction::Ascending),
            (0, falls) if falls >= STEPS => Some(Direction::Descending),
            _ => None,
        }
    }

    /// Whether windows may filter this field.
    fn is_possible(&self) -> bool {
        self.outside == 0
    }

    fn is_present(&self) -> bool {
        self.inside + self.beside + self.outside > 0
    }

    /// Whether the field is close enough to the filtered one to estimate densities.
    fn is_close(&self) -> bool {
        self.is_present() && self.outside * 10 <= self.inside + self.outside
    }
}

/// All observations of a job.
#[derive(Debug, Clone, Default)]
pub(super) struct Observations {
    traces: [Trace; 2],
    first_seconds: u32,
    earlier: Knowledge,
}

impl Observations {
    pub(super) fn new(earlier: Knowledge) -> Self {
        Self {
            earlier,
            ..Self::default()
        }
    }

    /// Adds a page of a chain that requested the window `requested`.
    pub(super) fn observe(&mut self, requested: Window, is_first: bool, page: &[RecordFacts]) {
        for field in Field::BOTH {
            let trace = &mut self.traces[field as usize];
            let mut last = None;
            for second in page.iter().filter_map(|record| field.second(record)) {
                if requested.contains(second) || second == requested.end {
                    trace.inside += 1;
                } else if second + 1 == requested.start || second == requested.end + 1 {
                    trace.beside += 1;
                } else {
                    trace.outside += 1;
                }
                let since_start = second - requested.start;
                trace.near_start += u64::from((0..NEAR_START).contains(&since_start));
                trace.rises += u64::from(last.is_some_and(|last| second > last));
                trace.falls += u64::from(last.is_some_and(|last| second < last));
                last = Some(second);
            }
        }
        let start = requested.start * 1_000_000;
        let is_at_start = |field: Field| page.iter().any(|record| field.micros(record) == Some(start));
        self.first_seconds += u32::from(is_first && self.filter().is_some_and(is_at_start));
    }

    fn trace(&self, field: Field) -> Trace {
        self.traces[field as usize]
    }

    /// Returns the field that windows filter, if this job disproves all others.
    fn filter(&self) -> Option<Field> {
        let possible = |field: &Field| self.trace(*field).is_present() && self.trace(*field).is_possible();
        let mut fields = Field::BOTH.into_iter().filter(possible);
        fields.next().filter(|_| fields.next().is_none())
    }

    /// Returns the fields that windows may filter.
    pub(super) fn possible_filters(&self) -> Vec<Field> {
        let possible = |field: &Field| self.trace(*field).is_possible();
        Field::BOTH.into_iter().filter(possible).collect()
    }

    /// Returns the field by which rows outside the requested range may be dropped: all pages of the job agree on it,
    /// and the bounds are proven to be exact.
    pub(super) fn settled_filter(&self) -> Option<Field> {
        let field = self.known_filter()?;
        let trace = self.trace(field);
        let is_exact = trace.beside == 0 && trace.near_start >= ENOUGH_NEAR_START;
        is_exact.then_some(field)
    }

    /// Returns the field that windows filter, by this job's pages or, if they do not show it, by earlier ones.
    fn known_filter(&self) -> Option<Field> {
        let earlier = self
            .earlier
            .filter
            .filter(|field| self.trace(*field).is_possible());
        self.filter().or(earlier)
    }

    /// Returns the field for estimates of densities: the known filter, or one close to it.
    pub(super) fn likely_filter(&self) -> Option<Field> {
        let is_new = Field::BOTH.iter().all(|field| !self.trace(*field).is_present());
        let close = |field: &Field| self.trace(*field).is_close();
        self.known_filter()
            .or_else(|| Field::BOTH.into_iter().find(close))
            .or(is_new.then_some(Field::Time))
    }

    /// Whether windows are known to include their first second.
    pub(super) fn includes_first_second(&self) -> bool {
        self.first_seconds >= FIRST_SECONDS
    }

    /// Returns what this job learned, with the knowledge of earlier runs where it learned nothing.
    pub(super) fn learned(&self) -> Knowledge {
        let ordered = |field: Field| {
            let direction = self.trace(field).direction()?;
            Some(Order { field, direction })
        };
        let filter = self.known_filter();
        let by_filter = filter.and_then(ordered);
        let earlier = self.earlier.order.filter(|order| {
            let trace = self.trace(order.field);
            match order.direction {
                Direction::Ascending => trace.falls == 0,
                Direction::Descending => trace.rises == 0,
            }
        });
        let now = by_filter.or_else(|| Field::BOTH.into_iter().find_map(ordered));
        Knowledge {
            order: now.or(earlier),
            filter,
            includes_first_second: self.includes_first_second(),
            ..self.earlier
        }
    }
}
