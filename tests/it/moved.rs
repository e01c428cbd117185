//! Records whose time is corrected so that they lie under another date.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::damage::{assert_sound, findings, verify};
use crate::run::Export;
use crate::scripted::{Asked, Scripted, ok};
use crate::synced::changes;
use crate::world::{BOT, DAY, World, small};

/// An archive that a test can correct: conversations and messages with an id and a time each.
#[derive(Clone, Default)]
struct Corrected(Arc<Mutex<Vec<(&'static str, Value)>>>);

impl Corrected {
    fn put(&self, dataset: &'static str, record: Value) {
        let mut records = self.0.lock().unwrap();
        records.retain(|(of, other)| *of != dataset || other["_id"] != record["_id"]);
        records.push((dataset, record));
    }

    fn conversation(&self, id: &str, start: i64, last: i64) {
        self.put(
            "conversations",
            json!({"_id": id, "startTime": start, "lastActionAt": last}),
        );
    }

    fn message(&self, id: &str, time: i64) {
        self.put("messages", json!({"_id": id, "time": time, "userInput": id}));
    }

    fn serve(&self) -> Scripted {
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
    // an export sees the new ones alone, and leaves the old ones
    export(2).args(&["--refetch"]).run().ok();
    assert_eq!(date("conversations", "c05"), ["2023-10-01", "2023-10-02"]);
    let told = findings(&verify(&lake, &[]).ended(1), "problems");
    assert!(
        told.iter()
            .any(|(_, what)| what.contains("such as c05") || what.contains("such as c60")),
        "{told:?}"
    );
    let before = changes(&lake).len();

    let run = sync(5).run().ok();
    assert_eq!(date("conversations", "c05"), ["2023-10-02"]);
    assert_eq!(date("conversations", "alone"), ["2023-10-02"]);
    assert_eq!(date("conversations", "c60"), ["2023-10-03"]);
    assert_eq!(date("messages", "m50"), ["2023-10-01"]);
    assert_eq!(
        (
            run.count("conversations", "moved"),
            run.count("messages", "moved")
        ),
        (3, 1)
    );
    assert!(
        !lake
            .0
            .join(format!("conversations/bot={BOT}/date=2023-10-05"))
            .exists(),
        "no empty partition"
    );
    let told = changes(&lake)[before].clone();
    assert_eq!(told["removed"][0]["date"], "2023-10-05", "{told}");
    assert_sound(&lake);
    lake.assert_ledger_adds_up();
    // and that was that
    let files = lake.files();
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
                "intent-written",
                "partition-exchanged",
                "entry-written",
                "ledger-saved",
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
