//! Estimates how many records a window has, from the pages so far. Estimates determine the size of windows, never
//! whether one is complete.

use super::counts::RecordCounts;
use super::profile::Profile;
use super::sample::Sample;
use crate::window::Window;

/// The planned density is used unless a page differs from it by more than this factor.
const FAR: f64 = 5.0;
/// Estimated pages of a range if nothing is known.
const GUESSED_PAGES: f64 = 64.0;
/// Minimum share of a page next to a gap for an estimate of the gap.
const ENOUGH_PAGES: f64 = 0.3;

/// Points of a sample in the window that calibrates it.
const TRIAL_POINTS: usize = 12;

/// Number of records over time, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Density {
    observed: RecordCounts,
    /// Records of earlier runs.
    earlier: RecordCounts,
    /// Variation of traffic within a day.
    pub(super) profile: Profile,
    /// The first page of the range, if its records are unordered.
    pub(super) sample: Option<Sample>,
    /// Records per second if nothing is known.
    guess: f64,
    /// Minimum records next to a gap for an estimate of it.
    enough: f64,
}

impl Density {
    /// Creates the estimate for `hull` from the page size and the records of earlier runs.
    pub(super) fn new(hull: Window, per_page: f64, earlier: &[(Window, u64)]) -> Self {
        let mut before = RecordCounts::default();
        for (window, records) in earlier {
            before.add(*window, as_f64(*records));
        }
        Self {
            observed: RecordCounts::default(),
            earlier: before,
            profile: Profile::default(),
            sample: None,
            guess: GUESSED_PAGES * per_page / as_f64(hull.seconds()).max(1.0),
            enough: ENOUGH_PAGES * per_page,
        }
    }

    /// Adds a window that was read, and its number of records.
    pub(super) fn observe(&mut self, window: Window, records: usize) {
        self.observed.add(window, as_f64(records));
    }

    /// Returns the sample if it is fair and calibrated.
    fn scaled(&self) -> Option<&Sample> {
        self.sample
            .as_ref()
            .filter(|sample| sample.is_fair() && sample.is_scaled())
    }

    /// Whether the number of records is known, not only their distribution by a sample.
    pub(super) fn is_known(&self) -> bool {
        self.sample
            .as_ref()
            .is_none_or(|sample| !sample.is_fair() || sample.is_known())
    }

    /// Returns the end of the first part of `window` that calibrates the sample; `None` if it is calibrated.
    pub(super) fn end_of_trial(&self, window: Window) -> Option<i64> {
        let sample = self.sample.as_ref().filter(|_| !self.is_known())?;
        Some(sample.second_of_point(window, TRIAL_POINTS))
    }

    /// Estimates the records of `window`.
    pub(super) fn records(&self, window: Window) -> f64 {
        match self.scaled() {
            Some(sample) if !window.is_empty() => sample.records(window),
            _ => self.parts(window).iter().map(|(_, records)| records).sum(),
        }
    }

    /// Estimates the records of `window`, whose unread part is like `evidence`: a window and its records. `planned`
    /// is the planned density. It is a better estimate than a few hours, unless it differs much.
    pub(super) fn records_like(&self, window: Window, evidence: Option<(Window, f64)>, planned: f64) -> f64 {
        let Some((seen, records)) = evidence.filter(|_| self.scaled().is_none()) else {
            return self.records(window);
        };
        let parts = self.observed.within(window).into_iter();
        let level = records / self.profile.weight(seen).max(1.0);
        if self.earlier.covers(window) && self.earlier.covers(seen) {
            let expected = self.earlier_records(seen) / self.profile.weight(seen).max(1.0);
            if (1.0 / FAR..=FAR).contains(&(expected / level)) {
                return self.records(window);
            }
        }
        let level = match planned / level {
            ratio if (1.0 / FAR..=FAR).contains(&ratio) => (level * planned).sqrt(),
            _ => level,
        };
        parts
            .map(|(part, records)| records.unwrap_or_else(|| level * self.profile.weight(part)))
            .sum()
    }

    /// Whether an earlier run read the complete `window`, and the profile shows the distribution within a day.
    pub(super) fn is_precise(&self, window: Window) -> bool {
        self.profile.is_known() && self.earlier.covers(window)
    }

    /// Whether an earlier run read the complete `window`.
    pub(super) fn is_known_from_earlier(&self, window: Window) -> bool {
        self.earlier.covers(window)
    }

    /// Estimates the second up to which `window` has so many records.
    pub(super) fn second_after(&self, window: Window, records: f64) -> i64 {
        if let Some(sample) = self.scaled() {
            return sample.second_after(window, records);
        }
        let mut left = records;
        for (part, here) in self.parts(window) {
            if here >= left {
                return part.start + rounded(left / here.max(1e-9) * as_f64(part.seconds()));
            }
            left -= here;
        }
        window.end
    }

    /// Splits `window` into parts with their records: counted by this run, counted by an earlier run, or estimated
    /// from adjacent parts.
    fn parts(&self, window: Window) -> Vec<(Window, f64)> {
        let mut parts = Vec::new();
        for (part, records) in self.observed.within(window) {
            match records {
                Some(records) => parts.push((part, records)),
                None => self.estimate(part, &mut parts),
            }
        }
        parts
    }

    fn estimate(&self, gap: Window, parts: &mut Vec<(Window, f64)>) {
        for (part, records) in self.earlier.within(gap) {
            if records.is_some() {
                let parent = self.earlier.around(part);
                let level = self.left(parent) / self.unread_weight(parent).max(1e-9);
                self.spread(part, level, parts);
                continue;
            }
            let (before, after) = (self.level_before(part), self.level_after(part));
            let (before, after) = match (before, after) {
                (Some(before), Some(after)) => (before, after),
                // after the last known part, no more than the mean is expected
                (Some(level), None) => (level, level.min(self.mean())),
                (None, Some(level)) => (level.min(self.mean()), level),
                (None, None) => (self.guess, self.guess),
            };
            let (first, second) = part.split_at(part.start + part.seconds() / 2);
            self.spread(first, before, parts);
            self.spread(second, after, parts);
        }
    }

    /// Returns the records of `window` in an earlier run.
    fn earlier_records(&self, window: Window) -> f64 {
        let parts = self.earlier.within(window).into_iter();
        let parts = parts.filter(|(_, records)| records.is_some());
        parts
            .map(|(part, _)| {
                let (parent, records) = self.earlier.around(part);
                records * self.profile.weight(part) / self.profile.weight(parent).max(1e-9)
            })
            .sum()
    }

    /// Whether `window` was empty in an earlier run.
    pub(super) fn is_known_empty(&self, window: Window) -> bool {
        self.earlier.covers(window) && self.earlier_records(window) < 1.0
    }

    /// Returns the records of an earlier window without those that this run has counted.
    fn left(&self, (window, records): (Window, f64)) -> f64 {
        let seen = self.observed.within(window);
        let seen: f64 = seen.iter().filter_map(|(_, records)| *records).sum();
        (records - seen).max(0.02 * records)
    }

    /// Returns the weight of the part of a window that this run has not counted.
    fn unread_weight(&self, (window, _): (Window, f64)) -> f64 {
        let parts = self.observed.within(window).into_iter();
        let unread = parts.filter(|(_, records)| records.is_none());
        unread.map(|(part, _)| self.profile.weight(part)).sum()
    }

    /// Splits a window by the profile, with `level` records per second of a uniform day.
    fn spread(&self, window: Window, level: f64, parts: &mut Vec<(Window, f64)>) {
        let pieces = self.profile.hours(window);
        parts.extend(pieces.map(|piece| (piece, level * self.profile.weight(piece))));
    }

    /// Returns the mean records per second of all counted windows.
    fn mean(&self) -> f64 {
        let all = self.observed.windows.iter().chain(&self.earlier.windows);
        let (seconds, records) = all.fold((0.0, 0.0), |(seconds, records), (window, count)| {
            (seconds + as_f64(window.seconds()), records + count)
        });
        if seconds > 0.0 {
            records / seconds
        } else {
            self.guess
        }
    }

    fn level_before(&self, gap: Window) -> Option<f64> {
        let nearest = |known: &RecordCounts| {
            let end = known
                .windows
                .partition_point(|(window, _)| window.end <= gap.start);
            self.level(known.windows[..end].iter().rev(), gap)
        };
        nearest(&self.observed).or_else(|| nearest(&self.earlier))
    }

    fn level_after(&self, gap: Window) -> Option<f64> {
        let nearest = |known: &RecordCounts| {
            let start = known
                .windows
                .partition_point(|(window, _)| window.start < gap.end);
            self.level(known.windows[start..].iter(), gap)
        };
        nearest(&self.observed).or_else(|| nearest(&self.earlier))
    }

    /// Returns the records per second, without daily variation, of the first windows that have enough records or are
    /// as long as the gap.
    fn level<'a>(&self, windows: impl Iterator<Item = &'a (Window, f64)>, gap: Window) -> Option<f64> {
        let (mut seconds, mut weight, mut records) = (0, 0.0, 0.0);
        for (window, count) in windows {
            // use only as much of a busy second as is needed
            let share = ((self.enough - records) / count.max(1e-9)).min(1.0);
            seconds += window.seconds();
            weight += self.profile.weight(*window) * share;
            records += count * share;
            if records >= self.enough || seconds >= gap.seconds() {
                break;
            }
        }
        (weight > 0.0).then(|| records / weight)
    }
}

/// Converts to a float; numbers beyond 2^53 are rounded, which is exact enough for an estimate.
pub(super) fn as_f64<N: TryInto<i64>>(number: N) -> f64 {
    number.try_into().unwrap_or(i64::MAX) as f64
}

/// Converts an estimate to an integer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, and estimates are far below that"
)]
pub(super) fn rounded(estimate: f64) -> i64 {
    estimate as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_observed_counts_as_it_is_and_gaps_are_estimated_from_beside() {
        let mut density = Density::new(Window::new(0, 1_000), 500.0 / GUESSED_PAGES, &[]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        near(density.records(Window::new(0, 100)), 50.0);
        density.observe(Window::new(0, 100), 0);
        density.observe(Window::new(100, 110), 1_000);
        // one half of the gap is like the part before it, the other like the part after it
        density.observe(Window::new(510, 600), 90);
        near(density.records(Window::new(0, 110)), 1_000.0);
        near(density.records(Window::new(110, 510)), 200.0 * 100.0 + 200.0);
        assert_eq!(density.second_after(Window::new(0, 510), 2_000.0), 120);
        assert_eq!(density.second_after(Window::new(0, 50), 10.0), 50);
    }

    #[test]
    fn an_earlier_run_fills_the_gaps() {
        let earlier = [(Window::new(0, 100), 10), (Window::new(100, 200), 1_000)];
        let mut density = Density::new(Window::new(0, 200), 5.0, &earlier);
        assert_eq!(density.second_after(Window::new(0, 200), 510.0), 150);
        density.observe(Window::new(0, 100), 110);
        assert_eq!(density.second_after(Window::new(0, 200), 510.0), 140);
    }
}
