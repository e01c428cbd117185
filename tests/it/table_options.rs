//! The form of a table's columns is a setting of the table: kept by its runs, changed by `rebuild` alone.

use std::fs;

use converse_export_simulator::Options;
use serde_json::{Value, json};

use crate::damage::verify;
use crate::lake::Lake;
use crate::promoted_columns::{ALL_TYPES, odd};
use crate::run::{Run, on};
use crate::world::{World, small};

fn rebuild(lake: &Lake, args: &[&str]) -> Run {
    on(&lake.0, "rebuild", &[&["--json"], args].concat())
}

/// What the table's own settings say.
fn settings(lake: &Lake) -> Value {
    serde_json::from_slice(&fs::read(lake.0.join("_export/table.json")).unwrap()).unwrap()
}

#[test]
fn invariant_8_rebuild_gives_the_bytes_of_a_fresh_export_in_each_mode() {
    let world = odd();
    world.export().args(&["--metadata", "both"]).run().ok();
    let lake = world.lake();
    // each from the one before
    for (number, asked) in [
        &[&["--metadata", "both"], &ALL_TYPES[..]].concat()[..],
        &["--promote", "none", "--metadata", "json"],
        &[
            "--metadata",
            "both",
            "--promote",
            "system",
            "--promote",
            "text:json",
        ],
        &["--metadata", "json"],
        &ALL_TYPES,
        &[
            "--metadata",
            "map",
            "--promote",
            "count:int64",
            "--timezone",
            "Europe/Berlin",
        ],
        &["--promote", "system"],
        &["--promote", "none"],
    ]
    .into_iter()
    .enumerate()
    {
        let requests = world.requests();
        let rebuilt = rebuild(&lake, asked).ok().json();
        assert_eq!(world.requests(), requests, "it makes no request");
        verify(&lake, &[]).ok();
        let files = lake.files();
        let now = settings(&lake);
        let mut fresh: Vec<String> = vec!["--metadata".into(), now["metadata"].as_str().unwrap().into()];
        fresh.extend(["--timezone".into(), now["timezone"].as_str().unwrap().into()]);
        for column in now["promote"].as_array().unwrap() {
            fresh.extend(["--promote".into(), column.as_str().unwrap().into()]);
        }
        let fresh: Vec<&str> = fresh.iter().map(String::as_str).collect();
        let name = format!("fresh{number}");
        let run = world.export().to(&name).args(&fresh).run().ok();
        assert_eq!(files, world.lake_named(&name).files(), "{asked:?}");
        // a row is there once, however often its record came
        let names = |misfits: &Value| misfits.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let unfit = &rebuilt["promoted_misfits"];
        assert!(
            unfit.as_object().unwrap().values().all(|count| *count == 1),
            "{unfit}"
        );
        if asked.contains(&"count:int64") {
            let fresh = &run.of_dataset("conversations")["promoted_misfits"];
            assert_eq!(names(unfit), names(fresh), "{asked:?}");
        }
        assert_eq!(rebuilt["promote"], now["promote"]);
    }
    assert_eq!(settings(&lake)["promote"], json!([]));
    lake.assert_ledger_adds_up();
}

#[test]
fn a_table_keeps_its_form_and_says_what_differs() {
    let world = World::new(Options {
        conversations: 400,
        ..small()
    });
    let promote = ["--promote", "plan", "--promote", "tier:int64"];
    let half = world.range.start..world.range.start + crate::world::DAY;
    let first = world.export().args(&promote).args(&["--metadata", "json"]);
    first.range(half).run().ok();
    let lake = world.lake();
    // what is not given is the table's own, and the order of columns is no other setting
    world.export().run().ok();
    world
        .export()
        .sync()
        .args(&["--promote", "tier:int64", "--promote", "plan"])
        .run()
        .ok();
    assert_eq!(
        settings(&lake)["promote"],
        json!(["plan:string=plan", "tier:int64=tier"])
    );
    world
        .export()
        .to("fresh")
        .args(&promote)
        .args(&["--metadata", "json"])
        .run()
        .ok();
    assert_eq!(lake.files(), world.lake_named("fresh").files());
    let whole = lake.files();
    for (args, what) in [
        (&["--metadata", "map"][..], "metadata json, not map"),
        (
            &["--promote", "plan"],
            "promoted columns plan:string=plan, tier:int64=tier, not plan:string=plan",
        ),
        (&["--promote", "none"], ", not none"),
    ] {
        for command in ["export", "sync"] {
            let run = world.export().args(args);
            let run = if command == "sync" { run.sync() } else { run };
            let told = run.run().ended(2).stderr;
            assert!(told.contains(what), "{told}");
            assert!(told.contains("converse-export rebuild"), "{told}");
        }
    }
    for (args, what) in [
        (&["--promote", "plan:strng"][..], "strng is not a type"),
        (
            &["--promote", "Start-Time"],
            "there is a column Start_Time already",
        ),
        (&["--promote", "a=bot"], "there is a column bot already"),
        (
            &["--promote", "a", "--promote", "b=A"],
            "there is a column A already",
        ),
        (&["--promote", "none", "--promote", "b"], "`none` excludes others"),
        (&["--metadata", "text"], "--metadata"),
    ] {
        let told = world.export().to("none").args(args).run().ended(2).stderr;
        assert!(told.contains(what), "{told}");
        let told = rebuild(&lake, args).ended(2).stderr;
        assert!(told.contains(what), "{told}");
    }
    assert!(!world.path("none").exists());
    assert_eq!(lake.files(), whole);
    // as variables, too
    let told = world
        .export()
        .env("CONVERSE_EXPORT_METADATA", "both")
        .run()
        .ended(2)
        .stderr;
    assert!(told.contains(", not both"), "{told}");
    world.export().env("CONVERSE_EXPORT_METADATA", "json").run().ok();
}

#[test]
fn what_rows_do_not_hold_is_not_made_of_them() {
    let world = odd();
    world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    for mode in ["json", "both"] {
        let told = rebuild(&lake, &["--metadata", mode]).ended(2).stderr;
        assert!(told.contains("does not distinguish 5 and \"5\""), "{told}");
        assert!(
            told.contains(&format!("export again with metadata as {mode}")),
            "{told}"
        );
    }
    assert_eq!(lake.files(), whole);
    assert!(!lake.0.join("_export/rebuild").exists());
    // messages have no metadata that could be lost
    world.export().to("messages").only("messages").run().ok();
    let messages = world.lake_named("messages");
    rebuild(&messages, &["--metadata", "json"]).ok();
    assert_eq!(settings(&messages)["metadata"], "json");
    world.export().to("messages").run().ok();
    world
        .export()
        .to("fresh")
        .args(&["--metadata", "json"])
        .run()
        .ok();
    assert_eq!(messages.files(), world.lake_named("fresh").files());
}

#[test]
fn a_table_of_before_has_the_form_that_all_had() {
    let world = odd();
    world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    let mut old = settings(&lake);
    for name in ["metadata", "promote"] {
        old.as_object_mut().unwrap().remove(name).unwrap();
    }
    fs::write(lake.0.join("_export/table.json"), old.to_string()).unwrap();
    assert_eq!(world.export().run().ok().total("requests"), 0);
    world
        .export()
        .args(&["--refetch", "--metadata", "map"])
        .run()
        .ok();
    verify(&lake, &[]).ok();
    assert_eq!(lake.files(), whole);
    world.export().args(&["--promote", "plan"]).run().ended(2);
    rebuild(&lake, &ALL_TYPES).ok();
    world.export().args(&ALL_TYPES).run().ok();
}

#[test]
fn settings_that_do_not_fit_the_files_are_noticed() {
    let world = odd();
    world.export().args(&["--promote", "text"]).run().ok();
    let lake = world.lake();
    let mut other = settings(&lake);
    other["promote"] = json!([]);
    fs::write(lake.0.join("_export/table.json"), other.to_string()).unwrap();
    let whole = lake.files();
    let told = world.export().args(&["--refetch"]).run().ended(1).stderr;
    assert!(told.contains("has other columns than the settings"), "{told}");
    let told = rebuild(&lake, &[]).ended(1).stderr;
    assert!(told.contains("has other columns than the settings"), "{told}");
    verify(&lake, &[]).ended(1);
    assert_eq!(lake.files(), whole);
}

#[test]
fn row_groups_are_as_large_as_they_are_told_to_be() {
    let world = World::new(Options {
        conversations: 6_000,
        busy_day: Some(1),
        ..small()
    });
    let export = || world.export().only("conversations");
    let most = |lake: &Lake| {
        let files = lake.0.join("conversations/**/*.parquet");
        let sql = format!(
            "select max(row_group_num_rows), max(row_group_id) from parquet_metadata('{}')",
            files.display()
        );
        let row = lake.rows(&sql).remove(0);
        (row[0].as_u64().unwrap(), row[1].as_u64().unwrap())
    };
    export().args(&["--row-group-rows", "1000"]).run().ok();
    let small_groups = most(&world.lake());
    assert!(small_groups.0 == 1000 && small_groups.1 > 0, "{small_groups:?}");
    // fixed by the first run, changed by rebuild
    let other = export()
        .args(&["--row-group-rows", "2000", "--refetch"])
        .run()
        .ended(2);
    assert!(
        other.stderr.contains("rows per row group 1000, not 2000"),
        "{}",
        other.stderr
    );
    on(&world.lake().0, "rebuild", &["--row-group-rows", "122880"]).ok();
    assert_eq!(most(&world.lake()).1, 0);
    export().to("usual").run().ok();
    assert_eq!(world.lake().files(), world.lake_named("usual").files());
    // conversations take 0.6 to 1.2 kB each in a reader's memory, a tenth of that in the file
    export()
        .to("bytes")
        .args(&["--row-group-bytes", "1048576"])
        .run()
        .ok();
    let (rows, last) = most(&world.lake_named("bytes"));
    assert!((850..1_750).contains(&rows) && last > 0, "{rows}");
    export()
        .to("tiny")
        .args(&["--row-group-bytes", "1"])
        .run()
        .ended(2);
}
