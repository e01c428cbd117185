//! Input and output of the planner.

use serde::{Deserialize, Serialize};

use super::observed::{Field, Order};
use crate::window::Window;

/// The planner's view of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFacts {
    /// A hash of the record's id.
    pub id: u64,
    /// The record's time (`startTime` or `time`) in Unix microseconds; `None` if it cannot be read.
    pub time: Option<i64>,
    /// The time of its last update in Unix microseconds; `None` if there is none.
    pub last_action: Option<i64>,
}

/// What a page says about the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage {
    /// The cursor of the next page.
    Cursor(String),
    /// The cursor is null: this is the last page.
    End,
    /// The page has no cursor field.
    Absent,
}

/// The planner's view of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFacts {
    /// Its records, in order.
    pub records: Vec<RecordFacts>,
    /// The next page.
    pub next: NextPage,
}

/// What a run learned about an API. Later runs begin with it. It never makes a window complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Knowledge {
    /// The order of records within a window, if it was the same in all pages.
    pub order: Option<Order>,
    /// The field that windows filter, if all others are disproven.
    pub filter: Option<Field>,
    /// Whether windows include their first second.
    pub includes_first_second: bool,
    /// Maximum requests in flight: rate times latency.
    pub in_flight: Option<usize>,
    /// Limits of the server.
    #[serde(flatten)]
    pub limits: Limits,
    /// Maximum records of a listing.
    #[serde(skip_serializing_if = "is_default")]
    pub longest_listing: usize,
    /// Longest distances in seconds from the start of a window to a record, and from a record to the end of its
    /// window: ranges of this length are served completely.
    #[serde(skip_serializing_if = "is_default")]
    pub longest_reach: [i64; 2],
    /// Daily variation of traffic: the share of each hour in UTC, in thousandths of the mean hour.
    #[serde(skip_serializing_if = "is_default")]
    pub hours: Option<[u16; 24]>,
}

/// Limits of a server, as observed; `None` means that no limit was met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Listings end after this many records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listing_cap: Option<usize>,
    /// Longer ranges, in seconds, are refused or shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_range: Option<i64>,
    /// Larger pages fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_page: Option<u32>,
}

impl Limits {
    /// Whether no limit was met.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the stricter limits of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            listing_cap: least(self.listing_cap, other.listing_cap),
            longest_range: least(self.longest_range, other.longest_range),
            largest_page: least(self.largest_page, other.largest_page),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The id of a chain in a planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub(super) u32);

impl ChainId {
    /// Returns its number, counted from 0.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// A request to send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The chain of the page.
    pub chain: ChainId,
    /// The window that is complete when the chain ends. It is stored with the page for
    /// [`Planner::resume`](super::Planner::resume).
    pub covers: Window,
    /// The window to request: `covers`, extended by a second at bounds that may be exclusive. It is the same in all
    /// requests of a chain.
    pub requested: Window,
    /// Records per page, the same in all requests of a chain.
    pub per_page: u32,
    /// The cursor; `None` for the first page.
    pub cursor: Option<String>,
    /// Index of the page in its chain, from 0.
    pub index: u32,
    /// Whether the request may be repeated if its response was lost. If not (the server may have advanced the
    /// cursor), report [`Planner::response_lost`](super::Planner::response_lost).
    pub retryable: bool,
    /// Whether the planner can continue with smaller pages if this one fails.
    pub may_shrink: bool,
}

/// A chain of an earlier run with pages in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpooledChain {
    /// [`PageRequest::covers`] of its requests.
    pub covers: Window,
    /// [`PageRequest::requested`] of its requests.
    pub requested: Window,
    /// [`PageRequest::per_page`] of its requests.
    pub per_page: u32,
}

/// Why a window cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The cursor repeats without new records, so the chain would not end.
    #[error("the cursor of window {window} repeats without new records after {pages} pages")]
    CursorRepeats {
        /// The window that was requested.
        window: Window,
        /// Number of its pages.
        pages: u32,
    },
    /// Many pages in a row had no new record, each with another cursor.
    #[error("{quiet} pages in a row of window {window} had no new record, and there is still a cursor")]
    NothingNew {
        /// The window that was requested.
        window: Window,
        /// Number of these pages.
        quiet: u32,
    },
    /// A page without a cursor field ended a window too early, and no page had such a field.
    #[error("window {window} has a full page without a cursor field: the API has changed")]
    CursorMissing {
        /// The window that was requested.
        window: Window,
    },
    /// The window was restarted too often because of invalid cursors.
    #[error("the cursor of window {window} expired {times} times before the window was read")]
    CursorExpires {
        /// The window that was requested.
        window: Window,
        /// Number of starts.
        times: u32,
    },
    /// The end of a listing is suspect, and its window cannot be split.
    #[error(
        "window {window} may have more than the {records} records that it lists: it ends like a listing that is cut off, or repeats records, and it cannot be split"
    )]
    UncertainEnd {
        /// The window that was requested.
        window: Window,
        /// Number of records in the listing.
        records: usize,
    },
}
