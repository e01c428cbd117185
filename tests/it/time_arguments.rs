//! Times and folders as they are typed.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use converse_export_simulator::Options;

use crate::lake::Lake;
use crate::run::{Run, within as run};
use crate::world::{BOT, World, small};

/// A fresh folder of a test.
fn place(world: &World, name: &str) -> std::path::PathBuf {
    let folder = world.path(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[track_caller]
fn is_empty(folder: &Path) {
    let entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(entries.is_empty(), "{entries:?}");
}

/// A subcommand over a range, without a limit.
fn over<'a>(world: &'a World, command: &'a str, range: &[&'a str]) -> Vec<&'a str> {
    let base_url = world.simulator.base_url();
    let mut args = vec![
        command,
        "--bot",
        BOT,
        "--base-url",
        base_url,
        "--requests-per-second",
        "0",
    ];
    args.extend(range);
    args
}

#[test]
fn a_range_is_typed_in_many_forms() {
    let world = World::new(small());
    let folder = place(&world, "forms");
    let truth = world.ids_within("conversations", &world.range);
    for (number, range) in [
        ["--start", "2023-10-01", "--end", "2023-10-08"],
        ["--since", "2023-10", "--until", "2023-11"],
        ["--from", "2023-10-01T00:00", "--to", "2023-10-08T00:00"],
        ["--start", "2023-09-30T22:00:00-02:00", "--end", "1696723200"],
    ]
    .iter()
    .enumerate()
    {
        let lake = folder.join(number.to_string());
        let out = ["--dataset", "conversations", "--out", lake.to_str().unwrap()];
        run(&folder, &[&over(&world, "export", range)[..], &out].concat(), &[]).ok();
        assert_eq!(Lake(lake).ids("conversations"), truth, "{range:?}");
    }
    for (number, start) in ["--since", "--start", "--from"].iter().enumerate() {
        let lake = folder.join(format!("sync-{number}"));
        let out = ["--dataset", "conversations", "--out", lake.to_str().unwrap()];
        let range = [*start, "2023-10-01", "--until", "2023-10-08"];
        run(&folder, &[&over(&world, "sync", &range)[..], &out].concat(), &[]).ok();
        assert_eq!(Lake(lake).ids("conversations"), truth, "{start}");
    }
}

#[test]
fn a_range_can_be_relative_to_now() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let world = World::new(Options {
        range: now - 9 * 86_400..now - 600,
        conversations: 500,
        busy_day: None,
        empty_day: None,
        ..small()
    });
    let folder = place(&world, "relative");
    let midnight = now - now.rem_euclid(86_400);
    for (number, (start, end, from, to)) in [
        ("-7d", "now", now - 7 * 86_400, now),
        ("-36h", "today", now - 36 * 3600, midnight),
        ("yesterday", "today", midnight - 86_400, midnight),
    ]
    .into_iter()
    .enumerate()
    {
        let lake = folder.join(number.to_string());
        let range = ["--start", start, "--end", end];
        let out = ["--dataset", "conversations", "--out", lake.to_str().unwrap()];
        run(
            &folder,
            &[&over(&world, "export", &range)[..], &out].concat(),
            &[],
        )
        .ok();
        let ids = Lake(lake).ids("conversations");
        // the run began a little later than this test
        let least = world.ids_within("conversations", &(from + 100..to));
        let most = world.ids_within("conversations", &(from..to + 100));
        assert!(ids.is_superset(&least) && ids.is_subset(&most), "{start} {end}");
        assert!(!ids.is_empty());
    }
}

#[test]
fn a_number_that_is_no_unix_seconds_is_refused() {
    let world = World::new(small());
    let folder = place(&world, "numbers");
    for (start, hint) in [
        ("20231001", "hint: for that day, give 2023-10-01"),
        ("202310", "hint: for the month's first day, give 2023-10"),
        ("1696118400000", "hint: give the seconds: 1696118400"),
        ("0", "Unix seconds have 10 digits"),
    ] {
        for command in ["export", "plan", "sync"] {
            let flag = if command == "sync" { "--since" } else { "--start" };
            let range = [flag, start, "--end", "2023-10-08", "--out", "lake"];
            let run = run(&folder, &over(&world, command, &range), &[]).ended(2);
            assert!(run.stderr.contains(hint), "{}", run.stderr);
            assert_eq!(run.stderr.matches("hint: ").count(), 1, "{}", run.stderr);
        }
    }
    is_empty(&folder);
    assert_eq!(world.requests(), 0);
}

#[test]
fn a_range_in_the_future_gives_a_warning() {
    let world = World::new(small());
    let folder = place(&world, "future");
    let future = ["--start", "2190-01", "--end", "2190-02", "--out", "lake"];
    let exported = run(&folder, &over(&world, "export", &future), &[]).ok();
    let words = "warning: the whole range is in the future";
    assert!(exported.stderr.contains(words), "{}", exported.stderr);
    let mistyped = ["--start", "2023-10-01", "--end", "2032-10-08", "--out", "other"];
    let planned = run(&folder, &over(&world, "plan", &mistyped), &[]).ok();
    assert!(
        planned.stderr.contains("the range ends in the future"),
        "{}",
        planned.stderr
    );
    let past = ["--start", "2023-10-01", "--end", "2023-10-08", "--out", "other"];
    let planned = run(&folder, &over(&world, "plan", &past), &[]).ok();
    assert!(!planned.stderr.contains("future"), "{}", planned.stderr);
}

/// Every subcommand that takes a folder, with what else it needs.
const COMMANDS: [&[&str]; 13] = [
    &[
        "export",
        "--bot",
        "b",
        "--start",
        "2023-10-01",
        "--end",
        "2023-10-02",
    ],
    &["sync", "--bot", "b", "--since", "2023-10-01"],
    &[
        "plan",
        "--bot",
        "b",
        "--start",
        "2023-10-01",
        "--end",
        "2023-10-02",
    ],
    &["doctor", "--bot", "b"],
    &["demo"],
    &["status"],
    &["verify"],
    &["schema"],
    &["keys"],
    &["report"],
    &["rebuild"],
    &["erase", "--conversation", "c"],
    &[
        "export",
        "--dry-run",
        "--bot",
        "b",
        "--start",
        "2023-10-01",
        "--end",
        "2023-10-02",
    ],
];

#[test]
fn a_folder_that_is_elsewhere_is_refused_by_every_command() {
    let world = World::new(small());
    let folder = place(&world, "elsewhere");
    for out in [
        "s3://bucket/lake",
        "gs://bucket/lake",
        "az://container/lake",
        "abfss://c@account.dfs.core.windows.net/lake",
        "hdfs:/lake",
        "s3:bucket",
        "other://lake",
        "file://lake",
        "~/lake",
        "$HOME/lake",
        "${LAKE}",
    ] {
        for command in COMMANDS {
            let refused = |run: Run, from: &str| {
                let run = run.ended(2);
                let what = format!("error: cannot use --out {out}{from}: ");
                assert!(run.stderr.contains(&what), "{command:?}: {}", run.stderr);
                assert_eq!(run.stderr.matches("hint: give ").count(), 1, "{}", run.stderr);
            };
            refused(run(&folder, &[command, &["--out", out]].concat(), &[]), "");
            // these take nothing from elsewhere
            if command == ["demo"] {
                continue;
            }
            let variable = ("CONVERSE_EXPORT_OUT", out);
            refused(
                run(&folder, command, &[variable]),
                " (from the variable CONVERSE_EXPORT_OUT)",
            );
        }
    }
    let run = run(
        &folder,
        &["report", "--out", "lake", "--to", "s3://bucket/page.html"],
        &[],
    )
    .ended(2);
    assert!(
        run.stderr.contains("cannot use --to s3://bucket/page.html"),
        "{}",
        run.stderr
    );
    is_empty(&folder);
}

#[test]
fn a_folder_that_is_elsewhere_is_refused_in_the_config_file() {
    let world = World::new(small());
    for (number, out) in ["s3://bucket/lake", "s3:bucket", "~/lake", "$HOME/lake"]
        .iter()
        .enumerate()
    {
        let folder = place(&world, &format!("config-{number}"));
        let file = folder.join("converse-export.toml");
        std::fs::write(&file, format!("out = \"{out}\"\n")).unwrap();
        for command in COMMANDS.iter().filter(|command| **command != ["demo"]) {
            let run = run(&folder, command, &[]).ended(2);
            let what = format!("error: cannot use --out {out} (from converse-export.toml): ");
            assert!(run.stderr.contains(&what), "{command:?}: {}", run.stderr);
        }
        std::fs::remove_file(&file).unwrap();
        is_empty(&folder);
    }
}

#[test]
fn a_file_address_is_a_folder_of_this_machine() {
    let world = World::new(small());
    let folder = place(&world, "file");
    let lake = folder.join("my lake");
    let out = format!("file://{}", lake.to_str().unwrap().replace(' ', "%20"));
    let range = [
        "--start",
        "2023-10-01",
        "--end",
        "2023-10-08",
        "--dataset",
        "conversations",
        "--out",
        &out,
    ];
    run(&folder, &over(&world, "export", &range), &[]).ok();
    assert!(!Lake(lake).ids("conversations").is_empty());
    run(&folder, &["verify"], &[("CONVERSE_EXPORT_OUT", &out)]).ok();
    std::fs::write(folder.join("converse-export.toml"), format!("out = \"{out}\"\n")).unwrap();
    run(&folder, &["status"], &[]).ok();
    assert!(!folder.join("file:").exists());
}
