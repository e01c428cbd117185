//! Stopped in whatever way, the same command goes on.

use std::time::{Duration, Instant};

use converse_export::simulator::{Latency, Options};
use rustix::process::Signal;

use crate::lake::files_below;
use crate::world::{World, small};

/// Slow enough to be caught in the middle.
fn slow() -> World {
    World::new(Options {
        latency: Latency::Fixed(Duration::from_millis(60)),
        ..small()
    })
}

#[test]
fn invariant_1_after_a_kill_no_kept_page_is_asked_for_again() {
    let world = slow();
    world.export().args(&["--concurrency", "2"]).run().ok();
    let undisturbed = world.requests();
    let whole = world.lake().files();
    for pages in [1, 3, 6] {
        let name = format!("killed-{pages}");
        let export = world.export().to(&name).args(&["--concurrency", "2"]);
        let before = world.requests();
        let mut running = export.start();
        let kept = world.path(&name).join("_export/pages");
        running.until(|| files_below(&kept).len() >= pages);
        assert!(running.id() > 0);
        running.signal(Signal::KILL);
        assert_eq!(running.end().code, None);
        export.run().ok();
        assert_eq!(world.lake_named(&name).files(), whole);
        // two requests in flight on each endpoint, and one page more where a restarted run cuts otherwise
        let used = world.requests() - before;
        assert!(
            used <= undisturbed + undisturbed / 10 + 4 + 2,
            "{used} requests instead of {undisturbed}"
        );
    }
}

#[test]
fn a_signal_stops_within_two_seconds_and_the_same_command_goes_on() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let world = slow();
        let export = world.export().args(&["--concurrency", "1"]);
        let mut running = export.start();
        let kept = world.path("lake/_export/pages");
        running.until(|| !files_below(&kept).is_empty());
        let begin = Instant::now();
        running.signal(signal);
        running.end().ended(code);
        assert!(begin.elapsed() < Duration::from_secs(2));
        export.run().ok();
        for dataset in ["conversations", "messages"] {
            assert_eq!(
                world.lake().ids(dataset),
                world.truth(dataset).into_keys().collect()
            );
        }
    }
}

#[test]
fn a_second_run_on_the_same_folder_is_told_who_works_there() {
    let world = slow();
    let export = world.export().args(&["--concurrency", "1"]);
    let mut running = export.start();
    running.until(|| !files_below(&world.path("lake/_export/pages")).is_empty());
    let second = export.run().ended(3);
    assert!(
        second.stderr.contains(&format!("process {}", running.id())),
        "{}",
        second.stderr
    );
    running.end().ok();
}

#[test]
fn a_damaged_page_is_asked_for_again() {
    let world = slow();
    let export = world.export().args(&["--concurrency", "1"]);
    let mut running = export.start();
    let kept = world.path("lake/_export/pages");
    running.until(|| files_below(&kept).len() >= 3);
    running.signal(Signal::KILL);
    running.end();
    let whole = |page: &&std::path::PathBuf| page.to_str().unwrap().contains("/pages/0");
    for page in files_below(&kept).iter().filter(whole).take(2) {
        let content = std::fs::read(page).unwrap();
        std::fs::write(page, &content[..content.len() / 2]).unwrap();
    }
    let run = export.run().ok();
    for page in files_below(&world.path("lake/_export/damaged/pages")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        let told = format!("_export/pages/{name} is damaged");
        assert!(run.stderr.contains(&told), "{}", run.stderr);
    }
    assert_eq!(files_below(&world.path("lake/_export/damaged")).len(), 2);
    for dataset in ["conversations", "messages"] {
        assert_eq!(
            world.lake().ids(dataset),
            world.truth(dataset).into_keys().collect()
        );
    }
}
