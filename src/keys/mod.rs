//! A catalogue of the keys that the maps of a table have: which, how often, since when, and what their values look
//! like. Reads the columns that it must, on all cores, in bounded memory.

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
use crate::table::{Entry, Part, PartitionKey, Table, Zone, times_in};
use crate::window::Window;

/// The column that may be text.
const METADATA: &str = "metadata";

/// What is to be catalogued.
#[derive(Clone, Debug, Default)]
pub struct KeysQuery {
    /// Of these datasets.
    pub datasets: Vec<Dataset>,
    /// Of these bots; of all where there is none.
    pub bots: Vec<String>,
    /// Of these columns; of all that are maps where there is none.
    pub columns: Vec<String>,
    /// Of rows whose time lies within; of all, also those without a time, where there is none.
    pub range: Option<Window>,
    /// Whether values are shown.
    pub examples: bool,
}

/// The keys of a table, by dataset.
#[derive(Clone, Debug, Serialize)]
pub struct Catalogue {
    /// What each dataset has.
    pub datasets: BTreeMap<&'static str, DatasetKeys>,
}

/// The keys of a dataset, by column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DatasetKeys {
    /// Rows that were looked at.
    pub rows: u64,
    /// What each column has.
    pub columns: BTreeMap<String, ColumnKeys>,
}

/// The keys of a column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ColumnKeys {
    /// Each key, the most frequent first.
    pub keys: Vec<Key>,
    /// Values of more keys than can be told apart.
    pub others: u64,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Key {
    /// Its name.
    pub key: String,
    /// Rows that have it.
    pub rows: u64,
    /// The same as a part of all rows that were looked at.
    pub share: f64,
    /// What its values look like, how often.
    pub types: BTreeMap<ValueType, u64>,
    /// The day of the first row that has it, in the table's zone.
    pub first: Option<Date>,
    /// The day of the last one.
    pub last: Option<Date>,
    /// Some of its values, shortened.
    pub examples: Vec<String>,
}

/// Makes the catalogue.
///
/// # Errors
/// Where the table cannot be read, or does not have what is asked for.
pub fn catalogue(table: &Table, query: &KeysQuery) -> Result<Catalogue> {
    let entries = table.manifest()?.whole(table.out())?;
    check_bots(&entries, &query.bots)?;
    let zone = table.zone()?;
    let mut datasets = BTreeMap::new();
    let mut known_columns = BTreeSet::new();
    for dataset in &query.datasets {
        let keys: Vec<_> = entries
            .iter()
            .filter(|(key, entry)| key.dataset == *dataset && query.may_be_in(key, entry))
            .map(|(key, _)| key)
            .collect();
        let schema = table.shape().schema(*dataset);
        known_columns.extend(maps(&schema, &[]).map(|column| schema.field(column).name().clone()));
        let mut sum = CatalogueCounts::of(&schema, &query.columns);
        table.each_part(
            keys,
            |_, part| query.count(*dataset, part, &zone),
            |counted| sum.merge(counted),
        )?;
        datasets.insert(dataset.name(), sum.told());
    }
    match query
        .columns
        .iter()
        .find(|column| !known_columns.contains(*column))
    {
        Some(unknown) => Err(Error::Usage {
            what: format!("--column {unknown} is no map that the table has"),
            hint: format!("give one of: {}", join(&known_columns)),
        }),
        None => Ok(Catalogue { datasets }),
    }
}

fn check_bots(entries: &BTreeMap<PartitionKey, Entry>, asked: &[String]) -> Result<()> {
    let bots: BTreeSet<&String> = entries.keys().map(|key| &key.bot).collect();
    match asked.iter().find(|bot| !bots.contains(bot)) {
        Some(unknown) => Err(Error::Usage {
            what: format!("the table has no rows of the bot {unknown}"),
            hint: format!("give one of: {}", join(&bots)),
        }),
        None => Ok(()),
    }
}

fn join(names: &BTreeSet<impl AsRef<str> + Ord>) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// The columns that are maps, or hold metadata as JSON text in their place, of these names or of any.
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

    /// Counts the keys of a part.
    fn count(&self, dataset: Dataset, part: Part, zone: &Zone) -> Result<CatalogueCounts> {
        let mut counted = CatalogueCounts::of(part.schema(), &self.columns);
        let columns: Vec<usize> = maps(part.schema(), &self.columns).collect();
        let time = dataset.time_column();
        let mut days = zone.days();
        for batch in part.batches(columns.into_iter().chain([time]))? {
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

/// What was counted of some parts.
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

    fn told(self) -> DatasetKeys {
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
    /// What was counted in so many rows.
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
