//! What a run reports while it works.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::{Failure, RequestStats};
use crate::dataset::Dataset;
use crate::fetch::{Endpoint, FetchProgress};
use crate::window::{Window, Windows};

/// How far a dataset of a bot is.
#[derive(Clone, Debug, Default)]
pub struct ProgressSnapshot {
    /// Seconds of the range that are fetched completely, of those that have to be.
    pub covered_seconds: i64,
    /// Records received.
    pub records: u64,
    /// Pages answered, those of an interrupted run included.
    pub pages: u64,
    /// Pages thought to be left; `None` as long as there is nothing to go by.
    pub pages_left: Option<f64>,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Requests that repeated a failed one.
    pub retries: u64,
    /// Requests a second that are allowed at the moment; infinite where there is no limit.
    pub allowed_per_second: f64,
    /// The windows whose next page is awaited.
    pub awaited: Vec<Window>,
}

impl ProgressSnapshot {
    pub(super) fn of(
        missing: &Windows,
        progress: &FetchProgress,
        records: u64,
        stats: &RequestStats,
        endpoint: &Endpoint,
    ) -> Self {
        let mut left = missing.clone();
        left.subtract_all(&progress.covered);
        Self {
            covered_seconds: missing.seconds() - left.seconds(),
            records,
            pages: progress.pages,
            pages_left: progress.pages_left,
            requests: stats.requests.load(Ordering::Relaxed),
            retries: stats.retries.load(Ordering::Relaxed),
            allowed_per_second: endpoint.allowed_per_second(),
            awaited: progress.awaited.clone(),
        }
    }
}

/// Receives what happens during a run. Methods are called from several threads.
pub trait Progress: Send + Sync {
    /// A dataset of a bot begins: this much of the range (seconds) has to be fetched.
    fn begins(&self, dataset: Dataset, bot: &str, seconds: i64) {
        let _ = (dataset, bot, seconds);
    }
    /// A page came.
    fn reached(&self, dataset: Dataset, bot: &str, snapshot: &ProgressSnapshot) {
        let _ = (dataset, bot, snapshot);
    }
    /// A request failed and is made again after so long.
    fn waits(&self, dataset: Dataset, bot: &str, failure: &Failure, wait: Duration) {
        let _ = (dataset, bot, failure, wait);
    }
    /// Partitions were committed.
    fn committed(&self, dataset: Dataset, bot: &str, partitions: u64) {
        let _ = (dataset, bot, partitions);
    }
    /// A dataset of a bot ends.
    fn ends(&self, dataset: Dataset, bot: &str) {
        let _ = (dataset, bot);
    }
}

/// Reports nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
