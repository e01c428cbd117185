//! `converse-export config`: every setting with the place where it comes from.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Id};
use comfy_table::Table as Grid;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::args::{self, OutputArgs};
use super::config_file::ConfigFile;
use super::export::KEY_VARIABLE;
use super::{output, usage};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
A setting comes from the flag, else from its environment variable, else from converse-export.toml in the working
directory (or --config), else from its default. Settings in the file are named as the flags:

  bot = [\"r3-218210\", \"r3-218211\"]
  out = \"lake\"                     # beside the file
  timezone = \"Europe/Berlin\"
  requests-per-second = 2

Examples:
  # what environment and file say, for all commands
  converse-export config

  # what one command would be run with
  converse-export config export --start 2023-10-01 --end 2023-10-06";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ConfigArgs {
    /// Only what this command would be run with, and its flags
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    line: Vec<OsString>,
}

/// A setting, and where it comes from.
#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    /// `null` where it is not set.
    value: Option<String>,
    from: String,
}

pub(super) fn run(args: &ConfigArgs, output: &OutputArgs, config: Option<&ConfigFile>) -> Result<u8> {
    let mut settings = match args.line.first() {
        Some(_) => of_line(&args.line, config)?,
        None => of_all(config)?,
    };
    settings.insert(0, key());
    if output.json {
        output::json(&settings)?;
    } else {
        output::text(&grid(&settings))?;
    }
    Ok(0)
}

/// Whether there is a key; never the key.
fn key() -> Setting {
    let is_set = std::env::var_os(KEY_VARIABLE).is_some_and(|key| !key.is_empty());
    let (value, from) = match is_set {
        true => ("set", format!("the variable {KEY_VARIABLE}")),
        false => ("not set", "–".to_owned()),
    };
    Setting {
        name: "(key)".into(),
        value: Some(value.into()),
        from,
    }
}

/// The settings of one command line.
fn of_line(line: &[OsString], config: Option<&ConfigFile>) -> Result<Vec<Setting>> {
    let mut command = args::command();
    if let Some(config) = config {
        command = config.apply(command);
    }
    // what is still missing is shown as such
    command = command.mut_subcommands(|command| command.mut_args(|arg| arg.required(false)));
    let words = std::iter::once(OsString::from("converse-export")).chain(line.iter().cloned());
    let matches = command.try_get_matches_from_mut(words);
    let matches = matches.map_err(|error| {
        usage::error(&error, line, config).unwrap_or_else(|| Error::Usage {
            what: "that is no command to be run".into(),
            hint: "leave --help and --version out".into(),
        })
    })?;
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(Vec::new());
    };
    let Some(command) = command.find_subcommand(name) else {
        return Ok(Vec::new());
    };
    let takes_part = |arg: &&clap::Arg| args::takes_part(arg) && arg.get_long().is_some();
    let settings = command.get_arguments().filter(takes_part);
    Ok(settings.map(|arg| setting(arg, matches, config)).collect())
}

fn setting(arg: &clap::Arg, matches: &ArgMatches, config: Option<&ConfigFile>) -> Setting {
    let name = arg.get_long().unwrap_or_default();
    let in_file = config.filter(|config| config.has(name));
    let from = match (matches.value_source(arg.get_id().as_str()), in_file) {
        (Some(ValueSource::CommandLine), _) => "the command line".to_owned(),
        (Some(ValueSource::EnvVariable), _) => format!("the variable {}", args::variable(name)),
        (Some(_), Some(config)) => config.path.display().to_string(),
        (Some(_), None) => "default".to_owned(),
        (None, _) => "–".to_owned(),
    };
    Setting {
        name: name.to_owned(),
        value: value(arg.get_id(), matches),
        from,
    }
}

fn value(id: &Id, matches: &ArgMatches) -> Option<String> {
    let values = matches.get_raw(id.as_str())?;
    let values = values.map(|value| value.to_string_lossy().into_owned());
    Some(values.collect::<Vec<_>>().join(", "))
}

/// The settings of all commands, each once.
fn of_all(config: Option<&ConfigFile>) -> Result<Vec<Setting>> {
    let command = args::command();
    let mut seen = BTreeSet::new();
    let mut settings = Vec::new();
    for command in command.get_subcommands() {
        let names: BTreeSet<_> = args::settings(command).filter_map(clap::Arg::get_long).collect();
        if names.is_empty() {
            continue;
        }
        let of_command = of_line(&[command.get_name().into()], config)?;
        settings.extend(
            of_command
                .into_iter()
                .filter(|setting| names.contains(setting.name.as_str()) && seen.insert(setting.name.clone())),
        );
    }
    Ok(settings)
}

fn grid(settings: &[Setting]) -> String {
    let mut grid = Grid::new();
    grid.load_style(NOTHING).set_header(["setting", "value", "from"]);
    for setting in settings {
        let value = setting.value.as_deref().unwrap_or("–");
        grid.add_row([&setting.name, value, &setting.from]);
    }
    grid.trim_fmt()
}
