//! What the API leaves open never loses a record, and never brings one from outside the range.

use std::path::PathBuf;
use std::time::Duration;

use converse_export_simulator::{
    CursorKind, Filter, Growth, Latency, MessageFilter, Options, Order, TimeFormat,
};

use crate::chance::{Chance, number_from};
use crate::duck::rows_of_each;
use crate::lake::ids;
use crate::world::{DAY, World, small};

/// The days in the middle: there is something on both sides to be taken in wrongly.
fn exactly_what_lies_in_the_range(options: Options) {
    let world = World::new(options);
    let range = world.range.start + DAY..world.range.start + 3 * DAY;
    world.export().range(range.clone()).run().ok();
    for dataset in ["conversations", "messages"] {
        assert_eq!(
            world.lake().ids(dataset),
            world.ids_within(dataset, &range),
            "{dataset}"
        );
    }
}

#[test]
fn bounds_filters_orders_and_cursors() {
    let cursors = [CursorKind::Token, CursorKind::Offset, CursorKind::Scroll];
    let orders = [
        Order::StartAscending,
        Order::StartDescending,
        Order::Unordered,
        Order::LastActionAscending,
    ];
    for (number, bounds) in (0..).zip([(true, false), (true, true), (false, false), (false, true)]) {
        for filter in [Filter::Start, Filter::LastAction] {
            exactly_what_lies_in_the_range(Options {
                start_inclusive: bounds.0,
                end_inclusive: bounds.1,
                filter,
                order: orders[number],
                cursor: cursors[number % 3],
                empty_every: u32::try_from(number).unwrap() * 2,
                exact_end: number % 2 == 0,
                ..small()
            });
        }
    }
}

/// An API as it might be.
fn some_api(seed: u64) -> Options {
    let mut chance = Chance::new(seed);
    Options {
        conversations: 500,
        order: chance.pick(&[
            Order::StartAscending,
            Order::StartDescending,
            Order::LastActionAscending,
            Order::LastActionDescending,
            Order::Unordered,
            Order::Id,
        ]),
        start_inclusive: chance.pick(&[true, false]),
        end_inclusive: chance.pick(&[true, false]),
        filter: chance.pick(&[Filter::Start, Filter::LastAction]),
        message_filter: chance.pick(&[
            MessageFilter::Time,
            MessageFilter::Time,
            MessageFilter::ConversationStart,
        ]),
        times: chance.pick(&[
            TimeFormat::Seconds,
            TimeFormat::Milliseconds,
            TimeFormat::Microseconds,
            TimeFormat::FloatSeconds,
            TimeFormat::Iso,
            TimeFormat::IsoOffset,
            TimeFormat::SecondsText,
        ]),
        cursor: chance.pick(&[CursorKind::Token, CursorKind::Offset, CursorKind::Scroll]),
        empty_every: chance.pick(&[0, 0, 2, 5]),
        exact_end: chance.pick(&[true, false]),
        latency: Latency::Fixed(Duration::from_millis(chance.pick(&[0, 3]))),
        seed,
        ..small()
    }
}

/// `CONVERSE_EXPORT_TEST_SEED` begins at a seed of one's own, `CONVERSE_EXPORT_TEST_CASES` tries more of them.
#[test]
fn whatever_the_api_is_like_exactly_what_it_selects_is_exported() {
    let first = number_from("CONVERSE_EXPORT_TEST_SEED", 1);
    let cases = number_from("CONVERSE_EXPORT_TEST_CASES", 40);
    println!("seeds {first} to {}", first + cases - 1);
    let seeds: Vec<u64> = (first..first + cases).collect();
    for some in seeds.chunks(20) {
        let worlds: Vec<(u64, World)> = some
            .iter()
            .map(|seed| (*seed, World::new(some_api(*seed))))
            .collect();
        for (seed, world) in &worlds {
            let range = world.range.start + DAY..world.range.start + 3 * DAY;
            let run = world.export().range(range).args(&["--per-page", "100"]).run();
            assert_eq!(
                run.code,
                Some(0),
                "seed {seed}: {:?}: {}",
                some_api(*seed),
                run.stderr
            );
        }
        let lakes: Vec<PathBuf> = worlds.iter().map(|(_, world)| world.lake().0).collect();
        for dataset in ["conversations", "messages"] {
            let exported = rows_of_each(&lakes, &format!("select id from {dataset}"));
            for ((seed, world), rows) in worlds.iter().zip(exported) {
                let (exported, api) = (ids(rows), some_api(*seed));
                let range = world.range.start + DAY..world.range.start + 3 * DAY;
                let selected = world.ids_within(dataset, &range);
                if dataset == "messages" && api.message_filter == MessageFilter::ConversationStart {
                    // no message tells the time that is filtered: what the bounds may bring beyond is kept
                    let around = world.ids_within(dataset, &(range.start - 2..range.end + 2));
                    assert!(
                        exported.is_superset(&selected) && exported.is_subset(&around),
                        "seed {seed}: {api:?}"
                    );
                } else {
                    let differ = exported.symmetric_difference(&selected).count();
                    assert_eq!(differ, 0, "seed {seed}, {} {dataset}: {api:?}", selected.len());
                }
            }
        }
    }
}

/// Everything appears and changes while the first run reads; what it asked for is young, so the second run asks again.
#[test]
fn an_archive_that_grows_while_it_is_read_is_whole_after_the_next_run() {
    let orders = [
        Order::StartAscending,
        Order::StartDescending,
        Order::LastActionAscending,
        Order::Unordered,
    ];
    let cursors = [CursorKind::Token, CursorKind::Offset, CursorKind::Scroll];
    for (number, order) in (0..).zip(orders) {
        for cursor in cursors {
            let world = World::new(Options {
                order,
                cursor,
                filter: if number % 2 == 0 {
                    Filter::Start
                } else {
                    Filter::LastAction
                },
                growth: Growth {
                    late_records: 300,
                    updates: 300,
                    after_requests: 2,
                    per_request: 40,
                    ..Growth::default()
                },
                ..small()
            });
            // the server's clock stands at the end of the archive, and all of it is younger than that
            let export = world.export().args(&["--settle", "30d"]);
            world.clock.set(world.range.end);
            export.run().ok();
            let held = ["conversations", "messages"].map(|dataset| (dataset, world.truth(dataset)));
            export.run().ok();
            let lake = world.lake();
            for (dataset, held) in &held {
                let exported = lake.ids(dataset);
                let missing = held.keys().filter(|id| !exported.contains(*id)).count();
                assert_eq!(missing, 0, "{order:?} {cursor:?}: of {} {dataset}", held.len());
            }
            for row in lake.rows("select id, epoch_us(last_action_at) from conversations") {
                let before = held[0].1.get(row[0].as_str().unwrap());
                let is_old = before.is_some_and(|truth| row[1].as_i64() < truth.last_action_us);
                assert!(!is_old, "{order:?} {cursor:?}: an old version");
            }
        }
    }
}
