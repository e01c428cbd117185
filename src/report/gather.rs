//! Reads what a report needs: of conversations and messages a few columns each, on all cores, once.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, ListArray, MapArray, RecordBatch, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::civil::Date;

use super::bins::Count;
use super::counts::DimensionCounts;
use super::user_agents::UserAgents;
use super::{Dimension, ReportQuery};
use crate::dataset::{Dataset, entries_of, metadata_map};
use crate::error::Result;
use crate::keys::KeyCounts;
use crate::table::{DataFile, Zone, times_in};

/// Hours of a week, from Monday's first on.
pub(super) const HOURS: usize = 7 * 24;
/// What was read of some files.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) total: Count,
    pub(super) days: BTreeMap<Date, Count>,
    /// Rows without a time.
    pub(super) undated: Count,
    /// Conversations by hour of the week.
    pub(super) hours: Vec<u64>,
    pub(super) by: BTreeMap<Dimension, DimensionCounts>,
    pub(super) tags: DimensionCounts,
    pub(super) types: DimensionCounts,
    pub(super) keys: KeyCounts,
}

impl Gathered {
    pub(super) fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.undated += other.undated;
        for (day, count) in other.days {
            *self.days.entry(day).or_default() += count;
        }
        self.hours.resize(HOURS, 0);
        for (hour, more) in self.hours.iter_mut().zip(other.hours) {
            *hour += more;
        }
        for (dimension, counts) in other.by {
            self.by.entry(dimension).or_default().merge(counts);
        }
        self.tags.merge(other.tags);
        self.types.merge(other.types);
        self.keys.merge(other.keys);
    }

    fn add(&mut self, day: Option<Date>, count: Count) {
        self.total += count;
        match day {
            Some(day) => *self.days.entry(day).or_default() += count,
            None => self.undated += count,
        }
    }
}

/// The columns of a dataset that a report reads.
fn columns(dataset: Dataset) -> &'static [&'static str] {
    match dataset {
        Dataset::Conversations => &["start_time", "locale", "tags", "metadata"],
        Dataset::Messages => &["time", "type"],
    }
}

/// Reads a file.
pub(super) fn gather(query: &ReportQuery, dataset: Dataset, file: DataFile, zone: &Zone) -> Result<Gathered> {
    let mut gathered = Gathered {
        hours: vec![0; HOURS],
        ..Gathered::default()
    };
    let fields = file.schema().fields().iter().enumerate();
    let columns: Vec<usize> = fields
        .filter(|(_, field)| columns(dataset).contains(&field.name().as_str()))
        .map(|(column, _)| column)
        .collect();
    let mut agents = UserAgents::default();
    for batch in file.batches(Some(&columns))? {
        let batch = batch?;
        let times = query.times(dataset, &batch, zone);
        match dataset {
            Dataset::Conversations => {
                gathered.conversations(query, &batch, &times, &mut agents);
            }
            Dataset::Messages => gathered.messages(&batch, &times),
        }
    }
    Ok(gathered)
}

/// When a row that counts was, in the table's zone: its day and hour of the week, where it has a time.
type Time = Option<(Date, usize)>;

impl ReportQuery {
    /// The time of each row; none for those that do not count.
    fn times(&self, dataset: Dataset, batch: &RecordBatch, zone: &Zone) -> Vec<Option<Time>> {
        let column = dataset.columns()[dataset.time_column()].name;
        let Some(times) = batch.column_by_name(column) else {
            return vec![None; batch.num_rows()];
        };
        let mut local = Local { zone, known: None };
        let times = times.as_primitive::<TimestampMicrosecondType>();
        times_in(times, self.range, |time| local.of(time))
    }
}

/// Tells the local time of one moment after another, quick where they lie near each other.
struct Local<'a> {
    zone: &'a Zone,
    known: Option<(i64, Time)>,
}

impl Local<'_> {
    fn of(&mut self, micros: i64) -> Time {
        // no zone has changed its clock within a minute
        let minute = micros.div_euclid(60_000_000);
        match self.known {
            Some((known, time)) if known == minute => time,
            _ => {
                let time = self.zone.local(micros).map(|at| {
                    let day = usize::from(at.weekday().to_monday_zero_offset().unsigned_abs());
                    (at.date(), day * 24 + usize::from(at.hour().unsigned_abs()))
                });
                self.known = Some((minute, time));
                time
            }
        }
    }
}

impl Gathered {
    fn conversations(
        &mut self,
        query: &ReportQuery,
        batch: &RecordBatch,
        times: &[Option<Time>],
        agents: &mut UserAgents,
    ) {
        let locales = batch
            .column_by_name("locale")
            .and_then(|column| column.as_string_opt::<i32>());
        let tags = batch
            .column_by_name("tags")
            .and_then(|column| column.as_list_opt::<i32>());
        let metadata = batch.column_by_name("metadata").and_then(metadata_map);
        let metadata = metadata.as_ref();
        let channels = metadata.map(|maps| Lookup::new(maps, "__sys_channel"));
        let user_agents = metadata.map(|maps| Lookup::new(maps, "__sys_userAgentParsed"));
        for (row, time) in times.iter().enumerate() {
            let Some(time) = *time else { continue };
            let mut count = Count {
                sessions: 1,
                ..Count::default()
            };
            if let Some(tags) = tags.filter(|tags| tags.is_valid(row)) {
                self.tags_of(query, tags, row, &mut count);
            }
            self.add(time.map(|(day, _)| day), count);
            if let Some((_, hour)) = time {
                self.hours[hour] += 1;
            }
            let agent = user_agents.as_ref().and_then(|agents| agents.of(row));
            let agent = agent.map(|text| agents.of(text));
            let channel = channels.as_ref().and_then(|channels| channels.of(row));
            for (dimension, value) in [
                (Dimension::Locale, text(locales, row)),
                (Dimension::Channel, channel),
                (Dimension::Device, agent.and_then(|agent| agent.device.as_deref())),
                (
                    Dimension::Browser,
                    agent.and_then(|agent| agent.browser.as_deref()),
                ),
            ] {
                self.by.entry(dimension).or_default().add(value);
            }
        }
        if let Some(maps) = metadata {
            let days: Vec<_> = times
                .iter()
                .map(|time| time.map(|time| time.map(|(day, _)| day)))
                .collect();
            self.keys.add(maps, None, &days, false);
        }
    }

    /// What the tags of a row say.
    fn tags_of(&mut self, query: &ReportQuery, tags: &ListArray, row: usize, count: &mut Count) {
        let tags = tags.value(row);
        let Some(tags) = tags.as_string_opt::<i32>() else {
            return;
        };
        for (nth, tag) in tags.iter().enumerate() {
            // a tag that a row has twice is one
            let Some(tag) = tag.filter(|tag| !tags.iter().take(nth).any(|earlier| earlier == Some(tag)))
            else {
                continue;
            };
            self.tags.add(Some(tag));
            let is_one = |names: &[String]| u64::from(names.iter().any(|name| name == tag));
            count.handovers |= is_one(&query.tags.handover);
            count.resolved |= is_one(&query.tags.resolved);
            count.informed |= is_one(&query.tags.informed);
        }
    }

    fn messages(&mut self, batch: &RecordBatch, times: &[Option<Time>]) {
        let types = batch
            .column_by_name("type")
            .and_then(|column| column.as_string_opt::<i32>());
        let count = Count {
            messages: 1,
            ..Count::default()
        };
        for (row, time) in times.iter().enumerate() {
            let Some(time) = *time else { continue };
            self.add(time.map(|(day, _)| day), count);
            self.types.add(text(types, row));
        }
    }
}

fn text(texts: Option<&StringArray>, row: usize) -> Option<&str> {
    let texts = texts.filter(|texts| texts.is_valid(row))?;
    Some(texts.value(row))
}

/// Looks one key up in maps.
struct Lookup<'a> {
    maps: &'a MapArray,
    key: &'static str,
}

impl<'a> Lookup<'a> {
    fn new(maps: &'a MapArray, key: &'static str) -> Self {
        Self { maps, key }
    }

    /// The value in a row.
    fn of(&self, row: usize) -> Option<&'a str> {
        if self.maps.is_null(row) {
            return None;
        }
        let (keys, values, places) = entries_of(self.maps);
        let place = places(row).find(|place| keys.value(*place) == self.key)?;
        text(Some(values), place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_is_the_zones() {
        let zone = Zone::named("America/New_York").unwrap();
        let mut local = Local {
            zone: &zone,
            known: None,
        };
        let mut of = |text: &str| local.of(text.parse::<jiff::Timestamp>().unwrap().as_microsecond());
        let sunday = jiff::civil::date(2023, 10, 1);
        assert_eq!(of("2023-10-02T03:59:59Z"), Some((sunday, 6 * 24 + 23)));
        assert_eq!(of("2023-10-02T04:00:00Z"), Some((sunday.tomorrow().unwrap(), 0)));
        assert_eq!(of("2023-10-02T04:00:30Z"), Some((sunday.tomorrow().unwrap(), 0)));
    }
}
