//! Printed queries work wherever a table is: below folders that look like keys, with characters of patterns and quotes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::duck::Reader;
use crate::lake::files_below;
use crate::run::on;
use crate::world::{World, small};

/// Folders that a table may be in; for most patterns, some that they would match.
const FOLDERS: &[&str] = &[
    "date=2024-01-01",
    "bot=x/month=2024-01",
    "x=1",
    "a[b]c",
    "abc",
    "a*b",
    "a?b",
    "a b",
    "it's \"so\"",
    "ü客户 %20#&;$x",
    "{a,b}",
    "a",
    "[",
    "b]",
    "line\nbreak",
    "date=[1]*?'",
];

fn copied(from: &Path, to: &Path) {
    for file in files_below(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&file, copy).unwrap();
    }
}

fn carried_out(engine: &str, words: &str) -> Value {
    Reader::begin(&json!({"task": "snippet", "engine": engine, "words": words})).answer()
}

#[test]
fn printed_queries_read_the_table_and_nothing_else_wherever_it_is() {
    let world = World::new(small());
    world.export().run().ok();
    let plain = world.lake().0;
    let words = |lake: &Path, engine: &str| on(lake, "schema", &["--for", engine]).ok().stdout;
    let lakes: Vec<PathBuf> = FOLDERS
        .iter()
        .map(|folder| world.path(folder).join("lake"))
        .collect();
    lakes.iter().for_each(|lake| copied(&plain, lake));
    for engine in ["duckdb", "pandas", "polars"] {
        let expected = carried_out(engine, &words(&plain, engine));
        assert_eq!(expected["timeless"], 0);
        for lake in &lakes {
            assert_eq!(
                carried_out(engine, &words(lake, engine)),
                expected,
                "{engine} at {}",
                lake.display()
            );
        }
    }
}

#[test]
fn the_query_at_the_end_of_a_run_counts_the_days_of_its_table() {
    let world = World::new(small());
    let printed = |query: &Value| {
        let task = json!({"task": "snippet", "engine": "duckdb", "words": query, "printed": true});
        Reader::begin(&task).answer()
    };
    let expected = printed(&world.export().run().ok().json()["duckdb"]);
    assert!(
        expected.as_str().unwrap().contains("datetime.date("),
        "{expected}"
    );
    for folder in ["date=2024-01-01", "it's [a]*?", "ia*?"] {
        fs::create_dir_all(world.path(folder)).unwrap();
        let run = world.export().to(&format!("{folder}/lake")).run().ok();
        assert_eq!(printed(&run.json()["duckdb"]), expected, "{folder}");
    }
}

#[test]
fn a_path_that_an_engine_cannot_read_is_named() {
    let world = World::new(small());
    let out = "back\\slash";
    let run = world.export().to(out).run().ok();
    let query = run.json()["duckdb"].as_str().unwrap().to_owned();
    assert!(query.starts_with("-- DuckDB reads the backslash"), "{query}");
    let words = |engine: &str| on(&world.path(out), "schema", &["--for", engine]).ok().stdout;
    assert!(
        words("duckdb")
            .lines()
            .all(|line| line.is_empty() || line.starts_with("-- "))
    );
    let expected = world.truth("conversations").len();
    for engine in ["pandas", "polars"] {
        assert_eq!(
            carried_out(engine, &words(engine))["conversations"],
            expected,
            "{engine}"
        );
    }
    // Hadoop's patterns
    let spark = words("spark");
    assert!(spark.contains(r#"back\\\\slash/conversations""#), "{spark}");
}
