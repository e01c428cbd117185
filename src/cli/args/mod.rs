//! The command line as it is typed.

//!
//! A subcommand is a file of its own beside this folder, which holds its arguments and what it does, and a line in
//! [`Command`] and in `main`. Arguments need no word on the environment: [`command`] gives each its variable.

mod api;
mod folder;
mod moment;
mod privacy;
mod row_filter;
mod table_options;
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
pub(super) use table_options::TableOptionArgs;
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

/// How much is told, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = OUTPUT)]
pub(super) struct OutputArgs {
    /// The outcome as one JSON object on standard output
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Progress on standard error
    ///
    /// A bar in a terminal, log lines elsewhere, unless it is said here.
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        value_enum,
        default_value_t,
        hide_short_help = true
    )]
    pub(super) progress: ProgressKind,
    /// How lines on standard error are written
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        value_enum,
        default_value_t,
        hide_short_help = true
    )]
    pub(super) log_format: LogFormat,
    /// Take settings from this file [default: converse-export.toml]
    ///
    /// The one in the working directory, where it is there. Settings are named as the flags; see `converse-export config
    /// --help`.
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    pub(super) config: Option<PathBuf>,
    /// Errors only
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Tell more; twice for every request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Export a range of time into a table of Parquet files
    ///
    /// What the table has already is not asked for again, and an interrupted run goes on where it stopped.
    Export(Box<ExportArgs>),
    /// Bring a table up to now, and what changed of late with it
    ///
    /// For jobs that run every hour or every night: always the same command.
    Sync(Box<SyncArgs>),
    /// Tell what an export would do, without doing it
    ///
    /// About how many records, requests, minutes and files are still to come: from what the table holds, or from a few
    /// sample requests. Nothing is written.
    #[command(after_long_help = plan::EXAMPLES)]
    Plan(Box<ExportArgs>),
    /// Show the first records of a range, from one request
    ///
    /// As a table, or with --json as the API sent them. Nothing is written.
    Preview(Box<PreviewArgs>),
    /// Ask the API what its documentation leaves open
    ///
    /// Order, bounds, which time a window filters, cursors, refusals, latency, and what the server cannot do: how many
    /// records a listing has, how long a range and how large a page may be. It takes about 25 requests to each endpoint,
    /// about ten seconds at 3 requests a second, and a few more where the server refuses pages or ranges. A listing
    /// is tried up to 11,000 records: choose a range that has so many to find out where listings end.
    Doctor(Box<DoctorArgs>),
    /// Prove that a table is what its exports left
    ///
    /// Files, counts, ids, and on request the API itself. It changes nothing.
    Verify(Box<VerifyArgs>),
    /// Tell what a table holds
    ///
    /// Complete ranges, holes, days, rows, rejected records, the last run.
    Status(StatusArgs),
    /// Tell the columns and types of a table, and how each engine reads them
    Schema(SchemaArgs),
    /// Catalogue the metadata keys of a table
    ///
    /// How often each is there, what its values look like, since when.
    Keys(KeysArgs),
    /// Tell a table's conversations on one page of HTML
    ///
    /// Metrics by day, breakdowns, busy hours, completeness.
    Report(ReportArgs),
    /// Remove conversations and their messages for good
    ///
    /// From the table and from all that is kept beside it; no later run brings them back.
    Erase(EraseArgs),
    /// Make a table again from its own rows
    ///
    /// With its days in another time zone, say, without a request.
    Rebuild(RebuildArgs),
    /// Show what an export is like: no key, no network
    ///
    /// Simulates the API and exports a week from it.
    Demo(DemoArgs),
    /// Serve a simulated Export API on this machine
    ///
    /// Until it is stopped.
    Simulate(SimulateArgs),
    /// Tell every setting, and where it comes from
    ///
    /// The key is told as set or not set only.
    Config(ConfigArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Write man pages into a folder
    Man(ManArgs),
}

/// The version, with the commit where it is known.
fn version() -> String {
    match option_env!("CONVERSE_EXPORT_COMMIT") {
        Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The file that flags may stand in.
pub(super) const CONFIG_FILE: &str = "converse-export.toml";

/// Between the reason of an error and its hint.
const HINT: &str = "\nhint: ";

/// Why a value cannot be used, and what to give in its place.
pub(super) fn wrong(why: &str, hint: &str) -> String {
    format!("{why}{HINT}{hint}")
}

/// The two parts of what [`wrong`] made.
pub(super) fn why_and_hint(text: &str) -> Option<(&str, &str)> {
    text.split_once(HINT)
}

/// Headings that several commands have.
pub(super) const TABLE: &str = "Table";
const OUTPUT: &str = "Output";

/// What the variable of each flag begins with.
const VARIABLES: &str = "CONVERSE_EXPORT_";
/// These show and try things: what is set for real exports is not for them.
const WITHOUT_VARIABLES: [&str; 5] = ["demo", "simulate", "config", "completions", "man"];

/// The command line, with a variable of the environment for every flag.
pub(super) fn command() -> clap::Command {
    let version = Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help("The version, and the commit that it was built from")
        .help_heading(OUTPUT)
        .display_order(LAST);
    with_help(Cli::command().disable_version_flag(true).arg(version))
        .mut_args(with_variable)
        .mut_subcommands(|command| with_help(with_settings(command, with_variable)))
}

/// Commands that are rarely needed: `--help` lists them.
const RARE: [&str; 4] = ["simulate", "config", "completions", "man"];

/// The same without what is rarely needed, so that its list fits a screen.
pub(super) fn brief() -> clap::Command {
    command().mut_subcommands(|command| match RARE.contains(&command.get_name()) {
        true => command.hide(true),
        false => command,
    })
}

/// What is removed is said with the command: a variable that was set for a repair must not remove anything. So is the
/// address that a table gets: where exports have theirs from a variable, a rebuild still writes every file again.
const ONLY_TYPED: [(&str, &[&str]); 2] = [("erase", &["conversation", "from"]), ("rebuild", &["base_url"])];

/// A subcommand with those of its flags changed that may be set elsewhere than on the command line.
pub(super) fn with_settings(command: clap::Command, mut change: impl FnMut(Arg) -> Arg) -> clap::Command {
    let name = command.get_name().to_owned();
    command.mut_args(|arg| match is_setting(&name, &arg) {
        true => change(arg),
        false => arg,
    })
}

/// The arguments of a subcommand that have variables, and may stand in the config file.
pub(super) fn settings(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    let name = command.get_name();
    command.get_arguments().filter(move |arg| is_setting(name, arg))
}

fn is_setting(command: &str, arg: &Arg) -> bool {
    let mut only_typed = ONLY_TYPED.into_iter();
    let is_typed = only_typed.any(|(name, typed)| command == name && typed.contains(&arg.get_id().as_str()));
    is_option(arg) && !is_typed && !WITHOUT_VARIABLES.contains(&command)
}

/// Behind all that a command has of its own.
const LAST: usize = 1000;

/// `-h` fits a screen, `--help` teaches.
fn with_help(command: clap::Command) -> clap::Command {
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help("This; --help tells more, with examples")
        .help_heading(OUTPUT)
        .display_order(LAST);
    command.disable_help_flag(true).arg(help)
}

/// The variable of a flag, with its dashes or without.
pub(super) fn variable(flag: &str) -> String {
    let name = flag.trim_start_matches('-').to_uppercase().replace('-', "_");
    format!("{VARIABLES}{name}")
}

/// Whether an argument is more than a question about the program.
pub(super) fn is_option(arg: &Arg) -> bool {
    !matches!(arg.get_action(), ArgAction::Help | ArgAction::Version)
}

fn with_variable(arg: Arg) -> Arg {
    let Some(name) = arg.get_long().filter(|_| is_option(&arg)) else {
        return arg;
    };
    let variable = variable(name);
    // a flag without a value is set by a variable that says so
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
    fn the_command_line_is_sound() {
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
