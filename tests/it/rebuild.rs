//! `rebuild` makes the table again from its own rows: the same as a fresh export would, whole or not at all.

use std::fs;
use std::time::{Duration, Instant};

use converse_export_simulator::{Endpoint, Injected, Latency, Options};
use rustix::process::Signal;
use serde_json::Value;

use crate::damage::verify;
use crate::lake::{Lake, files_below};
use crate::run::{Run, Running, start};
use crate::world::{World, small};

const BERLIN: [&str; 2] = ["--timezone", "Europe/Berlin"];

fn rebuilding(lake: &Lake, args: &[&str]) -> Running {
    let out = lake.0.to_str().unwrap();
    start(&[&["rebuild", "--json", "--out", out], args].concat())
}

fn rebuild(lake: &Lake, args: &[&str]) -> Run {
    rebuilding(lake, args).end()
}

fn nothing_is_left_over(lake: &Lake) {
    let own = lake.0.join("_export");
    for name in ["rebuild", "rebuild.json"] {
        assert!(!own.join(name).exists(), "{name} is left over");
    }
}

#[test]
fn invariant_8_another_zone_gives_the_bytes_of_a_fresh_export() {
    let odd = |endpoint, raw: &str| Injected {
        endpoint,
        time_seconds: 1_696_204_800,
        raw_json: raw.into(),
    };
    // records without a time belong to no day in any zone
    let world = World::new(Options {
        extra: vec![
            odd(Endpoint::Conversations, r#"{"_id":"odd","startTime":"soon"}"#),
            odd(Endpoint::Messages, r#"{"_id":"odd"}"#),
        ],
        ..small()
    });
    world.export().args(&["--keep-pages"]).run().ok();
    let lake = world.lake();
    let utc = lake.files();
    let kept = files_below(&lake.0.join("_export/kept"));
    // ahead, behind, by a quarter of an hour, and back
    for zone in ["Europe/Berlin", "America/St_Johns", "Pacific/Chatham", "UTC"] {
        let requests = world.requests();
        let run = rebuild(&lake, &["--timezone", zone]).ok();
        assert_eq!(world.requests(), requests, "it makes no request");
        nothing_is_left_over(&lake);
        lake.assert_ledger_adds_up();
        verify(&lake, &[]).ok();
        let files = lake.files();
        assert_eq!(files == utc, zone == "UTC", "{zone}");
        let fresh = world.export().to(zone).args(&["--timezone", zone]).run().ok();
        assert_eq!(files, world.lake_named(zone).files(), "{zone}");
        let summary: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(summary["timezone"], zone);
        assert_eq!(summary["partitions"], files.len());
        assert_eq!(summary["rows"], fresh.total("rows"));
        // what was complete is so in any zone
        let again = world.export().args(&["--timezone", zone]).run().ok();
        assert_eq!(again.total("requests"), 0);
        assert_eq!(files_below(&lake.0.join("_export/kept")), kept);
    }
}

#[test]
fn the_same_zone_gives_the_same_bytes_and_others_files_stay() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    let mine = lake.0.join("conversations/bot=r3-218210/mine.txt");
    fs::write(&mine, "mine").unwrap();
    rebuild(&lake, &[]).ok();
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    fs::remove_file(&mine).unwrap();
    assert_eq!(lake.files(), whole);
}

#[test]
fn a_run_with_another_zone_is_told_of_rebuild() {
    let world = World::new(small());
    world.export().run().ok();
    let told = world.export().args(&BERLIN).run().ended(2);
    assert!(
        told.stderr.contains("converse-export rebuild`"),
        "{}",
        told.stderr
    );
    rebuild(&world.lake(), &BERLIN).ok();
    // what a command leaves out is as the table has it
    assert_eq!(world.export().run().ok().total("requests"), 0);
    world.export().args(&["--timezone", "UTC"]).run().ended(2);
    world.export().args(&BERLIN).run().ok();
    for (lake, args, words) in [
        ("lake", ["--timezone", "Mars/Phobos"], "unknown time zone"),
        ("nowhere", BERLIN, "there is no table"),
    ] {
        let told = rebuild(&world.lake_named(lake), &args).ended(2);
        assert!(told.stderr.contains(words), "{}", told.stderr);
    }
    assert!(!world.path("nowhere").exists());
}

#[test]
fn what_is_damaged_is_not_made_new_again() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    let file = lake.0.join(whole.keys().next().unwrap());
    let mut content = fs::read(&file).unwrap();
    content[1000] ^= 1;
    fs::write(&file, content).unwrap();
    let bent = lake.files();
    let told = rebuild(&lake, &BERLIN).ended(1);
    assert!(told.stderr.contains(file.to_str().unwrap()), "{}", told.stderr);
    assert_eq!(lake.files(), bent, "the old table stays as it is");
    nothing_is_left_over(&lake);
    world.export().run().ok();
    rebuild(&lake, &BERLIN).ok();
    rebuild(&lake, &["--timezone", "UTC"]).ok();
    assert_eq!(lake.files(), whole);
}

/// Slow enough to be caught in the middle.
fn slow() -> World {
    World::new(Options {
        latency: Latency::Fixed(Duration::from_millis(60)),
        ..small()
    })
}

#[test]
fn an_interrupted_export_goes_on_in_the_new_zone() {
    let world = slow();
    let narrow = ["--concurrency", "2"];
    let running = world.export().args(&narrow);
    let half = world.range.start..world.range.start + 2 * crate::world::DAY;
    running.clone().range(half).run().ok();
    let mut running = running.start();
    running.until(|| files_below(&world.path("lake/_export/pages")).len() >= 3);
    let locked = rebuild(&world.lake(), &BERLIN).ended(3);
    assert!(
        locked.stderr.contains("another run is active"),
        "{}",
        locked.stderr
    );
    running.signal(Signal::KILL);
    running.end();
    rebuild(&world.lake(), &BERLIN).ok();
    world.export().args(&BERLIN).args(&narrow).run().ok();
    world.export().to("fresh").args(&BERLIN).run().ok();
    assert_eq!(world.lake().files(), world.lake_named("fresh").files());
    world.lake().assert_ledger_adds_up();
}

#[test]
fn invariant_2_killed_at_any_moment_there_is_the_old_table_or_the_new_one() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let utc = lake.files();
    let begin = Instant::now();
    rebuild(&lake, &BERLIN).ok();
    let time = begin.elapsed();
    let berlin = lake.files();
    let zones = [("UTC", &utc), ("Europe/Berlin", &berlin)];
    let (mut old, mut new) = (0, 0);
    for number in 0..24_u32 {
        let (zone, expected) = zones[(number % 2) as usize];
        let (_, before) = zones[1 - (number % 2) as usize];
        let running = rebuilding(&lake, &["--timezone", zone]);
        std::thread::sleep(time * (number * 7 % 24 + 1) / 22);
        running.signal(Signal::KILL);
        running.end();
        let mut now = lake.files();
        // the mark of a new table, until all is done; readers ignore it
        now.retain(|path, _| !path.ends_with("/_new"));
        // each dataset is there, whole, in the one zone or the other
        for dataset in ["conversations", "messages"] {
            let of = |files: &std::collections::BTreeMap<String, String>| {
                let mut files = files.clone();
                files.retain(|path, _| path.starts_with(dataset));
                files
            };
            let is = of(&now);
            assert!(is == of(before) || is == of(expected), "{dataset} is neither");
        }
        old += u32::from(now == *before);
        new += u32::from(now == *expected);
        rebuild(&lake, &["--timezone", zone]).ok();
        assert_eq!(lake.files(), *expected);
        nothing_is_left_over(&lake);
    }
    assert!(old > 0, "every kill came too late: {new} of 24");
    let run = world.export().args(&BERLIN).run().ok();
    assert_eq!(run.total("requests"), 0);
}

#[test]
fn a_signal_stops_it_and_the_old_table_stays() {
    let world = World::new(Options {
        conversations: 20_000,
        ..small()
    });
    world.export().run().ok();
    let lake = world.lake();
    let utc = lake.files();
    let mut running = rebuilding(&lake, &BERLIN);
    running.until(|| lake.0.join("_export/rebuild").exists());
    running.signal(Signal::TERM);
    let run = running.end().ended(143);
    assert!(run.stderr.contains("the run was interrupted"), "{}", run.stderr);
    assert_eq!(lake.files(), utc);
    nothing_is_left_over(&lake);
}

#[test]
fn kept_pages_mend_in_the_new_zone() {
    let world = World::new(small());
    world.export().args(&["--keep-pages"]).run().ok();
    let lake = world.lake();
    rebuild(&lake, &BERLIN).ok();
    let whole = lake.files();
    for file in whole.keys() {
        fs::remove_file(lake.0.join(file)).unwrap();
        let run = world.export().args(&BERLIN).run().ok();
        assert_eq!(run.total("requests"), 0);
        assert_eq!(lake.files(), whole, "{file}");
    }
    lake.assert_ledger_adds_up();
}
