//! `converse-export status`: what a folder holds, for people or as JSON.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::args::{OutputArgs, TABLE, duration, local};
use super::output;
use crate::error::{Error, Result};
use crate::plan::{Direction, Field};
use crate::status::{DatasetStatus, Status, TimeRange, status};
use crate::table::{Table, Zone};

const EXAMPLES: &str = "\
Examples:
  # complete ranges and holes, days, rows, rejected records, the last run
  converse-export status --out ./lake

  # how many rows there are, for a job
  converse-export status --out ./lake --json | jq '.datasets.conversations[].rows'

  # has the nightly job done its work?
  converse-export status --out ./lake --max-age 26h";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = TABLE)]
pub(super) struct StatusArgs {
    /// The folder that holds the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// Exit with 1 where something is not complete up to so long ago, e.g. 26h
    ///
    /// A check for whoever watches the job.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) max_age: Option<Duration>,
}

/// Ranges that are told one by one.
const TOLD: usize = 20;

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
            "cannot read {}: permission denied; what is in it is not shown",
            folders.join(" and ")
        ));
    }
    match args.max_age {
        Some(max_age) => age(&status, max_age, Timestamp::now()),
        None => Ok(0),
    }
}

/// The exit code of a look at how old the watermarks are.
fn age(status: &Status, max_age: Duration, now: Timestamp) -> Result<u8> {
    let oldest = now.checked_sub(max_age).map_err(|error| Error::Usage {
        what: format!("--max-age is too long: {error}"),
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
        output::line("too old: the table holds nothing");
    }
    Ok(u8::from(!behind.is_empty() || status.datasets.is_empty()))
}

#[allow(clippy::cast_precision_loss)] // told with one digit
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
        lines.push(format!("a run is at work: {holder}"));
    } else if status.interrupted_commit {
        lines.push("a commit was interrupted: run the export again, it carries it through".into());
    }
    for (dataset, bots) in &status.datasets {
        for (bot, holding) in bots {
            lines.push(format!("\n{dataset} of {bot}"));
            for (name, value) in told_of(holding, zone) {
                lines.push(format!("  {name:<10} {value}"));
            }
        }
    }
    if status.datasets.is_empty() {
        lines.push("it holds nothing yet".into());
    }
    lines.join("\n")
}

fn told_of(holding: &DatasetStatus, zone: &Zone) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    ranges("complete", &holding.complete, zone, &mut told);
    ranges("hole", &holding.holes, zone, &mut told);
    if let Some(watermark) = holding.watermark {
        told.push((
            "watermark",
            format!("{watermark:.0}: everything before it is complete"),
        ));
    }
    told.push((
        "rows",
        format!(
            "{} in {} {}, {}",
            holding.rows,
            holding.periods.count(),
            holding.periods.name(),
            size(holding.bytes)
        ),
    ));
    if let (Some(first), Some(last)) = (holding.first, holding.last) {
        told.push(("times", format!("{first} to {last}")));
    }
    let counts = [
        (holding.duplicates, "duplicates"),
        (holding.superseded, "superseded"),
        (holding.erased, "erased"),
        (holding.outside, "outside the range"),
    ];
    let counts: String = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!(", {count} {what}"))
        .collect();
    told.push((
        "received",
        format!(
            "{} records in {} requests{counts}",
            holding.received, holding.requests
        ),
    ));
    if holding.rejected > 0 {
        let reasons: Vec<String> = holding
            .rejected_reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let reasons = match reasons.is_empty() {
            // this user may not read them
            true => String::new(),
            false => format!(" ({})", reasons.join(", ")),
        };
        let what = format!("{}{reasons}, kept in _export/rejected/", holding.rejected);
        told.push(("rejected", what));
    }
    let drift = holding.drift.describe();
    told.extend(drift.into_iter().map(|line| ("drift", line)));
    if holding.pages_waiting > 0 {
        let what = format!("{} pages: run the export again", holding.pages_waiting);
        told.push(("waiting", what));
    }
    if let Some(run) = &holding.last_run {
        let how = if run.whole {
            "whole"
        } else {
            "not whole: run it again"
        };
        told.push((
            "last run",
            format!("{:.0}, {} new rows, {how}", run.ended, run.rows),
        ));
    }
    let learnt = learnt(holding);
    if !learnt.is_empty() {
        told.push(("API", learnt.join(", ")));
    }
    told.extend(output::limits(holding.limits).map(|limits| ("limits", limits)));
    told
}

/// A line for each range, with the end exclusive as in the flags.
fn ranges(name: &'static str, ranges: &[TimeRange], zone: &Zone, told: &mut Vec<(&'static str, String)>) {
    for range in ranges.iter().take(TOLD) {
        let (start, end) = range.as_flags(zone);
        told.push((name, format!("--start {start} --end {end}")));
    }
    if ranges.len() > TOLD {
        told.push((name, format!("and {} more", ranges.len() - TOLD)));
    }
}

fn learnt(holding: &DatasetStatus) -> Vec<String> {
    let column = |field| match field {
        Field::Time => "the record's own time",
        Field::LastAction => "the last action",
    };
    let filter = holding
        .learnt
        .filter
        .map(|field| format!("filters by {}", column(field)));
    let order = holding.learnt.order.map(|order| {
        let way = match order.direction {
            Direction::Ascending => "earliest first",
            Direction::Descending => "latest first",
        };
        format!("answers {way} by {}", column(order.field))
    });
    filter.into_iter().chain(order).collect()
}

#[allow(clippy::cast_precision_loss)] // told with three digits
fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "kB", "MB"] {
        if size < 1000.0 {
            let digits = usize::from(unit != "bytes");
            return format!("{size:.digits$} {unit}");
        }
        size /= 1000.0;
    }
    format!("{size:.1} GB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_their_unit() {
        assert_eq!(
            [999, 1000, 123_456_789, 5_000_000_000_000].map(size),
            ["999 bytes", "1.0 kB", "123.5 MB", "5000.0 GB"]
        );
    }
}
