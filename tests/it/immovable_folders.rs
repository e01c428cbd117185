//! Folders that the system refuses to move: tables on overlayfs, and datasets on file systems of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::damage::assert_sound;
use crate::full_disk::Disk;
use crate::lake::Lake;
use crate::run::{Export, on};
use crate::world::{BOT, DAY, World, small};

const MONTH: [&str; 2] = ["--partition-by", "month"];
const SIZE: u64 = 256 * 1024 * 1024;

/// An overlay over a table, unmounted when dropped.
struct Overlay(PathBuf);

impl Overlay {
    fn new(disk: &Path) -> Self {
        for folder in ["upper", "work", "merged"] {
            fs::create_dir_all(disk.join(folder)).unwrap();
        }
        let layer = |option: &str, name: &str| format!("{option}={}", disk.join(name).display());
        let layers = [
            layer("lowerdir", "lower"),
            layer("upperdir", "upper"),
            layer("workdir", "work"),
        ]
        .join(",");
        let merged = disk.join("merged");
        let mount = Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &layers])
            .arg(&merged)
            .output();
        let mount = mount.unwrap();
        assert!(mount.status.success(), "{mount:?}");
        Self(merged)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let above = self.0.parent().unwrap();
        for folder in ["upper", "work"] {
            let _ = fs::remove_dir_all(above.join(folder));
        }
    }
}

fn partly<'a>(world: &'a World, name: &str) -> Export<'a> {
    let range = world.range.start..world.range.start + 2 * DAY + DAY / 2;
    world.export().to(name).range(range)
}

/// Looks at all partitions again and again: there is never more than one file in one.
fn watched<T>(lake: &Lake, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                for dataset in ["conversations", "messages"] {
                    let folder = lake.0.join(dataset).join(format!("bot={BOT}"));
                    for partition in fs::read_dir(folder).into_iter().flatten().flatten() {
                        let files = fs::read_dir(partition.path()).into_iter().flatten().flatten();
                        let names = files.map(|file| file.file_name().into_string().unwrap());
                        let seen: Vec<_> = names
                            .filter(|name| name.ends_with(".parquet") && !name.starts_with('.'))
                            .collect();
                        assert!(seen.len() <= 1, "{}: {seen:?}", partition.path().display());
                        looks += 1;
                    }
                }
            }
            looks
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        assert!(watching.join().unwrap() > 0);
        result
    })
}

fn killed(lake: &Lake, args: &[&str], at: &str) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_converse-export"));
    command.env_clear().env("CONVERSE_EXPORT_TEST_KILL_AT", at);
    let output = command.args(args).arg("--out").arg(&lake.0).output().unwrap();
    output.status.code().is_none()
}

/// What a table goes through, compared with the same on an ordinary file system.
fn whole_life(world: &World, name: &str, files: &Files) {
    let lake = world.lake_named(name);
    let export = || world.export().to(name);
    watched(&lake, || export().run().ok());
    assert_eq!(lake.files(), files.days);
    assert_sound(&lake);
    assert_eq!(export().run().ok().total("requests"), 0);
    watched(&lake, || export().args(&["--refetch"]).run().ok());
    assert_eq!(lake.files(), files.days);
    on(&lake.0, "rebuild", &MONTH).ok();
    assert_eq!(lake.files(), files.months);
    assert_sound(&lake);
    on(&lake.0, "rebuild", &["--partition-by", "day"]).ok();
    assert_eq!(lake.files(), files.days);
    // a lost file comes again, a damaged one goes aside
    let some = lake.0.join(files.days.keys().next().unwrap());
    fs::write(&some, "damaged").unwrap();
    export().run().ok();
    assert_eq!(lake.files(), files.days);
    let ids = lake.ids("conversations");
    on(&lake.0, "erase", &["--conversation", ids.first().unwrap()]).ok();
    assert_sound(&lake);
    assert_eq!(lake.ids("conversations").len(), ids.len() - 1);
    lake.assert_ledger_adds_up();
    assert!(!lake.0.join("_export/rebuild").exists() && !lake.0.join("_export/rebuild.json").exists());
}

struct Files {
    days: BTreeMap<String, String>,
    months: BTreeMap<String, String>,
}

impl Files {
    fn of(world: &World) -> Self {
        let files = |name: &str, args: &[&str]| {
            world.export().to(name).args(args).run().ok();
            world.lake_named(name).files()
        };
        Self {
            days: files("days", &[]),
            months: files("months", &MONTH),
        }
    }
}

#[test]
fn a_table_in_a_lower_layer_of_an_overlay_is_continued() {
    let world = World::new(small());
    let Some(disk) = Disk::new(world.path("disk"), SIZE) else {
        return;
    };
    let files = Files::of(&world);
    partly(&world, "disk/lower/lake").run().ok();
    {
        let _overlay = Overlay::new(&world.path("disk"));
        whole_life(&world, "disk/merged/lake", &files);
    }
    drop(disk);
}

#[test]
fn invariant_3_killed_at_any_step_on_an_overlay_the_next_run_continues() {
    let world = World::new(small());
    let Some(disk) = Disk::new(world.path("disk"), SIZE) else {
        return;
    };
    let files = Files::of(&world);
    partly(&world, "disk/lower/lake").run().ok();
    let steps = [
        "files-copied",
        "files-removed",
        "files-renamed",
        "partition-exchanged",
        "entry-written",
        "partition-published",
        "partitions-published",
    ];
    for (step, time) in steps.iter().flat_map(|step| [1, 2, 3].map(|time| (step, time))) {
        let at = format!("{step}:{time}");
        let overlay = Overlay::new(&world.path("disk"));
        let lake = world.lake_named("disk/merged/lake");
        let export = world.export().to("disk/merged/lake");
        let run = export.clone().env("CONVERSE_EXPORT_TEST_KILL_AT", &at).run();
        assert!(run.code.is_none() || time > 1, "{at}: {}", run.stderr);
        export.run().ok();
        assert_eq!(lake.files(), files.days, "{at}");
        assert_sound(&lake);
        let is_killed = killed(&lake, &["rebuild", "--partition-by", "month"], &at);
        assert!(is_killed || time > 1 || *step == "partitions-published", "{at}");
        assert_eq!(export.run().ok().total("requests"), 0, "{at}");
        let now = lake.files();
        let is_one = now == files.days || now == files.months;
        assert!(is_one, "{at}: neither table: {:?}", now.keys());
        on(&lake.0, "rebuild", &MONTH).ok();
        assert_eq!(lake.files(), files.months, "{at}");
        assert_sound(&lake);
        drop(overlay);
    }
    drop(disk);
}

#[test]
fn a_dataset_may_have_a_file_system_of_its_own() {
    let world = World::new(small());
    let Some(disk) = Disk::new(world.path("lake/messages"), SIZE) else {
        return;
    };
    let files = Files::of(&world);
    partly(&world, "lake").run().ok();
    whole_life(&world, "lake", &files);
    assert!(world.path("lake/messages").is_dir());
    drop(disk);
}

#[test]
fn a_bot_may_have_a_folder_that_is_mounted_from_elsewhere() {
    let world = World::new(small());
    let Some(disk) = Disk::new(world.path("disk"), SIZE) else {
        return;
    };
    let files = Files::of(&world);
    // both are on one file system, so their device is the same
    let (from, to) = (
        world.path("disk/elsewhere"),
        world.path(&format!("disk/lake/messages/bot={BOT}")),
    );
    for folder in [&from, &to] {
        fs::create_dir_all(folder).unwrap();
    }
    assert!(
        Command::new("mount")
            .arg("--bind")
            .args([&from, &to])
            .status()
            .unwrap()
            .success()
    );
    let bound = Bound(to);
    partly(&world, "disk/lake").run().ok();
    whole_life(&world, "disk/lake", &files);
    assert!(
        !crate::lake::files_below(&from).is_empty(),
        "the files are elsewhere"
    );
    drop(bound);
    drop(disk);
}

/// A folder that is mounted from elsewhere, unmounted when dropped.
struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_bot_may_have_a_file_system_of_its_own() {
    let world = World::new(small());
    let Some(disk) = Disk::new(world.path(&format!("lake/conversations/bot={BOT}")), SIZE) else {
        return;
    };
    let files = Files::of(&world);
    partly(&world, "lake").run().ok();
    whole_life(&world, "lake", &files);
    drop(disk);
}
