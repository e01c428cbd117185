//! What the API leaves open never loses a record, and never brings one from outside the range.

use converse_export::simulator::{CursorKind, Filter, Options, Order};

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
