//! Counts of requests, and a callback for retries.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::Failure;

/// Counts of requests.
#[derive(Debug, Default)]
pub struct RequestStats {
    /// Requests sent, retries included.
    pub requests: AtomicU64,
    /// Requests that repeated a failed one.
    pub retries: AtomicU64,
    /// Requests that the server refused with 429.
    pub rate_limited: AtomicU64,
    /// Bytes of bodies, decompressed.
    pub bytes_received: AtomicU64,
    /// Called before each retry with its reason and its delay.
    pub on_retry: RetryObserver,
}

/// A callback for failures that are followed by a retry.
#[derive(Default)]
pub struct RetryObserver(OnceLock<RetryCallback>);

type RetryCallback = Box<dyn Fn(&Failure, Duration) + Send + Sync>;

impl RetryObserver {
    /// Sets the callback. Later calls have no effect.
    pub fn set(&self, callback: impl Fn(&Failure, Duration) + Send + Sync + 'static) {
        self.0.get_or_init(|| Box::new(callback));
    }

    pub(super) fn notify(&self, failure: &Failure, wait: Duration) {
        if let Some(callback) = self.0.get() {
            callback(failure, wait);
        }
    }
}

impl fmt::Debug for RetryObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryObserver")
    }
}
