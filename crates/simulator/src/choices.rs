//! The choices that the settings offer.

use std::time::Duration;

use super::random::Random;

/// The two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/conversations/export/v1/conversations`
    Conversations,
    /// `/conversations/export/v1/messages`
    Messages,
}

impl Endpoint {
    /// The path below the base URL.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Conversations => "/conversations/export/v1/conversations",
            Self::Messages => "/conversations/export/v1/messages",
        }
    }

    pub(super) fn of_path(path: &str) -> Option<Self> {
        [Self::Conversations, Self::Messages]
            .into_iter()
            .find(|endpoint| endpoint.path() == path)
    }
}

/// How conversations are spread over the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Few at night and at weekends, many by day, and the busy and the empty day of [`Options`](super::Options).
    Uneven,
    /// As many in every hour.
    Even,
    /// Everything, messages too, within the second in the middle of the range.
    OneSecond,
}

/// The order of the records that one window selects. Ties, and there are many, stand in a stable order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By `startTime`, or a message's `time`.
    StartAscending,
    /// By `startTime`, or a message's `time`, the latest first.
    StartDescending,
    /// By `lastActionAt`, or a message's `time`.
    LastActionAscending,
    /// By `lastActionAt`, or a message's `time`, the latest first.
    LastActionDescending,
    /// A stable order that has nothing to do with any field.
    Unordered,
    /// By `_id`, which begins with the second that the record is of.
    Id,
    /// In order of insertion: most records at their own time, late and imported ones when they were inserted
    /// ([`Growth`], [`Import`](super::Import)). Late ones without `late_seconds` come last.
    Insertion,
    /// By `startTime`, or a message's `time`; the records of one second in another order at each request.
    UnstableTies,
    /// All records in another order at each request.
    Unstable,
}

/// The time of a conversation that the window filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `startTime`
    Start,
    /// `lastActionAt`
    LastAction,
    /// When the conversation was inserted, which no field shows.
    Inserted,
}

/// The time of a message that the window filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFilter {
    /// The message's own `time`.
    Time,
    /// The `startTime` of its conversation.
    ConversationStart,
    /// When the message was inserted, which no field shows.
    Inserted,
}

/// How times are written. Windows compare what is written: digits that a format cuts off do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// `1744750665`
    Seconds,
    /// `1744750665123`
    Milliseconds,
    /// `1744750665123456`
    Microseconds,
    /// `1744750665.123456`
    FloatSeconds,
    /// `"2025-04-15T20:57:45.123Z"`
    Iso,
    /// `"2025-04-15T22:57:45.123456+02:00"`
    IsoOffset,
    /// `"1744750665"`
    SecondsText,
}

impl TimeFormat {
    /// `us` without the digits that this format does not write.
    pub(super) fn known(self, us: i64) -> i64 {
        let precision = match self {
            Self::Seconds | Self::SecondsText => 1_000_000,
            Self::Milliseconds | Self::Iso => 1_000,
            Self::Microseconds | Self::FloatSeconds | Self::IsoOffset => 1,
        };
        us - us.rem_euclid(precision)
    }
}

/// What the cursor of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorKind {
    /// Names the last record served; the server remembers nothing. One that is passed with another window
    /// answers 400. Records that appear or vanish do not shift the pages after it.
    Token,
    /// How many records to skip, of the archive as it is now: growth shifts pages. Never dies.
    Offset,
    /// One id throughout a chain, and the server moves on at each request: an answer that was lost is gone.
    /// The other parameters are not looked at.
    Scroll,
}

/// How long a cursor can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorLife {
    /// For so many requests to its endpoint, whoever makes them.
    Requests(u64),
    /// For so many milliseconds.
    Milliseconds(u64),
}

/// How requests are counted against the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// A token bucket that holds one second's requests.
    TokenBucket,
    /// So many in each second of the wall clock.
    CalendarSecond,
    /// So many in any last second.
    SlidingSecond,
}

/// What a refused request is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// `Retry-After` in seconds, rounded up.
    Seconds,
    /// `Retry-After` as a date of the server's clock.
    HttpDate,
    /// No such header.
    Nothing,
}

/// How long answers take, drawn from the seed and the number of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Always the same.
    Fixed(Duration),
    /// Half to one and a half times `median`, and one in `one_in` (0: none) takes `tail`.
    HeavyTailed {
        /// The middle of the usual answers.
        median: Duration,
        /// How rare a slow answer is.
        one_in: u32,
        /// How long a slow one takes.
        tail: Duration,
    },
    /// Grows with every page of a chain.
    Growing {
        /// The first page.
        first: Duration,
        /// What each page adds to the one before.
        per_page: Duration,
    },
}

impl Latency {
    /// How long the answer takes that has page number `page` (from 0) of its chain.
    pub(super) fn draw(self, random: &mut Random, page: u64) -> Duration {
        match self {
            Self::Fixed(always) => always,
            Self::HeavyTailed { tail, one_in, .. } if one_in > 0 && random.one_in(one_in) => tail,
            Self::HeavyTailed { median, .. } => median.mul_f64(0.5 + random.fraction()),
            Self::Growing { first, per_page } => {
                first.saturating_add(per_page.saturating_mul(u32::try_from(page).unwrap_or(u32::MAX)))
            }
        }
    }
}

/// What bodies are packed with, where the request's `Accept-Encoding` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// `gzip`
    Gzip,
    /// `zstd`
    Zstd,
}

/// An archive that changes while it is read. Requests are counted per endpoint, and only those for which a
/// page was made (its answer may be lost); a request sees what the requests before it have let appear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// How many conversations of each bot, with their messages, are hidden at first.
    pub late_records: u32,
    /// How many conversations of each bot are at first as if they had just begun: `lastActionAt` is the
    /// start, there are no tags, and the metadata has only what the system sets.
    pub updates: u32,
    /// After how many requests records appear and change.
    pub after_requests: u64,
    /// How many appear, and how many change, with each further request; 0 = all at once.
    pub per_request: u32,
    /// Where it is not 0, a late conversation appears (is inserted) so many seconds after its start by the clock,
    /// whatever was requested.
    pub late_seconds: u32,
    /// Whether late conversations are from 1 to `late_seconds` seconds late, rather than all `late_seconds`.
    pub late_spread: bool,
    /// Only conversations that start on this day (24 hours, counted from 0 at the range's start) are late.
    pub late_day: Option<u32>,
    /// How many conversations of each bot are deleted, with their messages.
    pub deleted: u32,
    /// How many seconds after their last action they are.
    pub deleted_seconds: u32,
}

/// An odd record in every bot's archive, at its place by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// Where it is served.
    pub endpoint: Endpoint,
    /// Unix seconds: the only time that filters and orders it, whatever its text says.
    pub time_seconds: i64,
    /// The record as it stands in the page. Not checked, so that it can be anything.
    pub raw_json: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_knows_only_what_it_writes() {
        let us = 1_744_750_665_123_456;
        assert_eq!(TimeFormat::Seconds.known(us), 1_744_750_665_000_000);
        assert_eq!(TimeFormat::Iso.known(us), 1_744_750_665_123_000);
        assert_eq!(TimeFormat::FloatSeconds.known(us), us);
        assert_eq!(TimeFormat::Seconds.known(-1), -1_000_000);
    }

    #[test]
    fn latencies_are_drawn_as_described() {
        let ms = Duration::from_millis;
        let mut random = Random::new(1, 1);
        let growing = Latency::Growing {
            first: ms(10),
            per_page: ms(5),
        };
        assert_eq!(
            (growing.draw(&mut random, 0), growing.draw(&mut random, 4)),
            (ms(10), ms(30))
        );
        let tailed = Latency::HeavyTailed {
            median: ms(100),
            one_in: 10,
            tail: ms(5_000),
        };
        let drawn: Vec<Duration> = (0..1000).map(|_| tailed.draw(&mut random, 0)).collect();
        let slow = drawn.iter().filter(|latency| **latency == ms(5_000)).count();
        assert!((60..140).contains(&slow), "{slow}");
        assert!(
            drawn
                .iter()
                .all(|latency| *latency == ms(5_000) || (ms(50)..ms(150)).contains(latency))
        );
    }
}
