//! `converse-export export`: export a range of time into a table.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use url::Url;

use super::args::{
    ApiArgs, Moment, OutputArgs, PrivacyArgs, TABLE, TableOptionArgs, dataset, duration, local, partition_by,
};
use super::suggest::closest;
use super::{exit_code, output, progress_bars, summary};
use crate::api::{ApiKey, Connection, RetryPolicy};
use crate::dataset::Dataset;
use crate::error::{Error, Result, Severity};
use crate::export::{DEFAULT_BASE_URL, Failure, Options, Outcome, check_request_options, export};
use crate::fetch::CancellationToken;
use crate::rebuild;
use crate::table::{DEFAULT_TIMEZONE, PartitionBy, Zone};
use crate::window::Window;

const EXAMPLES: &str = "\
Examples:
  # five days; running it again makes no request
  converse-export export --bot r3-218210 --start 2023-10-01 --end 2023-10-06 --out ./lake

  # messages of two bots, partitioned by days in Berlin, with a JSON summary
  converse-export export --bot r3-218210 --bot r3-218211 --dataset messages \\
      --start 2023-10-01 --end 2023-11-01 --timezone Europe/Berlin --out ./lake --json

Every flag has an environment variable, e.g. CONVERSE_EXPORT_OUT for --out.
Proxies are set by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
Exit codes: 0 done; 1 failed, a person must act; 2 usage; 3 incomplete, run it again;
4 done, but records were rejected; 130 and 143 interrupted, run it again.";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "What to export")]
pub(super) struct ExportArgs {
    /// Name or id of the bot; may be repeated
    #[arg(long, value_name = "NAME", required = true)]
    pub(super) bot: Vec<String>,
    /// Start: YYYY-MM-DD, yesterday, -7d, RFC 3339 and more
    ///
    /// Also YYYY-MM, YYYY-MM-DDTHH:MM, today, now, and Unix seconds of 10 digits. -7d is seven days before now. Times without
    /// an offset are in --timezone. Aliases: --since, --from.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["since", "from"])]
    pub(super) start: Moment,
    /// End, exclusive, in the same forms
    ///
    /// --start 2023-10-01 --end 2023-10-06 is five days. Aliases: --until, --to.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["until", "to"])]
    pub(super) end: Moment,
    /// conversations or messages [default: both]
    #[arg(long, value_name = "NAME", value_parser = dataset(), hide_possible_values = true)]
    pub(super) dataset: Vec<Dataset>,
    /// Fetch complete ranges again
    ///
    /// Replaces rows that changed and removes none. After an interruption the same command continues.
    #[arg(long, hide_short_help = true)]
    pub(super) refetch: bool,
    /// Do not call records younger than this complete
    ///
    /// They are exported, and fetched again by a later run. A number with its unit: 90s, 15m, 2h, 1d.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15m", hide_short_help = true)]
    pub(super) settle: Duration,
    /// Fetch only the messages of one conversation
    ///
    /// For repairs; needs --dataset messages. Complete ranges are fetched again, and no range becomes complete.
    #[arg(long, value_name = "ID", conflicts_with_all = ["refetch", "dry_run"], hide_short_help = true)]
    pub(super) conversation: Option<String>,
    /// Show what would be done, as `plan` does
    #[arg(long, hide_short_help = true)]
    pub(super) dry_run: bool,
    /// Folder of the table, created if it does not exist
    #[arg(long, value_name = "PATH", value_parser = local(), help_heading = TABLE)]
    pub(super) out: PathBuf,
    /// Time zone of the date partitions, e.g. Europe/Berlin
    ///
    /// An IANA name, fixed by the table's first run. The default is the table's own zone, or UTC for a new table.
    #[arg(long, value_name = "ZONE", help_heading = TABLE)]
    pub(super) timezone: Option<String>,
    /// One partition per day or per month [default: day]
    ///
    /// Months are for bots with few records, whose daily files would be too small. Fixed by the table's first run; later
    /// runs may omit it.
    #[arg(long, value_name = "day|month", value_parser = partition_by(), hide_short_help = true, hide_possible_values = true, help_heading = TABLE)]
    pub(super) partition_by: Option<PartitionBy>,
    /// Keep the API's responses in _export/kept/, compressed
    ///
    /// Damaged files are then repaired without a request. The responses take about 1.5 times the space of the table.
    #[arg(long, hide_short_help = true, help_heading = TABLE)]
    pub(super) keep_pages: bool,
    #[command(flatten)]
    pub(super) table_options: TableOptionArgs,
    #[command(flatten)]
    pub(super) privacy: PrivacyArgs,
    #[command(flatten, next_help_heading = "API")]
    pub(super) api: ApiArgs,
}

pub(super) const KEY_VARIABLE: &str = "CONVERSE_EXPORT_API_KEY";

pub(super) async fn run(args: &ExportArgs, output: &OutputArgs, stop: CancellationToken) -> Result<u8> {
    if args.dry_run {
        return super::plan::run(args, output).await;
    }
    let options = options(args)?;
    let outcome = export(
        &options,
        progress_bars::progress(output, options.bots.len()),
        stop,
    )
    .await?;
    report(&outcome, output, &options)
}

/// Prints the outcome of a run; returns its exit code.
pub(super) fn report(outcome: &Outcome, output: &OutputArgs, options: &Options) -> Result<u8> {
    match &outcome.summary {
        summary if output.json => output::json(summary)?,
        _ if output.quiet => {}
        summary if failed_bots(&outcome.failures) < options.bots.len() => {
            summary::print(summary, &options.out)
        }
        summary => summary::print_unfinished(summary),
    }
    output::failures(&outcome.failures);
    Ok(code(&outcome.failures, outcome.summary.rejected()))
}

/// Counts the bots with a failure.
fn failed_bots(failures: &[Failure]) -> usize {
    let bots: BTreeSet<&str> = failures.iter().map(|failure| failure.bot.as_str()).collect();
    bots.len()
}

/// Returns the exit code of a run. A failure that needs a person outweighs one that may pass, also if other bots
/// succeeded.
pub(super) fn code(failures: &[Failure], rejected: u64) -> u8 {
    if let Some(interrupted) = failures
        .iter()
        .find(|failure| failure.error.severity() == Severity::Interrupted)
    {
        return exit_code(&interrupted.error);
    }
    let codes = failures.iter().map(|failure| exit_code(&failure.error));
    codes.min().unwrap_or(u8::from(rejected > 0) * 4)
}

/// Parses the name of a time zone.
pub(super) fn zone(name: &str) -> Result<Zone> {
    Zone::named(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let suggestion = closest(name, known.iter().map(String::as_str));
        Error::Usage {
            what: format!("unknown time zone --timezone {name}"),
            hint: match suggestion {
                Some(known) => format!("did you mean {known}?"),
                None => "give an IANA name such as Europe/Berlin or UTC".into(),
            },
        }
    })
}

/// Converts a moment to Unix seconds in a zone.
pub(super) fn seconds(moment: Moment, zone: &Zone) -> Result<i64> {
    moment.seconds(zone).map_err(|error| Error::Usage {
        what: format!("cannot use a time in {}: {error}", zone.name()),
        hint: "give a date between the years 1 and 9998".into(),
    })
}

pub(super) fn options(args: &ExportArgs) -> Result<Options> {
    let table = rebuild::settings(&args.out)?;
    let requested = args.timezone.as_deref().map(zone).transpose()?;
    // prefer the rules of the zone that the table stores
    let own = table.as_ref().filter(|table| {
        requested
            .as_ref()
            .is_none_or(|zone| zone.name() == table.timezone)
    });
    let zone_of_times = match (own, &requested) {
        (Some(table), _) => table.zone()?,
        (None, Some(zone)) => zone.clone(),
        (None, None) => zone(DEFAULT_TIMEZONE)?,
    };
    let mut bots = Vec::new();
    for bot in &args.bot {
        if !bots.contains(bot) {
            bots.push(bot.clone());
        }
    }
    let range = Window::new(
        seconds(args.start, &zone_of_times)?,
        seconds(args.end, &zone_of_times)?,
    );
    let options = Options {
        bots,
        datasets: datasets(&args.dataset),
        range,
        out: args.out.clone(),
        connection: connection(&args.api.for_table(table.as_ref())?)?,
        requests_per_second: args.api.requests_per_second,
        concurrency: args.api.concurrency,
        per_page: args.api.per_page,
        timezone: requested.map(|zone| zone.name().to_owned()),
        metadata: args.table_options.metadata,
        promote: args.table_options.promote()?,
        row_group_rows: args.table_options.row_group_rows,
        row_group_bytes: args.table_options.row_group_bytes,
        privacy: args.privacy.asked()?,
        partition_by: args.partition_by,
        settle: args.settle,
        refetch: args.refetch,
        lookback: None,
        conversation: args.conversation.clone(),
        keep_pages: args.keep_pages,
    };
    options.check()?;
    warn_of_the_future(range);
    Ok(options)
}

/// A range may end this far in the future without a warning: the rest of today in any time zone.
const FUTURE_TOLERANCE: i64 = 86_400;

/// Warns if a range reaches into the future, which is mostly a mistyped year.
fn warn_of_the_future(range: Window) {
    let now = Timestamp::now().as_second();
    if range.start > now {
        tracing::warn!("the whole range is in the future: there are no records yet");
    } else if range.end > now + FUTURE_TOLERANCE {
        tracing::warn!("the range ends in the future: later records are not exported yet");
    }
}

/// Returns the requested datasets, or all of them.
pub(super) fn datasets(requested: &[Dataset]) -> Vec<Dataset> {
    let mut datasets = if requested.is_empty() {
        Dataset::ALL.to_vec()
    } else {
        requested.to_vec()
    };
    datasets.sort_unstable();
    datasets.dedup();
    datasets
}

/// Checks a range of Unix seconds.
pub(super) fn checked_range(start: i64, end: i64) -> Result<Window> {
    let range = Window::new(start, end);
    if range.is_empty() || range.start < 0 {
        return Err(Error::Usage {
            what: "cannot use the range: --end is not after --start".into(),
            hint: "give an --end after --start, both after 1970".into(),
        });
    }
    warn_of_the_future(range);
    Ok(range)
}

/// Creates a connection, with all request options checked.
pub(super) fn checked_connection(args: &ApiArgs) -> Result<Connection> {
    let connection = connection(args)?;
    check_request_options(
        &connection,
        args.requests_per_second,
        args.concurrency,
        args.per_page,
    )?;
    Ok(connection)
}

pub(super) fn connection(args: &ApiArgs) -> Result<Connection> {
    let base_url = match &args.base_url {
        Some(url) => url.clone(),
        None => Url::parse(DEFAULT_BASE_URL).map_err(|error| Error::Internal(error.to_string()))?,
    };
    Ok(Connection {
        allow_http: args.allow_http,
        max_page_bytes: args.max_page_bytes,
        read_timeout: args.timeout,
        retry_policy: RetryPolicy {
            limit: args.retry_for,
            ..RetryPolicy::default()
        },
        ..Connection::new(base_url, key(args.api_key_file.as_deref())?)
    })
}

/// Reads the API key from a file, standard input or the environment.
fn key(file: Option<&Path>) -> Result<ApiKey> {
    let hint = format!("set {KEY_VARIABLE}, or give --api-key-file with a file that contains only the key");
    let usage = |what: String| Error::Usage {
        what,
        hint: hint.clone(),
    };
    let (text, place) = match file {
        Some(path) if path == Path::new("-") => {
            let mut text = Vec::new();
            std::io::stdin()
                .read_to_end(&mut text)
                .map_err(Error::io("read", Path::new("standard input")))?;
            (text, "on standard input".to_owned())
        }
        Some(path) => {
            let text = std::fs::read(path)
                .map_err(|error| usage(format!("cannot read --api-key-file {}: {error}", path.display())))?;
            (text, format!("in {}", path.display()))
        }
        None => match std::env::var_os(KEY_VARIABLE) {
            Some(text) => (text.into_encoded_bytes(), format!("in {KEY_VARIABLE}")),
            None => return Err(usage("there is no API key".into())),
        },
    };
    ApiKey::from_bytes(&text).map_err(|error| usage(format!("{error} ({place})")))
}
