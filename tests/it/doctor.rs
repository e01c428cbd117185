//! The doctor tells how an API is, whichever way it turns out, and exports begin with what it learnt.

use converse_export_simulator::{
    CursorKind, Endpoint, Filter, Injected, Options, Order, PageAnswer, PageMeasure, PageRefusal, RangeCap,
    RetryAfter, TimeFormat,
};
use serde_json::{Value, json};

use crate::run::{Run, converse, on};
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
                report["requests"].as_u64() <= Some(16 + burst),
                "about 20 requests: {report}"
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
        "the same for all pages: the server advances it",
        "time: milliseconds",
        "mood (stored in the column `extra`)",
    ] {
        assert!(words.contains(part), "{part:?} is not in {words}");
    }
}

/// What the doctor finds out about the conversations of an API, as JSON; its text has the line.
#[track_caller]
fn finds(options: Options, line: &str) -> Value {
    let world = World::new(Options {
        requests_per_second: 0.0,
        ..options
    });
    let conversations = ["--dataset", "conversations"];
    let text = doctor(
        &world,
        &[&["--requests-per-second", "0"], &conversations[..]].concat(),
    );
    let text = text.ok().stdout;
    assert!(text.contains(line), "{line:?} is not in {text}");
    let json = ["--json", "--requests-per-second", "0"];
    let run = doctor(&world, &[&json, &conversations[..]].concat()).ok();
    let found = run.json()[0].clone();
    assert!(found["requests"].as_u64() <= Some(30), "{found}");
    found
}

#[test]
fn the_end_of_listings_is_found() {
    let orders = [Order::StartAscending, Order::StartDescending, Order::Unordered];
    for (listing_cap, conversations, shown) in [(1_000, 2_000, "1,000"), (10_000, 12_000, "10,000")] {
        for order in orders {
            let options = Options {
                listing_cap,
                conversations,
                order,
                ..small()
            };
            let line = format!("listing      ends after {shown} records, and the range has more: an export");
            let found = finds(options, &line);
            assert_eq!(
                found["listing_limit"],
                json!({"ends_at": {"records": listing_cap}})
            );
            assert_eq!(found["limits"], json!({"listing_cap": listing_cap}));
        }
    }
    for (conversations, listed) in [(2_000, 2_000), (12_000, 11_000)] {
        let options = Options {
            conversations,
            ..small()
        };
        let found = finds(options, "listing      no limit found: one listing has");
        assert_eq!(found["listing_limit"], json!({"not_met": {"listed": listed}}));
        assert_eq!(found["limits"], Value::Null);
    }
}

#[test]
fn the_longest_range_is_found() {
    let days = |days: i64| json!({"longest_seconds": days * 86_400});
    let refused = Options {
        range_refused_above: 31 * 86_400,
        ..small()
    };
    let line = "range        longer ranges than 31 days are refused: an export requests shorter windows";
    let found = finds(refused.clone(), line);
    assert_eq!(found["range_limit"], json!({"refused": days(31)}));
    assert_eq!(found["limits"], json!({"longest_range": 31 * 86_400}));
    // the range itself is refused
    let shorter = Options {
        range_refused_above: 2 * 86_400,
        ..refused
    };
    let line = "range        longer ranges than 1 day are refused";
    let found = finds(shorter, line);
    assert_eq!(found["range_limit"], json!({"refused": days(1)}));
    assert_ne!(found["records"], 0);
    for cap in [RangeCap::First(10 * 86_400), RangeCap::Last(10 * 86_400)] {
        for order in [Order::StartAscending, Order::StartDescending] {
            let shortened = Options {
                range_cap: Some(cap),
                order,
                ..small()
            };
            let found = finds(shortened, "range        longer ranges than 7 days are shortened");
            assert_eq!(
                found["range_limit"],
                json!({"shortened": days(7)}),
                "{cap:?} {order:?}"
            );
            assert_eq!(found["limits"], json!({"longest_range": 7 * 86_400}));
        }
    }
    let found = finds(
        small(),
        "range        no limit found: a range of 3,650 days is served",
    );
    assert_eq!(
        found["range_limit"],
        json!({"not_met": {"served_seconds": 3_650 * 86_400}})
    );
}

#[test]
fn the_largest_page_is_found_and_exports_begin_with_it() {
    let refusal = PageRefusal {
        records: 100,
        measure: PageMeasure::Requested,
        answer: PageAnswer::Status(413),
    };
    let options = Options {
        page_refused_above: Some(refusal),
        ..small()
    };
    let line = "page size    larger pages than 100 records fail: an export requests pages of this size";
    let found = finds(options.clone(), line);
    assert_eq!(found["limits"], json!({"largest_page": 100}));
    assert_eq!(found["records"], 100);

    let world = World::new(options);
    let out = world.path("lake");
    reports(&world, &["--out", out.to_str().unwrap()]);
    let refused = || {
        let log = world.simulator.stats(Endpoint::Conversations).log;
        log.iter().filter(|request| request.status == 413).count()
    };
    let before = refused();
    world.export().run().ok();
    assert_eq!(refused(), before, "the export knows the limit");
    let status = on(&out, "status", &[]).ok().stdout;
    assert_eq!(
        status.matches("limits     pages up to 100 records").count(),
        2,
        "{status}"
    );
}

#[test]
fn exports_begin_with_what_was_learnt() {
    let world = World::new(small());
    let lake = world.lake();
    let out = lake.0.to_str().unwrap();
    reports(&world, &["--out", out]);
    let ledger = lake.ledger();
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
    assert!(run.stderr.contains("settings differ: base URL"), "{}", run.stderr);
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
    assert!(empty.ok().stdout.contains("give a range with records"));
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
