//! `sync` brings a table up to now, run after run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use converse_export_simulator::{Clock, Endpoint, Filter, Growth, Latency, Options, Order};
use rustix::process::Signal;
use serde_json::Value;

use crate::damage::assert_sound;
use crate::lake::{Lake, files_below};
use crate::run::{Export, on};
use crate::world::{BOT, DAY, World, small};

const HOUR: i64 = 3_600;
/// What the runs stay behind the server's clock: the usual, and some seconds that requests take by a clock that stands.
const SETTLE: i64 = 15 * 60 + 60;

/// An archive of some days whose clock stands at the end of the second day.
fn days(options: Options) -> World {
    let start = options.range.start;
    World::new(Options {
        clock: Clock::fixed(start + 2 * DAY),
        busy_day: None,
        empty_day: None,
        ..options
    })
}

/// A sync at the moment of the server's clock.
fn sync(world: &World) -> Export<'_> {
    let now = world.clock.now_us() / 1_000_000;
    world.export().range(world.range.start..now - SETTLE).sync()
}

fn account(lake: &Lake, dataset: &str) -> Value {
    lake.ledger()["datasets"][dataset][BOT].clone()
}

/// When each data file and each entry of the manifest was last touched in any way.
fn touched(lake: &Lake) -> BTreeMap<PathBuf, (i64, i64, u64)> {
    let folders = [
        "conversations",
        "messages",
        "_export/partitions",
        "_export/changes",
    ];
    let files = folders
        .iter()
        .flat_map(|folder| files_below(&lake.0.join(folder)));
    files
        .map(|path| {
            let about = fs::metadata(&path).unwrap();
            let times = (about.ctime(), about.ctime_nsec(), about.ino());
            (path, times)
        })
        .collect()
}

/// The earliest second that requests since the first `before` asked an endpoint for.
fn earliest(world: &World, endpoint: Endpoint, before: usize) -> i64 {
    let log = world.simulator.stats(endpoint).log;
    log[before..]
        .iter()
        .map(|request| request.start_time)
        .min()
        .unwrap()
}

#[test]
fn each_run_goes_on_from_the_watermark_and_looks_back() {
    let world = days(small());
    let first = sync(&world).run().ok();
    assert!(first.total("rows") > 0);
    let lake = world.lake();
    let watermark = |dataset| {
        account(&lake, dataset)["sync"]["watermark"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(watermark("conversations"), "2023-10-02T23:44:00Z");
    world.clock.advance(HOUR);
    let asked = [Endpoint::Conversations, Endpoint::Messages].map(|of| world.simulator.stats(of).log.len());
    let second = sync(&world).args(&["--lookback", "6h"]).run().ok();
    for (endpoint, before) in [Endpoint::Conversations, Endpoint::Messages]
        .into_iter()
        .zip(asked)
    {
        let from = world.range.start + 2 * DAY - SETTLE - 6 * HOUR;
        let earliest = earliest(&world, endpoint, before);
        assert!(
            (from - 1..=from).contains(&earliest),
            "{earliest} instead of {from}"
        );
    }
    assert!(second.total("rows") > 0);
    assert_eq!(watermark("messages"), "2023-10-03T00:44:00Z");
    lake.assert_ledger_adds_up();
    // the same as one export up to the same moment
    let until = world.range.start..world.clock.now_us() / 1_000_000 - SETTLE;
    world.export().to("once").range(until).run().ok();
    assert_eq!(lake.files(), world.lake_named("once").files());
}

#[test]
fn a_run_with_nothing_new_touches_no_file_and_asks_for_the_lookback_alone() {
    let world = days(small());
    sync(&world).run().ok();
    let lake = world.lake();
    let before = touched(&lake);
    let whole = world.requests();
    // as a settled night would: nothing happens in it
    let again = sync(&world).args(&["--lookback", "12h"]).run().ok();
    assert_eq!(touched(&lake), before);
    assert_eq!(again.total("rows") + again.total("superseded"), 0);
    assert!(again.total("duplicates") > 0);
    assert_eq!(again.of_dataset("messages")["partitions"], serde_json::json!([]));
    let least = ["conversations", "messages"].map(|of| again.count(of, "duplicates").div_ceil(1_000));
    let requests = world.requests() - whole;
    assert!(
        requests <= least.iter().sum::<u64>() + 4,
        "{requests} for {least:?} pages"
    );
    let none = sync(&world).args(&["--lookback", "0s"]).run().ok();
    assert_eq!(none.total("requests"), 0);
    assert_eq!(touched(&lake), before);
    lake.assert_ledger_adds_up();
}

#[test]
fn updates_and_late_records_within_the_lookback_come_and_a_deleted_one_stays() {
    for (filter, order) in [
        (Filter::Start, Order::StartAscending),
        (Filter::LastAction, Order::LastActionDescending),
    ] {
        let world = days(Options {
            filter,
            order,
            growth: Growth {
                late_records: 200,
                late_seconds: 7_200,
                deleted: 40,
                deleted_seconds: 20 * 3_600,
                ..Growth::default()
            },
            ..small()
        });
        sync(&world).run().ok();
        let lake = world.lake();
        let before: BTreeMap<_, _> = world.truth("conversations");
        world.clock.advance(10 * HOUR);
        let second = sync(&world).args(&["--lookback", "1d"]).run().ok();
        assert!(second.count("conversations", "superseded") > 0, "{filter:?}");
        let deleted: Vec<_> = {
            let now = world.truth("conversations");
            before
                .keys()
                .filter(|id| !now.contains_key(*id))
                .cloned()
                .collect()
        };
        assert!(!deleted.is_empty());
        let ids = lake.ids("conversations");
        assert!(deleted.iter().all(|id| ids.contains(id)));
        let settled = world.clock.now_us() - SETTLE * 1_000_000;
        let expected = world.truth("conversations").into_values();
        // an hour for what came within the lookback, but later than this
        let expected = expected.filter(|truth| truth.filter_us < settled);
        for truth in expected {
            assert!(ids.contains(&truth.id), "{filter:?}: {truth:?} is missing");
        }
        lake.assert_ledger_adds_up();
    }
}

#[test]
fn a_killed_sync_goes_on_and_asks_again_for_what_was_in_flight_alone() {
    let world = days(Options {
        latency: Latency::Fixed(Duration::from_millis(60)),
        conversations: 4_000,
        ..small()
    });
    let args = ["--concurrency", "2", "--per-page", "100", "--lookback", "1d"];
    sync(&world).args(&args).run().ok();
    let lake = world.lake();
    let undisturbed = {
        sync(&world).to("other").args(&args).run().ok();
        let before = world.requests();
        sync(&world).to("other").args(&args).run().ok();
        world.requests() - before
    };
    let (before, whole) = (world.requests(), lake.files());
    for pages in [3, 6, 12] {
        let mut running = sync(&world).args(&args).start();
        running.until(|| files_below(&lake.0.join("_export/pages")).len() >= pages);
        running.signal(Signal::KILL);
        assert_eq!(running.end().code, None);
        assert_eq!(
            account(&lake, "messages")["sync"]["watermark"],
            "2023-10-02T23:44:00Z"
        );
    }
    // an ordinary export in between has nothing to do with it
    sync(&world).args(&args).run().ok();
    let used = world.requests() - before;
    // how often windows are split depends on when answers come
    assert!(
        used >= undisturbed * 9 / 10,
        "{used} of {undisturbed}: it was asked anew"
    );
    assert!(
        used <= undisturbed + undisturbed / 10 + 3 * (4 + 2),
        "{used} of {undisturbed}"
    );
    assert_eq!(lake.files(), whole);
    // and the next one looks back again: pages of this one are no answer to it
    let before = world.requests();
    sync(&world).args(&args).run().ok();
    assert!(world.requests() - before >= undisturbed * 9 / 10);
    lake.assert_ledger_adds_up();
}

#[test]
fn holes_are_filled_and_what_is_added_later_is_brought_up() {
    let world = days(small());
    let start = world.range.start;
    world
        .export()
        .range(start + 6 * HOUR..start + 12 * HOUR)
        .only("messages")
        .run()
        .ok();
    world
        .export()
        .range(start + DAY..start + DAY + HOUR)
        .only("messages")
        .run()
        .ok();
    sync(&world).only("messages").run().ok();
    // conversations are new to the table
    sync(&world).run().ok();
    let lake = world.lake();
    let until = start..world.clock.now_us() / 1_000_000 - SETTLE;
    world.export().to("once").range(until).run().ok();
    assert_eq!(lake.files(), world.lake_named("once").files());
    for dataset in ["conversations", "messages"] {
        let complete = account(&lake, dataset)["complete"].clone();
        assert_eq!(
            complete,
            serde_json::json!(["2023-10-01T00:00:00Z/2023-10-02T23:44:00Z"])
        );
    }
    lake.assert_ledger_adds_up();
}

/// The files that tell what changed, in order.
pub(crate) fn changes(lake: &Lake) -> Vec<Value> {
    let mut files = files_below(&lake.0.join("_export/changes"));
    files.sort();
    let read = |file: &PathBuf| serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    files.iter().map(read).collect()
}

#[test]
fn whoever_loads_what_is_told_to_have_changed_has_the_table() {
    let world = days(Options {
        latency: Latency::Fixed(Duration::from_millis(20)),
        ..small()
    });
    let lake = world.lake();
    let mut loaded: BTreeMap<PathBuf, String> = BTreeMap::new();
    for round in 0..4 {
        if round == 2 {
            // killed after a part of it was published: the next run tells that, too
            world.clock.advance(30 * HOUR);
            let killed = sync(&world).env("CONVERSE_EXPORT_TEST_KILL_AT", "pages-removed:3");
            assert_eq!(killed.run().code, None);
        }
        let told = changes(&lake).len();
        let run = sync(&world).run().ok();
        let files = changes(&lake);
        assert_eq!(
            files.len(),
            told + usize::from(round % 2 == 0),
            "a run without news tells nothing"
        );
        assert_eq!(run.json()["changes"].is_null(), round % 2 == 1);
        for file in &files[told..] {
            assert_eq!(file["command"], "sync");
            for partition in file["partitions"].as_array().unwrap() {
                let path = PathBuf::from(partition["path"].as_str().unwrap());
                let about = fs::metadata(lake.0.join(&path)).unwrap();
                assert_eq!(partition["bytes"], about.len());
                loaded.retain(|other, _| other.parent() != path.parent());
                loaded.insert(path, partition["content_hash"].as_str().unwrap().to_owned());
            }
        }
        let expected = lake.files().into_iter().map(|(path, hash)| (path.into(), hash));
        assert_eq!(loaded, expected.collect());
    }
}

#[test]
fn a_watermark_that_is_too_old_is_told_by_the_exit_code() {
    let world = World::new(small());
    let now = jiff::Timestamp::now().as_second();
    let lake = world.lake();
    world
        .export()
        .range(world.range.start..now - HOUR)
        .sync()
        .run()
        .ok();
    let text = on(&lake.0, "status", &["--max-age", "26h"]).ok().stdout;
    assert!(text.contains("watermark"), "{text}");
    let late = on(&lake.0, "status", &["--max-age", "59m"]).ended(1);
    assert!(
        late.stderr
            .contains("too old: conversations of r3-218210: complete up to"),
        "{}",
        late.stderr
    );
    on(&lake.0, "status", &["--max-age", "26"]).ended(2);
    // a dataset that was never exported whole is as old as can be
    world
        .export()
        .to("part")
        .only("messages")
        .range(world.range.start..world.range.start + HOUR)
        .run()
        .ok();
    on(&world.path("part"), "status", &["--max-age", "26h"]).ended(1);
}

#[test]
fn a_bot_that_fails_does_not_stop_the_others_and_they_share_the_budget() {
    let world = days(Options {
        bots: ["a", "b", BOT].map(str::to_owned).to_vec(),
        requests_per_second: 20.0,
        conversations: 500,
        ..small()
    });
    let all = ["--bot", "a", "--bot", "nobody", "--bot", "b"];
    let args = [&all[..], &["--per-page", "100", "--lookback", "1d"]].concat();
    // a person must correct the name
    let run = sync(&world).rate("20").args(&args).run().ended(1);
    let lake = world.lake();
    for endpoint in [Endpoint::Conversations, Endpoint::Messages] {
        let stats = world.simulator.stats(endpoint);
        assert_eq!(stats.refused_429, 0, "the budget is kept by all of them together");
        assert!(stats.most_in_one_second <= 21, "{}", stats.most_in_one_second);
    }
    let failed = run.json()["failed"].clone();
    let failed: Vec<_> = failed.as_array().unwrap().iter().collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    for failed in failed {
        assert_eq!(failed["bot"], "nobody");
        assert!(
            failed["what"].as_str().unwrap().contains("404") && failed["hint"].is_string(),
            "{failed}"
        );
    }
    let ledger = lake.ledger();
    for bot in ["a", "b"] {
        let synced = &ledger["datasets"]["messages"][bot]["sync"];
        assert_eq!(synced["watermark"], "2023-10-02T23:44:00Z", "{ledger}");
        assert!(lake.0.join(format!("messages/bot={bot}")).exists());
    }
    // a name that the API has never answered is not recorded
    let text = on(&lake.0, "status", &[]).ok().stdout;
    assert!(!text.contains("nobody"), "{text}");
    assert!(
        changes(&lake)
            .iter()
            .all(|file| !file.to_string().contains("nobody"))
    );
    // a bot that is added later is brought up from the beginning
    let args = ["--bot", "a", "--bot", BOT, "--lookback", "0s"];
    let added = sync(&world).rate("20").args(&args).run().ok();
    assert!(added.total("rows") > 0);
    assert_eq!(
        account(&lake, "messages")["sync"]["watermark"],
        "2023-10-02T23:44:00Z"
    );
    lake.assert_ledger_adds_up();
}

#[test]
fn one_conversation_is_fetched_for_repair_and_completes_nothing() {
    let world = World::new(Options {
        latency: Latency::Fixed(Duration::from_millis(30)),
        ..small()
    });
    let truth = world.truth("conversations");
    let id = truth.keys().nth(700).unwrap().clone();
    let only = ["--conversation", id.as_str()];
    // nothing of it is there yet
    let run = world.export().only("messages").args(&only).run().ok();
    assert_eq!(run.count("messages", "requests"), 1);
    let lake = world.lake();
    let rows = lake.rows(&format!(
        "select count(*) from messages where conversation_id <> '{id}'"
    ));
    assert_eq!(rows[0][0], 0);
    assert!(run.count("messages", "rows") > 0);
    assert_eq!(account(&lake, "messages")["complete"], serde_json::json!([]));
    assert_sound(&lake);
    // pages that a killed one left are no answer to a range, but their rows are taken
    let killed = world.export().to("killed").only("messages").args(&only);
    killed
        .clone()
        .env("CONVERSE_EXPORT_TEST_KILL_AT", "page-kept:1")
        .run();
    assert_eq!(files_below(&world.path("killed/_export/pages")).len(), 1);
    assert_eq!(killed.run().ok().total("requests"), 0, "its page was kept");
    for name in ["lake", "killed"] {
        world.export().to(name).only("messages").run().ok();
        assert_eq!(
            world.lake_named(name).ids("messages").len(),
            world.truth("messages").len()
        );
        world.lake_named(name).assert_ledger_adds_up();
    }
    // what is complete is asked for again
    let files = lake.files();
    let again = world.export().only("messages").args(&only).run().ok();
    assert_eq!((again.total("requests"), again.total("rows")), (1, 0));
    assert_eq!(lake.files(), files);
    assert_eq!(world.export().only("messages").run().ok().total("requests"), 0);
    world.export().args(&only).run().ended(2);
}
