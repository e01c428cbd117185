//! The catalogue of keys in the map columns of a table: their frequency, types, days and examples. Reads only the needed
//! columns, in parallel and with bounded memory.

mod key_counts;
mod value_type;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema, TimestampMicrosecondType};
use jiff::civil::Date;
use serde::Serialize;

pub(crate) use key_counts::KeyCounts;
use key_counts::KeyStats;
pub use value_type::ValueType;

use crate::dataset::{Dataset, metadata_map};
use crate::error::{Error, Result};
use crate::table::{DataFile, Entry, PartitionKey, Table, Zone, times_in};
use crate::window::Window;

/// The map column that may be JSON text.
const METADATA: &str = "metadata";

/// Selects what is catalogued.
#[derive(Clone, Debug, Default)]
pub struct KeysQuery {
    /// Datasets.
    pub datasets: Vec<Dataset>,
    /// Bots; empty for all.
    pub bots: Vec<String>,
    /// Map columns; empty for all.
    pub columns: Vec<String>,
    /// Range of row times; `None` for all rows, also those without a time.
    pub range: Option<Window>,
    /// Whether example values are collected.
    pub examples: bool,
}

/// The keys of a table, by dataset.
#[derive(Clone, Debug, Serialize)]
pub struct Catalogue {
    /// The keys of each dataset.
    pub datasets: BTreeMap<&'static str, DatasetKeys>,
}

/// The keys of a dataset, by column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DatasetKeys {
    /// Rows that were read.
    pub rows: u64,
    /// The keys of each column.
    pub columns: BTreeMap<String, ColumnKeys>,
}

/// The keys of a column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ColumnKeys {
    /// Each key, the most frequent first.
    pub keys: Vec<Key>,
    /// Number of values of further keys, beyond the bound of memory.
    pub others: u64,
}

/// A key and its statistics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Key {
    /// Its name.
    pub key: String,
    /// Rows that have it.
    pub rows: u64,
    /// Share of the rows that were read.
    pub share: f64,
    /// Types of its values, with their counts.
    pub types: BTreeMap<ValueType, u64>,
    /// The day of the first row that has it, in the table's zone.
    pub first: Option<Date>,
    /// The day of the last one.
    pub last: Option<Date>,
    /// Examples of its values, shortened.
    pub examples: Vec<String>,
}

/// Creates the catalogue.
///
/// # Errors
/// If the table cannot be read, or has no such bot or column.
pub fn catalogue(table: &Table, query: &KeysQuery) -> Result<Catalogue> {
    let entries = table.manifest()?.into_entries(table.out())?;
    check_bots(&entries, &query.bots)?;
    let zone = table.zone()?;
    let mut datasets = BTreeMap::new();
    let mut known_columns = BTreeSet::new();
    for dataset in &query.datasets {
        let partitions: Vec<_> = entries
            .iter()
            .filter(|(key, entry)| key.dataset == *dataset && query.may_be_in(key, entry))
            .collect();
        let schema = table.table_options().schema(*dataset);
        known_columns.extend(maps(&schema, &[]).map(|column| schema.field(column).name().clone()));
        let mut sum = CatalogueCounts::of(&schema, &query.columns);
        table.each_file(
            &partitions,
            |file| query.count(*dataset, file, &zone),
            |counted| sum.merge(counted),
        )?;
        datasets.insert(dataset.name(), sum.into_keys());
    }
    match query
        .columns
        .iter()
        .find(|column| !known_columns.contains(*column))
    {
        Some(unknown) => Err(Error::Usage {
            what: format!("cannot catalogue {unknown}: the table has no such map column"),
            hint: format!("give one of: {}", join(&known_columns)),
        }),
        None => Ok(Catalogue { datasets }),
    }
}

fn check_bots(entries: &BTreeMap<PartitionKey, Entry>, requested: &[String]) -> Result<()> {
    let bots: BTreeSet<&String> = entries.keys().map(|key| &key.bot).collect();
    match requested.iter().find(|bot| !bots.contains(bot)) {
        Some(unknown) => Err(Error::Usage {
            what: format!("cannot catalogue the bot {unknown}: the table has no rows of it"),
            hint: format!("give one of: {}", join(&bots)),
        }),
        None => Ok(()),
    }
}

fn join(names: &BTreeSet<impl AsRef<str> + Ord>) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// Returns the map columns, and metadata as JSON text, with one of these names, or all if there are none.
fn maps<'a>(schema: &'a Schema, names: &'a [String]) -> impl Iterator<Item = usize> + 'a {
    let fields = schema.fields().iter().enumerate();
    let is_map = |field: &Field| {
        let text = *field.data_type() == DataType::Utf8 && field.name() == METADATA;
        matches!(field.data_type(), DataType::Map(..)) || text
    };
    fields
        .filter(move |(_, field)| is_map(field))
        .filter(|(_, field)| names.is_empty() || names.contains(field.name()))
        .map(|(column, _)| column)
}

impl KeysQuery {
    fn may_be_in(&self, key: &PartitionKey, entry: &Entry) -> bool {
        entry.may_lie_in(self.range) && (self.bots.is_empty() || self.bots.contains(&key.bot))
    }

    /// Counts the keys of a file.
    fn count(&self, dataset: Dataset, file: DataFile, zone: &Zone) -> Result<CatalogueCounts> {
        let mut counted = CatalogueCounts::of(file.schema(), &self.columns);
        let time = dataset.time_column();
        let columns: Vec<usize> = maps(file.schema(), &self.columns).chain([time]).collect();
        let mut days = zone.days();
        for batch in file.batches(Some(&columns))? {
            let batch = batch?;
            let schema = batch.schema();
            let Some(times) = schema.column_with_name(dataset.columns()[time].name) else {
                continue;
            };
            let times = batch.column(times.0).as_primitive::<TimestampMicrosecondType>();
            let days = times_in(times, self.range, |time| days.of(Some(time)).first());
            counted.rows += days.iter().flatten().count() as u64;
            for (name, counts) in &mut counted.columns {
                let column = batch.column_by_name(name);
                if let Some(maps) = column.and_then(metadata_map) {
                    let types = column.and_then(|column| column.as_string_opt());
                    let types = types.map(ValueType::of_objects);
                    counts.add(&maps, types.as_deref(), &days, self.examples);
                }
            }
        }
        Ok(counted)
    }
}

/// What was counted in some files.
struct CatalogueCounts {
    rows: u64,
    columns: BTreeMap<String, KeyCounts>,
}

impl CatalogueCounts {
    fn of(schema: &Schema, names: &[String]) -> Self {
        let columns = maps(schema, names).map(|column| schema.field(column).name().clone());
        Self {
            rows: 0,
            columns: columns.map(|name| (name, KeyCounts::default())).collect(),
        }
    }

    fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        for (name, counts) in other.columns {
            self.columns.entry(name).or_default().merge(counts);
        }
    }

    fn into_keys(self) -> DatasetKeys {
        let rows = self.rows;
        let columns = self.columns.into_iter();
        DatasetKeys {
            rows,
            columns: columns
                .map(|(name, counts)| (name, ColumnKeys::of(counts, rows)))
                .collect(),
        }
    }
}

impl ColumnKeys {
    /// Converts the counts of `rows` rows.
    pub(crate) fn of(counts: KeyCounts, rows: u64) -> Self {
        let others = counts.others;
        let keys = counts.into_keys();
        let mut keys: Vec<Key> = keys.map(|(key, stats)| Key::of(key, stats, rows)).collect();
        keys.sort_by(|one, other| other.rows.cmp(&one.rows).then_with(|| one.key.cmp(&other.key)));
        Self { keys, others }
    }
}

impl Key {
    fn of(key: String, stats: KeyStats, rows: u64) -> Self {
        let values = stats.values();
        let types = ValueType::ALL.into_iter().zip(stats.types);
        Self {
            key,
            rows: values,
            share: values as f64 / rows.max(1) as f64,
            types: types.filter(|(_, count)| *count > 0).collect(),
            first: stats.first,
            last: stats.last,
            examples: stats.examples,
        }
    }
}
