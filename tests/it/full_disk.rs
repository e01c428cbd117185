//! Disks that get full: at the spool, at the building, at the commit.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::folder_contents::FolderContents;
use crate::lake::{Lake, files_below};
use crate::world::{World, small};

/// Small blocks of a tmpfs: what it counts in.
const BLOCK: u64 = 4096;
const ROOM: u64 = 256 * 1024 * 1024;

/// A small disk in memory, unmounted when dropped.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// None where this process may not mount one, which only root always may.
    pub(crate) fn new(path: PathBuf, bytes: u64) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let size = format!("size={bytes}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .output();
        let mounted = mount.as_ref().is_ok_and(|output| output.status.success());
        if !mounted {
            assert!(
                !rustix::process::geteuid().is_root(),
                "root cannot mount: {mount:?}"
            );
            println!("not run: only root may mount a small disk");
            return None;
        }
        Some(Self(path))
    }

    fn resize(&self, bytes: u64) {
        let size = format!("remount,size={bytes}");
        let mount = Command::new("mount").args(["-o", &size]).arg(&self.0).status();
        assert!(mount.unwrap().success());
    }

    fn used(&self) -> u64 {
        let told = rustix::fs::statvfs(&self.0).unwrap();
        (told.f_blocks - told.f_bfree) * told.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Where in a table's folder the disk was full, by the path that the error names.
fn place(stderr: &str) -> &'static str {
    let places = [
        ("_export/pages/", "spool"),
        ("_export/staging", "building"),
        ("_export/log/", "commit"),
        ("_export/partitions", "commit"),
        ("/lake/conversations", "commit"),
        ("/lake/messages", "commit"),
        ("_export", "beginning"),
    ];
    let found = places.iter().find(|(path, _)| stderr.contains(path));
    found.unwrap_or_else(|| panic!("no place is named: {stderr}")).1
}

#[test]
fn invariant_1_a_full_disk_is_told_and_with_room_the_same_command_finishes() {
    let world = World::new(small());
    let export = |name: &str| {
        world
            .export()
            .to(name)
            .args(&["--concurrency", "1", "--per-page", "250"])
    };
    export("undisturbed").run().ok();
    let undisturbed = world.requests();
    let whole = FolderContents::by(&world.lake_named("undisturbed"));

    // what a run takes on a disk once all its pages are kept, and once its first commit begins
    let Some(disk) = Disk::new(world.path("measured"), ROOM) else {
        return;
    };
    let until = |step: &str| {
        let export = export("measured/lake").env("CONVERSE_EXPORT_TEST_KILL_AT", step);
        assert_eq!(export.run().code, None, "{step}");
        let used = disk.used();
        fs::remove_dir_all(world.path("measured/lake")).unwrap();
        used
    };
    let (pages, staged) = (until("data-file-written:1"), until("commit-appended:1"));
    drop(disk);

    let mut sizes = vec![4 * BLOCK, pages / 3, pages * 2 / 3];
    sizes.extend([pages, pages + (staged - pages) / 2]);
    // a commit takes little, so it is met by going near in small steps
    sizes.extend((0..32).map(|step| staged - 16 * BLOCK + 2 * step * BLOCK));
    let mut met: BTreeMap<&str, u32> = BTreeMap::new();
    for size in sizes {
        let disk = Disk::new(world.path("disk"), size / BLOCK * BLOCK).unwrap();
        let export = export("disk/lake");
        let before = world.requests();
        let run = export.run();
        if run.code != Some(0) {
            let run = run.ended(1);
            assert!(run.stderr.contains("No space left on device"), "{}", run.stderr);
            assert!(run.stderr.contains("free disk space"), "{}", run.stderr);
            *met.entry(place(&run.stderr)).or_default() += 1;
            // what readers see meanwhile is whole
            let lake = Lake(world.path("disk/lake"));
            for (file, hash) in lake.files() {
                whole.holds(&file, &hash);
            }
        }
        disk.resize(ROOM);
        export.run().ok();
        FolderContents::by(&Lake(world.path("disk/lake"))).is_the_same_as(&whole, &format!("{size} bytes"));
        let requests = world.requests() - before;
        // one in flight on each endpoint, and one page more where the second run cuts otherwise
        assert!(
            requests <= undisturbed + undisturbed / 10 + 4 + 2,
            "{requests} requests instead of {undisturbed}"
        );
    }
    println!("full at: {met:?}");
    for place in ["spool", "building", "commit"] {
        assert!(met.contains_key(place), "never full at the {place}: {met:?}");
    }
    assert!(files_below(&world.path("disk")).is_empty(), "unmounted");
}
