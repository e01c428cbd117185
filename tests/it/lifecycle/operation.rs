//! What can happen to a table, drawn from a seed. Each operation has all its chances in itself, so that others can be left out.

use std::time::Duration;

use converse_export_simulator::{Clock, CursorKind, Filter, Growth, Latency, Options, Order};

use crate::chance::Chance;
use crate::world::{DAY, small};

pub(super) const START: i64 = 1_696_118_400;
pub(super) const HOUR: i64 = 3_600;
const DAYS: i64 = 5;

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kill {
    Never,
    /// At the step of this number, when it comes to it for the so-manieth time.
    Step(u64, u32),
    /// By a signal after so many milliseconds.
    After(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    DataFile,
    Page,
    Log,
    LogCopies,
    Entry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    Flip,
    Truncate,
    Remove,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Hours since the archive's start; the end is exclusive.
    Export {
        from: i64,
        to: i64,
        refetch: bool,
        per_page: u32,
        kill: Kill,
    },
    Sync {
        lookback: i64,
        per_page: u32,
        kill: Kill,
    },
    Rebuild {
        args: Vec<&'static str>,
        kill: Kill,
    },
    /// Of the conversations that are in the table, by these numbers.
    Erase {
        picks: Vec<u64>,
        kill: Kill,
    },
    Damage {
        part: Part,
        harm: Harm,
        pick: u64,
    },
    /// Hours that go by.
    Advance(i64),
    Verify,
}

/// The archive of a seed.
pub(super) fn archive(seed: u64) -> Options {
    let mut chance = Chance::new(seed ^ 0xa5a5);
    Options {
        range: START..START + DAYS * DAY,
        conversations: 90,
        busy_day: chance.pick(&[None, Some(1)]),
        empty_day: Some(3),
        seed,
        clock: Clock::fixed(START + chance.pick(&[30, 50, 70]) * HOUR),
        order: chance.pick(&[
            Order::StartAscending,
            Order::StartDescending,
            Order::Unordered,
            Order::Id,
            Order::LastActionAscending,
            Order::Insertion,
        ]),
        filter: chance.pick(&[Filter::Start, Filter::Start, Filter::LastAction]),
        cursor: chance.pick(&[CursorKind::Token, CursorKind::Offset]),
        start_inclusive: chance.pick(&[true, true, false]),
        end_inclusive: chance.pick(&[false, true]),
        exact_end: chance.pick(&[true, false]),
        empty_every: chance.pick(&[0, 0, 2]),
        latency: Latency::Fixed(Duration::from_millis(chance.pick(&[0, 1, 4]))),
        growth: Growth {
            late_records: 12,
            late_seconds: 5 * 3_600,
            late_spread: true,
            deleted: 4,
            deleted_seconds: 20 * 3_600,
            ..Growth::default()
        },
        ..small()
    }
}

/// The operations of a seed.
pub(super) fn operations(seed: u64) -> Vec<Operation> {
    let mut chance = Chance::new(seed);
    let count = chance.pick(&[4, 6, 8, 10]);
    let mut operations: Vec<Operation> = (0..count).map(|_| draw(&mut chance)).collect();
    if !operations.iter().any(Operation::brings_rows) {
        operations.insert(
            0,
            Operation::Export {
                from: 0,
                to: 60,
                refetch: false,
                per_page: 30,
                kill: Kill::Never,
            },
        );
    }
    operations
}

fn draw(chance: &mut Chance) -> Operation {
    let per_page = chance.pick(&[7, 30, 1000]);
    match chance.pick(&[0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]) {
        0 => {
            let from = chance.pick(&[0, 0, 5, 20, 24, 31, 48, 60]);
            Operation::Export {
                from,
                to: from + chance.pick(&[1, 6, 24, 25, 48, 130]),
                refetch: chance.pick(&[false, false, true]),
                per_page,
                kill: kill(chance),
            }
        }
        1 => Operation::Sync {
            lookback: chance.pick(&[0, 3, 6, 24, 72]),
            per_page,
            kill: kill(chance),
        },
        2 => Operation::Rebuild {
            args: rebuild_args(chance),
            kill: kill(chance),
        },
        3 => Operation::Erase {
            picks: (0..chance.pick(&[1, 2, 5])).map(|_| number(chance)).collect(),
            kill: kill(chance),
        },
        4 => Operation::Damage {
            part: chance.pick(&[
                Part::DataFile,
                Part::DataFile,
                Part::DataFile,
                Part::Page,
                Part::Log,
                Part::LogCopies,
                Part::Entry,
            ]),
            harm: chance.pick(&[Harm::Flip, Harm::Truncate, Harm::Remove]),
            pick: number(chance),
        },
        5 => Operation::Advance(chance.pick(&[1, 3, 12, 24, 49])),
        _ => Operation::Verify,
    }
}

fn rebuild_args(chance: &mut Chance) -> Vec<&'static str> {
    let zone = chance.pick(&["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]);
    let by = chance.pick(&["day", "month"]);
    let promote = chance.pick(&["plan", "system", "none", "cartValue:float64=cart_value"]);
    let all: [&[&str]; 3] = [
        &["--timezone", zone],
        &["--partition-by", by],
        &["--promote", promote],
    ];
    let chosen = all.into_iter().filter(|_| chance.pick(&[true, false]));
    chosen.flatten().copied().collect()
}

fn kill(chance: &mut Chance) -> Kill {
    match chance.pick(&[0, 0, 0, 1, 1, 2]) {
        0 => Kill::Never,
        1 => Kill::Step(number(chance), chance.pick(&[1, 1, 2, 3, 5])),
        _ => Kill::After(below(chance, 60)),
    }
}

fn number(chance: &mut Chance) -> u64 {
    below(chance, 1_000_000_000)
}

/// A number below a bound.
fn below(chance: &mut Chance, bound: u64) -> u64 {
    let scaled = u128::from(chance.bits() >> 11) * u128::from(bound);
    u64::try_from(scaled >> 53).unwrap()
}

impl Operation {
    fn brings_rows(&self) -> bool {
        matches!(self, Self::Export { .. } | Self::Sync { .. })
    }
}
