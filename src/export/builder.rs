//! An export as an embedder describes and runs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::options::{DEFAULT_REQUESTS_PER_SECOND, DEFAULT_SETTLE, MAX_PER_PAGE, Options};
use super::{Failure, Forecast, Outcome, Progress, export, forecast};
use crate::api::Connection;
use crate::dataset::{Dataset, MetadataMode, PrivacyOptions, Promoted, TableOptions};
use crate::error::Result;
use crate::fetch::CancellationToken;
use crate::table::{PartitionBy, RowGroups};
use crate::window::Window;

/// An export of conversations and messages into a table on disk.
///
/// ```no_run
/// use std::sync::Arc;
/// use converse_export::{ApiKey, CancellationToken, Connection, Export, Silent, Window};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = Connection::new("https://api.converseapps.com".parse()?, ApiKey::new("…")?);
/// let october = Window::new(1_696_118_400, 1_698_796_800);
/// let export = Export::new(connection, "r3-218210", october, "lake").requests_per_second(2.0);
/// let outcome = export.run(Arc::new(Silent), CancellationToken::new()).await?;
/// assert!(outcome.failures.is_empty(), "the table lacks records of the range");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Export {
    options: Options,
}

impl Export {
    /// An export of both datasets of one bot, by name or id. `range` is half-open, in Unix seconds, and refers to the time
    /// that the API filters by. `out` is the folder of the table. What the API returned in earlier runs is not requested
    /// again.
    #[must_use]
    pub fn new(
        connection: Connection,
        bot: impl Into<String>,
        range: Window,
        out: impl Into<PathBuf>,
    ) -> Self {
        Self {
            options: Options {
                bots: vec![bot.into()],
                datasets: Dataset::ALL.to_vec(),
                range,
                out: out.into(),
                connection,
                requests_per_second: DEFAULT_REQUESTS_PER_SECOND,
                concurrency: None,
                per_page: MAX_PER_PAGE,
                timezone: None,
                metadata: None,
                promote: None,
                row_group_rows: None,
                row_group_bytes: None,
                privacy: PrivacyOptions::default(),
                partition_by: None,
                settle: DEFAULT_SETTLE,
                refetch: false,
                lookback: None,
                conversation: None,
                keep_pages: false,
            },
        }
    }

    /// Adds a bot.
    #[must_use]
    pub fn bot(mut self, bot: impl Into<String>) -> Self {
        self.options.bots.push(bot.into());
        self
    }

    /// Sets the datasets. The default is both.
    #[must_use]
    pub fn datasets(mut self, datasets: impl IntoIterator<Item = Dataset>) -> Self {
        self.options.datasets = datasets.into_iter().collect();
        self
    }

    /// Sets the requests per second on each endpoint, at most 10,000; 0 means no limit. The default is 3, the vendor's
    /// limit.
    #[must_use]
    pub fn requests_per_second(mut self, requests_per_second: f64) -> Self {
        self.options.requests_per_second = requests_per_second;
        self
    }

    /// Sets the maximum of requests in flight on each endpoint, at least 1. By default only the rate limits them.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.options.concurrency = Some(requests);
        self
    }

    /// Sets the records to request per page, 1 to 1,000. The default is 1,000.
    #[must_use]
    pub fn per_page(mut self, records: u32) -> Self {
        self.options.per_page = records;
        self
    }

    /// Sets the IANA time zone of the table's dates. The default is that of the table, or UTC. It cannot be changed in a
    /// table that exists.
    #[must_use]
    pub fn timezone(mut self, zone: impl Into<String>) -> Self {
        self.options.timezone = Some(zone.into());
        self
    }

    /// Sets whether a partition is a day or a month. The default is that of the table, or a day.
    #[must_use]
    pub fn partition_by(mut self, by: PartitionBy) -> Self {
        self.options.partition_by = Some(by);
        self
    }

    /// Sets the columns of the metadata. The default is that of the table, or one map column.
    #[must_use]
    pub fn table_options(mut self, options: TableOptions) -> Self {
        self.options.metadata = Some(options.metadata);
        self.options.promote = Some(options.promote);
        self
    }

    /// Sets how the metadata is stored: as a map, as JSON text, or as both.
    #[must_use]
    pub fn metadata(mut self, mode: MetadataMode) -> Self {
        self.options.metadata = Some(mode);
        self
    }

    /// Sets the metadata keys that become columns of their own.
    #[must_use]
    pub fn promote(mut self, columns: impl IntoIterator<Item = Promoted>) -> Self {
        self.options.promote = Some(columns.into_iter().collect());
        self
    }

    /// Sets the maximum size of a row group.
    #[must_use]
    pub fn row_groups(mut self, limit: RowGroups) -> Self {
        self.options.row_group_rows = Some(limit.rows);
        self.options.row_group_bytes = Some(limit.bytes);
        self
    }

    /// Sets what is removed from rows, hashed or masked. The default is that of the table, or nothing.
    #[must_use]
    pub fn privacy(mut self, rules: PrivacyOptions) -> Self {
        self.options.privacy = rules;
        self
    }

    /// Sets how long a record may take to appear in the API. Time that is younger when it is requested is exported, but
    /// not complete: a later run requests it again. The default is 15 minutes.
    #[must_use]
    pub fn settle(mut self, settle: Duration) -> Self {
        self.options.settle = settle;
        self
    }

    /// Requests the whole range again, complete time included.
    #[must_use]
    pub fn refetch(mut self) -> Self {
        self.options.refetch = true;
        self
    }

    /// Continues the table to the end of the range, and requests this much time before its watermark again.
    #[must_use]
    pub fn lookback(mut self, lookback: Duration) -> Self {
        self.options.lookback = Some(lookback);
        self
    }

    /// Exports only the messages of one conversation. No time counts as complete for it. The datasets must be messages
    /// alone.
    #[must_use]
    pub fn conversation(mut self, id: impl Into<String>) -> Self {
        self.options.conversation = Some(id.into());
        self
    }

    /// Retains the pages in `_export/kept/` after they are part of the table.
    #[must_use]
    pub fn keep_pages(mut self) -> Self {
        self.options.keep_pages = true;
        self
    }

    /// Runs the export. It must be awaited within a Tokio runtime that has time and I/O enabled; the runtime may have one
    /// thread, and is never blocked. After a cancellation no more requests are sent, and a later run continues. If the
    /// future is dropped, the table stays locked until nothing writes to it.
    ///
    /// # Errors
    /// If nothing could begin, or the folder failed. A dataset of a bot that could not be fetched completely is in
    /// [`Outcome::failures`].
    pub async fn run(&self, progress: Arc<dyn Progress>, cancellation: CancellationToken) -> Result<Outcome> {
        export(&self.options, progress, cancellation).await
    }

    /// Estimates the requests and the time of the export with at most 12 requests per dataset and bot. Writes nothing.
    /// Returns also the datasets that could not be estimated.
    ///
    /// # Errors
    /// If the options contradict each other or the table cannot be read.
    pub async fn forecast(&self) -> Result<(Forecast, Vec<Failure>)> {
        forecast(&self.options).await
    }
}
