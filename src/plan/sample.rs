//! Uses the first page of a range with unordered records as a sample of their distribution.

use super::density::as_f64;
use crate::window::Window;

/// Minimum records of other chains to judge a sample.
const ENOUGH: usize = 20;
/// In a fair sample of many records, at most one in this many is outside its bounds.
const ONE_IN: usize = 20;

/// Times of records that are assumed to be a fair sample until other pages contradict.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Sorted seconds.
    points: Vec<i64>,
    /// Whether it spans most of its window.
    wide: bool,
    others: usize,
    outside: usize,
    /// Records per point; 0 if unknown.
    scale: f64,
    known: bool,
}

impl Sample {
    /// Creates a sample from the times of a first page of `window`.
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

    /// Compares it with records of other pages.
    pub(super) fn compare(&mut self, seconds: impl Iterator<Item = i64>) {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return;
        };
        for second in seconds {
            self.others += 1;
            self.outside += usize::from(second < *first || second > *last);
        }
    }

    /// Whether it is fair. A page that is sorted by another time than the filtered one shows only one end of its
    /// window.
    pub(super) fn is_fair(&self) -> bool {
        (self.wide || self.others >= ENOUGH)
            && self.outside * ONE_IN <= self.others
            && !self.points.is_empty()
    }

    /// Sets the records per point, and whether it is known or a lower bound.
    pub(super) fn set_scale(&mut self, scale: f64, known: bool) {
        (self.scale, self.known) = (scale, known);
    }

    /// Whether the records per point are known from complete windows.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// Whether one second has at least half of the points within `window`, so that splitting does not help.
    pub(super) fn is_indivisible(&self, window: Window) -> bool {
        let below = |second| self.points.partition_point(|point| *point < second);
        let within = &self.points[below(window.start)..below(window.end)];
        within.len() >= 4 && within[within.len() / 4] == within[within.len() * 3 / 4]
    }

    /// Whether it shows the number of records, not only their distribution.
    pub(super) fn is_scaled(&self) -> bool {
        self.scale > 0.0
    }

    /// Returns the points within `window`, always more than 0.
    pub(super) fn points(&self, window: Window) -> f64 {
        let below = |second| self.points.partition_point(|point| *point < second);
        as_f64(below(window.end) - below(window.start)).max(0.1)
    }

    /// Returns the second after the first `points` points of `window`, or its end.
    pub(super) fn second_of_point(&self, window: Window, points: usize) -> i64 {
        let first = self.points.partition_point(|point| *point < window.start);
        let end = self
            .points
            .get(first + points)
            .map_or(window.end, |point| point + 1);
        end.clamp(window.start + 1, window.end)
    }

    /// Estimates the records of `window`.
    pub(super) fn records(&self, window: Window) -> f64 {
        self.points(window) * self.scale
    }

    /// Estimates the second up to which `window` has so many records.
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
