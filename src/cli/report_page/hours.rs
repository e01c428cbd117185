//! The busiest hours of the week, and messages over time.

use maud::{Markup, html};

use super::HALF;
use super::chart::{self, Part};
use super::labels::{counted, days};
use super::tables;
use crate::display::grouped;
use crate::report::Bin;
use crate::report::Report;

/// The busiest hours, and messages.
pub(super) fn when(report: &Report) -> Markup {
    html! {
        section.keep {
            h2 { "Busiest hours" }
            p.note { (busiest(report)) }
            @if report.hours.iter().flatten().any(|count| *count > 0) { div.scroll { (chart::week(&report.hours)) } }
        }
        @if let Some(bins) = report.over_time.as_ref().filter(|_| report.total.messages > 0) {
            @let told = |bin: &Bin| format!("{}: {}", days(bin, bins.unit), counted(bin.count.messages, "message"));
            @let messages = [Part { class: "main", of: |count| count.messages }];
            section {
                div.two {
                    div.keep {
                        h2 { "Messages by " (bins.unit.name()) }
                        p.note { "By the message's own time." }
                        (chart::bars(HALF, "Messages over time", bins, &messages, told))
                    }
                    div.keep {
                        h2 { "Types of messages" }
                        p.note { "The field " code { "type" } "." }
                        (tables::ranking(&report.message_types, report.total.messages, "messages"))
                    }
                }
            }
        }
    }
}

fn busiest(report: &Report) -> String {
    const DAYS: [&str; 7] = [
        "Mondays",
        "Tuesdays",
        "Wednesdays",
        "Thursdays",
        "Fridays",
        "Saturdays",
        "Sundays",
    ];
    let hours = report.hours.iter().enumerate();
    let hours = hours.flat_map(|(day, hours)| {
        hours
            .iter()
            .enumerate()
            .map(move |(hour, count)| (*count, day, hour))
    });
    // of two hours that are as busy, the first
    let most = hours.max_by_key(|(count, day, hour)| (*count, std::cmp::Reverse((*day, *hour))));
    match most {
        Some((count @ 1.., day, hour)) => format!(
            "Starts of conversations by hour of the week, in {}. Most begin on {} between {hour:02}:00 and {:02}:00: {}.",
            report.timezone,
            DAYS[day % 7],
            hour + 1,
            grouped(count)
        ),
        _ => "No conversation has a time.".into(),
    }
}
