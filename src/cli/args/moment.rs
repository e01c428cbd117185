//! Parses times and durations of the command line.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use super::reason_with_hint;
use crate::table::Zone;

/// A time of the command line. Without an offset it depends on a time zone; a relative one depends on the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Moment {
    /// The start of a day.
    Day(Date),
    /// A date and a time of day without an offset.
    Local(DateTime),
    Instant(Timestamp),
    /// The start of the day this many days ago.
    DaysAgo(i64),
    /// This long before now.
    Ago(SignedDuration),
}

/// The accepted forms, for hints.
const FORMS: &str = "give YYYY-MM-DD, YYYY-MM, YYYY-MM-DDTHH:MM, RFC 3339 (2023-10-01T08:00:00Z), today, yesterday, -7d, \
     or Unix seconds of 10 digits";

impl Moment {
    /// Returns the time in Unix seconds, rounded up to a whole second.
    pub(in crate::cli) fn seconds(self, zone: &Zone) -> Result<i64, jiff::Error> {
        self.seconds_at(zone, Timestamp::now())
    }

    fn seconds_at(self, zone: &Zone, now: Timestamp) -> Result<i64, jiff::Error> {
        let at = match self {
            Self::Day(date) => zone.begin(date)?,
            Self::Local(at) => at.in_tz(zone.name())?.timestamp(),
            Self::Instant(at) => at,
            Self::DaysAgo(days) => {
                let today = now.in_tz(zone.name())?.date();
                zone.begin(today.checked_sub(Span::new().try_days(days)?)?)?
            }
            Self::Ago(length) => now.checked_sub(length)?,
        };
        Ok(at.as_second() + i64::from(at.subsec_nanosecond() > 0))
    }
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.to_ascii_lowercase().as_str() {
            "now" => return Ok(Self::Ago(SignedDuration::ZERO)),
            "today" => return Ok(Self::DaysAgo(0)),
            "yesterday" => return Ok(Self::DaysAgo(1)),
            _ => {}
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return unix_seconds(text);
        }
        if let Some(length) = text.strip_prefix('-') {
            let length = duration(length).map_err(|_| FORMS.to_owned())?;
            let length = SignedDuration::try_from(length).map_err(|_| FORMS.to_owned())?;
            return Ok(Self::Ago(length));
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::Instant(at));
        }
        if let Some(first) = month(text) {
            return Ok(Self::Day(first));
        }
        match (text.parse::<Date>(), text.parse::<Time>()) {
            (Ok(date), Err(_)) => Ok(Self::Day(date)),
            (Ok(_), Ok(_)) => text.parse().map(Self::Local).map_err(|_| FORMS.to_owned()),
            _ => Err(FORMS.to_owned()),
        }
    }
}

/// Parses a month such as `2023-10`; returns its first day.
fn month(text: &str) -> Option<Date> {
    let (year, month) = text.split_once('-')?;
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if year.len() != 4 || month.len() != 2 || !all_digits(year) || !all_digits(month) {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()
}

/// Parses Unix seconds, which have 10 digits from 2001 to 2286. For a number of another length the hint says what it
/// probably is.
fn unix_seconds(text: &str) -> Result<Moment, String> {
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let date = || format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 8));
    let is_date = || date().parse::<Date>().is_ok();
    let time = || format!("{}T{}:{}", date(), part(8, 10), part(10, 12));
    let why = "Unix seconds have 10 digits";
    let fraction = |name: &str, digits: usize| {
        let seconds = part(0, text.len() - digits);
        reason_with_hint(
            &format!("this looks like {name}; {why}"),
            &format!("give the seconds: {seconds}"),
        )
    };
    match text.len() {
        10 if !text.starts_with('-') => {
            let at = text
                .parse()
                .ok()
                .and_then(|seconds| Timestamp::from_second(seconds).ok());
            at.map(Moment::Instant).ok_or_else(|| FORMS.to_owned())
        }
        4 => Err(reason_with_hint(
            why,
            &format!("for the year's first day, give {text}-01-01"),
        )),
        6 if month(&format!("{}-{}", part(0, 4), part(4, 6))).is_some() => Err(reason_with_hint(
            why,
            &format!("for the month's first day, give {}-{}", part(0, 4), part(4, 6)),
        )),
        8 if is_date() => Err(reason_with_hint(why, &format!("for that day, give {}", date()))),
        12 | 14 if is_date() && time().parse::<DateTime>().is_ok() => {
            Err(reason_with_hint(why, &format!("for that time, give {}", time())))
        }
        13 => Err(fraction("milliseconds", 3)),
        16 => Err(fraction("microseconds", 6)),
        19 => Err(fraction("nanoseconds", 9)),
        _ => Err(reason_with_hint(why, FORMS)),
    }
}

/// Parses a duration with its unit.
pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    let hint = || String::from("give a number with its unit, such as 90s, 15m, 2h or 3d");
    let span: jiff::Span = text.trim().parse().map_err(|_| hint())?;
    let length = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| hint())?;
    Duration::try_from(length).map_err(|_| "give a duration of at least 0s".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin(text: &str) -> Result<i64, String> {
        let zone = Zone::named("Europe/Berlin").unwrap();
        // 23:30 of the day before in UTC
        let now = "2023-10-05T01:30:00.25+02:00".parse().unwrap();
        text.parse::<Moment>()
            .map(|moment| moment.seconds_at(&zone, now).unwrap())
    }

    #[test]
    fn moments_have_these_forms() {
        let second = |text: &str| text.parse::<Timestamp>().map(Timestamp::as_second).unwrap();
        for (text, same) in [
            ("2023-10-01", "2023-10-01T00:00:00+02:00"),
            ("2023-10", "2023-10-01T00:00:00+02:00"),
            ("2023-12", "2023-12-01T00:00:00+01:00"),
            ("2023-10-01T08:00", "2023-10-01T08:00:00+02:00"),
            ("2023-10-01 08:00", "2023-10-01T08:00:00+02:00"),
            ("2023-10-01T08:00:30", "2023-10-01T08:00:30+02:00"),
            ("2023-10-01T08:00Z", "2023-10-01T08:00:00Z"),
            ("2023-10-01T00:00:00Z", "2023-10-01T00:00:00Z"),
            ("2023-10-01T00:00:00.25+02:00", "2023-10-01T00:00:01+02:00"),
            ("1696118400", "2023-10-01T00:00:00Z"),
            ("today", "2023-10-05T00:00:00+02:00"),
            ("Yesterday", "2023-10-04T00:00:00+02:00"),
            ("now", "2023-10-05T01:30:01+02:00"),
            ("-7d", "2023-09-28T01:30:01+02:00"),
            ("-36h", "2023-10-03T13:30:01+02:00"),
            ("-2w", "2023-09-21T01:30:01+02:00"),
        ] {
            assert_eq!(berlin(text), Ok(second(same)), "{text}");
        }
        for wrong in [
            "2023-13-01",
            "2023-13",
            "08:00",
            "",
            "-",
            "-7",
            "tomorrow",
            "-7x",
            "2023-1",
            "7d",
        ] {
            assert!(berlin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_numbers_than_unix_seconds_are_refused_with_a_hint() {
        for (text, hint) in [
            ("20231001", "give 2023-10-01"),
            ("202310", "give 2023-10"),
            ("2023", "give 2023-01-01"),
            ("202310010830", "give 2023-10-01T08:30"),
            ("20231001083000", "give 2023-10-01T08:30"),
            ("1696118400000", "the seconds: 1696118400"),
            ("1696118400000000", "the seconds: 1696118400"),
            ("1696118400000000000", "the seconds: 1696118400"),
            ("0", "10 digits"),
            ("99999999", "10 digits"),
            ("-1696118400", "10 digits"),
            ("-169611840", "10 digits"),
            ("99999999999999999999999", "10 digits"),
        ] {
            let error = berlin(text).unwrap_err();
            assert!(error.contains("Unix seconds have 10 digits"), "{text}: {error}");
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("3d"), Ok(Duration::from_secs(3 * 86_400)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["28", "", "-1h", "1 fortnight"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
