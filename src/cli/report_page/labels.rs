//! Formats numbers, days and untrusted text for the page.

use jiff::civil::Date;

use crate::display::{self, grouped};
use crate::report::{Bin, Unit};

/// Characters of a text from a record that are shown.
const SHOWN: usize = 64;

/// A number for an axis: `9,500`, `12k`, `1.5M`.
pub(super) fn compact(number: u64) -> String {
    let in_units = |unit: u64, name: char| {
        let tenths = number / (unit / 10);
        match tenths % 10 {
            0 => format!("{}{name}", tenths / 10),
            rest => format!("{}.{rest}{name}", tenths / 10),
        }
    };
    match number {
        0..10_000 => grouped(number),
        10_000..1_000_000 => in_units(1_000, 'k'),
        1_000_000..1_000_000_000 => in_units(1_000_000, 'M'),
        _ => in_units(1_000_000_000, 'G'),
    }
}

/// A part in percents with one digit behind the point; only a full share shows as 100.
pub(super) fn percent(share: f64) -> String {
    match format!("{:.1}", share * 100.0).as_str() {
        "100.0" if share < 1.0 => ">99.9%".into(),
        "0.0" if share > 0.0 => "<0.1%".into(),
        "100.0" => "100%".into(),
        "0.0" => "0%".into(),
        rounded => format!("{rounded}%"),
    }
}

/// A part of a whole in percents; a dash where there is no whole.
pub(super) fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "–".into(),
        _ => percent(part as f64 / whole as f64),
    }
}

/// `1 session`, `2 sessions`.
pub(super) fn counted(number: u64, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {what}{ending}", grouped(number))
}

/// `4 Oct 2023`.
pub(super) fn day(date: Date) -> String {
    date.strftime("%-d %b %Y").to_string()
}

/// The days of a bin: `Wed 4 Oct 2023`, `2 – 8 Oct 2023`, `October 2023`.
pub(super) fn days(bin: &Bin, unit: Unit) -> String {
    match unit {
        Unit::Day => bin.first.strftime("%a %-d %b %Y").to_string(),
        Unit::Week => format!("{} – {}", day(bin.first), day(bin.last)),
        Unit::Month => bin.first.strftime("%B %Y").to_string(),
        Unit::Quarter => format!("{} {}", quarter(bin.first), bin.first.year()),
        Unit::Year => bin.first.year().to_string(),
        Unit::Century => format!("{} – {}", bin.first.year(), bin.last.year()),
    }
}

/// The two lines below a bin in a chart: what changes with each, and the year.
pub(super) fn label(bin: &Bin, unit: Unit) -> (String, String) {
    let year = bin.first.year().to_string();
    match unit {
        Unit::Day | Unit::Week => (bin.first.strftime("%-d %b").to_string(), year),
        Unit::Month => (bin.first.strftime("%b").to_string(), year),
        Unit::Quarter => (quarter(bin.first).into(), year),
        Unit::Year | Unit::Century => (year, String::new()),
    }
}

fn quarter(date: Date) -> &'static str {
    ["Q1", "Q2", "Q3", "Q4"][usize::from((date.month().unsigned_abs() - 1) / 3).min(3)]
}

/// Text that came with a record: one line, not too long, and no power over what stands beside it.
pub(super) fn shown(text: &str) -> String {
    let plain = |c: char| {
        if display::affects_neighbours(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut line: String = text.chars().take(SHOWN).map(plain).collect();
    if text.chars().nth(SHOWN).is_some() {
        line.push('…');
    }
    match line.trim() {
        "" => format!("“{line}”"),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read() {
        let texts = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
        let texts = [0, 9_500, 12_000, 12_500, 1_000_000, 2_000_000_000].map(compact);
        assert_eq!(texts, ["0", "9,500", "12k", "12.5k", "1M", "2G"]);
        let texts = [0.0, 0.0001, 0.5, 0.99999, 1.0].map(percent);
        assert_eq!(texts, ["0%", "<0.1%", "50.0%", ">99.9%", "100%"]);
        assert_eq!((share(1, 4).as_str(), share(0, 0).as_str()), ("25.0%", "–"));
        assert_eq!([counted(1, "day"), counted(2, "day")], ["1 day", "2 days"]);
    }

    #[test]
    fn text_from_records_stays_a_harmless_line() {
        assert_eq!(shown("web"), "web");
        assert_eq!(shown(""), "“”");
        assert_eq!(shown("a\n\u{202e}b\u{0}"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(shown(&"x".repeat(1_000)).chars().count(), SHOWN + 1);
    }
}
