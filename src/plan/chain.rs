//! A chain: the pages of one window, each requested with the cursor of the page before.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::facts::{NextPage, PageFacts, PlanError, RecordFacts};
use super::observed::{Direction, Field};
use crate::window::Window;

/// So many empty pages in a row may carry the same cursor.
const EMPTY_PAGES: u32 = 5;
/// So many pages in a row may bring nothing new before the chain counts as endless: pages of records that came
/// before, and empty pages, each with another cursor, as a slow scan of a large archive gives them.
const QUIET_PAGES: u32 = 50;
const EMPTY_IN_A_ROW: u32 = 50_000;
/// The direction of a page is read from the medians of so many parts of it.
const PARTS: usize = 8;
/// Share of the steps between medians that must have one direction.
const MOSTLY: f64 = 0.86;

/// The state of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChainState {
    /// More pages may come.
    Open,
    /// It met the null cursor.
    Ended,
    /// Given up; what it read proves nothing.
    Abandoned,
}

/// A request that is not answered yet: how many others were in flight with it, how many requests had been answered
/// before, and how many of them with a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlightRequest {
    pub(super) others: usize,
    pub(super) requests_ended: usize,
    pub(super) pages: u64,
}

/// What a page showed of the cursors of this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CursorChange {
    None,
    /// The cursor changed from page to page.
    Changed,
    /// The cursor stayed and the page was new: the server moves it.
    Stayed,
}

/// The whole seconds of a record's two times.
pub(super) type Seconds = [Option<i64>; 2];

/// The pages of one window.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) covers: Window,
    pub(super) requested: Window,
    pub(super) per_page: u32,
    pub(super) state: ChainState,
    /// The latest request for its next page, and how many of them are not answered yet.
    pub(super) flight: Option<InFlightRequest>,
    pub(super) requests: u32,
    pub(super) cursor: Option<String>,
    /// Pages answered.
    pub(super) pages: u32,
    /// Its distinct records, by id.
    pub(super) records: HashMap<u64, Seconds>,
    /// Records that came more than once.
    pub(super) repeats: usize,
    /// Records of its last page that had any.
    pub(super) last_page: usize,
    /// Records per second that its window was planned for.
    pub(super) planned: f64,
    /// How often its window was started before because a cursor was invalid.
    pub(super) restarts: u32,
    /// Whether smaller pages are no way out: its page is requested until the retry limit.
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

    /// Takes an answered page in.
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
        // a cursor that the server moves by itself may answer an empty page on its way, but not for ever
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

    /// Which way its records mostly run, single late records apart; `None` where they come in no order.
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

    /// The way of its last page through its window, in equal parts of its records: the median seconds of each.
    pub(super) fn last_marks(&self, field: Field) -> &[i64] {
        let marks = &self.marks[field as usize];
        &marks[marks.len() - self.last_marks.min(marks.len())..]
    }

    /// The end of what it has read, with the records there; `None` where its records come in no order.
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

    /// What it has still to read of its window, where its records run one way.
    pub(super) fn unread(&self, field: Field) -> Option<Window> {
        let reached = *self.last_marks(field).last()?;
        let reached = reached.clamp(self.covers.start, self.covers.end);
        Some(match self.direction(field)? {
            Direction::Ascending => Window::new(reached, self.covers.end),
            Direction::Descending => Window::new(self.covers.start, reached),
        })
    }

    /// The seconds of its records, sorted.
    pub(super) fn seconds(&self, field: Field) -> Vec<i64> {
        let seconds = self
            .records
            .values()
            .filter_map(|seconds| seconds[field as usize]);
        let mut seconds: Vec<i64> = seconds.collect();
        seconds.sort_unstable();
        seconds
    }

    /// Gives it up.
    pub(super) fn abandon(&mut self) {
        self.state = ChainState::Abandoned;
        self.release();
    }

    /// Frees what only an open chain needs.
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
