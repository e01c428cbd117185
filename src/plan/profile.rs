//! Daily variation of traffic: the share of each hour, from complete days.

use super::density::{as_f64, rounded};
use crate::window::Window;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// Minimum records of a day.
const ENOUGH_RECORDS: usize = 100;
/// Longer windows are not split into hours.
const LONGEST: i64 = 45 * DAY;

/// Relative traffic of each hour of the day in UTC.
#[derive(Debug, Clone, Default)]
pub(super) struct Profile {
    sums: [f64; 24],
    days: u32,
}

/// Weight of earlier runs in days.
const EARLIER_DAYS: u32 = 3;

impl Profile {
    /// Creates a profile with the knowledge of an [earlier run](Self::learned).
    pub(super) fn new(earlier: Option<[u16; 24]>) -> Self {
        earlier.map_or_else(Self::default, |hours| Self {
            sums: hours.map(|share| f64::from(share) / 1_000.0 * f64::from(EARLIER_DAYS)),
            days: EARLIER_DAYS,
        })
    }

    /// Returns the share of each hour in thousandths of the mean hour; `None` if nothing is known.
    pub(super) fn learned(&self) -> Option<[u16; 24]> {
        let share =
            |sum: f64| u16::try_from(rounded(sum / f64::from(self.days) * 1_000.0)).unwrap_or(u16::MAX);
        (self.days > 0).then(|| self.sums.map(share))
    }

    /// Adds a window that was read, with the sorted seconds of its records.
    pub(super) fn learn(&mut self, window: Window, seconds: &[i64]) {
        let mut start = window.start;
        while start + DAY <= window.end {
            let until = |bound: i64| seconds.partition_point(|second| *second < bound);
            let day = &seconds[until(start)..until(start + DAY)];
            if day.len() >= ENOUGH_RECORDS {
                for second in day {
                    self.sums[hour(*second)] += 24.0 / as_f64(day.len());
                }
                self.days += 1;
            }
            start += DAY;
        }
    }

    /// Whether anything was learned.
    pub(super) fn is_known(&self) -> bool {
        self.days > 0
    }

    /// Returns the relative traffic of an hour: 1 is the mean.
    fn share(&self, hour: usize) -> f64 {
        match self.days {
            0 => 1.0,
            // an hour without records on a few days may have some on others
            days => (self.sums[hour] / f64::from(days)).max(0.02),
        }
    }

    /// Returns the seconds of a window, weighted by the hour.
    pub(super) fn weight(&self, window: Window) -> f64 {
        if self.days == 0 || window.seconds() > LONGEST {
            return as_f64(window.seconds());
        }
        let pieces = self.hours(window);
        pieces
            .map(|piece| self.share(hour(piece.start)) * as_f64(piece.seconds()))
            .sum()
    }

    /// Splits a window into hours, unless there is no profile.
    pub(super) fn hours(&self, window: Window) -> impl Iterator<Item = Window> {
        let is_even = self.days == 0 || window.seconds() > LONGEST;
        let mut start = window.start;
        std::iter::from_fn(move || {
            let next = if is_even {
                window.end
            } else {
                (start.div_euclid(HOUR) + 1) * HOUR
            };
            let piece = Window::new(start, next.min(window.end));
            start = piece.end;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

fn hour(second: i64) -> usize {
    usize::try_from(second.rem_euclid(DAY) / HOUR).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_learned_from_whole_days() {
        let mut profile = Profile::default();
        let day = Window::new(0, DAY);
        assert!((profile.weight(day) - as_f64(DAY)).abs() < 1e-6);
        assert_eq!(profile.hours(day).count(), 1);
        // all records are in the first half of the day
        let seconds: Vec<i64> = (0..1_200).map(|number| number * 36).collect();
        profile.learn(Window::new(0, DAY - 1), &seconds);
        assert_eq!(profile.hours(day).count(), 1);
        profile.learn(day, &seconds);
        assert_eq!(profile.hours(Window::new(1_800, DAY)).count(), 24);
        let (first, second) = day.split_at(DAY / 2);
        assert!((profile.weight(first) - as_f64(DAY)).abs() < 1e-6);
        assert!(profile.weight(second) < 0.03 * profile.weight(first));
    }
}
