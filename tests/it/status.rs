//! `status` tells what a folder holds.

use std::time::Duration;

use converse_export_simulator::{Latency, Options};
use rustix::process::Signal;
use serde_json::json;

use crate::damage::Snapshot;
use crate::lake::files_below;
use crate::run::on;
use crate::verify::odd;
use crate::world::{BOT, DAY, World, small};

#[test]
fn ranges_holes_counts_and_reasons_are_told() {
    let world = World::new(Options {
        extra: odd(),
        ..small()
    });
    let start = world.range.start;
    let first = world.export().range(start..start + DAY).run().ended(4);
    world
        .export()
        .range(start + 2 * DAY..start + 2 * DAY + 3600)
        .run()
        .ok();
    let lake = world.lake();
    let snapshot = Snapshot::of(&lake);
    let status = on(&lake.0, "status", &["--json"]).ok().json();
    snapshot.assert_same(&lake);
    let told = &status["datasets"]["conversations"][BOT];
    let range = |start: &str, end: &str| json!({"start": start, "end": end});
    assert_eq!(
        told["complete"],
        json!([
            range("2023-10-01T00:00:00Z", "2023-10-02T00:00:00Z"),
            range("2023-10-03T00:00:00Z", "2023-10-03T01:00:00Z")
        ])
    );
    assert_eq!(
        told["holes"],
        json!([range("2023-10-02T00:00:00Z", "2023-10-03T00:00:00Z")])
    );
    let rows = &lake.rows("select count(*), count(distinct date) from conversations")[0];
    assert_eq!((&told["rows"], &told["days"]), (&rows[0], &rows[1]));
    let sizes = files_below(&lake.0.join("conversations")).into_iter();
    let bytes: u64 = sizes.map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(told["bytes"], bytes);
    assert_eq!(told["rejected"], 2);
    assert_eq!(
        told["rejected_reasons"],
        json!({"no usable _id": 1, "not an object": 1})
    );
    assert_eq!(told["last_run"]["whole"], true);
    assert!(told["requests"].as_u64() > Some(first.count("conversations", "requests")));
    assert_eq!(status["settings"]["base_url"], world.simulator.base_url());
    assert_eq!(status["at_work"], json!(null));

    let text = on(&lake.0, "status", &[]).ok().stdout;
    for line in [
        "complete   --start 2023-10-01 --end 2023-10-02",
        "complete   --start 2023-10-03T00:00:00Z --end 2023-10-03T01:00:00Z",
        "gap        --start 2023-10-02 --end 2023-10-03",
        "rejected   2 (1 no usable _id, 1 not an object)",
        "API        filters by the record's own time",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn dates_are_those_of_the_tables_zone() {
    let world = World::new(small());
    let args = [
        "--timezone",
        "Europe/Berlin",
        "--start",
        "2023-10-02",
        "--end",
        "2023-10-04",
    ];
    world.export().args(&args).run().ok();
    let text = on(&world.lake().0, "status", &[]).ok().stdout;
    assert!(text.contains("--start 2023-10-02 --end 2023-10-04"), "{text}");
}

#[test]
fn pages_that_wait_and_a_run_at_work_are_told() {
    let world = World::new(Options {
        latency: Latency::Fixed(Duration::from_millis(80)),
        ..small()
    });
    let mut running = world.export().args(&["--concurrency", "1"]).start();
    let (pages, settings) = (
        world.path("lake/_export/pages"),
        world.path("lake/_export/table.json"),
    );
    running.until(|| files_below(&pages).len() >= 3 && settings.exists());
    let lake = world.lake();
    let status = on(&lake.0, "status", &["--json"]).ok().json();
    let holder = status["at_work"].as_str().unwrap();
    assert!(holder.contains(&format!("process {}", running.id())), "{holder}");
    running.signal(Signal::KILL);
    running.end();
    let status = on(&lake.0, "status", &["--json"]).ok().json();
    assert_eq!(status["at_work"], json!(null));
    let waiting = |dataset: &str| {
        status["datasets"][dataset][BOT]["pages_waiting"]
            .as_u64()
            .unwrap_or(0)
    };
    assert!(waiting("conversations") + waiting("messages") >= 2);
    on(&world.path("nothing"), "status", &[]).ended(2);
}

#[test]
fn a_bot_that_the_api_does_not_know_does_not_make_a_table_too_old() {
    let world = World::new(small());
    let now = jiff::Timestamp::now().as_second();
    let sync = world.export().range(world.range.start..now - 3_600).sync();
    sync.run().ok();
    let lake = world.lake();
    let is_young = || on(&lake.0, "status", &["--max-age", "26h"]).ok();
    is_young();
    sync.clone()
        .args(&["--bot", BOT, "--bot", "mistyped"])
        .run()
        .ended(1);
    assert!(!lake.ledger().to_string().contains("mistyped"));
    assert!(!is_young().stdout.contains("mistyped"));
    // as earlier versions recorded it
    let mut ledger = lake.ledger();
    let moment = "2023-10-01T00:00:00Z";
    let sync_of = json!({"since": moment, "watermark": moment, "as_of": moment, "under_way": null});
    ledger["datasets"]["messages"]["mistyped"] = json!({"requests": 2, "sync": sync_of});
    lake.write_earlier_ledger(&ledger);
    assert!(!is_young().stdout.contains("mistyped"));
    sync.run().ok();
    assert!(!lake.ledger().to_string().contains("mistyped"));
    // alone it leaves nothing that could be called young
    let alone = sync.clone().to("alone").args(&["--bot", "mistyped"]);
    alone.run().ended(1);
    let status = on(&world.path("alone"), "status", &["--max-age", "26h"]);
    assert!(matches!(status.code, Some(1 | 2)), "{}", status.stderr);
}
