//! `verify --live` asks the API again: it passes what is there, and misses what is not.

use converse_export_simulator::{CursorKind, CursorLife, Filter, Options, Order, TimeFormat};

use crate::damage::{Change, Partition, Snapshot, assert_sound, findings, verify};
use crate::world::{BOT, World, small};

const ASK: [&str; 6] = ["--live", "30", "--seed", "7", "--requests-per-second", "0"];

#[test]
fn a_sound_table_passes_whatever_the_api_leaves_open() {
    let variants = [
        small(),
        Options {
            filter: Filter::LastAction,
            order: Order::Unordered,
            start_inclusive: false,
            cursor: CursorKind::Offset,
            exact_end: false,
            ..small()
        },
        Options {
            order: Order::LastActionDescending,
            end_inclusive: true,
            cursor: CursorKind::Scroll,
            times: TimeFormat::FloatSeconds,
            empty_every: 2,
            ..small()
        },
        Options {
            order: Order::StartDescending,
            start_inclusive: false,
            end_inclusive: true,
            cursor_life: Some(CursorLife::Requests(400)),
            ..small()
        },
    ];
    for options in variants {
        let world = World::new(options);
        world.export().run().ok();
        let before = world.requests();
        let lake = world.lake();
        let snapshot = Snapshot::of(&lake);
        let run = verify(&lake, &ASK).ok();
        snapshot.assert_same(&lake);
        let report = run.json();
        let live = &report["live"];
        assert_eq!(live["windows"].as_array().unwrap().len(), 30);
        assert_eq!(live["requests"], world.requests() - before);
        for asked in live["windows"].as_array().unwrap() {
            assert_eq!(
                (&asked["missing"], &asked["gone"]),
                (&0.into(), &0.into()),
                "{asked}"
            );
        }
        let compared: u64 = live["windows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|w| w["records"].as_u64().unwrap())
            .sum();
        assert!(compared > 5_000, "{compared} records were compared");
    }
}

#[test]
fn a_window_costs_about_one_page_and_the_same_seed_asks_the_same() {
    let world = World::new(Options {
        conversations: 20_000,
        ..small()
    });
    world.export().run().ok();
    let lake = world.lake();
    let windows = |args: &[&str]| {
        let report = verify(&lake, args).ok().json();
        assert!(
            report["live"]["requests"].as_u64() <= Some(60),
            "{}",
            report["live"]["requests"]
        );
        report["live"]["windows"].clone()
    };
    assert_eq!(windows(&ASK), windows(&ASK));
    let told = verify(&lake, &["--live", "2", "--requests-per-second", "0"]).ok();
    let seed = told.json()["live"]["seed"].as_u64().unwrap();
    assert!(told.stderr.contains(&format!("--seed {seed}")), "{}", told.stderr);
    assert!(
        told.stderr.contains(world.simulator.base_url()),
        "{}",
        told.stderr
    );
}

#[test]
fn invariant_5_a_row_that_the_api_has_and_the_table_lacks_is_a_failure() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    for dataset in ["conversations", "messages"] {
        let partition = &Partition::all(&lake, dataset)[1];
        let snapshot = Snapshot::of(&lake);
        let time = if dataset == "messages" {
            "time"
        } else {
            "start_time"
        };
        let sql = format!(
            "select id from {dataset} where date = '{}' order by {time}, id limit 1 offset 20",
            partition.date
        );
        let id = lake.rows(&sql)[0][0].as_str().unwrap().to_owned();
        // so thoroughly that the table alone looks sound
        partition.rewrite(20, Change::Id("0-nobody"));
        partition.bend_ledger();
        assert_sound(&lake);
        let args = [&ASK[2..], &["--live", "60"]].concat();
        let run = verify(&lake, &args).ended(1);
        let problems = findings(&run, "problems");
        let is_told =
            |(path, what): &(String, String)| *path == format!("{dataset}/bot={BOT}") && what.contains(&id);
        assert!(
            !problems.is_empty() && problems.iter().all(is_told),
            "{problems:?}"
        );
        assert!(run.stderr.contains("--refetch"), "{}", run.stderr);
        // the row in its place is one that the API does not know: told, and no problem
        let notes = findings(&run, "notes");
        assert!(
            notes
                .iter()
                .any(|(_, what)| what.contains("does not return 1 rows")),
            "{notes:?}"
        );
        snapshot.restore(&lake);
    }
    verify(&lake, &ASK).ok();
}

#[test]
fn without_a_key_or_an_api_it_says_so() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let file = world.path("key");
    std::fs::write(&file, "wrong-key").unwrap();
    let run = verify(&lake, &["--live", "1", "--api-key-file", file.to_str().unwrap()]).ended(1);
    assert!(run.stderr.contains("error: cannot fetch"), "{}", run.stderr);
    assert!(!run.stderr.contains("wrong-key") && !run.stdout.contains("wrong-key"));
    verify(&lake, &["--live", "1", "--api-key-file", "/nowhere"]).ended(2);
    verify(&lake, &["--live", "1", "--base-url", "http://example.com"]).ended(2);
}
