//! What the planner learns from a page, and what it requests.

use serde::{Deserialize, Serialize};

use super::observed::{Field, Order};
use crate::window::Window;

/// One record, as far as the planner needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFacts {
    /// A hash of the record's id: equal ids give equal numbers.
    pub id: u64,
    /// The record's own time (`startTime` or `time`), Unix microseconds; `None` where it cannot be read.
    pub time: Option<i64>,
    /// The time of its last update, Unix microseconds; `None` where there is none.
    pub last_action: Option<i64>,
}

/// What a page says about the page after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage {
    /// The cursor of the next page.
    Cursor(String),
    /// The cursor is `null`: this was the last page.
    End,
    /// The page has no cursor field at all.
    Absent,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFacts {
    /// Its records, in the order of the page.
    pub records: Vec<RecordFacts>,
    /// What comes after it.
    pub next: NextPage,
}

/// What a run learns of an API, for later runs to begin with. Nothing of it makes a window complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Knowledge {
    /// The order of records within a window, where all pages agreed.
    pub order: Option<Order>,
    /// The field that windows filter, where every other one is disproven.
    pub filter: Option<Field>,
    /// Whether a window was seen to include its first second.
    pub includes_first_second: bool,
    /// The most requests that were in flight at a time: rate times latency.
    pub in_flight: Option<usize>,
    /// What the server cannot do.
    #[serde(flatten)]
    pub limits: Limits,
    /// The most records that one window was seen to list.
    #[serde(skip_serializing_if = "is_default")]
    pub longest_listing: usize,
    /// The longest way from the start of a window to a record in it, and from a record to the end of its
    /// window, in seconds: a range of this length is served as requested.
    #[serde(skip_serializing_if = "is_default")]
    pub longest_reach: [i64; 2],
    /// How traffic varies within a day: the share of each hour in UTC, in thousandths of the mean hour.
    #[serde(skip_serializing_if = "is_default")]
    pub hours: Option<[u16; 24]>,
}

/// What a server cannot do. All of it was observed; `None` means no limit was met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Listings end after this many records, whatever is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listing_cap: Option<usize>,
    /// Ranges longer than this many seconds are refused or shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_range: Option<i64>,
    /// Pages of more than this many records fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_page: Option<u32>,
}

impl Limits {
    /// Whether no limit was met.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The stricter of both, limit by limit.
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

/// Names a chain of pages within one planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub(super) u32);

impl ChainId {
    /// Its number, counted from 0 within one planner.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// One request to send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The chain that the page belongs to.
    pub chain: ChainId,
    /// The window that is complete once the chain ends. Stored with its pages, it lets
    /// [`Planner::resume`](super::Planner::resume) continue later.
    pub covers: Window,
    /// The window to request: `covers`, and one second more at a bound where it is unproven that the API
    /// includes it. It is the same in every request of a chain.
    pub requested: Window,
    /// Records wanted, the same in every request of a chain.
    pub per_page: u32,
    /// The cursor to send; `None` requests the first page.
    pub cursor: Option<String>,
    /// Number of the page within its chain, from 0.
    pub index: u32,
    /// Whether the same request may be sent again when its answer was lost. Where it may not (the server may
    /// have moved the cursor by itself), report [`Planner::response_lost`](super::Planner::response_lost) instead.
    pub retryable: bool,
    /// Whether the planner can continue with smaller pages where the server fails to make this one.
    pub may_shrink: bool,
}

/// A chain of an earlier run, of which pages are in the spool.
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
    /// The cursor repeats and its pages bring nothing new: the chain would never end.
    #[error("the cursor of window {window} repeats without new records after {pages} pages")]
    CursorRepeats {
        /// The window that was requested.
        window: Window,
        /// How many pages it had.
        pages: u32,
    },
    /// Many pages in a row brought nothing new, each with another cursor.
    #[error("{quiet} pages in a row of window {window} brought no new record, and there is still a cursor")]
    NothingNew {
        /// The window that was requested.
        window: Window,
        /// How many pages brought nothing.
        quiet: u32,
    },
    /// A page without a cursor field ended a window too early, and no page ever had one.
    #[error("window {window} answered a full page without a cursor field: the API's answer has changed")]
    CursorMissing {
        /// The window that was requested.
        window: Window,
    },
    /// The window was started again too often, its cursor being invalid each time.
    #[error("the cursor of window {window} expired {times} times before the window could be read")]
    CursorExpires {
        /// The window that was requested.
        window: Window,
        /// How many times it was started.
        times: u32,
    },
    /// The end of a listing is in doubt, and its window cannot be split further.
    #[error(
        "window {window} may have more than the {records} records that it lists: it ends like a listing that is cut off, or repeats records, and cannot be split further"
    )]
    UncertainEnd {
        /// The window that was requested.
        window: Window,
        /// How many records it listed.
        records: usize,
    },
}
