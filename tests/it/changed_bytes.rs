//! Changed bytes where size, name and JSON stay valid: they are noticed, and what is intact is not lost to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::damage::{Partition, assert_sound, verify};
use crate::lake::{Lake, files_below, without_checksum};
use crate::run::on;
use crate::world::{DAY, World, small};

/// A change within the same tick of the file system's clock cannot be seen by a file's time.
const TICK: Duration = Duration::from_millis(30);

fn flip(path: &Path, at: usize) {
    let mut content = fs::read(path).unwrap();
    let at = at % content.len();
    content[at] ^= 1;
    fs::write(path, content).unwrap();
}

/// Changes the value of a field in a JSON file, whose checksum stays.
fn bend(path: &Path, field: &str) {
    let content = fs::read_to_string(path).unwrap();
    let (before, rest) = content.split_once(&format!("\"{field}\": ")).unwrap();
    let (value, _) = rest.split_once(['\n', ',']).unwrap();
    let other = match value.chars().find(|digit| ('1'..='8').contains(digit)) {
        Some(digit) => value.replacen(digit, "9", 1),
        None => "1".to_owned(),
    };
    let bent = format!("{before}\"{field}\": {other}{}", &rest[value.len()..]);
    serde_json::from_str::<Value>(&bent).unwrap();
    fs::write(path, bent).unwrap();
}

/// The table's files are these, its counts add up, and the next run has nothing to do.
#[track_caller]
fn assert_as_before(world: &World, lake: &Lake, files: &BTreeMap<String, String>, what: &str) {
    assert_eq!(lake.files(), *files, "{what}");
    lake.assert_ledger_adds_up();
    assert_sound(lake);
    assert_eq!(world.export().run().ok().total("requests"), 0, "{what}");
}

#[test]
fn an_entry_with_any_changed_field_is_made_again_without_a_request() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let files = lake.files();
    let partition = &Partition::all(&lake, "conversations")[1];
    for field in ["path", "rows", "bytes", "sha256", "ids_sha256", "first", "last"] {
        for is_old in [false, true] {
            bend(&partition.entry_path(), field);
            // an old entry has no checksum: a wrong time in it shows in `verify` alone
            if is_old && !["first", "last"].contains(&field) {
                let entry = without_checksum(&partition.entry_path());
                fs::write(partition.entry_path(), entry.to_string()).unwrap();
            }
            verify(&lake, &[]).ended(1);
            let run = world.export().run().ok();
            assert_eq!(run.total("requests"), 0, "{field}");
            assert_as_before(&world, &lake, &files, field);
        }
    }
    // a rebuild makes them again, too
    bend(&partition.entry_path(), "last");
    on(&lake.0, "rebuild", &[]).ok();
    assert_as_before(&world, &lake, &files, "rebuild");
    // the checksum itself
    let end = fs::read(partition.entry_path()).unwrap().len();
    for at in [end - 5, end - 75, end - 78] {
        flip(&partition.entry_path(), at);
        assert_eq!(world.export().run().ok().total("requests"), 0);
        assert_as_before(&world, &lake, &files, "the checksum");
    }
    assert!(!lake.0.join("_export/quarantine").exists());
}

#[test]
fn a_changed_commit_log_is_noticed_and_its_copies_are_taken() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let files = lake.files();
    let sound = lake.ledger();
    for round in 0..6 {
        let objects = lake.log(round % 2 > 0);
        let object = &objects[round % objects.len()];
        flip(object, 20 + 31 * round);
        verify(&lake, &[]).ended(1);
        let run = world.export().run().ok();
        assert_eq!(run.total("requests"), 0, "{round}");
        assert_eq!(lake.ledger(), sound, "{round}");
        assert!(run.stderr.contains("_export/log/"), "{}", run.stderr);
        assert_as_before(&world, &lake, &files, &round.to_string());
    }
    // other commands take the copy, too
    lake.log(false).iter().for_each(|object| flip(object, 40));
    on(&lake.0, "rebuild", &[]).ok();
    world.export().run().ok();
    assert_as_before(&world, &lake, &files, "rebuild");
    let id = world.truth("conversations").into_keys().next().unwrap();
    let object = lake.log(false).remove(0);
    let content = fs::read(&object).unwrap();
    fs::write(&object, &content[..content.len() / 2]).unwrap();
    let erased = on(&lake.0, "erase", &["--json", "--conversation", &id])
        .ok()
        .json();
    assert_eq!(erased["rows"]["conversations"], 1);
    world.export().run().ok();
    assert_sound(&lake);
    lake.assert_ledger_adds_up();
    // all is damaged: the entries say what is there, and the API whether it is all
    for copies in [false, true] {
        lake.log(copies).iter().for_each(|object| flip(object, 40));
    }
    let refused = on(&lake.0, "erase", &["--conversation", &id]).ended(1);
    assert!(refused.stderr.contains("_export/log/"), "{}", refused.stderr);
    let run = world.export().run().ok();
    assert!(run.total("requests") > 0);
    assert_eq!(run.total("rows"), 0);
    assert_sound(&lake);
}

#[test]
fn a_ledger_and_entries_of_an_earlier_version_are_read() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let files = lake.files();
    for path in files_below(&lake.0.join("_export/partitions")) {
        let pretty = serde_json::to_string_pretty(&without_checksum(&path)).unwrap();
        fs::write(path, pretty).unwrap();
    }
    lake.write_earlier_ledger(&lake.ledger());
    assert_sound(&lake);
    assert_as_before(&world, &lake, &files, "an earlier version");
    assert!(!lake.0.join("_export/ledger.json").exists() && !lake.log(false).is_empty());
    lake.write_earlier_ledger(&lake.ledger());
    on(&lake.0, "rebuild", &[]).ok();
    assert_as_before(&world, &lake, &files, "rebuilt");
}

#[test]
fn no_new_version_of_a_partition_is_made_of_a_damaged_file() {
    for command in ["refetch", "erase", "rebuild"] {
        let world = World::new(small());
        world.export().run().ok();
        let lake = world.lake();
        let files = lake.files();
        let partition = &Partition::all(&lake, "conversations")[1];
        let (path, bytes) = (partition.path(), fs::metadata(partition.path()).unwrap().len());
        let id = lake.rows(&format!(
            "select id from conversations where file like '%{}'",
            partition.file()
        ))[0][0]
            .as_str()
            .unwrap()
            .to_owned();
        flip(&path, usize::try_from(bytes / 2).unwrap());
        let damaged = fs::read(&path).unwrap();
        // an entry that is younger than the damage, as where a disk loses a byte and no time changes
        sleep(TICK);
        fs::write(partition.entry_path(), fs::read(partition.entry_path()).unwrap()).unwrap();
        sleep(TICK);
        let run = match command {
            "refetch" => {
                let day = world.range.start + DAY..world.range.start + 2 * DAY;
                world.export().range(day).args(&["--refetch"]).run()
            }
            "erase" => on(&lake.0, "erase", &["--conversation", &id]),
            _ => on(&lake.0, "rebuild", &["--timezone", "Europe/Berlin"]),
        };
        let run = run.ended(1);
        assert!(
            run.stderr.contains("is not what was written"),
            "{command}: {}",
            run.stderr
        );
        assert_eq!(fs::read(&path).unwrap(), damaged, "{command}");
        let run = world.export().run().ok();
        assert!(
            run.stderr.contains(&partition.folder()),
            "{command}: {}",
            run.stderr
        );
        if command == "erase" {
            assert!(!lake.ids("conversations").contains(&id));
            assert_eq!(lake.files().len(), files.len());
            assert_sound(&lake);
        } else {
            assert_as_before(&world, &lake, &files, command);
        }
    }
}

#[test]
fn erase_removes_rows_of_partitions_whose_entries_are_lost() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let ids: Vec<String> = world.truth("conversations").into_keys().step_by(400).collect();
    let mut args = vec!["--json"];
    args.extend(ids.iter().flat_map(|id| ["--conversation", id.as_str()]));
    for dataset in ["conversations", "messages"] {
        for (nth, partition) in Partition::all(&lake, dataset).iter().enumerate() {
            match nth % 3 {
                0 => fs::remove_file(partition.entry_path()).unwrap(),
                1 => bend(&partition.entry_path(), "rows"),
                _ => flip(&partition.entry_path(), 10),
            }
        }
    }
    // nothing is changed by it, and what is not known is not taken for nothing
    let dry = on(&lake.0, "erase", &[&args[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, Some(1), "{}", dry.stderr);
    let report = on(&lake.0, "erase", &args).ok().json();
    assert_eq!(report["conversations"], ids.len());
    assert_eq!(report["not_found"], json!([]));
    assert_eq!(report["rows"]["conversations"], ids.len());
    let list = ids
        .iter()
        .map(|id| format!("'{id}'"))
        .collect::<Vec<_>>()
        .join(",");
    for (dataset, column) in [("conversations", "id"), ("messages", "conversation_id")] {
        let left = lake.rows(&format!(
            "select count(*) from {dataset} where {column} in ({list})"
        ));
        assert_eq!(left[0][0], 0, "{dataset}");
    }
    assert_sound(&lake);
    lake.assert_ledger_adds_up();
}

#[test]
fn erase_reports_a_damaged_partition_after_it_has_erased_the_others() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake();
    let partition = &Partition::all(&lake, "conversations")[1];
    let of_partition = format!("file like '%{}'", partition.file());
    let ids = lake.rows(&format!(
        "(select id from conversations where {of_partition} limit 1) union all \
         (select id from conversations where not {of_partition} limit 1)"
    ));
    let ids: Vec<&str> = ids.iter().map(|row| row[0].as_str().unwrap()).collect();
    let args: Vec<&str> = ids.iter().flat_map(|id| ["--conversation", id]).collect();
    sleep(TICK);
    flip(&partition.path(), 3_000);
    let run = on(&lake.0, "erase", &args).ended(1);
    assert!(run.stderr.contains(&partition.folder()), "{}", run.stderr);
    let other = format!(
        "select count(*) from conversations where not {of_partition} and id in ('{}', '{}')",
        ids[0], ids[1]
    );
    assert_eq!(lake.rows(&other)[0][0], 0);
    world.export().run().ok();
    assert!(ids.iter().all(|id| !lake.ids("conversations").contains(*id)));
    assert_sound(&lake);
}

#[test]
fn a_file_damaged_within_an_interrupted_commit_is_noticed() {
    for step in ["commit-appended:1", "entry-written:1", "partitions-published:1"] {
        let world = World::new(small());
        let whole = world.export().to("whole");
        whole.run().ok();
        let lake = world.lake();
        let killed = world.export().env("CONVERSE_EXPORT_TEST_KILL_AT", step).run();
        assert_eq!(killed.code, None, "{step}");
        sleep(TICK);
        let staged = files_below(&lake.0.join("_export/staging"));
        let published = files_below(&lake.0.join("conversations"));
        let published = published.into_iter().chain(files_below(&lake.0.join("messages")));
        let files: Vec<_> = staged.into_iter().chain(published).collect();
        assert!(!files.is_empty(), "{step}");
        for file in &files {
            flip(file, 3_000);
        }
        world.export().run().ok();
        assert_as_before(&world, &lake, &world.lake_named("whole").files(), step);
    }
}
