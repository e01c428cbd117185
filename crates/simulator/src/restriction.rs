//! What the server silently or loudly does not do: long ranges, exact bounds, large pages.

use std::io;
use std::time::Duration;

use super::options::Options;
use super::select::Window;

/// A range longer than so many seconds is shortened without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeCap {
    /// To its first so many seconds.
    First(u32),
    /// To its last so many seconds.
    Last(u32),
}

/// The bounds of a window are rounded to multiples of so many seconds, such as 60 or 3,600.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The start up and the end down: records next to either bound are not in the window.
    Inward(u32),
    /// The start down and the end up: records from beyond the bounds are in the window, too.
    Outward(u32),
}

/// Pages that the server can't make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRefusal {
    /// The largest number of records that a page may have.
    pub records: u32,
    /// What is compared with it.
    pub measure: PageMeasure,
    /// What a request for a larger page gets.
    pub answer: PageAnswer,
}

/// How large a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageMeasure {
    /// As large as the request's `per_page`, however few records there are.
    Requested,
    /// As large as the number of records that the page would have.
    Served,
}

/// What is sent in place of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageAnswer {
    /// An error status, such as 413, 502 or 504.
    Status(u16),
    /// Nothing for so long; then the connection is closed.
    Silence(Duration),
}

impl PageRefusal {
    /// What is sent in place of a page of `served` records for a request of `per_page`.
    pub(super) fn of(self, per_page: u32, served: usize) -> Option<PageAnswer> {
        let size = match self.measure {
            PageMeasure::Requested => per_page as usize,
            PageMeasure::Served => served,
        };
        (size > self.records as usize).then_some(self.answer)
    }
}

/// The window that is read for a request for `window`.
pub(super) fn effective(options: &Options, window: Window) -> Window {
    let Window {
        mut start, mut end, ..
    } = window;
    let down = |second: i64, unit: u32| second - second.rem_euclid(unit.max(1).into());
    let up = |second: i64, unit: u32| down(second + i64::from(unit.max(1)) - 1, unit);
    match options.rounding {
        None => {}
        Some(Rounding::Inward(unit)) => (start, end) = (up(start, unit), down(end, unit)),
        Some(Rounding::Outward(unit)) => (start, end) = (down(start, unit), up(end, unit)),
    }
    match options.range_cap {
        None => {}
        Some(RangeCap::First(most)) => end = end.min(start.saturating_add(most.into())),
        Some(RangeCap::Last(most)) => start = start.max(end.saturating_sub(most.into())),
    }
    Window { start, end, ..window }
}

/// Refuses settings that make no sense.
pub(super) fn check(options: &Options) -> io::Result<()> {
    let is_error = |code: u16| (400..600).contains(&code);
    let page_status = match options.page_refused_above.map(|refusal| refusal.answer) {
        Some(PageAnswer::Status(code)) => code,
        _ => 502,
    };
    let wrong = if !is_error(page_status) {
        "page_refused_above has no error status"
    } else if !is_error(options.dead_cursor) && options.dead_cursor != 200 {
        "dead_cursor is neither 200 nor an error status"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(start: i64, end: i64, options: &Options) -> (i64, i64) {
        let window = Window {
            start,
            end,
            conversation: None,
        };
        let effective = effective(options, window);
        (effective.start, effective.end)
    }

    #[test]
    fn ranges_are_shortened_and_rounded() {
        let capped = |range_cap| Options {
            range_cap: Some(range_cap),
            ..Options::default()
        };
        assert_eq!(of(100, 200, &capped(RangeCap::First(30))), (100, 130));
        assert_eq!(of(100, 200, &capped(RangeCap::Last(30))), (170, 200));
        assert_eq!(of(100, 130, &capped(RangeCap::Last(30))), (100, 130));
        let rounded = |rounding| Options {
            rounding: Some(rounding),
            ..Options::default()
        };
        assert_eq!(of(61, 179, &rounded(Rounding::Inward(60))), (120, 120));
        assert_eq!(of(61, 179, &rounded(Rounding::Outward(60))), (60, 180));
        assert_eq!(of(60, 180, &rounded(Rounding::Inward(60))), (60, 180));
        assert_eq!(of(60, 180, &Options::default()), (60, 180));
    }

    #[test]
    fn a_page_is_refused_by_what_is_measured() {
        let refusal = |measure| PageRefusal {
            records: 100,
            measure,
            answer: PageAnswer::Status(502),
        };
        let refused = |measure, per_page, served| refusal(measure).of(per_page, served).is_some();
        assert!(refused(PageMeasure::Requested, 101, 0));
        assert!(!refused(PageMeasure::Requested, 100, 100));
        assert!(!refused(PageMeasure::Served, 1000, 100));
        assert!(refused(PageMeasure::Served, 1000, 101));
    }
}
