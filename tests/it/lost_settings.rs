//! Tables that have lost their settings: the files show what they are, and nothing else is written beside them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::damage::assert_sound;
use crate::lake::Lake;
use crate::run::Export;
use crate::world::{BOT, World, small};

const YORK: [&str; 2] = ["--timezone", "America/New_York"];
const MONTH: [&str; 2] = ["--partition-by", "month"];

fn lose_settings(lake: &Lake, all: bool) {
    let own = lake.0.join("_export");
    if all {
        fs::remove_dir_all(own).unwrap();
    } else {
        fs::remove_file(own.join("table.json")).unwrap();
    }
}

fn settings(lake: &Lake) -> Value {
    serde_json::from_slice(&fs::read(lake.0.join("_export/table.json")).unwrap()).unwrap()
}

/// The run is refused, says why, and changes no data file.
#[track_caller]
fn is_refused(export: &Export<'_>, lake: &Lake, files: &BTreeMap<String, String>, words: &str) {
    let run = export.run().ended(2);
    assert!(run.stderr.contains(words), "{}", run.stderr);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    assert_eq!(lake.files(), *files);
    assert!(!lake.0.join("_export/table.json").exists());
}

#[test]
fn another_layout_is_never_written_beside_the_files_of_a_lost_table() {
    let world = World::new(small());
    let export = |lake: &str| world.export().to(lake);
    for (name, made_with, keeps) in [
        ("days", vec![], "day"),
        ("months", MONTH.to_vec(), "month"),
        (
            "columns",
            vec!["--metadata", "both", "--promote", "plan:json=tariff"],
            "day",
        ),
    ] {
        export(name).args(&made_with).run().ok();
        let lake = world.lake_named(name);
        let (files, before) = (lake.files(), settings(&lake));
        for all in [false, true] {
            lose_settings(&lake, all);
            let refused =
                |args: &[&str], words: &str| is_refused(&export(name).args(args), &lake, &files, words);
            let other = if keeps == "day" { "month" } else { "day" };
            refused(
                &["--partition-by", other],
                &format!("partitions {keeps}, not {other}"),
            );
            refused(&YORK, "contains rows of another");
            if keeps == "day" {
                // in the other direction; the month of all rows is the same there
                refused(&["--timezone", "Pacific/Kiritimati"], "contains rows of another");
            }
            refused(&["--metadata", "json"], ", not json");
            refused(&["--promote", "other"], ", not other");
            let plan = export(name).args(&MONTH).args(&YORK).args(&["--dry-run"]).run();
            assert_eq!(plan.code, Some(2), "{}", plan.stderr);
            let sync = export(name).args(&YORK).sync();
            is_refused(&sync, &lake, &files, "contains rows of another");
            // what is not asked for is as the files have it
            export(name).run().ok();
            assert_eq!(settings(&lake), before);
            assert_eq!(lake.files(), files);
            assert_sound(&lake);
        }
    }
}

#[test]
fn a_lost_table_in_another_zone_is_continued_in_that_zone() {
    let world = World::new(small());
    let all = [&YORK[..], &MONTH, &["--promote", "plan"]].concat();
    world.export().args(&all).run().ok();
    let (lake, files) = (world.lake(), world.lake().files());
    lose_settings(&lake, true);
    is_refused(&world.export(), &lake, &files, "rows of another month in UTC");
    world.export().args(&YORK).run().ok();
    assert_eq!(lake.files(), files);
    assert_eq!(settings(&lake)["promote"].as_array().unwrap().len(), 1);
    assert_sound(&lake);
}

#[test]
fn files_of_two_layouts_are_refused_and_files_of_others_are_not_looked_at() {
    let world = World::new(small());
    world.export().run().ok();
    world.export().to("months").args(&MONTH).run().ok();
    let (lake, months) = (world.lake(), world.lake_named("months"));
    let folder = |lake: &Lake| lake.0.join(format!("messages/bot={BOT}"));
    let copied = Command::new("cp")
        .arg("-r")
        .arg(folder(&months).join("month=2023-10"))
        .arg(folder(&lake))
        .status();
    assert!(copied.unwrap().success());
    lose_settings(&lake, true);
    let files = lake.files();
    for args in [&[][..], &MONTH, &["--partition-by", "day"]] {
        is_refused(
            &world.export().args(args),
            &lake,
            &files,
            "files are of two layouts",
        );
    }
    fs::remove_dir_all(folder(&lake).join("month=2023-10")).unwrap();
    fs::write(folder(&lake).join("notes.txt"), "mine").unwrap();
    fs::create_dir(folder(&lake).join("month=2023-09")).unwrap();
    fs::write(folder(&lake).join("month=2023-09/notes.txt"), "mine").unwrap();
    world.export().run().ok();
    assert_eq!(settings(&lake)["partition_by"], "day");
}
