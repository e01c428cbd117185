//! Windows that filter by the time of insertion.

use std::time::Duration;

use converse_export_simulator::{Filter, Import, Latency, MessageFilter, Options, Order, Traffic};

use super::kinds::{CONVERSATIONS, MESSAGES, START};
use crate::exit_code::assert_complete;
use crate::world::{DAY, World, small};

const HOURS: i64 = 6 * 3_600;

#[test]
fn an_import_that_is_filtered_by_insertion_is_exported() {
    for (seed, lasts) in [(1, 0), (2, 2 * 86_400)] {
        for order in [Order::Insertion, Order::Unordered] {
            let world = World::in_memory(Options {
                conversations: 3_000,
                latency: Latency::Fixed(Duration::from_millis(3)),
                seed,
                order,
                filter: Filter::Inserted,
                message_filter: MessageFilter::Inserted,
                import: Some(Import {
                    records: 500,
                    seconds_back: 365 * 86_400,
                    begins: START + DAY + 3_600,
                    lasts,
                }),
                ..small()
            });
            world.export().args(&["--per-page", "50"]).run().ok();
            let case = format!("within {lasts} s, {order:?}");
            assert_complete(&world, "lake", &[CONVERSATIONS, MESSAGES], &world.range, &case);
        }
    }
}

#[test]
fn daily_exports_bring_messages_that_are_filtered_by_arrival() {
    for (seed, arrival_seconds) in [(1, 2), (2, 120), (3, 7_200)] {
        // so many messages that several of them lie within two seconds of each bound
        let world = World::in_memory(Options {
            range: START..START + HOURS,
            conversations: 6_250,
            traffic: Traffic::Even,
            seed,
            arrival_seconds,
            message_filter: MessageFilter::Inserted,
            order: Order::Insertion,
            ..small()
        });
        // parts of a day instead of days
        let part = HOURS / 8;
        for nth in 0..8 {
            let begin = START + nth * part;
            let export = world.export().range(begin..begin + part);
            export.only("messages").run().ok();
        }
        let case = format!("up to {arrival_seconds} s");
        assert_complete(&world, "lake", &["messages"], &(START..START + HOURS), &case);
    }
}
