//! What was damaged is noticed, named, and mended by the same command.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use converse_export_simulator::{Endpoint, Filter, Growth, Injected, Latency, Options};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::damage::verify;
use crate::duck::Reader;
use crate::lake::{Lake, files_below};
use crate::run::Run;
use crate::world::{BOT, DAY, World, small};

/// The busy day's conversations.
const FOLDER: &str = "conversations/bot=r3-218210/date=2023-10-03";

fn entry(lake: &Lake) -> PathBuf {
    lake.0.join(format!("_export/partitions/{FOLDER}.json"))
}

/// The one file of the busy day.
fn file(lake: &Lake) -> PathBuf {
    files_below(&lake.0.join(FOLDER)).remove(0)
}

fn edit(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(path).unwrap();
    edit(&mut content);
    fs::write(path, content).unwrap();
}

/// A way to damage a table, and the words by which it is told.
type Way = (&'static str, fn(&Lake), &'static str);

/// Damage that only pages or the API can mend.
const LOST: [Way; 9] = [
    (
        "a file deleted",
        |lake| fs::remove_file(file(lake)).unwrap(),
        "is missing",
    ),
    (
        "a file cut off",
        |lake| edit(&file(lake), |content| content.truncate(content.len() / 2)),
        "bytes instead of",
    ),
    (
        "a file emptied",
        |lake| edit(&file(lake), Vec::clear),
        "has 0 bytes instead of",
    ),
    (
        "a byte flipped, size and name kept",
        |lake| edit(&file(lake), |content| content[1000] ^= 1),
        "is not what was written",
    ),
    (
        "a row taken out of a file and its entry alike",
        |lake| {
            let file = file(lake).strip_prefix(&lake.0).unwrap().to_owned();
            let task =
                json!({"task": "without_first_row", "lake": lake.0, "file": file, "entry": entry(lake)});
            Reader::begin(&task).answer();
        },
        "its rows are not those that were written",
    ),
    (
        "a file cut off, its entry deleted",
        |lake| {
            edit(&file(lake), |content| content.truncate(content.len() / 2));
            fs::remove_file(entry(lake)).unwrap();
        },
        "is not what was written",
    ),
    (
        "file and entry deleted",
        |lake| {
            fs::remove_dir_all(lake.0.join(FOLDER)).unwrap();
            fs::remove_file(entry(lake)).unwrap();
        },
        "has no file",
    ),
    (
        "a file renamed",
        |lake| fs::rename(file(lake), file(lake).with_file_name("renamed.parquet")).unwrap(),
        "is missing",
    ),
    (
        "all of a dataset deleted",
        |lake| fs::remove_dir_all(lake.0.join("conversations")).unwrap(),
        "is missing",
    ),
];

/// Damage that the table can mend from its own files.
const MADE_AGAIN: [Way; 4] = [
    (
        "an entry deleted",
        |lake| fs::remove_file(entry(lake)).unwrap(),
        "",
    ),
    (
        "an entry cut off",
        |lake| edit(&entry(lake), |content| content.truncate(40)),
        "",
    ),
    (
        "all entries deleted",
        |lake| fs::remove_dir_all(lake.0.join("_export/partitions")).unwrap(),
        "",
    ),
    (
        "another file beside the right one",
        |lake| fs::write(lake.0.join(FOLDER).join("notes.parquet"), "mine").unwrap(),
        "does not belong there",
    ),
];

/// The table is as an undisturbed one, its accounts hold, and the next run has nothing to do.
#[track_caller]
fn assert_mended(world: &World, lake: &Lake, whole: &BTreeMap<String, String>, name: &str) {
    assert_eq!(lake.files(), *whole, "{name}");
    lake.assert_ledger_adds_up();
    verify(lake, &[]).ok();
    assert!(files_below(&lake.0.join("_export/pages")).is_empty(), "{name}");
    let again = world.export().to(lake_name(lake)).run().ok();
    assert_eq!(again.total("requests"), 0, "{name}");
    assert_eq!(damaged(&again), json!([]), "{name}");
    assert_eq!(lake.files(), *whole, "{name}");
}

fn lake_name(lake: &Lake) -> &str {
    lake.0.file_name().unwrap().to_str().unwrap()
}

/// What a run says it found damaged.
fn damaged(run: &Run) -> Value {
    serde_json::from_str::<Value>(&run.stdout).unwrap()["damaged"].clone()
}

#[test]
fn damaged_partitions_are_named_and_asked_for_again() {
    let world = World::new(small());
    let undisturbed = world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    for (name, damage, words) in LOST {
        damage(&lake);
        assert_ne!(lake.files(), whole, "{name}: the damage is none");
        verify(&lake, &[]).ended(1);
        let run = world.export().run().ok();
        assert!(run.stderr.contains(words), "{name}: {}", run.stderr);
        assert!(damaged(&run).to_string().contains(FOLDER), "{name}");
        assert!(run.count("conversations", "requests") > 0, "{name}");
        assert_eq!(run.count("messages", "requests"), 0, "{name}");
        assert!(
            run.count("conversations", "rows") <= undisturbed.count("conversations", "rows"),
            "{name}"
        );
        assert_mended(&world, &lake, &whole, name);
    }
    // what was damaged and still there is still there
    let aside = files_below(&lake.0.join("_export/quarantine/conversations"));
    assert_eq!(aside.len(), 6, "{aside:?}");
}

#[test]
fn what_the_table_knows_of_its_files_is_made_again_from_them() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    for (name, damage, words) in MADE_AGAIN {
        damage(&lake);
        verify(&lake, &[]).ended(1);
        let run = world.export().run().ok();
        assert!(run.stderr.contains(words), "{name}: {}", run.stderr);
        assert_eq!(run.total("requests"), 0, "{name}");
        assert!(entry(&lake).exists());
        assert_mended(&world, &lake, &whole, name);
    }
    let notes = lake
        .0
        .join("_export/quarantine")
        .join(FOLDER)
        .join("notes.parquet");
    assert_eq!(fs::read_to_string(notes).unwrap(), "mine");
}

#[test]
fn kept_pages_mend_without_a_request() {
    let world = World::new(small());
    let lake = world.lake();
    world.export().args(&["--keep-pages"]).run().ok();
    let whole = lake.files();
    let kept = files_below(&lake.0.join("_export/kept"));
    assert!(kept.len() >= 14, "{kept:?}");
    let ledger = |lake: &Lake| {
        edit(&lake.log(false)[0], |content| content.truncate(90));
    };
    let also: Way = ("the log cut off", ledger, "_export/log/");
    for (name, damage, words) in LOST.into_iter().chain([also]) {
        damage(&lake);
        // whatever the run itself is asked for
        let first_day = world.range.start..world.range.start + DAY;
        let run = world.export().range(first_day).run().ok();
        assert!(run.stderr.contains(words), "{name}: {}", run.stderr);
        assert_eq!(run.total("requests"), 0, "{name}");
        assert_mended(&world, &lake, &whole, name);
        assert_eq!(files_below(&lake.0.join("_export/kept")), kept, "{name}");
    }
}

#[test]
fn kept_pages_that_are_not_the_last_word_bring_no_old_rows_back() {
    let world = World::new(Options {
        growth: Growth {
            updates: 500,
            after_requests: 25,
            ..Growth::default()
        },
        ..small()
    });
    let lake = world.lake();
    let export = world.export().only("conversations");
    export.clone().args(&["--keep-pages"]).run().ok();
    let first = lake.files();
    // asked again, without keeping, until what changed has come
    let begin = world.requests();
    assert!(begin < 25, "{begin} requests");
    while world.requests() < 2 * 25 {
        export.clone().args(&["--refetch"]).run().ok();
    }
    let whole = lake.files();
    assert_ne!(first, whole, "the archive did not change");
    fs::remove_file(file(&lake)).unwrap();
    assert!(export.run().ok().total("requests") > 0);
    assert_eq!(lake.files(), whole);
}

#[test]
fn damaged_kept_pages_are_asked_for_again() {
    let world = World::new(small());
    let lake = world.lake();
    world.export().args(&["--keep-pages"]).run().ok();
    let whole = lake.files();
    for page in files_below(&lake.0.join("_export/kept")) {
        edit(&page, |content| content[200] ^= 1);
    }
    fs::remove_file(file(&lake)).unwrap();
    let run = world.export().run().ok();
    assert!(run.total("requests") > 0);
    assert!(run.stderr.contains("_export/kept/"), "{}", run.stderr);
    assert_mended(&world, &lake, &whole, "kept pages damaged");
}

#[test]
fn a_log_cut_off_anywhere_is_made_again() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    for cut in [0, 10, 300, 500, 999] {
        // the copies are as good; without them the entries show what there is, and the API whether it is all
        for with_copies in [false, true] {
            let mut damaged = lake.log(false);
            if with_copies {
                damaged.extend(lake.log(true));
            }
            for path in &damaged {
                edit(path, |content| content.truncate(content.len() * cut / 1000));
            }
            verify(&lake, &[]).ended(1);
            let run = world.export().run().ok();
            assert!(run.stderr.contains("_export/log/"), "{}", run.stderr);
            assert_eq!(run.total("rows"), 0, "the rows are all there");
            assert_eq!(run.total("requests") > 0, with_copies, "cut at {cut}");
            assert_mended(&world, &lake, &whole, &format!("cut at {cut}"));
        }
    }
    lake.log(false)
        .iter()
        .for_each(|path| fs::remove_file(path).unwrap());
    let run = world.export().run().ok();
    assert!(run.stderr.contains("it is missing"), "{}", run.stderr);
    assert_eq!(run.total("requests"), 0);
    assert_mended(&world, &lake, &whole, "deleted");
    for lost in ["_export/log", "_export"] {
        // two at a time: a partition is lost, and the ledger that knew of it
        fs::remove_file(file(&lake)).unwrap();
        fs::remove_dir_all(lake.0.join(lost)).unwrap();
        world.export().run().ok();
        assert_mended(&world, &lake, &whole, "deleted with a file");
    }
}

#[test]
fn a_log_of_a_newer_version_is_left_alone() {
    let world = World::new(small());
    world.export().run().ok();
    let path = world.lake().0.join("_export/log/00000000000000009999.json.zst");
    let newer = zstd::encode_all(&br#"{"version": 2, "moved": "elsewhere"}"#[..], 1).unwrap();
    for object in world.lake().log(false).into_iter().chain([path.clone()]) {
        fs::write(object, &newer).unwrap();
    }
    let run = world.export().run().ended(2);
    assert!(run.stderr.contains("update converse-export"), "{}", run.stderr);
    assert_eq!(fs::read(&path).unwrap(), newer);
}

#[test]
fn a_damaged_commit_is_set_aside() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    fs::write(lake.0.join("_export/commit.json"), "{\"partitions\": [[").unwrap();
    let run = world.export().run().ok();
    assert!(run.stderr.contains("_export/commit.json"), "{}", run.stderr);
    assert_mended(&world, &lake, &whole, "commit.json");
    assert!(lake.0.join("_export/quarantine/commit.json").exists());
}

#[test]
fn a_damaged_day_outside_the_range_is_named_and_left_for_later() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    fs::remove_file(file(&lake)).unwrap();
    let first_day = world.range.start..world.range.start + DAY;
    let run = world.export().range(first_day.clone()).run().ok();
    assert_eq!(run.total("requests"), 0);
    let words = format!("export conversations of {BOT} again: 2023-10-03T00:00:00Z/2023-10-04T00:00:00Z");
    assert!(run.stderr.contains(&words), "{}", run.stderr);
    assert!(lake.files().len() < whole.len());
    // told once: it is no damage any more, only something that is missing
    let again = world.export().range(first_day).run().ok();
    assert_eq!(damaged(&again), json!([]));
    let run = world.export().run().ok();
    assert!(run.total("requests") > 0);
    assert_mended(&world, &lake, &whole, "outside the range");
}

#[test]
fn rejected_records_survive_a_lost_ledger() {
    let world = World::new(Options {
        extra: vec![Injected {
            endpoint: Endpoint::Conversations,
            time_seconds: 1_696_204_800,
            raw_json: r#"{"startTime":1696204800,"locale":"no id"}"#.into(),
        }],
        ..small()
    });
    world.export().run().ended(4);
    let lake = world.lake();
    let whole = lake.files();
    fs::remove_dir_all(lake.0.join("_export/log")).unwrap();
    world.export().run().ended(4);
    assert_eq!(lake.ledger()["datasets"]["conversations"][BOT]["rejected"], 1);
    assert_mended(&world, &lake, &whole, "a ledger with rejected records");
}

#[test]
fn where_the_api_filters_otherwise_all_of_it_is_asked_for_again() {
    let world = World::new(Options {
        filter: Filter::LastAction,
        extra: vec![Injected {
            endpoint: Endpoint::Conversations,
            time_seconds: 1_696_204_800,
            raw_json: r#"{"_id":"odd","startTime":"soon","lastActionAt":1696204800}"#.into(),
        }],
        ..small()
    });
    let timeless = "conversations/bot=r3-218210/date=__HIVE_DEFAULT_PARTITION__";
    for (lake, args, asks) in [("asked", &[][..], true), ("kept", &["--keep-pages"][..], false)] {
        let export = world.export().to(lake);
        export.clone().args(args).run().ok();
        let lake = world.lake_named(lake);
        let whole = lake.files();
        for folder in [FOLDER, timeless] {
            fs::remove_file(&files_below(&lake.0.join(folder))[0]).unwrap();
            let run = export.run().ok();
            assert!(run.stderr.contains(folder), "{}", run.stderr);
            assert_eq!(run.total("requests") > 0, asks, "{folder}");
            assert_mended(&world, &lake, &whole, folder);
        }
    }
}

#[test]
fn a_copied_table_is_found_whole() {
    let world = World::new(small());
    world.export().run().ok();
    let (from, to) = (world.lake(), world.lake_named("copy"));
    for file in files_below(&from.0) {
        let copy = to.0.join(file.strip_prefix(&from.0).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
    assert_mended(&world, &to, &from.files(), "a copy");
}

#[test]
fn invariant_10_killed_while_mending_it_is_mended_by_the_next_run() {
    let world = World::new(Options {
        latency: Latency::Fixed(Duration::from_millis(20)),
        ..small()
    });
    let export = world.export().args(&["--concurrency", "2"]);
    export.clone().args(&["--keep-pages"]).run().ok();
    let lake = world.lake();
    let whole = lake.files();
    for kill in 0..20_u32 {
        // with the help of kept pages in the first half
        if kill == 10 {
            fs::remove_dir_all(lake.0.join("_export/kept")).unwrap();
        }
        let damage = LOST[kill as usize % LOST.len()].1;
        damage(&lake);
        let running = export.start();
        std::thread::sleep(Duration::from_millis(u64::from(kill * 7 % 20) * 12));
        running.signal(Signal::KILL);
        running.end();
        export.run().ok();
        assert_mended(&world, &lake, &whole, &format!("kill {kill}"));
    }
}
