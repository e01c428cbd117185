//! The library's export, dropped at any moment: the table stays locked until nothing is written to it any more.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use converse_export::internal::{Lock, OWN_FOLDER};
use converse_export::{ApiKey, CancellationToken, Connection, Error, Export, Outcome, Silent, Window};
use converse_export_simulator::{Latency, Options};

use crate::folder_contents::FolderContents;
use crate::world::{BOT, KEY, World, small};

const DROPS: u32 = 20;
/// Time for a writer that does not hold the lock to show itself.
const WATCHED: Duration = Duration::from_millis(500);

fn export(world: &World, out: PathBuf) -> Export {
    let key = ApiKey::new(KEY).unwrap();
    let connection = Connection::new(world.simulator.base_url().parse().unwrap(), key);
    let range = Window::new(world.range.start, world.range.end);
    Export::new(connection, BOT, range, out)
        .requests_per_second(0.0)
        .per_page(250)
}

/// Every file and folder below a folder, with its size and when it was last changed.
fn listing(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut listing = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let about = entry.metadata().unwrap();
            if about.is_dir() {
                folders.push(entry.path());
            }
            listing.insert(entry.path(), (about.len(), about.modified().unwrap()));
        }
    }
    listing
}

/// Takes the lock as soon as it is free, and says how often it was refused.
fn take_lock(out: &Path) -> (Lock, u32) {
    let begin = Instant::now();
    let mut refused = 0;
    loop {
        match Lock::acquire(out, &out.join(OWN_FOLDER)) {
            Ok(lock) => return (lock, refused),
            Err(Error::Locked { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "the lock is never free"
        );
    }
}

#[test]
fn a_dropped_export_writes_nothing_once_the_lock_is_free() {
    let world = World::new(Options {
        conversations: 4_000,
        latency: Latency::Fixed(Duration::from_millis(5)),
        ..small()
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let run = |lake: &str, limit: Duration| -> Option<Outcome> {
        let export = export(&world, world.path(lake));
        let run = export.run(Arc::new(Silent), CancellationToken::new());
        let outcome = runtime.block_on(async { tokio::time::timeout(limit, run).await });
        outcome.ok().map(|outcome| outcome.unwrap())
    };
    let long = Duration::from_secs(120);
    let begin = Instant::now();
    assert!(run("whole", long).unwrap().failures.is_empty());
    let usual = begin.elapsed();
    let whole = FolderContents::by(&world.lake_named("whole"));

    let (mut dropped, mut refused) = (0, 0);
    for number in 1..=DROPS {
        let lake = format!("dropped-{number}");
        let out = world.path(&lake);
        dropped += u32::from(run(&lake, usual * number / DROPS).is_none());
        let (lock, refusals) = take_lock(&out);
        refused += refusals;
        let before = listing(&out);
        sleep(WATCHED);
        assert_eq!(listing(&out), before, "written without the lock, drop {number}");
        drop(lock);
        assert!(run(&lake, long).unwrap().failures.is_empty());
        FolderContents::by(&world.lake_named(&lake)).is_the_same_as(&whole, &lake);
    }
    println!("{dropped} of {DROPS} exports were dropped; the lock was refused {refused} times after that");
    assert!(dropped >= DROPS / 2, "{dropped}");
    assert!(refused > 0, "no export was dropped while it wrote");
}
