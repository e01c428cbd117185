//! Killed at any moment and at every step, the same command goes on, and nothing of it shows in the table.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use converse_export_simulator::{CursorKind, Endpoint, Injected, Latency, Options, Order};

use crate::chance::{Chance, number_from};
use crate::folder_contents::FolderContents;
use crate::lake::files_below;
use crate::run::Export;
use crate::world::{World, small};

/// Requests in flight on each of the two endpoints.
const IN_FLIGHT: u64 = 4;
/// As many of these tests' runs at a time; most of the time they wait for the simulated network.
const SIDE_BY_SIDE: usize = 3;
/// So many undisturbed exports are what disturbed ones are measured by.
const UNDISTURBED: u32 = 4;

/// Where this is set, so many kills at random moments instead of the gate's.
const KILLS: &str = "CONVERSE_EXPORT_TEST_KILLS";

/// What was done to one table until it was whole.
#[derive(Debug)]
struct Disturbed {
    kills: u64,
    /// Requests of all its runs, and those of them whose pages were kept.
    requests: u64,
    kept: u64,
    /// What undisturbed exports take on the average: the number depends a little on which answer comes first.
    undisturbed: f64,
}

impl Disturbed {
    fn ratio(&self) -> f64 {
        self.kept as f64 / self.undisturbed
    }
}

#[test]
fn invariant_1_killed_at_random_moments_an_export_loses_nothing_and_hardly_asks_twice() {
    let kills: u64 = number_from(KILLS, 102);
    let seed = Chance::seed();
    let worlds = [
        (Order::StartAscending, CursorKind::Token),
        (Order::StartDescending, CursorKind::Offset),
        (Order::Unordered, CursorKind::Token),
        (Order::LastActionAscending, CursorKind::Offset),
        (Order::Unordered, CursorKind::Offset),
        (Order::Id, CursorKind::Token),
    ];
    let of_each = kills.div_ceil(worlds.len() as u64);
    let mut disturbed: Vec<Disturbed> = Vec::new();
    for some in worlds.chunks(SIDE_BY_SIDE) {
        thread::scope(|scope| {
            let running: Vec<_> = some
                .iter()
                .map(|(order, cursor)| {
                    let chance = Chance::new(seed ^ (*order as u64) << 8 ^ *cursor as u64);
                    scope.spawn(move || disturb(*order, *cursor, of_each, chance))
                })
                .collect();
            for tables in running {
                disturbed.extend(tables.join().expect("see the words above"));
            }
        });
    }
    let sum = |of: fn(&Disturbed) -> f64| disturbed.iter().map(of).sum::<f64>();
    let (killed, kept) = (sum(|table| table.kills as f64), sum(|table| table.kept as f64));
    let ratio = kept / sum(|table| table.undisturbed);
    println!(
        "{killed} kills of {} tables: {ratio:.3} x the requests of undisturbed exports, {:.3} x at worst, beside {:.2} that were \
         in flight at each kill",
        disturbed.len(),
        disturbed.iter().map(Disturbed::ratio).fold(0.0, f64::max),
        (sum(|table| table.requests as f64) - kept) / killed,
    );
    assert!(killed >= kills as f64);
    assert!(ratio <= 1.1, "{ratio}");
}

/// Kills exports into one lake after another until there were so many kills, and looks at each lake.
fn disturb(order: Order, cursor: CursorKind, kills: u64, mut chance: Chance) -> Vec<Disturbed> {
    let world = World::in_memory(Options {
        order,
        cursor,
        conversations: 1_200,
        latency: Latency::Fixed(Duration::from_millis(10)),
        ..small()
    });
    let export = |name: &str| {
        let in_flight = IN_FLIGHT.to_string();
        let export = world.export().to(name);
        export.args(&["--per-page", "60", "--concurrency", &in_flight])
    };
    let begin = Instant::now();
    for number in 0..UNDISTURBED {
        export(&format!("undisturbed-{number}")).run().ok();
    }
    let usual = begin.elapsed() / UNDISTURBED;
    let undisturbed = world.requests() as f64 / f64::from(UNDISTURBED);
    let whole = FolderContents::by(&world.lake_named("undisturbed-0"));

    let mut tables: Vec<Disturbed> = Vec::new();
    while tables.iter().map(|table| table.kills).sum::<u64>() < kills {
        let name = format!("killed-{}", tables.len());
        let before = world.requests();
        let killed = kill_until_whole(&export(&name), usual, &mut chance);
        let left = FolderContents::by(&world.lake_named(&name));
        left.is_the_same_as(&whole, &format!("{order:?}, {cursor:?}, {name}"));
        let table = Disturbed {
            kills: killed,
            requests: world.requests() - before,
            kept: left.total(|account| account.pages),
            undisturbed,
        };
        // Each page is kept before its chain goes on, so that a kill costs what is in flight, and no more than may
        // be; the end of a run, too, may find that it does not need what is in flight.
        let not_kept = table.requests - table.kept;
        let in_flight = 2 * IN_FLIGHT * (killed + 1);
        assert!(not_kept <= in_flight, "{order:?}, {cursor:?}, {table:?}");
        // one undisturbed export may take so much more than another, but whoever starts again takes twice as many
        assert!(table.ratio() < 1.6, "{order:?}, {cursor:?}, {table:?}");
        tables.push(table);
    }
    tables
}

/// Runs it again and again, killing it at random moments, until a run is through; says how often it was killed.
fn kill_until_whole(export: &Export<'_>, usual: Duration, chance: &mut Chance) -> u64 {
    let mut kills = 0;
    loop {
        let running = export.start();
        let wait = usual.mul_f64(chance.next() * 0.7);
        let waited = Instant::now();
        while waited.elapsed() < wait {
            thread::sleep(Duration::from_millis(1));
        }
        running.kill();
        let run = running.end();
        if run.code.is_some() {
            run.ok();
            return kills;
        }
        kills += 1;
    }
}

/// A few records in several days, one of which cannot become a row.
fn tiny() -> World {
    World::new(Options {
        conversations: 150,
        extra: vec![Injected {
            endpoint: Endpoint::Conversations,
            time_seconds: small().range.start + 1000,
            raw_json: r#"{"locale": "en_us"}"#.into(),
        }],
        ..small()
    })
}

/// Every step at which the exporter can be made to kill itself, as its sources have them.
pub(crate) fn steps() -> BTreeSet<String> {
    let mut steps = BTreeSet::new();
    for file in files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let source = fs::read_to_string(file).unwrap();
        for (at, call) in source.match_indices("step(\"") {
            let rest = &source[at + call.len()..];
            steps.insert(rest[..rest.find('"').unwrap()].to_owned());
        }
    }
    steps
}

/// Steps that a run can come to before all its pages are kept.
const WHILE_FETCHING: [&str; 5] = ["lock-taken", "swept", "file-written", "file-renamed", "page-kept"];
/// Steps of a commit, in their order.
const OF_A_COMMIT: [&str; 6] = [
    "commit-appended",
    "partition-exchanged",
    "entry-written",
    "partition-published",
    "partitions-published",
    "pages-removed",
];

fn killed_at<'a>(export: &Export<'a>, step: &str, time: u32) -> Export<'a> {
    let export = export.clone();
    export.env("CONVERSE_EXPORT_TEST_KILL_AT", &format!("{step}:{time}"))
}

#[test]
fn invariant_3_killed_at_any_step_an_export_goes_on() {
    let world = tiny();
    let export = |name: &str| world.export().to(name).args(&["--per-page", "100"]);
    export("lake").run().ended(4);
    let whole = FolderContents::by(&world.lake());
    let steps: Vec<_> = steps().into_iter().collect();
    for of_a_commit in OF_A_COMMIT {
        assert!(steps.iter().any(|step| step == of_a_commit), "{of_a_commit}");
    }
    let kill = |step: &str| {
        // the first time, the second, the fourth and so on, until there are not so many
        for time in (0..).map(|power| 1 << power) {
            let name = format!("{step}-{time}");
            let export = export(&name);
            let run = killed_at(&export, step, time).run();
            if run.code.is_some() {
                assert!(time > 1, "{step} was never come to: {}", run.stderr);
                return;
            }
            let again = export.run();
            assert!(matches!(again.code, Some(0 | 4)), "{name}: {}", again.stderr);
            FolderContents::by(&world.lake_named(&name)).is_the_same_as(&whole, &name);
            if !WHILE_FETCHING.contains(&step) {
                // two pages that came at once may be taken in the other way round, which can cost a proof
                let requests = again.total("requests");
                assert!(
                    requests <= 2,
                    "{name}: every page was kept, and {requests} were asked for"
                );
            }
        }
    };
    thread::scope(|scope| {
        for some in steps.chunks(steps.len().div_ceil(SIDE_BY_SIDE)) {
            scope.spawn(|| some.iter().for_each(|step| kill(step)));
        }
    });
}

#[test]
fn invariant_3_killed_again_while_it_finishes_a_commit_an_export_goes_on() {
    let world = tiny();
    let export = |name: &str| world.export().to(name).args(&["--per-page", "100"]);
    export("lake").run().ended(4);
    let whole = FolderContents::by(&world.lake());
    for step in &OF_A_COMMIT[1..] {
        let export = export(step);
        assert_eq!(killed_at(&export, "commit-appended", 1).run().code, None);
        assert_eq!(killed_at(&export, step, 1).run().code, None, "{step}");
        export.run();
        FolderContents::by(&world.lake_named(step)).is_the_same_as(&whole, step);
    }
}
