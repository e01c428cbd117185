//! One cursor chain: what it asks for, how far it is, and whether its cursors still make sense.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::belief::{Order, Seen};
use super::density::as_f64;
use super::facts::{FetchError, Next, PageFacts};
use super::gaps::Gap;
use crate::window::Window;

/// So many empty pages in a row may carry the same cursor.
const EMPTY_PAGES: u32 = 5;
/// So many pages in a row may bring nothing new before the chain is taken for endless: pages of records that came
/// before, and empty ones, each with another cursor, as a slow scan of a large archive gives them.
const QUIET_PAGES: u32 = 50;
const EMPTY_IN_A_ROW: u32 = 50_000;
/// One id in so many is remembered to tell whether a page is new.
const REMEMBERED: u64 = 16;
/// The head of a chain is kept for the seam: so many pages of it, more where they hold too few seconds.
const HEAD_PAGES: u32 = 2;
const MOST_HEAD_PAGES: u32 = 6;

/// What a chain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// More pages may come.
    Open,
    /// It met the null cursor: its window is complete, by the API's own word.
    Ended,
    /// Its cursor died; what it read in order still counts once it is proven at the seam.
    Dead,
    /// Given up; nothing that it read counts.
    Dropped,
}

/// A request that is not answered yet: how many others were in flight with it, and how many requests had been
/// answered before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) others: usize,
    pub(super) landed: usize,
}

/// How a chain stands in an ordered archive, see `seam`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seam {
    /// It has not reached the next chain yet, or not far enough to compare.
    Open,
    /// It has, but the other chain has not read enough to compare.
    Waiting,
    /// It joins this chain without a gap.
    Joined(usize),
}

/// The pages of one window, each found by the cursor of the one before.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) covers: Window,
    pub(super) asked: Window,
    pub(super) state: State,
    pub(super) seam: Seam,
    /// A request of it is not answered yet.
    pub(super) flight: Option<Flight>,
    pub(super) cursor: Option<String>,
    /// Pages answered.
    pub(super) pages: u32,
    pub(super) records: usize,
    /// Records of its last page.
    pub(super) last_page_size: usize,
    /// So many of them, up to this position, the density knows of.
    pub(super) counted: usize,
    pub(super) counted_to: Option<i64>,
    /// How often its window was started before because a cursor died.
    pub(super) restarts: u32,
    /// It asks for a gap in what another one has read, see `gaps`.
    pub(super) is_probe: bool,
    /// Long gaps in what it has read.
    pub(super) gaps: Vec<Gap>,
    /// Its first records.
    pub(super) head: Vec<Seen>,
    head_open: bool,
    /// The records of its last page that had any, and the one before them.
    pub(super) tail: Vec<Seen>,
    pub(super) before_tail: Option<Seen>,
    /// Cursors and pages met so far, as hashes.
    cursors: HashSet<u64>,
    prints: HashSet<u64>,
    ids: HashSet<u64>,
    quiet: u32,
}

/// What a page said of the cursors of this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CursorSign {
    None,
    /// The cursor changed from page to page.
    Changed,
    /// The cursor stayed and the page was new: the server moves it.
    Stayed,
}

impl Chain {
    pub(super) fn new(covers: Window, asked: Window, restarts: u32) -> Self {
        Self {
            covers,
            asked,
            state: State::Open,
            seam: Seam::Open,
            flight: None,
            cursor: None,
            pages: 0,
            records: 0,
            last_page_size: 0,
            counted: 0,
            counted_to: None,
            restarts,
            is_probe: false,
            gaps: Vec::new(),
            head: Vec::new(),
            head_open: true,
            tail: Vec::new(),
            before_tail: None,
            cursors: HashSet::new(),
            prints: HashSet::new(),
            ids: HashSet::new(),
            quiet: 0,
        }
    }

    /// Whether it counts for anything.
    pub(super) fn counts(&self) -> bool {
        self.state != State::Dropped
    }

    /// Whether it may still be answered more pages.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether its next request may be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.is_open() && self.flight.is_none()
    }

    /// Whether its head may still grow.
    pub(super) fn head_grows(&self) -> bool {
        self.head_open && self.is_open()
    }

    pub(super) fn last(&self) -> Option<&Seen> {
        self.tail.last()
    }

    /// Where it begins, in positions.
    pub(super) fn begin(&self, order: Order) -> i64 {
        order.along(self.covers).start
    }

    /// Every record of its window before this position was read, provided that records come in this order.
    pub(super) fn reached(&self, order: Order) -> i64 {
        let along = order.along(self.covers);
        if self.state == State::Ended {
            return along.end;
        }
        self.last()
            .and_then(|seen| order.of(seen))
            .map_or(along.start, |at| at.clamp(along.start, along.end))
    }

    /// Its head holds every record of its window before this position.
    pub(super) fn head_reached(&self, order: Order) -> i64 {
        if self.head_open {
            return self.reached(order);
        }
        let along = order.along(self.covers);
        self.head
            .last()
            .and_then(|seen| order.of(seen))
            .map_or(along.start, |at| at.max(along.start))
    }

    /// Its last page holds every record from this position on, as far as it reached.
    pub(super) fn tail_from(&self, order: Order) -> Option<i64> {
        let first = order.of(self.tail.first()?)?;
        let shared = self.before_tail.as_ref().and_then(|seen| order.of(seen)) == Some(first);
        Some(if shared { first + 1 } else { first }.max(self.begin(order)))
    }

    /// How many pages like its last one make up so many positions.
    pub(super) fn pages_at_its_pace(&self, order: Order, unread: Window) -> Option<f64> {
        let last = Window::new(order.of(self.tail.first()?)?, self.reached(order));
        (!last.is_empty()).then(|| as_f64(unread.seconds()) / as_f64(last.seconds()))
    }

    /// Takes an answered page in.
    pub(super) fn absorb(&mut self, page: &PageFacts) -> Result<CursorSign, FetchError> {
        let sent = self.cursor.take();
        let fresh = self.is_fresh(page);
        self.quiet = if fresh { 0 } else { self.quiet + 1 };
        self.pages += 1;
        self.records += page.records.len();
        self.last_page_size = page.records.len();
        self.keep(page);
        let Next::Cursor(next) = &page.next else {
            self.end();
            return Ok(CursorSign::None);
        };
        let known = !self.cursors.insert(hash(next));
        // a cursor that the server moves by itself may answer an empty page on its way, but not for ever
        let on_its_way = page.records.is_empty() && self.quiet < EMPTY_PAGES;
        if known && !fresh && !on_its_way {
            return Err(FetchError::CursorRepeats {
                window: self.asked,
                pages: self.pages,
            });
        }
        let limit = if page.records.is_empty() {
            EMPTY_IN_A_ROW
        } else {
            QUIET_PAGES
        };
        if self.quiet >= limit {
            return Err(FetchError::NothingNew {
                window: self.asked,
                quiet: self.quiet,
            });
        }
        let sign = match sent {
            None => CursorSign::None,
            Some(sent) if sent == *next => CursorSign::Stayed,
            Some(_) => CursorSign::Changed,
        };
        self.cursor = Some(next.clone());
        Ok(sign)
    }

    /// Whether a page brings something new, as far as a sample of its ids tells.
    fn is_fresh(&mut self, page: &PageFacts) -> bool {
        let is_new_page = !page.records.is_empty() && self.prints.insert(print(page));
        let ids = page.records.iter().map(|record| record.id);
        let (mut sampled, mut new) = (false, false);
        for id in ids.filter(|id| id.is_multiple_of(REMEMBERED)) {
            sampled = true;
            new |= self.ids.insert(id);
        }
        is_new_page && (new || !sampled)
    }

    fn keep(&mut self, page: &PageFacts) {
        if page.records.is_empty() {
            return;
        }
        self.before_tail = self.tail.last().copied();
        self.tail = page.records.iter().map(Seen::new).collect();
        if self.head_open {
            self.head.extend_from_slice(&self.tail);
            let varied = self.head.first().zip(self.tail.last()).is_some_and(|(a, b)| {
                [super::Field::Time, super::Field::LastAction].iter().all(|f| {
                    a.second(*f)
                        .zip(b.second(*f))
                        .is_none_or(|(a, b)| a.abs_diff(b) > 1)
                })
            });
            let ends = !matches!(page.next, Next::Cursor(_));
            self.head_open = ends || self.pages < HEAD_PAGES || (!varied && self.pages < MOST_HEAD_PAGES);
        }
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.cursors = HashSet::new();
        self.prints = HashSet::new();
        self.ids = HashSet::new();
    }

    /// Gives it up.
    pub(super) fn drop_it(&mut self) {
        self.end();
        self.state = State::Dropped;
        self.head = Vec::new();
        self.tail = Vec::new();
        self.gaps = Vec::new();
    }
}

/// A page's ids, in whatever order.
fn print(page: &PageFacts) -> u64 {
    page.records
        .iter()
        .fold(hash(&page.records.len()), |all, record| {
            all.wrapping_add(hash(&record.id))
        })
}

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
