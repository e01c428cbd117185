//! Reads the config file, `converse-export.toml`: defaults of flags, below the command line and the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::{Arg, ArgAction};
use toml::{Table, Value};
use url::Url;

use super::args::{self, CONFIG_FILE};
use super::suggest::closest;
use super::usage;
use crate::api::{ApiKey, Connection};
use crate::error::{Error, Result};
use crate::export::DEFAULT_BASE_URL;

/// A config file: the values of each flag, as on the command line.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    values: BTreeMap<String, Vec<String>>,
}

impl ConfigFile {
    /// Reads the file that `--config` names, or the one in the working directory.
    pub(super) fn find(arguments: &[OsString]) -> Result<Option<Self>> {
        let named =
            usage::value_of(arguments, "--config").or_else(|| std::env::var_os(args::variable("config")));
        match named {
            Some(path) => Self::read(Path::new(&path), true).map(Some),
            None if Path::new(CONFIG_FILE).is_file() => Self::read(Path::new(CONFIG_FILE), false).map(Some),
            None => Ok(None),
        }
    }

    fn read(path: &Path, was_named: bool) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Usage {
            what: format!("cannot read the config file {}: {error}", path.display()),
            hint: "give --config with an existing file, or remove it".into(),
        })?;
        let config = Self::parse(path, &text)?;
        if !was_named {
            config.check_address()?;
        }
        Ok(config)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let wrong = |what: String, hint: String| Error::Usage {
            what: format!("{}: {what}", path.display()),
            hint,
        };
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error
                .span()
                .and_then(|span| text.get(..span.start))
                .unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            wrong(
                format!("line {line}: {}", error.message()),
                "write one setting per line, such as bot = \"r3-218210\"".into(),
            )
        })?;
        let known = flags();
        let mut values = BTreeMap::new();
        for (name, value) in table {
            let Some(&is_path) = known.get(&name) else {
                return Err(wrong(format!("{name} is not a setting"), unknown(&name, &known)));
            };
            let mut texts = texts(&value).ok_or_else(|| {
                wrong(
                    format!("{name} must be a string, a number, true or false, or a list of them"),
                    format!("write it as {name} = \"…\", as for --{name}"),
                )
            })?;
            if is_path {
                texts = texts.into_iter().map(|text| resolve(path, text)).collect();
            }
            values.insert(name, texts);
        }
        Ok(Self {
            path: path.to_owned(),
            values,
        })
    }

    /// Whether the file sets a flag.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.values.contains_key(flag.trim_start_matches('-'))
    }

    /// Sets the defaults of a command line to the values of the file.
    pub(super) fn apply(&self, command: clap::Command) -> clap::Command {
        let with_values = |arg: Arg| match arg.get_long().and_then(|name| self.values.get(name)) {
            Some(values) if values.len() == 1 || matches!(arg.get_action(), ArgAction::Append) => {
                arg.required(false).default_values(values.clone())
            }
            _ => arg,
        };
        command
            .mut_args(with_values)
            .mut_subcommands(|command| args::with_settings(command, with_values))
    }

    /// Refuses an address for the key in a file that was only found, not named on the command line.
    fn check_address(&self) -> Result<()> {
        let untrusted = |what: String| Error::Usage {
            what: format!("{}: {what}", self.path.display()),
            hint: format!(
                "give --config {} if you trust this file with the key",
                self.path.display()
            ),
        };
        if self.has("allow-http") {
            return Err(untrusted(
                "allow-http would send the key without encryption".into(),
            ));
        }
        let Some(address) = self.values.get("base-url").and_then(|urls| urls.first()) else {
            return Ok(());
        };
        let is_local = Url::parse(address).is_ok_and(|url| {
            // any key will do here
            ApiKey::new("-").is_ok_and(|key| Connection::new(url, key).is_local())
        });
        if is_local || address.trim_end_matches('/') == DEFAULT_BASE_URL {
            return Ok(());
        }
        Err(untrusted(format!("base-url would send the key to {address}")))
    }
}

/// Returns every flag that the file may set, and whether its value is a path.
fn flags() -> BTreeMap<String, bool> {
    let command = args::command();
    let all = command
        .get_subcommands()
        .chain([&command])
        .flat_map(args::settings);
    all.filter(|arg| arg.get_id() != "config")
        .filter_map(|arg| {
            let is_path = is_of_paths(arg.get_value_parser());
            Some((arg.get_long()?.to_owned(), is_path))
        })
        .collect()
}

fn is_of_paths(parser: &ValueParser) -> bool {
    parser.type_id() == std::any::TypeId::of::<PathBuf>()
}

fn unknown(name: &str, known: &BTreeMap<String, bool>) -> String {
    if ["api-key", "api_key", "key"].contains(&name) {
        return "set CONVERSE_EXPORT_API_KEY, or name a file with the key in api-key-file".into();
    }
    match closest(name, known.keys().map(String::as_str)) {
        Some(known) => format!("did you mean {known}?"),
        None => "see `converse-export config` for the names of settings".into(),
    }
}

/// Formats a value as on the command line, once for each repetition of the flag.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => {
            let texts = values
                .iter()
                .map(|value| texts(value).filter(|texts| texts.len() == 1));
            Some(texts.collect::<Option<Vec<_>>>()?.concat())
        }
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Float(number) => Some(vec![number.to_string()]),
        Value::Boolean(is) => Some(vec![is.to_string()]),
        Value::Datetime(at) => Some(vec![at.to_string()]),
        Value::Table(_) => None,
    }
}

/// Resolves a path against the folder of the config file.
fn resolve(file: &Path, path: String) -> String {
    match file.parent() {
        Some(folder) if !args::is_no_path(&path) => folder.join(&path).to_string_lossy().into_owned(),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ConfigFile> {
        ConfigFile::parse(Path::new("/etc/converse-export.toml"), text)
    }

    #[test]
    fn settings_are_flags_and_paths_are_relative_to_the_file() {
        let config = read(
            "bot = ['r3', 'r4']\nout = 'lake'\napi-key-file = '/run/key'\nper-page = 500\n\
             requests-per-second = 2.5\njson = true\nstart = 2023-10-01\n",
        );
        let values = config.unwrap().values;
        let of = |name: &str| values[name].join(" ");
        assert_eq!(of("bot"), "r3 r4");
        assert_eq!(of("out"), "/etc/lake");
        assert_eq!(of("api-key-file"), "/run/key");
        assert_eq!(of("per-page"), "500");
        assert_eq!(of("requests-per-second"), "2.5");
        assert_eq!(of("json"), "true");
        assert_eq!(of("start"), "2023-10-01");
    }

    #[test]
    fn unknown_settings_are_refused() {
        for (text, what, hint) in [
            ("bots = 'r3'", "bots is not a setting", "did you mean bot?"),
            (
                "requests_per_second = 2",
                "is not a setting",
                "did you mean requests-per-second?",
            ),
            (
                "api-key = 'secret'",
                "api-key is not a setting",
                "CONVERSE_EXPORT_API_KEY",
            ),
            ("config = 'x'", "config is not a setting", ""),
            ("[export]\nbot = 'r3'", "export is not a setting", ""),
            ("bot = 'r3'\nout = lake", "line 2: ", "one setting per line"),
            ("out = { path = 'x' }", "out must be", "out = "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(what), "{text}: {error}");
            assert!(error.hint().contains(hint), "{text}: {}", error.hint());
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn invariant_7_a_found_config_file_cannot_choose_where_the_key_goes() {
        let check = |text: &str| read(text).unwrap().check_address();
        assert!(check("base-url = 'https://api.converseapps.com/'").is_ok());
        assert!(check("base-url = 'http://127.0.0.1:8080'").is_ok());
        assert!(check("bot = 'r3'").is_ok());
        for text in [
            "base-url = 'https://elsewhere.example'",
            "base-url = 'https://api.converseapps.com.elsewhere.example'",
            "base-url = 'https://127.0.0.1.elsewhere.example'",
            "allow-http = true",
        ] {
            assert!(check(text).unwrap_err().hint().contains("--config"), "{text}");
        }
    }
}
