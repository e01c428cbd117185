//! `converse-export schema`: show columns and types, or print code that reads them.

use std::path::PathBuf;

use clap::Args;
use comfy_table::Table as TextTable;

use super::args::{OutputArgs, local};
use super::text_table::framed;
use super::{export, output};
use crate::dataset::Dataset;
use crate::display;
use crate::error::{Error, Result};
use crate::schema::{Described, Description, Engine, SchemaColumn, contract, of_table};
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  # the columns of any table
  converse-export schema

  # code that reads this table in an engine
  converse-export schema --out ./lake --for duckdb > lake.sql
  converse-export schema --out ./lake --for spark --dataset messages

  # everything, for a program
  converse-export schema --out ./lake --json";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct SchemaArgs {
    /// Folder of the table [default: show the schema of a new table]
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: Option<PathBuf>,
    /// conversations or messages [default: both]
    #[arg(long, value_name = "DATASET")]
    pub(super) dataset: Vec<Dataset>,
    /// Print only the code for this engine: duckdb, pandas, polars, spark, athena or trino
    #[arg(long = "for", value_name = "ENGINE", conflicts_with = "json")]
    pub(super) engine: Option<Engine>,
}

pub(super) fn run(args: &SchemaArgs, output: &OutputArgs) -> Result<u8> {
    let datasets = export::datasets(&args.dataset);
    let description = match &args.out {
        Some(out) => Table::read(out, |table| of_table(table, &datasets))?,
        None => contract(&datasets)?,
    };
    if output.json {
        output::json(&description)?;
    } else if let Some(engine) = args.engine {
        output::data(&snippets(&description, engine))?;
    } else {
        output::text(&text(&description)?)?;
        if !output.quiet {
            output::line(&format!(
                "print code to read it: --for {}",
                Engine::ALL.map(Engine::name).join(", --for ")
            ));
        }
    }
    Ok(0)
}

fn snippets(description: &Description, engine: Engine) -> String {
    let of_engine = description
        .datasets
        .values()
        .filter_map(|described| described.snippets.get(&engine));
    of_engine.map(String::as_str).collect::<Vec<_>>().join("\n\n")
}

fn text(description: &Description) -> Result<String> {
    let mut lines = Vec::new();
    if let Some(settings) = &description.settings {
        let settings = serde_json::to_value(settings).map_err(|error| Error::Internal(error.to_string()))?;
        let shown = settings.as_object().into_iter().flatten().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{}: {}", name.replace('_', " "), output::shortened(&value, 60))
        });
        lines.push(shown.collect::<Vec<_>>().join(" · "));
        lines.push(String::new());
    }
    for (dataset, described) in &description.datasets {
        lines.push(heading(dataset, described, description.settings.is_some()));
        lines.push(table(described).to_string());
    }
    Ok(lines.join("\n"))
}

fn heading(dataset: &str, described: &Described, is_there: bool) -> String {
    let folders: String = described
        .folders
        .iter()
        .map(|column| format!("/{}=*", column.name))
        .collect();
    let files = format!("{}{folders}/*.parquet", described.path.display());
    match (is_there, described.bots.len()) {
        (false, _) => format!("{dataset}: {files}"),
        (true, 0) => format!("{dataset}: no rows, {files}"),
        (true, _) => format!(
            "{dataset}: {} rows of {}, {files}",
            display::grouped(described.rows),
            output::shortened(&described.bots.join(", "), 60)
        ),
    }
}

fn table(described: &Described) -> TextTable {
    let mut table = framed(["column", "type", "", "from"]);
    let row = |column: &SchemaColumn, from: &str| {
        let required = if column.nullable { "" } else { "required" };
        [
            column.name.clone(),
            column.r#type.to_string(),
            required.to_owned(),
            from.to_owned(),
        ]
    };
    for column in &described.columns {
        let rest = if column.name == "extra" {
            "all other fields"
        } else {
            ""
        };
        table.add_row(row(column, column.from.as_deref().unwrap_or(rest)));
    }
    for column in &described.folders {
        table.add_row(row(column, "the folder name"));
    }
    table
}
