//! What the pages seen so far say about the API: which field a window filters, and in which order records come.
//!
//! Nothing here is ever certain from a few pages. A belief only decides what is worth trying; what it was used
//! for is proven at the seam (see `seam`), and a belief that falls is mended.

use serde::{Deserialize, Serialize};

use super::facts::RecordFacts;
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

/// Which way the records of a chain run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Earliest first.
    Ascending,
    /// Latest first.
    Descending,
}

/// An order of records, on the field that the window filters.
///
/// Everything that follows from an order is written for one direction only, in *positions*: seconds in an
/// ascending order, seconds counted backwards in a descending one, so that a chain always runs upwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The field that rises or falls.
    pub field: Field,
    /// Which way.
    pub direction: Direction,
}

impl Order {
    /// The position of a second.
    pub(super) fn position(self, second: i64) -> i64 {
        match self.direction {
            Direction::Ascending => second,
            Direction::Descending => -second - 1,
        }
    }

    /// A window in positions; applied twice, the window itself.
    pub(super) fn along(self, window: Window) -> Window {
        match self.direction {
            Direction::Ascending => window,
            Direction::Descending => Window::new(-window.end, -window.start),
        }
    }

    /// The position of a record.
    pub(super) fn of(self, seen: &Seen) -> Option<i64> {
        seen.second(self.field).map(|second| self.position(second))
    }
}

/// A record reduced to its id and the whole seconds of its times, the finest that a window can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: u64,
    seconds: [Option<i64>; 2],
}

impl Seen {
    pub(super) fn new(record: &RecordFacts) -> Self {
        let second = |time: Option<i64>| time.map(|micros| micros.div_euclid(1_000_000));
        Self {
            id: record.id,
            seconds: [second(record.time), second(record.last_action)],
        }
    }

    pub(super) fn second(&self, field: Field) -> Option<i64> {
        self.seconds[field as usize]
    }
}

/// So many steps in one direction, and none in the other, are no accident.
const STEPS: u64 = 8;
/// In so many chains must a record have stood exactly on the first second asked for.
const FIRST_SECONDS: u32 = 2;

/// What the pages say about one field.
#[derive(Debug, Clone, Copy, Default)]
struct Trace {
    present: bool,
    missing: bool,
    outside: bool,
    rises: u64,
    falls: u64,
}

impl Trace {
    fn direction(&self) -> Option<Direction> {
        match (self.rises, self.falls) {
            _ if self.outside || self.missing => None,
            (rises, 0) if rises >= STEPS => Some(Direction::Ascending),
            (0, falls) if falls >= STEPS => Some(Direction::Descending),
            _ => None,
        }
    }

    fn contradicts(&self, direction: Direction) -> bool {
        let against = if direction == Direction::Ascending {
            self.falls
        } else {
            self.rises
        };
        self.outside || self.missing || against > 0
    }

    fn may_be_ordered(&self) -> bool {
        !self.outside && !self.missing && (self.rises == 0 || self.falls == 0)
    }
}

/// How the records of a window come, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Too little was seen.
    Unknown,
    /// In this order.
    Ordered(Order),
    /// In no order that helps.
    Unordered,
}

/// All that was seen of order and filter.
#[derive(Debug, Clone, Default)]
pub(super) struct Belief {
    traces: [Trace; 2],
    /// Some record's two times are more than a second apart.
    apart: bool,
    prior: Option<Order>,
    first_seconds: u32,
}

impl Belief {
    pub(super) fn new(prior: Option<Order>) -> Self {
        Self {
            prior,
            ..Self::default()
        }
    }

    /// Takes a page in. `before` is the chain's last record before it, `first` whether it is the chain's first page.
    pub(super) fn learn(&mut self, asked: Window, first: bool, before: Option<&Seen>, page: &[RecordFacts]) {
        // A server may compare in fractions of a second or round them: one second of tolerance at both ends.
        let tolerated = Window::new(asked.start - 1, asked.end + 2);
        for field in [Field::Time, Field::LastAction] {
            let trace = &mut self.traces[field as usize];
            let mut last = before.and_then(|seen| seen.second(field));
            for record in page {
                let Some(second) = Seen::new(record).second(field) else {
                    trace.missing = true;
                    continue;
                };
                trace.present = true;
                trace.outside |= !tolerated.contains(second);
                trace.rises += u64::from(last.is_some_and(|last| second > last));
                trace.falls += u64::from(last.is_some_and(|last| second < last));
                last = Some(second);
            }
        }
        self.apart |= page.iter().map(Seen::new).any(|seen| match seen.seconds {
            [Some(time), Some(last_action)] => time.abs_diff(last_action) > 1,
            _ => false,
        });
        if first
            && self
                .filter()
                .is_some_and(|field| page.iter().any(|r| exactly(r, field) == Some(asked.start)))
        {
            self.first_seconds += 1;
        }
    }

    /// Whether the field is the one that windows filter, or as good as that one.
    pub(super) fn filters(&self, field: Field) -> bool {
        !self.traces[field as usize].outside && (!self.apart || self.filter() == Some(field))
    }

    /// Whether nothing seen speaks against the field as the one that windows filter.
    pub(super) fn may_filter(&self, field: Field) -> bool {
        !self.traces[field as usize].outside
    }

    /// The field that windows filter, where every other one is disproven.
    pub(super) fn filter(&self) -> Option<Field> {
        let possible = |field: Field| {
            let trace = self.traces[field as usize];
            trace.present && !trace.outside
        };
        match (possible(Field::Time), possible(Field::LastAction)) {
            (true, false) => Some(Field::Time),
            (false, true) => Some(Field::LastAction),
            _ => None,
        }
    }

    /// The field to reckon with: the proven filter, or the likeliest one.
    pub(super) fn likely_filter(&self) -> Field {
        self.filter().unwrap_or(Field::Time)
    }

    /// Whether a window is known to include its first second.
    pub(super) fn includes_first_second(&self) -> bool {
        self.first_seconds >= FIRST_SECONDS
    }

    pub(super) fn mode(&self) -> Mode {
        let ordered = |field: Field| {
            let trace = self.traces[field as usize];
            let believed = self
                .prior
                .filter(|prior| prior.field == field && !trace.contradicts(prior.direction));
            trace
                .direction()
                .or(believed.map(|prior| prior.direction))
                .map(|direction| Order { field, direction })
        };
        // Where both fields run along, the order may be that of the one that the window does not filter.
        let alone = |field: Field| {
            let other = self.traces[1 - field as usize];
            !self.apart || other.rises.min(other.falls) > 0
        };
        let order = [Field::Time, Field::LastAction]
            .into_iter()
            .find_map(|field| ordered(field).filter(|_| alone(field)));
        match order {
            Some(order) => Mode::Ordered(order),
            None if self.traces.iter().any(Trace::may_be_ordered) => Mode::Unknown,
            None => Mode::Unordered,
        }
    }
}

/// The second on which a record stands exactly, if it does.
fn exactly(record: &RecordFacts, field: Field) -> Option<i64> {
    let micros = match field {
        Field::Time => record.time,
        Field::LastAction => record.last_action,
    }?;
    (micros.rem_euclid(1_000_000) == 0).then(|| micros.div_euclid(1_000_000))
}
