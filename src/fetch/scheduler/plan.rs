//! The choice of the next request.

use super::belief::{Mode, Order};
use super::chain::{Chain, Seam, State};
use super::density::as_f64;
use super::settle::last_whole_second;
use super::{Scheduler, seam};
use crate::window::{Window, Windows};

/// Until the first answer a range is given out in so many equal parts. The first request asks for the whole
/// range: it will turn out to have read either the first part or the last one.
const PARTS: i64 = 16;
/// A part is at least so long: what is shorter is hardly more than a page.
const SHORTEST_PART: i64 = 900;
/// And so many of them at most.
const GUESSES: usize = 4;
/// A chain is cut only where so many pages are left of it.
const WORTH_CUTTING: f64 = 1.5;
/// Where records come in no order, a window takes its share of what is left divided by this much.
const SHARES: f64 = 2.0;
/// Such a window is no smaller than so many pages.
const SMALLEST: f64 = 2.0;
/// A cut is placed this much of a page before the end of a page, so that the seam costs little.
const MARGIN: f64 = 0.25;

/// A request is overdue once so many more were answered than were in flight with it.
const SLACK: usize = 2;
/// Where so many were overdue, the last few in flight are asked for a second time at the end, as nothing else
/// would tell that one of them is.
const OFTEN: usize = 3;
const LAST: usize = 4;

/// A chain that would end within so many pages at its pace is thought to keep that pace.
const NEAR: f64 = 4.0;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The chain's next page.
    Go(usize),
    /// A new chain.
    Start(Window),
    /// A new chain that asks for a gap.
    Probe(Window),
    /// A new chain in the place of one whose first request is overdue.
    Again(usize),
}

impl Scheduler {
    pub(super) fn plan(&self) -> Option<Step> {
        if self.in_flight >= self.options.max_in_flight.max(1) || self.is_done() {
            return None;
        }
        if let Some(index) = self.most_urgent() {
            return Some(Step::Go(index));
        }
        if let Some(gap) = self.gap_to_ask() {
            return Some(Step::Probe(gap));
        }
        let window = if self.chains.is_empty() {
            self.longest_range()
        } else {
            self.unclaimed_share()
        };
        window
            .or_else(|| self.cut())
            .map(Step::Start)
            .or_else(|| self.hedge())
    }

    /// The chain with the most left to read: the one that would be waited for.
    fn most_urgent(&self) -> Option<usize> {
        (0..self.chains.len())
            .filter(|at| self.chains[*at].is_ready() && self.chains[*at].seam == Seam::Open)
            .max_by(|a, b| self.chain_left(*a).total_cmp(&self.chain_left(*b)))
    }

    fn longest_range(&self) -> Option<Window> {
        self.ranges.iter().copied().max_by_key(Window::seconds)
    }

    /// A window out of what no chain has claimed.
    fn unclaimed_share(&self) -> Option<Window> {
        let unclaimed = self.unclaimed();
        let window = *unclaimed.iter().next()?;
        if self.is_guessing() && self.chains.len() > GUESSES {
            return None;
        }
        if self.is_guessing() {
            return Some(window.split_at(window.start + self.part()).0);
        }
        let ordered = matches!(self.mode, Mode::Ordered(_));
        let unscaled = self
            .density
            .sample
            .as_ref()
            .is_some_and(|sample| sample.is_fair() && !sample.is_known());
        let shares = if ordered { 1.0 } else { SHARES };
        let smallest = if unscaled { 0.0 } else { SMALLEST };
        let share = (self.pages_left() / (shares * as_f64(self.width))).max(smallest);
        if self.pages_in(window) <= 1.5 * share {
            return Some(window);
        }
        let cut = self.density.second_after(window, share * as_f64(self.page_size));
        Some(window.split_at(cut.max(window.start + 1)).0)
    }

    /// The far part of the chain with the most left to read.
    fn cut(&self) -> Option<Window> {
        let Mode::Ordered(order) = self.mode else {
            return None;
        };
        let left = |at: &usize| {
            self.chain_left(*at)
                - if self.chains[*at].flight.is_some() {
                    1.0
                } else {
                    0.0
                }
        };
        let victim = (0..self.chains.len())
            .filter(|at| {
                self.chains[*at].is_open()
                    && self.chains[*at].seam == Seam::Open
                    && !self.chains[*at].is_probe
            })
            .max_by(|a, b| left(a).total_cmp(&left(b)))?;
        let rest = left(&victim);
        if rest < WORTH_CUTTING {
            return None;
        }
        let fair = self.pages_left() / as_f64(self.width.max(self.in_flight + 1));
        let keep = if rest >= 2.0 * fair { fair } else { rest / 2.0 };
        let flying = self.chain_left(victim) - rest;
        let pages = (keep + flying).round().max(1.0) - MARGIN;
        self.beyond(order, victim, pages)
    }

    /// What an overdue chain has still to read, from its last whole second on, so that a seam can prove it.
    fn hedge(&self) -> Option<Step> {
        let late = |at: &usize| self.chains[*at].pages == 0 && self.is_overdue(*at);
        if let Some(at) = (0..self.chains.len()).find(late) {
            return Some(Step::Again(at));
        }
        let Mode::Ordered(order) = self.mode else {
            return None;
        };
        let all = self.overdue >= OFTEN && self.in_flight <= LAST;
        (0..self.chains.len())
            .filter(|at| self.is_overdue(*at) || all)
            .find_map(|at| {
                let chain = &self.chains[at];
                let from =
                    last_whole_second(chain, order).filter(|_| chain.is_open() && chain.flight.is_some())?;
                let window = Window::new(from, seam::boundary(&self.chains, at, order));
                (from > chain.begin(order) && !window.is_empty()).then(|| Step::Start(order.along(window)))
            })
    }

    /// Whether all that was in flight with a chain's request has been answered, but not that.
    pub(super) fn is_overdue(&self, at: usize) -> bool {
        let chain = &self.chains[at];
        chain.is_open()
            && chain
                .flight
                .is_some_and(|flight| self.landed - flight.landed > flight.others + SLACK)
    }

    /// What is left of a chain after so many pages more.
    fn beyond(&self, order: Order, at: usize, pages: f64) -> Option<Window> {
        let (near, far) = self.split_after(order, self.unread(order, at), pages);
        (!near.is_empty() && !far.is_empty()).then_some(far)
    }

    /// What the next page of a chain will bring, as far as can be guessed; none where none is to come.
    pub(super) fn next_page(&self, order: Order, at: usize) -> Option<Window> {
        let chain = &self.chains[at];
        let comes = chain.flight.is_some() || chain.seam == Seam::Open;
        let rest = Window::new(chain.reached(order), order.along(chain.covers).end);
        (chain.is_open() && comes).then(|| self.split_after(order, rest, 1.0).0)
    }

    /// Cuts a part of what is to be read, given in positions, behind so many pages; a second at least is
    /// before the cut.
    fn split_after(&self, order: Order, unread: Window, pages: f64) -> (Window, Window) {
        let unread = order.along(unread);
        let records = pages * as_f64(self.page_size);
        match order.direction {
            super::Direction::Ascending => {
                let cut = self.density.second_after(unread, records).max(unread.start + 1);
                unread.split_at(cut)
            }
            super::Direction::Descending => {
                let cut = self
                    .density
                    .second_after(unread, self.density.records(unread) - records);
                let (far, near) = unread.split_at(cut.min(unread.end - 1));
                (near, far)
            }
        }
    }

    /// What a chain has still to read before it meets the next one, in positions.
    fn unread(&self, order: Order, at: usize) -> Window {
        Window::new(
            self.chains[at].reached(order),
            seam::boundary(&self.chains, at, order),
        )
    }

    /// How many pages a chain has still to read, as far as can be guessed.
    pub(super) fn chain_left(&self, at: usize) -> f64 {
        let chain = &self.chains[at];
        if !chain.is_open() {
            return 0.0;
        }
        match self.mode {
            Mode::Ordered(order) => {
                let unread = self.unread(order, at);
                let (estimate, steady) = (
                    self.pages_in(order.along(unread)),
                    chain.pages_at_its_pace(order, unread),
                );
                steady
                    .filter(|pages| *pages < NEAR)
                    .map_or(estimate, |pages| pages.max(estimate))
            }
            _ => (self.pages_in(chain.covers) - as_f64(chain.records) / as_f64(self.page_size)).max(0.5),
        }
    }

    pub(super) fn pages_in(&self, window: Window) -> f64 {
        self.density.records(window) / as_f64(self.page_size)
    }

    /// How many pages are left in all.
    pub(super) fn pages_left(&self) -> f64 {
        let chains: f64 = (0..self.chains.len()).map(|at| self.chain_left(at)).sum();
        chains
            + self
                .unclaimed()
                .iter()
                .map(|window| self.pages_in(*window))
                .sum::<f64>()
    }

    /// What no chain reads or has read.
    pub(super) fn unclaimed(&self) -> Windows {
        let mut unclaimed = self.ranges.clone();
        unclaimed.subtract_all(&self.drained);
        let claiming = |(_, chain): &(usize, &Chain)| chain.counts() && !chain.is_probe;
        for (at, chain) in self.chains.iter().enumerate().filter(claiming) {
            if at == 0 && self.is_guessing() {
                let covers = chain.covers;
                unclaimed.subtract(Window::new(covers.start, covers.start + self.part()));
                unclaimed.subtract(Window::new(covers.end - self.part(), covers.end));
            } else {
                unclaimed.subtract(self.claim(at, chain));
            }
        }
        unclaimed
    }

    fn claim(&self, at: usize, chain: &Chain) -> Window {
        let Mode::Ordered(order) = self.mode else {
            return chain.covers;
        };
        let boundary = seam::boundary(&self.chains, at, order);
        let end = if chain.state == State::Dead {
            boundary.min(chain.reached(order))
        } else {
            boundary
        };
        order.along(Window::new(chain.begin(order), end))
    }

    /// Whether nothing is known yet but the range.
    fn is_guessing(&self) -> bool {
        self.mode == Mode::Unknown
            && self
                .chains
                .first()
                .is_some_and(|chain| chain.pages == 0 && chain.counts())
    }

    fn part(&self) -> i64 {
        self.chains
            .first()
            .map_or(0, |chain| (chain.covers.seconds() / PARTS).max(SHORTEST_PART))
    }
}
