//! Long gaps in what a chain has read. Where a chain is cut short, its gaps are believed to be empty for no better
//! reason than the order: an archive that gives its newest part first, each part in order, looks just the same. So
//! each long gap is asked for by a request of its own, and a record in it makes the order fall.

use super::belief::{Mode, Order, Seen};
use super::chain::State;
use super::density::as_f64;
use super::{Scheduler, seam};
use crate::window::Window;

/// A gap is long where this part of a page would usually lie in it: before a chain's first record, where every
/// order by parts shows, and between two records, where quiet nights do.
const BEFORE: f64 = 0.05;
const BETWEEN: f64 = 0.25;
/// Shorter than this is no gap worth a request. Seconds.
const SHORTEST: i64 = 30;
/// Once so many gaps between records were asked for and were empty, those are usual that are no longer than twice
/// the longest of them: traffic has its rhythm.
const USUAL: usize = 4;

/// A long gap in what a chain has read, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    window: Window,
    /// It lies before the chain's first record.
    is_first: bool,
}

impl Scheduler {
    /// Notes the gaps that a chain's last page shows, behind the position `from` that was reached before. Answers
    /// whether all that is known agrees: no other chain has read a record in a gap.
    pub(super) fn note_gaps(&mut self, at: usize, from: i64, order: Order) -> bool {
        let chain = &self.chains[at];
        let places: Vec<i64> = chain.tail.iter().filter_map(|seen| order.of(seen)).collect();
        let (Some(first), Some(last)) = (places.first().copied(), places.last().copied()) else {
            return true;
        };
        self.spanned.0 += as_f64((last - first).max(1));
        self.spanned.1 += as_f64(places.len());
        let usual = as_f64(self.page_size) * self.spanned.0 / self.spanned.1;
        let is_first = chain.pages == 1;
        let before = Window::new(from + i64::from(!is_first), first);
        let between = places
            .windows(2)
            .map(|pair| (Window::new(pair[0] + 1, pair[1]), false));
        let covers = order.along(chain.covers);
        let long: Vec<Gap> = std::iter::once((before, is_first))
            .chain(between)
            .map(|(gap, is_first)| (gap.intersect(covers), is_first))
            .filter(|(gap, is_first)| {
                let part = if *is_first { BEFORE } else { BETWEEN };
                gap.seconds() >= SHORTEST && as_f64(gap.seconds()) > part * usual
            })
            .map(|(gap, is_first)| Gap {
                window: order.along(gap),
                is_first,
            })
            .collect();
        let field = order.field;
        let seconds = |seen: &Seen| seen.second(field);
        let is_empty = |gap: &Gap| {
            let (start, end) = (gap.window.start, gap.window.end);
            self.landmarks.range(start..end).next().is_none()
        };
        let agrees = long.iter().all(is_empty)
            && self.chains.iter().enumerate().all(|(other, chain)| {
                let mine = &self.chains[at].tail;
                let hit = |gap: &Gap| {
                    let mut seconds = mine.iter().filter_map(seconds);
                    seconds.any(|second| gap.window.contains(second))
                };
                other == at || !chain.counts() || !chain.gaps.iter().any(hit)
            });
        let ends = [self.chains[at].tail.first(), self.chains[at].tail.last()];
        self.landmarks
            .extend(ends.into_iter().flatten().filter_map(seconds));
        self.chains[at].gaps.extend(long);
        agrees
    }

    /// A gap that only the order speaks for, and that nobody has asked for yet.
    pub(super) fn gap_to_ask(&self) -> Option<Window> {
        let Mode::Ordered(order) = self.mode else {
            return None;
        };
        let is_cut =
            |at: usize| seam::boundary(&self.chains, at, order) < order.along(self.chains[at].covers).end;
        let is_asked = |gap: &Gap| {
            let mut probes = self.chains.iter().filter(|chain| chain.is_probe);
            probes.any(|probe| probe.covers == gap.window)
        };
        self.chains
            .iter()
            .enumerate()
            .filter(|(at, chain)| {
                matches!(chain.state, State::Open | State::Dead) && !chain.gaps.is_empty() && is_cut(*at)
            })
            .flat_map(|(_, chain)| &chain.gaps)
            .find(|gap| !self.is_empty_for_good(gap) && !is_asked(gap))
            .map(|gap| gap.window)
    }

    /// Whether no long gap of a chain is still in question.
    pub(super) fn gaps_are_empty(&self, at: usize) -> bool {
        self.chains[at].gaps.iter().all(|gap| self.is_empty_for_good(gap))
    }

    /// Whether the API said itself that nothing lies in a gap, or said so of enough others like it.
    fn is_empty_for_good(&self, gap: &Gap) -> bool {
        let proven = |probe: &&super::Chain| probe.is_probe && probe.state == State::Ended;
        let lengths = self
            .chains
            .iter()
            .filter(proven)
            .map(|probe| probe.covers.seconds());
        let is_usual = || {
            lengths.clone().count() >= USUAL
                && lengths.clone().any(|length| gap.window.seconds() <= 2 * length)
        };
        self.drained.covers(gap.window) || (!gap.is_first && is_usual())
    }

    /// Whether a chain that asks for a gap has found a record in it.
    pub(super) fn gap_is_filled(&self, at: usize, order: Order) -> bool {
        let chain = &self.chains[at];
        let within = |seen: &Seen| {
            seen.second(order.field)
                .is_some_and(|second| chain.covers.contains(second))
        };
        chain.is_probe && chain.head.iter().any(within)
    }
}
