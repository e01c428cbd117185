//! Records whose time is corrected so that they lie under another date.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::damage::{assert_sound, findings, verify};
use crate::lake::Lake;
use crate::run::Export;
use crate::scripted::{Asked, Scripted, ok};
use crate::sync::changes;
use crate::world::{BOT, DAY, World, small};

/// An archive that a test can correct: conversations and messages with an id and a time each.
#[derive(Clone, Default)]
pub(crate) struct Corrected(Arc<Mutex<Vec<(&'static str, Value)>>>);

impl Corrected {
    pub(crate) fn put(&self, dataset: &'static str, record: Value) {
        let mut records = self.0.lock().unwrap();
        records.retain(|(of, other)| *of != dataset || other["_id"] != record["_id"]);
        records.push((dataset, record));
    }

    pub(crate) fn conversation(&self, id: &str, start: i64, last: i64) {
        self.put(
            "conversations",
            json!({"_id": id, "startTime": start, "lastActionAt": last}),
        );
    }

    pub(crate) fn message(&self, id: &str, time: i64) {
        self.put("messages", json!({"_id": id, "time": time, "userInput": id}));
    }

    pub(crate) fn serve(&self) -> Scripted {
        let records = Arc::clone(&self.0);
        Scripted::start(move |asked: &Asked| {
            let dataset = if asked.target().contains("/messages?") {
                "messages"
            } else {
                "conversations"
            };
            let bound = |name| asked.number_of(name).unwrap();
            let within = bound("start_time")..bound("end_time");
            let time = |record: &Value| record["startTime"].as_i64().or(record["time"].as_i64()).unwrap();
            let mut data: Vec<Value> = records
                .lock()
                .unwrap()
                .iter()
                .filter(|(of, record)| *of == dataset && within.contains(&time(record)))
                .map(|(_, record)| record.clone())
                .collect();
            data.sort_by_key(time);
            ok(json!({"data": data, "cursor": null}).to_string())
        })
    }
}

#[test]
fn a_record_that_moves_is_told_by_verify_and_mended_by_sync() {
    let world = World::new(small());
    let start = world.range.start;
    let archive = Corrected::default();
    let server = archive.serve();
    for hour in 0..72 {
        let at = start + hour * 3_600;
        archive.conversation(&format!("c{hour:02}"), at, at);
        archive.message(&format!("m{hour:02}"), at + 1);
    }
    // alone on its day
    archive.conversation("alone", start + 4 * DAY, start + 4 * DAY);
    let export = |days: i64| world.export().of(&server.url()).range(start..start + days * DAY);
    let sync = |days: i64| export(days).sync().args(&["--lookback", "10d"]);
    sync(5).run().ok();
    let lake = world.lake();
    let date = |dataset: &str, id: &str| -> Vec<String> {
        let rows = lake.rows(&format!(
            "select date::text from {dataset} where id = '{id}' order by 1"
        ));
        rows.iter()
            .map(|row| row[0].as_str().unwrap().to_owned())
            .collect()
    };

    // later versions, each with another start
    archive.conversation("c05", start + 30 * 3_600, start + 100 * 3_600);
    archive.conversation("alone", start + 30 * 3_600, start + 120 * 3_600);
    archive.message("m50", start + 5);
    // a version that is earlier than the one that is there
    archive.conversation("c60", start + 7, start + 6);
    // killed when all pages are part of the table, and no row was removed yet
    let refetch = export(2).args(&["--refetch"]);
    let killed = refetch
        .clone()
        .env("CONVERSE_EXPORT_TEST_KILL_AT", "pages-built:1");
    assert_eq!(killed.run().code, None);
    assert_eq!(date("conversations", "c05"), ["2023-10-01", "2023-10-02"]);
    let twice = verify(&lake, &[]).ended(1);
    assert!(
        twice.stderr.contains("run the same export again"),
        "{}",
        twice.stderr
    );
    let told = findings(&twice, "problems");
    assert!(
        told.iter()
            .any(|(_, what)| what.contains("such as c05") || what.contains("such as c60")),
        "{told:?}"
    );
    let before = changes(&lake).len();
    refetch.run().ok();
    assert_eq!(date("conversations", "c05"), ["2023-10-02"]);
    assert_eq!(date("conversations", "alone"), ["2023-10-02"]);
    assert_eq!(date("conversations", "c60"), ["2023-10-03"]);
    assert_eq!(date("messages", "m50"), ["2023-10-01"]);
    assert!(
        !lake
            .0
            .join(format!("conversations/bot={BOT}/date=2023-10-05"))
            .exists(),
        "no empty partition"
    );
    let removed: Vec<_> = changes(&lake)[before..]
        .iter()
        .flat_map(|file| file["removed"].as_array().unwrap().clone())
        .collect();
    assert_eq!(removed[0]["date"], "2023-10-05", "{removed:?}");
    assert_sound(&lake);
    lake.assert_ledger_adds_up();
    // and that was that
    let files = lake.files();
    sync(5).run().ok();
    let again = sync(5).run().ok();
    assert_eq!(
        again.count("conversations", "moved"),
        1,
        "the API still answers the earlier version of c60"
    );
    assert_eq!(date("conversations", "c60"), ["2023-10-03"]);
    assert_eq!(lake.files(), files);
    assert_sound(&lake);
}

#[test]
fn invariant_3_killed_while_it_mends_a_sync_mends_it_the_next_time() {
    let world = World::new(small());
    let start = world.range.start;
    let archive = Corrected::default();
    let server = archive.serve();
    for hour in 0..48 {
        archive.conversation(&format!("c{hour:02}"), start + hour * 3_600, 1);
    }
    archive.conversation("alone", start + 3 * DAY, 1);
    let sync = |name: &str| -> Export<'_> {
        let sync = world
            .export()
            .of(&server.url())
            .range(start..start + 4 * DAY)
            .only("conversations");
        sync.to(name).sync().args(&["--lookback", "10d"])
    };
    let names: Vec<String> = (1..=3)
        .flat_map(|time| {
            [
                "commit-appended",
                "partition-exchanged",
                "entry-written",
                "partitions-published",
            ]
            .map(|step| format!("{step}:{time}"))
        })
        .collect();
    names.iter().for_each(|name| drop(sync(name).run().ok()));
    archive.conversation("c05", start + 30 * 3_600, 2);
    archive.conversation("alone", start + 30 * 3_600 + 1, 2);
    let mut killed = 0;
    let mut whole = None;
    for name in &names {
        killed += usize::from(
            sync(name)
                .env("CONVERSE_EXPORT_TEST_KILL_AT", name)
                .run()
                .code
                .is_none(),
        );
        // two more, since what was seen before a kill may be seen again only by the next run
        sync(name).run().ok();
        sync(name).run().ok();
        let lake = world.lake_named(name);
        assert_sound(&lake);
        lake.assert_ledger_adds_up();
        let files = whole.get_or_insert_with(|| lake.files());
        assert_eq!(*files, lake.files(), "{name}");
    }
    assert!(killed >= 8, "{killed}");
}

/// The dates of each id of a dataset.
fn dates(lake: &Lake, dataset: &str) -> BTreeMap<String, Vec<String>> {
    let mut dates: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in lake.rows(&format!("select id, date::text from {dataset} order by 1, 2")) {
        let text = |at: usize| row[at].as_str().unwrap().to_owned();
        dates.entry(text(0)).or_default().push(text(1));
    }
    dates
}

/// Three days of records, 200 of which then move to another date, without another version to tell by.
fn two_hundred(archive: &Corrected, start: i64, is_corrected: bool) {
    for number in 0..600 {
        let day = if is_corrected && number < 200 {
            2
        } else {
            number % 2
        };
        let at = start + day * DAY + number;
        archive.conversation(&format!("c{number:03}"), at, start);
        archive.message(&format!("m{number:03}"), at);
    }
}

#[track_caller]
fn assert_corrected(lake: &Lake) {
    for dataset in ["conversations", "messages"] {
        let dates = dates(lake, dataset);
        assert_eq!(dates.len(), 600, "{dataset}");
        for (id, dates) in dates {
            let number: i64 = id[1..].parse().unwrap();
            let day = if number < 200 { 2 } else { number % 2 };
            assert_eq!(dates, [format!("2023-10-0{}", day + 1)], "{dataset} {id}");
        }
    }
    assert_sound(lake);
    lake.assert_ledger_adds_up();
}

#[test]
fn what_a_killed_sync_left_twice_is_mended_by_the_next_run_of_any_kind() {
    for (lake, step) in [("one", "pages-built:1"), ("two", "pages-built:2")] {
        for verb in ["export", "sync", "refetch"] {
            let world = World::new(small());
            let start = world.range.start;
            let archive = Corrected::default();
            let server = archive.serve();
            two_hundred(&archive, start, false);
            let export = |days: std::ops::Range<i64>| {
                let range = start + days.start * DAY..start + days.end * DAY;
                world.export().of(&server.url()).to(lake).range(range)
            };
            let sync = export(0..4).sync().args(&["--lookback", "10d"]);
            sync.run().ok();
            two_hundred(&archive, start, true);
            let killed = sync.clone().env("CONVERSE_EXPORT_TEST_KILL_AT", step).run();
            assert_eq!(killed.code, None, "{}", killed.stderr);
            let lake = world.lake_named(lake);
            let twice = findings(&verify(&lake, &[]).ended(1), "problems");
            assert!(
                twice
                    .iter()
                    .any(|(_, what)| what.contains("100 ids have rows in it")),
                "{twice:?}"
            );
            match verb {
                // of other time
                "export" => export(20..21).run().ok(),
                "sync" => sync.run().ok(),
                _ => export(0..4).args(&["--refetch"]).run().ok(),
            };
            if step == "pages-built:1" && verb == "export" {
                // messages had not come to the table yet
                assert!(
                    dates(&lake, "conversations")
                        .values()
                        .all(|dates| dates.len() == 1)
                );
                sync.run().ok();
            }
            assert_corrected(&lake);
        }
    }
}

#[test]
fn killed_at_random_moments_a_sync_or_a_refetch_leaves_no_id_twice() {
    let seed = Chance::seed();
    for round in 0..8 {
        let mut chance = Chance::new(seed ^ round);
        let world = World::in_memory(small());
        let start = world.range.start;
        let archive = Corrected::default();
        let server = archive.serve();
        two_hundred(&archive, start, false);
        let export = world.export().of(&server.url()).range(start..start + 4 * DAY);
        export.run().ok();
        let again = match round % 2 {
            0 => export.clone().sync().args(&["--lookback", "10d"]),
            _ => export.clone().args(&["--refetch"]),
        };
        two_hundred(&archive, start, true);
        for _ in 0..4 {
            let running = again.start();
            std::thread::sleep(Duration::from_millis(150).mul_f64(chance.next()));
            running.kill();
            running.end();
        }
        again.run().ok();
        assert_corrected(&world.lake());
    }
}

#[test]
fn a_plain_export_of_more_time_sees_what_has_moved_into_it() {
    let world = World::new(small());
    let start = world.range.start;
    let archive = Corrected::default();
    let server = archive.serve();
    two_hundred(&archive, start, false);
    let export = |days: i64| world.export().of(&server.url()).range(start..start + days * DAY);
    export(2).run().ok();
    two_hundred(&archive, start, true);
    let run = export(4).run().ok();
    assert_eq!(
        (
            run.count("conversations", "moved"),
            run.count("messages", "moved")
        ),
        (200, 200)
    );
    assert_corrected(&world.lake());
}
