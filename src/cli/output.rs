//! Prints errors, data and messages. Data goes to standard output, everything else to standard error.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};

use super::terminal::{Colour, Stream, bold, hanging_indent, write_stderr};
use super::{hints, log, progress_bars};
use crate::display;
use crate::error::{Error, Result};
use crate::export::Failure;
use crate::plan::Limits;

/// Prints an error with its causes and its hint.
pub(super) fn error(error: &Error) {
    let causes = error.causes();
    if log::is_json() {
        let mut fields = Map::new();
        if !causes.is_empty() {
            fields.insert("causes".into(), causes.into());
        }
        fields.insert("hint".into(), hints::of(error).into());
        return progress_bars::suspended(|| write_stderr(&log::object("error", &error.to_string(), fields)));
    }
    labelled("error:", Colour::Red, &error.to_string());
    for cause in causes {
        labelled("cause:", Colour::Red, &cause);
    }
    hint(&hints::of(error));
}

/// Prints a hint.
pub(super) fn hint(text: &str) {
    if log::is_json() {
        return line(text);
    }
    labelled("hint:", Colour::Cyan, text);
}

/// Prints a text after a label such as `error:`.
fn labelled(word: &str, colour: Colour, text: &str) {
    let text = hanging_indent(word, &display::safe(text), Stream::Stderr.width());
    let word = bold(word, colour, Stream::Stderr);
    progress_bars::suspended(|| write_stderr(&format!("{word} {text}")));
}

/// Prints the failures of a run, each distinct cause once.
pub(super) fn failures(failures: &[Failure]) {
    let mut printed = Vec::new();
    for failure in failures {
        let mut causes = failure.error.causes();
        if causes.is_empty() {
            causes.push(failure.error.to_string());
        }
        if !printed.contains(&causes) {
            error(&failure.error);
            printed.push(causes);
        }
    }
}

/// Prints a message.
pub(super) fn line(text: &str) {
    line_with(text, Map::new());
}

/// Prints a message; the JSON log format also gets `fields`.
pub(super) fn line_with(text: &str, fields: Map<String, Value>) {
    if log::is_json() {
        progress_bars::suspended(|| write_stderr(&log::object("info", text, fields)));
    } else {
        progress_bars::suspended(|| write_stderr(&display::safe_lines(text)));
    }
}

/// Prints data as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(value);
    raw_json(&json.map_err(|error| Error::Internal(error.to_string()))?)
}

/// Prints JSON text as data.
pub(super) fn raw_json(json: &str) -> Result<()> {
    data(&display::safe_json(json))
}

/// Prints text as data, with unsafe characters escaped.
pub(super) fn text(text: &str) -> Result<()> {
    data(&display::safe_lines(text))
}

/// Prints text as data, unchanged.
pub(super) fn data(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // a reader such as head closes the pipe early
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("write", std::path::Path::new("standard output"))(error))
        }
        _ => Ok(()),
    }
}

/// Formats a size in the largest unit of 1000 that keeps a digit before the point: `7.8 MB`.
pub(super) fn bytes(number: u64) -> String {
    let (mut size, mut unit) = (number as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if size < 999.5 {
            break;
        }
        (size, unit) = (size / 1000.0, larger);
    }
    match unit {
        "B" => format!("{number} B"),
        _ if size < 9.95 => format!("{size:.1} {unit}"),
        _ => format!("{size:.0} {unit}"),
    }
}

/// Formats the limits of the server on one line: `listings end at 10,000 records; ranges up to 31 days`.
pub(super) fn limits(limits: Limits) -> Option<String> {
    let cap = limits
        .listing_cap
        .map(|cap| format!("listings end at {}", records(cap as u64)));
    let range = limits
        .longest_range
        .map(|seconds| format!("ranges up to {}", span(seconds)));
    let page = limits
        .largest_page
        .map(|page| format!("pages up to {}", records(page.into())));
    let all: Vec<String> = [cap, range, page].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Formats a number of records: `1,000 records`.
pub(super) fn records(number: u64) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} record{plural}", display::grouped(number))
}

/// Formats a length of time in its largest unit: `31 days`, `90 minutes`.
pub(super) fn span(seconds: i64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let fits = |(unit, _): &(i64, &str)| seconds % unit == 0 || seconds >= 10 * unit;
    let (unit, name) = units.into_iter().find(fits).unwrap_or((1, "second"));
    let number = seconds / unit;
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {name}{plural}", display::grouped(number.unsigned_abs()))
}

/// Columns of the terminal; 120 without one.
pub(super) fn width() -> usize {
    Stream::Stdout.width().unwrap_or(120)
}

/// Formats untrusted text as one line of at most `wide` characters.
pub(super) fn shortened(cell: &str, wide: usize) -> String {
    cut(&display::safe(cell), wide)
}

/// Truncates a text to `wide` characters, with an ellipsis.
pub(super) fn cut(text: &str, wide: usize) -> String {
    match text.char_indices().nth(wide) {
        Some(_) => text.chars().take(wide.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_one_line() {
        let mut all = Limits::default();
        assert_eq!(limits(all), None);
        all.listing_cap = Some(10_000);
        all.longest_range = Some(31 * 86_400);
        all.largest_page = Some(100);
        let expected = "listings end at 10,000 records; ranges up to 31 days; pages up to 100 records";
        assert_eq!(limits(all).as_deref(), Some(expected));
        let spans = [86_400, 3_600, 5_400, 90_001, 864_123, 1].map(span);
        assert_eq!(
            spans,
            ["1 day", "1 hour", "90 minutes", "25 hours", "10 days", "1 second"]
        );
    }

    #[test]
    fn sizes_have_two_digits_and_a_unit() {
        let sizes = [0, 999, 1_000, 7_840_000, 12_300_000, 999_700_000].map(bytes);
        assert_eq!(
            ["0 B", "999 B", "1.0 kB", "7.8 MB", "12 MB", "1.0 GB"],
            sizes.each_ref().map(String::as_str)
        );
    }
}
