//! `converse-export doctor`: examine the live API and show how it behaves.

use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::args::{ApiArgs, Moment, OutputArgs, TABLE, dataset, local};
use super::{export, output};
use crate::dataset::Dataset;
use crate::display;
use crate::doctor::{
    Bounds, Cursors, DoctorOptions, DoctorReport, InvalidCursor, ListingLimit, PageLimit, RangeLimit,
    Refusal, examine, remember,
};
use crate::error::{Error, Result};
use crate::plan::{Direction, Field, Order};
use crate::rebuild;
use crate::table::Zone;

const EXAMPLES: &str = "\
Examples:
  # examine the API
  converse-export doctor --bot r3-218210

  # the same, and save the findings for exports into this table
  converse-export doctor --bot r3-218210 --start 2023-10-01 --end 2023-10-06 --out ./lake";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "What to examine")]
pub(super) struct DoctorArgs {
    /// Name or id of the bot
    #[arg(long, value_name = "NAME")]
    pub(super) bot: String,
    /// Start of the range with records [default: 30 days before --end]
    ///
    /// In the forms of `export --start`; a day begins at midnight in UTC.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["since", "from"])]
    pub(super) start: Option<Moment>,
    /// End of the range, exclusive [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["until", "to"])]
    pub(super) end: Option<Moment>,
    /// conversations or messages [default: both]
    #[arg(long, value_name = "NAME", value_parser = dataset(), hide_possible_values = true)]
    pub(super) dataset: Vec<Dataset>,
    /// Save the findings in this table, for its exports
    #[arg(long, value_name = "PATH", value_parser = local(), help_heading = TABLE)]
    pub(super) out: Option<PathBuf>,
    #[command(flatten, next_help_heading = "API")]
    pub(super) api: ApiArgs,
}

/// Days of the default range.
const DEFAULT_DAYS: i64 = 30;

pub(super) async fn run(args: &DoctorArgs, output: &OutputArgs) -> Result<u8> {
    let options = options(args)?;
    let mut reports = Vec::new();
    for dataset in export::datasets(&args.dataset) {
        let report = examine(&options, dataset).await?;
        if !output.json {
            output::text(&text(&report))?;
        }
        reports.push(report);
    }
    if let Some(out) = &args.out {
        remember(out, &options, &reports)?;
    }
    if output.json {
        output::json(&reports)?;
    } else if let Some(out) = &args.out {
        output::text(&format!("exports into {} use these findings", out.display()))?;
    }
    Ok(0)
}

fn options(args: &DoctorArgs) -> Result<DoctorOptions> {
    let utc = Zone::named("UTC").map_err(|error| Error::Internal(error.to_string()))?;
    let second = |moment: Option<Moment>, otherwise: i64| match moment {
        None => Ok(otherwise),
        Some(moment) => export::seconds(moment, &utc),
    };
    let end = second(args.end, Timestamp::now().as_second())?;
    let start = second(args.start, end - DEFAULT_DAYS * 86_400)?;
    let table = args.out.as_deref().map(rebuild::settings).transpose()?.flatten();
    let connection = export::checked_connection(&args.api.for_table(table.as_ref())?)?;
    let range = export::checked_range(start, end)?;
    Ok(DoctorOptions {
        connection,
        requests_per_second: args.api.requests_per_second,
        bot: args.bot.clone(),
        range,
    })
}

/// Formats a report, one finding per line.
fn text(report: &DoctorReport) -> String {
    let mut lines = vec![format!("{} ({} requests)", report.dataset, report.requests)];
    let mut add = |name: &str, finding: String| lines.push(format!("  {name:<12} {finding}"));
    let range = report.range;
    add("key, bot", "accepted".into());
    add(
        "records",
        match report.records {
            0 => format!("none in {range}: give a range with records to learn more"),
            records => format!(
                "{} on the first page of {range}",
                display::grouped(records as u64)
            ),
        },
    );
    add(
        "latency",
        format!(
            "{:.2} s (median); {} requests in flight use the full rate",
            report.latency_seconds, report.in_flight
        ),
    );
    add("clock", clock(report.clock_ahead_seconds));
    for (field, forms) in &report.times {
        let forms: Vec<&str> = forms.iter().copied().collect();
        add("times", format!("{field}: {}", forms.join(", ")));
    }
    if report.records > 0 {
        add("order", order(report.order));
        add("window", window(report.bounds));
        add("cursor", cursors(report.cursors).into());
    }
    add("page limit", page_limit(&report.page_limit));
    add("page size", page_size(report));
    add("listing", listing_limit(&report.listing_limit));
    add("range", range_limit(&report.range_limit));
    add("dead cursor", dead_cursor(&report.dead_cursor));
    if report.future_records > 0 {
        add(
            "future",
            format!(
                "{} records in a window of the future: the API may ignore the window",
                report.future_records
            ),
        );
    }
    if let Some(refusal) = report.refusal {
        add("rate limit", rate_limit(refusal));
    }
    if !report.new_fields.is_empty() {
        let fields: Vec<&str> = report.new_fields.iter().map(String::as_str).collect();
        add(
            "new fields",
            format!("{} (stored in the column `extra`)", fields.join(", ")),
        );
    }
    if report.records > 0 && !report.absent_fields.is_empty() {
        let fields: Vec<&str> = report.absent_fields.iter().copied().collect();
        add("absent", format!("{}: in no record", fields.join(", ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn clock(ahead: f64) -> String {
    let apart = SignedDuration::try_from_secs_f64(ahead.abs().round()).unwrap_or_default();
    match ahead {
        ahead if ahead.abs() < 1.5 => "the server's clock agrees with this machine's".into(),
        ahead if ahead > 0.0 => format!("the server's clock is {apart:#} ahead"),
        _ => format!("the server's clock is {apart:#} behind"),
    }
}

fn field(field: Field) -> &'static str {
    match field {
        Field::Time => "the record's own time",
        Field::LastAction => "the last action",
    }
}

fn order(order: Option<Order>) -> String {
    match order {
        None => "none recognised".into(),
        Some(Order { field: by, direction }) => {
            let first = if direction == Direction::Ascending {
                "earliest"
            } else {
                "latest"
            };
            format!("by {}, {first} first", field(by))
        }
    }
}

fn window(bounds: Bounds) -> String {
    let Some(by) = bounds.filter else {
        return "the filtered time is not known from these records".into();
    };
    let end = |included: Option<bool>| match included {
        Some(true) => "is included",
        Some(false) => "is excluded",
        None => "is unknown",
    };
    format!(
        "filters by {}; its start {}, its end {}",
        field(by),
        end(bounds.includes_start),
        end(bounds.includes_end)
    )
}

fn cursors(cursors: Cursors) -> &'static str {
    match cursors {
        Cursors::NotNeeded => "not needed: the range fits one page",
        Cursors::Changes { repeatable: true } => "a new one for each page; reusable",
        Cursors::Changes { repeatable: false } => {
            "a new one for each page; a repeated request gave another page: the archive is changing"
        }
        Cursors::Once => "valid once: a lost response restarts its window",
        Cursors::Stays => {
            "the same for all pages: the server advances it, so a lost response restarts its window"
        }
    }
}

fn page_limit(limit: &PageLimit) -> String {
    match limit {
        PageLimit::Refused {
            status,
            shown: message,
        } => {
            format!("1,001 records per page are refused (status {status}: {message})")
        }
        PageLimit::Gives { records } => format!(
            "a request for 1,001 records returns {}",
            display::grouped(*records as u64)
        ),
        PageLimit::Unclear { why } => format!("unknown: {why}"),
    }
}

fn page_size(report: &DoctorReport) -> String {
    match report.limits.largest_page {
        Some(records) => format!(
            "larger pages than {} fail: an export requests pages of this size",
            output::records(records.into())
        ),
        None => format!(
            "no limit found: a page of {} is served",
            output::records(report.records as u64)
        ),
    }
}

fn listing_limit(limit: &ListingLimit) -> String {
    match limit {
        ListingLimit::NotMet { listed } => {
            format!(
                "no limit found: one listing has {}",
                output::records(*listed as u64)
            )
        }
        ListingLimit::EndsAt { records } => format!(
            "ends after {}, and the range has more: an export requests smaller windows",
            output::records(*records as u64)
        ),
        ListingLimit::Unclear { why } => format!("unknown: {why}"),
    }
}

fn range_limit(limit: &RangeLimit) -> String {
    let limited = |how: &str, longest: Option<i64>| match longest {
        Some(seconds) => format!(
            "longer ranges than {} are {how}: an export requests shorter windows",
            output::span(seconds)
        ),
        None => format!("long ranges are {how}: an export determines the limit"),
    };
    match limit {
        RangeLimit::NotMet { served_seconds } => {
            format!(
                "no limit found: a range of {} is served",
                output::span(*served_seconds)
            )
        }
        RangeLimit::Refused { longest_seconds } => limited("refused", *longest_seconds),
        RangeLimit::Shortened { longest_seconds } => limited("shortened", *longest_seconds),
        RangeLimit::Unclear { why } => format!("unknown: {why}"),
    }
}

fn dead_cursor(cursor: &InvalidCursor) -> String {
    match cursor {
        InvalidCursor::Refused {
            status,
            shown: message,
        } => format!("status {status}: {message}"),
        InvalidCursor::Answered { records } => {
            format!("answered like a request without cursor, with {records} records")
        }
        InvalidCursor::Unclear { why } => format!("unknown: {why}"),
    }
}

fn rate_limit(refusal: Refusal) -> String {
    let Refusal {
        asked,
        refused,
        retry_after_seconds,
    } = refusal;
    match (refused, retry_after_seconds) {
        (0, _) => format!("none of {asked} simultaneous requests was refused"),
        (_, Some(seconds)) => {
            format!("{refused} of {asked} simultaneous requests refused, Retry-After {seconds} s")
        }
        (_, None) => format!("{refused} of {asked} simultaneous requests refused, without Retry-After"),
    }
}
