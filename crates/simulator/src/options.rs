//! Everything that a test can choose about the simulated API. What the vendor documents is the default.

use std::io;
use std::ops::Range;
use std::time::Duration;

use super::choices::{
    Compression, Counting, CursorKind, CursorLife, Filter, Growth, Injected, Latency, MessageFilter, Order,
    RetryAfter, TimeFormat, Traffic,
};
use super::clock::Clock;
use super::fault::Faults;
use super::insertion::Import;
use super::restriction::{self, PageRefusal, RangeCap, Rounding};

/// The settings of a [`Simulator`](super::Simulator).
#[derive(Clone, Debug)]
pub struct Options {
    /// The key that is let in.
    pub key: String,
    /// A key that is known, and has no rights: 403.
    pub viewer_key: String,
    /// The bots; each has contents of its own.
    pub bots: Vec<String>,
    /// Where all contents and chances come from.
    pub seed: u64,
    /// Unix seconds within which all conversations start, end exclusive. They can last beyond it.
    pub range: Range<i64>,
    /// How many conversations each bot has; about five times as many messages come with them.
    pub conversations: u32,
    /// How conversations are spread over the range.
    pub traffic: Traffic,
    /// The day (24 hours, counted from 0 at the range's start) with 20 times the traffic; ranges of less than
    /// four days have none.
    pub busy_day: Option<u32>,
    /// The day without any traffic; ranges of less than four days have none.
    pub empty_day: Option<u32>,
    /// Where it is set, `lastActionAt` is so many seconds after `startTime` in every record.
    pub equal_gap: Option<u32>,
    /// Up to how many seconds after its own time a message is inserted, and visible.
    pub arrival_seconds: u32,
    /// Conversations of an earlier time that are inserted together.
    pub import: Option<Import>,
    /// The order of records.
    pub order: Order,
    /// Whether a record at exactly `start_time` is in the window.
    pub start_inclusive: bool,
    /// Whether a record at exactly `end_time` is in the window.
    pub end_inclusive: bool,
    /// What the window filters for conversations.
    pub filter: Filter,
    /// What the window filters for messages.
    pub message_filter: MessageFilter,
    /// How times are written.
    pub times: TimeFormat,
    /// How long answers take.
    pub latency: Latency,
    /// What a cursor is.
    pub cursor: CursorKind,
    /// How long a cursor lives; `None` = for ever.
    pub cursor_life: Option<CursorLife>,
    /// The status that a dead cursor answers; 200 = an empty page whose cursor is null.
    pub dead_cursor: u16,
    /// A listing ends, with a null cursor, after so many records in total, whatever is left; 0 = never.
    pub listing_cap: u32,
    /// A longer range is silently shortened.
    pub range_cap: Option<RangeCap>,
    /// A range of more than so many seconds is refused with 400; 0 = never.
    pub range_refused_above: u32,
    /// The bounds of windows are rounded.
    pub rounding: Option<Rounding>,
    /// A larger page is refused.
    pub page_refused_above: Option<PageRefusal>,
    /// One in so many full pages (`per_page` records) carries null, whatever is left; 1 = all, 0 = none.
    pub null_behind_full_page: u32,
    /// One in so many pages that others follow has only a part of its records, and its cursor goes on with
    /// the rest; 1 = all, 0 = none.
    pub short_pages: u32,
    /// Before every n-th page with records comes an empty one whose cursor goes on; 0 = never.
    pub empty_every: u32,
    /// Whether a full last page carries null (true), or the cursor of an empty last page (false).
    pub exact_end: bool,
    /// The limit per endpoint; 0 = none. Every request with the right key counts, refused ones do not.
    pub requests_per_second: f64,
    /// How the limit counts.
    pub counting: Counting,
    /// What a refused request is told.
    pub retry_after: RetryAfter,
    /// The largest `per_page`.
    pub per_page_max: u32,
    /// The `per_page` of a request that names none.
    pub per_page_default: u32,
    /// What goes wrong.
    pub faults: Faults,
    /// What bodies are packed with.
    pub compression: Compression,
    /// What appears and changes while the archive is read.
    pub growth: Growth,
    /// The server's clock.
    pub clock: Clock,
    /// Odd records.
    pub extra: Vec<Injected>,
    /// Whether bodies are indented JSON.
    pub pretty: bool,
    /// The port on 127.0.0.1; 0 = any that is free.
    pub port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            key: "demo-key".to_owned(),
            viewer_key: "viewer-key".to_owned(),
            bots: vec!["r3-218210".to_owned()],
            seed: 1,
            range: 1_696_118_400..1_696_550_400,
            conversations: 10_000,
            traffic: Traffic::Uneven,
            busy_day: Some(2),
            empty_day: Some(3),
            equal_gap: None,
            arrival_seconds: 0,
            import: None,
            order: Order::StartAscending,
            start_inclusive: true,
            end_inclusive: false,
            filter: Filter::Start,
            message_filter: MessageFilter::Time,
            times: TimeFormat::Seconds,
            latency: Latency::Fixed(Duration::ZERO),
            cursor: CursorKind::Token,
            cursor_life: None,
            dead_cursor: 400,
            listing_cap: 0,
            range_cap: None,
            range_refused_above: 0,
            rounding: None,
            page_refused_above: None,
            null_behind_full_page: 0,
            short_pages: 0,
            empty_every: 0,
            exact_end: true,
            requests_per_second: 3.0,
            counting: Counting::TokenBucket,
            retry_after: RetryAfter::Seconds,
            per_page_max: 1000,
            per_page_default: 100,
            faults: Faults::default(),
            compression: Compression::None,
            growth: Growth::default(),
            clock: Clock::default(),
            extra: Vec::new(),
            pretty: false,
            port: 0,
        }
    }
}

impl Options {
    /// Says what makes no sense, so that a test with a slip in its settings stops at once.
    pub(super) fn check(&self) -> io::Result<()> {
        let years = -9_000_000_000..=90_000_000_000;
        let times = self.extra.iter().map(|extra| extra.time_seconds);
        let wrong = if self.range.is_empty() {
            "the range is empty"
        } else if ![self.range.start, self.range.end]
            .into_iter()
            .chain(times)
            .all(|time| years.contains(&time))
        {
            "a time lies beyond the years 1700 to 4800"
        } else if self.conversations > 100_000_000 {
            "more than 100,000,000 conversations"
        } else if self.bots.is_empty() {
            "there is no bot"
        } else if !(0.0..=1e6).contains(&self.requests_per_second) {
            "requests_per_second must be between 0 and 1,000,000"
        } else if self.per_page_max == 0 || !(1..=self.per_page_max).contains(&self.per_page_default) {
            "per_page_default must be between 1 and per_page_max"
        } else {
            restriction::check(self)?;
            return self.faults.check();
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }
}
