//! Describes a dataset to its readers: its columns, their types, and code to read it in each engine.
//!
//! Everything is derived from the Arrow schema and the partition folders.

mod engine;
mod types;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::Field;
use serde::Serialize;

pub use engine::Engine;
pub use types::Type;

use crate::dataset::{Dataset, TableOptions};
use crate::error::Result;
use crate::table::{PartitionBy, PartitionDate, PartitionKey, Settings, Table};

/// Example path of a table in code.
const EXAMPLE_TABLE: &str = "./lake";

/// Describes a table to its readers.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Settings of the table; `None` if this describes a new table.
    pub settings: Option<Settings>,
    /// Description of each dataset.
    pub datasets: BTreeMap<&'static str, Described>,
}

/// Describes a dataset to its readers.
#[derive(Clone, Debug, Serialize)]
pub struct Described {
    /// Folder of the dataset.
    pub path: PathBuf,
    /// Bots with rows.
    pub bots: Vec<String>,
    /// Number of rows.
    pub rows: u64,
    /// Columns of the data files, in order.
    pub columns: Vec<SchemaColumn>,
    /// Partition columns, which are in the names of folders, outermost first.
    pub folders: Vec<SchemaColumn>,
    /// Code to read it, by engine.
    pub snippets: BTreeMap<Engine, String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchemaColumn {
    /// Its name.
    pub name: String,
    /// Type of its values.
    pub r#type: Type,
    /// Whether it can be null.
    pub nullable: bool,
    /// The API's field that it comes from, if any.
    pub from: Option<String>,
}

/// Describes a new table with the default settings.
///
/// # Errors
/// If a column has an unsupported type.
pub fn contract(datasets: &[Dataset]) -> Result<Description> {
    let described = |dataset: &Dataset| {
        let path = Path::new(EXAMPLE_TABLE).join(dataset.name());
        let folder = example_folder(*dataset, PartitionBy::default());
        let described = Described::new(*dataset, path, &TableOptions::default(), &folder)?;
        Ok((dataset.name(), described.with_snippets(dataset.name())))
    };
    Ok(Description {
        settings: None,
        datasets: datasets.iter().map(described).collect::<Result<_>>()?,
    })
}

/// Describes an existing table.
///
/// # Errors
/// If its manifest or a data file cannot be read.
pub fn of_table(table: &Table, datasets: &[Dataset]) -> Result<Description> {
    let out = std::path::absolute(table.out()).unwrap_or_else(|_| table.out().to_owned());
    let entries = table.manifest()?.into_entries(table.out())?;
    let described = |dataset: &Dataset| {
        let own_entries = || entries.iter().filter(|(key, _)| key.dataset == *dataset);
        let by = table.settings().partition_by;
        let folder = own_entries()
            .next()
            .map_or_else(|| example_folder(*dataset, by), |(key, _)| key.folder());
        let mut described =
            Described::new(*dataset, out.join(dataset.name()), table.table_options(), &folder)?;
        described.rows = own_entries().map(|(_, entry)| entry.rows).sum();
        described.bots = own_entries().map(|(key, _)| key.bot.clone()).collect();
        described.bots.dedup();
        Ok((dataset.name(), described.with_snippets(dataset.name())))
    };
    Ok(Description {
        settings: Some(table.settings().clone()),
        datasets: datasets.iter().map(described).collect::<Result<_>>()?,
    })
}

/// Returns the folder of an example partition, for the names of its columns.
fn example_folder(dataset: Dataset, by: PartitionBy) -> PathBuf {
    let (bot, date) = (String::new(), PartitionDate::timeless(by));
    PartitionKey { dataset, bot, date }.folder()
}

impl Described {
    fn new(dataset: Dataset, path: PathBuf, table_options: &TableOptions, folder: &Path) -> Result<Self> {
        let source = |name: &str| {
            let mut declared = dataset.columns().iter();
            let declared = declared.find(|column| column.name == name);
            declared
                .map(|column| column.field.to_owned())
                .or_else(|| table_options.source(dataset, name))
        };
        let column = |field: &Arc<Field>| {
            Ok(SchemaColumn {
                name: field.name().clone(),
                r#type: Type::of(field)?,
                nullable: field.is_nullable(),
                from: source(field.name()),
            })
        };
        let schema = table_options.schema(dataset);
        let columns = schema.fields().iter().map(column).collect::<Result<_>>()?;
        let names = folder.iter().filter_map(|part| part.to_str()?.split_once('='));
        let folders = names.map(|(name, _)| SchemaColumn {
            name: name.to_owned(),
            r#type: if name == "date" { Type::Date } else { Type::String },
            // records without a time have no date
            nullable: name != "bot",
            from: None,
        });
        Ok(Self {
            path,
            bots: Vec::new(),
            rows: 0,
            columns,
            folders: folders.collect(),
            snippets: BTreeMap::new(),
        })
    }

    fn with_snippets(mut self, name: &str) -> Self {
        let snippets = Engine::ALL.map(|engine| (engine, engine.snippet(name, &self)));
        self.snippets = snippets.into();
        self
    }
}
