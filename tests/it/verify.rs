//! `verify` passes a sound table, names what was done to a damaged one, and passes it again once that is undone.

use std::fs;
use std::time::Duration;

use converse_export_simulator::{Injected, Latency, Options};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::damage::{Change, Partition, Snapshot, assert_sound, assert_told, bend_account, findings, verify};
use crate::lake::{Lake, files_below};
use crate::run::on;
use crate::world::{BOT, DAY, World, small};

fn exported() -> (World, Lake) {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    (world, lake)
}

/// Does something to a table; `verify` names it, and passes after it is undone.
#[track_caller]
fn notices(lake: &Lake, path: &str, what: &str, damage: impl FnOnce()) {
    let snapshot = Snapshot::of(lake);
    damage();
    assert_told(lake, path, what);
    snapshot.restore(lake);
    assert_sound(lake);
}

#[test]
fn a_sound_table_passes_and_is_left_as_it_is() {
    let (world, lake) = exported();
    let snapshot = Snapshot::of(&lake);
    let report = assert_sound(&lake).json();
    snapshot.assert_same(&lake);
    for dataset in ["conversations", "messages"] {
        let proven = &report["datasets"][dataset][BOT];
        let count = |name: &str| {
            proven[name]
                .as_u64()
                .unwrap_or_else(|| panic!("{name} in {proven}"))
        };
        assert_eq!(count("rows"), world.truth(dataset).len() as u64);
        assert_eq!(
            count("received"),
            count("rows") + count("duplicates") + count("superseded") + count("rejected")
        );
        assert_eq!(count("partitions"), Partition::all(&lake, dataset).len() as u64);
        assert_eq!(count("problems"), 0);
    }
    assert_eq!(report["datasets"]["messages"][BOT]["missing_conversations"], 0);
    assert_eq!((&report["problems"], &report["notes"]), (&json!([]), &json!([])));
}

#[test]
fn a_person_reads_a_table_of_counts_then_what_is_wrong_then_what_to_do() {
    let (_world, lake) = exported();
    let rows = |run: &crate::run::Run| run.stdout.lines().filter(|line| line.contains(BOT)).count();
    let sound = on(&lake.0, "verify", &[]).ok();
    assert_eq!(rows(&sound), 2);
    assert!(sound.stdout.contains("no problem ("), "{}", sound.stdout);
    assert_eq!(sound.stderr, "");
    let partition = &Partition::all(&lake, "messages")[1];
    let file = partition.file();
    fs::remove_file(partition.path()).unwrap();
    let broken = on(&lake.0, "verify", &[]).ended(1);
    assert!(
        broken
            .stdout
            .contains(&format!("problem: {file}: it is missing\n1 problem"))
    );
    assert_eq!(broken.stderr.lines().count(), 1);
    assert!(broken.stderr.starts_with("hint: run the same export again"));
}

#[test]
fn what_was_done_to_a_file_is_named() {
    let (_world, lake) = exported();
    let partitions = Partition::all(&lake, "conversations");
    let (one, other) = (&partitions[0], &partitions[1]);
    let file = one.file();
    let content = fs::read(one.path()).unwrap();
    notices(&lake, &file, "it is missing", || {
        fs::remove_file(one.path()).unwrap()
    });
    notices(&lake, &file, "bytes instead of", || {
        fs::write(one.path(), &content[..content.len() - 1]).unwrap();
    });
    notices(&lake, &file, "bytes instead of", || {
        fs::write(one.path(), "").unwrap()
    });
    for place in [4, content.len() / 3, content.len() - 6] {
        notices(&lake, &file, "its SHA-256 is not that in the manifest", || {
            let mut bent = content.clone();
            bent[place] ^= 0x10;
            fs::write(one.path(), bent).unwrap();
        });
    }
    notices(&lake, &file, "rows instead of", || {
        fs::copy(other.path(), one.path()).unwrap();
    });
    let message = &Partition::all(&lake, "messages")[0];
    notices(&lake, &file, "its columns are not those of conversations", || {
        fs::copy(message.path(), one.path()).unwrap();
    });
}

#[test]
fn what_was_done_to_the_manifest_is_named() {
    let (_world, lake) = exported();
    let partition = &Partition::all(&lake, "messages")[0];
    let bend = |field: &'static str, value: Value| {
        let mut entry = partition.entry();
        entry[field] = value;
        fs::write(partition.entry_path(), entry.to_string()).unwrap();
    };
    let file = partition.file();
    notices(&lake, &file, "its first or last time", || {
        bend("first", json!("2023-10-01T00:00:00.000001Z"));
    });
    let snapshot = Snapshot::of(&lake);
    let told = || {
        let problems = findings(&verify(&lake, &[]).ended(1), "problems");
        assert_eq!(problems.len(), 2, "{problems:?}");
        snapshot.restore(&lake);
        move |path: &str, what: &str| {
            let is = |problem: &(String, String)| problem.0 == path && problem.1.contains(what);
            assert!(problems.iter().any(is), "{what} in {problems:?}");
        }
    };
    bend("path", json!("/etc/hosts"));
    let problems = told();
    problems("/etc/hosts", "the manifest names it for messages");
    problems(&file, "it is not in the manifest");
    fs::remove_file(partition.entry_path()).unwrap();
    let problems = told();
    problems(&partition.folder(), "no entry in the manifest");
    problems(&file, "it is not in the manifest");
    fs::write(partition.entry_path(), "{").unwrap();
    let problems = findings(&verify(&lake, &[]).ended(1), "problems");
    let entry = format!("_export/partitions/{}.json", partition.folder());
    assert!(problems.iter().any(|(path, _)| *path == entry), "{problems:?}");
}

#[test]
fn invariant_5_a_row_taken_out_of_file_and_manifest_alike_is_noticed() {
    let (_world, lake) = exported();
    for dataset in ["conversations", "messages"] {
        let partition = &Partition::all(&lake, dataset)[1];
        let snapshot = Snapshot::of(&lake);
        partition.rewrite(7, Change::LeaveOut);
        assert_told(&lake, &partition.file(), "the ledger");
        snapshot.restore(&lake);
        assert_sound(&lake);
        // another row in its place, so that no count tells
        partition.rewrite(7, Change::Id("0-somebody-else"));
        assert_told(&lake, &partition.file(), "its ids are not those in the ledger");
        snapshot.restore(&lake);
    }
}

#[test]
fn rows_out_of_their_order_or_date_are_noticed() {
    let (_world, lake) = exported();
    let snapshot = Snapshot::of(&lake);
    let partition = &Partition::all(&lake, "messages")[1];
    let last = usize::try_from(partition.entry()["rows"].as_u64().unwrap() - 1).unwrap();
    let changes = [
        (30, Change::Swap, "1 rows are not in the order of time, then id"),
        (last, Change::DayLater, "1 rows do not belong to its date"),
    ];
    for (row, change, what) in changes {
        partition.rewrite(row, change);
        partition.bend_ledger();
        assert_told(&lake, &partition.file(), what);
        snapshot.restore(&lake);
    }
}

#[test]
fn invariant_5_counts_that_were_bent_are_noticed() {
    let (_world, lake) = exported();
    for count in ["received", "rows", "duplicates", "superseded"] {
        let snapshot = Snapshot::of(&lake);
        bend_account(&lake, "messages", |account| {
            account[count] = (account[count].as_u64().unwrap() + 1).into();
        });
        let problems = findings(&verify(&lake, &[]).ended(1), "problems");
        assert!(problems.iter().all(|(path, _)| path == "_export/log"));
        assert!(
            problems.iter().any(|(_, what)| what.contains("records received")),
            "{problems:?}"
        );
        snapshot.restore(&lake);
    }
    notices(&lake, "_export/log", "it is missing", || {
        fs::remove_dir_all(lake.0.join("_export/log")).unwrap();
    });
    for object in files_below(&lake.0.join("_export/log")) {
        fs::write(object, "{\"version\"").unwrap();
    }
    let problems = findings(&verify(&lake, &[]).ended(1), "problems");
    assert!(!problems.is_empty() && problems.iter().all(|(path, _)| path.starts_with("_export/log/")));
}

#[test]
fn strays_are_problems_and_what_readers_pass_over_is_not() {
    let (_world, lake) = exported();
    let partition = &Partition::all(&lake, "messages")[0];
    let beside = format!("{}/part-0.parquet", partition.folder());
    notices(&lake, &beside, "it is not in the manifest", || {
        fs::copy(partition.path(), lake.0.join(&beside)).unwrap();
    });
    for (stray, what) in [
        ("messages/notes.txt".to_owned(), "not a folder of a bot"),
        (format!("messages/bot={BOT}/2023"), "not a folder of a date"),
    ] {
        notices(&lake, &stray, what, || {
            fs::write(lake.0.join(&stray), "x").unwrap()
        });
    }
    let elsewhere = format!("conversations/bot={BOT}/date=2019-01-01/part-0.parquet");
    notices(&lake, &elsewhere, "it is not in the manifest", || {
        fs::create_dir_all(lake.0.join(&elsewhere).parent().unwrap()).unwrap();
        fs::write(lake.0.join(&elsewhere), "x").unwrap();
    });
    for hidden in ["messages/.DS_Store", "conversations/_notes"] {
        fs::write(lake.0.join(hidden), "x").unwrap();
    }
    fs::create_dir_all(lake.0.join("_export/staging/messages.x")).unwrap();
    let notes = findings(&assert_sound(&lake), "notes");
    for told in ["messages/.DS_Store", "conversations/_notes", "_export/staging"] {
        assert!(notes.iter().any(|(path, _)| path == told), "{told} in {notes:?}");
    }
}

#[test]
fn an_id_under_two_dates_is_noticed() {
    let (_world, lake) = exported();
    for dataset in ["conversations", "messages"] {
        let partitions = Partition::all(&lake, dataset);
        let snapshot = Snapshot::of(&lake);
        let sql = format!(
            "select id from {dataset} where date = '{}' order by id limit 1",
            partitions[0].date
        );
        let id = lake.rows(&sql)[0][0].as_str().unwrap().to_owned();
        partitions[2].rewrite(3, Change::Id(&id));
        partitions[2].bend_ledger();
        assert_told(&lake, &partitions[0].folder(), &partitions[2].folder());
        assert_told(&lake, &partitions[0].folder(), &id);
        snapshot.restore(&lake);
        assert_sound(&lake);
    }
}

#[test]
fn messages_without_their_conversation_are_counted_and_no_failure() {
    let (_world, lake) = exported();
    let sql = "select id, count(*) from (select conversation_id as id from messages) group by id order by 2 desc, 1 limit 1";
    let (id, messages) = {
        let row = &lake.rows(sql)[0];
        (row[0].as_str().unwrap().to_owned(), row[1].as_u64().unwrap())
    };
    let place = format!(
        "select date::text, (select count(*) from conversations o where o.date = c.date and (o.start_time, o.id) < \
         (c.start_time, c.id)) from conversations c where id = '{id}'"
    );
    let row = &lake.rows(&place)[0];
    let all = Partition::all(&lake, "conversations");
    let partition = all
        .iter()
        .find(|partition| row[0] == partition.date.as_str())
        .unwrap();
    partition.rewrite(
        usize::try_from(row[1].as_u64().unwrap()).unwrap(),
        Change::LeaveOut,
    );
    partition.bend_ledger();
    let report = assert_sound(&lake).json();
    assert_eq!(
        report["datasets"]["messages"][BOT]["missing_conversations"],
        messages
    );
}

#[test]
fn rejected_records_are_counted() {
    let world = World::new(Options {
        extra: odd(),
        ..small()
    });
    world.export().run().ended(4);
    let lake = world.lake();
    let report = assert_sound(&lake).json();
    assert_eq!(report["datasets"]["conversations"][BOT]["rejected"], 2);
    let path = format!("_export/rejected/conversations/bot={BOT}.jsonl");
    let lines = fs::read_to_string(lake.0.join(&path)).unwrap();
    let (first, _) = lines.split_once('\n').unwrap();
    notices(&lake, &path, "it has 1 records, and 2 in the ledger", || {
        fs::write(lake.0.join(&path), format!("{first}\n")).unwrap();
    });
}

/// Two records that cannot become rows.
pub(crate) fn odd() -> Vec<Injected> {
    let at = small().range.start + 3600;
    [r#"{"startTime": 1, "note": "no id"}"#, "[1, 2]"]
        .into_iter()
        .map(|json| Injected {
            endpoint: converse_export_simulator::Endpoint::Conversations,
            time_seconds: at,
            raw_json: json.to_owned(),
        })
        .collect()
}

#[test]
fn what_a_kill_left_is_told_and_no_failure_but_damage_to_it_is() {
    let world = World::new(Options {
        latency: Latency::Fixed(Duration::from_millis(80)),
        ..small()
    });
    let export = world.export().args(&["--concurrency", "1"]);
    let mut running = export.start();
    let lake = world.lake();
    let kept = world.path("lake/_export/pages");
    let is_page = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "zst");
    let pages = || files_below(&kept).into_iter().filter(is_page).collect::<Vec<_>>();
    let settings = world.path("lake/_export/table.json");
    running.until(|| pages().len() >= 2 && settings.exists());
    let at_work = verify(&lake, &[]);
    let notes = findings(&at_work, "notes");
    let holder = format!("process {}", running.id());
    assert!(notes.iter().any(|(_, what)| what.contains(&holder)), "{notes:?}");
    running.signal(Signal::KILL);
    running.end();
    let notes = findings(&assert_sound(&lake), "notes");
    let waiting =
        |(path, what): &(String, String)| path == "_export/pages" && what.contains("run the export again");
    assert!(notes.iter().any(waiting), "{notes:?}");
    assert!(
        !notes.iter().any(|(_, what)| what.contains("a run is active")),
        "{notes:?}"
    );

    let page = pages().remove(0);
    let content = fs::read(&page).unwrap();
    fs::write(&page, &content[..content.len() - 9]).unwrap();
    let name = page.strip_prefix(&lake.0).unwrap().to_str().unwrap();
    assert_told(&lake, name, "damaged");
    export.run().ok();
    assert!(!findings(&assert_sound(&lake), "notes").iter().any(waiting));
}

#[test]
fn an_interrupted_commit_is_told_at_every_step_of_it_and_no_failure() {
    let world = World::new(small());
    let half = world.range.start..world.range.start + DAY / 2;
    world.export().range(half).only("conversations").run().ok();
    let lake = world.lake();
    let first = Partition::all(&lake, "conversations").remove(0).file();
    let export = world.export().only("conversations");
    let killed = export
        .clone()
        .env("CONVERSE_EXPORT_TEST_KILL_AT", "commit-appended:1");
    assert_eq!(killed.run().code, None);
    let is_interrupted = |notes: Vec<(String, String)>| {
        let what = "a commit was interrupted: run the export again, it carries it through";
        notes
            .iter()
            .any(|(path, note)| path == "_export/log" && note == what)
    };
    assert!(is_interrupted(findings(&assert_sound(&lake), "notes")));
    let staging = lake.0.join("_export/staging");
    let staged: Vec<_> = fs::read_dir(&staging)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!staged.is_empty());
    for folder in staged {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let (dataset, rest) = name.split_once('.').unwrap();
        let (bot, date) = rest.rsplit_once('.').unwrap();
        let live = lake.0.join(dataset).join(bot).join(format!("date={date}"));
        // an exchange of folders: the old file is gone in the same moment
        let old = world.path("old");
        let _ = fs::remove_dir_all(&old);
        if live.exists() {
            fs::rename(&live, &old).unwrap();
        }
        fs::create_dir_all(live.parent().unwrap()).unwrap();
        fs::rename(&folder, &live).unwrap();
        fs::create_dir_all(&folder).unwrap();
        assert!(is_interrupted(findings(&assert_sound(&lake), "notes")), "{name}");
    }
    export.run().ok();
    assert_ne!(Partition::all(&lake, "conversations").remove(0).file(), first);
    assert_eq!(findings(&assert_sound(&lake), "notes"), []);
}

#[test]
fn where_there_is_no_table_nothing_is_proven() {
    let world = World::new(small());
    let run = verify(&world.lake(), &[]).ended(2);
    assert!(run.stderr.contains("there is no table in"), "{}", run.stderr);
    assert!(!world.lake().0.exists());
    world.export().run().ok();
    fs::remove_file(world.path("lake/_export/table.json")).unwrap();
    let run = verify(&world.lake(), &[]).ended(1);
    assert!(
        run.stderr.contains("table.json is damaged: it is missing"),
        "{}",
        run.stderr
    );
}
