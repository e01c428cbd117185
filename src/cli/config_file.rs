//! The config file, `converse-export.toml`: what flags are where neither the command line nor the environment says
//! otherwise.

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

/// A config file that was read: for each flag its values, as they would be typed.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    values: BTreeMap<String, Vec<String>>,
}

impl ConfigFile {
    /// The file that was named, or the one in the working directory.
    pub(super) fn find(words: &[OsString]) -> Result<Option<Self>> {
        let named = usage::value_of(words, "--config").or_else(|| std::env::var_os(args::variable("config")));
        match named {
            Some(path) => Self::read(Path::new(&path), true).map(Some),
            None if Path::new(CONFIG_FILE).is_file() => Self::read(Path::new(CONFIG_FILE), false).map(Some),
            None => Ok(None),
        }
    }

    fn read(path: &Path, was_named: bool) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Usage {
            what: format!("the config file {} cannot be read: {error}", path.display()),
            hint: "give --config with a file that is there, or leave it out".into(),
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
                "write a setting a line, such as bot = \"r3-218210\"".into(),
            )
        })?;
        let known = flags();
        let mut values = BTreeMap::new();
        for (name, value) in table {
            let Some(flag) = known.get(&name) else {
                return Err(wrong(format!("{name} is no setting"), unknown(&name, &known)));
            };
            let mut texts = texts(&value).ok_or_else(|| {
                wrong(
                    format!("{name} is neither a text, a number, true or false, nor a list of them"),
                    format!("write it as {name} = \"…\", as after --{name}"),
                )
            })?;
            if flag.is_path {
                texts = texts.into_iter().map(|text| beside(path, text)).collect();
            }
            values.insert(name, texts);
        }
        Ok(Self {
            path: path.to_owned(),
            values,
        })
    }

    /// Whether a flag stands in the file.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.values.contains_key(flag.trim_start_matches('-'))
    }

    /// The command line with what the file says as its defaults.
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

    /// A file that merely lies there may not choose where the key goes.
    fn check_address(&self) -> Result<()> {
        let untrusted = |what: String| Error::Usage {
            what: format!("{}: {what}", self.path.display()),
            hint: format!(
                "give --config {} if you trust this file with the key",
                self.path.display()
            ),
        };
        if self.has("allow-http") {
            return Err(untrusted("allow-http would send the key unprotected".into()));
        }
        let Some(address) = self.values.get("base-url").and_then(|urls| urls.first()) else {
            return Ok(());
        };
        let is_local = Url::parse(address).is_ok_and(|url| {
            // the key itself does not matter here
            ApiKey::new("-").is_ok_and(|key| Connection::new(url, key).is_local())
        });
        if is_local || address.trim_end_matches('/') == DEFAULT_BASE_URL {
            return Ok(());
        }
        Err(untrusted(format!("base-url would send the key to {address}")))
    }
}

/// What has to be known of a flag.
struct Flag {
    is_path: bool,
}

/// Every flag that may stand in the file.
fn flags() -> BTreeMap<String, Flag> {
    let command = args::command();
    let all = command
        .get_subcommands()
        .chain([&command])
        .flat_map(args::settings);
    all.filter(|arg| arg.get_id() != "config")
        .filter_map(|arg| {
            let is_path = is_of_paths(arg.get_value_parser());
            Some((arg.get_long()?.to_owned(), Flag { is_path }))
        })
        .collect()
}

fn is_of_paths(parser: &ValueParser) -> bool {
    parser.type_id() == std::any::TypeId::of::<PathBuf>()
}

fn unknown(name: &str, known: &BTreeMap<String, Flag>) -> String {
    if ["api-key", "api_key", "key"].contains(&name) {
        return "the key belongs in CONVERSE_EXPORT_API_KEY, or in a file that api-key-file names".into();
    }
    match closest(name, known.keys().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "the settings are the flags' names, as `converse-export config` lists them".into(),
    }
}

/// A value as it would be typed, once for each time that the flag would be given.
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

/// A path in the file is meant from the file's own folder on.
fn beside(file: &Path, path: String) -> String {
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
    fn settings_are_flags_and_paths_are_beside_the_file() {
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
    fn what_is_no_setting_is_told() {
        for (text, what, hint) in [
            ("bots = 'r3'", "bots is no setting", "did you mean bot?"),
            (
                "requests_per_second = 2",
                "is no setting",
                "did you mean requests-per-second?",
            ),
            (
                "api-key = 'secret'",
                "api-key is no setting",
                "CONVERSE_EXPORT_API_KEY",
            ),
            ("config = 'x'", "config is no setting", ""),
            ("[export]\nbot = 'r3'", "export is no setting", ""),
            ("bot = 'r3'\nout = lake", "line 2: ", "a setting a line"),
            ("out = { path = 'x' }", "out is neither", "out = "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(what), "{text}: {error}");
            assert!(error.hint().contains(hint), "{text}: {}", error.hint());
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn invariant_7_a_file_that_lies_there_does_not_choose_where_the_key_goes() {
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
