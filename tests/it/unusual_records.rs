//! Odd but legal records follow the table's contract, as DuckDB and pyarrow read them.

use converse_export_simulator::{Endpoint, Injected, Options};
use serde_json::{Value, json};

use crate::duck::{self, Reader};
use crate::lake::files_below;
use crate::run::{Run, on};
use crate::world::{World, small};

const AT: i64 = 1_696_204_800;

/// Each record is among the rejected ones once, as it was sent.
#[track_caller]
fn assert_kept_once(world: &World, records: &[&str]) {
    let text: String = files_below(&world.path("lake/_export/rejected"))
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    for record in records {
        let line = format!("\"record\":{}}}", record.replace("@AT", &AT.to_string()));
        assert_eq!(text.matches(&line).count(), 1, "{text}");
    }
}

fn with(records: &[&str]) -> (World, Run) {
    let inject = |raw: &&str| Injected {
        endpoint: Endpoint::Conversations,
        time_seconds: AT,
        raw_json: raw.replace("@AT", &AT.to_string()),
    };
    let extra = records.iter().map(inject).collect();
    let world = World::new(Options {
        extra,
        conversations: 300,
        ..small()
    });
    let run = world.export().run();
    (world, run)
}

/// Expressions over the one row with this id, as JSON.
#[track_caller]
fn of(world: &World, id: &str, expressions: &str) -> Value {
    let mut rows = world.lake().rows(&format!(
        "select {expressions} from conversations where id = '{id}'"
    ));
    assert_eq!(rows.len(), 1, "rows with id {id}");
    Value::Array(rows.remove(0))
}

#[test]
fn values_of_maps_are_text_or_json_as_written() {
    let (world, run) = with(&[
        r#"{"_id":"x","startTime":@AT,"metadata":{"text":"5","number":5,"huge":123456789012345678901234567890,
        "big":1e400,"minus":-0.0,"yes":true,"none":null,"list":[1, "a" , {"b": null}],"dotted.key":"d","":"empty",
        "ключ":"значение","deep":{"a" : [ 1.50 ]}}}"#,
    ]);
    run.ok();
    let keys = [
        "text",
        "number",
        "huge",
        "big",
        "minus",
        "yes",
        "none",
        "list",
        "dotted.key",
        "",
        "ключ",
        "deep",
    ];
    let looked_up: Vec<String> = keys.iter().map(|key| format!("metadata['{key}']")).collect();
    assert_eq!(
        of(&world, "x", &looked_up.join(", ")),
        json!([
            "5",
            "5",
            "123456789012345678901234567890",
            "1e400",
            "-0.0",
            "true",
            null,
            r#"[1,"a",{"b":null}]"#,
            "d",
            "empty",
            "значение",
            r#"{"a":[1.50]}"#
        ])
    );
    assert_eq!(
        of(
            &world,
            "x",
            "map_contains(metadata, 'none'), map_contains(metadata, 'other')"
        ),
        json!([true, false])
    );
}

#[test]
fn missing_null_and_empty_differ() {
    let (world, run) = with(&[
        r#"{"_id":"missing","startTime":@AT}"#,
        r#"{"_id":"null","startTime":@AT,"lastActionAt":null,"locale":null,"tags":null,"metadata":null}"#,
        r#"{"_id":"empty","startTime":@AT,"locale":"","tags":[],"metadata":{}}"#,
    ]);
    run.ok();
    let columns = "last_action_at, locale, tags, metadata is null, extra is null";
    assert_eq!(
        of(&world, "missing", columns),
        json!([null, null, null, true, true])
    );
    assert_eq!(of(&world, "null", columns), json!([null, null, null, true, true]));
    assert_eq!(of(&world, "empty", columns), json!([null, "", [], false, true]));
    assert_eq!(of(&world, "empty", "cardinality(metadata)"), json!([0]));
}

#[test]
fn repeated_keys_keep_the_last_value() {
    let (world, run) = with(&[
        r#"{"_id":"wrong","_id":"x","startTime":1,"startTime":@AT,"metadata":{"k":"one","o":"other","\u006b":"two"}}"#,
    ]);
    run.ok();
    assert_eq!(
        of(
            &world,
            "x",
            "metadata['k'], cardinality(metadata), epoch(start_time)::bigint"
        ),
        json!(["two", 2, AT])
    );
}

#[test]
fn lone_surrogates_become_the_replacement_character() {
    let (world, run) = with(&[
        r#"{"_id":"x","startTime":@AT,"locale":"a\ud800b","metadata":{"k\udc00":"\ud83d\ude00 \ud83d","n":{"s":"\udfff"}}}"#,
    ]);
    run.ok();
    assert_eq!(
        of(&world, "x", "locale, metadata['k\u{fffd}'], metadata['n']"),
        json!(["a\u{fffd}b", "\u{1f600} \u{fffd}", "{\"s\":\"\u{fffd}\"}"])
    );
}

#[test]
fn fields_of_unexpected_types_are_kept() {
    let (world, run) = with(&[
        r#"{"_id":"x","startTime":@AT,"locale":{"a": 1},"tags":"single","metadata":["not", "a map"],"later":{"v": 2},"flag":null}"#,
        r#"{"_id":"y","startTime":@AT,"tags":["a", 1, null, {"b": 2}]}"#,
    ]);
    run.ok();
    assert_eq!(
        of(
            &world,
            "x",
            "locale, tags, metadata is null, extra['metadata'], extra['later'], extra['flag']"
        ),
        json!([
            r#"{"a":1}"#,
            ["single"],
            true,
            r#"["not","a map"]"#,
            r#"{"v":2}"#,
            null
        ])
    );
    assert_eq!(
        of(&world, "x", "map_keys(extra)"),
        json!([["later", "flag", "metadata"]])
    );
    assert_eq!(of(&world, "y", "tags"), json!([["a", "1", null, r#"{"b":2}"#]]));
}

#[test]
fn a_time_that_cannot_be_read_stays_in_extra() {
    let (world, run) = with(&[
        r#"{"_id":"x","startTime":"soon","lastActionAt":true}"#,
        r#"{"_id":12345,"startTime":"@AT.5"}"#,
    ]);
    run.ok();
    assert_eq!(
        of(
            &world,
            "x",
            "start_time, last_action_at, extra['startTime'], extra['lastActionAt'], date"
        ),
        json!([null, null, "soon", "true", null])
    );
    let folder = world.path("lake/conversations/bot=r3-218210/date=__HIVE_DEFAULT_PARTITION__");
    assert_eq!(files_below(&folder).len(), 1);
    assert_eq!(
        of(&world, "12345", "epoch_us(start_time)"),
        json!([AT * 1_000_000 + 500_000])
    );
}

#[test]
fn times_are_read_from_year_1_to_year_9999_and_every_engine_reads_the_table() {
    let (world, _) = with(&[]);
    let base = small();
    let record = |(id, time): (&str, &str)| Injected {
        endpoint: Endpoint::Conversations,
        time_seconds: base.range.start + 60,
        raw_json: format!(r#"{{"_id":"{id}","startTime":{time},"metadata":{{"until":{time}}}}}"#),
    };
    drop(world);
    let records = [
        ("year 0", r#""0000-12-31T23:59:59.999999Z""#),
        ("before", "-62135596801"),
        ("minus", r#""-000005-06-01""#),
        ("behind", r#""9999-12-31T23:59:59-00:01""#),
        ("first", r#""0001-01-01""#),
        ("last", r#""9999-12-31T23:59:59.999999Z""#),
    ];
    let world = World::new(Options {
        extra: records.into_iter().map(record).collect(),
        conversations: 300,
        ..base
    });
    world.export().args(&["--promote", "until:timestamp"]).run().ok();
    for (id, time) in &records[..4] {
        assert_eq!(
            of(
                &world,
                id,
                "start_time, until, date, extra['startTime'], metadata['until']"
            ),
            json!([null, null, null, time.trim_matches('"'), time.trim_matches('"')]),
            "{id}"
        );
    }
    let last = 253_402_300_799_999_999_i64;
    assert_eq!(
        of(
            &world,
            "last",
            "epoch_us(start_time), epoch_us(until), date::varchar, extra is null"
        ),
        json!([last, last, "9999-12-31", true])
    );
    assert_eq!(
        of(
            &world,
            "first",
            "epoch_us(start_time), epoch_us(until), date::varchar"
        ),
        json!([
            -62_135_596_800_000_000_i64,
            -62_135_596_800_000_000_i64,
            "0001-01-01"
        ])
    );
    for column in ["start_time", "until"] {
        let task = json!({"task": "by_engine", "lake": world.lake().0, "column": column});
        let read = Reader::begin(&task).answer();
        let (first, last) = ("0001-01-01 00:00:00+00:00", "9999-12-31 23:59:59.999999+00:00");
        assert_eq!(
            read["duckdb"],
            json!([306, "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"])
        );
        assert_eq!(read["pandas"], json!([306, first, last]));
        assert_eq!(read["polars"], json!([306, first, last]));
        assert_eq!(read["typed"], json!([306, 4, "0001-01-01", "9999-12-31"]));
    }
    on(&world.lake().0, "verify", &[]).ok();
    world
        .export()
        .args(&["--promote", "until:timestamp", "--refetch"])
        .run()
        .ok();
    on(&world.lake().0, "verify", &[]).ok();
    for verb in ["status", "schema", "keys"] {
        on(&world.lake().0, verb, &[]).ok();
    }
}

#[test]
fn a_value_of_200_kilobytes_is_whole() {
    let long = "ü".repeat(100_000);
    let record = format!(r#"{{"_id":"x","startTime":@AT,"metadata":{{"long":"{long}"}}}}"#);
    let (world, run) = with(&[&record]);
    run.ok();
    assert_eq!(of(&world, "x", "metadata['long']"), json!([long]));
}

#[test]
fn invariant_5_records_that_cannot_become_rows_are_kept_once() {
    let odd = [
        r#"{"startTime":@AT,"locale":"no id"}"#,
        r#"{"_id":null,"startTime":@AT}"#,
        r#""not an object""#,
    ];
    let (world, run) = with(&odd);
    let run = run.ended(4);
    assert_eq!(run.count("conversations", "rejected"), 3);
    assert_eq!(run.count("conversations", "rows"), 300);
    assert_kept_once(&world, &odd);
    // the run that makes no request met none
    world.export().run().ok();
}

#[test]
fn invariant_5_ids_that_are_empty_or_no_text_are_rejected_each_by_itself() {
    let odd = [
        r#"{"_id":"","startTime":@AT,"locale":"one"}"#,
        r#"{"_id":"","startTime":@AT,"locale":"other"}"#,
        r#"{"_id":"a\ud800","startTime":@AT}"#,
        r#"{"_id":"a\ud801","startTime":@AT}"#,
    ];
    let kept = [
        r#"{"_id":" ","startTime":@AT}"#,
        r#"{"_id":"a\ufffd","startTime":@AT,"metadata":{"\ud800":1,"\ud801":2}}"#,
    ];
    let (world, run) = with(&[&odd[..], &kept].concat());
    let run = run.ended(4);
    assert_eq!(run.count("conversations", "rejected"), 4);
    assert_eq!(run.count("conversations", "rows"), 302);
    assert_kept_once(&world, &odd);
    assert_eq!(
        of(
            &world,
            "a\u{fffd}",
            "metadata['\u{fffd}d800'], metadata['\u{fffd}d801']"
        ),
        json!(["1", "2"])
    );
    on(&world.lake().0, "verify", &["--live", "5"]).ok();
    let erased = on(&world.lake().0, "erase", &["--conversation", "a\u{fffd}"]).ok();
    assert!(erased.stdout.contains('1') || erased.stderr.contains('1'));
    world.lake().assert_ledger_adds_up();
    assert_eq!(world.lake().ids("conversations").len(), 301);
}

#[test]
fn pyarrow_sees_the_types_of_the_contract() {
    let (world, run) = with(&[]);
    run.ok();
    // how a version of pyarrow prints the names within a map is its own matter: Parquet's schema tells them below
    let map = "map<string, string>";
    let expected = json!([
        ["id", "string", false],
        ["start_time", "timestamp[us, tz=UTC]", true],
        ["last_action_at", "timestamp[us, tz=UTC]", true],
        ["locale", "string", true],
        ["tags", "list<element: string>", true],
        ["metadata", map, true],
        ["extra", map, true],
    ]);
    let files = duck::arrow(&world.lake().0, "conversations");
    assert!(!files.is_empty());
    for file in files {
        let simpler = |text: &str| {
            if text.starts_with("map<string, string") {
                map.to_owned()
            } else {
                text.to_owned()
            }
        };
        let seen: Vec<Value> = file["arrow"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| json!([field[0], simpler(field[1].as_str().unwrap()), field[2]]))
            .collect();
        assert_eq!(json!(seen), expected);
        let parquet = file["parquet"].to_string();
        for name in [
            "repeated group field_id=-1 key_value",
            "required binary field_id=-1 key (String)",
            "optional binary field_id=-1 element (String)",
        ] {
            assert!(parquet.contains(name), "{name} is not in {parquet}");
        }
    }
}
