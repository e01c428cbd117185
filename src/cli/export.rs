//! `converse-export export`.

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
  # everything of five days; run it again and it makes no request
  converse-export export --bot r3-218210 --start 2023-10-01 --end 2023-10-06 --out ./lake

  # messages of two bots, days as they are in Berlin, the summary for a job
  converse-export export --bot r3-218210 --bot r3-218211 --dataset messages \\
      --start 2023-10-01 --end 2023-11-01 --timezone Europe/Berlin --out ./lake --json

Every flag can be set as CONVERSE_EXPORT_ and its name, e.g. CONVERSE_EXPORT_OUT.
Proxies come from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
Exit codes: 0 done; 1 failed, a person must act; 2 usage; 3 incomplete, run it again;
4 done, but records were rejected; 130 and 143 interrupted, run it again.";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "What to export")]
pub(super) struct ExportArgs {
    /// The bot's name or id; may be given several times
    #[arg(long, value_name = "NAME", required = true)]
    pub(super) bot: Vec<String>,
    /// First moment: YYYY-MM-DD, yesterday, -7d, RFC 3339 and more
    ///
    /// Also YYYY-MM, YYYY-MM-DDTHH:MM, today, now, and Unix seconds of 10 digits. -7d is seven days before now. Where no
    /// offset is given, days and times are those of --timezone. Also called --since or --from.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["since", "from"])]
    pub(super) start: Moment,
    /// The moment after the last one, in the same forms
    ///
    /// It is not part of the range: --start 2023-10-01 --end 2023-10-06 is five days. Also called --until or --to.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["until", "to"])]
    pub(super) end: Moment,
    /// conversations or messages [default: both]
    #[arg(long, value_name = "NAME", value_parser = dataset(), hide_possible_values = true)]
    pub(super) dataset: Vec<Dataset>,
    /// Ask again for what is complete already
    ///
    /// Rows that changed are replaced, none is removed. Interrupted, the same command goes on from there.
    #[arg(long, hide_short_help = true)]
    pub(super) refetch: bool,
    /// What is younger than this is not called complete
    ///
    /// It is exported all the same, and asked for again by a later run. A number with its unit: 90s, 15m, 2h, 1d.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15m", hide_short_help = true)]
    pub(super) settle: Duration,
    /// Ask for the messages of one conversation only
    ///
    /// To mend it: needs --dataset messages. What is complete is asked for again, and nothing is called complete for it.
    #[arg(long, value_name = "ID", conflicts_with_all = ["refetch", "dry_run"], hide_short_help = true)]
    pub(super) conversation: Option<String>,
    /// Only tell what would be done, as `plan` does
    #[arg(long, hide_short_help = true)]
    pub(super) dry_run: bool,
    /// The table's folder, made where it is not there
    #[arg(long, value_name = "PATH", value_parser = local(), help_heading = TABLE)]
    pub(super) out: PathBuf,
    /// Zone of the days, e.g. Europe/Berlin
    ///
    /// An IANA name; fixed by a table's first run. If it is not given, the table's own, or UTC for a new table.
    #[arg(long, value_name = "ZONE", help_heading = TABLE)]
    pub(super) timezone: Option<String>,
    /// A file for each day or for each month [default: day]
    ///
    /// Months are for quiet bots, whose daily files would be too small to be good. Fixed by a table's first run; later ones
    /// need not give it.
    #[arg(long, value_name = "day|month", value_parser = partition_by(), hide_short_help = true, hide_possible_values = true, help_heading = TABLE)]
    pub(super) partition_by: Option<PartitionBy>,
    /// Keep the API's answers in _export/kept/, compressed
    ///
    /// Damaged files are then mended without a request. They take about one and a half times the space of the table.
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

/// Prints what became of a run; returns its exit code.
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

/// How many bots something failed of.
fn failed_bots(failures: &[Failure]) -> usize {
    let bots: BTreeSet<&str> = failures.iter().map(|failure| failure.bot.as_str()).collect();
    bots.len()
}

/// The exit code of a run: what a person must mend counts more than what may heal by itself, also where other bots went
/// well.
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

/// The zone that was asked for by name.
pub(super) fn zone(name: &str) -> Result<Zone> {
    Zone::named(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let meant = closest(name, known.iter().map(String::as_str));
        Error::Usage {
            what: format!("--timezone {name} is not known"),
            hint: match meant {
                Some(meant) => format!("did you mean {meant}?"),
                None => "give an IANA name such as Europe/Berlin or UTC".into(),
            },
        }
    })
}

/// Unix seconds of a moment in a zone.
pub(super) fn seconds(moment: Moment, zone: &Zone) -> Result<i64> {
    moment.seconds(zone).map_err(|error| Error::Usage {
        what: format!("a time cannot be told in {}: {error}", zone.name()),
        hint: "give a date between the years 1 and 9998".into(),
    })
}

pub(super) fn options(args: &ExportArgs) -> Result<Options> {
    let table = rebuild::settings(&args.out)?;
    let asked = args.timezone.as_deref().map(zone).transpose()?;
    // the table's own rules where it has kept some
    let own = table
        .as_ref()
        .filter(|table| asked.as_ref().is_none_or(|zone| zone.name() == table.timezone));
    let zone_of_times = match (own, &asked) {
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
        timezone: asked.map(|zone| zone.name().to_owned()),
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

/// A part of the future that a range may have without a warning, such as the rest of today in any time zone.
const NEAR: i64 = 86_400;

/// Warns where a range has time that is still to come: a mistyped year, mostly.
fn warn_of_the_future(range: Window) {
    let now = Timestamp::now().as_second();
    if range.start > now {
        tracing::warn!("the whole range is in the future: there are no records yet");
    } else if range.end > now + NEAR {
        tracing::warn!("the range ends in the future: what is still to come cannot be exported yet");
    }
}

/// The datasets that were asked for; all where none was.
pub(super) fn datasets(asked: &[Dataset]) -> Vec<Dataset> {
    let mut datasets = if asked.is_empty() {
        Dataset::ALL.to_vec()
    } else {
        asked.to_vec()
    };
    datasets.sort_unstable();
    datasets.dedup();
    datasets
}

/// A range in which records are looked for.
pub(super) fn looked_at(start: i64, end: i64) -> Result<Window> {
    let range = Window::new(start, end);
    if range.is_empty() || range.start < 0 {
        return Err(Error::Usage {
            what: "the range holds no time".into(),
            hint: "give an --end after --start, both after 1970".into(),
        });
    }
    warn_of_the_future(range);
    Ok(range)
}

/// A connection to look at an API with, all that belongs to asking checked.
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
        silence: args.timeout,
        retry_policy: RetryPolicy {
            limit: args.retry_for,
            ..RetryPolicy::default()
        },
        ..Connection::new(base_url, key(args.api_key_file.as_deref())?)
    })
}

fn key(file: Option<&Path>) -> Result<ApiKey> {
    let hint = format!("set {KEY_VARIABLE}, or give --api-key-file with a file that holds only the key");
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
            let text = std::fs::read(path).map_err(|error| {
                usage(format!(
                    "--api-key-file {} cannot be read: {error}",
                    path.display()
                ))
            })?;
            (text, format!("in {}", path.display()))
        }
        None => match std::env::var_os(KEY_VARIABLE) {
            Some(text) => (text.into_encoded_bytes(), format!("in {KEY_VARIABLE}")),
            None => return Err(usage("there is no API key".into())),
        },
    };
    ApiKey::from_bytes(&text).map_err(|error| usage(format!("{error} ({place})")))
}
