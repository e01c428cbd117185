//! `converse-export plan` and `export --dry-run`: show what an export would do.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use jiff::{SignedDuration, SpanRound, Unit};

use super::args::OutputArgs;
use super::export::{self, ExportArgs};
use super::output;
use super::text_table::align_right;
use crate::display;
use crate::error::Result;
use crate::export::{Basis, Forecast, Options, forecast};
use crate::window::Windows;

pub(super) const EXAMPLES: &str = "\
Examples:
  # how long will a year take?
  converse-export plan --bot r3-218210 --start 2023-01-01 --end 2024-01-01 --out ./lake

  # the same with a flag of export
  converse-export export --dry-run --bot r3-218210 --start 2023-01-01 --end 2024-01-01 --out ./lake";

pub(super) async fn run(args: &ExportArgs, output: &OutputArgs) -> Result<u8> {
    let options = export::options(args)?;
    let (forecast, failures) = forecast(&options).await?;
    if output.json {
        output::json(&forecast)?;
    } else {
        output::text(&text(&forecast, &options))?;
    }
    output::failures(&failures);
    Ok(export::code(&failures, 0))
}

fn text(forecast: &Forecast, options: &Options) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "dataset", "bot", "complete", "missing", "records", "requests", "windows", "files", "size",
    ]);
    align_right(&mut table, 4..9);
    for job in &forecast.jobs {
        let about = |number: u64| match job.basis {
            Basis::Nothing => "0".to_owned(),
            _ => format!("~{}", display::grouped(number)),
        };
        table.add_row([
            job.dataset.name().to_owned(),
            job.bot.clone(),
            length(&job.complete),
            length(&job.missing),
            about(job.records),
            about(job.requests),
            job.windows.to_string(),
            about(job.files),
            format!(
                "{}{}",
                if job.bytes > 0 { "~" } else { "" },
                output::bytes(job.bytes)
            ),
        ]);
    }
    let sum = |what: fn(&crate::export::JobForecast) -> u64| forecast.jobs.iter().map(what).sum::<u64>();
    let (requests, probes, spooled) = (
        sum(|job| job.requests),
        sum(|job| job.probes),
        sum(|job| job.retained_pages),
    );
    let mut lines = vec![table.trim_fmt()];
    lines.push(String::new());
    lines.push(match forecast.seconds {
        _ if requests == 0 => {
            "everything is in the table already: an export would make no request".to_owned()
        }
        Some(seconds) => format!(
            "about {} at {} requests per second on each endpoint",
            duration(seconds),
            options.requests_per_second
        ),
        None => "no estimate of the time: no request limit is set".to_owned(),
    });
    if spooled > 0 {
        lines.push(format!("{spooled} pages of an interrupted run are reused"));
    }
    lines.push(match probes {
        0 => "no request was made, nothing was written".to_owned(),
        _ => format!("estimated from {probes} sample requests; nothing was written"),
    });
    lines.join("\n")
}

/// Formats the total length of windows.
fn length(windows: &Windows) -> String {
    match windows.seconds() {
        0 => "–".to_owned(),
        seconds if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        seconds => span(SignedDuration::from_secs(seconds)),
    }
}

fn duration(seconds: f64) -> String {
    SignedDuration::try_from_secs_f64(seconds.ceil()).map_or_else(|_| "very long".to_owned(), span)
}

/// Formats a length of time in its two largest units, days to seconds.
fn span(length: SignedDuration) -> String {
    let smallest = match length.as_secs() {
        ..3600 => Unit::Second,
        3600..86_400 => Unit::Minute,
        _ => Unit::Hour,
    };
    let rounded = jiff::Span::try_from(length).and_then(|span| {
        span.round(
            SpanRound::new()
                .largest(Unit::Day)
                .smallest(smallest)
                .days_are_24_hours(),
        )
    });
    rounded.map_or_else(|_| format!("{length:#}"), |span| format!("{span:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units() {
        assert_eq!(duration(62.4), "1m 3s");
        assert_eq!(duration(3600.0 * 30.0), "1d 6h");
        assert_eq!(duration(0.2), "1s");
        let windows = |seconds| std::iter::once(crate::window::Window::new(0, seconds)).collect();
        assert_eq!(length(&windows(5 * 86_400)), "5d");
        assert_eq!(length(&windows(5 * 86_400 + 7200)), "5d 2h");
        assert_eq!(length(&Windows::new()), "–");
    }
}
