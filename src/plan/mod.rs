//! Decides which window and page to request next, and when a window is complete.
//!
//! A window is complete only if the API says so: its own chain of pages was read to the null cursor, and nothing
//! makes that end suspect (`listing`). Nothing is inferred from the order of records.
//!
//! The planner is a pure state machine: no clock, no randomness, no I/O. [`Planner::next`] returns the next request
//! whenever the rate limit permits one, and each response is reported to the planner. The number of requests in
//! flight shows the latency.
//!
//! - `facts`: input and output
//! - `observed`: filter, bounds and order, as pages show them
//! - `density`, `counts`, `profile`, `sample`: estimates of the records in a window
//! - `chain`: the pages of one window
//! - `listing`: a chain that ended, and whether its end is suspect
//! - `choose`: the next request
//! - `add_page`: effects of a page
//! - `evaluate`: what is complete, suspect or abandoned
//! - `limits`: limits of ranges, pages and cursors
//! - `progress`: progress, and what was learned

mod add_page;
mod chain;
mod choose;
mod counts;
mod density;
mod evaluate;
mod facts;
mod limits;
mod listing;
#[cfg(test)]
mod model;
mod observed;
mod profile;
mod progress;
mod sample;

use std::collections::BTreeMap;

use crate::window::{Window, Windows};
use chain::{Chain, InFlightRequest};
use density::Density;
use listing::{Listing, ListingEvidence, SuspectEnd};
use observed::Observations;
use profile::Profile;

pub use facts::{
    ChainId, Knowledge, Limits, NextPage, PageFacts, PageRequest, PlanError, RecordFacts, SpooledChain,
};
pub(crate) use limits::RANGES;
pub use observed::{Direction, Field, Order};

/// Default maximum of requests in flight.
pub const MAX_IN_FLIGHT: usize = 64;

/// Options of a planner.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Requested records per page, at least 1.
    pub per_page: u32,
    /// Maximum requests in flight, at least 1. See [`MAX_IN_FLIGHT`].
    pub max_in_flight: usize,
    /// Whether to split windows, which is not worthwhile for a single conversation.
    pub splits: bool,
    /// What earlier runs learned.
    pub knowledge: Knowledge,
    /// Records over time in earlier runs; parts may be missing.
    pub density: Vec<(Window, u64)>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            per_page: 1_000,
            max_in_flight: MAX_IN_FLIGHT,
            splits: true,
            knowledge: Knowledge::default(),
            density: Vec::new(),
        }
    }
}

/// How cursors behave. It determines whether a request may be repeated after its response was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CursorStyle {
    Unknown,
    /// A cursor identifies a page: the same request returns the same page again.
    Changes,
    /// The server advances the cursor: the same request would skip a page.
    Stays,
}

/// Plans the requests of a job. See the [module](self).
#[derive(Debug, Clone)]
pub struct Planner {
    ranges: Windows,
    options: PlanOptions,
    observations: Observations,
    chains: Vec<Chain>,
    listings: Vec<Listing>,
    /// Records of abandoned chains, by second and id, which listings of their window must contain. The value counts
    /// listings without the record, which may have been deleted.
    abandoned_records: BTreeMap<(i64, u64), u32>,
    density: Density,
    cursors: CursorStyle,
    /// Whether a page had a cursor field, even if it was `null`.
    cursor_field_seen: bool,
    evidence: ListingEvidence,
    limits: Limits,
    /// Maximum pages of a window, since cursors expire or pages lose records between them.
    window_pages: f64,

    // computed by `derive`
    complete: Windows,
    suspect_ends: Vec<SuspectEnd>,
    /// What no chain has listed yet.
    unlisted: Windows,

    in_flight: usize,
    /// Number of requests that ended.
    requests_ended: usize,
    /// Number of requests that ended long after those in flight with them.
    overdue: usize,
    /// Maximum requests in flight so far, which is the number of chains that use the rate limit completely.
    concurrency: usize,
    /// Records of a full page, as observed.
    page_size: usize,
    is_page_size_known: bool,
    /// Records of the largest page.
    largest_page: usize,
    pages: u64,
    records: usize,
    /// The shortest abandoned window that was too long, by its start.
    too_long: BTreeMap<i64, i64>,
    abandoned: usize,
    /// Number of restarted chains.
    restarted: usize,
}

impl Planner {
    /// Creates a planner for `ranges`: any windows, in any order. Overlapping parts are read once.
    #[must_use]
    pub fn new(ranges: Vec<Window>, options: PlanOptions) -> Self {
        let ranges: Windows = ranges.into_iter().collect();
        let hull = ranges.hull().unwrap_or(Window::new(0, 0));
        let per_page = options.per_page.max(1);
        let knowledge = options.knowledge;
        let mut density = Density::new(hull, f64::from(per_page), &options.density);
        density.profile = Profile::new(knowledge.hours);
        let mut planner = Self {
            observations: Observations::new(knowledge),
            chains: Vec::new(),
            listings: Vec::new(),
            abandoned_records: BTreeMap::new(),
            density,
            cursors: CursorStyle::Unknown,
            cursor_field_seen: false,
            evidence: ListingEvidence {
                cap: knowledge.limits.listing_cap,
                longest: knowledge.longest_listing,
                reach: knowledge.longest_reach,
                longest_range: knowledge.limits.longest_range,
                seconds: hull.seconds(),
                is_range: options.splits,
                ..ListingEvidence::default()
            },
            limits: knowledge.limits,
            window_pages: f64::INFINITY,
            complete: Windows::new(),
            suspect_ends: Vec::new(),
            unlisted: ranges.clone(),
            in_flight: 0,
            requests_ended: 0,
            overdue: 0,
            concurrency: knowledge
                .in_flight
                .unwrap_or(1)
                .clamp(1, options.max_in_flight.max(1)),
            page_size: 1,
            is_page_size_known: false,
            largest_page: 0,
            pages: 0,
            records: 0,
            too_long: BTreeMap::new(),
            abandoned: 0,
            restarted: 0,
            ranges,
            options,
        };
        planner.page_size = planner.per_page() as usize;
        planner
    }

    /// Creates a planner that continues an earlier run. `spooled[i]` becomes the chain with number `i`, in the order
    /// in which they began. `pages` are in the order in which they were received, each with the index of its chain.
    /// Chains whose cursors may be invalid are restarted.
    ///
    /// # Errors
    /// As [`answered`](Self::answered) for the spooled pages.
    pub fn resume(
        ranges: Vec<Window>,
        options: PlanOptions,
        spooled: &[SpooledChain],
        pages: impl IntoIterator<Item = (usize, PageFacts)>,
    ) -> Result<Self, PlanError> {
        let mut planner = Self::new(ranges, options);
        let chains = spooled.iter();
        planner.chains = chains
            .map(|chain| Chain::new(chain.covers, chain.requested, chain.per_page, 0))
            .collect();
        for (index, page) in pages {
            if planner.chains[index].is_open() {
                planner.add_page(index, &page)?;
            }
        }
        planner.abandon_the_replaced();
        planner.evaluate();
        if planner.cursors != CursorStyle::Changes {
            for index in 0..spooled.len() {
                if planner.chains[index].is_ready() && planner.chains[index].pages > 0 {
                    planner.restart(index, false)?;
                }
            }
            planner.evaluate();
        }
        Ok(planner)
    }

    /// Returns the next request, to be sent now; `None` if a request in flight must end first, or if everything [is
    /// done](Self::is_done).
    pub fn next(&mut self) -> Option<PageRequest> {
        let index = match self.choose()? {
            choose::Step::Continue(index) | choose::Step::Repeat(index) => index,
            choose::Step::Start(covers) => self.start(covers, 0),
        };
        let overdue = (0..self.chains.len()).filter(|at| self.is_overdue(*at)).count();
        let others = self.in_flight.saturating_sub(overdue);
        self.in_flight += 1;
        self.concurrency = self.concurrency.max(others + 1);
        let (requests_ended, pages) = (self.requests_ended, self.pages);
        let repeatable = self.cursors == CursorStyle::Changes;
        let chain = &mut self.chains[index];
        chain.requests += 1;
        chain.flight = Some(InFlightRequest {
            others,
            requests_ended,
            pages,
        });
        Some(PageRequest {
            chain: ChainId(u32::try_from(index).unwrap_or(u32::MAX)),
            covers: chain.covers,
            requested: chain.requested,
            per_page: chain.per_page,
            cursor: chain.cursor.clone(),
            index: chain.pages,
            retryable: chain.cursor.is_none() || repeatable,
            may_shrink: chain.per_page > 1 && !chain.is_patient,
        })
    }

    /// Whether [`next`](Self::next) would return a request.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.choose().is_some()
    }

    /// Adds the page that was received for a request.
    ///
    /// # Errors
    /// If the page shows that the window cannot be read completely.
    pub fn answered(&mut self, request: &PageRequest, page: &PageFacts) -> Result<(), PlanError> {
        if let Some(index) = self.end_request(request) {
            self.add_page(index, page)?;
            self.evaluate();
        }
        self.check_end()
    }

    /// Reports that the cursor of a request is invalid.
    ///
    /// # Errors
    /// If this happened too often for the window.
    pub fn cursor_expired(&mut self, request: &PageRequest) -> Result<(), PlanError> {
        if let Some(index) = self.end_request(request) {
            self.restart(index, true)?;
            self.evaluate();
        }
        self.check_end()
    }

    /// Reports that the response to a request that is not [retryable](PageRequest::retryable) was lost.
    ///
    /// # Errors
    /// As [`cursor_expired`](Self::cursor_expired).
    pub fn response_lost(&mut self, request: &PageRequest) -> Result<(), PlanError> {
        if let Some(index) = self.end_request(request) {
            self.restart(index, false)?;
            self.evaluate();
        }
        self.check_end()
    }

    /// Reports that a request was cancelled before its response.
    ///
    /// # Errors
    /// As [`cursor_expired`](Self::cursor_expired).
    pub fn request_cancelled(&mut self, request: &PageRequest) -> Result<(), PlanError> {
        if let Some(index) = self.end_request(request)
            && !request.retryable
        {
            self.restart(index, false)?;
        }
        Ok(())
    }

    /// Starts a chain.
    fn start(&mut self, covers: Window, restarts: u32) -> usize {
        let requested = self.requested_window(covers);
        let mut chain = Chain::new(covers, requested, self.per_page(), restarts);
        if self.pages > 0 {
            chain.planned = self.density.records(covers) / self.density.profile.weight(covers).max(1.0);
        }
        self.chains.push(chain);
        self.chains.len() - 1
    }

    /// Ends a request. Returns the index of its chain; `None` if the page is not needed any more.
    fn end_request(&mut self, request: &PageRequest) -> Option<usize> {
        let index = usize::try_from(request.chain.0).ok()?;
        let is_overdue = index < self.chains.len() && self.is_overdue(index);
        let chain = self.chains.get_mut(index)?;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.requests_ended += 1;
        let is_current = request.index == chain.pages && chain.requests > 0;
        chain.requests = chain.requests.saturating_sub(1);
        if !is_current || !chain.is_open() {
            return None;
        }
        self.overdue += usize::from(is_overdue);
        chain.flight = None;
        Some(index)
    }
}
