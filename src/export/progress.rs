//! What a run tells while it works.

use crate::dataset::Dataset;

/// Receives what happens during a run. Methods are called from several threads.
pub trait Progress: Send + Sync {
    /// A dataset of a bot begins: this much of the range (seconds) has to be asked for.
    fn begins(&self, dataset: Dataset, bot: &str, seconds: i64) {
        let _ = (dataset, bot, seconds);
    }
    /// A page came: records it held, and the seconds of the range fetched completely so far.
    fn page(&self, dataset: Dataset, bot: &str, records: u64, covered_seconds: i64) {
        let _ = (dataset, bot, records, covered_seconds);
    }
    /// Partitions were committed.
    fn committed(&self, dataset: Dataset, bot: &str, partitions: u64) {
        let _ = (dataset, bot, partitions);
    }
    /// All is said of a dataset of a bot.
    fn ends(&self, dataset: Dataset, bot: &str) {
        let _ = (dataset, bot);
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
