//! The report as one page of HTML that needs nothing but itself: no script, no network. Whatever came with a record is
//! text here, by construction: maud escapes what it is given.

mod chart;
mod hours;
mod labels;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::display::grouped;
use crate::error::{Error, Result};
use crate::report::{Bin, Bins, Count, Dimension, Report};
use crate::table::Zone;
use chart::{Part, Size};
use labels::{counted, day, days, share, shown};

const STYLE: &str = include_str!("report_page/style.css");
/// A browser that keeps to this loads nothing and runs nothing, whatever a page holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const WIDE: Size = Size {
    width: 960.0,
    height: 260.0,
};
const HALF: Size = Size {
    width: 468.0,
    height: 180.0,
};

/// The page.
///
/// # Errors
/// Where the table's zone is not known.
pub(super) fn html(report: &Report) -> Result<String> {
    let zone = Zone::named(&report.timezone).map_err(|error| Error::Internal(error.to_string()))?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title(report)) " · conversations" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(report, &zone))
                    (figures(report))
                    @match &report.over_time {
                        Some(bins) => (over_time(report, bins)),
                        None => section { p.note { "No conversation and no message has a time in this range." } }
                    }
                    (hours::when(report))
                    (breakdowns(report))
                    (tables::keys(report))
                    (tables::completeness(report, &zone))
                    (tables::definitions(report))
                    footer {
                        "Made by converse-export " (env!("CARGO_PKG_VERSION")) " from a table of "
                        (shown(&report.base_url)) ". This page loads nothing and runs no script."
                    }
                }
            }
        }
    };
    Ok(page.into_string())
}

fn title(report: &Report) -> String {
    const NAMED: usize = 3;
    let named: Vec<String> = report.bots.iter().take(NAMED).map(|bot| shown(bot)).collect();
    match report.bots.len() {
        0 => shown(&report.table),
        1..=NAMED => named.join(", "),
        all => format!(
            "{} and {} more bots",
            named[..NAMED - 1].join(", "),
            all - NAMED + 1
        ),
    }
}

fn head(report: &Report, zone: &Zone) -> Markup {
    let moment = |at: jiff::Timestamp| match zone.date_at_midnight(at) {
        Some(date) => day(date),
        None => zone
            .local(at.as_microsecond())
            .map_or_else(|| at.to_string(), |at| at.strftime("%-d %b %Y %H:%M").to_string()),
    };
    html! {
        header {
            p.eyebrow { "Conversations of the table " (shown(&report.table)) }
            h1 { (title(report)) }
            p.lead {
                @if let Some(bins) = &report.over_time {
                    (day(bins.first)) " – " (day(bins.last)) ", days of " (report.timezone)
                } @else {
                    "Days of " (report.timezone)
                }
                @if report.start.is_some() || report.end.is_some() {
                    ", asked for: "
                    @if let Some(start) = report.start { "from " (moment(start)) " " }
                    @if let Some(end) = report.end { "until " (moment(end)) ", exclusive" }
                }
                ". Made " (moment(report.made)) "."
            }
        }
    }
}

fn figures(report: &Report) -> Markup {
    let total = &report.total;
    let sessions = total.sessions;
    let per = |count: u64| format!("{} of sessions", share(count, sessions));
    let messages = match (sessions, total.messages) {
        (0, _) | (_, 0) => String::new(),
        _ => format!("{:.1} a session", total.messages as f64 / sessions as f64),
    };
    html! {
        dl.figures {
            @for (name, value, below) in [
                ("Sessions", grouped(sessions), String::new()),
                ("Self service rate", share(total.self_served(), sessions), counted(total.self_served(), "session")),
                ("Confirmed resolutions", grouped(total.resolved), per(total.resolved)),
                ("Informed", grouped(total.informed), per(total.informed)),
                ("Agent handovers", grouped(total.handovers), per(total.handovers)),
                ("Messages", grouped(total.messages), messages),
            ] {
                div { dt { (name) } dd { (value) small { (below) } } }
            }
        }
    }
}

fn over_time(report: &Report, bins: &Bins) -> Markup {
    let unit = bins.unit.name();
    let of = |bin: &Bin, what: String| format!("{}: {what}", days(bin, bins.unit));
    let sessions = |bin: &Bin| {
        let Count { handovers, .. } = bin.count;
        let rate = share(bin.count.self_served(), bin.count.sessions);
        let told = counted(bin.count.sessions, "session");
        of(
            bin,
            format!(
                "{told}, {} with an agent, self service {rate}",
                grouped(handovers)
            ),
        )
    };
    let served = Part {
        class: "main",
        of: Count::self_served,
    };
    let handed = Part {
        class: "warm",
        of: |count| count.handovers,
    };
    let small = |title: &str, chart: Markup| html! { div.keep { h3 { (title) } (chart) } };
    let each = |title: &str, what: &str, part: Part| {
        let told = |bin: &Bin| {
            let count = (part.of)(&bin.count);
            of(
                bin,
                format!(
                    "{}, {} of sessions",
                    counted(count, what),
                    share(count, bin.count.sessions)
                ),
            )
        };
        small(
            title,
            chart::bars(HALF, &format!("{title} by {unit}"), bins, &[part], told),
        )
    };
    let rate = |bin: &Bin| {
        of(
            bin,
            format!(
                "self service {}",
                share(bin.count.self_served(), bin.count.sessions)
            ),
        )
    };
    html! {
        section.keep {
            h2 { "Sessions by " (unit) }
            p.note {
                span.key.main {} "self service" span.key.warm {} "agent handover"
            }
            div.scroll { (chart::bars(WIDE, &format!("Sessions by {unit}"), bins, &[served, handed], sessions)) }
            @if bins.far != Count::default() {
                p.note { (counted(bins.far.sessions, "session")) " and " (counted(bins.far.messages, "message"))
                    " lie more than a year from the rest, and are counted but not drawn." }
            }
            @if report.undated != Count::default() {
                p.note { (counted(report.undated.sessions, "session")) " and " (counted(report.undated.messages, "message"))
                    " have no time that could be read: they are counted above, and in no " (unit) "." }
            }
            details {
                summary { "The numbers of each " (unit) }
                div.scroll { (tables::over_time(bins)) }
            }
        }
        section {
            div.two {
                (small("Self service rate", chart::line(
                    HALF, &format!("Self service rate by {unit}"), bins, Count::self_service_rate, rate)))
                (each("Agent handovers", "handover", Part { class: "warm", of: |count| count.handovers }))
                (each("Confirmed resolutions", "resolution", Part { class: "main", of: |count| count.resolved }))
                (each("Informed", "informed session", Part { class: "main", of: |count| count.informed }))
            }
        }
    }
}

fn breakdowns(report: &Report) -> Markup {
    let named = [
        (Dimension::Locale, "Locale", "locale"),
        (Dimension::Channel, "Channel", "metadata.__sys_channel"),
        (
            Dimension::Device,
            "Device",
            "metadata.__sys_userAgentParsed.device.family",
        ),
        (
            Dimension::Browser,
            "Browser",
            "metadata.__sys_userAgentParsed.user_agent.family",
        ),
    ];
    html! {
        section {
            h2 { "Who came, and how" }
            p.note { "Sessions by what the system noted of them." }
            div.two {
                @for (dimension, name, from) in named {
                    div.keep {
                        h3 { (name) }
                        p.note { code { (from) } }
                        @if let Some(ranking) = report.by.get(&dimension) {
                            (tables::ranking(ranking, report.total.sessions, "sessions"))
                        }
                    }
                }
                div.keep {
                    h3 { "Tags" }
                    p.note { "A session may have several." }
                    (tables::ranking(&report.tags, report.total.sessions, "sessions"))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
