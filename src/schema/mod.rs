//! What a dataset looks like to its readers: its columns and types, and words to read it with in each engine.
//!
//! All of it comes from the Arrow schema and the folders that are there, or will be: a table that gets other columns
//! or other folders needs no change here.

mod engine;
mod types;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::Field;
use serde::Serialize;

pub use engine::Engine;
pub use types::Type;

use crate::dataset::{Dataset, Shape};
use crate::error::Result;
use crate::table::{PartitionBy, PartitionKey, Period, Settings, Table};

/// Where the folder of a table stands in words to read it with, as long as there is none.
const SOME_TABLE: &str = "./lake";

/// What readers find.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// The settings of the table that is there; none where this is what any table will be.
    pub settings: Option<Settings>,
    /// What is known of each dataset.
    pub datasets: BTreeMap<&'static str, Described>,
}

/// What readers find of a dataset.
#[derive(Clone, Debug, Serialize)]
pub struct Described {
    /// The folder of all its files.
    pub path: PathBuf,
    /// The bots that it holds.
    pub bots: Vec<String>,
    /// Its rows.
    pub rows: u64,
    /// The columns of every file, in their order.
    pub columns: Vec<Column>,
    /// The columns that stand in the names of folders, outermost first.
    pub folders: Vec<Column>,
    /// Words to read it with, by engine.
    pub snippets: BTreeMap<Engine, String>,
}

/// A column, as readers find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub r#type: Type,
    /// Whether a value may be missing.
    pub nullable: bool,
    /// The API's field that it is made of, where it is made of one.
    pub from: Option<String>,
}

/// What a table with the default settings will be.
///
/// # Errors
/// Where a column has a type that there are no words for.
pub fn contract(datasets: &[Dataset]) -> Result<Description> {
    let described = |dataset: &Dataset| {
        let path = Path::new(SOME_TABLE).join(dataset.name());
        let folder = some_folder(*dataset, PartitionBy::default());
        let described = Described::new(*dataset, path, &Shape::default(), &folder)?;
        Ok((dataset.name(), described.with_snippets(dataset.name())))
    };
    Ok(Description {
        settings: None,
        datasets: datasets.iter().map(described).collect::<Result<_>>()?,
    })
}

/// What the table that is there is.
///
/// # Errors
/// Where its manifest or a data file cannot be read.
pub fn of_table(table: &Table, datasets: &[Dataset]) -> Result<Description> {
    let out = std::path::absolute(table.out()).unwrap_or_else(|_| table.out().to_owned());
    let entries = table.manifest()?.whole(table.out())?;
    let described = |dataset: &Dataset| {
        let of_it = || entries.iter().filter(|(key, _)| key.dataset == *dataset);
        let by = table.settings().partition_by;
        let folder = of_it()
            .next()
            .map_or_else(|| some_folder(*dataset, by), |(key, _)| key.folder());
        let mut described = Described::new(*dataset, out.join(dataset.name()), table.shape(), &folder)?;
        described.rows = of_it().map(|(_, entry)| entry.rows).sum();
        described.bots = of_it().map(|(key, _)| key.bot.clone()).collect();
        described.bots.dedup();
        Ok((dataset.name(), described.with_snippets(dataset.name())))
    };
    Ok(Description {
        settings: Some(table.settings().clone()),
        datasets: datasets.iter().map(described).collect::<Result<_>>()?,
    })
}

/// The folder of some partition, for the names in it.
fn some_folder(dataset: Dataset, by: PartitionBy) -> PathBuf {
    let (bot, period) = (String::new(), Period::timeless(by));
    PartitionKey { dataset, bot, period }.folder()
}

impl Described {
    fn new(dataset: Dataset, path: PathBuf, shape: &Shape, folder: &Path) -> Result<Self> {
        let source = |name: &str| {
            let mut declared = dataset.columns().iter();
            let declared = declared.find(|column| column.name == name);
            declared
                .map(|column| column.field.to_owned())
                .or_else(|| shape.source(dataset, name))
        };
        let column = |field: &Arc<Field>| {
            Ok(Column {
                name: field.name().clone(),
                r#type: Type::of(field)?,
                nullable: field.is_nullable(),
                from: source(field.name()),
            })
        };
        let schema = shape.schema(dataset);
        let columns = schema.fields().iter().map(column).collect::<Result<_>>()?;
        let names = folder.iter().filter_map(|part| part.to_str()?.split_once('='));
        let folders = names.map(|(name, _)| Column {
            name: name.to_owned(),
            r#type: if name == "date" { Type::Date } else { Type::String },
            // what has no time stands in no day or month
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
