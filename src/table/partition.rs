//! Partitions: which one a row belongs to, and where it stands.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use arrow::array::{Array, TimestampMicrosecondArray};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::dataset::Dataset;
use crate::window::Window;

/// Characters of a bot's name that stand for themselves in a path; all others are percent-encoded.
const PATH_SAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// What Hive readers take as "no date".
const NO_DATE: &str = "__HIVE_DEFAULT_PARTITION__";

/// `bot=<bot>`, as the name of a folder.
#[must_use]
pub fn bot_folder(bot: &str) -> String {
    format!("bot={}", utf8_percent_encode(bot, PATH_SAFE))
}

/// The bot whose folder has this name, if it is one's.
pub(crate) fn bot_of(folder: &str) -> Option<String> {
    let bot = percent_decode_str(folder.strip_prefix("bot=")?)
        .decode_utf8()
        .ok()?;
    (bot_folder(&bot) == folder).then(|| bot.into_owned())
}

/// The day whose folder has this name, if it is one's.
pub(crate) fn day_of(folder: &str) -> Option<Day> {
    let text = folder.strip_prefix("date=")?;
    let day = match text {
        NO_DATE => Day(None),
        date => Day(Some(date.parse().ok()?)),
    };
    (day.to_string() == text).then_some(day)
}

/// The date of a partition; `None` stands for rows whose time cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub Option<Date>);

/// The value of the key `date`, as it stands in paths.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(date) => write!(f, "{date}"),
            None => f.write_str(NO_DATE),
        }
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl FromStr for Day {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        if text == NO_DATE {
            return Ok(Self(None));
        }
        text.parse().map(|date| Self(Some(date)))
    }
}

/// One partition of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionKey {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot, not encoded.
    pub bot: String,
    /// The date in the table's zone.
    pub day: Day,
}

impl PartitionKey {
    /// The partition's folder below the table's, e.g. `messages/bot=r3-218210/date=2023-10-01`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        Path::new(self.dataset.name())
            .join(bot_folder(&self.bot))
            .join(format!("date={}", self.day))
    }
}

/// The zone whose days are the table's partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

impl Zone {
    /// An IANA time zone by its name.
    ///
    /// # Errors
    /// Where there is no zone of this name.
    pub fn named(name: &str) -> Result<Self, jiff::Error> {
        Ok(Self(TimeZone::get(name)?))
    }

    /// The name as it was found, e.g. `Europe/Berlin`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Midnight that begins a day; where a zone skips midnight, the day's first moment.
    ///
    /// # Errors
    /// Where the date lies beyond the years that can be told.
    pub fn begin(&self, date: Date) -> Result<Timestamp, jiff::Error> {
        Ok(date.to_zoned(self.0.clone())?.timestamp())
    }

    /// The date that begins at this very moment, if one does.
    #[must_use]
    pub fn date_at_midnight(&self, at: Timestamp) -> Option<Date> {
        let date = at.to_zoned(self.0.clone()).date();
        (self.begin(date).ok()? == at).then_some(date)
    }

    /// What clocks of the zone show at a time in microseconds; none where no clock could.
    #[must_use]
    pub fn local(&self, micros: i64) -> Option<DateTime> {
        let at = Timestamp::from_microsecond(micros).ok()?;
        Some(self.0.to_datetime(at))
    }

    /// The seconds of a day; none of the day that stands for no time.
    #[must_use]
    pub fn window(&self, day: Day) -> Option<Window> {
        let date = day.0?;
        let begin = self.begin(date).ok()?.as_second();
        let end = self.begin(date.tomorrow().ok()?).ok()?.as_second();
        Some(Window::new(begin, end))
    }

    /// A reader of days, quick where times lie near each other.
    #[must_use]
    pub fn days(&self) -> Days<'_> {
        Days {
            zone: self,
            day: Day(None),
            begin: i64::MAX,
            end: i64::MIN,
        }
    }
}

/// Tells the day of one time after another.
#[derive(Debug)]
pub struct Days<'a> {
    zone: &'a Zone,
    day: Day,
    begin: i64,
    end: i64,
}

impl Days<'_> {
    /// The day of a time in microseconds.
    pub fn of(&mut self, time: Option<i64>) -> Day {
        let Some(time) = time else { return Day(None) };
        if !(self.begin..self.end).contains(&time) {
            let (day, begin, end) = self.look_up(time).unwrap_or((Day(None), time, time + 1));
            (self.day, self.begin, self.end) = (day, begin, end);
        }
        self.day
    }

    fn look_up(&self, time: i64) -> Option<(Day, i64, i64)> {
        let date = Timestamp::from_microsecond(time)
            .ok()?
            .to_zoned(self.zone.0.clone())
            .date();
        let begin = self.zone.begin(date).ok()?.as_microsecond();
        let end = self
            .zone
            .begin(date.checked_add(1.day()).ok()?)
            .ok()?
            .as_microsecond();
        Some((Day(Some(date)), begin, end))
    }

    /// The day of each time of a column.
    pub fn of_column(&mut self, times: &TimestampMicrosecondArray) -> Vec<Day> {
        (0..times.len())
            .map(|row| self.of(times.is_valid(row).then(|| times.value(row))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<i64> {
        Some(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    #[test]
    fn a_day_is_told_in_the_tables_zone() {
        let zone = Zone::named("America/New_York").unwrap();
        let mut days = zone.days();
        assert_eq!(
            days.of(at("2023-10-02T03:59:59.999999Z")).to_string(),
            "2023-10-01"
        );
        assert_eq!(days.of(at("2023-10-02T04:00:00Z")).to_string(), "2023-10-02");
        assert_eq!(days.of(None).to_string(), NO_DATE);
        // the day on which clocks go back has 25 hours
        assert_eq!(days.of(at("2023-11-06T04:59:59Z")).to_string(), "2023-11-05");
    }

    #[test]
    fn a_skipped_midnight_loses_no_time() {
        let zone = Zone::named("America/Sao_Paulo").unwrap();
        let mut days = zone.days();
        assert_eq!(days.of(at("2018-11-04T02:59:59Z")).to_string(), "2018-11-03");
        assert_eq!(days.of(at("2018-11-04T03:00:00Z")).to_string(), "2018-11-04");
    }

    #[test]
    fn a_bots_name_is_encoded_where_a_path_needs_it() {
        assert_eq!(bot_folder("r3-218210"), "bot=r3-218210");
        assert_eq!(bot_folder("a/b=c ü%"), "bot=a%2Fb%3Dc%20%C3%BC%25");
        assert_eq!(bot_folder(".."), "bot=..");
    }
}
