//! Requests pages of the Export API: client, failures, retry decision, rate limiter, key.

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
mod stats;
mod transport;

pub(crate) use client::read_body;
pub use client::{HttpClient, Response};
pub use connection::{Connection, DEFAULT_PAGE_BYTES};
pub use failure::Failure;
pub use key::ApiKey;
pub use pacing::SendTicket;
pub use rate_limiter::RateLimiter;
pub use retry::{Attempt, Decision, RetryPolicy, decide};
pub use stats::RequestStats;
pub use transport::TlsError;

use std::time::Duration;

use jiff::SignedDuration;

use crate::window::Window;

/// One request. A cursor is only sent with the parameters of the request that returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest {
    /// Path of the endpoint, relative to the base URL.
    pub endpoint: &'static str,
    /// The bot, by name or id.
    pub bot: String,
    /// `start_time` and `end_time` as sent, in Unix seconds.
    pub window: Window,
    /// Maximum number of records, 1 to 1,000.
    pub per_page: u32,
    /// Cursor of the page; `None` for the first page of a chain.
    pub cursor: Option<String>,
    /// Returns only the messages of this conversation.
    pub conversation: Option<String>,
    /// Whether the caller can repeat the request with a smaller `per_page`: see [`RequestError::PageTooLarge`].
    pub may_shrink: bool,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A retry cannot succeed.
    #[error("{failure}")]
    Failed {
        /// The last failure.
        failure: Failure,
    },
    /// Retries did not succeed within the retry limit.
    #[error("no answer after {attempts} {}", if *.attempts == 1 { "attempt" } else { "attempts" })]
    GaveUp {
        /// The last failure.
        #[source]
        failure: Failure,
        /// Number of attempts.
        attempts: u32,
    },
    /// The server demands a wait that is longer than the retry limit. Until then, no request of the same rate limiter
    /// is sent.
    #[error("the server demands a wait of {} before the next request", shown(.failure.retry_after().unwrap_or_default()))]
    MustWait {
        /// The failure with the wait.
        #[source]
        failure: Failure,
    },
    /// The server does not know the cursor any more. The window must be restarted.
    #[error("the cursor is no longer valid: {failure}")]
    CursorExpired {
        /// The server's response.
        failure: Failure,
    },
    /// The page is larger than the server or the client supports. Only if [`ApiRequest::may_shrink`] is true:
    /// immediately after status 413 and [`Failure::TooLarge`], or after three failed attempts in a row as in
    /// [`Failure::may_be_page_too_large`]. A request with a cursor may also have an expired cursor, to which some
    /// servers respond with status 500.
    #[error("the server does not support pages of this size: {failure}")]
    PageTooLarge {
        /// The last failure.
        failure: Failure,
    },
    /// An attempt failed that must not be repeated, since the server advances this cursor with each request.
    #[error("the page may have been skipped: {failure}")]
    ResponseLost {
        /// The last failure.
        failure: Failure,
    },
}

/// Formats a wait: `1h 30m`.
fn shown(wait: Duration) -> String {
    match SignedDuration::try_from(wait) {
        Ok(wait) if wait < SignedDuration::from_hours(24 * 365) => {
            // omit fractions of a second
            format!("{:#}", SignedDuration::from_secs(wait.as_secs().max(1)))
        }
        _ => "longer than a year".to_owned(),
    }
}
