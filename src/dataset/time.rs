//! Parses times in all supported formats.

use std::ops::RangeInclusive;

use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::decimal::Decimal;
use super::json::Value;

/// Years 1 to 9999 in microseconds since 1970: readers such as pandas fail on others.
const YEARS: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Parses a JSON value as a time, in microseconds since 1970, rounded down; `None` outside the years 1 to 9999.
///
/// A number, also as a string, is in seconds below 10^11, in milliseconds below 10^14, and in microseconds below
/// 10^17. Other strings are ISO 8601, in UTC if they have neither an offset nor a time zone.
pub(super) fn parse_time(value: Value<'_>) -> Option<i64> {
    let micros = match value {
        Value::Number(number) => match whole(number) {
            Some(number) => unix_micros(number),
            None => Decimal::parse(number)?.unix_micros(),
        },
        Value::Text(text) => parse_text(&text.text()),
        _ => None,
    };
    micros.filter(|micros| YEARS.contains(micros))
}

/// Parses a number of at most 18 digits without sign, point and exponent, like most times.
#[inline]
fn whole(number: &str) -> Option<i64> {
    let digit = |number: i64, byte: u8| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i64::from(byte - b'0'))
    };
    (number.len() <= 18)
        .then(|| number.bytes().try_fold(0, digit))
        .flatten()
}

/// Converts an integer to a time; `None` if it is too large.
fn unix_micros(number: i64) -> Option<i64> {
    match number {
        ..100_000_000_000 => Some(number * 1_000_000),
        100_000_000_000..100_000_000_000_000 => Some(number * 1_000),
        100_000_000_000_000..100_000_000_000_000_000 => Some(number),
        _ => None,
    }
}

/// Parses a string as [`parse_time`].
pub(super) fn parse_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let micros = match Decimal::parse(text) {
        Some(number) => number.unix_micros(),
        None => iso_micros(text),
    };
    micros.filter(|micros| YEARS.contains(micros))
}

fn iso_micros(text: &str) -> Option<i64> {
    let pieces = Pieces::parse(text).ok()?;
    let local = pieces
        .date()
        .to_datetime(pieces.time().unwrap_or(Time::midnight()));
    // The offset was valid when the text was written; the rules of the time zone may have changed since.
    let offset = match pieces.to_numeric_offset() {
        Some(offset) => offset,
        None => match pieces.to_time_zone().ok()? {
            Some(zone) => offset_in(&zone, local),
            None => Offset::UTC,
        },
    };
    // computed here, since jiff's timestamps end a day before the year 9999 does
    let since = local.duration_since(EPOCH).as_nanos().div_euclid(1000);
    i64::try_from(since - i128::from(offset.seconds()) * 1_000_000).ok()
}

/// Returns the offset of a local time. In a gap it is the offset before it; in an overlap it is the first one.
fn offset_in(zone: &TimeZone, local: DateTime) -> Offset {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::json::Walk;

    fn value(text: &str) -> Value<'_> {
        Walk::new(text).value()
    }

    const SECOND: i64 = 1_000_000;

    fn number(text: &str) -> Option<i64> {
        let found = parse_time(value(text));
        assert_eq!(
            parse_time(value(&format!("\" {text}\\t\""))),
            found,
            "{text} as text"
        );
        found
    }

    fn text(text: &str) -> Option<i64> {
        parse_time(value(&format!("\"{text}\"")))
    }

    #[test]
    fn magnitude_tells_the_unit() {
        assert_eq!(number("1744750665"), Some(1_744_750_665 * SECOND));
        assert_eq!(number("1744750665123"), Some(1_744_750_665_123_000));
        assert_eq!(number("1744750665123456"), Some(1_744_750_665_123_456));
        assert_eq!(number("99999999999"), Some(99_999_999_999 * SECOND));
        assert_eq!(number("100000000000"), Some(100_000_000 * SECOND));
        assert_eq!(number("99999999999999"), Some(99_999_999_999_999_000));
        assert_eq!(number("100000000000000"), Some(100_000_000 * SECOND));
        assert_eq!(number("99999999999999999"), Some(99_999_999_999_999_999));
        assert_eq!(number("100000000000000000"), None);
        assert_eq!(number("-100000000000"), Some(-100_000_000 * SECOND));
        assert_eq!(number("-1e17"), None);
    }

    #[test]
    fn fractions_are_exact_and_rounded_down() {
        assert_eq!(number("1744750665.1234569"), Some(1_744_750_665_123_456));
        assert_eq!(number("99999999999.9999999999999"), Some(99_999_999_999_999_999));
        assert_eq!(number("1744750665123.4567"), Some(1_744_750_665_123_456));
        assert_eq!(number("0.0000001"), Some(0));
        assert_eq!(number("-0.0000001"), Some(-1));
        assert_eq!(number("-1.5"), Some(-1_500_000));
        assert_eq!(number("-1.0000005"), Some(-1_000_001));
        assert_eq!(number("-1.0000000"), Some(-SECOND));
    }

    #[test]
    fn powers_of_ten_move_the_point() {
        assert_eq!(number("1.75e9"), Some(1_750_000_000 * SECOND));
        assert_eq!(number("1.75E+12"), Some(1_750_000_000 * SECOND));
        assert_eq!(number("17500000000000e-4"), Some(1_750_000_000 * SECOND));
        assert_eq!(number("0.00000000175e18"), Some(1_750_000_000 * SECOND));
        assert_eq!(number("1e-400"), Some(0));
        assert_eq!(number("-1e-99999999999999999999"), Some(-1));
        assert_eq!(number("1e400"), None);
        assert_eq!(number("1e99999999999999999999"), None);
    }

    #[test]
    fn zero_is_zero_however_written() {
        for zero in [
            "0",
            "-0",
            "-0.0",
            "0e5",
            "0.000e-999999999999999999999",
            "0e999999999999999999999",
        ] {
            assert_eq!(number(zero), Some(0), "{zero}");
        }
    }

    #[test]
    fn numeric_text_may_be_freer_than_json() {
        for same in [
            "+1744750665",
            "0001744750665",
            "1744750665.",
            "  1744750665\\n",
            "1.744750665e9",
        ] {
            assert_eq!(text(same), Some(1_744_750_665 * SECOND), "{same}");
        }
        assert_eq!(text(".5"), Some(500_000));
    }

    #[test]
    fn iso_text_is_utc_where_it_names_no_zone() {
        let midnight = Some(1_744_675_200 * SECOND);
        for same in [
            "2025-04-15",
            "2025-04-15T00:00:00",
            "2025-04-15 00:00",
            "2025-04-15T00:00:00Z",
            " 2025-04-15t00:00:00z ",
            "2025-04-15T02:00:00+02:00",
            "2025-04-15T02:00:00+0200",
            "2025-04-15T02:00:00\\u002b02",
            "2025-04-14 20:00:00-04",
            "2025-04-15T02:00:00+02:00[Europe/Berlin]",
            "2025-04-15T02:00:00[Europe/Berlin]",
            "20250415T000000Z",
        ] {
            assert_eq!(text(same), midnight, "{same}");
        }
        assert_eq!(text("2025-04-15T00:00:00.1234567Z"), Some(1_744_675_200_123_456));
        assert_eq!(text("1969-12-31T23:59:59.9999999Z"), Some(-1));
    }

    #[test]
    fn an_offset_outweighs_its_zone() {
        assert_eq!(
            text("2025-04-15T02:00:00+02:00[America/New_York]"),
            text("2025-04-15T00:00:00Z")
        );
    }

    #[test]
    fn the_years_from_1_to_9999_are_read_and_no_others() {
        let (first, last) = (*YEARS.start(), *YEARS.end());
        for (written, expected) in [
            ("9999-12-31T23:59:59.999999Z", Some(last)),
            ("9999-12-31T23:59:59.9999999Z", Some(last)),
            ("9999-12-31", Some(last - 86_399_999_999)),
            ("9999-12-31T23:59:59.999999", Some(last)),
            ("9999-12-31T23:59:59.999999+00:01", Some(last - 60 * SECOND)),
            ("9999-12-31T19:59:59.999999-05:00", None),
            ("9999-12-31T23:59:59-00:01", None),
            ("9999-12-31T12:00:00[Europe/Berlin]", Some(last - 46_799_999_999)),
            ("9999-12-31T23:00:00[America/New_York]", None),
            ("0001-01-01", Some(first)),
            ("0001-01-01T00:00:00Z", Some(first)),
            ("0001-01-01T00:00:00-00:01", Some(first + 60 * SECOND)),
            ("0001-01-01T00:00:00+00:01", None),
            ("0000-12-31T23:59:59.999999Z", None),
            ("0000-06-01", None),
            ("-000005-06-01", None),
            ("+009999-12-31T23:59:59Z", Some(last - 999_999)),
            ("10000-01-01", None),
            ("+010000-01-01T00:00:00Z", None),
        ] {
            assert_eq!(text(written), expected, "{written}");
        }
        assert_eq!(number("-62135596800"), Some(first));
        assert_eq!(number("-62135596800.0000001"), None);
        assert_eq!(number("-62135596800000"), Some(first));
        assert_eq!(number("-62135596801"), None);
        assert_eq!(number("-99999999999999999"), None);
    }

    #[test]
    fn clocks_that_are_changed_show_a_time_that_is_found() {
        for (written, utc) in [
            ("2025-03-30T02:30:00[Europe/Berlin]", "2025-03-30T01:30:00Z"),
            ("2025-10-26T02:30:00[Europe/Berlin]", "2025-10-26T00:30:00Z"),
        ] {
            assert_eq!(text(written), text(utc), "{written}");
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        for unreadable in [
            "", " ", "soon", "-", ".", "e5", "1e", "1e+", "1_000", "0x10", "1,5", "NaN", "inf",
        ] {
            assert_eq!(text(unreadable), None, "{unreadable}");
        }
        for unreadable in [
            "2025-02-30",
            "2025-13-01",
            "12:00",
            "2025-04-15T25:00:00Z",
            "\\ud800",
            "١٢٣",
        ] {
            assert_eq!(text(unreadable), None, "{unreadable}");
        }
        for unreadable in ["null", "true", "[1744750665]", "{}"] {
            assert_eq!(parse_time(value(unreadable)), None, "{unreadable}");
        }
    }
}
