//! The table's time zone. Only this module computes the partition of a row from its time.

use arrow::array::{Array, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::partition_date::{PartitionBy, PartitionDate};
use super::zone_rules::ZoneRules;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::window::Window;

/// Microseconds per second.
const MICROS: i64 = 1_000_000;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The time zone whose days or months are the table's partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    zone: TimeZone,
    by: PartitionBy,
}

impl Zone {
    /// Returns an IANA time zone by its name, with days as partitions.
    ///
    /// # Errors
    /// If there is no time zone of this name.
    pub fn named(name: &str) -> Result<Self, jiff::Error> {
        let (zone, by) = (TimeZone::get(name)?, PartitionBy::Day);
        Ok(Self { zone, by })
    }

    /// Returns a time zone with the rules that a table stores, with days as partitions.
    ///
    /// # Errors
    /// If the rules are invalid.
    pub(super) fn with_rules(name: &str, rules: &ZoneRules) -> Result<Self, jiff::Error> {
        let (zone, by) = (rules.zone(name)?, PartitionBy::Day);
        Ok(Self { zone, by })
    }

    /// Returns its rules; `None` for UTC, which has none.
    pub(super) fn rules(&self) -> Option<ZoneRules> {
        ZoneRules::of(&self.zone)
    }

    /// Sets the kind of partitions.
    #[must_use]
    pub fn by(self, by: PartitionBy) -> Self {
        Self { by, ..self }
    }

    /// Returns its canonical name, for example `Europe/Berlin`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// Returns the start of a day: midnight, or the first moment of the day if the time zone skips midnight.
    ///
    /// # Errors
    /// If the date is out of the supported range.
    pub fn begin(&self, date: Date) -> Result<Timestamp, jiff::Error> {
        Ok(date.to_zoned(self.zone.clone())?.timestamp())
    }

    /// Returns the date that begins at this moment, if there is one.
    #[must_use]
    pub fn date_at_midnight(&self, at: Timestamp) -> Option<Date> {
        let date = at.to_zoned(self.zone.clone()).date();
        (self.begin(date).ok()? == at).then_some(date)
    }

    /// Returns the local time of microseconds; `None` outside the years 1 to 9999, the range of readers.
    #[must_use]
    pub fn local(&self, micros: i64) -> Option<DateTime> {
        let local = match Timestamp::from_microsecond(micros) {
            Ok(at) => self.zone.to_datetime(at),
            Err(_) => {
                let offset = self.offset_beyond(micros > 0);
                let since = SignedDuration::from_micros(micros) + offset;
                EPOCH.checked_add(since).ok()?
            }
        };
        (1..=9999).contains(&local.year()).then_some(local)
    }

    /// Returns the offset from UTC after the last, or before the first, supported [`Timestamp`].
    fn offset_beyond(&self, last: bool) -> SignedDuration {
        let edge = if last { Timestamp::MAX } else { Timestamp::MIN };
        SignedDuration::from_secs(self.zone.to_offset(edge).seconds().into())
    }

    /// Returns the second at which a day starts.
    fn begin_second(&self, date: Date) -> i64 {
        self.begin(date).map_or_else(
            |_| {
                let since = date.to_datetime(Time::midnight()).duration_since(EPOCH);
                (since - self.offset_beyond(date.year() > 0)).as_secs()
            },
            |begin| begin.as_second(),
        )
    }

    /// Returns the range of a partition date in seconds; `None` for rows without a time.
    #[must_use]
    pub fn window(&self, date: PartitionDate) -> Option<Window> {
        let first = date.first()?;
        let next = match date.by() {
            PartitionBy::Day => first,
            PartitionBy::Month => first.last_of_month(),
        };
        let end = match next.tomorrow() {
            Ok(tomorrow) => self.begin_second(tomorrow),
            // the last day of the calendar
            Err(_) => self.begin_second(next) + 24 * 60 * 60,
        };
        Some(Window::new(self.begin_second(first), end))
    }

    /// Returns the partition date of rows without a time.
    #[must_use]
    pub fn timeless(&self) -> PartitionDate {
        PartitionDate::timeless(self.by)
    }

    /// Returns a lookup of partition dates, which is fast for times near each other.
    #[must_use]
    pub fn dates(&self) -> PartitionDates<'_> {
        self.dates_by(self.by)
    }

    /// Returns a lookup of days, whatever the partitions are.
    #[must_use]
    pub fn days(&self) -> PartitionDates<'_> {
        self.dates_by(PartitionBy::Day)
    }

    fn dates_by(&self, by: PartitionBy) -> PartitionDates<'_> {
        PartitionDates {
            zone: self,
            date: PartitionDate::timeless(by),
            begin: i64::MAX,
            end: i64::MIN,
        }
    }
}

/// Looks up the partition dates of times.
#[derive(Debug)]
pub struct PartitionDates<'a> {
    zone: &'a Zone,
    date: PartitionDate,
    begin: i64,
    end: i64,
}

impl PartitionDates<'_> {
    /// Returns the partition date of a time in microseconds.
    pub fn of(&mut self, time: Option<i64>) -> PartitionDate {
        let by = self.date.by();
        let Some(time) = time else {
            return PartitionDate::timeless(by);
        };
        if !(self.begin..self.end).contains(&time) {
            let timeless = (PartitionDate::timeless(by), time, time + 1);
            (self.date, self.begin, self.end) = self.look_up(time).unwrap_or(timeless);
        }
        self.date
    }

    fn look_up(&self, time: i64) -> Option<(PartitionDate, i64, i64)> {
        let date = self.zone.local(time)?.date();
        let date = PartitionDate::of(self.date.by(), date);
        let window = self.zone.window(date)?;
        Some((date, window.start * MICROS, window.end * MICROS))
    }

    /// Returns the partition date of each row. `rows` may have only some columns of the dataset, including its time.
    ///
    /// # Errors
    /// If there is no column of times.
    pub(crate) fn of_rows(&mut self, dataset: Dataset, rows: &RecordBatch) -> Result<Vec<PartitionDate>> {
        let name = dataset.columns()[dataset.time_column()].name;
        let times = rows.column_by_name(name);
        let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        let times = times.ok_or_else(|| Error::Internal(format!("rows of {dataset} have no {name}")))?;
        Ok(self.of_column(times))
    }

    /// Returns the indices of the rows with a partition date; see [`PartitionDates::of_rows`].
    pub(crate) fn rows_of(
        &mut self,
        date: PartitionDate,
        dataset: Dataset,
        rows: &RecordBatch,
    ) -> Result<impl Iterator<Item = u32> + use<>> {
        let dates = (0..).zip(self.of_rows(dataset, rows)?);
        Ok(dates.filter(move |(_, of)| *of == date).map(|(row, _)| row))
    }

    /// Returns the partition date of each time in a column.
    pub fn of_column(&mut self, times: &TimestampMicrosecondArray) -> Vec<PartitionDate> {
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
        assert_eq!(days.of(None), zone.timeless());
        // the day on which clocks go back has 25 hours
        assert_eq!(days.of(at("2023-11-06T04:59:59Z")).to_string(), "2023-11-05");
    }

    #[test]
    fn a_month_is_told_in_the_tables_zone() {
        let zone = Zone::named("America/New_York").unwrap().by(PartitionBy::Month);
        let mut months = zone.dates();
        assert_eq!(months.of(at("2023-11-01T03:59:59Z")).to_string(), "2023-10");
        assert_eq!(months.of(at("2023-11-01T04:00:00Z")).to_string(), "2023-11");
        let window = zone.window(months.of(at("2023-12-05T00:00:00Z"))).unwrap();
        assert_eq!(window.to_string(), "2023-12-01T05:00:00Z/2024-01-01T05:00:00Z");
        assert_eq!(
            zone.days().of(at("2023-11-01T04:00:00Z")).to_string(),
            "2023-11-01"
        );
        // where calendars end, a time lies in its period or in none
        for by in PartitionBy::ALL {
            let zone = zone.clone().by(by);
            for time in [Timestamp::MIN, Timestamp::MAX] {
                let date = zone.dates().of(Some(time.as_microsecond()));
                let window = zone.window(date);
                assert!(
                    window.is_none_or(|window| window.contains(time.as_second())),
                    "{time}"
                );
            }
        }
    }

    #[test]
    fn the_last_and_the_first_day_of_the_calendar_are_days_like_others() {
        let (first, last) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
        for (name, of_first, of_last) in [
            ("UTC", "0001-01-01", "9999-12-31"),
            ("America/New_York", "__HIVE_DEFAULT_PARTITION__", "9999-12-31"),
            ("Asia/Tokyo", "0001-01-01", "__HIVE_DEFAULT_PARTITION__"),
        ] {
            let zone = Zone::named(name).unwrap();
            let mut days = zone.days();
            assert_eq!(days.of(Some(last)).to_string(), of_last, "{name}");
            assert_eq!(days.of(Some(first)).to_string(), of_first, "{name}");
            // what was looked up is right for other times, too
            assert_eq!(days.of(at("2023-10-02T12:00:00Z")).to_string(), "2023-10-02");
            let window = zone.window(zone.days().of(at("9999-12-30T12:00:00Z"))).unwrap();
            assert_eq!(window.end - window.start, 24 * 60 * 60, "{name}");
            let months = zone.clone().by(PartitionBy::Month);
            if let Some(window) = months.window(months.dates().of(Some(last))) {
                assert_eq!(window.end - window.start, 31 * 24 * 60 * 60, "{name}");
                assert!(window.contains(253_402_300_799));
            }
        }
    }

    #[test]
    fn a_skipped_midnight_loses_no_time() {
        let zone = Zone::named("America/Sao_Paulo").unwrap();
        let mut days = zone.days();
        assert_eq!(days.of(at("2018-11-04T02:59:59Z")).to_string(), "2018-11-03");
        assert_eq!(days.of(at("2018-11-04T03:00:00Z")).to_string(), "2018-11-04");
    }
}
