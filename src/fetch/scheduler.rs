//! Decides which request to make next, so that an export runs at the ceiling of its request budget, with as few
//! requests as that takes, and cannot miss a record.
//!
//! A pure state machine: no clock, no randomness, no I/O. It is asked for the [`next`](Scheduler::next) request
//! whenever the budget would let one go, and told of every answer. How many requests are in flight when it is
//! asked tells it the latency.
//!
//! - `belief`: in which order records come, and which field a window filters
//! - `chain`: one cursor chain
//! - `seam`: the proof where two chains meet
//! - `gaps`: what the order alone says is empty
//! - `density`: how many records a window may hold
//! - `sample`: what a first page says where records come in no order
//! - `plan`: the choice of the next request
//! - `settle`: what an answer changes
//! - `told`: how far it is, and what it has learnt

mod belief;
mod chain;
mod density;
mod facts;
mod gaps;
mod plan;
mod sample;
mod seam;
mod settle;
#[cfg(test)]
mod simulation;
mod told;

use std::collections::BTreeSet;

use crate::window::{Window, Windows};
use belief::{Belief, Mode, Seen};
use chain::{Chain, CursorSign, Flight, State};
use density::Density;

pub use belief::{Direction, Field, Order};
pub use told::Progress;

pub use facts::{ChainId, FetchError, KeptChain, Knowledge, Next, PageFacts, RecordFacts, Request};

/// The most requests in flight where nobody says otherwise.
pub const MAX_IN_FLIGHT: usize = 64;
/// So often may one window be started again because its cursor died.
const MOST_RESTARTS: u32 = 16;
/// So many windows, and two for each page, may be started again before the cursors count as useless.
const FREE_RESTARTS: usize = 32;
/// Windows of the same number of records are no accident from this number on.
const TELLING_SIZE: usize = 20;
/// As long as nothing is known a range is thought to hold so many pages.
const GUESSED_PAGES: f64 = 64.0;

/// How to schedule.
#[derive(Debug, Clone)]
pub struct Options {
    /// Records of a full page, as asked of the API; at least 1.
    pub per_page: u32,
    /// The most requests in flight at a time; at least 1. See [`MAX_IN_FLIGHT`].
    pub max_in_flight: usize,
    /// What an earlier run learnt: where to begin believing, never a proof.
    pub knowledge: Knowledge,
    /// Records over time, as far as an earlier run saw them; parts may be missing.
    pub density: Vec<(Window, u64)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            per_page: 1_000,
            max_in_flight: MAX_IN_FLIGHT,
            knowledge: Knowledge::default(),
            density: Vec::new(),
        }
    }
}

/// How cursors behave, which decides whether a lost answer may be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CursorStyle {
    Unknown,
    /// A page's cursor names the page: asking twice gives the same page.
    Changes,
    /// The server moves it by itself: asking twice would skip a page.
    Stays,
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Scheduler {
    ranges: Windows,
    options: Options,
    belief: Belief,
    mode: Mode,
    /// Something was cut because of the order believed in.
    relied_on_order: bool,
    /// That belief fell: nothing is cut any more in this run.
    order_fell: bool,
    cursors: CursorStyle,
    /// A cursor field was seen, be it `null`.
    cursor_field_seen: bool,
    chains: Vec<Chain>,
    density: Density,
    /// Complete by null cursors.
    drained: Windows,
    /// Complete by null cursors and seams.
    proven: Windows,
    in_flight: usize,
    /// Requests answered.
    landed: usize,
    /// Requests that were answered long after those in flight with them.
    overdue: usize,
    /// The most in flight so far: as many chains does it take to fill the budget.
    width: usize,
    /// Records of a full page, as the API gives them.
    page_size: usize,
    pages: u64,
    /// Chains given up because they were too long.
    dropped: usize,
    /// Windows started again because their cursors were of no use.
    restarted: usize,
    records: usize,
    /// Whether some page said by a `null` cursor that it was the last one.
    null_seen: bool,
    /// Sizes of first pages without a cursor field, as long as no page had one.
    bare: Vec<usize>,
    /// Seconds that pages spanned, and the records in them.
    spanned: (f64, f64),
    /// Seconds of the first and the last record of every page that came in order.
    landmarks: BTreeSet<i64>,
}

impl Scheduler {
    /// A scheduler that exports `ranges`: any windows, in any order; what overlaps is exported once.
    #[must_use]
    pub fn new(ranges: Vec<Window>, options: Options) -> Self {
        let ranges: Windows = ranges.into_iter().collect();
        let hull = ranges.hull().unwrap_or(Window::new(0, 0));
        let per_page = options.per_page.max(1);
        let density = Density::new(hull, GUESSED_PAGES * f64::from(per_page), &options.density);
        let belief = Belief::new(options.knowledge.order);
        Self {
            mode: belief.mode(),
            belief,
            relied_on_order: false,
            order_fell: false,
            cursors: CursorStyle::Unknown,
            cursor_field_seen: false,
            chains: Vec::new(),
            density,
            drained: Windows::new(),
            proven: Windows::new(),
            in_flight: 0,
            landed: 0,
            overdue: 0,
            width: options
                .knowledge
                .in_flight
                .unwrap_or(1)
                .clamp(1, options.max_in_flight.max(1)),
            page_size: usize::try_from(per_page).unwrap_or(usize::MAX),
            pages: 0,
            dropped: 0,
            restarted: 0,
            records: 0,
            null_seen: false,
            bare: Vec::new(),
            spanned: (0.0, 0.0),
            landmarks: BTreeSet::new(),
            ranges,
            options,
        }
    }

    /// A scheduler that goes on where an earlier run stopped. Chains come in the order in which they began, and
    /// `kept[i]` becomes the chain whose id [`ChainId`] numbers `i`; pages come in the order in which they were
    /// answered, each with the index of its chain, so that what was proven is proven again. Chains whose
    /// cursors cannot be trusted any more start again from what is proven.
    ///
    /// # Errors
    /// What the kept pages would have met in [`answered`](Self::answered).
    pub fn resume(
        ranges: Vec<Window>,
        options: Options,
        kept: &[KeptChain],
        pages: impl IntoIterator<Item = (usize, PageFacts)>,
    ) -> Result<Self, FetchError> {
        let mut scheduler = Self::new(ranges, options);
        scheduler.chains = kept
            .iter()
            .map(|chain| Chain::new(chain.covers, chain.asked, 0))
            .collect();
        for (index, chain) in kept.iter().enumerate() {
            if kept[index + 1..].iter().any(|later| later.covers == chain.covers) {
                scheduler.chains[index].drop_it();
            }
        }
        for (index, page) in pages {
            if scheduler.chains[index].is_open() {
                scheduler.absorb(index, &page)?;
                scheduler.derive();
            }
        }
        scheduler.drop_the_given_up();
        scheduler.settle();
        if scheduler.cursors != CursorStyle::Changes {
            for index in 0..kept.len() {
                if scheduler.chains[index].is_ready() && scheduler.chains[index].pages > 0 {
                    scheduler.restart(index)?;
                }
            }
            scheduler.settle();
        }
        Ok(scheduler)
    }

    /// The next request, to be sent now; `None` where there is nothing to send until something in flight is
    /// answered, or where all [is done](Self::is_done).
    #[expect(
        clippy::should_implement_trait,
        reason = "the name of the brief: it is no iterator, `None` is not the end"
    )]
    pub fn next(&mut self) -> Option<Request> {
        let index = match self.plan()? {
            plan::Step::Go(index) => index,
            plan::Step::Start(covers) => self.start(covers, 0),
            plan::Step::Probe(gap) => {
                let index = self.start(gap, 0);
                self.chains[index].is_probe = true;
                index
            }
            plan::Step::Again(index) => {
                let (covers, restarts) = (self.chains[index].covers, self.chains[index].restarts);
                self.chains[index].drop_it();
                self.start(covers, restarts)
            }
        };
        let overdue = (0..self.chains.len()).filter(|at| self.is_overdue(*at)).count();
        let chain = &mut self.chains[index];
        chain.flight = Some(Flight {
            others: self.in_flight - overdue,
            landed: self.landed,
        });
        self.in_flight += 1;
        self.width = self.width.max(self.in_flight);
        Some(Request {
            chain: ChainId(u32::try_from(index).unwrap_or(u32::MAX)),
            covers: chain.covers,
            asked: chain.asked,
            cursor: chain.cursor.clone(),
            index: chain.pages,
            retryable: chain.cursor.is_none() || self.cursors == CursorStyle::Changes,
        })
    }

    /// Whether [`next`](Self::next) would give a request.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.plan().is_some()
    }

    /// Takes in the answer to a chain's request.
    ///
    /// # Errors
    /// Where the answer shows that the window can never be read completely; the scheduler is of no use then.
    pub fn answered(&mut self, chain: ChainId, page: &PageFacts) -> Result<(), FetchError> {
        if let Some(index) = self.land(chain) {
            self.absorb(index, page)?;
        }
        self.settle();
        Ok(())
    }

    /// The API knows the cursor of the chain's request no more.
    ///
    /// # Errors
    /// Where that has happened to the same window too often.
    pub fn cursor_died(&mut self, chain: ChainId) -> Result<(), FetchError> {
        if let Some(index) = self.land(chain) {
            self.restart(index)?;
        }
        self.settle();
        Ok(())
    }

    /// The answer to a request that is not [retryable](Request::retryable) was lost.
    ///
    /// # Errors
    /// As [`cursor_died`](Self::cursor_died).
    pub fn lost(&mut self, chain: ChainId) -> Result<(), FetchError> {
        self.cursor_died(chain)
    }

    /// The chain's request was given up before it was answered.
    ///
    /// # Errors
    /// As [`cursor_died`](Self::cursor_died).
    pub fn withdrawn(&mut self, chain: ChainId) -> Result<(), FetchError> {
        match self.land(chain) {
            Some(index) if self.chains[index].cursor.is_some() && self.cursors != CursorStyle::Changes => {
                self.restart(index)
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, covers: Window, restarts: u32) -> usize {
        let extra = i64::from(!self.belief.includes_first_second());
        // A server that rounds its times counts the end of the last second to the next one: where no other window
        // goes on, one second more is asked at the end too.
        let beyond = i64::from(self.ranges.iter().any(|range| range.end == covers.end));
        // there is no second before 1970 to ask for
        let asked = Window::new(
            (covers.start - extra).max(covers.start.min(0)),
            covers.end + beyond,
        );
        self.chains.push(Chain::new(covers, asked, restarts));
        self.chains.len() - 1
    }

    /// The index of a chain whose request is answered, one way or another.
    fn land(&mut self, chain: ChainId) -> Option<usize> {
        let index = usize::try_from(chain.0)
            .ok()
            .filter(|index| *index < self.chains.len())?;
        self.overdue += usize::from(self.is_overdue(index));
        self.chains[index].flight.take()?;
        self.in_flight -= 1;
        self.landed += 1;
        self.chains[index].is_open().then_some(index)
    }

    fn absorb(&mut self, index: usize, page: &PageFacts) -> Result<(), FetchError> {
        if self.lacks_its_cursor(index, page)? || self.ends_in_doubt(index, page) {
            return self.restart(index);
        }
        self.null_seen |= page.next == Next::End;
        self.cursor_field_seen |= page.next != Next::Absent;
        let chain = &mut self.chains[index];
        self.belief
            .learn(chain.asked, chain.pages == 0, chain.last(), &page.records);
        let field = self.belief.likely_filter();
        if let Some(sample) = self.density.sample.as_mut().filter(|_| index > 0) {
            sample.compare(
                page.records
                    .iter()
                    .filter_map(|record| Seen::new(record).second(field)),
            );
        }
        match chain.absorb(page)? {
            CursorSign::Stayed => self.cursors = CursorStyle::Stays,
            CursorSign::Changed if self.cursors == CursorStyle::Unknown => {
                self.cursors = CursorStyle::Changes
            }
            _ => {}
        }
        if chain.state == State::Ended {
            self.drained.insert(chain.covers);
            self.proven.insert(chain.covers);
        } else {
            let largest = if self.pages == 0 { 0 } else { self.page_size };
            self.page_size = largest.max(page.records.len()).max(1);
        }
        self.pages += 1;
        self.records += page.records.len();
        Ok(())
    }

    /// Whether a page without a cursor field is too full to be believed the last one of its chain.
    fn lacks_its_cursor(&mut self, index: usize, page: &PageFacts) -> Result<bool, FetchError> {
        if page.next != Next::Absent || page.records.is_empty() {
            return Ok(false);
        }
        let per_page = usize::try_from(self.options.per_page).unwrap_or(usize::MAX);
        let largest = if self.pages == 0 {
            per_page
        } else {
            self.page_size.min(per_page)
        };
        let size = page.records.len();
        let chain = &mut self.chains[index];
        if self.cursor_field_seen {
            // a server that says `null` elsewhere would say it here
            return Ok(self.null_seen && size >= largest && chain.pages > 0 && chain.restarts == 0);
        }
        let missing = FetchError::CursorMissing { window: chain.asked };
        if chain.pages == 0 && size >= per_page {
            if self.in_flight == 0 || chain.restarts > 0 {
                return Err(missing);
            }
            // Perhaps one that is in flight shows that this was the end: asked again after it.
            return Ok(true);
        }
        // several windows do not hold the same, large number of records by accident
        if size >= TELLING_SIZE && self.bare.iter().all(|bare| *bare <= size) && self.bare.contains(&size) {
            return Err(missing);
        }
        self.bare.push(size);
        Ok(false)
    }

    /// Whether a chain that went on behind a full page ends with an empty one: so answers also a server that has
    /// forgotten the cursor. The window is asked again, once.
    fn ends_in_doubt(&self, index: usize, page: &PageFacts) -> bool {
        let chain = &self.chains[index];
        page.records.is_empty()
            && page.next == Next::End
            && chain.restarts == 0
            && chain.pages > 0
            && chain.last_page_size >= self.page_size
    }
}
