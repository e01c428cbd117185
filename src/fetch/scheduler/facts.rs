//! What the scheduler is told of a page, and what it asks for.

use serde::{Deserialize, Serialize};

use super::belief::{Field, Order};
use crate::window::Window;

/// One record as far as the scheduler cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFacts {
    /// A hash of the record's id: equal ids give equal numbers.
    pub id: u64,
    /// The record's own time (`startTime` or `time`), Unix microseconds; `None` where it cannot be read.
    pub time: Option<i64>,
    /// The time of its last update, Unix microseconds; `None` where there is none.
    pub last_action: Option<i64>,
}

/// What an answer says about the page after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The cursor of the next page.
    Cursor(String),
    /// The cursor is `null`: the window is complete.
    End,
    /// The answer has no cursor field at all.
    Absent,
}

/// One answered page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFacts {
    /// Its records, in the order of the answer.
    pub records: Vec<RecordFacts>,
    /// What comes after it.
    pub next: Next,
}

/// What a run learns of an API, for later ones to begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Knowledge {
    /// The order of records, on the field that windows filter.
    pub order: Option<Order>,
    /// The field that windows filter, where every other one is disproven.
    pub filter: Option<Field>,
    /// Whether a window was seen to include its first second.
    pub includes_first_second: bool,
    /// The most requests that were in flight at a time: rate times latency.
    pub in_flight: Option<usize>,
}

/// Names a chain within one scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub(super) u32);

impl ChainId {
    /// Its number, counted from 0 within one scheduler.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// One request to make now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The chain that the answer belongs to.
    pub chain: ChainId,
    /// The window that the chain covers once its cursor is `null`. Kept with its pages, it lets
    /// [`Scheduler::resume`](super::Scheduler::resume) go on later.
    pub covers: Window,
    /// The window to ask the API for: `covers`, and one second before it as long as it is unproven that the
    /// API includes the first second. It is the same in every request of a chain.
    pub asked: Window,
    /// The cursor to send; `None` asks for the first page.
    pub cursor: Option<String>,
    /// Number of the page within its chain, from 0.
    pub index: u32,
    /// Whether the same request may be sent again when its answer was lost. Where it may not (the server may
    /// have moved the cursor by itself), tell [`Scheduler::lost`](super::Scheduler::lost) instead.
    pub retryable: bool,
}

/// A chain of an earlier run, of which pages were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptChain {
    /// [`Request::covers`] of its requests.
    pub covers: Window,
    /// [`Request::asked`] of its requests.
    pub asked: Window,
}

/// Why a window cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The cursor repeats and its pages bring nothing new: going on would never end.
    #[error("the cursor of window {window} repeats without new records after {pages} pages")]
    CursorRepeats {
        /// The window that was asked for.
        window: Window,
        /// How many pages it had answered.
        pages: u32,
    },
    /// A long row of pages brought nothing new, each with yet another cursor.
    #[error("{quiet} pages in a row of window {window} brought no new record, and its cursor still goes on")]
    NothingNew {
        /// The window that was asked for.
        window: Window,
        /// How many pages brought nothing.
        quiet: u32,
    },
    /// A full page without a cursor field, from an API that never showed one.
    #[error("window {window} answered a full page without a cursor field: the API's answer has changed")]
    CursorMissing {
        /// The window that was asked for.
        window: Window,
    },
    /// The window was started again too often, its cursor dying each time.
    #[error("the cursor of window {window} died {times} times before the window could be read")]
    CursorDies {
        /// The window that was asked for.
        window: Window,
        /// How many times it was started.
        times: u32,
    },
}
