//! Chooses the next request.

use super::density::as_f64;
use super::listing::{SuspectEnd, SuspectKind};
use super::{CursorStyle, Direction, Planner};
use crate::window::{Window, Windows};

/// Before the first response, the complete range is requested, and the parts with these indices of this many equal
/// parts.
const PARTS: i64 = 24;
const GUESSES: [i64; 4] = [12, 3, 18, 7];
/// Minimum seconds of such a part: a shorter one has hardly more than a page.
const SHORTEST_PART: i64 = 900;
/// Maximum and usual minimum pages of a window. Many servers end a listing after 10,000 records.
const MOST: f64 = 9.5;
const LEAST: f64 = 1.5;
/// Maximum pages of a window after alignment.
const MOST_ALIGNED: f64 = 9.9;
/// Maximum records of a window, as a share of the known length at which this server ends listings.
const SHARE_OF_CAP: f64 = 0.6;
/// A remainder of at most this share is added to the window.
const REMAINDER: f64 = 0.2;
/// Bounds are aligned to days, hours or minutes if this shortens or extends a window by at most these shares.
const ALIGNMENT_DOWN: f64 = 0.35;
const ALIGNMENT_UP: f64 = 0.2;
const UNITS: [i64; 3] = [86_400, 3_600, 60];
/// If the number of records is well known, a window ends by this share, and this part of a page, before its last page
/// is full, so that it rarely needs another page.
const ERROR_SHARE: f64 = 0.02;
const ERROR_PAGES: f64 = 0.1;

/// A request is overdue if this many more requests ended than were in flight with it.
const SLACK: usize = 2;
/// After this many overdue requests, the last few requests in flight are repeated at the end, since no other request
/// would show that one of them is overdue.
const OFTEN: usize = 3;
const LAST: usize = 4;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Request the next page of a chain.
    Continue(usize),
    /// Start a chain.
    Start(Window),
    /// Repeat the overdue request of a chain.
    Repeat(usize),
}

impl Planner {
    pub(super) fn choose(&self) -> Option<Step> {
        if self.in_flight >= self.options.max_in_flight.max(1) || self.is_done() {
            return None;
        }
        if let Some(index) = self.most_urgent() {
            return Some(Step::Continue(index));
        }
        self.unlisted_window()
            .or_else(|| self.suspect_window())
            .map(Step::Start)
            .or_else(|| self.overdue_chain().map(Step::Repeat))
    }

    /// Returns the chain with the most pages left, which determines the end of the run.
    fn most_urgent(&self) -> Option<usize> {
        (0..self.chains.len())
            .filter(|at| self.chains[*at].is_ready())
            .max_by(|a, b| self.chain_left(*a).total_cmp(&self.chain_left(*b)))
    }

    /// Returns a window that no chain has listed.
    fn unlisted_window(&self) -> Option<Window> {
        if self.is_guessing() {
            return self.guess();
        }
        let window = *self.unclaimed(&self.unlisted).iter().next()?;
        Some(self.cut(window, i64::MAX))
    }

    /// Returns a window to read a suspect part again. Suspect ends that other responses may resolve come last.
    fn suspect_window(&self) -> Option<Window> {
        // the latest suspect ends have the smallest windows
        self.suspect_ends.iter().rev().find_map(|suspect| {
            if suspect.may_resolve() && (self.in_flight >= self.concurrency || self.may_clear_up(suspect)) {
                return None;
            }
            let mut part = self.ranges.intersect(suspect.part);
            part.subtract_all(&self.complete);
            for other in self.suspect_ends.iter().filter(|other| other.is_unsplittable()) {
                part.subtract(other.part);
            }
            let window = *self.unclaimed(&part).iter().next()?;
            let meets = |other: &&SuspectEnd| !other.part.intersect(window).is_empty();
            let splits = self.suspect_ends.iter().filter(meets).map(|other| other.split);
            let split = splits.filter(|split| window.start < *split).min();
            let window = window.split_at(split.unwrap_or(window.end)).0;
            let longest = self
                .suspect_ends
                .iter()
                .filter(meets)
                .map(|other| other.longest)
                .min();
            Some(self.cut(window, longest.unwrap_or(i64::MAX)))
        })
    }

    /// Whether an open chain may become the longest one, so that the longest listing needs no check.
    fn may_clear_up(&self, suspect: &SuspectEnd) -> bool {
        suspect.kind == SuspectKind::Longest
            && (0..self.chains.len()).any(|at| {
                let chain = &self.chains[at];
                let records = as_f64(chain.records.len()) + self.chain_left(at) * as_f64(self.page_size);
                chain.is_open() && records >= as_f64(self.evidence.longest)
            })
    }

    /// Returns the start of a window, of a suitable size.
    fn cut(&self, window: Window, longest: i64) -> Window {
        if !self.options.splits && longest == i64::MAX {
            return window;
        }
        let share = (self.pages_left() / as_f64(self.concurrency))
            .max(LEAST)
            .min(self.most_pages());
        let longest = longest.min(self.longest_window());
        let pages = self.pages_in(window);
        let end = if let Some(end) = self.density.end_of_trial(window) {
            end
        } else if pages <= (1.0 + REMAINDER) * share && pages <= self.most_pages() {
            window.end
        } else {
            let records = self.full_pages(window, share) * as_f64(self.page_size);
            self.density.second_after(window, records).max(window.start + 1)
        };
        let most = window.start.saturating_add(longest).min(window.end);
        let mut end = if end >= most {
            most
        } else {
            let units = match self.density.is_precise(Window::new(window.start, end)) {
                true => &UNITS[2..],
                false => &UNITS,
            };
            let records = MOST_ALIGNED.max(share) * as_f64(self.page_size);
            align(
                window.start,
                end,
                most.min(self.density.second_after(window, records)),
                units,
            )
        };
        // a window that was too long must become shorter
        while end - window.start > 1 && self.was_too_long(Window::new(window.start, end)) {
            end = window.start + (end - window.start) / 2;
        }
        // with bounds on whole minutes, servers that round bounds lose nothing
        if end < window.end && end - window.start > 120 {
            end -= end.rem_euclid(60);
        }
        Window::new(window.start, end)
    }

    /// Returns the number of pages for a window at the start of `window`: full pages if the number of records is
    /// known.
    fn full_pages(&self, window: Window, share: f64) -> f64 {
        let pages = (share + 0.3).floor();
        match self.density.is_precise(window) && pages >= 2.0 {
            true => pages * (1.0 - ERROR_SHARE) - ERROR_PAGES,
            false => share,
        }
    }

    fn was_too_long(&self, window: Window) -> bool {
        let mut abandoned = self.too_long.range(window.start..=window.start);
        abandoned.any(|(_, end)| *end <= window.end)
    }

    /// Returns the maximum pages of a window.
    pub(super) fn most_pages(&self) -> f64 {
        let cap = self
            .evidence
            .cap
            .map_or(f64::INFINITY, |cap| SHARE_OF_CAP * as_f64(cap));
        MOST.min(self.window_pages).min(cap / as_f64(self.page_size))
    }

    /// Returns a chain whose overdue request may be repeated.
    fn overdue_chain(&self) -> Option<usize> {
        let often = self.overdue >= OFTEN && self.in_flight <= LAST;
        (0..self.chains.len()).find(|at| {
            let chain = &self.chains[*at];
            let repeatable = chain.cursor.is_none() || self.cursors == CursorStyle::Changes;
            let in_flight = chain.is_open() && chain.requests == 1 && chain.flight.is_some();
            in_flight && repeatable && (often || self.is_overdue(*at))
        })
    }

    /// Whether more requests ended than were in flight with the request of a chain, but not that one.
    pub(super) fn is_overdue(&self, at: usize) -> bool {
        let chain = &self.chains[at];
        chain.is_open()
            && chain
                .flight
                .is_some_and(|flight| self.requests_ended - flight.requests_ended > flight.others + SLACK)
    }

    /// Whether only the range is known.
    fn is_guessing(&self) -> bool {
        self.pages == 0 && self.options.density.is_empty() && self.options.splits
    }

    /// Returns the complete range, then single parts of it.
    fn guess(&self) -> Option<Window> {
        let range = self.ranges.iter().copied().max_by_key(Window::seconds)?;
        let longest = self.longest_window();
        let open = |window: Window| {
            let mut open = self.chains.iter().filter(|chain| chain.is_open());
            open.any(|chain| chain.covers == window)
        };
        if !self.chains.iter().any(super::Chain::is_open) {
            return Some(range.split_at(range.start.saturating_add(longest)).0);
        }
        let length = (range.seconds() / PARTS).max(SHORTEST_PART);
        let part = |number: i64| {
            let start = align(range.start, range.start + number * length, range.end, &UNITS);
            let end = start.saturating_add(length.min(longest));
            Window::new(start, align(start, end, start.saturating_add(longest), &UNITS)).intersect(range)
        };
        let mut parts = GUESSES.into_iter().map(part);
        parts.find(|part| !part.is_empty() && !open(*part))
    }

    /// Returns the estimated pages that a chain has left.
    pub(super) fn chain_left(&self, at: usize) -> f64 {
        let chain = &self.chains[at];
        if !chain.is_open() {
            return 0.0;
        }
        let read = as_f64(chain.records.len()) / as_f64(self.page_size);
        let field = self.observations.likely_filter();
        let Some((field, unread)) = field.and_then(|field| Some((field, chain.unread(field)?))) else {
            return (self.pages_in(chain.covers) - read).max(0.5);
        };
        let latest = chain.latest(field);
        self.density.records_like(unread, latest, chain.planned) / as_f64(self.page_size)
    }

    /// Returns the order of a chain's records; `None` if they are unordered.
    pub(super) fn direction(&self, at: usize) -> Option<Direction> {
        self.chains[at].direction(self.observations.likely_filter()?)
    }

    pub(super) fn pages_in(&self, window: Window) -> f64 {
        self.density.records(window) / as_f64(self.page_size)
    }

    /// Returns the estimated pages that are left in total.
    pub(super) fn pages_left(&self) -> f64 {
        let chains: f64 = (0..self.chains.len()).map(|at| self.chain_left(at)).sum();
        let mut unread = self.unlisted.clone();
        let suspect_ends = self.suspect_ends.iter().filter(|suspect| !suspect.may_resolve());
        unread.extend(suspect_ends.map(|suspect| suspect.part));
        let unclaimed = self.unclaimed(&unread);
        chains + unclaimed.iter().map(|window| self.pages_in(*window)).sum::<f64>()
    }

    /// Returns the part of a set that no open chain reads.
    fn unclaimed(&self, set: &Windows) -> Windows {
        let mut unclaimed = set.clone();
        for chain in self.chains.iter().filter(|chain| chain.is_open()) {
            unclaimed.subtract(chain.covers);
        }
        unclaimed
    }
}

/// Aligns a bound near `end` to a unit if it is close enough, after `start` and at most `most`. Servers that round
/// bounds then lose nothing between two windows, and a busy day has windows of its own.
fn align(start: i64, end: i64, most: i64, units: &[i64]) -> i64 {
    let seconds = as_f64(end - start);
    units
        .iter()
        .copied()
        .flat_map(|unit| {
            let before = end.div_euclid(unit) * unit;
            [(before, ALIGNMENT_DOWN), (before + unit, ALIGNMENT_UP)]
        })
        .find(|(at, tolerance)| start < *at && *at <= most && as_f64(at.abs_diff(end)) <= tolerance * seconds)
        .map_or(end, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::{UNITS, align};

    #[test]
    fn bounds_are_whole_units_where_that_is_near() {
        let align = |start, end, most| align(start, end, most, &UNITS);
        assert_eq!(align(0, 10 * 86_400 + 9_000, i64::MAX), 10 * 86_400);
        assert_eq!(align(0, 50_000, i64::MAX), 13 * 3_600);
        assert_eq!(align(0, 1_830, i64::MAX), 1_800);
        assert_eq!(align(0, 100, i64::MAX), 120);
        assert_eq!(align(0, 50, 59), 50);
    }
}
