//! `keys` catalogues what the maps of a table hold; DuckDB counts the same.

use converse_export_simulator::{Endpoint, Injected, Options};
use serde_json::{Value, json};

use crate::run::on;
use crate::world::{BOT, DAY, World, small};

/// Conversations on two days with keys that are not easy, and one that cannot be dated.
fn world() -> World {
    let base = small();
    let at = |day: i64, raw: &str| Injected {
        endpoint: Endpoint::Conversations,
        time_seconds: base.range.start + day * DAY + 60,
        raw_json: raw
            .replace("TIME", &(base.range.start + day * DAY + 60).to_string())
            .replace("NOTE", &"é".repeat(200)),
    };
    let world = World::new(Options {
        conversations: 1_000,
        extra: vec![
            at(
                0,
                r#"{"_id":"x1","startTime":TIME,"metadata":{"tier":5,"odd\u001b[31m key":"a"},"rating":4}"#,
            ),
            at(
                1,
                r#"{"_id":"x2","startTime":TIME,"metadata":{"tier":"5"},"rating":"bad"}"#,
            ),
            at(1, r#"{"_id":"x3","startTime":TIME,"metadata":{"tier":null}}"#),
            at(
                2,
                r#"{"_id":"x4","startTime":"soon","metadata":{"tier":{"a":[1]},"note":"NOTE"}}"#,
            ),
        ],
        ..base
    });
    world.export().run().ok();
    world
}

fn key<'a>(column: &'a Value, name: &str) -> &'a Value {
    let keys = column["keys"].as_array().unwrap();
    keys.iter()
        .find(|key| key["key"] == name)
        .unwrap_or_else(|| panic!("no key {name}"))
}

#[test]
fn counts_and_days_are_those_that_duckdb_finds() {
    let world = world();
    let lake = world.lake();
    let told = on(&lake.0, "keys", &["--json"]).ok().json();
    let conversations = &told["datasets"]["conversations"];
    assert_eq!(
        conversations["rows"],
        lake.rows("select count(*) from conversations")[0][0]
    );
    for column in ["metadata", "extra"] {
        let expected = lake.rows(&format!(
            "select key, count(*), min(date), max(date), count(*) filter (value is null) from
             (select unnest(map_entries({column}), recursive := true), date
              from conversations where {column} is not null)
             group by key order by count(*) desc, key"
        ));
        let keys = conversations["columns"][column]["keys"].as_array().unwrap();
        let found: Vec<Vec<Value>> = keys
            .iter()
            .map(|key| {
                let nulls = key["types"]["null"].as_u64().unwrap_or(0);
                vec![
                    key["key"].clone(),
                    key["rows"].clone(),
                    key["first"].clone(),
                    key["last"].clone(),
                    json!(nulls),
                ]
            })
            .collect();
        assert!(!found.is_empty());
        assert_eq!(json!(found), json!(expected), "{column}");
    }
    let tier = key(&conversations["columns"]["metadata"], "tier");
    assert_eq!(tier["types"], json!({"integer": 2, "null": 1, "object": 1}));
    assert_eq!(tier["examples"], json!(["{\"a\":[1]}", "5"]));
    assert_eq!(
        key(&conversations["columns"]["extra"], "rating")["types"],
        json!({"integer": 1, "string": 1})
    );
}

#[test]
fn a_range_a_bot_and_a_column_are_looked_at_alone() {
    let world = world();
    let lake = world.lake();
    let args = [
        "--json",
        "--dataset",
        "conversations",
        "--column",
        "metadata",
        "--bot",
        BOT,
    ];
    let range = ["--start", "2023-10-02", "--end", "2023-10-02T12:00:00Z"];
    let told = on(&lake.0, "keys", &[&args[..], &range[..]].concat()).ok().json();
    let found = &told["datasets"]["conversations"];
    let within = "start_time >= '2023-10-02' and start_time < '2023-10-02 12:00'";
    let rows = lake.rows(&format!(
        "select count(*), count(*) filter (map_contains(metadata, 'csatScore')) from conversations where {within}"
    ));
    assert!(rows[0][1].as_u64() > Some(0));
    assert_eq!(found["rows"], rows[0][0]);
    assert_eq!(
        found["columns"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["metadata"]
    );
    let metadata = &found["columns"]["metadata"];
    assert_eq!(key(metadata, "csatScore")["rows"], rows[0][1]);
    assert_eq!(
        key(metadata, "tier")["rows"],
        2,
        "what has no time lies in no range"
    );
    assert_eq!(key(metadata, "tier")["first"], "2023-10-02");

    let unknown = on(&lake.0, "keys", &["--bot", "r4"]).ended(2);
    assert!(unknown.stderr.contains(BOT), "{}", unknown.stderr);
    let unknown = on(&lake.0, "keys", &["--column", "locale"]).ended(2);
    assert!(unknown.stderr.contains("extra, metadata"), "{}", unknown.stderr);
    on(&lake.0, "keys", &["--start", "2023-10-02", "--end", "2023-10-02"]).ended(2);
}

#[test]
fn the_terminal_gets_a_table_and_no_commands() {
    let world = world();
    let lake = world.lake();
    let text = on(&lake.0, "keys", &["--dataset", "conversations"]).ok().stdout;
    assert!(
        !text.contains('\u{1b}'),
        "text of records must not command a terminal"
    );
    for part in [
        "\"odd\\u001b[31m key\"",
        "│ __sys_channel ",
        ">99%",
        "integer 50%, object 25%, null 25%",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains("ééé…"), "examples are shortened");
    let silent = on(&lake.0, "keys", &["--no-examples"]).ok().stdout;
    assert!(
        !silent.contains("ééé") && !silent.contains("examples"),
        "{silent}"
    );
    let silent = on(&lake.0, "keys", &["--no-examples", "--json"]).ok().stdout;
    assert!(!silent.contains("é"), "{silent}");
}
