//! What is wrong with a command line, in the form of all errors: what, and one thing to do.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::{self, LogFormat};
use super::config_file::ConfigFile;
use crate::error::Error;

/// The words that were typed, the program's own name not among them.
pub(super) type Words = [OsString];

/// What a flag is given, as long as the command line is not understood.
pub(super) fn value_of(words: &Words, flag: &str) -> Option<OsString> {
    let mut following = words.iter().skip(1);
    words.iter().find_map(|word| {
        let next = following.next();
        match word.to_str()?.strip_prefix(flag)? {
            "" => next.cloned(),
            rest => rest.strip_prefix('=').map(OsString::from),
        }
    })
}

/// How lines are to be written until then.
pub(super) fn log_format(words: &Words) -> LogFormat {
    let format = value_of(words, "--log-format").or_else(|| std::env::var_os(args::variable("log-format")));
    match format {
        Some(format) if format == "json" => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

/// An error of the command line as one of ours; `None` where it is none but a text that was asked for.
pub(super) fn error(error: &clap::Error, words: &Words, config: Option<&ConfigFile>) -> Option<Error> {
    if !error.use_stderr() {
        return None;
    }
    let typed = Typed::new(words, config);
    let (what, hint) = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            ("there is no command".to_owned(), None)
        }
        ErrorKind::InvalidSubcommand => {
            let name = text(error, ContextKind::InvalidSubcommand);
            (
                format!("{name} is no command"),
                meant(error, ContextKind::SuggestedSubcommand),
            )
        }
        ErrorKind::UnknownArgument => unknown(error, &typed),
        ErrorKind::InvalidValue => no_such_value(error, &typed),
        ErrorKind::ValueValidation => unreadable(error, &typed),
        ErrorKind::MissingRequiredArgument => missing(error),
        ErrorKind::ArgumentConflict => {
            let (one, other) = (flag(error), text(error, ContextKind::PriorArg));
            match other == text(error, ContextKind::InvalidArg) {
                true => (format!("{one} is given twice"), Some("give it once".to_owned())),
                false => (
                    format!("{one} and {} do not go together", name_of(&other)),
                    Some("leave one of them out".to_owned()),
                ),
            }
        }
        _ => (first_line(error), None),
    };
    Some(Error::Usage {
        what,
        hint: hint.unwrap_or_else(|| format!("see `{} --help`", typed.program())),
    })
}

/// A flag that there is not, or a word where none belongs.
fn unknown(error: &clap::Error, typed: &Typed<'_>) -> (String, Option<String>) {
    let name = text(error, ContextKind::InvalidArg);
    if !name.starts_with('-') {
        let what = format!("`{}` takes no word such as {name}", typed.program());
        return (what, meant(error, ContextKind::SuggestedSubcommand));
    }
    let elsewhere = || {
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
    let hint = meant(error, ContextKind::SuggestedArg).or_else(elsewhere);
    (format!("{name} is no flag of `{}`", typed.program()), hint)
}

fn no_such_value(error: &clap::Error, typed: &Typed<'_>) -> (String, Option<String>) {
    let value = text(error, ContextKind::InvalidValue);
    let flag = flag(error);
    if value.is_empty() {
        return (format!("{flag} needs a value"), None);
    }
    let what = format!("{value} is no value of {flag}{}", typed.origin(&flag));
    let among = || match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            Some(format!("give one of {}", values.join(", ")))
        }
        _ => None,
    };
    (what, meant(error, ContextKind::SuggestedValue).or_else(among))
}

fn unreadable(error: &clap::Error, typed: &Typed<'_>) -> (String, Option<String>) {
    let value = text(error, ContextKind::InvalidValue);
    let flag = flag(error);
    let what = format!("{flag} {value} cannot be read{}", typed.origin(&flag));
    let Some(why) = std::error::Error::source(error) else {
        return (what, None);
    };
    let told = why.to_string();
    if let Some((why, hint)) = args::why_and_hint(&told) {
        let what = format!("cannot use {flag} {value}{}: {why}", typed.origin(&flag));
        return (what, Some(hint.to_owned()));
    }
    let hint = if told.starts_with("give ") {
        // our own say at once what to give
        told
    } else if let Some((_, range)) = told.split_once(" is not in ") {
        format!("give a number in {range}")
    } else if why.is::<std::num::ParseIntError>() {
        "give a whole number".into()
    } else if why.is::<std::num::ParseFloatError>() {
        "give a number such as 3 or 0.5".into()
    } else if why.is::<url::ParseError>() {
        "give an address such as https://api.converseapps.com".into()
    } else if told.contains("boolean") {
        "give true or false".into()
    } else {
        return (format!("{what}: {told}"), None);
    };
    (what, Some(hint))
}

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
            "give {name}, set {}{more}, or put it into {}",
            args::variable(name),
            args::CONFIG_FILE
        )
    });
    (format!("{listed} {verb} missing"), hint)
}

/// What may have been meant instead.
fn meant(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let name = match error.get(kind)? {
        ContextValue::String(name) => name.clone(),
        // the most alike comes last
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

/// The flag that the error is about.
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

/// The command line as it was typed.
struct Typed<'a> {
    words: Vec<String>,
    config: Option<&'a ConfigFile>,
}

impl<'a> Typed<'a> {
    fn new(words: &Words, config: Option<&'a ConfigFile>) -> Self {
        let words = words.iter().map(|word| word.to_string_lossy().into_owned());
        Self {
            words: words.collect(),
            config,
        }
    }

    /// The program with the subcommand that was typed.
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

    /// Where a value comes from that nobody typed.
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
    fn told(words: &[&str]) -> (String, String) {
        let words: Vec<_> = words.iter().map(std::ffi::OsString::from).collect();
        let line = std::iter::once("converse-export".into()).chain(words.iter().cloned());
        let wrong = args::command().try_get_matches_from(line).unwrap_err();
        let error = error(&wrong, &words, None).unwrap();
        (error.to_string(), error.hint())
    }

    #[test]
    fn what_was_meant_is_guessed() {
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
            let told = told(&words);
            assert!(told.1.starts_with(hint), "{words:?}: {told:?}");
        }
    }

    #[test]
    fn texts_that_were_asked_for_are_no_errors() {
        for words in [["export", "--help"], ["--version", ""], ["help", "plan"]] {
            let line = std::iter::once("converse-export").chain(words);
            let shown = args::command().try_get_matches_from(line).unwrap_err();
            assert!(error(&shown, &[], None).is_none());
        }
    }
}
