//! The page's tables.

use maud::{Markup, html};

use super::chart;
use super::labels::{counted, day, days, percent, share, shown};
use crate::display::grouped;
use crate::report::{Bins, Ranking, Report};
use crate::status::{DatasetStatus, TimeRange};
use crate::table::Zone;

/// Gaps of one bot that are told one by one, and those that are drawn, the longest.
const GAPS: usize = 8;
const DRAWN: usize = 100;
/// Bots that have a row, and those whose ranges are drawn; a page has to stay one.
const ROWS: usize = 100;
const STRIPS: usize = 12;

/// The most frequent values with their part of `whole`.
pub(super) fn ranking(ranking: &Ranking, whole: u64, what: &str) -> Markup {
    let most = ranking.values.first().map_or(1, |(_, count)| *count).max(1);
    html! {
        @if ranking.values.is_empty() {
            p.note { "Nothing was noted." }
        } @else {
            table {
                tr { th { "" } th {} th.n { (what) } th.n { "share" } }
                @for (value, count) in &ranking.values {
                    tr {
                        td.t { (shown(value)) }
                        td.bar { (chart::share(*count as f64 / most as f64)) }
                        td.n { (grouped(*count)) }
                        td.n { (share(*count, whole)) }
                    }
                }
                @for (name, count) in [("all others", ranking.others), ("not noted", ranking.missing)] {
                    @if count > 0 {
                        tr.rest { td { (name) } td {} td.n { (grouped(count)) } td.n { (share(count, whole)) } }
                    }
                }
            }
        }
    }
}

/// The numbers behind the charts.
pub(super) fn over_time(bins: &Bins) -> Markup {
    html! {
        table {
            tr {
                th { (bins.unit.name()) }
                @for name in ["sessions", "self service", "confirmed resolutions", "informed", "agent handovers", "messages"] {
                    th.n { (name) }
                }
            }
            @for bin in &bins.bins {
                tr {
                    td.d { (days(bin, bins.unit)) }
                    td.n { (grouped(bin.count.sessions)) }
                    td.n { (share(bin.count.self_served(), bin.count.sessions)) }
                    td.n { (grouped(bin.count.resolved)) }
                    td.n { (grouped(bin.count.informed)) }
                    td.n { (grouped(bin.count.handovers)) }
                    td.n { (grouped(bin.count.messages)) }
                }
            }
        }
    }
}

/// The most frequent keys of metadata.
pub(super) fn keys(report: &Report) -> Markup {
    if report.keys.keys.is_empty() {
        return html! {};
    }
    let date = |date: Option<jiff::civil::Date>| date.map_or_else(|| "–".into(), day);
    html! {
        section {
            h2 { "Metadata keys" }
            p.note {
                "The most frequent keys of the sessions' metadata, what their values look like, and the days of the first and the last "
                "session that has them."
            }
            div.scroll {
                table {
                    tr { th { "key" } th { "looks like" } th { "first" } th { "last" } th {} th.n { "sessions" } th.n { "share" } }
                    @for key in &report.keys.keys {
                        tr {
                            td.t { (shown(&key.key)) }
                            td { (key.types.keys().map(|look| look.name()).collect::<Vec<_>>().join(", ")) }
                            td.d { (date(key.first)) }
                            td.d { (date(key.last)) }
                            td.bar { (chart::share(key.share)) }
                            td.n { (grouped(key.rows)) }
                            td.n { (percent(key.share)) }
                        }
                    }
                }
            }
            @if report.keys.others > 0 {
                p.note { "Less frequent keys have " (counted(report.keys.others, "value")) " more: "
                    code { "converse-export keys" } " shows all of them." }
            }
        }
    }
}

/// How complete the export is.
pub(super) fn completeness(report: &Report, zone: &Zone) -> Markup {
    let answered = || {
        let bots = report.completeness.iter();
        bots.flat_map(|(dataset, bots)| bots.iter().map(move |(bot, state)| (dataset, bot, state)))
    };
    let ranges = answered().flat_map(|(.., state)| &state.complete);
    let begin = ranges.clone().map(|range| range.start).min();
    let end = ranges.map(|range| range.end).max();
    html! {
        section {
            h2 { "How complete the export is" }
            p.note {
                "By the exporter's own ledger, whatever the range above: a range is complete when the API itself said that "
                "there is no more of it. " span.key.main {} "complete" span.key.gap {} "gap"
            }
            div.scroll {
                table {
                    tr {
                        th { "dataset" } th { "bot" } th.n { "days covered" } th.n { "gaps" } th.n { (report.partition_by) "s with rows" }
                        th.n { "rows" } th.n { "rejected" } th { "last run" }
                    }
                    @for (dataset, bot, state) in answered().take(ROWS) {
                        tr {
                            td { (dataset) }
                            td.t { (shown(bot)) }
                            td.n { (covered(state)) }
                            td.n.bad[!state.holes.is_empty()] { (grouped(state.holes.len() as u64)) }
                            td.n { (grouped(state.periods.count())) }
                            td.n { (grouped(state.rows)) }
                            td.n.bad[state.rejected > 0] { (grouped(state.rejected)) }
                            td.d { (last_run(state, zone)) }
                        }
                    }
                }
            }
            @if answered().count() > ROWS {
                p.note { "and " (answered().count() - ROWS) " more, which " code { "converse-export status" } " shows." }
            }
            @if let (Some(begin), Some(end)) = (begin, end) {
                @let whole = (begin.as_second(), end.as_second());
                @for (dataset, bot, state) in answered().take(STRIPS) {
                    div.keep {
                        h3 style="margin-top:16px" { (dataset) " of " (shown(bot)) }
                        (chart::coverage(
                            &format!("Complete ranges of {dataset}"),
                            hull(&state.complete).map(|hull| piece(&hull, whole, zone, "complete")).as_slice(),
                            &gaps(&state.holes).map(|gap| piece(gap, whole, zone, "gap")).collect::<Vec<_>>(),
                        ))
                        div.ends { span { (told(begin, zone)) } span { (told(end, zone)) } }
                        (notes(state, zone))
                    }
                }
            }
        }
    }
}

/// What a reader has to know of gaps and rejected records.
fn notes(state: &DatasetStatus, zone: &Zone) -> Markup {
    let reasons = state.rejected_reasons.iter();
    let reasons: Vec<String> = reasons
        .map(|(reason, count)| format!("{} {reason}", grouped(*count)))
        .collect();
    html! {
        @for hole in state.holes.iter().take(GAPS) {
            p.note.bad { "Gap: " (told(hole.start, zone)) " until " (told(hole.end, zone)) }
        }
        @if state.holes.len() > GAPS {
            p.note.bad { "and " (counted((state.holes.len() - GAPS) as u64, "more gap")) }
        }
        @if !reasons.is_empty() {
            p.note { "Rejected: " (shown(&reasons.join(", "))) "; kept in " code { "_export/rejected/" } "." }
        }
        @for line in state.drift.describe() {
            p.note { "Drift: " (shown(&line)) }
        }
        @if state.pages_waiting > 0 {
            p.note.bad { (counted(state.pages_waiting, "page")) " wait to become part of the table: run the export again." }
        }
    }
}

fn covered(state: &DatasetStatus) -> String {
    let seconds: i64 = state
        .complete
        .iter()
        .map(|range| range.end.as_second() - range.start.as_second())
        .sum();
    let days = seconds as f64 / 86_400.0;
    if seconds % 86_400 == 0 {
        grouped((seconds / 86_400).unsigned_abs())
    } else {
        format!("{days:.1}")
    }
}

fn last_run(state: &DatasetStatus, zone: &Zone) -> String {
    match &state.last_run {
        Some(run) if run.complete => told(run.ended, zone),
        Some(run) => format!("{}, incomplete", told(run.ended, zone)),
        None => "–".into(),
    }
}

/// A moment in the zone, to the minute; a day alone where it is midnight.
fn told(at: jiff::Timestamp, zone: &Zone) -> String {
    match (zone.date_at_midnight(at), zone.local(at.as_microsecond())) {
        (Some(date), _) => day(date),
        (None, Some(local)) => local.strftime("%-d %b %Y %H:%M").to_string(),
        (None, None) => at.to_string(),
    }
}

/// From the first of some ranges to the last.
fn hull(ranges: &[TimeRange]) -> Option<TimeRange> {
    let (start, end) = (ranges.first()?.start, ranges.last()?.end);
    Some(TimeRange { start, end })
}

/// The longest gaps.
fn gaps(holes: &[TimeRange]) -> impl Iterator<Item = &TimeRange> {
    let mut holes: Vec<&TimeRange> = holes.iter().collect();
    holes.sort_by_key(|hole| std::cmp::Reverse(hole.end.as_second() - hole.start.as_second()));
    holes.into_iter().take(DRAWN)
}

/// Where a range lies within the whole, as a part of it.
fn piece(range: &TimeRange, (begin, end): (i64, i64), zone: &Zone, what: &str) -> (f64, f64, String) {
    let part = |at: jiff::Timestamp| (at.as_second() - begin) as f64 / (end - begin).max(1) as f64;
    let told = format!(
        "{what}: {} until {}",
        told(range.start, zone),
        told(range.end, zone)
    );
    (part(range.start), part(range.end), told)
}

/// How each number is computed.
pub(super) fn definitions(report: &Report) -> Markup {
    let one_of = |tags: &[String]| {
        html! {
            @for (nth, tag) in tags.iter().enumerate() {
                @if nth > 0 { " or " }
                code { (shown(tag)) }
            }
        }
    };
    let meaning = &report.tags_meaning;
    html! {
        section {
            h2 { "How the numbers are computed" }
            dl.definitions {
                dt { "Sessions" }
                dd { "Conversations: the table's rows, each id once a day. Their day and hour are those of " code { "start_time" } " in " (report.timezone) "." }
                dt { "Agent handovers" }
                dd { "Sessions that have the tag " (one_of(&meaning.handover)) "." }
                dt { "Self service rate" }
                dd { "Sessions without an agent handover, divided by all sessions of the same time." }
                dt { "Confirmed resolutions" }
                dd { "Sessions that have the tag " (one_of(&meaning.resolved)) "." }
                dt { "Informed" }
                dd { "Sessions that have the tag " (one_of(&meaning.informed)) ". One session can be both resolved and informed." }
                dt { "Messages" }
                dd { "Rows of the dataset messages, by the message's own time. A session's messages may lie on the day after its start." }
                dt { "Device, browser" }
                dd { "What the system made of the user agent. Sessions where it noted none are told as such." }
                dt { "Metadata keys" }
                dd { "The table keeps values as text, so a number and a text of digits look alike." }
                dt { "Rejected" }
                dd { "Records that could not become rows. They are in none of the other numbers." }
            }
            p.note style="margin-top:14px" {
                "The vendor's dashboard may draw the line elsewhere; which tags mean what can be told with "
                code { "--handover-tag" } ", " code { "--resolved-tag" } " and " code { "--informed-tag" } "."
            }
        }
    }
}
