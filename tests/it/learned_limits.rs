//! What a server cannot do is remembered for 30 days, and shown by `status` and at the end of a run.

use converse_export::internal::{DatasetState, Ledger};
use converse_export_simulator::{Endpoint, Options, PageAnswer, PageMeasure, PageRefusal};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::exit_code::assert_complete;
use crate::run::{converse, on};
use crate::world::{BOT, DAY, World, small};

const START: i64 = 1_696_118_400;

/// A month of conversations, where ranges of more than 31 days are refused and listings end after 1,000 records.
fn limited() -> World {
    World::in_memory(Options {
        range: START..START + 30 * DAY,
        conversations: 12_000,
        busy_day: None,
        empty_day: None,
        range_refused_above: 31 * 86_400,
        listing_cap: 1_000,
        ..small()
    })
}

/// Changes what the table remembers of the conversations.
fn change(world: &World, change: impl FnOnce(&mut DatasetState)) {
    let own = world.path("lake/_export");
    let mut ledger = Ledger::load(&own).unwrap();
    change(ledger.state_mut("conversations", BOT));
    ledger.save(&own).unwrap();
}

fn days_ago(days: i64) -> Option<Timestamp> {
    Some(Timestamp::now() - SignedDuration::from_hours(24 * days))
}

/// The limits of the conversations, as `status` shows them.
fn limits(world: &World) -> Value {
    let status = on(&world.path("lake"), "status", &["--json"]).ok().json();
    status["datasets"]["conversations"][BOT]["limits"].clone()
}

/// What an export of the conversations prints for people.
fn end_of_run(world: &World) -> String {
    let range = [world.range.start, world.range.end].map(|second| second.to_string());
    let out = world.path("lake");
    let args = [
        ["export", "--bot", BOT, "--dataset", "conversations", "--refetch"].as_slice(),
        &[
            "--start",
            &range[0],
            "--end",
            &range[1],
            "--requests-per-second",
            "0",
        ],
        &[
            "--base-url",
            world.simulator.base_url(),
            "--out",
            out.to_str().unwrap(),
        ],
    ];
    converse(&args.concat()).ok().stderr
}

fn refused(world: &World) -> usize {
    let log = world.simulator.stats(Endpoint::Conversations).log;
    log.iter().filter(|request| request.status == 413).count()
}

#[test]
fn limits_are_shown_by_status_and_at_the_end_of_a_run() {
    let world = limited();
    let run = world.export().only("conversations").run().ok();
    let found = run.json()["datasets"]["conversations"]["limits"].clone();
    assert_eq!(found["listing_cap"], 1_000, "{found}");
    assert_eq!(found["longest_range"], 31 * 86_400, "{found}");
    assert_eq!(limits(&world), found);
    let line = "listings end at 1,000 records; ranges up to 31 days";
    let status = on(&world.path("lake"), "status", &[]).ok().stdout;
    assert!(status.contains(&format!("limits     {line}")), "{status}");
    let text = end_of_run(&world);
    assert!(text.contains(&format!("conversations: limits: {line}")), "{text}");

    let unlimited = World::in_memory(small());
    let text = end_of_run(&unlimited);
    assert!(text.contains("done in") && !text.contains("limits"), "{text}");
    assert_eq!(limits(&unlimited), Value::Null);
    let status = on(&unlimited.path("lake"), "status", &[]).ok().stdout;
    assert!(!status.contains("limits"), "{status}");
}

#[test]
fn a_limit_that_still_exists_is_found_again_after_30_days() {
    let world = World::in_memory(Options {
        page_refused_above: Some(PageRefusal {
            records: 100,
            measure: PageMeasure::Requested,
            answer: PageAnswer::Status(413),
        }),
        ..small()
    });
    let export = world.export().only("conversations");
    export.run().ok();
    let found = json!({"largest_page": 100});
    assert_eq!(limits(&world), found);
    let refetch = export.args(&["--refetch"]);
    for (days, is_tried) in [(29, false), (31, true)] {
        change(&world, |account| account.limits_since = days_ago(days));
        let before = refused(&world);
        refetch.run().ok();
        assert_eq!(refused(&world) > before, is_tried, "{days} days");
        assert_eq!(limits(&world), found, "{days} days");
        assert_complete(&world, "lake", &["conversations"], &world.range, "refetched");
    }
    // it is tried once, and remembered from then on
    let before = refused(&world);
    refetch.run().ok();
    assert_eq!(refused(&world), before);
}

#[test]
fn a_limit_that_no_longer_exists_is_removed_after_30_days() {
    let world = World::in_memory(small());
    let export = world.export().only("conversations");
    export.run().ok();
    let remember = |days: i64| {
        change(&world, |account| {
            account.learned.limits.longest_range = Some(7_200);
            account.learned.limits.largest_page = Some(50);
            account.limits_since = days_ago(days);
        });
    };
    let refetch = export.args(&["--refetch"]);
    remember(29);
    let limited = refetch.run().ok().count("conversations", "requests");
    assert_eq!(
        limits(&world),
        json!({"longest_range": 7_200, "largest_page": 50})
    );
    remember(31);
    assert_eq!(limits(&world), Value::Null);
    let free = refetch.run().ok().count("conversations", "requests");
    assert_eq!(limits(&world), Value::Null);
    assert!(
        free * 4 < limited,
        "{free} requests, and {limited} with the limits"
    );
    assert_complete(&world, "lake", &["conversations"], &world.range, "refetched");
}
