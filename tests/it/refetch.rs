//! `--refetch` asks again for what is complete.

use std::time::Duration;

use converse_export_simulator::{Latency, Options};
use rustix::process::Signal;

use crate::lake::files_below;
use crate::world::{World, small};

#[test]
fn what_is_complete_is_asked_for_again_and_nothing_comes_twice() {
    let world = World::new(small());
    let first = world.export().run().ok();
    let lake = world.lake();
    let whole = lake.files();
    let again = world.export().args(&["--refetch"]).run().ok();
    assert!(again.total("requests") > 0);
    assert_eq!(again.total("rows"), 0);
    assert!(again.total("duplicates") >= first.total("rows"));
    assert_eq!(lake.files(), whole);
    lake.assert_ledger_adds_up();
    assert_eq!(world.export().run().ok().total("requests"), 0);
    // kept pages are no answer to it
    world.export().args(&["--refetch", "--keep-pages"]).run().ok();
    let kept = files_below(&lake.0.join("_export/kept")).len();
    assert!(kept >= 14);
    let again = world.export().args(&["--refetch", "--keep-pages"]).run().ok();
    assert!(again.total("requests") >= 14);
    assert!(files_below(&lake.0.join("_export/kept")).len() >= kept + 14);
    assert_eq!(lake.files(), whole);
}

#[test]
fn an_interrupted_refetch_goes_on_and_comes_to_its_end() {
    let world = World::new(Options {
        latency: Latency::Fixed(Duration::from_millis(60)),
        ..small()
    });
    let export = world.export().args(&["--concurrency", "2"]);
    export.run().ok();
    let undisturbed = world.requests();
    let lake = world.lake();
    let whole = lake.files();
    let before = world.requests();
    let anew = export.clone().args(&["--refetch"]);
    for pages in [2, 4, 6] {
        let mut running = anew.start();
        running.until(|| files_below(&lake.0.join("_export/pages")).len() >= pages);
        running.signal(Signal::KILL);
        assert_eq!(running.end().code, None);
        assert_eq!(lake.files(), whole, "nothing is taken away meanwhile");
    }
    let last = anew.run().ok();
    assert_eq!(last.total("rows"), 0);
    assert_eq!(lake.files(), whole);
    lake.assert_ledger_adds_up();
    let used = world.requests() - before;
    // every kill costs what was in flight, two on each endpoint, and a chain more where a resumed run cuts otherwise
    assert!(
        used >= undisturbed / 2,
        "{used} of {undisturbed}: it was asked anew"
    );
    assert!(
        used <= undisturbed + undisturbed / 10 + 3 * (4 + 2),
        "{used} of {undisturbed}"
    );
    assert_eq!(export.run().ok().total("requests"), 0, "it has come to its end");
    assert!(anew.run().ok().total("requests") > 0, "and can be begun again");
}

#[test]
fn an_interrupted_refetch_is_ended_by_an_ordinary_run_too() {
    let world = World::new(Options {
        latency: Latency::Fixed(Duration::from_millis(60)),
        ..small()
    });
    let export = world.export().args(&["--concurrency", "2"]);
    export.run().ok();
    let lake = world.lake();
    let whole = lake.files();
    let mut running = export.clone().args(&["--refetch"]).start();
    running.until(|| !files_below(&lake.0.join("_export/pages")).is_empty());
    running.signal(Signal::KILL);
    running.end();
    assert!(export.run().ok().total("requests") > 0);
    assert_eq!(lake.files(), whole);
    assert_eq!(export.run().ok().total("requests"), 0);
}
