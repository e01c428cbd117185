//! Formats the progress of one dataset of a bot: as a line for a terminal, or as a sentence for a log.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::output::cut;
use crate::api::Failure;
use crate::dataset::Dataset;
use crate::display::{self, grouped};
use crate::export::ProgressSnapshot;
use crate::window::Window;

/// The request rate is averaged over this long.
const RATE_PERIOD: Duration = Duration::from_secs(15);
/// Minimum and maximum width of the bar, in characters.
const BAR_WIDTH: (usize, usize) = (14, 30);

/// The progress of one dataset of a bot.
pub(super) struct ProgressLine {
    dataset: Dataset,
    bot: String,
    /// Length of the missing range.
    seconds: i64,
    snapshot: ProgressSnapshot,
    files: u64,
    /// Requests that had been sent at recent times.
    marks: VecDeque<(Instant, u64)>,
    /// Estimated share that is done, from 0 to 1.
    share: f64,
    /// The failure that is waited out, and until when.
    wait: Option<(String, Instant)>,
}

impl ProgressLine {
    pub(super) fn new(dataset: Dataset, bot: &str, seconds: i64, now: Instant) -> Self {
        Self {
            dataset,
            bot: bot.to_owned(),
            seconds,
            snapshot: ProgressSnapshot::default(),
            files: 0,
            marks: VecDeque::from([(now, 0)]),
            share: 0.0,
            wait: None,
        }
    }

    /// Whether this is the line of a dataset of a bot.
    pub(super) fn is_of(&self, dataset: Dataset, bot: &str) -> bool {
        self.dataset == dataset && self.bot == bot
    }

    pub(super) fn reached(&mut self, snapshot: &ProgressSnapshot, now: Instant) {
        self.snapshot = snapshot.clone();
        self.marks.push_back((now, snapshot.requests));
        while self.marks.len() > 2 && now - self.marks[1].0 > RATE_PERIOD {
            self.marks.pop_front();
        }
        // the share of pages is better than that of time, but an early estimate of pages is often too low
        let covered = snapshot.covered_seconds as f64 / (self.seconds as f64).max(1.0);
        let read = snapshot.pages_left.map_or(1.0, |left| {
            snapshot.pages as f64 / (snapshot.pages as f64 + left).max(1.0)
        });
        self.share = read.min(covered).clamp(0.0, 1.0);
    }

    pub(super) fn waits(&mut self, failure: &Failure, wait: Duration, now: Instant) {
        let what = match failure {
            Failure::Timeout => "no response in time".to_owned(),
            failure if failure.is_rate_limited() => "rate limited".to_owned(),
            Failure::Status { status, .. } => format!("the API failed (status {status})"),
            failure => failure.to_string(),
        };
        // a shorter wait does not hide a longer one
        if now + wait > self.wait.as_ref().map_or(now, |(_, until)| *until) {
            self.wait = Some((what, now + wait));
        }
    }

    pub(super) fn committed(&mut self, files: u64) {
        self.files += files;
    }

    /// The failure that is waited out now.
    fn current_wait(&self, now: Instant) -> Option<String> {
        let (what, until) = self.wait.as_ref()?;
        let left = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(format!("{what}, waiting {:.0} s", left.as_secs_f64().ceil()))
    }

    /// Whether everything has been fetched.
    fn is_fetched(&self) -> bool {
        self.snapshot.pages > 0 && self.snapshot.covered_seconds >= self.seconds
    }

    /// Recent requests per second.
    fn rate(&self, now: Instant) -> f64 {
        let Some((begin, requests)) = self.marks.front() else {
            return 0.0;
        };
        let elapsed = (now - *begin).as_secs_f64();
        if elapsed < 0.5 {
            return 0.0;
        }
        self.snapshot.requests.saturating_sub(*requests) as f64 / elapsed
    }

    /// Estimated seconds left, if known.
    fn seconds_left(&self, now: Instant) -> Option<f64> {
        let pages = self.snapshot.pages_left.filter(|_| !self.is_fetched())?;
        let rate = self.rate(now);
        (rate > 0.0)
            .then(|| pages / rate)
            .filter(|seconds| seconds.is_finite())
    }

    /// The text before the bar.
    pub(super) fn name(&self, with_bot: bool) -> String {
        if with_bot {
            format!("{} {}", self.dataset, display::safe(&self.bot))
        } else {
            self.dataset.name().to_owned()
        }
    }

    /// Formats a line of at most `width` characters. Less important facts are left out.
    pub(super) fn line(&self, name: &str, width: usize, now: Instant) -> RenderedLine {
        let begin = format!("{name} ");
        let percent = format!(" {:>3.0}%", self.share * 100.0);
        let room = width.saturating_sub(begin.chars().count() + percent.chars().count());
        let mut end = String::new();
        if let Some(wait) = self.current_wait(now) {
            end = format!("  {wait}");
        } else {
            // the most important facts first, until the line is full
            let facts = self.facts(now);
            let mut shown: Vec<usize> = Vec::new();
            for number in [0, 4, 1, 2, 3] {
                let more: usize = facts[number].chars().count() + 2;
                let used: usize = shown.iter().map(|at| facts[*at].chars().count() + 2).sum();
                if !facts[number].is_empty() && used + more + BAR_WIDTH.0 <= room {
                    shown.push(number);
                }
            }
            shown.sort_unstable();
            for number in shown {
                end.push_str("  ");
                end.push_str(&facts[number]);
            }
        }
        let bar = room
            .saturating_sub(end.chars().count())
            .clamp(BAR_WIDTH.0, BAR_WIDTH.1);
        let end = cut(&end, room.saturating_sub(bar));
        RenderedLine {
            begin,
            bar,
            share: self.share,
            end: format!("{percent}{end}"),
        }
    }

    /// Records, rate, requests, files, time left.
    fn facts(&self, now: Instant) -> [String; 5] {
        let snapshot = &self.snapshot;
        let is_fetched = self.is_fetched();
        let requests = match snapshot.pages_left {
            Some(left) if !is_fetched => format!(
                "{} of ~{} requests",
                grouped(snapshot.requests),
                grouped(snapshot.requests + rounded(left.ceil()))
            ),
            _ => format!("{} requests", grouped(snapshot.requests)),
        };
        let rate = match self.rate(now) {
            _ if is_fetched => "fetched".to_owned(),
            0.0 => String::new(),
            rate if snapshot.allowed_per_second.is_finite() => {
                format!("{rate:.1} of {:.1}/s", snapshot.allowed_per_second)
            }
            rate => format!("{rate:.0}/s"),
        };
        let files = match self.files {
            0 => String::new(),
            1 => "1 file".to_owned(),
            files => format!("{} files", grouped(files)),
        };
        let left = self
            .seconds_left(now)
            .map_or_else(String::new, |left| format!("{} left", clock(left)));
        [
            format!("{} records", grouped(snapshot.records)),
            rate,
            requests,
            files,
            left,
        ]
    }

    /// Formats the windows in flight as a line of at most `width` characters.
    pub(super) fn windows(&self, width: usize) -> String {
        let mut line = String::from("  in flight:");
        let windows = &self.snapshot.awaited;
        for (number, window) in windows.iter().enumerate() {
            let text = format!(" {}", short_window(*window));
            let rest = format!(" and {} more", windows.len() - number);
            if line.chars().count() + text.chars().count() + rest.chars().count() > width {
                line.push_str(&rest);
                break;
            }
            line.push_str(&text);
        }
        if windows.is_empty() {
            line.push_str(" none");
        }
        cut(&line, width)
    }

    /// Formats the progress as a sentence for the log.
    pub(super) fn sentence(&self, now: Instant) -> String {
        let mut parts = vec![format!("{:.0}%", self.share * 100.0)];
        parts.extend(self.facts(now).into_iter().filter(|fact| !fact.is_empty()));
        if self.snapshot.retries > 0 {
            parts.push(format!("{} retries", grouped(self.snapshot.retries)));
        }
        parts.extend(self.current_wait(now));
        format!(
            "{} of {}: {}",
            self.dataset,
            display::safe(&self.bot),
            parts.join(", ")
        )
    }

    /// The fields of the JSON log.
    pub(super) fn fields(&self, now: Instant) -> Map<String, Value> {
        let snapshot = &self.snapshot;
        let tenth = |number: f64| (number * 10.0).round() / 10.0;
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("dataset", self.dataset.name().into());
        put("bot", self.bot.clone().into());
        put("percent", tenth(self.share * 100.0).into());
        put("records", snapshot.records.into());
        put("requests", snapshot.requests.into());
        put("retries", snapshot.retries.into());
        put("requests_per_second", tenth(self.rate(now)).into());
        put("files", self.files.into());
        put("seconds_left", self.seconds_left(now).map(tenth).into());
        if let Some(wait) = self.current_wait(now) {
            put("trouble", wait.into());
        }
        fields
    }
}

/// A line with a progress bar.
pub(super) struct RenderedLine {
    begin: String,
    bar: usize,
    share: f64,
    end: String,
}

impl RenderedLine {
    pub(super) fn text(&self, colours: bool) -> String {
        let halves = rounded(self.share * 2.0 * self.bar as f64);
        let halves = usize::try_from(halves).unwrap_or(0).min(2 * self.bar);
        let (full, half) = (halves / 2, halves % 2);
        let filled = format!("{}{}", "━".repeat(full), "╸".repeat(half));
        let rest = "─".repeat(self.bar - full - half);
        let (begin, end) = (&self.begin, &self.end);
        if colours {
            format!("{begin}\x1b[36m{filled}\x1b[0m\x1b[2m{rest}\x1b[0m{end}")
        } else {
            format!("{begin}{filled}{rest}{end}")
        }
    }
}

/// Rounds to the nearest integer, at least 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a cast ends at the bounds
fn rounded(number: f64) -> u64 {
    number.round() as u64
}

/// Formats a window as its start in UTC and its length: `10-01 06:00+9h`.
fn short_window(window: Window) -> String {
    let begin = Timestamp::from_second(window.start).unwrap_or_default();
    let begin = begin.to_zoned(TimeZone::UTC).strftime("%m-%d %H:%M").to_string();
    let length = match window.seconds() {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7200 => format!("{}m", (seconds + 30) / 60),
        seconds @ ..172_800 => format!("{}h", (seconds + 1800) / 3600),
        seconds => format!("{}d", (seconds + 43_200) / 86_400),
    };
    format!("{begin}+{length}")
}

/// Formats seconds as `1:02:03` or `2:03`.
fn clock(seconds: f64) -> String {
    let seconds = rounded(seconds.ceil().min(1e9));
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}
