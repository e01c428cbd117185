//! How many records a window may hold, estimated from what was read so far. Estimates decide how large windows
//! are, never whether one is complete.

use super::counts::RecordCounts;
use super::profile::Profile;
use super::sample::Sample;
use crate::window::Window;

/// What was planned counts where a page does not differ by more than this factor.
const FAR: f64 = 5.0;
/// While nothing is known, a range is estimated to hold so many pages.
const GUESSED_PAGES: f64 = 64.0;
/// This share of a page beside a gap is enough to estimate the gap from.
const ENOUGH_PAGES: f64 = 0.3;

/// Points of a sample in a window that shows how many records each stands for.
const TRIAL_POINTS: usize = 12;

/// Records over time, as far as is known.
#[derive(Debug, Clone)]
pub(super) struct Density {
    observed: RecordCounts,
    /// What an earlier run observed.
    earlier: RecordCounts,
    /// How traffic varies within a day.
    pub(super) profile: Profile,
    /// Where records come in no order, the first page of the range.
    pub(super) sample: Option<Sample>,
    /// Records per second, as long as nothing is known.
    guess: f64,
    /// Records beside a gap that are enough to estimate it from.
    enough: f64,
}

impl Density {
    /// Nothing is known of `hull` yet but the records of a page, and what an earlier run saw.
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

    /// `window` was read and held so many records.
    pub(super) fn observe(&mut self, window: Window, records: usize) {
        self.observed.add(window, as_f64(records));
    }

    /// The sample, if it is fair and shows how many records there are.
    fn scaled(&self) -> Option<&Sample> {
        self.sample
            .as_ref()
            .filter(|sample| sample.is_fair() && sample.is_scaled())
    }

    /// Whether the number of records is known, and not only how a sample shares them out.
    pub(super) fn is_known(&self) -> bool {
        self.sample
            .as_ref()
            .is_none_or(|sample| !sample.is_fair() || sample.is_known())
    }

    /// Where a first small part of `window` ends that shows how many records a sample stands for; `None` where
    /// that is known.
    pub(super) fn end_of_trial(&self, window: Window) -> Option<i64> {
        let sample = self.sample.as_ref().filter(|_| !self.is_known())?;
        Some(sample.second_of_point(window, TRIAL_POINTS))
    }

    /// How many records `window` may hold.
    pub(super) fn records(&self, window: Window) -> f64 {
        match self.scaled() {
            Some(sample) if !window.is_empty() => sample.records(window),
            _ => self.parts(window).iter().map(|(_, records)| records).sum(),
        }
    }

    /// How many records `window` may hold where what was not read is like `evidence`, a window and its records.
    /// `planned` is how many records per second it was planned for: a better estimate than a few hours are, unless
    /// it is far off.
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

    /// Whether an earlier run saw all of `window`, and the profile says where in a day its records lie.
    pub(super) fn is_precise(&self, window: Window) -> bool {
        self.profile.is_known() && self.earlier.covers(window)
    }

    /// Whether an earlier run saw all of `window`.
    pub(super) fn is_known_from_earlier(&self, window: Window) -> bool {
        self.earlier.covers(window)
    }

    /// Where in `window` so many records may have passed, from its start.
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

    /// `window` in parts, each with the records that it may hold: observed by this run, by an earlier one, or
    /// estimated from what is observed beside it.
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
                // beyond the last that is known nothing speaks for more than the mean
                (Some(level), None) => (level, level.min(self.mean())),
                (None, Some(level)) => (level.min(self.mean()), level),
                (None, None) => (self.guess, self.guess),
            };
            let (first, second) = part.split_at(part.start + part.seconds() / 2);
            self.spread(first, before, parts);
            self.spread(second, after, parts);
        }
    }

    /// Records of `window` as an earlier run saw them.
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

    /// Whether an earlier run found `window` empty.
    pub(super) fn is_known_empty(&self, window: Window) -> bool {
        self.earlier.covers(window) && self.earlier_records(window) < 1.0
    }

    /// Records of a window of an earlier run that this run has not observed yet.
    fn left(&self, (window, records): (Window, f64)) -> f64 {
        let seen = self.observed.within(window);
        let seen: f64 = seen.iter().filter_map(|(_, records)| *records).sum();
        (records - seen).max(0.02 * records)
    }

    /// The weight of the part of a window that this run has not observed yet.
    fn unread_weight(&self, (window, _): (Window, f64)) -> f64 {
        let parts = self.observed.within(window).into_iter();
        let unread = parts.filter(|(_, records)| records.is_none());
        unread.map(|(part, _)| self.profile.weight(part)).sum()
    }

    /// A window in parts as even as the profile allows, `level` records per second of an even day.
    fn spread(&self, window: Window, level: f64, parts: &mut Vec<(Window, f64)>) {
        let pieces = self.profile.hours(window);
        parts.extend(pieces.map(|piece| (piece, level * self.profile.weight(piece))));
    }

    /// Records per second of all that is observed.
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

    /// Records per second, the time of the day apart, of the first windows that hold enough of them, or are as long
    /// as the gap that they stand for.
    fn level<'a>(&self, windows: impl Iterator<Item = &'a (Window, f64)>, gap: Window) -> Option<f64> {
        let (mut seconds, mut weight, mut records) = (0, 0.0, 0.0);
        for (window, count) in windows {
            // of a busy second no more than what is needed
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

/// The nearest number that an estimate is computed with; beyond 2^53 it is rounded, which no estimate minds.
pub(super) fn as_f64<N: TryInto<i64>>(number: N) -> f64 {
    number.try_into().unwrap_or(i64::MAX) as f64
}

/// The whole part of an estimate.
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
        // half of the gap is like what is before it, half like what is behind
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
