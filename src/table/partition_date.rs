//! The date of a partition: a day, a month, or none.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::migration::january_of;

/// The value that Hive readers take as null.
const NO_DATE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Parses the folder name of a partition in a table with such partitions.
pub(crate) fn date_of_folder(folder: &str, by: PartitionBy) -> Option<PartitionDate> {
    let value = folder.strip_prefix(by.key())?.strip_prefix('=')?;
    let date = PartitionDate::parse(by, value).ok()?;
    (date.to_string() == value).then_some(date)
}

/// How much time a partition contains: a setting of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionBy {
    /// A day, `date=2023-10-01`.
    #[default]
    Day,
    /// A month, `month=2023-10`: for bots with few records per day.
    Month,
}

impl PartitionBy {
    /// All variants.
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// Returns its name, for example `month`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// Returns the key in the names of folders.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Day => "date",
            Self::Month => "month",
        }
    }
}

impl fmt::Display for PartitionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PartitionBy {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|by| by.name() == name);
        found.ok_or_else(|| format!("{name} is neither `day` nor `month`"))
    }
}

/// The date of a partition: a day or a month in the table's time zone, or none for rows whose time cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionDate {
    by: PartitionBy,
    first: Option<Date>,
}

impl PartitionDate {
    /// Returns the partition date of a day.
    #[must_use]
    pub fn of(by: PartitionBy, date: Date) -> Self {
        let first = match by {
            PartitionBy::Day => date,
            PartitionBy::Month => date.first_of_month(),
        };
        let first = Some(first);
        Self { by, first }
    }

    /// Returns the partition date of rows without a time.
    #[must_use]
    pub fn timeless(by: PartitionBy) -> Self {
        Self { by, first: None }
    }

    /// Returns the first day; `None` for rows without a time.
    #[must_use]
    pub fn first(&self) -> Option<Date> {
        self.first
    }

    /// Returns whether it is a day or a month.
    #[must_use]
    pub fn by(&self) -> PartitionBy {
        self.by
    }

    /// Number of dates from this one to a later one, both included.
    pub(crate) fn up_to(self, last: Self) -> u64 {
        let (Some(first), Some(last)) = (self.first, last.first) else {
            return 1;
        };
        let months = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month());
        let between = match self.by {
            PartitionBy::Day => (last - first).get_days(),
            PartitionBy::Month => months(last) - months(first),
        };
        u64::from(between.unsigned_abs()) + 1
    }

    pub(super) fn parse(by: PartitionBy, value: &str) -> Result<Self, jiff::Error> {
        if value == NO_DATE {
            return Ok(Self::timeless(by));
        }
        let date = match by {
            PartitionBy::Day => value.parse()?,
            PartitionBy::Month => format!("{value}-01").parse()?,
        };
        Ok(Self::of(by, date))
    }
}

/// The value of the key in paths.
impl fmt::Display for PartitionDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.by) {
            (Some(date), PartitionBy::Day) => write!(f, "{date}"),
            (Some(date), PartitionBy::Month) => {
                let (year, month) = (date.year(), date.month());
                if year < 0 {
                    // six digits, as ISO 8601 and jiff write such years
                    write!(f, "-{:06}-{month:02}", year.unsigned_abs())
                } else {
                    write!(f, "{year:04}-{month:02}")
                }
            }
            (None, _) => f.write_str(NO_DATE),
        }
    }
}

/// A day is only its value, a month has its key: without a date, the text must still show which of them it is.
impl Serialize for PartitionDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.by {
            PartitionBy::Day => serializer.collect_str(self),
            by => serializer.collect_str(&format_args!("{}={self}", by.key())),
        }
    }
}

impl<'de> Deserialize<'de> for PartitionDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (by, value) = match text.split_once('=') {
            Some(("month", value)) => (PartitionBy::Month, value),
            _ => (PartitionBy::Day, &*text),
        };
        if let (PartitionBy::Month, Some(january)) = (by, january_of(value)) {
            // an earlier version left out the month of Januaries
            return Ok(january);
        }
        Self::parse(by, value).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::unnamed_january;

    #[test]
    fn a_period_is_told_in_paths_and_in_the_ledger_and_is_known_again() {
        let date: Date = "2023-02-28".parse().unwrap();
        let of = |by| [PartitionDate::of(by, date), PartitionDate::timeless(by)];
        let (days, months) = (of(PartitionBy::Day), of(PartitionBy::Month));
        assert_eq!(days.map(|day| day.to_string()), ["2023-02-28", NO_DATE]);
        assert_eq!(months.map(|month| month.to_string()), ["2023-02", NO_DATE]);
        let written = serde_json::to_string(&[days, months]).unwrap();
        // days have the form of the first version of the ledger
        assert!(written.starts_with(r#"[["2023-02-28","__HIVE"#), "{written}");
        assert_eq!(
            serde_json::from_str::<[[PartitionDate; 2]; 2]>(&written).unwrap(),
            [days, months]
        );
        for (by, date) in days
            .map(|day| (PartitionBy::Day, day))
            .into_iter()
            .chain(months.map(|month| (PartitionBy::Month, month)))
        {
            let folder = format!("{}={date}", by.key());
            assert_eq!(date_of_folder(&folder, by), Some(date));
            let other = PartitionBy::ALL.into_iter().find(|other| *other != by).unwrap();
            assert_eq!(date_of_folder(&folder, other), None);
        }
        for wrong in [
            "month=2023-2",
            "month=2023-02-01",
            "month=2023-13",
            "month=",
            "2023-02",
            "date=2023-02",
        ] {
            assert_eq!(date_of_folder(wrong, PartitionBy::Month), None, "{wrong}");
        }
    }

    #[test]
    fn every_period_has_a_name_of_its_own_and_is_parsed_from_it() {
        let mut names = std::collections::HashSet::new();
        for year in -9999..=9999 {
            for month in 1..=12 {
                let date = jiff::civil::date(year, month, 1);
                for by in PartitionBy::ALL {
                    let date = PartitionDate::of(by, date);
                    let folder = format!("{}={date}", by.key());
                    assert_eq!(date_of_folder(&folder, by), Some(date), "{folder}");
                    assert_eq!(unnamed_january(&folder), None, "{folder}");
                    let json = serde_json::to_string(&date).unwrap();
                    assert_eq!(
                        serde_json::from_str::<PartitionDate>(&json).unwrap(),
                        date,
                        "{json}"
                    );
                    assert!(names.insert(folder), "{date} comes twice");
                    assert!(
                        !(0..=9999).contains(&year)
                            || date.to_string().starts_with(&format!("{year:04}-{month:02}"))
                    );
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_period_of_any_time_is_parsed_from_its_name(second in jiff::Timestamp::MIN.as_second()..=jiff::Timestamp::MAX.as_second()) {
            let at = jiff::Timestamp::from_second(second).unwrap();
            let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
            for by in PartitionBy::ALL {
                let date = PartitionDate::of(by, day);
                let first = date.first().unwrap();
                proptest::prop_assert_eq!(date_of_folder(&format!("{}={date}", by.key()), by), Some(date));
                proptest::prop_assert!(first <= day && (first.year(), first.month()) == (day.year(), day.month()));
            }
        }
    }

    #[test]
    fn periods_are_counted_from_one_to_another() {
        let up_to = |by, first: &str, last: &str| {
            let of = |date: &str| PartitionDate::of(by, date.parse().unwrap());
            of(first).up_to(of(last))
        };
        assert_eq!(up_to(PartitionBy::Day, "2023-12-31", "2024-01-01"), 2);
        assert_eq!(up_to(PartitionBy::Month, "2023-12-31", "2024-01-01"), 2);
        assert_eq!(up_to(PartitionBy::Month, "2023-01-01", "2023-01-31"), 1);
        assert_eq!(up_to(PartitionBy::Month, "2022-11-05", "2024-01-01"), 15);
    }
}
