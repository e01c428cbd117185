//! Turns clap's errors into errors with a message and one hint.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::{self, LogFormat};
use super::config_file::ConfigFile;
use crate::error::Error;

/// Returns the value of a flag before the command line is parsed. `words` are its arguments without the program's name.
pub(super) fn value_of(words: &[OsString], flag: &str) -> Option<OsString> {
    let mut following = words.iter().skip(1);
    words.iter().find_map(|word| {
        let next = following.next();
        match word.to_str()?.strip_prefix(flag)? {
            "" => next.cloned(),
            rest => rest.strip_prefix('=').map(OsString::from),
        }
    })
}

/// Returns the log format before the command line is parsed.
pub(super) fn log_format(words: &[OsString]) -> LogFormat {
    let format = value_of(words, "--log-format").or_else(|| std::env::var_os(args::variable("log-format")));
    match format {
        Some(format) if format == "json" => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

/// Converts an error of clap; `None` if it is a requested text such as `--help`.
pub(super) fn error(error: &clap::Error, words: &[OsString], config: Option<&ConfigFile>) -> Option<Error> {
    if !error.use_stderr() {
        return None;
    }
    let line = CommandLine::new(words, config);
    let (what, hint) = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            ("no command is given".to_owned(), None)
        }
        ErrorKind::InvalidSubcommand => {
            let name = text(error, ContextKind::InvalidSubcommand);
            (
                format!("{name} is not a command"),
                suggestion(error, ContextKind::SuggestedSubcommand),
            )
        }
        ErrorKind::UnknownArgument => unknown_argument(error, &line),
        ErrorKind::InvalidValue => invalid_value(error, &line),
        ErrorKind::ValueValidation => unparsable_value(error, &line),
        ErrorKind::MissingRequiredArgument => missing(error),
        ErrorKind::ArgumentConflict => {
            let (one, other) = (flag(error), text(error, ContextKind::PriorArg));
            match other == text(error, ContextKind::InvalidArg) {
                true => (format!("{one} is given twice"), Some("give it once".to_owned())),
                false => (
                    format!("{one} and {} cannot be used together", name_of(&other)),
                    Some("remove one of them".to_owned()),
                ),
            }
        }
        _ => (first_line(error), None),
    };
    Some(Error::Usage {
        what,
        hint: hint.unwrap_or_else(|| format!("see `{} --help`", line.program())),
    })
}

/// Describes an unknown flag or an unexpected argument.
fn unknown_argument(error: &clap::Error, line: &CommandLine<'_>) -> (String, Option<String>) {
    let name = text(error, ContextKind::InvalidArg);
    if !name.starts_with('-') {
        let what = format!("`{}` does not accept the argument {name}", line.program());
        return (what, suggestion(error, ContextKind::SuggestedSubcommand));
    }
    let other_commands = || {
        let long = name.strip_prefix("--")?;
        let command = args::command();
        let has = |command: &&clap::Command| command.get_arguments().any(|arg| arg.get_long() == Some(long));
        let others: Vec<&str> = command
            .get_subcommands()
            .filter(has)
            .map(clap::Command::get_name)
            .collect();
        (!others.is_empty()).then(|| format!("it is a flag of {}", others.join(", ")))
    };
    let hint = suggestion(error, ContextKind::SuggestedArg).or_else(other_commands);
    (format!("{name} is not a flag of `{}`", line.program()), hint)
}

/// Describes a missing value, or one that is not among the possible ones.
fn invalid_value(error: &clap::Error, line: &CommandLine<'_>) -> (String, Option<String>) {
    let value = text(error, ContextKind::InvalidValue);
    let flag = flag(error);
    if value.is_empty() {
        return (format!("{flag} needs a value"), None);
    }
    let what = format!("{value} is not a value of {flag}{}", line.origin(&flag));
    let possible = || match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            Some(format!("give one of {}", values.join(", ")))
        }
        _ => None,
    };
    (
        what,
        suggestion(error, ContextKind::SuggestedValue).or_else(possible),
    )
}

/// Describes a value that cannot be parsed.
fn unparsable_value(error: &clap::Error, line: &CommandLine<'_>) -> (String, Option<String>) {
    let value = text(error, ContextKind::InvalidValue);
    let flag = flag(error);
    let what = format!("cannot read {flag} {value}{}", line.origin(&flag));
    let Some(why) = std::error::Error::source(error) else {
        return (what, None);
    };
    let reason = why.to_string();
    if let Some((why, hint)) = args::split_hint(&reason) {
        let what = format!("cannot use {flag} {value}{}: {why}", line.origin(&flag));
        return (what, Some(hint.to_owned()));
    }
    let hint = if reason.starts_with("give ") {
        // the message of our own parsers is the hint
        reason
    } else if let Some((_, range)) = reason.split_once(" is not in ") {
        format!("give a number in {range}")
    } else if why.is::<std::num::ParseIntError>() {
        "give a whole number".into()
    } else if why.is::<std::num::ParseFloatError>() {
        "give a number such as 3 or 0.5".into()
    } else if why.is::<url::ParseError>() {
        "give an address such as https://api.converseapps.com".into()
    } else if reason.contains("boolean") {
        "give true or false".into()
    } else {
        return (format!("{what}: {reason}"), None);
    };
    (what, Some(hint))
}

/// Describes missing arguments.
fn missing(error: &clap::Error) -> (String, Option<String>) {
    let names: Vec<String> = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.iter().map(|name| name_of(name)).collect(),
        _ => return (first_line(error), None),
    };
    let (listed, verb) = match names.split_last() {
        Some((last, [])) => (last.clone(), "is"),
        Some((last, others)) => (format!("{} and {last}", others.join(", ")), "are"),
        None => return (first_line(error), None),
    };
    let first = names.first().filter(|name| name.starts_with("--"));
    let hint = first.map(|name| {
        let more = if names.len() > 1 { ", and so on" } else { "" };
        format!(
            "give {name}, set {}{more}, or add it to {}",
            args::variable(name),
            args::CONFIG_FILE
        )
    });
    (format!("{listed} {verb} missing"), hint)
}

/// Returns clap's suggestion as a hint.
fn suggestion(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let name = match error.get(kind)? {
        ContextValue::String(name) => name.clone(),
        // the most similar one is last
        ContextValue::Strings(names) => names.last()?.clone(),
        _ => return None,
    };
    Some(format!("did you mean {name}?"))
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}

/// Returns the flag of an error.
fn flag(error: &clap::Error) -> String {
    name_of(&text(error, ContextKind::InvalidArg))
}

/// `--start` of `--start <TIME>`.
fn name_of(usage: &str) -> String {
    usage.split([' ', '=']).next().unwrap_or_default().to_owned()
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The command line as typed.
struct CommandLine<'a> {
    words: Vec<String>,
    config: Option<&'a ConfigFile>,
}

impl<'a> CommandLine<'a> {
    fn new(words: &[OsString], config: Option<&'a ConfigFile>) -> Self {
        let words = words.iter().map(|word| word.to_string_lossy().into_owned());
        Self {
            words: words.collect(),
            config,
        }
    }

    /// Returns the program's name with the subcommand.
    fn program(&self) -> String {
        let command = args::command();
        let named = self
            .words
            .iter()
            .find(|word| command.find_subcommand(word).is_some());
        match named {
            Some(named) => format!("{} {named}", command.get_name()),
            None => command.get_name().to_owned(),
        }
    }

    /// Describes where a value comes from, unless from the command line.
    fn origin(&self, flag: &str) -> String {
        if self.words.iter().any(|word| name_of(word) == flag) {
            return String::new();
        }
        let variable = args::variable(flag);
        let in_file = || self.config.filter(|config| config.has(flag));
        match std::env::var_os(&variable) {
            Some(_) => format!(" (from the variable {variable})"),
            None => in_file().map_or_else(String::new, |config| format!(" (from {})", config.path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn message_and_hint(words: &[&str]) -> (String, String) {
        let words: Vec<_> = words.iter().map(std::ffi::OsString::from).collect();
        let line = std::iter::once("converse-export".into()).chain(words.iter().cloned());
        let wrong = args::command().try_get_matches_from(line).unwrap_err();
        let error = error(&wrong, &words, None).unwrap();
        (error.to_string(), error.hint())
    }

    #[test]
    fn similar_names_are_suggested() {
        for (words, hint) in [
            (vec!["exprot"], "did you mean export?"),
            (vec!["export", "--strat", "2023-10-01"], "did you mean --start?"),
            (vec!["export", "--dataset", "mesages"], "did you mean messages?"),
            (
                vec!["status", "--out", "x", "--progress", "bars"],
                "did you mean bar?",
            ),
            (vec!["status", "--bot", "x"], "it is a flag of "),
            (
                vec!["export", "--nonsense"],
                "see `converse-export export --help`",
            ),
        ] {
            let (message, given) = message_and_hint(&words);
            assert!(given.starts_with(hint), "{words:?}: {message}, {given}");
        }
    }

    #[test]
    fn requested_texts_are_not_errors() {
        for words in [["export", "--help"], ["--version", ""], ["help", "plan"]] {
            let line = std::iter::once("converse-export").chain(words);
            let shown = args::command().try_get_matches_from(line).unwrap_err();
            assert!(error(&shown, &[], None).is_none());
        }
    }
}
