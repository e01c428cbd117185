//! All that is printed: errors, log, summaries. Data goes to standard output, everything else to standard error.

use std::error::Error as _;
use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::args::Told;
use super::bar;
use crate::error::Error;
use crate::export::{DatasetSummary, Failure, Summary};

/// Sets the log up: to standard error, above any bar.
pub(super) fn log(told: &Told) {
    let level = match (told.quiet, told.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter =
        EnvFilter::try_new(format!("{level},hyper=warn,reqwest=warn,rustls=warn")).unwrap_or_default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AboveBars)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .without_time()
        .finish();
    // set once a process: a second call could only come from a test
    let _ = tracing::subscriber::set_global_default(subscriber);
}

#[derive(Clone, Copy)]
struct AboveBars;

impl MakeWriter<'_> for AboveBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bar::suspended(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Prints an error: what failed, why, and what to do.
pub(super) fn error(error: &Error) {
    line(&format!("error: {}", error.with_causes()));
    line(&format!("hint: {}", error.hint()));
}

/// Prints what could not be done of a run; the same cause is told once.
pub(super) fn failures(failures: &[Failure]) {
    let cause = |failure: &Failure| failure.error.source().unwrap_or(&failure.error).to_string();
    for (number, failure) in failures.iter().enumerate() {
        if !failures[..number]
            .iter()
            .any(|earlier| cause(earlier) == cause(failure))
        {
            error(&failure.error);
        }
    }
}

/// Prints a line for people.
pub(super) fn line(text: &str) {
    // where standard error is closed nobody reads it
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints data.
pub(super) fn data(text: &str) -> crate::error::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // a reader such as head has seen enough
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("write", std::path::Path::new("standard output"))(error))
        }
        _ => Ok(()),
    }
}

/// A number with its thousands set apart: `12 345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A size in the largest unit of 1000 that keeps a digit before the point: `7.8 MB`.
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

/// Prints a run's summary for people.
pub(super) fn summary(summary: &Summary) {
    for (name, dataset) in &summary.datasets {
        line(&format!("{name}: {}", sentence(dataset)));
    }
    for failed in &summary.failed {
        line(&format!("not whole: {} of {}", failed.dataset, failed.bot));
    }
    if let Some(changes) = &summary.changes {
        line(&format!("what changed is listed in {}", changes.display()));
    }
    line(&format!("done in {:.1} s", summary.elapsed_seconds));
}

fn sentence(dataset: &DatasetSummary) -> String {
    if dataset.was_complete {
        return "complete already, nothing was asked for".into();
    }
    let mut parts = vec![
        format!("{} new rows", dataset.rows),
        format!("{} partitions changed", dataset.partitions.len()),
        format!("{} requests", dataset.requests),
    ];
    let mut also = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    also(dataset.superseded, "superseded");
    also(dataset.moved, "moved to another date");
    also(dataset.erased, "erased before, and not kept");
    also(dataset.retries, "retries");
    also(dataset.rate_limited, "refused for coming too soon");
    also(dataset.rejected, "rejected (kept in _export/rejected/)");
    if !dataset.unsettled.is_empty() {
        parts.push("the newest part is too young to be complete: export it again later".into());
    }
    if let Some(field @ "last_action_at") = dataset.filtered_by {
        parts.push(format!("the API filters by {field}"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_can_be_read() {
        assert_eq!(
            ["0", "999", "1 000", "12 345 678"],
            [0, 999, 1000, 12_345_678]
                .map(grouped)
                .each_ref()
                .map(String::as_str)
        );
        let sizes = [0, 999, 1_000, 7_840_000, 12_300_000, 999_700_000].map(bytes);
        assert_eq!(
            ["0 B", "999 B", "1.0 kB", "7.8 MB", "12 MB", "1.0 GB"],
            sizes.each_ref().map(String::as_str)
        );
    }
}
