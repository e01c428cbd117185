//! What was found out about an API.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::dataset::Dataset;
use crate::plan::{Field, Knowledge, Limits, Order};
use crate::window::Window;

/// What was found out about one dataset's endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorReport {
    /// The dataset.
    pub dataset: Dataset,
    /// Where records were looked for.
    pub range: Window,
    /// Requests that it took.
    pub requests: u64,
    /// Records on the first page.
    pub records: usize,
    /// The median of the answers.
    pub latency_seconds: f64,
    /// Requests in flight that hide this latency at the rate asked for.
    pub in_flight: f64,
    /// How far the server's clock is ahead of this machine's; 0 where the server does not tell its time.
    pub clock_ahead_seconds: f64,
    /// The forms in which each field of time was seen.
    pub times: BTreeMap<&'static str, BTreeSet<&'static str>>,
    /// Fields that are documented nowhere.
    pub new_fields: BTreeSet<String>,
    /// Documented fields that no record had.
    pub absent_fields: BTreeSet<&'static str>,
    /// The order of the records, where there is one.
    pub order: Option<Order>,
    /// What a window means.
    pub bounds: Bounds,
    /// How cursors behave.
    pub cursors: Cursors,
    /// What becomes of a request for more records than a page may hold.
    pub page_limit: PageLimit,
    /// Where listings end.
    pub listing_limit: ListingLimit,
    /// How long a range may be.
    pub range_limit: RangeLimit,
    /// What the server cannot do, as far as it was found: an export adapts to it.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Records in a window that lies in the future; there should be none.
    pub future_records: usize,
    /// What a cursor answers that the API does not know.
    pub dead_cursor: InvalidCursor,
    /// What becomes of too many requests at once; none where there is no limit to try.
    pub refusal: Option<Refusal>,
}

/// What a window means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// The time that it filters.
    pub filter: Option<Field>,
    /// Whether a record at exactly `start_time` is in it.
    pub includes_start: Option<bool>,
    /// Whether a record at exactly `end_time` is in it.
    pub includes_end: Option<bool>,
}

/// How cursors behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursors {
    /// The range holds no more than a page.
    NotNeeded,
    /// Each page names the next one by another cursor.
    Changes {
        /// Whether asking twice gave the same page.
        repeatable: bool,
    },
    /// A cursor is good for one request: asked twice it is unknown.
    Once,
    /// The cursor is the same on every page: the server moves it.
    Stays,
}

/// What becomes of a request for more records than a page may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PageLimit {
    /// It is refused.
    Refused {
        /// The status.
        status: u16,
        /// The server's message.
        shown: String,
    },
    /// It is answered with so many.
    Gives {
        /// Records.
        records: usize,
    },
    /// Nothing was learnt.
    Unclear {
        /// Why.
        why: String,
    },
}

/// What a cursor answers that the API does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvalidCursor {
    /// It is refused.
    Refused {
        /// The status.
        status: u16,
        /// The server's message.
        shown: String,
    },
    /// It is answered with a page.
    Answered {
        /// Records in it.
        records: usize,
    },
    /// Nothing was learnt.
    Unclear {
        /// Why.
        why: String,
    },
}

/// What became of too many requests at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Refusal {
    /// Requests sent at once.
    pub asked: usize,
    /// How many were refused.
    pub refused: usize,
    /// How long a refused one is told to wait.
    pub retry_after_seconds: Option<f64>,
}

/// Where the server ends listings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListingLimit {
    /// No limit was met.
    NotMet {
        /// Records that one listing had, as far as it was read.
        listed: usize,
    },
    /// A listing ended, and the range has more records.
    EndsAt {
        /// Records of the listing.
        records: usize,
    },
    /// Nothing was learned.
    Unclear {
        /// Why.
        why: String,
    },
}

/// How long the range of a request may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeLimit {
    /// No limit was met.
    NotMet {
        /// Seconds of a range that was served as requested.
        served_seconds: i64,
    },
    /// A longer range is answered with an error.
    Refused {
        /// Seconds of a range that is served.
        longest_seconds: Option<i64>,
    },
    /// A longer range is answered without all of its records.
    Shortened {
        /// Seconds of a range that is served as requested; `None` where that was not found.
        longest_seconds: Option<i64>,
    },
    /// Nothing was learned.
    Unclear {
        /// Why.
        why: String,
    },
}

impl DoctorReport {
    pub(super) fn new(dataset: Dataset, range: Window) -> Self {
        let unclear = || "not asked".to_owned();
        Self {
            dataset,
            range,
            requests: 0,
            records: 0,
            latency_seconds: 0.0,
            in_flight: 0.0,
            clock_ahead_seconds: 0.0,
            times: BTreeMap::new(),
            new_fields: BTreeSet::new(),
            absent_fields: BTreeSet::new(),
            order: None,
            bounds: Bounds::default(),
            cursors: Cursors::NotNeeded,
            page_limit: PageLimit::Unclear { why: unclear() },
            listing_limit: ListingLimit::Unclear { why: unclear() },
            range_limit: RangeLimit::Unclear { why: unclear() },
            limits: Limits::default(),
            future_records: 0,
            dead_cursor: InvalidCursor::Unclear { why: unclear() },
            refusal: None,
        }
    }

    /// What an export can begin with.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number, never negative"
        )]
        let in_flight = self.in_flight as usize;
        Knowledge {
            order: self
                .order
                .filter(|order| self.bounds.filter.is_none_or(|filter| filter == order.field)),
            filter: self.bounds.filter,
            includes_first_second: self.bounds.includes_start == Some(true),
            in_flight: (in_flight > 0).then_some(in_flight),
            limits: self.limits,
            ..Knowledge::default()
        }
    }
}
