//! What the pages show about the API: which time a window filters, how its bounds work, in which order records
//! come.
//!
//! Observations decide how large windows are and which rows lie outside the requested range. They never make a
//! window complete.

use serde::{Deserialize, Serialize};

use super::facts::{Knowledge, RecordFacts};
use crate::window::Window;

/// A time of a record that a window may filter, or records may be ordered by.
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

    /// The second of a record's time.
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

/// An order of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The field that rises or falls.
    pub field: Field,
    /// Which way.
    pub direction: Direction,
}

/// So many steps in one direction, and none in the other, make an order.
const STEPS: u64 = 8;
/// In so many chains must a record have been exactly on the first second requested.
const FIRST_SECONDS: u32 = 2;
/// Records within this many seconds of a window's start show whether the bound is exact.
const NEAR_START: i64 = 3;
/// So many of them, with none before the start, prove that a window filters this field and not a slightly later
/// time, such as the arrival of a record.
const ENOUGH_NEAR_START: u64 = 6;

/// What the pages show about one field.
#[derive(Debug, Clone, Copy, Default)]
struct Trace {
    inside: u64,
    /// Beyond a bound by one second, which rounding explains, and so would a filter of another field.
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

    /// Whether nothing contradicts that windows filter this field.
    fn is_possible(&self) -> bool {
        self.outside == 0
    }

    fn is_present(&self) -> bool {
        self.inside + self.beside + self.outside > 0
    }

    /// Whether the field is near enough to the filtered one to estimate densities with.
    fn is_close(&self) -> bool {
        self.is_present() && self.outside * 10 <= self.inside + self.outside
    }
}

/// All that was observed in one job.
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

    /// Takes in a page of a chain that requested `requested`; `is_first` where it is the first one.
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

    /// The field that windows filter, where every other one is disproven by this job.
    fn filter(&self) -> Option<Field> {
        let possible = |field: &Field| self.trace(*field).is_present() && self.trace(*field).is_possible();
        let mut fields = Field::BOTH.into_iter().filter(possible);
        fields.next().filter(|_| fields.next().is_none())
    }

    /// Fields that windows may filter.
    pub(super) fn possible_filters(&self) -> Vec<Field> {
        let possible = |field: &Field| self.trace(*field).is_possible();
        Field::BOTH.into_iter().filter(possible).collect()
    }

    /// The field that rows may be left out by, where they lie outside the requested range: the one that every
    /// page of the job agrees on, with the bounds proven to be exact.
    pub(super) fn settled_filter(&self) -> Option<Field> {
        let field = self.known_filter()?;
        let trace = self.trace(field);
        let is_exact = trace.beside == 0 && trace.near_start >= ENOUGH_NEAR_START;
        is_exact.then_some(field)
    }

    /// The field that windows filter, by this job's pages or, where they leave it open, by earlier ones.
    fn known_filter(&self) -> Option<Field> {
        let earlier = self
            .earlier
            .filter
            .filter(|field| self.trace(*field).is_possible());
        self.filter().or(earlier)
    }

    /// The field to estimate densities with: the known filter, or one that is close to it.
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

    /// What this job has shown, with what it left open as earlier runs knew it.
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
