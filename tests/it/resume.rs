//! Stopped in whatever way, the same command goes on.

use std::time::{Duration, Instant};

use converse_export_simulator::{Latency, Options};
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

/// All that there is stands in the lake.
#[track_caller]
fn assert_whole(world: &World) {
    for dataset in ["conversations", "messages"] {
        let truth = world.truth(dataset).into_keys().collect();
        assert_eq!(world.lake().ids(dataset), truth);
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
        assert_whole(&world);
    }
}

/// A first page comes soon, and whatever is asked after it takes far longer than anybody waits.
fn stuck() -> World {
    World::new(Options {
        latency: Latency::Growing {
            first: Duration::from_millis(20),
            per_page: Duration::from_secs(60),
        },
        ..small()
    })
}

#[test]
fn invariant_1_a_signal_does_not_wait_for_slow_answers_and_a_second_one_for_none() {
    for (signals, patience) in [(1, Duration::from_millis(2500)), (2, Duration::from_millis(1000))] {
        let world = stuck();
        let export = world.export().only("conversations").args(&["--concurrency", "4"]);
        let mut running = export.start();
        let kept = world.path("lake/_export/pages");
        running.until(|| {
            world
                .stats("conversations")
                .log
                .iter()
                .any(|request| request.cursor.is_some())
        });
        let mut before = files_below(&kept);
        // one that is being written has another name for the moment
        before.retain(|page| !page.file_name().unwrap().to_str().unwrap().starts_with('.'));
        assert!(!before.is_empty());
        let begin = Instant::now();
        for number in 0..signals {
            // two that come at the same moment are one
            std::thread::sleep(Duration::from_millis(100 * number));
            running.signal(Signal::INT);
        }
        running.end().ended(130);
        let took = begin.elapsed();
        assert!(took < patience, "{took:?}");
        let after = files_below(&kept);
        assert!(before.iter().all(|page| after.contains(page)), "a page is lost");
    }
}

#[test]
fn a_signal_does_not_wait_for_a_long_building() {
    let world = World::new(Options {
        conversations: 20_000,
        ..small()
    });
    let export = world.export();
    let at = "data-file-written:1";
    let run = export.clone().env("CONVERSE_EXPORT_TEST_KILL_AT", at).run();
    assert_eq!(run.code, None, "killed while it builds");
    let running = export.start();
    let begin = Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::INT);
    let run = running.end();
    assert!(begin.elapsed() < Duration::from_millis(2800));
    // a quick machine is through by then
    assert!(matches!(run.code, Some(0 | 130)), "{run:?}");
    export.run().ok();
    assert_whole(&world);
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
fn of_two_runs_started_at_once_one_works_and_a_dead_one_blocks_nobody() {
    let world = slow();
    for round in 0..8 {
        let export = world
            .export()
            .to(&format!("{round}"))
            .args(&["--concurrency", "2"]);
        let both = [export.start(), export.start()];
        let ids = both.each_ref().map(|running| running.id());
        let runs = both.map(|running| running.end());
        let codes = runs.each_ref().map(|run| run.code);
        let (worked, told) = match codes {
            [Some(0), Some(3)] => (0, 1),
            [Some(3), Some(0)] => (1, 0),
            other => panic!("{other:?}: {runs:?}"),
        };
        let holder = format!("process {} on ", ids[worked]);
        assert!(runs[told].stderr.contains(&holder), "{}", runs[told].stderr);
    }
    // its lock is left behind, with its name in it
    let export = world.export();
    assert_eq!(
        export
            .clone()
            .env("CONVERSE_EXPORT_TEST_KILL_AT", "page-kept:2")
            .run()
            .code,
        None
    );
    assert!(world.path("lake/_export/lock").exists());
    export.run().ok();
    assert_whole(&world);
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
    for page in files_below(&world.path("lake/_export/quarantine/pages")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        let told = format!("_export/pages/{name} is damaged");
        assert!(run.stderr.contains(&told), "{}", run.stderr);
    }
    assert_eq!(files_below(&world.path("lake/_export/quarantine")).len(), 2);
    assert_whole(&world);
}
