//! A page as a sample of a whole range: where records come in no order, a first page shows where they lie.

use super::density::as_f64;
use crate::window::Window;

/// So many records of other chains are enough to judge a sample by.
const ENOUGH: usize = 20;
/// In a fair sample of many records hardly one in this many lies beyond the outermost.
const ONE_IN: usize = 20;

/// Times of records, taken for a fair sample as long as nothing contradicts that.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Sorted seconds.
    points: Vec<i64>,
    /// It spans most of the window that it was taken from.
    wide: bool,
    others: usize,
    outside: usize,
    /// Records behind each point; 0 as long as that is unknown.
    scale: f64,
    known: bool,
}

impl Sample {
    /// The times of a first page of `window`.
    pub(super) fn new(window: Window, mut points: Vec<i64>) -> Self {
        points.sort_unstable();
        let span = points
            .last()
            .zip(points.first())
            .map_or(0, |(last, first)| last - first);
        Self {
            points,
            wide: span * 2 > window.seconds(),
            others: 0,
            outside: 0,
            scale: 0.0,
            known: false,
        }
    }

    /// Judges it by records of other pages.
    pub(super) fn compare(&mut self, seconds: impl Iterator<Item = i64>) {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return;
        };
        for second in seconds {
            self.others += 1;
            self.outside += usize::from(second < *first || second > *last);
        }
    }

    /// A page that was sorted by something else than the time that is filtered shows one end of its window only.
    pub(super) fn is_fair(&self) -> bool {
        (self.wide || self.others >= ENOUGH)
            && self.outside * ONE_IN <= self.others
            && !self.points.is_empty()
    }

    /// How many records stand behind each point, and whether that is known or at least so many.
    pub(super) fn set_scale(&mut self, scale: f64, known: bool) {
        (self.scale, self.known) = (scale, known);
    }

    /// Whether the scale is known from windows that were read to their end.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// Whether half of what lies within `window` lies in one second, so that cutting it is of little use.
    pub(super) fn is_indivisible(&self, window: Window) -> bool {
        let below = |second| self.points.partition_point(|point| *point < second);
        let within = &self.points[below(window.start)..below(window.end)];
        within.len() >= 4 && within[within.len() / 4] == within[within.len() * 3 / 4]
    }

    /// Whether it says how many records a window holds, and not only how they are shared out.
    pub(super) fn is_scaled(&self) -> bool {
        self.scale > 0.0
    }

    /// Points within `window`, never quite none.
    pub(super) fn points(&self, window: Window) -> f64 {
        let below = |second| self.points.partition_point(|point| *point < second);
        as_f64(below(window.end) - below(window.start)).max(0.1)
    }

    /// The second behind the first so many points of `window`; its end where it has fewer.
    pub(super) fn second_of_point(&self, window: Window, points: usize) -> i64 {
        let first = self.points.partition_point(|point| *point < window.start);
        let end = self
            .points
            .get(first + points)
            .map_or(window.end, |point| point + 1);
        end.clamp(window.start + 1, window.end)
    }

    /// How many records `window` may hold.
    pub(super) fn records(&self, window: Window) -> f64 {
        self.points(window) * self.scale
    }

    /// Where in `window` so many records may have passed, from its start.
    pub(super) fn second_after(&self, window: Window, records: f64) -> i64 {
        let (mut low, mut high) = (window.start, window.end);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.records(Window::new(window.start, middle)) < records {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}
