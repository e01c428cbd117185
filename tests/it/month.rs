//! A month that is kept up to date run by run, with kills and faults, ends as one export at its end does.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use converse_export_simulator::{Clock, CursorKind, Fault, Faults, Filter, Growth, Options, Order};

use crate::chance::Chance;
use crate::damage::assert_sound;
use crate::world::{DAY, World};

const HOUR: i64 = 3_600;
/// What the runs stay behind the server's clock, which stands while they ask.
const SETTLE: i64 = 16 * 60;

/// How the API is, which it does not tell.
#[derive(Clone, Copy, Debug)]
struct Ways {
    filter: Filter,
    order: Order,
    cursor: CursorKind,
}

const WAYS: [Ways; 2] = [
    Ways {
        filter: Filter::Start,
        order: Order::StartAscending,
        cursor: CursorKind::Token,
    },
    Ways {
        filter: Filter::LastAction,
        order: Order::Unordered,
        cursor: CursorKind::Offset,
    },
];

fn month(ways: Ways, deleted: u32, faults: f64) -> World {
    let start = 1_696_118_400;
    World::in_memory(Options {
        range: start..start + 30 * DAY,
        conversations: 3_000,
        filter: ways.filter,
        order: ways.order,
        cursor: ways.cursor,
        requests_per_second: 0.0,
        clock: Clock::fixed(start + HOUR),
        growth: Growth {
            late_records: 300,
            late_seconds: 5 * 3_600,
            deleted,
            deleted_seconds: 40 * 3_600,
            ..Growth::default()
        },
        faults: Faults {
            probability: faults,
            kinds: vec![
                Fault::Status {
                    code: 503,
                    retry_after: None,
                },
                Fault::AnswerLost,
                Fault::TruncatedJson,
                Fault::Refused,
            ],
            script: Vec::new(),
        },
        ..Options::default()
    })
}

/// Syncs the month every so many hours; of so many runs one is killed.
fn keeps_up(ways: Ways, hours: i64, one_in: f64, faults: f64, mut chance: Chance) {
    let world = month(ways, 1, faults);
    let (mut runs, mut kills, mut usual) = (0, 0, Duration::from_millis(100));
    let mut last = 0;
    while last < world.range.end {
        world.clock.advance(hours * HOUR);
        last = world.clock.now_us() / 1_000_000;
        let sync = world.export().range(world.range.start..last - SETTLE).sync();
        let sync = sync.args(&["--lookback", "1d", "--per-page", "200"]);
        if chance.next() < 1.0 / one_in {
            let running = sync.start();
            thread::sleep(usual.mul_f64(chance.next()));
            running.kill();
            kills += u64::from(running.end().code.is_none());
            if chance.next() < 0.5 && last < world.range.end {
                // nobody runs it again before the next one is due
                continue;
            }
        }
        let begin = Instant::now();
        sync.run().ok();
        usual = (usual * 3 + begin.elapsed()) / 4;
        runs += 1;
    }
    println!(
        "{ways:?}: {runs} runs of {usual:?}, {kills} kills, {} requests",
        world.requests()
    );
    let lake = world.lake();
    lake.assert_ledger_adds_up();
    assert_sound(&lake);

    // one export of the same month, of which nothing was deleted
    let whole = month(ways, 0, 0.0);
    whole.clock.set(last);
    let end = world.range.start..last - SETTLE;
    whole.export().range(end.clone()).run().ok();
    assert_eq!(lake.files(), whole.lake().files(), "{ways:?}");

    // and one of the very same API, which has the deleted conversation no more
    world.export().to("once").range(end).run().ok();
    let once = world.lake_named("once");
    let deleted: BTreeSet<String> = lake
        .ids("conversations")
        .difference(&once.ids("conversations"))
        .cloned()
        .collect();
    assert_eq!(deleted.len(), 1, "{ways:?}");
    let differ = |dataset: &str| {
        let (ours, theirs) = (lake.ids(dataset), once.ids(dataset));
        assert!(theirs.is_subset(&ours));
        ours.len() - theirs.len()
    };
    let messages = lake.rows(&format!(
        "select id from messages where conversation_id = '{}'",
        deleted.first().unwrap()
    ));
    assert_eq!(differ("messages"), messages.len());
    let (ours, theirs) = (lake.files(), once.files());
    let changed = ours
        .iter()
        .filter(|(path, hash)| theirs.get(*path) != Some(*hash))
        .count();
    assert!(
        (2..=3).contains(&changed),
        "only the days of the deleted one differ: {changed}"
    );
}

fn all(hours: i64, one_in: f64, faults: f64) {
    let seed = Chance::seed();
    thread::scope(|scope| {
        for (number, ways) in WAYS.into_iter().enumerate() {
            let chance = Chance::new(seed ^ (number as u64) << 8);
            scope.spawn(move || keeps_up(ways, hours, one_in, faults, chance));
        }
    });
}

#[test]
fn invariant_8_a_month_synced_with_kills_and_faults_is_the_month_exported_once() {
    all(8, 4.0, 0.02);
}

#[test]
#[ignore = "takes minutes: make month"]
fn invariant_8_a_month_synced_hourly_with_kills_and_faults_is_the_month_exported_once() {
    all(1, 4.0, 0.03);
}
