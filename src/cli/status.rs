//! `converse-export status`: show the state of a table.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::args::{OutputArgs, TABLE, duration, local};
use super::output;
use crate::display::grouped;
use crate::error::{Error, Result};
use crate::plan::{Direction, Field};
use crate::status::{DatasetStatus, Status, TimeRange, status};
use crate::table::{Table, Zone};

const EXAMPLES: &str = "\
Examples:
  # complete ranges and gaps, partitions, rows, rejected records, the last run
  converse-export status --out ./lake

  # the number of rows, for a script
  converse-export status --out ./lake --json | jq '.datasets.conversations[].rows'

  # check that the nightly job has run
  converse-export status --out ./lake --max-age 26h";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = TABLE)]
pub(super) struct StatusArgs {
    /// Folder of the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// Exit with 1 if a dataset is not complete up to this long ago, e.g. 26h
    ///
    /// A check for monitoring.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) max_age: Option<Duration>,
}

/// Ranges that are listed.
const LISTED: usize = 20;

pub(super) fn run(args: &StatusArgs, output: &OutputArgs) -> Result<u8> {
    let (status, zone) = Table::read(&args.out, |table| Ok((status(table)?, table.zone()?)))?;
    if output.json {
        output::json(&status)?;
    } else {
        output::text(&text(&status, &zone))?;
    }
    if !status.unreadable.is_empty() {
        let folders: Vec<_> = status
            .unreadable
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        output::line(&format!(
            "cannot read {}: permission denied; its contents are not shown",
            folders.join(" and ")
        ));
    }
    match args.max_age {
        Some(max_age) => check_age(&status, max_age, Timestamp::now()),
        None => Ok(0),
    }
}

/// Prints the datasets whose watermark is older than `max_age`; returns the exit code.
fn check_age(status: &Status, max_age: Duration, now: Timestamp) -> Result<u8> {
    let oldest = now.checked_sub(max_age).map_err(|error| Error::Usage {
        what: format!("cannot use --max-age: {error}"),
        hint: "give a duration such as 26h".into(),
    })?;
    let behind = status.behind(oldest);
    for (dataset, bot, watermark) in &behind {
        let up_to = watermark.map_or("nothing is complete".into(), |watermark| {
            format!(
                "complete up to {watermark:.0}, {:.1} hours ago",
                hours(watermark, now)
            )
        });
        output::line(&format!("too old: {dataset} of {bot}: {up_to}"));
    }
    if status.datasets.is_empty() {
        output::line("too old: the table is empty");
    }
    Ok(u8::from(!behind.is_empty() || status.datasets.is_empty()))
}

fn hours(since: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(since).as_secs() as f64 / 3600.0
}

fn text(status: &Status, zone: &Zone) -> String {
    let settings = &status.settings;
    let mut lines = vec![format!(
        "table of {}, {}s of {}, schema version {}",
        settings.base_url, settings.partition_by, settings.timezone, settings.schema_version
    )];
    if let Some(holder) = &status.at_work {
        lines.push(format!("a run is active: {holder}"));
    } else if status.interrupted_commit {
        lines.push("a commit was interrupted: the next export completes it".into());
    }
    for (dataset, bots) in &status.datasets {
        for (bot, status) in bots {
            lines.push(format!("\n{dataset} of {bot}"));
            for (name, value) in facts(status, zone) {
                lines.push(format!("  {name:<10} {value}"));
            }
        }
    }
    if status.datasets.is_empty() {
        lines.push("the table is empty".into());
    }
    lines.join("\n")
}

/// Returns the facts about a dataset of a bot, each with its name.
fn facts(status: &DatasetStatus, zone: &Zone) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    ranges("complete", &status.complete, zone, &mut facts);
    ranges("gap", &status.holes, zone, &mut facts);
    if let Some(watermark) = status.watermark {
        facts.push((
            "watermark",
            format!("{watermark:.0}; everything before it is complete"),
        ));
    }
    facts.push((
        "rows",
        format!(
            "{} in {} {}, {}",
            grouped(status.rows),
            grouped(status.periods.count()),
            status.periods.name(),
            output::bytes(status.bytes)
        ),
    ));
    if let (Some(first), Some(last)) = (status.first, status.last) {
        facts.push(("times", format!("{first} to {last}")));
    }
    let counts = [
        (status.duplicates, "duplicates"),
        (status.superseded, "superseded"),
        (status.erased, "erased"),
        (status.outside, "outside the range"),
    ];
    let counts: String = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!(", {} {what}", grouped(*count)))
        .collect();
    facts.push((
        "received",
        format!(
            "{} records in {} requests{counts}",
            grouped(status.received),
            grouped(status.requests)
        ),
    ));
    if status.rejected > 0 {
        let reasons: Vec<String> = status
            .rejected_reasons
            .iter()
            .map(|(reason, count)| format!("{} {reason}", grouped(*count)))
            .collect();
        let reasons = match reasons.is_empty() {
            // they cannot be read
            true => String::new(),
            false => format!(" ({})", reasons.join(", ")),
        };
        let what = format!("{}{reasons}, in _export/rejected/", grouped(status.rejected));
        facts.push(("rejected", what));
    }
    let drift = status.drift.describe();
    facts.extend(drift.into_iter().map(|line| ("drift", line)));
    if status.pages_waiting > 0 {
        let what = format!("{} pages: run the export again", grouped(status.pages_waiting));
        facts.push(("spooled", what));
    }
    if let Some(run) = &status.last_run {
        let how = if run.complete {
            "complete"
        } else {
            "incomplete: run it again"
        };
        facts.push((
            "last run",
            format!("{:.0}, {} new rows, {how}", run.ended, grouped(run.rows)),
        ));
    }
    let learned = learned(status);
    if !learned.is_empty() {
        facts.push(("API", learned.join(", ")));
    }
    facts.extend(output::limits(status.limits).map(|limits| ("limits", limits)));
    facts
}

/// Adds a line for each range, as flags with an exclusive end.
fn ranges(name: &'static str, ranges: &[TimeRange], zone: &Zone, facts: &mut Vec<(&'static str, String)>) {
    for range in ranges.iter().take(LISTED) {
        let (start, end) = range.as_flags(zone);
        facts.push((name, format!("--start {start} --end {end}")));
    }
    if ranges.len() > LISTED {
        facts.push((name, format!("and {} more", ranges.len() - LISTED)));
    }
}

/// Describes what earlier runs learned of the API.
fn learned(status: &DatasetStatus) -> Vec<String> {
    let column = |field| match field {
        Field::Time => "the record's own time",
        Field::LastAction => "the last action",
    };
    let filter = status
        .learned
        .filter
        .map(|field| format!("filters by {}", column(field)));
    let order = status.learned.order.map(|order| {
        let way = match order.direction {
            Direction::Ascending => "earliest first",
            Direction::Descending => "latest first",
        };
        format!("answers {way} by {}", column(order.field))
    });
    filter.into_iter().chain(order).collect()
}
