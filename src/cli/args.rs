//! The command line as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::civil::{Date, Time};
use jiff::{SpanRelativeTo, Timestamp};
use url::Url;

use crate::api::DEFAULT_PAGE_BYTES;
use crate::dataset::Dataset;
use crate::export::{DEFAULT_REQUESTS_PER_SECOND, MAX_PER_PAGE};
use crate::table::Zone;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  # see what it does: no key, no network
  converse-export demo

  # five days of a bot, conversations and messages
  export CONVERSE_EXPORT_API_KEY=…
  converse-export export --bot r3-218210 --start 2023-10-01 --end 2023-10-06 --out ./lake

  # the same table kept up to date, every hour or every night
  converse-export sync --bot r3-218210 --since 2023-10-01 --out ./lake

  # what the folder holds, and the proof that it holds it
  converse-export status --out ./lake
  converse-export verify --out ./lake

Exit codes: 0 done · 1 failed, a person must act · 2 usage · 3 incomplete, run it again ·
4 done, but records were rejected · 130/143 interrupted, run it again";

/// Exports a chatbot's conversations and messages from the DeepConverse Export API into Parquet.
#[derive(Debug, Parser)]
#[command(name = "converse-export", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 110)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) told: Told,
}

/// How much is told, and where.
#[derive(Debug, Args)]
pub(super) struct Told {
    /// Print the run's summary as one JSON object on standard output
    #[arg(
        long,
        global = true,
        value_parser = BoolishValueParser::new(),
        env = "CONVERSE_EXPORT_JSON",
        hide_env = true
    )]
    pub(super) json: bool,
    /// Progress on standard error: a bar in a terminal, log lines elsewhere
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "CONVERSE_EXPORT_PROGRESS",
        hide_env = true
    )]
    pub(super) progress: ProgressKind,
    /// Less log (errors only)
    #[arg(
        short,
        long,
        global = true,
        value_parser = BoolishValueParser::new(),
        env = "CONVERSE_EXPORT_QUIET",
        hide_env = true
    )]
    pub(super) quiet: bool,
    /// More log; twice for every request
    #[arg(short, long, global = true, action = clap::ArgAction::Count, env = "CONVERSE_EXPORT_VERBOSE", hide_env = true)]
    pub(super) verbose: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressKind {
    /// A bar where standard error is a terminal, log lines where not
    #[default]
    Auto,
    /// A bar
    Bar,
    /// A line every few seconds
    Log,
    /// Nothing
    None,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Export a range of time into a table of Parquet files
    Export(Box<ExportArgs>),
    /// Bring a table up to now, and what changed of late with it: for jobs that run every hour or night
    Sync(Box<super::sync::SyncArgs>),
    /// Tell what an export would do, without fetching its data: windows, requests, minutes, files
    Plan(Box<ExportArgs>),
    /// Ask the API what its documentation leaves open, with about ten requests to each endpoint
    Doctor(Box<DoctorArgs>),
    /// Prove that a table is what its exports left: files, counts, ids, and on request the API
    Verify(Box<super::verify::VerifyArgs>),
    /// Tell what a table holds: complete ranges, holes, days, rows, the last run
    Status(super::status::StatusArgs),
    /// Remove conversations and their messages from the table for good
    Erase(super::erase::EraseArgs),
    /// Make the table again from its own rows, without a request: with its days in another time zone, say
    Rebuild(RebuildArgs),
    /// Show what an export is like: simulates the API and exports a week from it
    Demo(DemoArgs),
    /// Serve a simulated Export API on this machine until stopped
    Simulate(SimulateArgs),
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  # everything of five days; run it again and it makes no request
  converse-export export --bot r3-218210 --start 2023-10-01 --end 2023-10-06 --out ./lake

  # messages of two bots, days as they are in Berlin, the summary for a job
  converse-export export --bot r3-218210 --bot r3-218211 --dataset messages \\
      --start 2023-10-01 --end 2023-11-01 --timezone Europe/Berlin --out ./lake --json

The key comes from the environment variable CONVERSE_EXPORT_API_KEY or from --api-key-file.
Every flag can be set as CONVERSE_EXPORT_ and its name, e.g. CONVERSE_EXPORT_OUT.
Proxies come from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.";

#[derive(Debug, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(super) struct ExportArgs {
    /// The bot's name or id; may be given several times
    #[arg(
        long,
        value_name = "NAME",
        required = true,
        env = "CONVERSE_EXPORT_BOT",
        hide_env = true
    )]
    pub(super) bot: Vec<String>,
    /// First moment to export: YYYY-MM-DD (midnight in --timezone), RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", env = "CONVERSE_EXPORT_START", hide_env = true)]
    pub(super) start: Moment,
    /// The moment after the last one to export, in the same forms
    #[arg(long, value_name = "TIME", env = "CONVERSE_EXPORT_END", hide_env = true)]
    pub(super) end: Moment,
    /// The folder that holds the table, made where it is not there
    #[arg(long, value_name = "PATH", env = "CONVERSE_EXPORT_OUT", hide_env = true)]
    pub(super) out: PathBuf,
    /// What to export, conversations or messages; may be given twice [default: both, side by side]
    #[arg(
        long,
        value_name = "DATASET",
        env = "CONVERSE_EXPORT_DATASET",
        hide_env = true
    )]
    pub(super) dataset: Vec<Dataset>,
    /// IANA zone of the partitions' dates; fixed by a table's first run
    #[arg(
        long,
        value_name = "ZONE",
        default_value = "UTC",
        env = "CONVERSE_EXPORT_TIMEZONE",
        hide_env = true
    )]
    pub(super) timezone: String,
    /// What is younger than this is exported but not called complete, e.g. 90s, 15m, 2h, 1d
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration,
        default_value = "15m",
        env = "CONVERSE_EXPORT_SETTLE",
        hide_env = true
    )]
    pub(super) settle: Duration,
    /// Ask for the messages of this one conversation alone, to mend it: needs --dataset messages. What is complete is
    /// asked for again, and nothing is called complete for it
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["refetch", "dry_run"],
        env = "CONVERSE_EXPORT_CONVERSATION",
        hide_env = true
    )]
    pub(super) conversation: Option<String>,
    /// Ask again for all of the range, also for what is complete already: rows that changed are replaced, none is
    /// removed. Interrupted, the same command goes on from there
    #[arg(
        long,
        value_parser = BoolishValueParser::new(),
        env = "CONVERSE_EXPORT_REFETCH",
        hide_env = true
    )]
    pub(super) refetch: bool,
    /// Keep the API's answers, compressed, in _export/kept/ once they are part of the table: damaged files are then
    /// mended without a request. They take about one and a half times the space of the table
    #[arg(
        long,
        value_parser = BoolishValueParser::new(),
        env = "CONVERSE_EXPORT_KEEP_PAGES",
        hide_env = true
    )]
    pub(super) keep_pages: bool,
    /// Only tell what would be done, as `plan` does
    #[arg(
        long,
        value_parser = BoolishValueParser::new(),
        env = "CONVERSE_EXPORT_DRY_RUN",
        hide_env = true
    )]
    pub(super) dry_run: bool,
    #[command(flatten, next_help_heading = "API")]
    pub(super) api: ApiArgs,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  # what is this API like?
  converse-export doctor --bot r3-218210

  # the same, and let exports into this table begin with it
  converse-export doctor --bot r3-218210 --start 2023-10-01 --end 2023-10-06 --out ./lake";

#[derive(Debug, Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(super) struct DoctorArgs {
    /// The bot's name or id
    #[arg(long, value_name = "NAME", env = "CONVERSE_EXPORT_BOT", hide_env = true)]
    pub(super) bot: String,
    /// Where to look for records, from: YYYY-MM-DD, RFC 3339 or Unix seconds [default: 30 days before --end]
    #[arg(long, value_name = "TIME", env = "CONVERSE_EXPORT_START", hide_env = true)]
    pub(super) start: Option<Moment>,
    /// Where to look for records, to [default: now]
    #[arg(long, value_name = "TIME", env = "CONVERSE_EXPORT_END", hide_env = true)]
    pub(super) end: Option<Moment>,
    /// What to ask about, conversations or messages; may be given twice [default: both]
    #[arg(
        long,
        value_name = "DATASET",
        env = "CONVERSE_EXPORT_DATASET",
        hide_env = true
    )]
    pub(super) dataset: Vec<Dataset>,
    /// Keep what was learnt in the table of this folder, so that exports begin with it
    #[arg(long, value_name = "PATH", env = "CONVERSE_EXPORT_OUT", hide_env = true)]
    pub(super) out: Option<PathBuf>,
    #[command(flatten, next_help_heading = "API")]
    pub(super) api: ApiArgs,
}

/// How to reach the API, and how hard to ask.
#[derive(Clone, Debug, Args)]
pub(super) struct ApiArgs {
    /// Read the API key from a file; - reads standard input [default: environment CONVERSE_EXPORT_API_KEY]
    #[arg(
        long,
        value_name = "PATH",
        env = "CONVERSE_EXPORT_API_KEY_FILE",
        hide_env = true
    )]
    pub(super) api_key_file: Option<PathBuf>,
    /// The API's address [default: https://api.converseapps.com; of verify: the one that the table came from]
    #[arg(long, value_name = "URL", env = "CONVERSE_EXPORT_BASE_URL", hide_env = true)]
    pub(super) base_url: Option<Url>,
    /// Send the key over plain http to another machine, where everybody on the way can read it
    #[arg(
        long,
        value_parser = BoolishValueParser::new(),
        env = "CONVERSE_EXPORT_ALLOW_HTTP",
        hide_env = true
    )]
    pub(super) allow_http: bool,
    /// Requests a second on each endpoint; 0 means no limit
    #[arg(
        long,
        value_name = "R",
        default_value_t = DEFAULT_REQUESTS_PER_SECOND,
        env = "CONVERSE_EXPORT_REQUESTS_PER_SECOND",
        hide_env = true
    )]
    pub(super) requests_per_second: f64,
    /// Most requests in flight on each endpoint [default: as many as the budget and the latency need]
    #[arg(long, value_name = "N", env = "CONVERSE_EXPORT_CONCURRENCY", hide_env = true)]
    pub(super) concurrency: Option<usize>,
    /// Records asked for with each request, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = MAX_PER_PAGE, env = "CONVERSE_EXPORT_PER_PAGE", hide_env = true)]
    pub(super) per_page: u32,
    /// How long to go on asking for a page that fails, e.g. 90s, 5m
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration,
        default_value = "5m",
        env = "CONVERSE_EXPORT_RETRY_FOR",
        hide_env = true
    )]
    pub(super) retry_for: Duration,
    /// The longest silence of the server while an answer is awaited; an answer that only drips counts as silence
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration,
        default_value = "60s",
        env = "CONVERSE_EXPORT_TIMEOUT",
        hide_env = true
    )]
    pub(super) timeout: Duration,
    /// The largest answer accepted, in bytes after decompression
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = DEFAULT_PAGE_BYTES,
        env = "CONVERSE_EXPORT_MAX_PAGE_BYTES",
        hide_env = true
    )]
    pub(super) max_page_bytes: u64,
}

const REBUILD_NOTES: &str = "\
Every file is written anew, beside the table and from its rows alone: no key, no request. The old table stays in
place until the new one stands whole, then the two change places; interrupted at any moment, there is the one or
the other. It takes as much space again as the table meanwhile.

A table of an older schema version is brought to the present one by the same command; there is only one so far.

Example:
  converse-export rebuild --out ./lake --timezone Europe/Berlin";

#[derive(Debug, Args)]
#[command(after_help = REBUILD_NOTES)]
pub(super) struct RebuildArgs {
    /// The folder that holds the table
    #[arg(long, value_name = "PATH", env = "CONVERSE_EXPORT_OUT", hide_env = true)]
    pub(super) out: PathBuf,
    /// IANA zone of the partitions' dates from now on [default: as it is]
    #[arg(long, value_name = "ZONE", env = "CONVERSE_EXPORT_TIMEZONE", hide_env = true)]
    pub(super) timezone: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The folder for the table, which must not hold another one
    #[arg(long, value_name = "PATH", default_value = "demo-lake")]
    pub(super) out: PathBuf,
    /// Conversations in the simulated week
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub(super) conversations: u64,
}

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "P", default_value_t = 8080)]
    pub(super) port: u16,
    /// Conversations of each bot; about five times as many messages come with them
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(super) conversations: u32,
    /// The first day of the archive, at midnight UTC
    #[arg(long, value_name = "DATE", default_value = "2023-10-01")]
    pub(super) start: Date,
    /// Days of the archive
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) days: u16,
    /// Requests a second allowed on each endpoint; 0 means no limit
    #[arg(long, value_name = "R", default_value_t = DEFAULT_REQUESTS_PER_SECOND)]
    pub(super) requests_per_second: f64,
    /// How long each answer takes, e.g. 300ms
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub(super) latency: Duration,
    /// Where all contents come from: the same seed gives the same archive
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
}

/// A moment as it is typed; what it is depends on the zone where only a date is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Day(Date),
    Instant(Timestamp),
}

impl Moment {
    /// Unix seconds of the first whole second that is not before the moment.
    pub(super) fn seconds(self, zone: &Zone) -> Result<i64, jiff::Error> {
        let at = match self {
            Self::Day(date) => zone.begin(date)?,
            Self::Instant(at) => at,
        };
        Ok(at.as_second() + i64::from(at.subsec_nanosecond() > 0))
    }
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<i64>() {
            return Timestamp::from_second(seconds)
                .map(Self::Instant)
                .map_err(|error| error.to_string());
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::Instant(at));
        }
        match (text.parse::<Date>(), text.parse::<Time>()) {
            (Ok(date), Err(_)) => Ok(Self::Day(date)),
            _ => {
                Err("give YYYY-MM-DD, RFC 3339 with its offset (2023-10-01T08:00:00Z) or Unix seconds".into())
            }
        }
    }
}

/// A duration with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let told = || String::from("give a number with its unit, such as 90s, 15m, 2h or 3d");
    let span: jiff::Span = text.trim().parse().map_err(|_| told())?;
    let length = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| told())?;
    Duration::try_from(length).map_err(|_| "give a duration that is not negative".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_moment_has_three_forms() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let seconds = |text: &str| {
            text.parse::<Moment>()
                .map(|moment| moment.seconds(&zone).unwrap())
        };
        assert_eq!(seconds("2023-10-01"), Ok(1_696_111_200));
        assert_eq!(seconds("2023-10-01T00:00:00Z"), Ok(1_696_118_400));
        assert_eq!(seconds("2023-10-01T00:00:00.25+02:00"), Ok(1_696_111_201));
        assert_eq!(seconds("1696118400"), Ok(1_696_118_400));
        for wrong in ["yesterday", "2023-10-01T08:00:00", "2023-13-01", "08:00", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("3d"), Ok(Duration::from_secs(3 * 86_400)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["28", "", "-1h", "1 fortnight"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
