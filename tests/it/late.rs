//! Records that are inserted later than their own time: windows filter by that time, listings are in order of insertion.

use std::time::Duration;

use converse_export::simulator::{
    Clock, CursorKind, Filter, Growth, Import, Latency, MessageFilter, Options, Order, Traffic,
};

use crate::damage::assert_sound;
use crate::honest::assert_complete;
use crate::world::{DAY, World, small};

const START: i64 = 1_696_118_400;
/// What the runs of `sync` stay behind the server's clock, which stands while they run.
const SETTLE: i64 = 16 * 60;
const BOTH: [&str; 2] = ["conversations", "messages"];

/// 40,000 conversations in 30 days, 40 % of them on the day of number 10, listed in order of insertion.
fn month(growth: Growth, options: Options) -> World {
    World::in_memory(Options {
        range: START..START + 30 * DAY,
        conversations: 40_000,
        busy_day: Some(10),
        order: Order::Insertion,
        latency: Latency::Fixed(Duration::from_millis(10)),
        requests_per_second: 0.0,
        growth,
        ..options
    })
}

/// So many late conversations, each of them so many seconds late.
fn late(late_records: u32, late_seconds: u32) -> Growth {
    Growth {
        late_records,
        late_seconds,
        ..Growth::default()
    }
}

/// Exports all conversations; none may be missing.
#[track_caller]
fn exports_all(world: &World, case: &str) {
    world.export().only("conversations").run().ok();
    assert_complete(world, "lake", &["conversations"], &world.range, case);
}

#[track_caller]
fn late_ones_of_the_busy_day_are_exported(late_records: u32) {
    for (seed, cursor) in [
        (1, CursorKind::Token),
        (2, CursorKind::Offset),
        (3, CursorKind::Scroll),
    ] {
        let growth = Growth {
            late_day: Some(10),
            ..late(late_records, 31 * 86_400)
        };
        let world = month(
            growth,
            Options {
                seed,
                cursor,
                ..Options::default()
            },
        );
        exports_all(&world, &format!("seed {seed}"));
    }
}

#[test]
#[ignore = "needs the new planner"]
fn one_late_conversation_is_exported() {
    late_ones_of_the_busy_day_are_exported(1);
}

#[test]
#[ignore = "needs the new planner"]
fn two_late_conversations_are_exported() {
    late_ones_of_the_busy_day_are_exported(2);
}

#[test]
#[ignore = "needs the new planner"]
fn ten_late_conversations_are_exported() {
    late_ones_of_the_busy_day_are_exported(10);
}

#[test]
#[ignore = "needs the new planner"]
fn a_thousand_late_conversations_are_exported() {
    late_ones_of_the_busy_day_are_exported(1_000);
}

#[test]
#[ignore = "needs the new planner"]
fn conversations_of_any_day_up_to_two_days_late_are_exported() {
    for (seed, late_records) in [(1, 1), (2, 2), (3, 10), (4, 1_000)] {
        let growth = Growth {
            late_spread: true,
            ..late(late_records, 2 * 86_400)
        };
        let world = month(
            growth,
            Options {
                seed,
                ..Options::default()
            },
        );
        exports_all(&world, &format!("{late_records} late"));
    }
}

#[test]
#[ignore = "needs the new planner"]
fn late_conversations_are_exported_where_all_last_equally_long() {
    for (seed, late_records) in [(1, 1), (2, 10), (3, 1_000)] {
        let world = month(
            late(late_records, 31 * 86_400),
            Options {
                seed,
                equal_gap: Some(60),
                ..Options::default()
            },
        );
        exports_all(&world, &format!("{late_records} late"));
    }
}

#[test]
#[ignore = "needs the new planner"]
fn late_conversations_are_exported_where_windows_filter_the_last_action() {
    for (seed, late_records) in [(1, 1), (2, 10), (3, 1_000)] {
        let world = month(
            late(late_records, 31 * 86_400),
            Options {
                seed,
                filter: Filter::LastAction,
                ..Options::default()
            },
        );
        exports_all(&world, &format!("{late_records} late"));
    }
}

#[test]
#[ignore = "needs the new planner"]
fn messages_of_late_conversations_are_exported() {
    for (seed, late_records) in [(1, 1), (2, 10), (3, 300)] {
        let world = month(
            late(late_records, 31 * 86_400),
            Options {
                seed,
                ..Options::default()
            },
        );
        world.export().only("messages").run().ok();
        let case = format!("{late_records} late");
        assert_complete(&world, "lake", &["messages"], &world.range, &case);
    }
}

/// Syncs 6 nights of an archive; after each of them all that is visible and settled is in the table.
#[track_caller]
fn nights_bring_what_came_late(seed: u64, late_records: u32, order: Order) {
    let clock = Clock::fixed(START + 4 * DAY);
    let world = World::in_memory(Options {
        range: START..START + 10 * DAY,
        conversations: 8_000,
        seed,
        order,
        clock: clock.clone(),
        busy_day: Some(6),
        empty_day: None,
        latency: Latency::Fixed(Duration::from_millis(5)),
        growth: Growth {
            late_spread: true,
            ..late(late_records, 2 * 86_400)
        },
        ..small()
    });
    for night in 0..6 {
        let until = clock.now_us() / 1_000_000 - SETTLE;
        let sync = world.export().range(START..until).sync();
        // small pages, so that a night takes many windows
        sync.args(&["--lookback", "3d", "--per-page", "100"]).run().ok();
        if night % 2 == 1 {
            let case = format!("seed {seed}, {order:?}, night {night}");
            assert_complete(&world, "lake", &BOTH, &(START..until), &case);
        }
        clock.advance(DAY);
    }
    assert_sound(&world.lake());
}

#[test]
#[ignore = "needs the new planner"]
fn syncs_bring_what_is_up_to_two_days_late() {
    for seed in 1..4 {
        nights_bring_what_came_late(seed, 100, Order::Insertion);
    }
}

#[test]
#[ignore = "needs the new planner"]
fn syncs_bring_very_many_late_records() {
    nights_bring_what_came_late(5, 3_000, Order::Insertion);
}

#[test]
fn syncs_bring_late_records_in_other_orders() {
    for (seed, order) in [
        (6, Order::StartAscending),
        (7, Order::StartDescending),
        (8, Order::Unordered),
    ] {
        nights_bring_what_came_late(seed, 100, order);
    }
}

#[test]
#[ignore = "needs the new planner"]
fn an_import_that_is_filtered_by_insertion_is_exported() {
    for (seed, lasts) in [(1, 0), (2, 2 * 86_400)] {
        for order in [Order::Insertion, Order::Unordered] {
            let world = World::in_memory(Options {
                conversations: 6_000,
                latency: Latency::Fixed(Duration::from_millis(3)),
                seed,
                order,
                filter: Filter::Inserted,
                message_filter: MessageFilter::Inserted,
                import: Some(Import {
                    records: 1_000,
                    seconds_back: 365 * 86_400,
                    begins: START + DAY + 3_600,
                    lasts,
                }),
                ..small()
            });
            world.export().args(&["--per-page", "100"]).run().ok();
            let case = format!("within {lasts} s, {order:?}");
            assert_complete(&world, "lake", &BOTH, &world.range, &case);
        }
    }
}

#[test]
#[ignore = "needs the new planner"]
fn daily_exports_bring_messages_that_are_filtered_by_arrival() {
    for (seed, arrival_seconds) in [(1, 2), (2, 120), (3, 7_200)] {
        // so many messages that several of them lie within two seconds of each bound
        let world = World::in_memory(Options {
            range: START..START + DAY,
            conversations: 25_000,
            traffic: Traffic::Even,
            seed,
            arrival_seconds,
            message_filter: MessageFilter::Inserted,
            order: Order::Insertion,
            ..small()
        });
        // parts of a day in the place of days
        let part = 3 * 3_600;
        for nth in 0..8 {
            let begin = START + nth * part;
            let export = world.export().range(begin..begin + part);
            export.only("messages").run().ok();
        }
        let case = format!("up to {arrival_seconds} s");
        assert_complete(&world, "lake", &["messages"], &(START..START + DAY), &case);
    }
}
