//! What the server cannot do, and how requests adapt to it.

use super::{Limits, PageRequest, PlanError, Planner};
use crate::window::Window;

const DAY: i64 = 86_400;
const MINUTE: i64 = 60;
/// Ranges to try where a longer one was refused, in seconds.
pub(crate) const RANGES: [i64; 5] = [93 * DAY, 31 * DAY, 7 * DAY, DAY, 3_600];
/// Page sizes to try where a larger one failed.
const PAGES: [u32; 9] = [500, 250, 100, 50, 25, 10, 5, 2, 1];
/// Pages of one window are tried with this fraction of their records.
const TRIAL: u32 = 10;
/// So often may one window be started again because its cursor was invalid.
const MAX_RESTARTS: u32 = 16;
/// So many windows, and two for each page, may be started again before the cursors count as useless.
const FREE_RESTARTS: usize = 32;

impl Planner {
    /// Records to request in a page.
    pub(super) fn per_page(&self) -> u32 {
        let largest = self.limits.largest_page.unwrap_or(u32::MAX);
        self.options.per_page.min(largest).max(1)
    }

    /// The window to request for `covers`, where its bounds may not be exact.
    ///
    /// One second more is requested before it, until windows are known to include their first second. At the end of a
    /// range, where no other window follows, one second more is requested too: a server that rounds its times counts
    /// the end of the last second to the next one. A server may also round the bounds of a window inwards to minutes.
    /// Windows meet on whole minutes, so only the ends of a range can lose records: they are moved outwards to a whole
    /// minute. Whole hours would bring rows of other dates in time zones such as Asia/Kolkata.
    pub(super) fn requested_window(&self, covers: Window) -> Window {
        let before = i64::from(!self.observations.includes_first_second());
        let is_first = self.ranges.iter().any(|range| range.start == covers.start);
        let is_last = self.ranges.iter().any(|range| range.end == covers.end);
        let to_minute = |seconds: i64, is_outermost: bool| {
            if is_outermost {
                seconds.rem_euclid(MINUTE)
            } else {
                0
            }
        };
        // there is no second before 1970 to request
        Window::new(
            (covers.start - to_minute(covers.start, is_first).max(before)).max(covers.start.min(0)),
            covers.end + to_minute(-covers.end, is_last).max(i64::from(is_last)),
        )
    }

    /// The longest window, in seconds, that can be requested with both bounds moved to whole minutes.
    pub(super) fn longest_window(&self) -> i64 {
        let longest = self.limits.longest_range;
        longest.map_or(i64::MAX, |range| (range - 2 * MINUTE).max(1))
    }

    /// The server refused the first page of a window, perhaps because its range is too long. Returns whether
    /// shorter windows are requested in its place: they are, down to an hour.
    pub fn range_refused(&mut self, request: &PageRequest) -> bool {
        let seconds = request.requested.seconds();
        let Some(index) = self.end_request(request) else {
            return true;
        };
        let shorter = RANGES.into_iter().find(|range| *range < seconds);
        let (None, Some(shorter)) = (&request.cursor, shorter) else {
            return false;
        };
        let known = self.limits.longest_range.unwrap_or(i64::MAX);
        self.limits.longest_range = Some(known.min(shorter));
        self.chains[index].abandon();
        self.evaluate();
        true
    }

    /// The server failed to make a page several times, perhaps because it is too large; `is_certain` where it said
    /// so. Returns the size of the pages that are requested in its place; `None` where pages of the usual size are
    /// requested again, which then no longer [may shrink](PageRequest::may_shrink).
    ///
    /// Where no page of this size was ever served, all pages become smaller. Where some were, the records of this
    /// window may be larger than others, or nothing works at the moment. This window alone is tried in smaller pages,
    /// and in still smaller ones as long as the server says that they are too large or answers other requests.
    pub fn page_too_large(&mut self, request: &PageRequest, is_certain: bool) -> Option<u32> {
        let flight = self.chains.get(request.chain.0 as usize)?.flight;
        let index = self.end_request(request)?;
        let (size, usual) = (request.per_page, self.per_page());
        let is_served = self.largest_page * 2 > size as usize;
        let others_came = flight.is_some_and(|flight| self.pages > flight.pages);
        let smaller = if !is_served || is_certain {
            PAGES.into_iter().find(|smaller| *smaller < size)
        } else {
            let trial = (size > 1).then_some((size / TRIAL).max(1));
            trial.filter(|_| others_came || size == usual)
        };
        match smaller {
            None if size == usual => self.chains[index].is_patient = true,
            Some(smaller) if !is_served => {
                let known = self.limits.largest_page.unwrap_or(u32::MAX);
                self.limits.largest_page = Some(known.min(smaller));
                self.page_size = self.page_size.min(self.per_page() as usize);
                self.abandon(index);
            }
            _ => {
                let (covers, restarts) = (self.chains[index].covers, self.chains[index].restarts);
                self.abandon(index);
                let again = self.start(covers, restarts);
                self.chains[again].per_page = smaller.unwrap_or(usual);
                self.chains[again].is_patient = smaller.is_none();
            }
        }
        self.evaluate();
        smaller
    }

    /// Starts a chain again whose cursor is of no use any more.
    pub(super) fn restart(&mut self, at: usize, is_expired: bool) -> Result<(), PlanError> {
        self.restarted += 1;
        let chain = &mut self.chains[at];
        let died = PlanError::CursorExpires {
            window: chain.requested,
            times: chain.restarts + 1,
        };
        if self.restarted > FREE_RESTARTS + 2 * self.records / self.page_size.max(1) {
            return Err(died);
        }
        let restarts = chain.restarts + 1;
        if restarts > MAX_RESTARTS {
            return Err(died);
        }
        if chain.cursor.is_none() {
            chain.restarts = restarts;
            return Ok(());
        }
        let (covers, pages) = (chain.covers, f64::from(chain.pages));
        if is_expired {
            self.window_pages = self.window_pages.min(pages.max(1.0));
        }
        self.abandon(at);
        let (first, second) = covers.split_at(covers.start + covers.seconds() / 2);
        // its cursors may not live long enough for so many pages
        if restarts > 1 && !first.is_empty() {
            self.start(first, restarts);
            self.start(second, restarts);
        } else {
            self.start(covers, restarts);
        }
        Ok(())
    }

    /// What the server cannot do, as far as is known.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }
}
