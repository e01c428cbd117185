//! The doctor tells how an API is, whichever way it turns out, and exports begin with what it learnt.

use converse_export::simulator::{
    CursorKind, Endpoint, Filter, Injected, Options, Order, RetryAfter, TimeFormat,
};
use serde_json::{Value, json};

use crate::run::{Run, converse};
use crate::world::{BOT, World, small};

fn doctor(world: &World, args: &[&str]) -> Run {
    let (start, end) = (world.range.start.to_string(), world.range.end.to_string());
    let usual = [
        "doctor",
        "--bot",
        BOT,
        "--start",
        &start,
        "--end",
        &end,
        "--base-url",
        world.simulator.base_url(),
    ];
    converse(&[&usual, args].concat())
}

fn reports(world: &World, args: &[&str]) -> Value {
    let run = doctor(
        world,
        &[&["--json", "--requests-per-second", "20"], args].concat(),
    )
    .ok();
    serde_json::from_str(&run.stdout).expect("reports on standard output")
}

#[test]
fn what_the_api_leaves_open_is_found_out() {
    for (number, (filter, name)) in [(Filter::Start, "time"), (Filter::LastAction, "last_action")]
        .into_iter()
        .enumerate()
    {
        for (start_inclusive, end_inclusive) in [(true, false), (true, true), (false, false), (false, true)] {
            let (order, told) = match (number, start_inclusive) {
                (0, true) => (
                    Order::StartAscending,
                    json!({"field": "time", "direction": "ascending"}),
                ),
                (0, false) => (Order::Unordered, Value::Null),
                (_, true) => (
                    Order::LastActionDescending,
                    json!({"field": "last_action", "direction": "descending"}),
                ),
                (_, false) => (
                    Order::StartDescending,
                    json!({"field": "time", "direction": "descending"}),
                ),
            };
            let world = World::new(Options {
                filter,
                order,
                start_inclusive,
                end_inclusive,
                requests_per_second: 20.0,
                ..small()
            });
            let report = &reports(&world, &["--dataset", "conversations"])[0];
            let bounds =
                json!({"filter": name, "includes_start": start_inclusive, "includes_end": end_inclusive});
            assert_eq!(report["bounds"], bounds, "{filter:?} {order:?}");
            assert_eq!(report["order"], told, "{filter:?} {order:?}");
            assert_eq!(report["cursors"], json!({"changes": {"repeatable": true}}));
            assert_eq!(report["page_limit"]["refused"]["status"], 400);
            assert_eq!(report["dead_cursor"]["refused"]["status"], 400);
            assert_eq!(report["times"]["startTime"], json!(["whole seconds"]));
            assert!(report["refusal"]["refused"].as_u64() > Some(0), "{report}");
            assert_eq!(report["refusal"]["retry_after_seconds"], 1.0);
            let burst = report["refusal"]["asked"].as_u64().unwrap();
            assert!(
                report["requests"].as_u64() <= Some(12 + burst),
                "about ten questions: {report}"
            );
        }
    }
}

#[test]
fn scrolls_times_and_new_fields_are_told() {
    let odd = Injected {
        endpoint: Endpoint::Messages,
        time_seconds: 1_696_130_000,
        raw_json: r#"{"_id": "odd", "time": 1696130000000, "mood": "good"}"#.into(),
    };
    let world = World::new(Options {
        cursor: CursorKind::Scroll,
        conversations: 3_000,
        times: TimeFormat::Milliseconds,
        retry_after: RetryAfter::Nothing,
        dead_cursor: 410,
        requests_per_second: 20.0,
        extra: vec![odd],
        ..small()
    });
    let reports = reports(&world, &[]);
    assert_eq!(reports.as_array().map(Vec::len), Some(2));
    for report in reports.as_array().unwrap() {
        assert_eq!(report["cursors"], "stays");
        assert_eq!(report["refusal"]["retry_after_seconds"], Value::Null);
    }
    assert_eq!(reports[1]["times"]["time"], json!(["milliseconds"]));
    assert_eq!(reports[1]["new_fields"], json!(["mood"]));
    let words = doctor(&world, &["--requests-per-second", "20"]).ok().stdout;
    for part in [
        "the same throughout: the server moves it",
        "time: milliseconds",
        "mood (kept in the column `extra`)",
    ] {
        assert!(words.contains(part), "{part:?} is not in {words}");
    }
}

#[test]
fn exports_begin_with_what_was_learnt() {
    let world = World::new(small());
    let lake = world.lake();
    let out = lake.0.to_str().unwrap();
    reports(&world, &["--out", out]);
    let ledger: Value =
        serde_json::from_slice(&std::fs::read(lake.0.join("_export/ledger.json")).unwrap()).unwrap();
    let learnt = &ledger["datasets"]["conversations"][BOT]["learnt"];
    assert_eq!(
        learnt["order"],
        json!({"field": "time", "direction": "ascending"})
    );
    assert_eq!(learnt["filter"], "time");
    world.export().run().ok();
    assert_eq!(
        lake.ids("conversations"),
        world.truth("conversations").into_keys().collect()
    );
    // a table of another API does not take it
    let other = World::new(small());
    let run = doctor(&other, &["--out", out]).ended(2);
    assert!(run.stderr.contains("--base-url"), "{}", run.stderr);
}

#[test]
fn an_empty_range_and_a_wrong_key_are_told() {
    let world = World::new(small());
    let empty = converse(&[
        "doctor",
        "--bot",
        BOT,
        "--start",
        "2020-01-01",
        "--end",
        "2020-01-02",
        "--base-url",
        world.simulator.base_url(),
    ]);
    assert!(
        empty
            .ok()
            .stdout
            .contains("give --start and --end where there are some")
    );
    let run = converse(&[
        "doctor",
        "--bot",
        "nobody",
        "--base-url",
        world.simulator.base_url(),
    ])
    .ended(1);
    assert!(run.stderr.contains("does not know this bot"), "{}", run.stderr);
}
