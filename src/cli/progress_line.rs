//! How far one dataset of a bot is, in words: a line that fits a terminal, a sentence for a log.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::output::cut;
use crate::api::Failure;
use crate::display::{self, grouped};
use crate::export::ProgressSnapshot;
use crate::window::Window;

/// The pace is that of so long.
const RECENTLY: Duration = Duration::from_secs(15);
/// Columns of the bar: at least, and at most.
const BAR: (usize, usize) = (14, 30);

/// How far one dataset of a bot is.
pub(super) struct ProgressLine {
    pub(super) dataset: &'static str,
    pub(super) bot: String,
    /// Of the range that has to be asked for.
    seconds: i64,
    standing: ProgressSnapshot,
    files: u64,
    /// Requests that had been sent at a moment.
    marks: VecDeque<(Instant, u64)>,
    /// Of the whole, as far as is known.
    share: f64,
    /// What is waited out, and until when.
    trouble: Option<(String, Instant)>,
}

impl ProgressLine {
    pub(super) fn new(dataset: &'static str, bot: &str, seconds: i64, now: Instant) -> Self {
        Self {
            dataset,
            bot: bot.to_owned(),
            seconds,
            standing: ProgressSnapshot::default(),
            files: 0,
            marks: VecDeque::from([(now, 0)]),
            share: 0.0,
            trouble: None,
        }
    }

    pub(super) fn reached(&mut self, standing: &ProgressSnapshot, now: Instant) {
        self.standing = standing.clone();
        self.marks.push_back((now, standing.requests));
        while self.marks.len() > 2 && now - self.marks[1].0 > RECENTLY {
            self.marks.pop_front();
        }
        // pages weigh more than hours, but an early guess at those that are left is often too bold
        let covered = standing.covered_seconds as f64 / (self.seconds as f64).max(1.0);
        let read = standing.pages_left.map_or(1.0, |left| {
            standing.pages as f64 / (standing.pages as f64 + left).max(1.0)
        });
        self.share = read.min(covered).clamp(0.0, 1.0);
    }

    pub(super) fn waits(&mut self, failure: &Failure, wait: Duration, now: Instant) {
        let what = match failure {
            Failure::Timeout => "no answer in time".to_owned(),
            failure if failure.is_refusal() => "refused for coming too soon".to_owned(),
            Failure::Status { status, .. } => format!("the API failed (status {status})"),
            failure => failure.to_string(),
        };
        // a shorter wait does not hide a longer one
        if now + wait > self.trouble.as_ref().map_or(now, |(_, until)| *until) {
            self.trouble = Some((what, now + wait));
        }
    }

    pub(super) fn committed(&mut self, files: u64) {
        self.files += files;
    }

    /// What is waited out at the moment.
    fn trouble(&self, now: Instant) -> Option<String> {
        let (what, until) = self.trouble.as_ref()?;
        let left = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(format!("{what}, waiting {:.0} s", left.as_secs_f64().ceil()))
    }

    /// Whether everything has been fetched.
    fn is_read(&self) -> bool {
        self.standing.pages > 0 && self.standing.covered_seconds >= self.seconds
    }

    /// Requests a second of late.
    fn pace(&self, now: Instant) -> f64 {
        let Some((begin, requests)) = self.marks.front() else {
            return 0.0;
        };
        let elapsed = (now - *begin).as_secs_f64();
        if elapsed < 0.5 {
            return 0.0;
        }
        self.standing.requests.saturating_sub(*requests) as f64 / elapsed
    }

    /// Seconds left, as far as that can be told.
    fn seconds_left(&self, now: Instant) -> Option<f64> {
        let pages = self.standing.pages_left.filter(|_| !self.is_read())?;
        let pace = self.pace(now);
        (pace > 0.0)
            .then(|| pages / pace)
            .filter(|seconds| seconds.is_finite())
    }

    /// What stands before the bar.
    pub(super) fn name(&self, with_bot: bool) -> String {
        if with_bot {
            format!("{} {}", self.dataset, display::safe(&self.bot))
        } else {
            self.dataset.to_owned()
        }
    }

    /// A line that fits so many columns: `plain` text, where the bar's filled part ends at `filled`.
    pub(super) fn line(&self, name: &str, width: usize, now: Instant) -> RenderedLine {
        let begin = format!("{name} ");
        let percent = format!(" {:>3.0}%", self.share * 100.0);
        let room = width.saturating_sub(begin.chars().count() + percent.chars().count());
        let mut end = String::new();
        if let Some(trouble) = self.trouble(now) {
            end = format!("  {trouble}");
        } else {
            // by what matters most, where not all of it fits
            let facts = self.facts(now);
            let mut shown: Vec<usize> = Vec::new();
            for number in [0, 4, 1, 2, 3] {
                let more: usize = facts[number].chars().count() + 2;
                let used: usize = shown.iter().map(|at| facts[*at].chars().count() + 2).sum();
                if !facts[number].is_empty() && used + more + BAR.0 <= room {
                    shown.push(number);
                }
            }
            shown.sort_unstable();
            for number in shown {
                end.push_str("  ");
                end.push_str(&facts[number]);
            }
        }
        let bar = room.saturating_sub(end.chars().count()).clamp(BAR.0, BAR.1);
        let end = cut(&end, room.saturating_sub(bar));
        RenderedLine {
            begin,
            bar,
            share: self.share,
            end: format!("{percent}{end}"),
        }
    }

    /// Records, pace, requests, files, time left.
    fn facts(&self, now: Instant) -> [String; 5] {
        let standing = &self.standing;
        let is_read = self.is_read();
        let requests = match standing.pages_left {
            Some(left) if !is_read => format!(
                "{} of ~{} requests",
                grouped(standing.requests),
                grouped(standing.requests + whole(left.ceil()))
            ),
            _ => format!("{} requests", grouped(standing.requests)),
        };
        let pace = match self.pace(now) {
            _ if is_read => "fetched".to_owned(),
            0.0 => String::new(),
            pace if standing.allowed_per_second.is_finite() => {
                format!("{pace:.1} of {:.1}/s", standing.allowed_per_second)
            }
            pace => format!("{pace:.0}/s"),
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
            format!("{} records", grouped(standing.records)),
            pace,
            requests,
            files,
            left,
        ]
    }

    /// The windows in flight, in a line that fits so many columns.
    pub(super) fn awaited(&self, width: usize) -> String {
        let mut line = String::from("  awaited:");
        let windows = &self.standing.awaited;
        for (number, window) in windows.iter().enumerate() {
            let text = format!(" {}", short(*window));
            let rest = format!(" and {} more", windows.len() - number);
            if line.chars().count() + text.chars().count() + rest.chars().count() > width {
                line.push_str(&rest);
                break;
            }
            line.push_str(&text);
        }
        if windows.is_empty() {
            line.push_str(" nothing");
        }
        cut(&line, width)
    }

    /// A sentence for the log.
    pub(super) fn sentence(&self, now: Instant) -> String {
        let mut parts = vec![format!("{:.0}%", self.share * 100.0)];
        parts.extend(self.facts(now).into_iter().filter(|fact| !fact.is_empty()));
        if self.standing.retries > 0 {
            parts.push(format!("{} retries", grouped(self.standing.retries)));
        }
        parts.extend(self.trouble(now));
        format!(
            "{} of {}: {}",
            self.dataset,
            display::safe(&self.bot),
            parts.join(", ")
        )
    }

    /// The same for machines.
    pub(super) fn fields(&self, now: Instant) -> Map<String, Value> {
        let standing = &self.standing;
        let tenth = |number: f64| (number * 10.0).round() / 10.0;
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("dataset", self.dataset.into());
        put("bot", self.bot.clone().into());
        put("percent", tenth(self.share * 100.0).into());
        put("records", standing.records.into());
        put("requests", standing.requests.into());
        put("retries", standing.retries.into());
        put("requests_per_second", tenth(self.pace(now)).into());
        put("files", self.files.into());
        put("seconds_left", self.seconds_left(now).map(tenth).into());
        if let Some(trouble) = self.trouble(now) {
            put("trouble", trouble.into());
        }
        fields
    }
}

/// A line with a bar in it.
pub(super) struct RenderedLine {
    begin: String,
    bar: usize,
    share: f64,
    end: String,
}

impl RenderedLine {
    pub(super) fn text(&self, colours: bool) -> String {
        let halves = whole(self.share * 2.0 * self.bar as f64);
        let halves = usize::try_from(halves).unwrap_or(0).min(2 * self.bar);
        let (whole, half) = (halves / 2, halves % 2);
        let filled = format!("{}{}", "━".repeat(whole), "╸".repeat(half));
        let rest = "─".repeat(self.bar - whole - half);
        let (begin, end) = (&self.begin, &self.end);
        if colours {
            format!("{begin}\x1b[36m{filled}\x1b[0m\x1b[2m{rest}\x1b[0m{end}")
        } else {
            format!("{begin}{filled}{rest}{end}")
        }
    }
}

/// The nearest whole number; 0 where it is below.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a cast ends at the bounds
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// `10-01 06:00+9h`: when a window begins, in UTC, and its length.
fn short(window: Window) -> String {
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

/// `1:02:03`, `2:03`.
fn clock(seconds: f64) -> String {
    let seconds = whole(seconds.ceil().min(1e9));
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(begin: Instant) -> ProgressLine {
        let mut track = ProgressLine::new("conversations", "r3-218210", 5 * 86_400, begin);
        track.reached(
            &ProgressSnapshot {
                covered_seconds: 3 * 86_400,
                records: 12_340,
                pages: 30,
                pages_left: Some(30.0),
                requests: 33,
                retries: 3,
                allowed_per_second: 2.9,
                awaited: vec![Window::new(1_696_140_000, 1_696_172_400); 5],
            },
            begin + Duration::from_secs(10),
        );
        track.committed(3);
        track
    }

    #[test]
    fn a_line_fits_and_drops_what_matters_least() {
        let begin = Instant::now();
        let (track, now) = (track(begin), begin + Duration::from_secs(11));
        let line = |width: usize| track.line("conversations", width, now).text(false);
        assert_eq!(
            line(120),
            "conversations ━━━━━━━━━━━━━━━───────────────  50%  12 340 records  3.0 of 2.9/s  33 of ~63 requests  3 files  0:10 left"
        );
        assert_eq!(
            line(80),
            "conversations ━━━━━━━━━━──────────  50%  12 340 records  3.0 of 2.9/s  0:10 left"
        );
        for width in 40..200 {
            assert!(line(width).chars().count() <= width, "{width}: {}", line(width));
        }
    }

    #[test]
    fn a_wait_is_told_in_place_and_passes() {
        let begin = Instant::now();
        let mut track = track(begin);
        let refused = Failure::Status {
            status: 429,
            retry_after: None,
            excerpt: String::new(),
        };
        track.waits(&refused, Duration::from_secs(2), begin);
        track.waits(&Failure::Timeout, Duration::from_secs(1), begin);
        let line = |after: f64| {
            let now = begin + Duration::from_secs_f64(after);
            track.line("conversations", 80, now).text(false)
        };
        assert!(
            line(0.1).ends_with("50%  refused for coming too soon, waiting 2 s"),
            "{}",
            line(0.1)
        );
        assert!(!line(2.1).contains("waiting"));
    }

    #[test]
    fn the_share_is_what_is_known_of_the_whole() {
        let begin = Instant::now();
        let mut track = track(begin);
        let mut share = |covered_days: i64, pages_left: Option<f64>| {
            let standing = ProgressSnapshot {
                covered_seconds: covered_days * 86_400,
                pages: 25,
                pages_left,
                ..ProgressSnapshot::default()
            };
            track.reached(&standing, begin);
            track.share
        };
        assert!((share(1, None) - 0.2).abs() < 1e-9);
        // busy days are still to come, or the rest is thought too small
        assert!((share(4, Some(75.0)) - 0.25).abs() < 1e-9);
        assert!((share(1, Some(0.1)) - 0.2).abs() < 1e-9);
        assert!((share(5, Some(0.0)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn windows_in_flight_fit() {
        let begin = Instant::now();
        let track = track(begin);
        assert_eq!(
            track.awaited(60),
            "  awaited: 10-01 06:00+9h 10-01 06:00+9h and 3 more"
        );
        assert_eq!(track.awaited(200).matches("+9h").count(), 5);
    }

    #[test]
    fn times_left_can_be_read() {
        assert_eq!([0.2, 62.0, 3723.0].map(clock), ["0:01", "1:02", "1:02:03"]);
    }
}
