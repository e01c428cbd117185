//! The command line as it is typed.

//!
//! A subcommand is a file of its own beside this folder, which holds its arguments and what it does, and a line in
//! [`Command`] and in `main`. Arguments need no word on the environment: [`command`] gives each its variable.

mod api;
mod moment;

use clap::builder::BoolishValueParser;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub(super) use api::ApiArgs;
pub(super) use moment::{Moment, duration};

use super::demo::DemoArgs;
use super::doctor::DoctorArgs;
use super::export::ExportArgs;
use super::rebuild::RebuildArgs;
use super::simulate::SimulateArgs;
use super::status::StatusArgs;
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
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Progress on standard error: a bar in a terminal, log lines elsewhere
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) progress: ProgressKind,
    /// Less log (errors only)
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// More log; twice for every request
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

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Export a range of time into a table of Parquet files
    Export(Box<ExportArgs>),
    /// Tell what an export would do, without fetching its data: windows, requests, minutes, files
    Plan(Box<ExportArgs>),
    /// Ask the API what its documentation leaves open, with about ten requests to each endpoint
    Doctor(Box<DoctorArgs>),
    /// Prove that a table is what its exports left: files, counts, ids, and on request the API
    Verify(Box<VerifyArgs>),
    /// Tell what a table holds: complete ranges, holes, days, rows, the last run
    Status(StatusArgs),
    /// Make the table again from its own rows, without a request: with its days in another time zone, say
    Rebuild(RebuildArgs),
    /// Show what an export is like: simulates the API and exports a week from it
    Demo(DemoArgs),
    /// Serve a simulated Export API on this machine until stopped
    Simulate(SimulateArgs),
}

/// What the variable of each flag begins with.
const VARIABLES: &str = "CONVERSE_EXPORT_";
/// These show and try things: what is set for real exports is not for them.
const WITHOUT_VARIABLES: [&str; 2] = ["demo", "simulate"];

/// The command line, with a variable of the environment for every flag.
pub(super) fn command() -> clap::Command {
    Cli::command()
        .mut_args(with_variable)
        .mut_subcommands(|command| match command.get_name() {
            name if WITHOUT_VARIABLES.contains(&name) => command,
            _ => command.mut_args(with_variable),
        })
}

fn with_variable(arg: Arg) -> Arg {
    let Some(name) = arg.get_long() else { return arg };
    let variable = format!("{VARIABLES}{}", name.to_uppercase().replace('-', "_"));
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
        let with_variables = command
            .get_subcommands()
            .filter(|subcommand| !WITHOUT_VARIABLES.contains(&subcommand.get_name()));
        for arg in with_variables
            .chain([&command])
            .flat_map(clap::Command::get_arguments)
        {
            let variable = arg.get_env().and_then(|name| name.to_str());
            let name = arg
                .get_long()
                .unwrap_or_default()
                .to_uppercase()
                .replace('-', "_");
            assert_eq!(variable, Some(&*format!("CONVERSE_EXPORT_{name}")));
        }
    }
}
