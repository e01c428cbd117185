//! The rules of a time zone as one line of text: which offset from UTC applies when.
//!
//! Governments change the rules of time zones. A table stores the rules of its first run, so that the date of a
//! record never changes.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// From this year (UTC) on, only yearly rules are expected.
const REPEATS_FROM: i16 = 2200;
/// The Gregorian calendar repeats after 400 years, so a rule that applies to so many years applies forever.
const REPEATS_UNTIL: i16 = REPEATS_FROM + 400;
/// POSIX allows times of a transition up to one week from midnight of its day.
const MAX_DAYS_OFF: i64 = 6;
const DAY_SECONDS: i64 = 86_400;
/// Abbreviations of the standard offset, of the other offset, and of all offsets before the yearly rule.
const ABBREVIATIONS: [&str; 3] = ["STD", "DST", "LMT"];

/// The rules of a time zone.
///
/// As text: the first offset in seconds; then each transition as Unix seconds, a colon and the offset from there on; then
/// the rule that repeats every year from the last transition on, in POSIX form. For example
/// `+18468 -1441170468:+18000 STD-5`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ZoneRules {
    first: i32,
    /// Unix seconds, and the offset from there on.
    transitions: Vec<(i64, i32)>,
    yearly: String,
}

impl ZoneRules {
    /// The rules of a zone; `None` for UTC, which has none.
    pub(super) fn of(zone: &TimeZone) -> Option<Self> {
        let first = zone.to_offset(Timestamp::MIN).seconds();
        let transitions = transitions(zone, Timestamp::MIN);
        if first == 0 && transitions.is_empty() {
            return None;
        }
        Some(Self::shortened(first, &transitions).unwrap_or_else(|| Self::listed(first, &transitions)))
    }

    /// Returns rules that end in a yearly rule, if there is one that gives exactly these transitions.
    fn shortened(first: i32, transitions: &[(i64, i32)]) -> Option<Self> {
        let yearly = yearly_rule(first, transitions)?;
        let repeated = TimeZone::posix(&yearly).ok()?;
        let by_rule = self::transitions(&repeated, Timestamp::MIN);
        let both = transitions.iter().rev().zip(by_rule.iter().rev());
        let repeats = both.take_while(|(one, other)| one == other).count();
        // keep the first repeated transition: the yearly rule begins there
        let kept = (transitions.len() + 1).saturating_sub(repeats.max(1));
        let rules = Self {
            first,
            transitions: transitions[..kept.min(transitions.len())].to_vec(),
            yearly,
        };
        let zone = rules.zone("check").ok()?;
        let same = zone.to_offset(Timestamp::MIN).seconds() == first;
        (same && self::transitions(&zone, Timestamp::MIN) == transitions).then_some(rules)
    }

    /// Rules with every transition up to [`REPEATS_UNTIL`].
    fn listed(first: i32, transitions: &[(i64, i32)]) -> Self {
        let last = transitions.last().map_or(first, |(_, offset)| *offset);
        Self {
            first,
            transitions: transitions.to_vec(),
            yearly: format!("STD{}", posix_offset(last)),
        }
    }

    /// Returns the time zone with these rules and this name.
    ///
    /// # Errors
    /// If the rules are invalid.
    pub(super) fn zone(&self, name: &str) -> Result<TimeZone, jiff::Error> {
        TimeZone::tzif(name, &self.tzif()?)
    }

    /// Encodes the rules in the format of the time zone database, TZif version 3 (RFC 9636).
    fn tzif(&self) -> Result<Vec<u8>, jiff::Error> {
        let yearly = TimeZone::posix(&self.yearly)?;
        // the offsets of the yearly rule must have its abbreviations
        let abbreviation_of = |transition: Option<i64>, offset: i32| {
            let at = transition.and_then(|second| Timestamp::from_second(second).ok());
            let info = yearly.to_offset_info(at.unwrap_or(Timestamp::MIN));
            match info.offset().seconds() == offset {
                true => usize::from(info.dst().is_dst()),
                false => 2,
            }
        };
        let first = (
            self.first,
            abbreviation_of(self.transitions.first().map(|(second, _)| second - 1), self.first),
        );
        let mut types = vec![first];
        let mut of_transitions = Vec::new();
        for (second, offset) in &self.transitions {
            let found = (*offset, abbreviation_of(Some(*second), *offset));
            let number = types.iter().position(|known| *known == found).unwrap_or_else(|| {
                types.push(found);
                types.len() - 1
            });
            of_transitions.push(u8::try_from(number).unwrap_or(u8::MAX));
        }
        let names: String = ABBREVIATIONS.iter().map(|name| format!("{name}\0")).collect();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
        let header = |transitions: usize, types: usize, names: usize| {
            let mut header = b"TZif3".to_vec();
            header.extend([0; 15 + 3 * 4]);
            header.extend([count(transitions), count(types), count(names)].concat());
            header
        };
        // a block for readers of version 1, with one type and nothing else
        let mut bytes = header(0, 1, 1);
        bytes.extend([0; 6 + 1]);
        bytes.extend(header(self.transitions.len(), types.len(), names.len()));
        bytes.extend(
            self.transitions
                .iter()
                .flat_map(|(second, _)| second.to_be_bytes()),
        );
        bytes.extend(of_transitions);
        for (offset, name) in types {
            bytes.extend(offset.to_be_bytes());
            bytes.push(u8::from(name == 1));
            bytes.push(u8::try_from(4 * name).unwrap_or(0));
        }
        bytes.extend(names.bytes());
        bytes.extend(format!("\n{}\n", self.yearly).bytes());
        Ok(bytes)
    }
}

/// The transitions of a zone after a time and before [`REPEATS_UNTIL`].
fn transitions(zone: &TimeZone, after: Timestamp) -> Vec<(i64, i32)> {
    let mut before = zone.to_offset(after).seconds();
    let mut transitions = Vec::new();
    for transition in zone.following(after) {
        let at = transition.timestamp();
        if at.to_zoned(TimeZone::UTC).year() >= REPEATS_UNTIL {
            break;
        }
        let offset = transition.offset().seconds();
        // a change without another offset changes no date
        if offset != before {
            transitions.push((at.as_second(), offset));
        }
        before = offset;
    }
    transitions
}

/// Returns the rule by which transitions repeat every year, in POSIX form; `None` if they do not.
fn yearly_rule(first: i32, transitions: &[(i64, i32)]) -> Option<String> {
    let start = jiff::civil::date(REPEATS_FROM, 1, 1)
        .to_zoned(TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_second();
    let repeating = transitions.partition_point(|(second, _)| *second < start);
    let before = repeating.checked_sub(1).map_or(first, |last| transitions[last].1);
    let repeating = &transitions[repeating..];
    if repeating.is_empty() {
        return Some(format!("STD{}", posix_offset(before)));
    }
    let offsets = repeating.iter().map(|(_, offset)| *offset);
    let (standard, other) = (offsets.clone().min()?, offsets.max()?);
    let days_of = |to: i32, from: i32| {
        let local = repeating
            .iter()
            .filter(|(_, offset)| *offset == to)
            .map(|(second, _)| local(*second, from));
        repeated_day(&local.collect::<Option<Vec<_>>>()?)
    };
    let (begin, end) = (days_of(other, standard)?, days_of(standard, other)?);
    Some(format!(
        "STD{}DST{},{begin},{end}",
        posix_offset(standard),
        posix_offset(other)
    ))
}

fn local(second: i64, offset: i32) -> Option<DateTime> {
    let at = Timestamp::from_second(second).ok()?;
    Some(Offset::from_seconds(offset).ok()?.to_datetime(at))
}

/// The day of a year that all these moments fall on, one in each year: `M3.5.0/2`.
fn repeated_day(moments: &[DateTime]) -> Option<String> {
    let years = usize::try_from(REPEATS_UNTIL - REPEATS_FROM).ok()?;
    let time = moments.first()?.time();
    if moments.len() != years || moments.iter().any(|moment| moment.time() != time) {
        return None;
    }
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    // a time of 24:00 or -1:00 belongs to another day than it falls on
    let mut days_off = (0..=MAX_DAYS_OFF).flat_map(|days| [days, -days]);
    days_off.find_map(|days| {
        let dates = moments
            .iter()
            .map(|moment| moment.date().checked_sub(days.days()).ok());
        let (month, week, weekday) = week_of_all(&dates.collect::<Option<Vec<_>>>()?)?;
        let seconds = seconds + days * DAY_SECONDS;
        Some(format!("M{month}.{week}.{weekday}/{}", clock(seconds)))
    })
}

/// The month, week (5 is the last) and weekday (0 is Sunday) that all dates share.
fn week_of_all(dates: &[Date]) -> Option<(i8, i8, i8)> {
    let of = |date: &Date| (date.month(), date.weekday().to_sunday_zero_offset());
    let week = |date: &Date| (date.day() - 1) / 7 + 1;
    let is_last = |date: &Date| date.day() + 7 > date.days_in_month();
    let first = dates.first()?;
    let (month, weekday) = of(first);
    if dates.iter().any(|date| of(date) != (month, weekday)) {
        return None;
    }
    if dates.iter().all(is_last) {
        return Some((month, 5, weekday));
    }
    let shared = week(first);
    (shared < 5 && dates.iter().all(|date| week(date) == shared)).then_some((month, shared, weekday))
}

/// Hours, minutes and seconds, with a sign where they are negative.
fn clock(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let (hours, minutes, rest) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    match (minutes, rest) {
        (0, 0) => format!("{sign}{hours}"),
        (minutes, 0) => format!("{sign}{hours}:{minutes:02}"),
        (minutes, rest) => format!("{sign}{hours}:{minutes:02}:{rest:02}"),
    }
}

/// POSIX counts offsets to the west.
fn posix_offset(seconds: i32) -> String {
    clock(-i64::from(seconds))
}

impl fmt::Display for ZoneRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+}", self.first)?;
        for (second, offset) in &self.transitions {
            write!(f, " {second}:{offset:+}")?;
        }
        write!(f, " {}", self.yearly)
    }
}

impl FromStr for ZoneRules {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |part: &str| format!("{part:?} is not part of a time zone's rules");
        let mut parts = text.split(' ').collect::<Vec<_>>().into_iter();
        let first = parts.next().unwrap_or_default();
        let yearly = parts.next_back().unwrap_or_default();
        let transition = |part: &str| {
            let (second, offset) = part.split_once(':')?;
            Some((second.parse().ok()?, offset.parse().ok()?))
        };
        let rules = Self {
            first: first.parse().map_err(|_| wrong(first))?,
            transitions: parts
                .map(|part| transition(part).ok_or_else(|| wrong(part)))
                .collect::<Result<_, _>>()?,
            yearly: yearly.to_owned(),
        };
        rules.zone("check").map_err(|error| error.to_string())?;
        Ok(rules)
    }
}

impl TryFrom<String> for ZoneRules {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ZoneRules> for String {
    fn from(rules: ZoneRules) -> Self {
        rules.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_has_the_same_offsets_by_its_written_rules() {
        let (mut zones, mut listed) = (0, Vec::new());
        for name in jiff::tz::db().available() {
            let zone = TimeZone::get(name.as_str()).unwrap();
            let Some(rules) = ZoneRules::of(&zone) else {
                assert_eq!(transitions(&zone, Timestamp::MIN), [], "{name}");
                continue;
            };
            let text = rules.to_string();
            let read: ZoneRules = text.parse().unwrap();
            assert_eq!(read, rules, "{name}");
            let pinned = read.zone(name.as_str()).unwrap();
            assert_eq!(pinned.iana_name(), Some(name.as_str()));
            assert_eq!(
                transitions(&pinned, Timestamp::MIN),
                transitions(&zone, Timestamp::MIN),
                "{name}: {text}"
            );
            // the year 9999, when the yearly rule has repeated for long
            for month in 1..=12 {
                let noon = jiff::civil::date(9998, month, 15).at(12, 0, 0, 0);
                let at = |zone: &TimeZone| zone.to_timestamp(noon).unwrap();
                assert_eq!(at(&pinned), at(&zone), "{name}: {text}");
            }
            if text.len() > 6_000 {
                listed.push(name.to_string());
            }
            zones += 1;
        }
        assert!(zones > 300, "{zones} zones");
        assert!(listed.is_empty(), "rules that could not be shortened: {listed:?}");
    }

    #[test]
    fn rules_that_are_not_as_they_were_written_are_refused() {
        let rules = ZoneRules::of(&TimeZone::get("Europe/Berlin").unwrap())
            .unwrap()
            .to_string();
        assert!(rules.parse::<ZoneRules>().is_ok());
        for wrong in [
            "",
            "+0",
            "x STD0",
            "+0 STD",
            "+0 5 STD0",
            "+0 5:x STD0",
            &rules[1..rules.len() / 2],
        ] {
            assert!(wrong.parse::<ZoneRules>().is_err(), "{wrong}");
        }
        assert_eq!(ZoneRules::of(&TimeZone::UTC), None);
        assert_eq!(ZoneRules::of(&TimeZone::get("UTC").unwrap()), None);
    }
}
