//! `schema` tells what readers find, and its words work in the engines that are at hand.

use std::path::Path;

use converse_export_simulator::{Endpoint, Injected, Options};
use serde_json::{Value, json};

use crate::duck::{self, Reader};
use crate::run::{converse, on};
use crate::world::{BOT, World, small};

/// A table whose folder has a name that patterns and quotes do not like, with a bot called like a number and a row
/// without a time.
fn awkward() -> (World, std::path::PathBuf) {
    let base = small();
    let extra = vec![Injected {
        endpoint: Endpoint::Conversations,
        time_seconds: base.range.start + 5,
        raw_json: r#"{"_id":"timeless","startTime":"soon","metadata":{"__sys_channel":"web"}}"#.into(),
    }];
    let world = World::new(Options {
        conversations: 400,
        bots: vec![BOT.into(), "2024".into()],
        extra,
        ..base
    });
    let name = "it's [a] \"lake\"";
    for bot in [BOT, "2024"] {
        world.export().to(name).args(&["--bot", bot]).run().ok();
    }
    let out = world.path(name);
    (world, out)
}

fn snippet(lake: &Path, engine: &str) -> String {
    on(lake, "schema", &["--for", engine]).ok().stdout
}

/// What a Python process finds where the words of an engine have been carried out.
fn carried_out(lake: &Path, engine: &str) -> Value {
    let task = json!({"task": "snippet", "engine": engine, "words": snippet(lake, engine)});
    Reader::begin(&task).answer()
}

#[test]
fn the_words_of_each_engine_read_the_whole_table() {
    let (_world, lake) = awkward();
    let rows = |sql: &str| duck::rows(&lake, sql)[0][0].clone();
    let expected = json!({
        "conversations": rows("select count(*) from conversations"),
        "messages": rows("select count(*) from messages"),
        "web": rows("select count(*) from conversations where metadata['__sys_channel'] = 'web'"),
        "timeless": 2,
        "bots": ["2024", BOT],
    });
    for engine in ["duckdb", "pandas", "polars"] {
        let found = carried_out(&lake, engine);
        for (name, expected) in expected.as_object().unwrap() {
            assert_eq!(found[name], *expected, "{name} in {engine}");
        }
        let columns: Vec<&str> = found["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let told = on(&lake, "schema", &["--json"]).ok().json();
        let told = &told["datasets"]["conversations"];
        let names = ["columns", "folders"]
            .map(|part| told[part].as_array().unwrap().clone())
            .concat();
        let names: Vec<&str> = names
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        assert_eq!(columns, names, "{engine}");
    }
}

#[test]
fn types_are_those_that_duckdb_finds() {
    let (_world, lake) = awkward();
    let told = on(&lake, "schema", &["--json"]).ok().json();
    assert_eq!(told["datasets"]["conversations"]["bots"], json!(["2024", BOT]));
    assert_eq!(told["settings"]["timezone"], "UTC");
    for dataset in ["conversations", "messages"] {
        let described = duck::rows(
            &lake,
            &format!("select column_name, column_type from (describe {dataset})"),
        );
        for column in told["datasets"][dataset]["columns"].as_array().unwrap() {
            let name = column["name"].as_str().unwrap();
            let found = described
                .iter()
                .find(|row| row[0] == name)
                .unwrap_or_else(|| panic!("{name} is not there"));
            let expected = match column["type"].as_str().unwrap() {
                "string" => "VARCHAR",
                "timestamp (µs, UTC)" => "TIMESTAMP WITH TIME ZONE",
                "list<string>" => "VARCHAR[]",
                "map<string, string>" => "MAP(VARCHAR, VARCHAR)",
                other => panic!("{name} has the type {other}"),
            };
            assert_eq!(found[1], expected, "{name}");
        }
        assert_eq!(
            told["datasets"][dataset]["rows"],
            duck::rows(&lake, &format!("select count(*) from {dataset}"))[0][0]
        );
    }
}

#[test]
fn without_a_table_the_contract_is_told() {
    let text = converse(&["schema"]).ok();
    for line in [
        "│ id             ┆ string              ┆ required ┆ _id",
        "│ out_msg",
        "│ extra",
    ] {
        assert!(text.stdout.contains(line), "{line} in {}", text.stdout);
    }
    let told = converse(&["schema", "--dataset", "messages", "--json"])
        .ok()
        .json();
    assert_eq!(told["settings"], json!(null));
    assert_eq!(told["datasets"].as_object().unwrap().len(), 1);
    let athena = converse(&["schema", "--for", "athena", "--dataset", "conversations"])
        .ok()
        .stdout;
    assert!(athena.contains("`metadata` map<string,string>"), "{athena}");
    assert!(
        athena.contains("PARTITIONED BY (`bot` string, `date` date)"),
        "{athena}"
    );
    let wrong = converse(&["schema", "--for", "excel"]).ended(2);
    assert!(
        wrong.stderr.contains("duckdb, pandas, polars"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn a_folder_without_a_table_is_told() {
    let world = World::new(small());
    let missing = on(&world.path("nothing"), "schema", &[]).ended(2);
    assert!(missing.stderr.contains("there is no table"), "{}", missing.stderr);
}
