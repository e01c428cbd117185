//! A chain: the pages of one window, each requested with the cursor of the page before.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::facts::{NextPage, PageFacts, PlanError, RecordFacts};
use super::observed::{Direction, Field};
use crate::window::Window;

/// Maximum number of empty pages in a row with the same cursor.
const EMPTY_PAGES: u32 = 5;
/// Maximum number of pages in a row without a new record, for pages with known records and for empty pages. The scan
/// of a large archive may return many empty pages, each with another cursor.
const QUIET_PAGES: u32 = 50;
const EMPTY_IN_A_ROW: u32 = 50_000;
/// Number of parts of a page whose medians show its direction.
const PARTS: usize = 8;
/// Minimum share of steps between medians in one direction.
const MOSTLY: f64 = 0.86;

/// The state of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChainState {
    /// More pages may come.
    Open,
    /// It reached the null cursor.
    Ended,
    /// It was abandoned. Its pages prove nothing.
    Abandoned,
}

/// A request in flight: how many others were in flight with it, and how many requests had ended before, with and
/// without a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlightRequest {
    pub(super) others: usize,
    pub(super) requests_ended: usize,
    pub(super) pages: u64,
}

/// How the cursor of a page differs from the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CursorChange {
    None,
    /// It is another cursor.
    Changed,
    /// It is the same cursor, but the page is new: the server advances it.
    Stayed,
}

/// The two times of a record in seconds.
pub(super) type Seconds = [Option<i64>; 2];

/// The pages of one window.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) covers: Window,
    pub(super) requested: Window,
    pub(super) per_page: u32,
    pub(super) state: ChainState,
    /// The latest request for its next page, and the number of requests in flight for it.
    pub(super) flight: Option<InFlightRequest>,
    pub(super) requests: u32,
    pub(super) cursor: Option<String>,
    /// Number of pages received.
    pub(super) pages: u32,
    /// Its distinct records, by id.
    pub(super) records: HashMap<u64, Seconds>,
    /// Number of repeated records.
    pub(super) repeats: usize,
    /// Number of records of its last non-empty page.
    pub(super) last_page: usize,
    /// The records per second that its window was planned with.
    pub(super) planned: f64,
    /// How often its window was restarted because of an invalid cursor.
    pub(super) restarts: u32,
    /// Whether smaller pages did not help, so that its page is retried up to the retry limit.
    pub(super) is_patient: bool,
    /// Medians of the parts of its pages, by field.
    marks: [Vec<i64>; 2],
    last_marks: usize,
    cursors: HashSet<u64>,
    quiet: u32,
}

impl Chain {
    pub(super) fn new(covers: Window, requested: Window, per_page: u32, restarts: u32) -> Self {
        Self {
            covers,
            requested,
            per_page,
            state: ChainState::Open,
            flight: None,
            requests: 0,
            cursor: None,
            pages: 0,
            records: HashMap::new(),
            repeats: 0,
            last_page: 0,
            planned: 0.0,
            restarts,
            is_patient: false,
            marks: [Vec::new(), Vec::new()],
            last_marks: 0,
            cursors: HashSet::new(),
            quiet: 0,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == ChainState::Open
    }

    /// Whether its next request may be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.is_open() && self.flight.is_none()
    }

    /// Adds a page.
    pub(super) fn add_page(&mut self, page: &PageFacts) -> Result<CursorChange, PlanError> {
        let sent = self.cursor.take();
        let before = self.records.len();
        for record in &page.records {
            let seconds = [Field::Time, Field::LastAction].map(|field| field.second(record));
            self.repeats += usize::from(self.records.insert(record.id, seconds).is_some());
        }
        let is_new = self.records.len() > before;
        self.quiet = if is_new { 0 } else { self.quiet + 1 };
        self.pages += 1;
        if !page.records.is_empty() {
            self.last_page = page.records.len();
            self.mark(&page.records);
        }
        let NextPage::Cursor(next) = &page.next else {
            self.state = ChainState::Ended;
            return Ok(CursorChange::None);
        };
        let is_known = !self.cursors.insert(hash(next));
        // a cursor that the server advances may return some empty pages
        let on_its_way = page.records.is_empty() && self.quiet < EMPTY_PAGES;
        if is_known && !is_new && !on_its_way {
            return Err(PlanError::CursorRepeats {
                window: self.requested,
                pages: self.pages,
            });
        }
        let limit = if page.records.is_empty() {
            EMPTY_IN_A_ROW
        } else {
            QUIET_PAGES
        };
        if self.quiet >= limit {
            return Err(PlanError::NothingNew {
                window: self.requested,
                quiet: self.quiet,
            });
        }
        let sign = match sent {
            None => CursorChange::None,
            Some(sent) if sent == *next => CursorChange::Stayed,
            Some(_) => CursorChange::Changed,
        };
        self.cursor = Some(next.clone());
        Ok(sign)
    }

    fn mark(&mut self, records: &[RecordFacts]) {
        let size = records.len().div_ceil(PARTS).max(1);
        self.last_marks = records.len().div_ceil(size);
        for field in [Field::Time, Field::LastAction] {
            for part in records.chunks(size) {
                let mut seconds: Vec<i64> = part.iter().filter_map(|record| field.second(record)).collect();
                if !seconds.is_empty() {
                    let middle = seconds.len() / 2;
                    let median = *seconds.select_nth_unstable(middle).1;
                    self.marks[field as usize].push(median);
                }
            }
        }
    }

    /// Returns the order of most of its records, apart from single late ones; `None` if they are unordered.
    pub(super) fn direction(&self, field: Field) -> Option<Direction> {
        let marks = &self.marks[field as usize];
        let rises = marks.windows(2).filter(|pair| pair[1] > pair[0]).count();
        let falls = marks.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let mostly = |count: usize| count >= 4 && count as f64 >= MOSTLY * (rises + falls) as f64;
        if mostly(rises) {
            Some(Direction::Ascending)
        } else {
            mostly(falls).then_some(Direction::Descending)
        }
    }

    /// Returns the median seconds of equal parts of its last page.
    pub(super) fn last_marks(&self, field: Field) -> &[i64] {
        let marks = &self.marks[field as usize];
        &marks[marks.len() - self.last_marks.min(marks.len())..]
    }

    /// Returns the last part that it has read, with its number of records; `None` if records are unordered.
    pub(super) fn latest(&self, field: Field) -> Option<(Window, f64)> {
        self.direction(field)?;
        let marks = self.last_marks(field);
        let half = &marks[marks.len() / 2..];
        let (first, last) = (*half.first()?, *half.last()?);
        let steps = half.len().saturating_sub(1).max(1);
        let records = (self.last_page * steps) as f64 / marks.len() as f64;
        Some((
            Window::new(first.min(last), first.max(last).max(first.min(last) + 1)),
            records,
        ))
    }

    /// Returns the unread part of its window, if records are ordered.
    pub(super) fn unread(&self, field: Field) -> Option<Window> {
        let reached = *self.last_marks(field).last()?;
        let reached = reached.clamp(self.covers.start, self.covers.end);
        Some(match self.direction(field)? {
            Direction::Ascending => Window::new(reached, self.covers.end),
            Direction::Descending => Window::new(self.covers.start, reached),
        })
    }

    /// Returns the seconds of its records, sorted.
    pub(super) fn seconds(&self, field: Field) -> Vec<i64> {
        let seconds = self
            .records
            .values()
            .filter_map(|seconds| seconds[field as usize]);
        let mut seconds: Vec<i64> = seconds.collect();
        seconds.sort_unstable();
        seconds
    }

    /// Abandons it.
    pub(super) fn abandon(&mut self) {
        self.state = ChainState::Abandoned;
        self.release();
    }

    /// Frees the memory that only an open chain needs.
    pub(super) fn release(&mut self) {
        self.records = HashMap::new();
        self.cursors = HashSet::new();
        self.marks = [Vec::new(), Vec::new()];
    }
}

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
