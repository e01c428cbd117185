//! Settings that a table has and a command leaves out, and an API that moves to another address.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use converse_export_simulator::{Clock, Options};
use serde_json::Value;

use crate::damage::assert_sound;
use crate::lake::{Lake, files_below};
use crate::run::on;
use crate::world::{DAY, World, small};

fn settings(lake: &Lake) -> Value {
    serde_json::from_slice(&fs::read(lake.0.join("_export/table.json")).unwrap()).unwrap()
}

/// Every data file, with what shows whether it was written again.
fn written(lake: &Lake) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let files = files_below(&lake.0).into_iter();
    let data = files.filter(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    data.map(|path| {
        let about = fs::metadata(&path).unwrap();
        (path, (about.ino(), about.ctime(), about.ctime_nsec()))
    })
    .collect()
}

#[test]
fn what_a_command_leaves_out_is_as_the_table_has_it() {
    let world = World::new(small());
    let unchanged = || world.export().without_address();
    world.export().run().ok();
    assert_eq!(settings(&world.lake())["timezone"], "UTC", "a new table's");
    for zone in ["Europe/Berlin", "Asia/Tokyo"] {
        on(&world.lake().0, "rebuild", &["--timezone", zone]).ok();
        // the command of a job that knows nothing of it
        assert_eq!(unchanged().run().ok().total("requests"), 0);
        assert_eq!(
            unchanged()
                .sync()
                .args(&["--lookback", "0s"])
                .run()
                .ok()
                .total("requests"),
            0
        );
        assert_eq!(
            unchanged().args(&["--dry-run"]).run().ok().json()["jobs"][0]["probes"],
            0
        );
        assert_eq!(settings(&world.lake())["timezone"], zone);
        let named = unchanged().args(&["--timezone", "UTC"]).run().ended(2);
        let words = format!("time zone {zone}, not UTC");
        assert!(named.stderr.contains(&words), "{}", named.stderr);
        let named = unchanged().env("CONVERSE_EXPORT_TIMEZONE", "UTC").run().ended(2);
        assert!(named.stderr.contains(&words), "{}", named.stderr);
    }
    assert_sound(&world.lake());
}

#[test]
fn days_of_a_command_begin_in_the_zone_of_the_table() {
    let world = World::new(small());
    let days = ["--start", "2023-10-02", "--end", "2023-10-04"];
    world
        .export()
        .args(&["--timezone", "Asia/Tokyo"])
        .args(&days)
        .run()
        .ok();
    assert_eq!(world.export().args(&days).run().ok().total("requests"), 0);
    let ends = world
        .lake()
        .rows("select min(date)::varchar, max(date)::varchar from conversations");
    assert_eq!(ends[0][0], "2023-10-02");
}

#[test]
fn an_api_that_moves_is_followed_in_one_step_and_no_file_is_written_again() {
    let options = || Options {
        clock: Clock::fixed(small().range.end + 2 * DAY),
        ..small()
    };
    let (world, moved) = (World::new(options()), World::new(options()));
    let half = world.range.start..world.range.start + 2 * DAY;
    world.export().range(half.clone()).run().ok();
    let lake = world.lake();
    let (before, address) = (written(&lake), moved.simulator.base_url());
    let told = world.export().of(address).run().ended(2);
    assert!(told.stderr.contains("converse-export rebuild"), "{}", told.stderr);

    let (requests, asked) = (world.requests(), moved.requests());
    let run = on(&lake.0, "rebuild", &["--base-url", &format!("{address}/")]).ok();
    assert!(run.stderr.contains(address), "{}", run.stderr);
    assert_eq!(settings(&lake)["base_url"], address);
    assert_eq!(written(&lake), before);
    assert_sound(&lake);
    let json = on(&lake.0, "rebuild", &["--json", "--base-url", address])
        .ok()
        .json();
    assert_eq!(json["base_url"], address);
    assert_eq!(
        (world.requests(), moved.requests()),
        (requests, asked),
        "a rebuild sends no request"
    );

    // the same table, and only the rest is requested, from the new address alone
    let again = world.export().without_address().range(half).run().ok();
    assert_eq!(again.total("requests"), 0);
    world.export().without_address().run().ok();
    assert_eq!(world.requests(), requests);
    assert!(moved.requests() > asked);
    moved.export().to("whole").run().ok();
    assert_eq!(lake.files(), moved.lake_named("whole").files());
    let told = world.export().run().ended(2);
    assert!(
        told.stderr.contains("settings differ: base URL http"),
        "{}",
        told.stderr
    );
    on(&lake.0, "verify", &["--live", "2"]).ok();

    // a variable for exports is not meant for a rebuild
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_converse-export"));
    command
        .env_clear()
        .env("CONVERSE_EXPORT_BASE_URL", world.simulator.base_url());
    let output = command.args(["rebuild", "--out"]).arg(&lake.0).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(settings(&lake)["base_url"], address);
    assert_ne!(written(&lake), before, "every file is written again");

    // with another change in the same rebuild
    let back = world.simulator.base_url();
    on(
        &lake.0,
        "rebuild",
        &["--base-url", back, "--partition-by", "month"],
    )
    .ok();
    assert_eq!(settings(&lake)["base_url"], back);
    assert_eq!(settings(&lake)["partition_by"], "month");
    assert_eq!(world.export().run().ok().total("requests"), 0);
}

#[test]
fn an_address_that_no_request_can_be_sent_to_is_refused() {
    let world = World::new(small());
    world.export().run().ok();
    let before = settings(&world.lake());
    for address in [
        "ftp://example.com",
        "https://key@example.com",
        "https://example.com/?key=1",
        "nowhere",
        "file:///tmp",
    ] {
        let run = on(&world.lake().0, "rebuild", &["--base-url", address]).ended(2);
        assert!(run.stderr.contains("--base-url"), "{}", run.stderr);
        assert_eq!(settings(&world.lake()), before);
    }
    on(
        &world.path("nowhere"),
        "rebuild",
        &["--base-url", "https://example.com"],
    )
    .ended(2);
    assert!(!world.path("nowhere").exists());
}
