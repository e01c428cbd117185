//! Times as they are typed.

use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::{SpanRelativeTo, Timestamp};

use crate::table::Zone;

/// A moment as it is typed; what it is depends on the zone where only a date is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Moment {
    Day(Date),
    Instant(Timestamp),
}

impl Moment {
    /// Unix seconds of the first whole second that is not before the moment.
    pub(in crate::cli) fn seconds(self, zone: &Zone) -> Result<i64, jiff::Error> {
        let at = match self {
            Self::Day(date) => zone.begin(date)?,
            Self::Instant(at) => at,
        };
        Ok(at.as_second() + i64::from(at.subsec_nanosecond() > 0))
    }
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<i64>() {
            return Timestamp::from_second(seconds)
                .map(Self::Instant)
                .map_err(|error| error.to_string());
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::Instant(at));
        }
        match (text.parse::<Date>(), text.parse::<Time>()) {
            (Ok(date), Err(_)) => Ok(Self::Day(date)),
            _ => {
                Err("give YYYY-MM-DD, RFC 3339 with its offset (2023-10-01T08:00:00Z) or Unix seconds".into())
            }
        }
    }
}

/// A duration with its unit.
pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    let told = || String::from("give a number with its unit, such as 90s, 15m, 2h or 3d");
    let span: jiff::Span = text.trim().parse().map_err(|_| told())?;
    let length = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| told())?;
    Duration::try_from(length).map_err(|_| "give a duration that is not negative".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_three_forms() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let seconds = |text: &str| {
            text.parse::<Moment>()
                .map(|moment| moment.seconds(&zone).unwrap())
        };
        assert_eq!(seconds("2023-10-01"), Ok(1_696_111_200));
        assert_eq!(seconds("2023-10-01T00:00:00Z"), Ok(1_696_118_400));
        assert_eq!(seconds("2023-10-01T00:00:00.25+02:00"), Ok(1_696_111_201));
        assert_eq!(seconds("1696118400"), Ok(1_696_118_400));
        for wrong in ["yesterday", "2023-10-01T08:00:00", "2023-13-01", "08:00", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
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
