//! Defines the command line.
//!
//! A subcommand is a file beside this folder with its arguments and its `run`, a variant of [`Command`] and a line in
//! `main`. [`command`] gives every flag its environment variable.

mod api;
mod folder;
mod moment;
mod privacy;
mod row_filter;
mod table;
mod values;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub(super) use api::ApiArgs;
pub(super) use folder::{is_no_path, local};
pub(super) use moment::{Moment, duration};
pub(super) use privacy::PrivacyArgs;
pub(super) use row_filter::RowFilterArgs;
pub(super) use table::TableOptionArgs;
pub(super) use values::{dataset, day, partition_by};

use super::completions::CompletionsArgs;
use super::config::ConfigArgs;
use super::demo::DemoArgs;
use super::doctor::DoctorArgs;
use super::erase::EraseArgs;
use super::export::ExportArgs;
use super::keys::KeysArgs;
use super::man::ManArgs;
use super::plan;
use super::preview::PreviewArgs;
use super::rebuild::RebuildArgs;
use super::report::ReportArgs;
use super::schema::SchemaArgs;
use super::simulate::SimulateArgs;
use super::status::StatusArgs;
use super::sync::SyncArgs;
use super::verify::VerifyArgs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  # try it without a key or a network
  converse-export demo

  # export five days of a bot, conversations and messages
  export CONVERSE_EXPORT_API_KEY=…
  converse-export export --bot r3-218210 --start 2023-10-01 --end 2023-10-06 --out ./lake

  # keep a table up to date, every hour or every night
  converse-export sync --bot r3-218210 --since 2023-10-01 --out ./lake

  # show and verify a table
  converse-export status --out ./lake
  converse-export verify --out ./lake

Exit codes: 0 done; 1 failed, a person must act; 2 usage; 3 incomplete, run it again;
4 done, but records were rejected; 130 and 143 interrupted, run it again.";

/// Exports a chatbot's conversations and messages into Parquet
///
/// From the DeepConverse Export API (also published as Workato AgentX Support), partitioned by date, ready for DuckDB,
/// pandas, polars, Spark and data lake jobs.
#[derive(Debug, Parser)]
#[command(name = "converse-export", version = version(), styles = STYLES, after_long_help = EXAMPLES, max_term_width = 110)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// Flags of the output of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = OUTPUT)]
pub(super) struct OutputArgs {
    /// Print the outcome as one JSON object on standard output
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Show progress on standard error
    ///
    /// The default is a bar in a terminal, and log lines elsewhere.
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        value_enum,
        default_value_t,
        hide_short_help = true
    )]
    pub(super) progress: ProgressKind,
    /// Format of the lines on standard error
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        value_enum,
        default_value_t,
        hide_short_help = true
    )]
    pub(super) log_format: LogFormat,
    /// Read settings from this file [default: converse-export.toml]
    ///
    /// The default file is read from the working directory if it exists. Settings have the names of the flags; see
    /// `converse-export config --help`.
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    pub(super) config: Option<PathBuf>,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Print more; twice for every request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressKind {
    /// A bar if standard error is a terminal, else log lines
    #[default]
    Auto,
    /// A bar
    Bar,
    /// A line every few seconds
    Log,
    /// Nothing
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Plain text
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Export a range of time into a table of Parquet files
    ///
    /// Complete ranges are not fetched again, and an interrupted run continues where it stopped.
    Export(Box<ExportArgs>),
    /// Bring a table up to date, including recent changes
    ///
    /// For jobs that run the same command every hour or every night.
    Sync(Box<SyncArgs>),
    /// Show what an export would do, without doing it
    ///
    /// Estimates records, requests, time and files, from the table or from a few sample requests. Writes nothing.
    #[command(after_long_help = plan::EXAMPLES)]
    Plan(Box<ExportArgs>),
    /// Show the first records of a range, with one request
    ///
    /// As a table, or with --json as the API sent them. Writes nothing.
    Preview(Box<PreviewArgs>),
    /// Examine what the API's documentation leaves open
    ///
    /// Order, bounds, the time that a window filters by, cursors, rate limits, latency, and limits of the server: the length
    /// of a listing, the length of a range, the size of a page. Makes about 25 requests to each endpoint in about ten
    /// seconds at 3 requests per second, and a few more if the server refuses pages or ranges. Reads up to 11,000
    /// records of a listing: choose a range with as many to find the end of listings.
    Doctor(Box<DoctorArgs>),
    /// Verify that a table is complete and intact
    ///
    /// Verifies files, counts, ids, and with --live the API's records. Changes nothing.
    Verify(Box<VerifyArgs>),
    /// Show the state of a table
    ///
    /// Complete ranges, gaps, partitions, rows, rejected records, the last run.
    Status(StatusArgs),
    /// Show the columns of a table, or print code that reads them
    Schema(SchemaArgs),
    /// Show the metadata keys of a table
    ///
    /// The frequency of each key, the types of its values, and its first and last day.
    Keys(KeysArgs),
    /// Write an HTML report about a table
    ///
    /// Metrics by day, breakdowns, busy hours, completeness.
    Report(ReportArgs),
    /// Remove conversations and their messages permanently
    ///
    /// From the table and all of the exporter's own files; no later run exports them again.
    Erase(EraseArgs),
    /// Write a table again with other settings
    ///
    /// For example in another time zone, without a request.
    Rebuild(RebuildArgs),
    /// Export from a simulated API, without a key or a network
    Demo(DemoArgs),
    /// Serve a simulated Export API on this machine, until stopped
    Simulate(SimulateArgs),
    /// Show every setting and its source
    ///
    /// The key is never shown, only whether it is set.
    Config(ConfigArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write man pages to a folder
    Man(ManArgs),
}

/// Returns the version, with the commit if known.
fn version() -> String {
    match option_env!("CONVERSE_EXPORT_COMMIT") {
        Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The default config file.
pub(super) const CONFIG_FILE: &str = "converse-export.toml";

/// Separates the reason of an error from its hint.
const HINT: &str = "\nhint: ";

/// Joins the reason why a value cannot be used and a hint.
pub(super) fn reason_with_hint(why: &str, hint: &str) -> String {
    format!("{why}{HINT}{hint}")
}

/// Splits what [`reason_with_hint`] joined.
pub(super) fn split_hint(text: &str) -> Option<(&str, &str)> {
    text.split_once(HINT)
}

/// Headings in the help of several commands.
pub(super) const TABLE: &str = "Table";
const OUTPUT: &str = "Output";

/// Prefix of the environment variables.
const VARIABLE_PREFIX: &str = "CONVERSE_EXPORT_";
/// Commands that ignore the environment variables and the config file of exports.
const WITHOUT_VARIABLES: [&str; 5] = ["demo", "simulate", "config", "completions", "man"];

/// Builds the command line, with an environment variable for every flag.
pub(super) fn command() -> clap::Command {
    let version = Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help("Print the version and the commit")
        .help_heading(OUTPUT)
        .display_order(LAST);
    with_help(Cli::command().disable_version_flag(true).arg(version))
        .mut_args(with_variable)
        .mut_subcommands(|command| with_help(with_settings(command, with_variable)))
}

/// Rarely needed commands, which only `--help` lists.
const RARE: [&str; 4] = ["simulate", "config", "completions", "man"];

/// Builds the command line without the rarely needed commands, so that its help fits a screen.
pub(super) fn brief() -> clap::Command {
    command().mut_subcommands(|command| match RARE.contains(&command.get_name()) {
        true => command.hide(true),
        false => command,
    })
}

/// Flags that are only read from the command line: a variable must neither select conversations to erase nor change the
/// address of a table.
const ONLY_TYPED: [(&str, &[&str]); 2] = [("erase", &["conversation", "from"]), ("rebuild", &["base_url"])];

/// Applies `change` to those flags of a subcommand that have variables.
pub(super) fn with_settings(command: clap::Command, mut change: impl FnMut(Arg) -> Arg) -> clap::Command {
    let name = command.get_name().to_owned();
    command.mut_args(|arg| match is_setting(&name, &arg) {
        true => change(arg),
        false => arg,
    })
}

/// Returns the flags of a subcommand that have variables and can be set in the config file.
pub(super) fn settings(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    let name = command.get_name();
    command.get_arguments().filter(move |arg| is_setting(name, arg))
}

fn is_setting(command: &str, arg: &Arg) -> bool {
    let mut only_typed = ONLY_TYPED.into_iter();
    let is_typed = only_typed.any(|(name, flags)| command == name && flags.contains(&arg.get_id().as_str()));
    is_option(arg) && !is_typed && !WITHOUT_VARIABLES.contains(&command)
}

/// Display order after all other flags.
const LAST: usize = 1000;

/// Adds the help flag.
fn with_help(command: clap::Command) -> clap::Command {
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help("Print help; --help shows more, with examples")
        .help_heading(OUTPUT)
        .display_order(LAST);
    command.disable_help_flag(true).arg(help)
}

/// Returns the environment variable of a flag, given with or without dashes.
pub(super) fn variable(flag: &str) -> String {
    let name = flag.trim_start_matches('-').to_uppercase().replace('-', "_");
    format!("{VARIABLE_PREFIX}{name}")
}

/// Whether an argument is an option of the command, unlike `--help` and `--version`.
pub(super) fn is_option(arg: &Arg) -> bool {
    !matches!(arg.get_action(), ArgAction::Help | ArgAction::Version)
}

fn with_variable(arg: Arg) -> Arg {
    let Some(name) = arg.get_long().filter(|_| is_option(&arg)) else {
        return arg;
    };
    let variable = variable(name);
    // a flag without a value is set by a boolean variable
    let arg = match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
        _ => arg,
    };
    arg.env(variable).hide_env(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_variable() {
        let command = command();
        let args = command.get_subcommands().chain([&command]).flat_map(settings);
        for arg in args {
            let variable = arg.get_env().and_then(|name| name.to_str());
            let name = arg
                .get_long()
                .unwrap_or_default()
                .to_uppercase()
                .replace('-', "_");
            assert_eq!(variable, Some(&*format!("CONVERSE_EXPORT_{name}")));
        }
    }

    /// The commands of a help's examples, each as its words.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let joined = help.replace("\\\n", " ");
        let commands = joined.lines().filter_map(|line| {
            let line = line.trim_start();
            let begin = line.find("converse-export ").filter(|begin| {
                *begin == 0 || line[..*begin].ends_with("<(") || line.starts_with("CONVERSE_EXPORT_")
            })?;
            let command = line[begin..].split(['|', '>', '&', ')']).next()?;
            Some(command.split_whitespace().map(str::to_owned).collect())
        });
        commands.collect()
    }

    #[test]
    fn every_example_is_a_command() {
        let mut command = command();
        command.build();
        let mut seen = 0;
        let helps = command.get_subcommands().chain([&command]);
        let helps: Vec<String> = helps
            .filter_map(|one| Some(one.get_after_long_help()?.to_string()))
            .collect();
        for words in helps.iter().flat_map(|help| examples(help)) {
            let parsed = super::command().try_get_matches_from(&words);
            assert!(parsed.is_ok(), "{words:?}: {parsed:?}");
            seen += 1;
        }
        assert!(seen > 15, "{seen} examples");
    }
}
