//! Records that are inserted later than their own time: windows filter by that time, listings are in order of insertion.
//!
//! The gate exports one small archive of each kind, `make late` many large ones.

mod inserted;
mod kinds;
mod seeds;

use converse_export_simulator::{Filter, Options, Order};

use kinds::{CONVERSATIONS, Kind, MESSAGES, Place};

const AMOUNTS: [u32; 4] = [1, 2, 10, 1_000];
const OTHER_ORDERS: [Order; 3] = [Order::StartAscending, Order::StartDescending, Order::Unordered];

/// Each amount, on the busy day and anywhere, in each order.
fn each(kind: impl Fn(u32, Place, Order) -> Kind, orders: &[Order]) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for order in orders {
        for place in [Place::BusyDay, Place::Anywhere] {
            kinds.extend(AMOUNTS.map(|late| kind(late, place, *order)));
        }
    }
    kinds
}

#[test]
fn late_conversations_are_exported_in_order_of_insertion() {
    seeds::try_each(&each(Kind::export, &[Order::Insertion]));
}

#[test]
fn late_conversations_are_exported_in_other_orders() {
    seeds::try_each(&each(Kind::export, &OTHER_ORDERS));
}

#[test]
fn nightly_syncs_export_late_conversations_in_order_of_insertion() {
    seeds::try_each(&each(Kind::nights, &[Order::Insertion]));
}

#[test]
fn nightly_syncs_export_late_conversations_in_other_orders() {
    seeds::try_each(&each(Kind::nights, &OTHER_ORDERS));
}

#[test]
fn late_records_are_exported_from_other_servers() {
    let equal_gap = Options {
        equal_gap: Some(60),
        ..Options::default()
    };
    let by_last_action = Options {
        filter: Filter::LastAction,
        ..Options::default()
    };
    let mut kinds = Vec::new();
    for late in AMOUNTS {
        let export = |options| Kind::export_of(late, Place::Anywhere, Order::Insertion, options);
        kinds.extend([
            export(Options::default()).up_to_two_days_late(),
            export(equal_gap.clone()).named("equal gap"),
            export(by_last_action.clone()).named("last action"),
            export(Options::default()).of(&[MESSAGES], "messages"),
        ]);
    }
    for late in [100, 3_000] {
        let nights = Kind::nights(late, Place::Anywhere, Order::Insertion);
        kinds.push(nights.of(&[CONVERSATIONS, MESSAGES], "both datasets"));
    }
    seeds::try_each(&kinds);
}
