//! One page of the Export API: the request, its answer, what may go wrong, and the requests that are allowed.

mod body_memory;
mod client;
mod connection;
mod failure;
mod key;
mod pacing;
mod rate_limiter;
mod response_meta;
mod retry;
#[cfg(test)]
mod simulation;
mod transport;

pub(crate) use client::read_body;
pub use client::{HttpClient, RequestStats, Response};
pub use connection::{Connection, DEFAULT_PAGE_BYTES};
pub use failure::Failure;
pub use key::ApiKey;
pub use pacing::SendTicket;
pub use rate_limiter::RateLimiter;
pub use retry::{Attempt, Decision, RetryPolicy, decide};
pub use transport::TlsError;

use std::time::Duration;

use jiff::SignedDuration;

use crate::window::Window;

/// What one request asks for. A cursor is only ever sent with exactly the parameters it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest {
    /// Path of the endpoint, from the API's root.
    pub endpoint: &'static str,
    /// The bot, by name or id.
    pub bot: String,
    /// `start_time` and `end_time`, Unix seconds, as they are sent.
    pub window: Window,
    /// Records wanted at most, 1 to 1000.
    pub per_page: u32,
    /// Where the chain goes on; `None` asks for its first page.
    pub cursor: Option<String>,
    /// Only the messages of this conversation.
    pub conversation: Option<String>,
    /// Whether the caller can make the request with a smaller `per_page`: see [`RequestError::PageTooLarge`].
    pub may_shrink: bool,
}

/// How a page could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Asking again cannot help.
    #[error("{failure}")]
    Failed {
        /// The last failure.
        failure: Failure,
    },
    /// It might have healed, but not within the retry limit.
    #[error("no answer after {attempts} {}", if *.attempts == 1 { "attempt" } else { "attempts" })]
    GaveUp {
        /// The last failure.
        #[source]
        failure: Failure,
        /// Attempts made.
        attempts: u32,
    },
    /// The server asks to wait longer than the retry limit. Until then nothing is sent by anything that shares the rate
    /// limiter.
    #[error("the server asks to wait {} before the next request", shown(.failure.retry_after().unwrap_or_default()))]
    MustWait {
        /// The failure that says how long, from then on.
        #[source]
        failure: Failure,
    },
    /// The cursor of a chain is no longer known to the server: its window has to start again.
    #[error("the cursor is no longer valid: {failure}")]
    CursorExpired {
        /// What the server answered.
        failure: Failure,
    },
    /// The server cannot make, or the client cannot take, a page of this size. Only where [`ApiRequest::may_shrink`] is true:
    /// at once after status 413 and [`Failure::TooLarge`]; after three attempts in a row that failed as
    /// [`Failure::may_be_page_too_large`] describes. With a cursor it can also be a dead cursor, which some servers
    /// answer with status 500.
    #[error("the server cannot make a page of this size: {failure}")]
    PageTooLarge {
        /// The last failure.
        failure: Failure,
    },
    /// An attempt failed that may not be repeated in place, since the server moves this cursor by itself.
    #[error("the page may have been skipped: {failure}")]
    ResponseLost {
        /// The last failure.
        failure: Failure,
    },
}

/// A wait for people: `1h 30m`.
fn shown(wait: Duration) -> String {
    match SignedDuration::try_from(wait) {
        Ok(wait) if wait < SignedDuration::from_hours(24 * 365) => {
            // fractions of a second are of no use here
            format!("{:#}", SignedDuration::from_secs(wait.as_secs().max(1)))
        }
        _ => "longer than a year".to_owned(),
    }
}
