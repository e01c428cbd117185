//! Limits of the server, and how requests adapt to them.

use super::{Limits, PageRequest, PlanError, Planner};
use crate::window::Window;

const DAY: i64 = 86_400;
const MINUTE: i64 = 60;
/// Ranges in seconds to try after a longer one was refused.
pub(crate) const RANGES: [i64; 5] = [93 * DAY, 31 * DAY, 7 * DAY, DAY, 3_600];
/// Page sizes to try after a larger one failed.
const PAGES: [u32; 9] = [500, 250, 100, 50, 25, 10, 5, 2, 1];
/// A single window is tried with pages of this fraction.
const TRIAL: u32 = 10;
/// Maximum restarts of a window because of invalid cursors.
const MAX_RESTARTS: u32 = 16;
/// Maximum restarts of all windows, plus two per page, until cursors count as useless.
const FREE_RESTARTS: usize = 32;

impl Planner {
    /// Returns the records to request per page.
    pub(super) fn per_page(&self) -> u32 {
        let largest = self.limits.largest_page.unwrap_or(u32::MAX);
        self.options.per_page.min(largest).max(1)
    }

    /// Returns the window to request for `covers`, whose bounds may not be exact.
    ///
    /// It begins one second earlier until windows are known to include their first second. At the end of a range,
    /// where no window follows, it ends one second later: a server that rounds times counts the end of the last
    /// second to the next one. A server may also round bounds inwards to minutes. Windows meet at whole minutes, so
    /// only the ends of a range can lose records: they are extended to a whole minute. Whole hours would add rows of
    /// other dates in time zones such as Asia/Kolkata.
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
        // no time before 1970 can be requested
        Window::new(
            (covers.start - to_minute(covers.start, is_first).max(before)).max(covers.start.min(0)),
            covers.end + to_minute(-covers.end, is_last).max(i64::from(is_last)),
        )
    }

    /// Returns the maximum seconds of a window whose bounds are extended to whole minutes.
    pub(super) fn longest_window(&self) -> i64 {
        let longest = self.limits.longest_range;
        longest.map_or(i64::MAX, |range| (range - 2 * MINUTE).max(1))
    }

    /// Adapts to a refusal of the first page of a window, perhaps because of its range. Returns whether shorter
    /// windows are requested instead, down to one hour.
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

    /// Adapts to a page that failed several times, perhaps because it is too large; `is_certain` if the server says
    /// so. Returns the new page size, or `None` if pages of the usual size are retried, which then [cannot
    /// shrink](PageRequest::may_shrink).
    ///
    /// If no page of this size ever succeeded, all pages become smaller. Otherwise only this window gets smaller
    /// pages, since its records may be larger or the server may be failing. They become smaller again as long as the
    /// server says that they are too large, or responds to other requests.
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

    /// Restarts a chain whose cursor is invalid.
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
        // cursors may expire before so many pages
        if restarts > 1 && !first.is_empty() {
            self.start(first, restarts);
            self.start(second, restarts);
        } else {
            self.start(covers, restarts);
        }
        Ok(())
    }

    /// Returns the known limits of the server.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }
}
