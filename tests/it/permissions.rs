//! Records as the API sent them are for nobody but the owner of the table, from the moment they are written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use converse_export_simulator::{Endpoint, Injected, Options};

use crate::lake::files_below;
use crate::world::{DAY, World, small};

const PRIVATE: [&str; 4] = ["pages", "kept", "quarantine", "rejected"];

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// All files and folders below a folder, and the folder.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    if folder.is_dir() {
        all.push(folder.to_owned());
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => all.extend(all_below(&path)),
                false => all.push(path),
            }
        }
    }
    all
}

#[track_caller]
fn assert_private(own: &Path, expected: &[&str]) {
    for name in PRIVATE {
        let all = all_below(&own.join(name));
        assert!(!all.is_empty() || !expected.contains(&name), "there is no {name}");
        for path in all {
            assert_eq!(mode(&path) & 0o077, 0, "{} is {:o}", path.display(), mode(&path));
        }
    }
}

fn world() -> World {
    let options = small();
    let odd = Injected {
        endpoint: Endpoint::Conversations,
        time_seconds: options.range.start + DAY,
        raw_json: r#"{"locale":"nobody"}"#.into(),
    };
    World::new(Options {
        extra: vec![odd],
        conversations: 300,
        ..options
    })
}

/// An export whose umask takes no right away.
fn export(world: &World, args: &[&str], kill_at: &str) -> Option<i32> {
    let export = world.export().args(args);
    let export = export.started_by(&["sh", "-c", "umask 000; exec \"$0\" \"$@\""]);
    export.env("CONVERSE_EXPORT_TEST_KILL_AT", kill_at).run().code
}

/// With or without a record that an earlier run has rejected.
#[track_caller]
fn is_done(code: Option<i32>) {
    assert!(matches!(code, Some(0 | 4)), "{code:?}");
}

#[test]
fn raw_records_are_private_from_their_creation_whatever_the_umask() {
    let world = world();
    let own = world.lake().0.join("_export");
    // killed with its first file half written, with a page, with rejected records, and on the way to the kept pages
    for step in [
        "file-written:1",
        "page-kept:1",
        "rejected-kept:1",
        "commit-appended:1",
        "pages-removed:1",
    ] {
        assert_eq!(export(&world, &["--keep-pages"], step), None, "{step}");
        assert_private(&own, &[]);
    }
    is_done(export(&world, &["--keep-pages"], ""));
    assert_private(&own, &["pages", "kept", "rejected"]);
    let file = files_below(&world.lake().0.join("messages")).remove(0);
    fs::write(&file, "damaged").unwrap();
    for object in files_below(&own.join("log")) {
        fs::write(object, "{").unwrap();
    }
    is_done(export(&world, &["--keep-pages"], ""));
    assert_private(&own, &PRIVATE);
    // the table itself is for its readers
    assert_eq!(mode(file.parent().unwrap()) & 0o055, 0o055);
    assert_eq!(mode(&own) & 0o055, 0o055);
}

#[test]
fn what_an_earlier_version_left_open_is_private_after_the_next_run() {
    let world = world();
    let own = world.lake().0.join("_export");
    is_done(export(&world, &["--keep-pages"], ""));
    let file = files_below(&world.lake().0.join("messages")).remove(0);
    fs::write(&file, "damaged").unwrap();
    is_done(export(&world, &["--keep-pages"], ""));
    let open = || {
        for path in PRIVATE.iter().flat_map(|name| all_below(&own.join(name))) {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    for command in ["export", "rebuild", "erase"] {
        open();
        match command {
            "export" => is_done(export(&world, &[], "")),
            "rebuild" => drop(crate::run::on(&world.lake().0, "rebuild", &[]).ok()),
            _ => drop(crate::run::on(&world.lake().0, "erase", &["--conversation", "nobody"]).ok()),
        }
        let expected: &[&str] = if command == "erase" {
            &["kept", "rejected"]
        } else {
            &PRIVATE
        };
        assert_private(&own, expected);
    }
}
