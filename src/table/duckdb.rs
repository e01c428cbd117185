//! Builds DuckDB queries that read the files of a dataset, for any path of the table.

use std::path::{Component, Path};

/// Comment that replaces the query if DuckDB cannot read the path.
const SEPARATOR: &str = "-- DuckDB reads the backslash in the path of this table as a separator: read the table by another path, such as a \
                         symbolic link to it";
const NO_TEXT: &str = "-- the path of this table is not UTF-8, so no query can name it: read the table by another path, such as a symbolic link \
                       to it";

/// A key of the folders, and its type in DuckDB.
pub(crate) struct FolderKey<'a> {
    pub(crate) name: &'a str,
    pub(crate) r#type: &'a str,
}

/// Returns an SQL table expression for the files below a folder, with a column for each folder key.
///
/// # Errors
/// A comment that says why DuckDB cannot read them.
pub(crate) fn duckdb_table(
    folder: &Path,
    keys: &[FolderKey<'_>],
    with_types: bool,
) -> Result<String, &'static str> {
    let path = folder.to_str().ok_or(NO_TEXT)?;
    if path.contains('\\') {
        return Err(SEPARATOR);
    }
    let pattern = sql_text(&format!("{}/**/*.parquet", glob_escaped(path)));
    if !is_below_keys(folder) {
        let types: Vec<String> = keys
            .iter()
            .map(|key| format!("{}: {}", sql_text(key.name), key.r#type))
            .collect();
        let types = match with_types {
            true => format!(",\n    hive_types = {{{}}}", types.join(", ")),
            false => String::new(),
        };
        return Ok(format!(
            "read_parquet({pattern}, hive_partitioning = true{types})"
        ));
    }
    // the path of the table may contain such keys, too: read each key from the end of the path
    let column = |key: &FolderKey<'_>| {
        let FolderKey { name, r#type } = key;
        let value = format!(
            "url_decode(regexp_extract(_file, {}, 1))",
            sql_text(&format!(".*/{name}=([^/]*)/"))
        );
        match *r#type {
            "VARCHAR" => format!("nullif({value}, '__HIVE_DEFAULT_PARTITION__') AS {name}"),
            other => format!("TRY_CAST({value} AS {other}) AS {name}"),
        }
    };
    let columns: Vec<String> = keys.iter().map(column).collect();
    Ok(format!(
        "(SELECT * EXCLUDE (_file), {}\n    FROM read_parquet({pattern}, hive_partitioning = false, filename = '_file'))",
        columns.join(", ")
    ))
}

/// Whether a folder of the path is named like `key=value`. Readers would take it for a column.
fn is_below_keys(folder: &Path) -> bool {
    let names = folder.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    names.into_iter().any(|name| name.contains('='))
}

/// Escapes a path as a glob pattern that matches only this path.
fn glob_escaped(path: &str) -> String {
    let escape = |character: char| match character {
        '[' | '*' | '?' => format!("[{character}]"),
        other => other.into(),
    };
    path.chars().map(escape).collect()
}

/// Quotes a text as an SQL string.
fn sql_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_for_what_it_is() {
        let keys = [
            FolderKey {
                name: "bot",
                r#type: "VARCHAR",
            },
            FolderKey {
                name: "date",
                r#type: "DATE",
            },
        ];
        let table = |path: &str| duckdb_table(Path::new(path), &keys, false);
        assert_eq!(
            table("it's [a] *?/conversations").unwrap(),
            "read_parquet('it''s [[]a] [*][?]/conversations/**/*.parquet', hive_partitioning = true)"
        );
        let below_keys = table("/data/date=2024-01-01/lake").unwrap();
        assert!(below_keys.contains("hive_partitioning = false"), "{below_keys}");
        assert!(
            below_keys.contains(
                "TRY_CAST(url_decode(regexp_extract(_file, '.*/date=([^/]*)/', 1)) AS DATE) AS date"
            )
        );
        assert!(table("a\\b").unwrap_err().starts_with("-- "));
    }
}
