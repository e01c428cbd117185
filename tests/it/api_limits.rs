//! APIs that end a listing early, shorten or refuse ranges, and refuse pages. A run that ends with 0 has everything.

use std::ops::Range;
use std::time::Duration;

use converse_export_simulator::{
    Clock, CursorKind, CursorLife, Endpoint, Latency, Options, Order, PageAnswer, PageMeasure, PageRefusal,
    RangeCap, Rounding,
};

use crate::chance::Chance;
use crate::exit_code::{assert_complete, assert_honest};
use crate::world::{DAY, World, small};

const START: i64 = 1_696_118_400;
const ORDERS: [Order; 4] = [
    Order::StartAscending,
    Order::StartDescending,
    Order::Insertion,
    Order::Unordered,
];

/// A month with a day of 40 % of its conversations.
fn month(options: Options) -> Options {
    Options {
        range: START..START + 30 * DAY,
        busy_day: Some(10),
        latency: Latency::Fixed(Duration::from_millis(3)),
        requests_per_second: 0.0,
        ..options
    }
}

/// 90 days of conversations without a busy day.
fn quarter(options: Options) -> Options {
    Options {
        range: START..START + 90 * DAY,
        conversations: 6_000,
        busy_day: None,
        empty_day: None,
        requests_per_second: 0.0,
        ..options
    }
}

/// Exports a dataset; the run is honest.
#[track_caller]
fn is_honest(options: Options, dataset: &str, args: &[&str], case: &str) {
    let world = World::in_memory(options);
    let run = world.export().only(dataset).args(args).run();
    assert_honest(&run, &world, "lake", &[dataset], &world.range, case);
}

/// Exports a dataset; the run ends with 0 and everything.
#[track_caller]
fn is_complete(options: Options, dataset: &str, args: &[&str], case: &str) -> World {
    let world = World::in_memory(options);
    let run = world.export().only(dataset).args(args).run();
    assert_eq!(run.code, Some(0), "{case}: {}", run.stderr);
    assert_complete(&world, "lake", &[dataset], &world.range, case);
    world
}

/// Listings of conversations, then of messages, that end after so many records, in every order.
#[track_caller]
fn capped(listing_cap: u32, conversations: u32) {
    for (seed, order) in (1..).zip(ORDERS) {
        let options = |conversations| {
            month(Options {
                conversations,
                listing_cap,
                order,
                seed,
                ..Options::default()
            })
        };
        let case = format!("cap {listing_cap}, {order:?}");
        is_complete(options(conversations), "conversations", &[], &case);
        is_complete(options(conversations / 4), "messages", &[], &case);
    }
}

#[test]
fn listings_that_end_after_1_000_records() {
    capped(1_000, 12_000);
}

#[test]
fn listings_that_end_after_5_000_records() {
    capped(5_000, 30_000);
}

#[test]
fn listings_that_end_after_10_000_records() {
    capped(10_000, 60_000);
}

#[test]
fn listings_that_end_after_a_number_that_is_not_round() {
    for (listing_cap, per_page) in [(1_234, "1000"), (777, "100"), (2_500, "1000")] {
        let options = month(Options {
            conversations: 12_000,
            listing_cap,
            ..Options::default()
        });
        let case = format!("cap {listing_cap}, pages of {per_page}");
        is_honest(options, "conversations", &["--per-page", per_page], &case);
    }
}

#[test]
fn a_second_of_more_records_than_a_listing_has_is_an_error() {
    let world = World::in_memory(Options {
        traffic: converse_export_simulator::Traffic::OneSecond,
        conversations: 3_000,
        listing_cap: 1_000,
        ..small()
    });
    let run = world.export().only("conversations").run();
    assert_ne!(run.code, Some(0), "no window can bring them");
    assert_honest(
        &run,
        &world,
        "lake",
        &["conversations"],
        &world.range,
        "one second",
    );
}

#[track_caller]
fn shortened(days: u32) {
    for (seed, cap) in (1..).zip([RangeCap::First(days * 86_400), RangeCap::Last(days * 86_400)]) {
        for order in [Order::StartAscending, Order::Unordered] {
            let options = quarter(Options {
                range_cap: Some(cap),
                order,
                seed,
                ..Options::default()
            });
            for dataset in ["conversations", "messages"] {
                let case = format!("{cap:?}, {order:?}, {dataset}");
                is_complete(options.clone(), dataset, &[], &case);
            }
        }
    }
}

#[test]
fn ranges_that_are_shortened_to_3_days() {
    shortened(3);
}

#[test]
fn ranges_that_are_shortened_to_7_days() {
    shortened(7);
}

#[test]
fn ranges_that_are_shortened_to_31_days() {
    shortened(31);
}

#[test]
fn a_shortened_range_with_few_records_is_complete() {
    for cap in [RangeCap::First(3 * 86_400), RangeCap::Last(3 * 86_400)] {
        let options = quarter(Options {
            range_cap: Some(cap),
            ..Options::default()
        });
        let options = Options {
            conversations: 200,
            ..options
        };
        is_honest(options, "conversations", &[], &format!("{cap:?}"));
    }
}

#[test]
fn ranges_above_31_days_are_refused() {
    let options = quarter(Options {
        range_refused_above: 31 * 86_400,
        ..Options::default()
    });
    let world = is_complete(options.clone(), "conversations", &[], "export");
    let refused = |world: &World| {
        let log = world.simulator.stats(Endpoint::Conversations).log;
        log.iter().filter(|request| request.status == 400).count()
    };
    let before = refused(&world);
    assert!(before <= 4, "{before} requests were refused");
    // the limit is known to the table from now on
    let again = world
        .export()
        .only("conversations")
        .args(&["--refetch"])
        .run()
        .ok();
    assert!(again.total("requests") > 0);
    assert_eq!(refused(&world), before);

    let end = options.range.end;
    let world = World::in_memory(Options {
        clock: Clock::fixed(end + DAY),
        ..options
    });
    world.export().range(START..end).sync().run().ok();
    let both = ["conversations", "messages"];
    assert_complete(&world, "lake", &both, &(START..end), "sync");
}

/// An archive whose server makes no page of more than 100 records.
fn small_pages(measure: PageMeasure, answer: PageAnswer) -> Options {
    Options {
        page_refused_above: Some(PageRefusal {
            records: 100,
            measure,
            answer,
        }),
        ..small()
    }
}

#[test]
fn pages_above_100_records_are_refused() {
    let patience = ["--retry-for", "30s", "--timeout", "10s"];
    for status in [413, 502, 504] {
        for measure in [PageMeasure::Requested, PageMeasure::Served] {
            let options = small_pages(measure, PageAnswer::Status(status));
            let world = is_complete(
                options,
                "conversations",
                &patience,
                &format!("{status} {measure:?}"),
            );
            // what is known needs not be learnt again
            let refused = |world: &World| {
                let log = world.simulator.stats(Endpoint::Conversations).log;
                log.iter().filter(|request| request.status == status).count()
            };
            let before = refused(&world);
            let again = world.export().only("conversations").args(&["--refetch"]);
            again.args(&patience).run().ok();
            assert_eq!(refused(&world), before, "{status} {measure:?}");
        }
    }
}

#[test]
fn pages_above_100_records_are_met_with_silence() {
    for measure in [PageMeasure::Requested, PageMeasure::Served] {
        let silence = PageAnswer::Silence(Duration::from_secs(2));
        let patience = ["--retry-for", "30s", "--timeout", "1s"];
        let options = small_pages(measure, silence);
        is_complete(options, "conversations", &patience, &format!("{measure:?}"));
    }
}

#[test]
fn full_pages_with_a_null_cursor() {
    for (seed, one_in) in [(1, 1), (2, 1), (3, 3), (4, 10)] {
        for order in [Order::StartAscending, Order::Insertion, Order::Unordered] {
            let options = month(Options {
                conversations: 20_000,
                null_behind_full_page: one_in,
                order,
                seed,
                ..Options::default()
            });
            let case = format!("one in {one_in}, {order:?}");
            is_honest(options, "conversations", &[], &case);
        }
    }
}

#[test]
fn expired_cursors_that_answer_an_empty_page() {
    for (seed, cursor) in [(1, CursorKind::Token), (2, CursorKind::Scroll)] {
        for life in [CursorLife::Requests(4), CursorLife::Milliseconds(20)] {
            for order in [Order::StartAscending, Order::Insertion, Order::Unordered] {
                let options = month(Options {
                    conversations: 6_000,
                    cursor,
                    cursor_life: Some(life),
                    dead_cursor: 200,
                    order,
                    seed,
                    ..Options::default()
                });
                let options = Options {
                    latency: Latency::HeavyTailed {
                        median: Duration::from_millis(5),
                        one_in: 20,
                        tail: Duration::from_millis(40),
                    },
                    ..options
                };
                let args = ["--per-page", "100", "--concurrency", "8"];
                let case = format!("{cursor:?}, {life:?}, {order:?}");
                is_honest(options, "conversations", &args, &case);
            }
        }
    }
}

#[test]
fn pages_in_mid_chain_can_be_short() {
    for (seed, order) in (1..).zip(ORDERS) {
        for short_pages in [1, 3] {
            let options = month(Options {
                conversations: 8_000,
                short_pages,
                order,
                seed,
                ..Options::default()
            });
            let case = format!("one in {short_pages}, {order:?}");
            is_complete(options, "conversations", &["--per-page", "200"], &case);
        }
    }
}

#[test]
fn orders_that_change_from_page_to_page() {
    for seed in 1..4 {
        for (order, traffic) in [
            (Order::Unstable, converse_export_simulator::Traffic::Uneven),
            (Order::UnstableTies, converse_export_simulator::Traffic::Uneven),
            (Order::UnstableTies, converse_export_simulator::Traffic::OneSecond),
        ] {
            let options = Options {
                conversations: 3_000,
                order,
                traffic,
                seed,
                cursor: CursorKind::Offset,
                ..small()
            };
            let case = format!("{order:?}, {traffic:?}, seed {seed}");
            is_honest(options, "conversations", &["--per-page", "100"], &case);
        }
    }
}

#[test]
fn bounds_that_are_rounded() {
    for rounding in [
        Rounding::Inward(60),
        Rounding::Inward(3_600),
        Rounding::Outward(60),
        Rounding::Outward(3_600),
    ] {
        for order in [Order::StartAscending, Order::Unordered] {
            let options = month(Options {
                conversations: 12_000,
                rounding: Some(rounding),
                order,
                ..Options::default()
            });
            let case = format!("{rounding:?}, {order:?}");
            is_honest(options, "conversations", &[], &case);
        }
    }
}

/// A range whose bounds are on no whole minute is complete in an archive whose bounds are rounded.
#[track_caller]
fn is_complete_on_no_minute(rounding: Rounding) {
    for order in [Order::StartAscending, Order::Unordered] {
        let world = World::in_memory(Options {
            conversations: 4_000,
            rounding: Some(rounding),
            order,
            ..small()
        });
        let range: Range<i64> = START + DAY + 1_831..START + 2 * DAY + 47_917;
        let run = world
            .export()
            .only("conversations")
            .range(range.clone())
            .run()
            .ok();
        let case = format!("{rounding:?}, {order:?}");
        assert_honest(&run, &world, "lake", &["conversations"], &range, &case);
    }
}

#[test]
fn a_range_on_no_minute_is_complete_where_bounds_are_rounded_to_minutes() {
    is_complete_on_no_minute(Rounding::Inward(60));
    is_complete_on_no_minute(Rounding::Outward(60));
}

#[test]
#[ignore = "a range on no whole hour loses its rest where a server rounds inwards to hours"]
fn a_range_on_no_minute_is_complete_where_bounds_are_rounded_to_hours() {
    is_complete_on_no_minute(Rounding::Inward(3_600));
}

/// APIs of several such properties at a time.
#[test]
fn what_comes_together() {
    let seed = Chance::seed();
    for nth in 0..16 {
        let mut chance = Chance::new(seed + nth);
        let days = |chance: &mut Chance| chance.pick(&[2_u32, 3, 7, 20]) * 86_400;
        let cap = days(&mut chance);
        let options = month(Options {
            conversations: chance.pick(&[500, 4_000, 15_000]),
            seed: seed + nth,
            order: chance.pick(&[ORDERS[0], ORDERS[1], ORDERS[2], ORDERS[3], Order::Id]),
            cursor: chance.pick(&[CursorKind::Token, CursorKind::Offset, CursorKind::Scroll]),
            listing_cap: chance.pick(&[0, 0, 1_000, 2_000, 5_000]),
            range_cap: chance.pick(&[None, None, Some(RangeCap::First(cap)), Some(RangeCap::Last(cap))]),
            range_refused_above: chance.pick(&[0, 0, 10 * 86_400]),
            null_behind_full_page: chance.pick(&[0, 0, 0, 1, 5]),
            short_pages: chance.pick(&[0, 0, 2]),
            exact_end: chance.pick(&[true, false]),
            start_inclusive: chance.pick(&[true, true, false]),
            end_inclusive: chance.pick(&[false, true]),
            empty_every: chance.pick(&[0, 0, 3]),
            equal_gap: chance.pick(&[None, Some(45)]),
            ..Options::default()
        });
        println!("{options:?}");
        let case = format!("seed {}", seed + nth);
        is_honest(options, "conversations", &[], &case);
    }
}
