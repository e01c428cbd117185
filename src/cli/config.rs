//! `converse-export config`: show every setting and its source.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Id};
use comfy_table::Table as TextTable;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::args::{self, OutputArgs};
use super::config_file::ConfigFile;
use super::export::KEY_VARIABLE;
use super::{output, usage};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
A setting comes from the flag, or its environment variable, or converse-export.toml in the working directory (or
--config), or its default, in this order. Settings in the file have the names of the flags:

  bot = [\"r3-218210\", \"r3-218211\"]
  out = \"lake\"                     # relative to the file
  timezone = \"Europe/Berlin\"
  requests-per-second = 2

Examples:
  # the settings from environment and file
  converse-export config

  # the settings of one command
  converse-export config export --start 2023-10-01 --end 2023-10-06";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ConfigArgs {
    /// Show only the settings of this command with its flags
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    line: Vec<OsString>,
}

/// A setting and its source.
#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    /// `None` if it is not set.
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
        output::text(&table(&settings))?;
    }
    Ok(0)
}

/// Returns whether there is a key, never the key itself.
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

/// Returns the settings of one command line.
fn of_line(line: &[OsString], config: Option<&ConfigFile>) -> Result<Vec<Setting>> {
    let mut command = args::command();
    if let Some(config) = config {
        command = config.apply(command);
    }
    // missing settings are shown, not refused
    command = command.mut_subcommands(|command| command.mut_args(|arg| arg.required(false)));
    let arguments = std::iter::once(OsString::from("converse-export")).chain(line.iter().cloned());
    let matches = command.try_get_matches_from_mut(arguments);
    let matches = matches.map_err(|error| {
        usage::error(&error, line, config).unwrap_or_else(|| Error::Usage {
            what: "cannot show the settings of this command line: it runs no command".into(),
            hint: "remove --help and --version".into(),
        })
    })?;
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(Vec::new());
    };
    let Some(command) = command.find_subcommand(name) else {
        return Ok(Vec::new());
    };
    let is_option = |arg: &&clap::Arg| args::is_option(arg) && arg.get_long().is_some();
    let settings = command.get_arguments().filter(is_option);
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

/// Returns the settings of all commands, each once.
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

fn table(settings: &[Setting]) -> String {
    let mut table = TextTable::new();
    table.load_style(NOTHING).set_header(["setting", "value", "from"]);
    for setting in settings {
        let value = setting.value.as_deref().unwrap_or("–");
        table.add_row([&setting.name, value, &setting.from]);
    }
    table.trim_fmt()
}
