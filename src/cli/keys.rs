//! `converse-export keys`: the catalogue of metadata keys as a table, or as JSON.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table as Grid};

use super::args::{OutputArgs, RowFilterArgs, local};
use super::text_table::framed;
use super::{export, output};
use crate::dataset::Dataset;
use crate::display;
use crate::error::{Error, Result};
use crate::keys::{Catalogue, ColumnKeys, Key, KeysQuery, catalogue};
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  # every key of metadata and extra, how often it is there and what it looks like
  converse-export keys --out ./lake

  # what conversations of October have, as JSON, without showing values
  converse-export keys --out ./lake --dataset conversations --start 2023-10-01 --end 2023-11-01 \\
      --no-examples --json";

#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct KeysArgs {
    /// The folder that holds the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// Only these maps, e.g. metadata or extra; may be given several times [default: all]
    #[arg(long, value_name = "NAME")]
    pub(super) column: Vec<String>,
    /// Conversations or messages; may be given twice [default: both]
    #[arg(long, value_name = "DATASET")]
    pub(super) dataset: Vec<Dataset>,
    #[command(flatten)]
    pub(super) filter: RowFilterArgs,
    /// Show no values
    #[arg(long)]
    pub(super) no_examples: bool,
}

pub(super) async fn run(args: &KeysArgs, output: &OutputArgs) -> Result<u8> {
    let asked = args.clone();
    let looking = tokio::task::spawn_blocking(move || {
        Table::read(&asked.out, |table| catalogue(table, &query(&asked, table)?))
    });
    let catalogue = looking
        .await
        .map_err(|error| Error::Internal(format!("looking at the keys ended: {error}")))??;
    if output.json {
        output::json(&catalogue)?;
    } else {
        output::text(&text(&catalogue, !args.no_examples))?;
    }
    Ok(0)
}

fn query(args: &KeysArgs, table: &Table) -> Result<KeysQuery> {
    Ok(KeysQuery {
        datasets: export::datasets(&args.dataset),
        bots: args.filter.bot.clone(),
        columns: args.column.clone(),
        range: args.filter.range(table)?,
        examples: !args.no_examples,
    })
}

fn text(catalogue: &Catalogue, with_examples: bool) -> String {
    let mut parts = Vec::new();
    for (dataset, found) in &catalogue.datasets {
        for (name, column) in &found.columns {
            let rows = display::grouped(found.rows);
            if column.keys.is_empty() {
                parts.push(format!("{dataset}, {name}: {rows} rows, no keys"));
                continue;
            }
            parts.push(format!(
                "{dataset}, {name}: {rows} rows, {} keys",
                display::grouped(column.keys.len() as u64)
            ));
            parts.push(grid(column, with_examples).to_string());
            if column.others > 0 {
                parts.push(format!(
                    "and {} values of more keys than can be told apart",
                    display::grouped(column.others)
                ));
            }
        }
    }
    parts.join("\n")
}

/// Characters of the columns beside the examples, about, and those that a key may take.
const BESIDE: usize = 76;
const KEY: usize = 32;

fn grid(column: &ColumnKeys, with_examples: bool) -> Grid {
    let wide = output::width().saturating_sub(BESIDE).max(24);
    let examples = with_examples.then_some("examples");
    let heads = ["key", "rows", "share", "looks like", "first", "last"];
    let mut grid = framed(heads.into_iter().chain(examples));
    for key in &column.keys {
        let day = |day: Option<jiff::civil::Date>| day.map_or_else(|| "–".into(), |day| day.to_string());
        let mut row = vec![
            output::shortened(&plain(&key.key), KEY),
            display::grouped(key.rows),
            percent(key.share),
            looks(key),
            day(key.first),
            day(key.last),
        ];
        if with_examples {
            let examples: Vec<_> = key.examples.iter().map(|example| plain(example)).collect();
            row.push(output::shortened(&examples.join(" · "), wide));
        }
        grid.add_row(row);
    }
    for column in grid.column_iter_mut().skip(1).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    grid
}

/// Text as it is; as JSON writes it where it could not be seen for what it is.
fn plain(text: &str) -> Cow<'_, str> {
    if text.trim().len() < text.len() || text.is_empty() || text.contains(display::is_unsafe) {
        return serde_json::Value::from(text).to_string().into();
    }
    text.into()
}

/// The types, the most frequent first; how often, where there are several.
fn looks(key: &Key) -> String {
    let mut types: Vec<_> = key.types.iter().collect();
    types.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    if let [(look, _)] = types[..] {
        return look.name().to_owned();
    }
    let part = |count: u64| percent(count as f64 / key.rows.max(1) as f64);
    let told = types
        .into_iter()
        .map(|(look, count)| format!("{} {}", look.name(), part(*count)));
    told.collect::<Vec<_>>().join(", ")
}

/// In whole percents, but what is not all is not told as all, nor what is something as nothing.
fn percent(share: f64) -> String {
    let percents = (share * 100.0).round();
    match percents {
        100.0 if share < 1.0 => ">99 %".into(),
        0.0 if share > 0.0 => "<1 %".into(),
        _ => format!("{percents:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_would_not_be_seen_is_quoted() {
        let texts = ["web", "", "a\nb", " c"].map(plain);
        assert_eq!(texts, ["web", "\"\"", "\"a\\nb\"", "\" c\""]);
    }

    #[test]
    fn shares_are_told_in_percents_that_do_not_lie() {
        let texts = [0.0, 0.0001, 0.126, 0.9999, 1.0].map(percent);
        assert_eq!(
            texts.each_ref().map(String::as_str),
            ["0 %", "<1 %", "13 %", ">99 %", "100 %"]
        );
    }
}
