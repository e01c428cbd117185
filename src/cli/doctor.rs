//! `converse-export doctor`: what the live API is like, in plain words.

use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::args::{ApiArgs, Moment, OutputArgs, TABLE, dataset, local};
use super::{export, output};
use crate::dataset::Dataset;
use crate::doctor::{
    Bounds, Cursors, DeadCursor, ListingLimit, Options, PageLimit, RangeLimit, Refusal, Report, examine,
    remember,
};
use crate::error::{Error, Result};
use crate::plan::{Direction, Field, Order};
use crate::rebuild;
use crate::table::Zone;

const EXAMPLES: &str = "\
Examples:
  # what is this API like?
  converse-export doctor --bot r3-218210

  # the same, and let exports into this table begin with it
  converse-export doctor --bot r3-218210 --start 2023-10-01 --end 2023-10-06 --out ./lake";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, next_help_heading = "What to ask about")]
pub(super) struct DoctorArgs {
    /// The bot's name or id
    #[arg(long, value_name = "NAME")]
    pub(super) bot: String,
    /// Look for records from here [default: 30 days ago]
    ///
    /// Or 30 days before --end. In the forms of `export --start`; a day begins at midnight in UTC.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["since", "from"])]
    pub(super) start: Option<Moment>,
    /// Look for records up to here [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, aliases = ["until", "to"])]
    pub(super) end: Option<Moment>,
    /// conversations or messages [default: both]
    #[arg(long, value_name = "NAME", value_parser = dataset(), hide_possible_values = true)]
    pub(super) dataset: Vec<Dataset>,
    /// Keep what was learnt in this table: exports begin with it
    #[arg(long, value_name = "PATH", value_parser = local(), help_heading = TABLE)]
    pub(super) out: Option<PathBuf>,
    #[command(flatten, next_help_heading = "API")]
    pub(super) api: ApiArgs,
}

/// Where nothing else is asked for, records of so many days are looked for.
const DAYS: i64 = 30;

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
        output::text(&format!("exports into {} begin with this", out.display()))?;
    }
    Ok(0)
}

fn options(args: &DoctorArgs) -> Result<Options> {
    let utc = Zone::named("UTC").map_err(|error| Error::Internal(error.to_string()))?;
    let second = |moment: Option<Moment>, otherwise: i64| match moment {
        None => Ok(otherwise),
        Some(moment) => export::seconds(moment, &utc),
    };
    let end = second(args.end, Timestamp::now().as_second())?;
    let start = second(args.start, end - DAYS * 86_400)?;
    let table = args.out.as_deref().map(rebuild::settings).transpose()?.flatten();
    let connection = export::checked_connection(&args.api.for_table(table.as_ref())?)?;
    let range = export::looked_at(start, end)?;
    Ok(Options {
        connection,
        requests_per_second: args.api.requests_per_second,
        bot: args.bot.clone(),
        range,
    })
}

/// A report in plain words, a finding a line.
fn text(report: &Report) -> String {
    let mut lines = vec![format!("{} ({} requests)", report.dataset, report.requests)];
    let mut say = |what: &str, words: String| lines.push(format!("  {what:<12} {words}"));
    let range = report.range;
    say("key, bot", "accepted".into());
    say(
        "records",
        match report.records {
            0 => format!("none in {range}: give --start and --end where there are some, to learn more"),
            records => format!("{records} on the first page of {range}"),
        },
    );
    say(
        "latency",
        format!(
            "{:.2} s, the median; {} requests in flight hide it",
            report.latency_seconds, report.in_flight
        ),
    );
    say("clock", clock(report.clock_ahead_seconds));
    for (field, forms) in &report.times {
        let forms: Vec<&str> = forms.iter().copied().collect();
        say("times", format!("{field}: {}", forms.join(", ")));
    }
    if report.records > 0 {
        say("order", order(report.order));
        say("window", window(report.bounds));
        say("cursor", cursors(report.cursors).into());
    }
    say("page limit", page_limit(&report.page_limit));
    say("page size", page_size(report));
    say("listing", listing_limit(&report.listing_limit));
    say("range", range_limit(&report.range_limit));
    say("dead cursor", dead_cursor(&report.dead_cursor));
    if report.future_records > 0 {
        say(
            "future",
            format!(
                "{} records in a window that lies ahead: the API may not look at it",
                report.future_records
            ),
        );
    }
    if let Some(refusal) = report.refusal {
        say("refusal", refused(refusal));
    }
    if !report.new_fields.is_empty() {
        let fields: Vec<&str> = report.new_fields.iter().map(String::as_str).collect();
        say(
            "new fields",
            format!("{} (kept in the column `extra`)", fields.join(", ")),
        );
    }
    if report.records > 0 && !report.absent_fields.is_empty() {
        let fields: Vec<&str> = report.absent_fields.iter().copied().collect();
        say("absent", format!("{}: no record seen has it", fields.join(", ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn clock(ahead: f64) -> String {
    let apart = SignedDuration::try_from_secs_f64(ahead.abs().round()).unwrap_or_default();
    match ahead {
        ahead if ahead.abs() < 1.5 => "the server's agrees with this machine's".into(),
        ahead if ahead > 0.0 => format!("the server's is {apart:#} ahead of this machine's"),
        _ => format!("the server's is {apart:#} behind this machine's"),
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
        None => "none that was recognised".into(),
        Some(Order { field: by, direction }) => {
            let first = if direction == Direction::Ascending {
                "earliest"
            } else {
                "latest"
            };
            format!("by {}, the {first} first", field(by))
        }
    }
}

fn window(bounds: Bounds) -> String {
    let Some(by) = bounds.filter else {
        return "which time it filters could not be told from these records".into();
    };
    let end = |included: Option<bool>| match included {
        Some(true) => "is included",
        Some(false) => "is not",
        None => "is not known",
    };
    format!(
        "filters {}; its start {}, its end {}",
        field(by),
        end(bounds.includes_start),
        end(bounds.includes_end)
    )
}

fn cursors(cursors: Cursors) -> &'static str {
    match cursors {
        Cursors::NotNeeded => "not needed: the range holds no more than a page",
        Cursors::Changes { repeatable: true } => {
            "another one for each page; asked twice it gives the same page"
        }
        Cursors::Changes { repeatable: false } => {
            "another one for each page; asked twice it gave another page: the archive is changing, or pages move"
        }
        Cursors::Once => "good for one request: a lost answer makes its window start again",
        Cursors::Stays => {
            "the same throughout: the server moves it, so a lost answer makes its window start again"
        }
    }
}

fn page_limit(limit: &PageLimit) -> String {
    match limit {
        PageLimit::Refused { status, told } => {
            format!("1001 records a page are refused (status {status}: {told})")
        }
        PageLimit::Gives { records } => format!("asked for 1001 records, it gives {records}"),
        PageLimit::Unclear { why } => format!("not known: {why}"),
    }
}

fn page_size(report: &Report) -> String {
    match report.limits.largest_page {
        Some(records) => format!(
            "larger pages than {} fail: an export requests pages of this size",
            output::records(records.into())
        ),
        None => format!(
            "no limit met: a page of {} is served",
            output::records(report.records as u64)
        ),
    }
}

fn listing_limit(limit: &ListingLimit) -> String {
    match limit {
        ListingLimit::NotMet { listed } => {
            format!(
                "no limit met: one listing has {}",
                output::records(*listed as u64)
            )
        }
        ListingLimit::EndsAt { records } => format!(
            "ends after {}, and the range has more: an export requests smaller windows",
            output::records(*records as u64)
        ),
        ListingLimit::Unclear { why } => format!("not known: {why}"),
    }
}

fn range_limit(limit: &RangeLimit) -> String {
    let limited = |how: &str, longest: Option<i64>| match longest {
        Some(seconds) => format!(
            "longer ranges than {} are {how}: an export requests shorter windows",
            output::span(seconds)
        ),
        None => format!("long ranges are {how}: an export finds out how long they may be"),
    };
    match limit {
        RangeLimit::NotMet { served_seconds } => {
            format!(
                "no limit met: a range of {} is served",
                output::span(*served_seconds)
            )
        }
        RangeLimit::Refused { longest_seconds } => limited("refused", *longest_seconds),
        RangeLimit::Shortened { longest_seconds } => limited("shortened", *longest_seconds),
        RangeLimit::Unclear { why } => format!("not known: {why}"),
    }
}

fn dead_cursor(cursor: &DeadCursor) -> String {
    match cursor {
        DeadCursor::Refused { status, told } => format!("status {status}: {told}"),
        DeadCursor::Answered { records } => format!("answered as if it were none, with {records} records"),
        DeadCursor::Unclear { why } => format!("not known: {why}"),
    }
}

fn refused(refusal: Refusal) -> String {
    let Refusal {
        asked,
        refused,
        retry_after_seconds,
    } = refusal;
    match (refused, retry_after_seconds) {
        (0, _) => format!("none of {asked} requests at once was refused"),
        (_, Some(seconds)) => format!("{refused} of {asked} requests at once, told to wait {seconds} s"),
        (_, None) => format!("{refused} of {asked} requests at once, not told how long to wait"),
    }
}
