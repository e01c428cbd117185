//! `converse-export sync`.

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
  # every hour or every night, the same command: the first run brings everything since --since
  converse-export sync --bot r3-218210 --since 2023-10-01 --out ./lake

  # two bots, a week looked back for late changes, the summary for a job
  converse-export sync --bot r3-218210 --bot r3-218211 --since 2023-10-01 --lookback 7d --out ./lake --json

A run brings the table up to now minus --settle, fills every hole since --since, and asks again for what lies up to
--lookback before the point that the last run reached: records that came late or have changed since take their place.
Only days whose rows changed are written anew, and _export/changes/ tells which. Interrupted, the same command goes on.
A record that now starts on another date leaves the old one, where both dates are among those that are looked at.

One bot that fails does not stop the others, and the summary says which: the run exits with 1 where a person must act
(an unknown bot, a refused key), and with 3 where it is enough to run it again.";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "What to keep up to date")]
pub(super) struct SyncArgs {
    /// The bot's name or id; may be given several times
    #[arg(long, value_name = "NAME", required = true)]
    bot: Vec<String>,
    /// First moment: YYYY-MM-DD, RFC 3339 and more
    ///
    /// Always the same, run after run. Also YYYY-MM, YYYY-MM-DDTHH:MM and Unix seconds of 10 digits. Where no offset is given, days
    /// and times are those of --timezone. Also called --start or --from.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["start", "from"])]
    since: Moment,
    /// Bring the table up to this moment [default: now minus --settle]
    ///
    /// In the same forms as --since. Also called --until or --to.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["until", "to"], hide_short_help = true)]
    end: Option<Moment>,
    /// conversations or messages [default: both]
    #[arg(long, value_name = "NAME", value_parser = dataset(), hide_possible_values = true)]
    dataset: Vec<Dataset>,
    /// Ask again for so much behind what is complete
    ///
    /// A number with its unit: 12h, 3d. 0s asks for nothing twice.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "3d")]
    lookback: Duration,
    /// Stay so far behind now: records may take a while to show up
    ///
    /// A number with its unit: 90s, 15m, 2h.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15m", hide_short_help = true)]
    settle: Duration,
    /// The table's folder, made where it is not there
    #[arg(long, value_name = "PATH", value_parser = local(), help_heading = TABLE)]
    out: PathBuf,
    /// Zone of the days, e.g. Europe/Berlin
    ///
    /// An IANA name; fixed by a table's first run. If it is not given, the table's own, or UTC for a new table.
    #[arg(long, value_name = "ZONE", help_heading = TABLE)]
    timezone: Option<String>,
    /// A file for each day or for each month [default: day]
    ///
    /// Months are for quiet bots, whose daily files would be too small to be good. Fixed by a table's first run; later ones
    /// need not give it.
    #[arg(long, value_name = "day|month", value_parser = partition_by(), hide_short_help = true, hide_possible_values = true, help_heading = TABLE)]
    partition_by: Option<PartitionBy>,
    /// Keep the API's answers in _export/kept/, compressed
    ///
    /// Damaged files are then mended without a request. They take about one and a half times the space of the table.
    #[arg(long, hide_short_help = true, help_heading = TABLE)]
    keep_pages: bool,
    #[command(flatten)]
    table_options: TableOptionArgs,
    #[command(flatten)]
    privacy: PrivacyArgs,
    #[command(flatten, next_help_heading = "API")]
    api: ApiArgs,
}

/// The server's clock tells whole seconds, and a little before this machine's: what is younger by it would be asked for
/// without being complete.
const CLOCKS: Duration = Duration::from_secs(5);

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
    /// The export that a run at this moment is, but for the lookback.
    fn as_export(&self, now: Timestamp) -> Result<ExportArgs> {
        let settled = now
            .checked_sub(self.settle.saturating_add(CLOCKS))
            .and_then(|settled| Timestamp::from_second(settled.as_second()))
            .map_err(|error| Error::Usage {
                what: format!("--settle is too long: {error}"),
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
