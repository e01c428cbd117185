//! Januaries of tables with a file a month: named like every other month, rebuilt across kills, and renamed where an
//! earlier version left the month out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use converse_export_simulator::{Endpoint, Injected, Options};

use crate::damage::{assert_sound, findings, verify};
use crate::kill::steps;
use crate::lake::{Lake, files_below, without_checksum};
use crate::run::{Export, Run, on};
use crate::world::{BOT, DAY, World, small};

const MONTH: [&str; 2] = ["--partition-by", "month"];
const OLD_NAMES: [&str; 2] = ["month=2024", "month=1970"];

/// From 2023-12-30 to 2024-01-03, and one conversation at the very beginning of Unix time.
fn winter() -> World {
    let start = 1_703_894_400;
    World::in_memory(Options {
        range: start..start + 5 * DAY,
        conversations: 150,
        busy_day: None,
        empty_day: None,
        extra: vec![Injected {
            endpoint: Endpoint::Conversations,
            time_seconds: 0,
            raw_json: r#"{"_id":"of-1970","startTime":0}"#.into(),
        }],
        ..small()
    })
}

fn by_month(world: &World) -> Export<'_> {
    from_1970(world).args(&MONTH)
}

fn from_1970(world: &World) -> Export<'_> {
    world.export().range(0..world.range.end)
}

fn months(lake: &Lake, dataset: &str) -> BTreeSet<String> {
    let folder = lake.0.join(dataset).join(format!("bot={BOT}"));
    let names = fs::read_dir(folder).into_iter().flatten();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
}

/// A rebuild that ends itself at a step.
fn killed_rebuild(lake: &Lake, args: &[&str], at: &str) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_converse-export"));
    command.env_clear().env("CONVERSE_EXPORT_TEST_KILL_AT", at);
    let run = command
        .arg("rebuild")
        .args(args)
        .arg("--out")
        .arg(&lake.0)
        .output();
    run.unwrap().status.code()
}

#[test]
fn a_january_is_a_month_like_every_other() {
    let world = winter();
    let run = by_month(&world).run().ok();
    let lake = world.lake();
    let expected = ["month=1970-01", "month=2023-12", "month=2024-01"];
    assert_eq!(months(&lake, "conversations"), expected.map(str::to_owned).into());
    assert_eq!(
        months(&lake, "messages"),
        expected[1..].iter().map(|name| (*name).to_owned()).collect()
    );
    let rows = lake.rows("select month, count(*)::int, min(strftime(start_time, '%Y-%m')) from conversations group by 1 order by 1");
    assert!(rows.iter().all(|row| row[0] == row[2]), "{rows:?}");
    assert_eq!(run.count("conversations", "rows"), 151);
    assert_sound(&lake);
    let page = world.path("report.html");
    for (command, args) in [
        ("status", vec![]),
        ("schema", vec![]),
        ("keys", vec![]),
        ("report", vec!["--to", page.to_str().unwrap()]),
    ] {
        on(&lake.0, command, &args).ok();
    }
    assert_eq!(by_month(&world).run().ok().total("requests"), 0);
    let files = lake.files();
    on(&lake.0, "rebuild", &["--partition-by", "day"]).ok();
    on(&lake.0, "rebuild", &MONTH).ok();
    assert_eq!(lake.files(), files);
    on(&lake.0, "erase", &["--conversation", "of-1970"]).ok();
    assert!(!months(&lake, "conversations").contains("month=1970-01"));
    assert_sound(&lake);
}

/// Gives the Januaries of a table the names that an earlier version gave them.
fn make_old(lake: &Lake) {
    let old = |text: &str| {
        OLD_NAMES.iter().fold(text.to_owned(), |text, name| {
            text.replace(&format!("{name}-01"), name)
        })
    };
    let own = lake.0.join("_export");
    lake.write_earlier_ledger(&lake.ledger());
    for file in files_below(&own) {
        if file.extension().is_some_and(|ending| ending == "json") {
            // earlier versions wrote no checksum
            let text = serde_json::to_string_pretty(&without_checksum(&file)).unwrap();
            fs::write(&file, old(&text)).unwrap();
        }
        let name = file.to_str().unwrap();
        if old(name) != name {
            fs::rename(name, old(name)).unwrap();
        }
    }
    for dataset in ["conversations", "messages"] {
        for name in months(lake, dataset) {
            let folder = lake.0.join(dataset).join(format!("bot={BOT}"));
            fs::rename(folder.join(&name), folder.join(old(&name))).unwrap();
        }
    }
}

/// A table as an earlier version left it.
fn old_table(world: &World, name: &str) -> Lake {
    by_month(world).to(name).run().ok();
    let lake = world.lake_named(name);
    make_old(&lake);
    assert!(months(&lake, "messages").contains("month=2024"));
    lake
}

fn is_renamed(lake: &Lake, files: &std::collections::BTreeMap<String, String>, run: &Run) {
    assert!(run.stderr.contains("renaming Januaries"), "{}", run.stderr);
    assert_eq!(lake.files(), *files);
    assert_sound(lake);
    lake.assert_ledger_adds_up();
}

#[test]
fn a_table_with_unnamed_januaries_is_renamed_by_the_next_run_without_a_request() {
    let world = winter();
    by_month(&world).to("new").run().ok();
    let files = world.lake_named("new").files();

    let lake = old_table(&world, "exported");
    let told = on(&lake.0, "status", &[]).ended(1).stderr;
    assert!(told.contains("the next run renames it"), "{told}");
    let proof = verify(&lake, &[]).ended(1);
    let problems = findings(&proof, "problems");
    assert!(
        problems.iter().all(|(_, what)| !what.contains("does not belong")),
        "{problems:?}"
    );
    let run = from_1970(&world).to("exported").run().ok();
    assert_eq!(run.total("requests"), 0);
    is_renamed(&lake, &files, &run);
    // jobs that follow the changes hear of it
    let told = crate::sync::changes(&lake);
    let partitions = told.last().unwrap()["partitions"].as_array().unwrap().clone();
    let named: BTreeSet<&str> = partitions
        .iter()
        .map(|one| one["month"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["1970-01", "2024-01"].into());

    let lake = old_table(&world, "rebuilt");
    is_renamed(&lake, &files, &on(&lake.0, "rebuild", &[]).ok());
    let lake = old_table(&world, "erased");
    on(&lake.0, "erase", &["--conversation", "of-1970"]).ok();
    assert_sound(&lake);
    assert_eq!(lake.files().len(), files.len() - 1);

    // without ledger and entries the files alone are enough
    let lake = old_table(&world, "bare");
    fs::remove_file(lake.0.join("_export/ledger.json")).unwrap();
    fs::remove_dir_all(lake.0.join("_export/partitions")).unwrap();
    by_month(&world).to("bare").run().ok();
    assert_eq!(lake.files(), files);
    assert_sound(&lake);
}

#[test]
fn invariant_3_an_interrupted_commit_or_rebuild_of_an_earlier_version_is_finished() {
    let world = winter();
    by_month(&world).to("new").run().ok();
    let files = world.lake_named("new").files();

    let export = by_month(&world)
        .to("commit")
        .env("CONVERSE_EXPORT_TEST_KILL_AT", "commit-appended:2");
    assert_eq!(export.run().code, None);
    let lake = world.lake_named("commit");
    let staging = lake.0.join("_export/staging");
    for entry in fs::read_dir(&staging).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .replace("2024-01", "2024")
            .replace("1970-01", "1970");
        fs::rename(&path, staging.join(name)).unwrap();
    }
    lake.write_earlier_commit();
    make_old(&lake);
    let run = from_1970(&world).to("commit").run().ok();
    assert!(!run.stderr.contains("damaged"), "{}", run.stderr);
    assert_eq!(lake.files(), files);
    assert_sound(&lake);

    // the switch was written down, and both tables have the names of the earlier version
    from_1970(&world).to("rebuild").run().ok();
    let lake = world.lake_named("rebuild");
    let mut time = 1;
    while !lake.0.join("_export/rebuild.json").exists() {
        assert_eq!(
            killed_rebuild(&lake, &MONTH, &format!("file-renamed:{time}")),
            None
        );
        time += 1;
    }
    let place = Lake(lake.0.join("_export/rebuild"));
    make_old(&place);
    let intent = lake.0.join("_export/rebuild.json");
    let text = serde_json::to_string_pretty(&without_checksum(&intent)).unwrap();
    fs::write(
        &intent,
        text.replace("month=2024-01", "month=2024")
            .replace("month=1970-01", "month=1970"),
    )
    .unwrap();
    assert_eq!(from_1970(&world).to("rebuild").run().ok().total("requests"), 0);
    assert_eq!(lake.files(), files);
    assert_sound(&lake);
}

#[test]
fn invariant_3_a_rebuild_over_a_january_that_is_killed_at_any_step_is_finished_by_the_next_run() {
    let world = winter();
    from_1970(&world).to("days").run().ok();
    by_month(&world).to("months").run().ok();
    let (days, months) = (world.lake_named("days"), world.lake_named("months").files());
    let by_day = days.files();
    let mut kills = 0;
    for step in steps() {
        for time in 1.. {
            let name = format!("{step}-{time}");
            let lake = world.lake_named(&name);
            copy(&days.0, &lake.0);
            if killed_rebuild(&lake, &MONTH, &format!("{step}:{time}")).is_some() {
                break;
            }
            kills += 1;
            if time % 2 == 0 {
                // an export finishes it, or finds the old table
                let run = from_1970(&world).to(&name).run().ok();
                assert_eq!(run.total("requests"), 0, "{name}");
                let now = lake.files();
                assert!(now == by_day || now == months, "{name}: neither table");
            }
            on(&lake.0, "rebuild", &MONTH).ok();
            assert_eq!(lake.files(), months, "{name}");
            assert_sound(&lake);
            assert_eq!(
                from_1970(&world).to(&name).run().ok().total("requests"),
                0,
                "{name}"
            );
            fs::remove_dir_all(&lake.0).unwrap();
        }
    }
    println!("{kills} kills");
    assert!(kills > 40, "{kills} kills");
}
