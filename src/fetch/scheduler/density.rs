//! How many records a window may hold, reckoned from what was read so far. Estimates only: they decide how much
//! work a window is thought to be, never whether it is complete.

use super::sample::Sample;
use crate::window::{Window, Windows};

/// A window is estimated in steps that double from its ends to its middle: near what was read, what was read
/// there says most. The first step is this part of the window.
const FIRST_STEP: i64 = 1024;
/// More observations than this are merged in pairs.
const MOST_OBSERVATIONS: usize = 8192;

/// Records over time, as far as is known.
#[derive(Debug, Clone)]
pub(super) struct Density {
    hull: Window,
    observed: Observed,
    /// What an earlier run observed.
    prior: Observed,
    /// Where records come in no order, the first page of the range.
    pub(super) sample: Option<Sample>,
    /// Assumed as long as nothing is known: records per second.
    guess: f64,
}

impl Density {
    /// Nothing known of `hull` yet but that it may hold `guess` records.
    pub(super) fn new(hull: Window, guess: f64, prior: &[(Window, u64)]) -> Self {
        let mut earlier = Observed::default();
        for (window, records) in prior {
            earlier.add(*window, as_f64(*records));
        }
        Self {
            hull,
            observed: Observed::default(),
            prior: earlier,
            sample: None,
            guess: guess / as_f64(hull.seconds()).max(1.0),
        }
    }

    /// `window` was read completely and held so many records.
    pub(super) fn observe(&mut self, window: Window, records: usize) {
        self.observed.add(window, as_f64(records));
    }

    /// The fair sample there is, if it says how many records there are.
    fn scaled(&self) -> Option<&Sample> {
        self.sample
            .as_ref()
            .filter(|sample| sample.is_fair() && sample.is_scaled())
    }

    /// How many records `window` may hold.
    pub(super) fn records(&self, window: Window) -> f64 {
        if window.is_empty() {
            0.0
        } else if let Some(sample) = self.scaled() {
            sample.records(window)
        } else {
            steps(window)
                .map(|step| self.rate_around(step) * as_f64(step.seconds()))
                .sum()
        }
    }

    /// Where in `window` so many records may have passed, from its start.
    pub(super) fn second_after(&self, window: Window, records: f64) -> i64 {
        if let Some(sample) = self.scaled() {
            return sample.second_after(window, records);
        }
        let mut left = records;
        for step in steps(window) {
            let here = self.rate_around(step) * as_f64(step.seconds());
            if here >= left {
                return step.start + whole((left / here.max(1e-9)).max(0.0) * as_f64(step.seconds()));
            }
            left -= here;
        }
        window.end
    }

    /// Records per second in and around `window`: as wide around as it takes to have observed half as much.
    fn rate_around(&self, window: Window) -> f64 {
        let mut margin = window.seconds().max(1);
        loop {
            let wide = Window::new(window.start - margin, window.end + margin).intersect(self.hull);
            let all = wide == self.hull;
            for known in [&self.observed, &self.prior] {
                let (seconds, records) = known.within(wide);
                if seconds * 2.0 >= as_f64(window.seconds()) || (all && seconds > 0.0) {
                    return records / seconds;
                }
            }
            if all {
                return self.guess;
            }
            margin = margin.saturating_mul(2);
        }
    }
}

/// Windows that were read, with their records: sorted and disjoint.
#[derive(Debug, Clone, Default)]
struct Observed {
    windows: Vec<(Window, f64)>,
    /// `sums[i]` holds the seconds and the records of all windows before the `i`th.
    sums: Vec<(f64, f64)>,
}

impl Observed {
    /// Only what was not observed before counts.
    fn add(&mut self, window: Window, records: f64) {
        let from = self
            .windows
            .partition_point(|(known, _)| known.end <= window.start);
        let mut fresh: Windows = std::iter::once(window).collect();
        for (known, _) in self.windows[from..]
            .iter()
            .take_while(|(known, _)| known.start < window.end)
        {
            fresh.subtract(*known);
        }
        for part in &fresh {
            let at = self.windows.partition_point(|(known, _)| known.end <= part.start);
            let share = as_f64(part.seconds()) / as_f64(window.seconds());
            self.windows.insert(at, (*part, records * share));
        }
        if self.windows.len() > MOST_OBSERVATIONS {
            self.merge();
        }
        self.sum_up(from.min(self.windows.len()));
    }

    fn merge(&mut self) {
        let pairs = self.windows.chunks(2).flat_map(|pair| match pair {
            [(a, x), (b, y)] if a.end == b.start => vec![(Window::new(a.start, b.end), x + y)],
            apart => apart.to_vec(),
        });
        self.windows = pairs.collect();
        self.sums.clear();
    }

    fn sum_up(&mut self, from: usize) {
        let from = from.min(self.sums.len().saturating_sub(1));
        self.sums.truncate(from + 1);
        if self.sums.is_empty() {
            self.sums.push((0.0, 0.0));
        }
        for (window, records) in &self.windows[from..] {
            let (seconds, before) = self.sums[self.sums.len() - 1];
            self.sums
                .push((seconds + as_f64(window.seconds()), before + records));
        }
    }

    /// Seconds observed within `window`, and the records in them.
    fn within(&self, window: Window) -> (f64, f64) {
        let (from, to) = (self.before(window.start), self.before(window.end));
        (to.0 - from.0, to.1 - from.1)
    }

    fn before(&self, second: i64) -> (f64, f64) {
        let at = self.windows.partition_point(|(known, _)| known.end <= second);
        let (seconds, records) = self.sums.get(at).copied().unwrap_or_default();
        match self.windows.get(at) {
            Some((known, inside)) if known.start < second => {
                let part = as_f64(second - known.start);
                (seconds + part, records + inside * part / as_f64(known.seconds()))
            }
            _ => (seconds, records),
        }
    }
}

/// `window` in steps that double from both ends to the middle.
fn steps(window: Window) -> impl Iterator<Item = Window> {
    let first = (window.seconds() / FIRST_STEP).max(1);
    let mut edges = vec![window.start, window.end];
    let mut length = first;
    let mut reach = first;
    while reach * 2 < window.seconds() {
        edges.extend([window.start + reach, window.end - reach]);
        length *= 2;
        reach += length;
    }
    edges.sort_unstable();
    edges.dedup();
    (1..edges.len()).map(move |at| Window::new(edges[at - 1], edges[at]))
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
