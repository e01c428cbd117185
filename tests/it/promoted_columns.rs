//! Promoted columns and the modes of metadata, as the engines read them.

use std::fs;

use converse_export_simulator::{Endpoint, Injected, Options};
use serde_json::{Value, json};

use crate::damage::verify;
use crate::duck::Reader;
use crate::lake::Lake;
use crate::run::on;
use crate::world::{DAY, World, small};

/// Promotes a key as each of the types.
pub(crate) const ALL_TYPES: [&str; 16] = [
    "--promote",
    "text",
    "--promote",
    "text:json=anything",
    "--promote",
    "count:int64",
    "--promote",
    "score:float64",
    "--promote",
    "vip:bool",
    "--promote",
    "seen:timestamp=seen_at",
    "--promote",
    "nested.plan.name=plan",
    "--promote",
    "nested:json",
];
/// Their columns.
const COLUMNS: [&str; 8] = [
    "text", "anything", "count", "score", "vip", "seen_at", "plan", "nested",
];

/// A few conversations whose metadata has values that fit and values that do not.
pub(crate) fn odd() -> World {
    let base = small();
    let at = |day: i64, raw: &str| Injected {
        endpoint: Endpoint::Conversations,
        time_seconds: base.range.start + day * DAY + 60,
        raw_json: raw.replace("TIME", &(base.range.start + day * DAY + 60).to_string()),
    };
    World::new(Options {
        conversations: 300,
        extra: vec![
            at(
                0,
                r#"{"_id":"x1","startTime":TIME,"metadata":{"text":"say \"no\"","count":5,"score":2.5,"vip":true,
                "seen":1744750665.25,"nested":{ "plan" : {"name":"gold"} },"big":1e400}}"#,
            ),
            at(
                0,
                r#"{"_id":"x2","startTime":TIME,"metadata":{"text":5,"count":"5","score":"-0.5","vip":"false",
                "seen":"2025-04-15T20:57:45+00:00","nested":{"plan":{"name":null}}}}"#,
            ),
            at(
                1,
                r#"{"_id":"x3","startTime":TIME,"metadata":{"text":"5","count":"many","score":"1e999","vip":1,"seen":"soon",
                "nested":"nothing"}}"#,
            ),
            at(
                1,
                r#"{"_id":"x4","startTime":TIME,"metadata":{"text":null,"count":null,"score":null,"vip":null,"seen":null}}"#,
            ),
            at(2, r#"{"_id":"x5","startTime":TIME,"metadata":{}}"#),
            at(2, r#"{"_id":"x6","startTime":"later","metadata":null}"#),
        ],
        ..base
    })
}

/// What each engine reads of these columns.
fn conversations(lake: &Lake, columns: &[&str]) -> Value {
    Reader::begin(&json!({"task": "conversations", "lake": lake.0, "columns": columns})).answer()
}

#[test]
fn every_type_is_read_by_every_engine_in_every_mode() {
    let world = odd();
    let seen = 1_744_750_665_000_000_i64;
    let expected = json!({
        "x1": ["say \"no\"", r#""say \"no\"""#, 5, 2.5, true, seen + 250_000, "gold", r#"{"plan":{"name":"gold"}}"#],
        "x2": ["5", "5", 5, -0.5, false, seen, null, r#"{"plan":{"name":null}}"#],
        "x3": ["5", "5", null, null, null, null, null, r#""nothing""#],
        "x4": [null, null, null, null, null, null, null, null],
        "x5": [null, null, null, null, null, null, null, null],
        "x6": [null, null, null, null, null, null, null, null],
    });
    let types = json!({
        "duckdb": ["VARCHAR", "JSON", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP WITH TIME ZONE", "VARCHAR", "JSON"],
        "pyarrow": ["string", "extension<arrow.json>", "int64", "double", "bool", "timestamp[us, tz=UTC]", "string", "extension<arrow.json>"],
        "polars": ["String", "String", "Int64", "Float64", "Boolean",
            "Datetime(time_unit='us', time_zone='UTC')", "String", "String"],
    });
    for mode in ["map", "json", "both"] {
        let run = world
            .export()
            .to(mode)
            .args(&ALL_TYPES)
            .args(&["--metadata", mode])
            .run()
            .ok();
        // the one conversation, as often as it came
        let of = run.of_dataset("conversations");
        let times = of["promoted_misfits"]["count"].as_u64().unwrap();
        assert!(
            (1..=1 + of["duplicates"].as_u64().unwrap()).contains(&times),
            "{of}"
        );
        let expected_misfits = json!({"count": times, "score": times, "vip": times, "seen_at": times});
        assert_eq!(of["promoted_misfits"], expected_misfits, "{mode}");
        assert_eq!(run.of_dataset("messages")["promoted_misfits"], json!({}));
        let lake = world.lake_named(mode);
        let found = conversations(&lake, &COLUMNS);
        for engine in ["duckdb", "pyarrow", "pandas", "polars"] {
            for (id, expected) in expected.as_object().unwrap() {
                let row = found[engine]["rows"][id].as_array().unwrap();
                for ((column, value), expected) in COLUMNS.iter().zip(row).zip(expected.as_array().unwrap()) {
                    // pandas makes floats of whole numbers beside nulls
                    let same = value == expected || value.is_number() && value.as_f64() == expected.as_f64();
                    assert!(
                        same,
                        "{column} of {id} in {engine}, {mode}: {value} for {expected}"
                    );
                }
            }
            if let Some(types) = types.get(engine) {
                assert_eq!(&found[engine]["types"], types, "{engine}, {mode}");
            }
        }
        verify(&lake, &[]).ok();
    }
}

#[test]
fn metadata_is_read_by_every_engine_in_every_mode() {
    let world = odd();
    let text = r#"{"text":"say \"no\"","count":5,"score":2.5,"vip":true,"seen":1744750665.25,"nested":{"plan":{"name":"gold"}},"big":1e400}"#;
    let map = json!({"text": "say \"no\"", "count": "5", "score": "2.5", "vip": "true", "seen": "1744750665.25",
        "nested": r#"{"plan":{"name":"gold"}}"#, "big": "1e400"});
    for (mode, column, is_json) in [
        ("map", "metadata", false),
        ("json", "metadata", true),
        ("both", "metadata", false),
        ("both", "metadata_json", true),
    ] {
        world.export().to(mode).args(&["--metadata", mode]).run().ok();
        let found = conversations(&world.lake_named(mode), &[column]);
        for engine in ["duckdb", "pyarrow", "pandas", "polars"] {
            let value = |id: &str| found[engine]["rows"][id][0].clone();
            if is_json {
                assert_eq!(value("x1"), text, "{engine}");
                assert!(
                    value("x2").as_str().unwrap().contains(r#""count":"5""#),
                    "{engine}"
                );
                assert_eq!(value("x5"), "{}", "{engine}");
            } else {
                assert_eq!(value("x1"), map, "{engine}");
            }
            assert_eq!(value("x6"), json!(null), "{engine}");
        }
        let duckdb = if is_json { "JSON" } else { "MAP(VARCHAR, VARCHAR)" };
        assert_eq!(found["duckdb"]["types"][0], duckdb);
        let lake = world.lake_named(mode);
        let columns = lake.rows("select column_name from (describe conversations)");
        let names: Vec<&str> = columns.iter().map(|row| row[0].as_str().unwrap()).collect();
        let declared = [
            "id",
            "start_time",
            "last_action_at",
            "locale",
            "tags",
            "metadata",
            "extra",
        ];
        assert_eq!(names[..7], declared, "{mode}");
        assert_eq!(names.get(7) == Some(&"metadata_json"), mode == "both");
        let logical = lake.rows(&format!(
            "select distinct logical_type from parquet_schema('{}/conversations/**/*.parquet') where name = '{column}'",
            lake.0.display()
        ));
        assert_eq!(logical == [[json!("JsonType()")]], is_json, "{mode}: {logical:?}");
    }
}

#[test]
fn the_keys_of_the_system_have_columns() {
    let world = World::new(small());
    world
        .export()
        .args(&[
            "--promote",
            "system",
            "--promote",
            "__sys_userAgentParsed.os:json=os_parsed",
        ])
        .run()
        .ok();
    let lake = world.lake();
    let differing = lake.rows(
        "select count(*), count(channel), count(os), count(browser_is_mobile),
            count(*) filter (channel is distinct from metadata['__sys_channel']
                or conversation_id is distinct from metadata['__sys_conversationId']
                or active_intent is distinct from metadata['__sys_activeIntent']
                or user_action_type is distinct from (metadata['__sys_userAction']::json->>'type')
                or user_action_text is distinct from (metadata['__sys_userAction']::json->>'text')
                or user_ip is distinct from metadata['__sys_userIp']
                or user_country is distinct from metadata['__sys_userCountry']
                or user_agent is distinct from metadata['__sys_userAgent']
                or device is distinct from (metadata['__sys_userAgentParsed']::json->'device'->>'family')
                or os is distinct from (metadata['__sys_userAgentParsed']::json->'os'->>'family')
                or os is distinct from (os_parsed->>'family')
                or browser is distinct from (metadata['__sys_userAgentParsed']::json->'user_agent'->>'family')
                or browser_hostname is distinct from metadata['browser_hostname']
                or browser_path is distinct from metadata['browser_path']
                or browser_referrer is distinct from metadata['browser_referrer']
                or browser_is_mobile is distinct from metadata['browser_isMobile']::bool)
        from conversations",
    );
    assert_eq!(
        differing,
        [[2_000, 2_000, 2_000, 2_000, 0].map(|count| json!(count))]
    );
}

#[test]
fn schema_tells_the_columns_and_its_words_read_them() {
    let world = World::new(Options {
        conversations: 400,
        ..small()
    });
    for mode in ["map", "json", "both"] {
        world
            .export()
            .to(mode)
            .args(&ALL_TYPES)
            .args(&["--metadata", mode])
            .run()
            .ok();
        let lake = world.lake_named(mode);
        let told = on(&lake.0, "schema", &["--json"]).ok().json();
        assert_eq!(told["settings"]["metadata"], mode);
        assert_eq!(told["settings"]["promote"][2], "count:int64=count");
        let names: Vec<Value> = lake
            .rows("select column_name from (describe select * exclude (file, bot, date) from conversations)")
            .concat();
        let columns = told["datasets"]["conversations"]["columns"].as_array().unwrap();
        assert_eq!(
            columns
                .iter()
                .map(|column| column["name"].clone())
                .collect::<Vec<_>>(),
            names
        );
        let of = |name: &str| columns.iter().find(|column| column["name"] == name).unwrap();
        assert_eq!(
            (&of("seen_at")["type"], &of("seen_at")["from"]),
            (&json!("timestamp (µs, UTC)"), &json!("metadata.seen"))
        );
        assert_eq!(of("anything")["type"], "string (JSON)");
        assert_eq!(of("extra")["from"], json!(null));
        let text = on(&lake.0, "schema", &[]).ok().stdout;
        assert!(text.contains("metadata.nested.plan.name"), "{text}");
        for engine in ["duckdb", "pandas", "polars"] {
            let words = on(&lake.0, "schema", &["--for", engine]).ok().stdout;
            let task = json!({"task": "snippet", "engine": engine, "words": words, "printed": true});
            // the words for messages come last: DuckDB answers the last query, which is none
            let task = match engine {
                "duckdb" => {
                    json!({"words": words.split("\n\n").next(), "task": "snippet", "engine": engine, "printed": true})
                }
                _ => task,
            };
            let printed = Reader::begin(&task).answer();
            assert!(
                printed.as_str().unwrap().contains("web"),
                "{engine}, {mode}: {printed}"
            );
        }
    }
}

#[test]
fn catalogue_and_report_are_the_same_in_every_mode() {
    let world = odd();
    let told = ["map", "json", "both"].map(|mode| {
        world
            .export()
            .to(mode)
            .args(&["--metadata", mode, "--promote", "system"])
            .run()
            .ok();
        let lake = world.lake_named(mode);
        let page = world.path("report.html");
        let keys = on(&lake.0, "keys", &["--json"]).ok().json();
        assert!(
            !keys["datasets"]["conversations"]["columns"]["metadata"]["keys"]
                .as_array()
                .unwrap()
                .is_empty()
        );
        let mut report = on(&lake.0, "report", &["--json", "--to", page.to_str().unwrap()])
            .ok()
            .json();
        // what differs between any two tables
        for name in ["made", "path", "out", "table", "completeness", "version"] {
            report.as_object_mut().unwrap().remove(name);
        }
        (keys, report)
    });
    // JSON alone tells 5 from "5"
    let types = |keys: &Value| {
        let keys = keys["datasets"]["conversations"]["columns"]["metadata"]["keys"]
            .as_array()
            .unwrap()
            .clone();
        keys.into_iter().find(|key| key["key"] == "count").unwrap()["types"].clone()
    };
    assert_eq!(types(&told[0].0), json!({"integer": 2, "string": 1, "null": 1}));
    assert_eq!(types(&told[1].0), json!({"integer": 1, "string": 2, "null": 1}));
    assert_eq!(told[2].0, told[0].0);
    let without_types = |keys: &Value| {
        let mut keys = keys["datasets"]["conversations"]["columns"]["metadata"]["keys"].clone();
        keys.as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|key| key["types"] = json!(null));
        keys
    };
    assert_eq!(without_types(&told[1].0), without_types(&told[0].0));
    assert_eq!(told[1].1, told[0].1);
    assert_eq!(told[2].1, told[0].1);
}

#[test]
fn what_does_not_fit_is_counted_once_for_each_record_that_came() {
    // a day so large that it is built in slices, from pages that lie in several of them
    let base = small();
    let world = World::new(Options {
        conversations: 45_000,
        range: base.range.start..base.range.start + DAY,
        ..base
    });
    let promote = [
        "--promote",
        "__sys_channel:int64=channel_number",
        "--promote",
        "__sys_channel:timestamp",
    ];
    let run = world.export().only("conversations").args(&promote).run().ok();
    let of = run.of_dataset("conversations");
    assert!(of["rows"].as_u64().unwrap() >= 45_000);
    let expected = json!({"channel_number": of["received"], "__sys_channel": of["received"]});
    assert_eq!(of["promoted_misfits"], expected);
    let again = world
        .export()
        .only("conversations")
        .args(&["--refetch"])
        .run()
        .ok();
    let of = again.of_dataset("conversations");
    assert_eq!(of["rows"], 0);
    assert_eq!(of["promoted_misfits"]["channel_number"], of["received"], "{of}");
    let nothing = world.export().only("conversations").run().ok();
    assert_eq!(nothing.of_dataset("conversations")["promoted_misfits"], json!({}));
    // people are told, too
    let out = world.path("told");
    let range = [world.range.start, world.range.start + 3_600].map(|second| second.to_string());
    let args = [
        "--bot",
        crate::world::BOT,
        "--start",
        &range[0],
        "--end",
        &range[1],
        "--dataset",
        "conversations",
    ];
    let address = [
        "--base-url",
        world.simulator.base_url(),
        "--requests-per-second",
        "0",
    ];
    let told = on(&out, "export", &[&args[..], &address, &promote].concat()).ok();
    assert!(
        told.stderr
            .contains("do not fit the column channel_number, which has null there"),
        "{}",
        told.stderr
    );
}

#[test]
fn lost_files_come_back_from_kept_pages_in_the_tables_form() {
    let world = odd();
    world
        .export()
        .args(&["--keep-pages", "--metadata", "json"])
        .args(&ALL_TYPES)
        .run()
        .ok();
    let lake = world.lake();
    let whole = lake.files();
    for file in whole.keys().filter(|file| file.starts_with("conversations")) {
        fs::remove_file(lake.0.join(file)).unwrap();
    }
    let run = world.export().run().ok();
    assert_eq!(run.total("requests"), 0);
    assert_eq!(lake.files(), whole);
    on(&lake.0, "erase", &["--conversation", "x1"]).ok();
    assert_eq!(
        lake.rows("select count(*) from conversations where id = 'x1'"),
        [[json!(0)]]
    );
    verify(&lake, &[]).ok();
}
