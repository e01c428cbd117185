//! `converse-export keys`: show the catalogue of metadata keys.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;
use comfy_table::Table as TextTable;

use super::args::{OutputArgs, RowFilterArgs, local};
use super::text_table::{align_right, framed};
use super::{export, output};
use crate::dataset::Dataset;
use crate::display;
use crate::error::{Error, Result};
use crate::keys::{Catalogue, ColumnKeys, Key, KeysQuery, catalogue};
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  # every key of metadata and extra, its frequency and types
  converse-export keys --out ./lake

  # the keys of October's conversations as JSON, without values
  converse-export keys --out ./lake --dataset conversations --start 2023-10-01 --end 2023-11-01 \\
      --no-examples --json";

#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct KeysArgs {
    /// Folder of the table
    #[arg(long, value_name = "PATH", value_parser = local())]
    pub(super) out: PathBuf,
    /// Only these map columns, e.g. metadata or extra; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub(super) column: Vec<String>,
    /// conversations or messages [default: both]
    #[arg(long, value_name = "DATASET")]
    pub(super) dataset: Vec<Dataset>,
    #[command(flatten)]
    pub(super) filter: RowFilterArgs,
    /// Hide example values
    #[arg(long)]
    pub(super) no_examples: bool,
}

pub(super) async fn run(args: &KeysArgs, output: &OutputArgs) -> Result<u8> {
    let owned = args.clone();
    let task = tokio::task::spawn_blocking(move || {
        Table::read(&owned.out, |table| catalogue(table, &query(&owned, table)?))
    });
    let catalogue = task
        .await
        .map_err(|error| Error::Internal(format!("the catalogue ended early: {error}")))??;
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
            parts.push(table(column, with_examples).to_string());
            if column.others > 0 {
                parts.push(format!(
                    "and {} values of further keys",
                    display::grouped(column.others)
                ));
            }
        }
    }
    parts.join("\n")
}

/// Width of the other columns, about.
const OTHER_COLUMNS: usize = 76;
/// Maximum width of a key.
const KEY_WIDTH: usize = 32;

fn table(column: &ColumnKeys, with_examples: bool) -> TextTable {
    let wide = output::width().saturating_sub(OTHER_COLUMNS).max(24);
    let examples = with_examples.then_some("examples");
    let heads = ["key", "rows", "share", "types", "first", "last"];
    let mut table = framed(heads.into_iter().chain(examples));
    for key in &column.keys {
        let day = |day: Option<jiff::civil::Date>| day.map_or_else(|| "–".into(), |day| day.to_string());
        let mut row = vec![
            output::shortened(&visible(&key.key), KEY_WIDTH),
            display::grouped(key.rows),
            percent(key.share),
            types(key),
            day(key.first),
            day(key.last),
        ];
        if with_examples {
            let examples: Vec<_> = key.examples.iter().map(|example| visible(example)).collect();
            row.push(output::shortened(&examples.join(" · "), wide));
        }
        table.add_row(row);
    }
    align_right(&mut table, 1..3);
    table
}

/// Returns a text, quoted as JSON if it has invisible characters or surrounding spaces.
fn visible(text: &str) -> Cow<'_, str> {
    if text.trim().len() < text.len() || text.is_empty() || text.contains(display::is_unsafe) {
        return serde_json::Value::from(text).to_string().into();
    }
    text.into()
}

/// Lists the types of a key's values, the most frequent first, with their shares if there are several.
fn types(key: &Key) -> String {
    let mut types: Vec<_> = key.types.iter().collect();
    types.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    if let [(only, _)] = types[..] {
        return only.name().to_owned();
    }
    let part = |count: u64| percent(count as f64 / key.rows.max(1) as f64);
    let shares = types
        .into_iter()
        .map(|(value_type, count)| format!("{} {}", value_type.name(), part(*count)));
    shares.collect::<Vec<_>>().join(", ")
}

/// Formats a share in whole percents. Only a full share shows as 100%, and only an empty one as 0%.
fn percent(share: f64) -> String {
    let percents = (share * 100.0).round();
    match percents {
        100.0 if share < 1.0 => ">99%".into(),
        0.0 if share > 0.0 => "<1%".into(),
        _ => format!("{percents:.0}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_text_is_quoted() {
        let texts = ["web", "", "a\nb", " c"].map(visible);
        assert_eq!(texts, ["web", "\"\"", "\"a\\nb\"", "\" c\""]);
    }

    #[test]
    fn only_full_and_empty_shares_show_as_such() {
        let texts = [0.0, 0.0001, 0.126, 0.9999, 1.0].map(percent);
        assert_eq!(
            texts.each_ref().map(String::as_str),
            ["0%", "<1%", "13%", ">99%", "100%"]
        );
    }
}
