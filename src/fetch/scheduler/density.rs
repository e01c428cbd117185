//! How many records a window may hold, reckoned from what was read so far. Estimates only: they decide how much
//! work a window is thought to be, never whether it is complete.

use crate::window::Window;

/// Observations are kept in so many equal parts of the whole range.
const PARTS: usize = 1024;
/// What an earlier run observed counts this much of what this run observes.
const PRIOR_WEIGHT: f64 = 0.2;

/// Seconds and records.
type Sum = (f64, f64);

/// Records over time, as far as is known.
#[derive(Debug, Clone)]
pub(super) struct Density {
    hull: Window,
    /// Length of a part, in seconds.
    step: f64,
    observed: Vec<Sum>,
    /// `sums[i]` is the sum of all parts before `i`.
    sums: Vec<Sum>,
    /// Times of a fair sample of the range, sorted.
    sample: Vec<i64>,
    /// Records per point of the sample.
    scale: f64,
    /// Assumed as long as nothing is known: records per second.
    guess: f64,
}

impl Density {
    /// Nothing known of `hull` yet but that it may hold `guess` records.
    pub(super) fn new(hull: Window, guess: f64) -> Self {
        Self {
            hull,
            step: (as_f64(hull.seconds()) / as_f64(PARTS)).max(1.0),
            observed: vec![(0.0, 0.0); PARTS],
            sums: vec![(0.0, 0.0); PARTS + 1],
            sample: Vec::new(),
            scale: 0.0,
            guess: guess / as_f64(hull.seconds()).max(1.0),
        }
    }

    /// What an earlier run learnt.
    pub(super) fn expect(&mut self, prior: &[(Window, u64)]) {
        for (window, records) in prior {
            self.add(*window, PRIOR_WEIGHT, as_f64(*records));
        }
    }

    /// `window` was read completely and held so many records.
    pub(super) fn observe(&mut self, window: Window, records: usize) {
        self.add(window, 1.0, as_f64(records));
    }

    fn add(&mut self, window: Window, weight: f64, records: f64) {
        let inside = window.intersect(self.hull);
        if inside.is_empty() {
            return;
        }
        let rate = weight * records / as_f64(window.seconds());
        let (from, to) = (self.part(inside.start), self.part(inside.end));
        let (first, last) = (floor(from), floor(to).min(PARTS - 1));
        for index in first..=last {
            let seconds = (to.min(as_f64(index + 1)) - from.max(as_f64(index))).max(0.0) * self.step;
            self.observed[index].0 += weight * seconds;
            self.observed[index].1 += rate * seconds;
        }
        for index in first..PARTS {
            let (sum, part) = (self.sums[index], self.observed[index]);
            self.sums[index + 1] = (sum.0 + part.0, sum.1 + part.1);
        }
    }

    /// A fair sample of the whole range: where its records lie, not how many there are.
    pub(super) fn sample(&mut self, mut seconds: Vec<i64>) {
        seconds.sort_unstable();
        self.sample = seconds;
    }

    pub(super) fn has_sample(&self) -> bool {
        !self.sample.is_empty()
    }

    /// First and last second of the sample.
    pub(super) fn sample_span(&self) -> Option<Window> {
        Some(Window::new(*self.sample.first()?, *self.sample.last()? + 1))
    }

    pub(super) fn forget_sample(&mut self) {
        self.sample.clear();
    }

    /// Points of the sample within `window`, never quite none.
    pub(super) fn points(&self, window: Window) -> f64 {
        let below = |second| self.sample.partition_point(|point| *point < second);
        as_f64(below(window.end) - below(window.start)).max(0.1)
    }

    /// How many records stand behind each point of the sample.
    pub(super) fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
    }

    /// How many records `window` may hold.
    pub(super) fn records(&self, window: Window) -> f64 {
        if window.is_empty() {
            0.0
        } else if self.has_sample() && self.scale > 0.0 {
            self.points(window) * self.scale
        } else {
            self.rate_around(window) * as_f64(window.seconds())
        }
    }

    /// Where in `window` so many records may have passed, from its start.
    pub(super) fn second_after(&self, window: Window, records: f64) -> i64 {
        let (mut low, mut high) = (window.start, window.end);
        if !(self.has_sample() && self.scale > 0.0) {
            let share = records / self.records(window).max(1e-9);
            return window.start + whole(share.clamp(0.0, 1.0) * as_f64(window.seconds()));
        }
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

    /// Records per second in and around `window`: as wide around as it takes to have observed half as much.
    fn rate_around(&self, window: Window) -> f64 {
        let mut margin = (window.seconds() / 4).max(1);
        loop {
            let wide = Window::new(window.start - margin, window.end + margin).intersect(self.hull);
            let (seconds, records) = self.observed_in(wide);
            if seconds * 2.0 >= as_f64(window.seconds()) || (wide == self.hull && seconds > 0.0) {
                return records / seconds;
            }
            if wide == self.hull {
                return self.guess;
            }
            margin = margin.saturating_mul(2);
        }
    }

    fn observed_in(&self, window: Window) -> Sum {
        let (from, to) = (
            self.before(self.part(window.start)),
            self.before(self.part(window.end)),
        );
        (to.0 - from.0, to.1 - from.1)
    }

    fn before(&self, part: f64) -> Sum {
        let index = floor(part).min(PARTS - 1);
        let (sum, here, share) = (self.sums[index], self.observed[index], part - as_f64(index));
        (sum.0 + here.0 * share, sum.1 + here.1 * share)
    }

    fn part(&self, second: i64) -> f64 {
        as_f64(second - self.hull.start) / self.step
    }

    /// What was observed, as a coarse histogram for a later run.
    pub(super) fn histogram(&self, bars: usize) -> Vec<(Window, u64)> {
        let seconds = self.hull.seconds();
        let edge = |bar: usize| self.hull.start + whole(as_f64(seconds) * as_f64(bar) / as_f64(bars.max(1)));
        (0..bars)
            .map(|bar| Window::new(edge(bar), edge(bar + 1)))
            .filter_map(|bar| {
                let (observed, records) = self.observed_in(bar);
                let known = observed * 2.0 > as_f64(bar.seconds()) && !bar.is_empty();
                known.then(|| {
                    (
                        bar,
                        whole(records / observed * as_f64(bar.seconds())).unsigned_abs(),
                    )
                })
            })
            .collect()
    }
}

/// The nearest number that an estimate is reckoned with; beyond 2^53 it is rounded, which no estimate minds.
pub(super) fn as_f64<N: TryInto<i64>>(number: N) -> f64 {
    number.try_into().unwrap_or(i64::MAX) as f64
}

/// The whole part of an estimate.
#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, and estimates are far below that"
)]
pub(super) fn whole(estimate: f64) -> i64 {
    estimate as i64
}

fn floor(estimate: f64) -> usize {
    usize::try_from(whole(estimate)).unwrap_or(0)
}
