//! Properties of an API as found by the doctor.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::dataset::Dataset;
use crate::plan::{Field, Knowledge, Limits, Order};
use crate::window::Window;

/// Properties of the endpoint of a dataset.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorReport {
    /// The dataset.
    pub dataset: Dataset,
    /// The range of the records.
    pub range: Window,
    /// Number of requests.
    pub requests: u64,
    /// Records on the first page.
    pub records: usize,
    /// The median latency.
    pub latency_seconds: f64,
    /// Requests in flight that hide this latency at the requested rate.
    pub in_flight: f64,
    /// How far the server's clock is ahead of this machine's clock; 0 if the server sends no date.
    pub clock_ahead_seconds: f64,
    /// The formats of each time field.
    pub times: BTreeMap<&'static str, BTreeSet<&'static str>>,
    /// Undocumented fields.
    pub new_fields: BTreeSet<String>,
    /// Documented fields that no record has.
    pub absent_fields: BTreeSet<&'static str>,
    /// The order of the records, if there is one.
    pub order: Option<Order>,
    /// Filter and bounds of windows.
    pub bounds: Bounds,
    /// How cursors behave.
    pub cursors: Cursors,
    /// The response to a request for more records than a page can have.
    pub page_limit: PageLimit,
    /// The length at which listings end.
    pub listing_limit: ListingLimit,
    /// The longest range of a request, in seconds.
    pub range_limit: RangeLimit,
    /// Known limits of the server, to which exports adapt.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Records in a window in the future; there should be none.
    pub future_records: usize,
    /// The response to an unknown cursor.
    pub dead_cursor: InvalidCursor,
    /// The response to too many requests at once; `None` if there is no rate limit.
    pub refusal: Option<Refusal>,
}

/// Filter and bounds of windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// The time that windows filter.
    pub filter: Option<Field>,
    /// Whether windows include a record at exactly `start_time`.
    pub includes_start: Option<bool>,
    /// Whether windows include a record at exactly `end_time`.
    pub includes_end: Option<bool>,
}

/// How cursors behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursors {
    /// The range fits into one page.
    NotNeeded,
    /// Each page has another cursor.
    Changes {
        /// Whether the same cursor returned the same page again.
        repeatable: bool,
    },
    /// A cursor is valid for one request.
    Once,
    /// All pages have the same cursor: the server advances it.
    Stays,
}

/// The response to a request for more records than a page can have.
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
    /// It has this many records.
    Gives {
        /// Records.
        records: usize,
    },
    /// It could not be found out.
    Unclear {
        /// The reason.
        why: String,
    },
}

/// The response to an unknown cursor.
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
    /// It is a page.
    Answered {
        /// Number of its records.
        records: usize,
    },
    /// It could not be found out.
    Unclear {
        /// The reason.
        why: String,
    },
}

/// The response to too many requests at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Refusal {
    /// Requests sent at once.
    pub asked: usize,
    /// Requests that were refused.
    pub refused: usize,
    /// The `Retry-After` of a refusal.
    pub retry_after_seconds: Option<f64>,
}

/// Where the server ends listings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListingLimit {
    /// No limit was met.
    NotMet {
        /// Records of the listing, as far as it was read.
        listed: usize,
    },
    /// A listing ended, and the range has more records.
    EndsAt {
        /// Records of the listing.
        records: usize,
    },
    /// It could not be found out.
    Unclear {
        /// The reason.
        why: String,
    },
}

/// The longest range of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeLimit {
    /// No limit was met.
    NotMet {
        /// Seconds of a range that was served completely.
        served_seconds: i64,
    },
    /// Longer ranges are refused.
    Refused {
        /// Seconds of a range that is served.
        longest_seconds: Option<i64>,
    },
    /// Longer ranges are served incompletely.
    Shortened {
        /// Seconds of a range that is served completely; `None` if it is unknown.
        longest_seconds: Option<i64>,
    },
    /// It could not be found out.
    Unclear {
        /// The reason.
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

    /// Returns the knowledge for exports.
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
