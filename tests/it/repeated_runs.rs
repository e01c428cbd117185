//! However many runs bring the rows, the files are the same.

use serde_json::json;

use crate::duck::Reader;
use crate::lake::files_below;
use crate::run::Run;
use crate::world::{DAY, World, small};

const HALF: i64 = DAY / 2;

/// What came in is accounted for.
#[track_caller]
fn assert_adds_up(run: &Run) {
    for dataset in ["conversations", "messages"] {
        let count = |what| run.count(dataset, what);
        let parts = count("rows") + count("duplicates") + count("superseded") + count("rejected");
        assert_eq!(count("received"), parts, "{dataset}");
    }
}

#[test]
fn invariant_8_pieces_in_any_order_give_the_same_bytes() {
    let world = World::new(small());
    world.export().run().ok();
    let whole = world.lake().files();
    assert!(whole.len() > 6);

    let halves = (world.range.end - world.range.start) / HALF;
    // 7 is coprime to the number of halves, so this is every half, far from its neighbours
    for number in (0..halves).map(|half| half * 7 % halves) {
        let start = world.range.start + number * HALF;
        // overlapping by a third of an hour on both sides, as far as the range goes
        let range = (start - 1200).max(world.range.start)..(start + HALF + 1200).min(world.range.end);
        let run = world.export().to("pieces").range(range).run().ok();
        assert_adds_up(&run);
    }
    assert_eq!(world.lake_named("pieces").files(), whole);
    let again = world.export().to("pieces").run().ok();
    assert_eq!(again.total("requests"), 0, "all of it is complete");
    assert_eq!(world.lake_named("pieces").files(), whole);
}

#[test]
fn invariant_8_threads_and_page_sizes_do_not_matter() {
    let world = World::new(small());
    world.export().run().ok();
    let whole = world.lake().files();
    world
        .export()
        .to("one")
        .env("RAYON_NUM_THREADS", "1")
        .args(&["--per-page", "137"])
        .run()
        .ok();
    assert_eq!(world.lake_named("one").files(), whole);
}

#[test]
fn invariant_5_what_is_received_is_accounted_for() {
    let world = World::new(small());
    let run = world.export().run().ok();
    assert_adds_up(&run);
    assert_eq!(
        run.count("conversations", "rows"),
        world.truth("conversations").len() as u64
    );
    // too young to be complete, all of it is asked for again, and nothing is new
    let young = world.export().to("young").args(&["--settle", "9000d"]);
    let first = young.run().ok();
    let files = world.lake_named("young").files();
    let second = young.run().ok();
    assert_adds_up(&first);
    assert_adds_up(&second);
    assert_eq!(second.count("messages", "rows"), 0);
    assert!(second.count("messages", "duplicates") >= world.truth("messages").len() as u64);
    assert_eq!(
        second.of_dataset("messages")["partitions"],
        json!([]),
        "nothing changed"
    );
    assert_eq!(world.lake_named("young").files(), files);
    assert!(
        files_below(&world.path("young/_export/pages")).is_empty(),
        "no page is left behind"
    );
}

#[test]
fn invariant_11_what_is_too_young_is_asked_for_again() {
    let world = World::new(small());
    let young = world.export().args(&["--settle", "9000d"]);
    let first = young.run().ok();
    assert!(
        !first.of_dataset("messages")["unsettled"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(young.run().ok().total("requests") > 0);
    let settled = world.export().run().ok();
    assert!(settled.total("requests") > 0);
    assert_eq!(world.export().run().ok().total("requests"), 0);
}

#[test]
fn invariant_2_readers_see_whole_versions_while_partitions_are_replaced() {
    let world = World::new(small());
    let hours = 3600 * 2;
    // the busy day, two hours at a time: each run replaces the same partition
    let day = world.range.start + 2 * DAY..world.range.start + 3 * DAY;
    let piece = |number: i64| day.start + number * hours..day.start + (number + 1) * hours;
    let export = |number| {
        world
            .export()
            .only("conversations")
            .range(piece(number))
            .run()
            .ok()
    };
    export(0);
    let watched = Reader::begin(&json!({
        "task": "watch",
        "lake": world.lake().0,
        "sql": "select count(*), count(distinct id) from conversations",
        "stop": world.path("stop"),
        "ready": world.path("ready"),
    }));
    while !world.path("ready").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut counts = vec![json!([0, 0])];
    let mut count = |lake: &crate::lake::Lake| {
        let rows = lake.rows("select count(*), count(distinct id) from conversations");
        counts.push(json!(rows[0]));
    };
    count(&world.lake());
    for number in 1..12 {
        export(number);
        count(&world.lake());
    }
    std::fs::write(world.path("stop"), "").unwrap();
    let seen = watched.answer();
    assert!(seen["reads"].as_u64() > Some(5), "{seen}");
    for answer in seen["answers"].as_array().unwrap() {
        assert!(counts.contains(answer), "{answer} is no version of {counts:?}");
    }
}
