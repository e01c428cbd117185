//! Quarantined files: `_export/quarantine/`, and `_export/damaged/`, where earlier versions of the program put them.

use std::fs;

use crate::run::on;
use crate::world::{World, small};

const FOLDERS: [&str; 2] = ["_export/quarantine", "_export/damaged"];

#[test]
fn every_command_finds_the_files_in_both_folders() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake().0;
    for folder in FOLDERS {
        fs::create_dir_all(lake.join(folder).join("messages")).unwrap();
        fs::write(lake.join(folder).join("messages/part.parquet"), "damaged").unwrap();
    }
    let report = on(&lake, "verify", &["--json"]).ok().json();
    let notes: Vec<&str> = report["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note["path"].as_str().unwrap())
        .collect();
    assert_eq!(notes, FOLDERS);

    for folder in FOLDERS {
        let kept = FOLDERS.iter().find(|other| **other != folder).unwrap();
        fs::rename(lake.join(kept), world.path("elsewhere")).unwrap();
        let run = on(&lake, "rebuild", &["--mask-ip"]).ended(2);
        let expected = format!("{folder} contains values that the new rules remove");
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
        fs::rename(world.path("elsewhere"), lake.join(kept)).unwrap();
    }

    // a run without new damage leaves both as they are
    world.export().run().ok();
    for command in [&["--dry-run", "--json"][..], &["--json"]] {
        let args = [&["--conversation", "unknown"][..], command].concat();
        let report = on(&lake, "erase", &args).ended(4).json();
        assert_eq!(report["damaged_files"], 2, "{command:?}");
    }
    for folder in FOLDERS {
        assert!(!lake.join(folder).exists(), "{folder}");
    }
}

#[test]
fn a_new_damaged_file_goes_to_the_new_folder() {
    let world = World::new(small());
    world.export().run().ok();
    let lake = world.lake().0;
    fs::create_dir_all(lake.join(FOLDERS[1])).unwrap();
    let name = world.lake().files().into_keys().next().unwrap();
    fs::write(lake.join(&name), "damaged").unwrap();
    world.export().run().ok();
    assert!(lake.join(FOLDERS[0]).join(&name).is_file(), "{name}");
    assert_eq!(fs::read_dir(lake.join(FOLDERS[1])).unwrap().count(), 0);
}
