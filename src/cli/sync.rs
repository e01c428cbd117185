//! `converse-export sync`: bring a table up to date.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::args::{
    ApiArgs, Moment, OutputArgs, PrivacyArgs, TABLE, TableOptionArgs, dataset, duration, local, partition_by,
};
use super::export::{self, ExportArgs};
use super::progress_bars;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::table::PartitionBy;

const EXAMPLES: &str = "\
Examples:
  # the same command every hour or every night; the first run exports everything since --since
  converse-export sync --bot r3-218210 --since 2023-10-01 --out ./lake

  # two bots, a lookback of a week, a JSON summary
  converse-export sync --bot r3-218210 --bot r3-218211 --since 2023-10-01 --lookback 7d --out ./lake --json

A run exports everything up to now minus --settle, fills every gap since --since, and fetches the last --lookback before
the previous run's end again, which adds late records and updates changed ones. Only partitions whose rows changed are
written, and _export/changes/ lists them. After an interruption the same command continues. A record whose date changed
leaves its old partition if both dates are in the fetched range.

A bot that fails does not stop the others; the summary names it. The run exits with 1 if a person must act (unknown bot,
refused key), and with 3 if it can be run again.";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "What to synchronize")]
pub(super) struct SyncArgs {
    /// Name or id of the bot; may be repeated
    #[arg(long, value_name = "NAME", required = true)]
    bot: Vec<String>,
    /// Start: YYYY-MM-DD, RFC 3339 and more
    ///
    /// The same for every run. Also YYYY-MM, YYYY-MM-DDTHH:MM and Unix seconds of 10 digits. Times without an offset are in
    /// --timezone. Aliases: --start, --from.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["start", "from"])]
    since: Moment,
    /// Export up to this time [default: now minus --settle]
    ///
    /// In the forms of --since. Aliases: --until, --to.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["until", "to"], hide_short_help = true)]
    end: Option<Moment>,
    /// conversations or messages [default: both]
    #[arg(long, value_name = "NAME", value_parser = dataset(), hide_possible_values = true)]
    dataset: Vec<Dataset>,
    /// Fetch this much before the watermark again
    ///
    /// A number with its unit: 12h, 3d. 0s fetches nothing twice.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "3d")]
    lookback: Duration,
    /// Stay this far behind now: records may appear late
    ///
    /// A number with its unit: 90s, 15m, 2h.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15m", hide_short_help = true)]
    settle: Duration,
    /// Folder of the table, created if it does not exist
    #[arg(long, value_name = "PATH", value_parser = local(), help_heading = TABLE)]
    out: PathBuf,
    /// Time zone of the date partitions, e.g. Europe/Berlin
    ///
    /// An IANA name, fixed by the table's first run. The default is the table's own zone, or UTC for a new table.
    #[arg(long, value_name = "ZONE", help_heading = TABLE)]
    timezone: Option<String>,
    /// One partition per day or per month [default: day]
    ///
    /// Months are for bots with few records, whose daily files would be too small. Fixed by the table's first run; later
    /// runs may omit it.
    #[arg(long, value_name = "day|month", value_parser = partition_by(), hide_short_help = true, hide_possible_values = true, help_heading = TABLE)]
    partition_by: Option<PartitionBy>,
    /// Keep the API's responses in _export/kept/, compressed
    ///
    /// Damaged files are then repaired without a request. The responses take about 1.5 times the space of the table.
    #[arg(long, hide_short_help = true, help_heading = TABLE)]
    keep_pages: bool,
    #[command(flatten)]
    table_options: TableOptionArgs,
    #[command(flatten)]
    privacy: PrivacyArgs,
    #[command(flatten, next_help_heading = "API")]
    api: ApiArgs,
}

/// Difference allowed between the clocks of server and machine. Records younger by the server's clock would be fetched
/// without becoming complete.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

pub(super) async fn run(args: &SyncArgs, output: &OutputArgs, stop: CancellationToken) -> Result<u8> {
    let mut options = export::options(&args.as_export(Timestamp::now())?)?;
    options.lookback = Some(args.lookback);
    let outcome = crate::export::export(
        &options,
        progress_bars::progress(output, options.bots.len()),
        stop,
    )
    .await?;
    export::report(&outcome, output, &options)
}

impl SyncArgs {
    /// Returns the export that a run at `now` makes, without the lookback.
    fn as_export(&self, now: Timestamp) -> Result<ExportArgs> {
        let settled = now
            .checked_sub(self.settle.saturating_add(CLOCK_TOLERANCE))
            .and_then(|settled| Timestamp::from_second(settled.as_second()))
            .map_err(|error| Error::Usage {
                what: format!("cannot use --settle: {error}"),
                hint: "give a duration such as 15m".into(),
            })?;
        Ok(ExportArgs {
            bot: self.bot.clone(),
            start: self.since,
            end: self.end.unwrap_or(Moment::Instant(settled)),
            out: self.out.clone(),
            dataset: self.dataset.clone(),
            timezone: self.timezone.clone(),
            partition_by: self.partition_by,
            settle: self.settle,
            conversation: None,
            refetch: false,
            keep_pages: self.keep_pages,
            table_options: self.table_options.clone(),
            privacy: self.privacy.clone(),
            dry_run: false,
            api: self.api.clone(),
        })
    }
}
