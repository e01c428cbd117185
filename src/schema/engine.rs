//! Code that reads a dataset, for each engine.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::types::{DUCKDB, HIVE, POLARS, PYARROW, TRINO, TypeNames};
use super::{Described, SchemaColumn, Type};
use crate::table::{FolderKey, duckdb_table};

/// An engine that reads tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// DuckDB, SQL.
    DuckDb,
    /// pandas, Python.
    Pandas,
    /// polars, Python.
    Polars,
    /// Spark, Python.
    Spark,
    /// Amazon Athena, DDL.
    Athena,
    /// Trino, DDL of its Hive connector.
    Trino,
}

/// Example location for engines that cannot read local folders.
const BUCKET: &str = "s3://YOUR-BUCKET/lake";
/// A metadata key for the examples.
const EXAMPLE_KEY: &str = "__sys_channel";

impl Engine {
    /// Every engine.
    pub const ALL: [Self; 6] = [
        Self::DuckDb,
        Self::Pandas,
        Self::Polars,
        Self::Spark,
        Self::Athena,
        Self::Trino,
    ];

    /// Name of the engine.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::Pandas => "pandas",
            Self::Polars => "polars",
            Self::Spark => "spark",
            Self::Athena => "athena",
            Self::Trino => "trino",
        }
    }

    /// Returns the code that reads a dataset.
    pub(super) fn snippet(self, name: &str, described: &Described) -> String {
        let needs_path = matches!(self, Self::Pandas | Self::Polars | Self::Spark);
        let path = match described.path.to_str() {
            None if needs_path => {
                return "# cannot print code: the path of this table is not UTF-8. Use a symbolic link to it"
                    .into();
            }
            path => path.unwrap_or_default().to_owned(),
        };
        let snippet = Snippet {
            name,
            path,
            described,
        };
        match self {
            Self::DuckDb => snippet.duckdb(),
            Self::Pandas => snippet.pandas(),
            Self::Polars => snippet.polars(),
            Self::Spark => snippet.spark(),
            Self::Athena => snippet.athena(),
            Self::Trino => snippet.trino(),
        }
    }
}

/// Builds the code for a dataset.
struct Snippet<'a> {
    name: &'a str,
    path: String,
    described: &'a Described,
}

impl Snippet<'_> {
    fn duckdb(&self) -> String {
        let Self { name, .. } = self;
        let folders = self.described.folders.iter();
        let types: Vec<String> = folders
            .clone()
            .map(|column| column.r#type.named(&DUCKDB))
            .collect();
        let keys: Vec<FolderKey<'_>> = folders
            .zip(&types)
            .map(|(column, r#type)| FolderKey {
                name: &column.name,
                r#type,
            })
            .collect();
        let table = match duckdb_table(&self.described.path, &keys, true) {
            Ok(table) => table,
            Err(comment) => return comment.to_owned(),
        };
        let mut lines = vec![
            format!("CREATE OR REPLACE VIEW {name} AS"),
            format!("SELECT * FROM {table};"),
        ];
        if let Some((column, is_json)) = self.metadata() {
            let channel = match is_json {
                false => format!("{column}['{EXAMPLE_KEY}']"),
                true => format!("{column}->>'{EXAMPLE_KEY}'"),
            };
            lines.push(format!(
                "SELECT {channel} AS channel, count(*) AS {name} FROM {name} GROUP BY ALL ORDER BY ALL;"
            ));
        }
        lines.join("\n")
    }

    fn pandas(&self) -> String {
        let Self { name, .. } = self;
        let mut lines = vec![
            "import pandas as pd, pyarrow as pa, pyarrow.dataset as ds".to_owned(),
            format!("{name} = pd.read_parquet("),
            format!("    {},", python(&self.path)),
            format!(
                "    partitioning=ds.partitioning(pa.schema([{}]), flavor=\"hive\"),",
                each(&self.described.folders, ", ", |column| format!(
                    "({}, {})",
                    python(&column.name),
                    column.r#type.named(&PYARROW)
                ))
            ),
            "    to_pandas_kwargs={\"maps_as_pydicts\": \"strict\"},  # maps as dicts: pandas 3".to_owned(),
            ")  # less to read: columns=[…], filters=[…]".to_owned(),
        ];
        if let Some((column, is_json)) = self.metadata() {
            let (load, loaded) = match is_json {
                false => ("", ""),
                true => ("import json; ", ".map(json.loads, na_action=\"ignore\")"),
            };
            lines.push(format!(
                "{load}print({name}[{}]{loaded}.str.get(\"{EXAMPLE_KEY}\").value_counts())",
                python(column)
            ));
        }
        lines.join("\n")
    }

    fn polars(&self) -> String {
        let Self { name, .. } = self;
        let folders = each(&self.described.folders, ", ", |column| {
            format!("{}: {}", python(&column.name), column.r#type.named(&POLARS))
        });
        let mut lines = vec![
            "import polars as pl".to_owned(),
            format!("{name} = pl.scan_parquet("),
            format!(
                "    {}, hive_partitioning=True, hive_schema={{{folders}}}",
                python(&self.path)
            ),
            ")  # lazy: .collect() reads".to_owned(),
        ];
        if let Some((column, is_json)) = self.metadata() {
            let (get, note) = match is_json {
                false => (format!("map.get(\"{EXAMPLE_KEY}\")"), "  # maps: polars 2"),
                true => (format!("str.json_path_match(\"$.{EXAMPLE_KEY}\")"), ""),
            };
            let column = python(column);
            lines.push(format!(
                "channel = pl.col({column}).{get}.alias(\"channel\"){note}"
            ));
            lines.push(format!("print({name}.group_by(channel).len().collect())"));
        }
        lines.join("\n")
    }

    fn spark(&self) -> String {
        let Self { name, described, .. } = self;
        let columns = each(described.all(), ", ", |column| definition(column, &HIVE, '`'));
        let mut lines = vec![
            format!("{name} = spark.read.schema("),
            format!("    {}", python(&columns)),
            format!(").parquet({})", python(&hadoop_path(&self.path))),
        ];
        if let Some((column, is_json)) = self.metadata() {
            let channel = match is_json {
                false => format!("{name}[{}][\"{EXAMPLE_KEY}\"]", python(column)),
                true => {
                    lines.push("from pyspark.sql.functions import get_json_object".to_owned());
                    format!("get_json_object({}, \"$.{EXAMPLE_KEY}\")", python(column))
                }
            };
            lines.push(format!(
                "{name}.groupBy({channel}.alias(\"channel\")).count().show()"
            ));
        }
        lines.join("\n")
    }

    fn athena(&self) -> String {
        let Self { name, described, .. } = self;
        [
            format!("-- the folder {name}/ of the table, copied to {BUCKET}/{name}/"),
            format!("CREATE EXTERNAL TABLE {name} ("),
            each(&described.columns, ",\n", |column| {
                format!("  {}", definition(column, &HIVE, '`'))
            }),
            ")".to_owned(),
            format!(
                "PARTITIONED BY ({})",
                each(&described.folders, ", ", |column| definition(column, &HIVE, '`'))
            ),
            "STORED AS PARQUET".to_owned(),
            format!("LOCATION '{BUCKET}/{name}/';"),
            format!("MSCK REPAIR TABLE {name};  -- again after each export"),
        ]
        .join("\n")
    }

    fn trino(&self) -> String {
        let Self { name, described, .. } = self;
        [
            format!("-- the folder {name}/ of the table, copied to {BUCKET}/{name}/"),
            "SET SESSION hive.timestamp_precision = 'MICROSECONDS';".to_owned(),
            format!("CREATE TABLE hive.default.{name} ("),
            each(described.all(), ",\n", |column| {
                format!("  {}", definition(column, &TRINO, '"'))
            }),
            ") WITH (".to_owned(),
            "  format = 'PARQUET',".to_owned(),
            format!("  external_location = '{BUCKET}/{name}/',"),
            format!(
                "  partitioned_by = ARRAY[{}]",
                each(&described.folders, ", ", |column| quoted(&column.name, '\''))
            ),
            ");".to_owned(),
            "-- again after each export".to_owned(),
            format!("CALL hive.system.sync_partition_metadata('default', '{name}', 'FULL');"),
        ]
        .join("\n")
    }

    /// Returns the metadata column for the example, and whether it is JSON text instead of a map.
    fn metadata(&self) -> Option<(&str, bool)> {
        let mut columns = self
            .described
            .columns
            .iter()
            .filter(|column| column.from.is_some());
        columns.find_map(|column| match column.r#type {
            Type::Map(..) => Some((column.name.as_str(), false)),
            Type::Json => Some((column.name.as_str(), true)),
            _ => None,
        })
    }
}

impl Described {
    /// Returns the columns of its files, then the partition columns.
    fn all(&self) -> impl Iterator<Item = &SchemaColumn> {
        self.columns.iter().chain(&self.folders)
    }
}

fn definition(column: &SchemaColumn, names: &TypeNames, quote: char) -> String {
    format!("{} {}", quoted(&column.name, quote), column.r#type.named(names))
}

/// Formats columns, joined by `between`.
fn each<'a>(
    columns: impl IntoIterator<Item = &'a SchemaColumn>,
    between: &str,
    format: impl Fn(&SchemaColumn) -> String,
) -> String {
    columns.into_iter().map(format).collect::<Vec<_>>().join(between)
}

/// Quotes a text as in SQL, with inner quotes doubled.
fn quoted(text: &str, quote: char) -> String {
    format!(
        "{quote}{}{quote}",
        text.replace(quote, &format!("{quote}{quote}"))
    )
}

/// Escapes the special characters of Hadoop's glob patterns in a path.
fn hadoop_path(path: &str) -> String {
    let is_special = |character: char| "{}[]*?\\".contains(character);
    let escape = |character: char| match is_special(character) {
        true => format!("\\{character}"),
        false => character.into(),
    };
    path.chars().map(escape).collect()
}

/// Formats a string literal of Python, for which JSON's syntax is valid.
fn python(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|engine| engine.name() == name);
        found.ok_or_else(|| format!("expected one of: {}", Self::ALL.map(Self::name).join(", ")))
    }
}
