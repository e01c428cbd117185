//! The scenarios that the planner was tuned for. Bounds are on the mean of ten archives; they are wider than those of
//! `benches/ceiling` where a busy day is found late.

use super::archive::{DAY, Random, Traffic, by_day, records};
use super::server::{Rule, Server, Sorting};
use super::{Latency, Line, Outcome, export};
use crate::plan::{Field, PlanOptions};
use crate::window::Window;

struct Target {
    name: &'static str,
    rate: f64,
    latency: Latency,
    count: usize,
    days: i64,
    traffic: Traffic,
    sorting: Sorting,
    /// Measure a second export, which knows what the first one learned.
    again: bool,
    /// Requests beyond F, in C; wall time in B, beyond which less than a second is allowed.
    extra: f64,
    walls: f64,
}

const UP: Sorting = Sorting::Ascending(Field::Time);
const DOWN: Sorting = Sorting::Descending(Field::Time);
const START: i64 = 1_696_118_400;
/// What most of them have in common.
const USUAL: Target = Target {
    name: "",
    rate: 30.0,
    latency: Latency::Fixed(0.3),
    count: 200_000,
    days: 30,
    traffic: Traffic::Uneven,
    sorting: UP,
    again: false,
    extra: 3.0,
    walls: 1.15,
};
const SLOW: Target = Target {
    rate: 3.0,
    latency: Latency::Fixed(1.0),
    count: 60_000,
    extra: 4.0,
    ..USUAL
};
const HEAVY: Latency = Latency::HeavyTailed(0.3, 3.0);

#[rustfmt::skip]
const TARGETS: [Target; 19] = [
    Target { name: "uneven", count: 300_000, ..USUAL },
    Target { name: "down", sorting: DOWN, ..USUAL },
    Target { name: "one day", days: 1, ..USUAL },
    Target { name: "one day of 30", traffic: Traffic::OneDay, extra: 5.5, walls: 1.40, ..USUAL },
    Target { name: "one day of 30 down", traffic: Traffic::OneDay, sorting: DOWN, extra: 6.0, walls: 1.40, ..USUAL },
    Target { name: "rate 3, 1 s", walls: 1.25, ..SLOW },
    Target { name: "rate 3, 1 s down", sorting: DOWN, walls: 1.36, ..SLOW },
    Target { name: "rate 3, 0.5 s", latency: Latency::Fixed(0.5), extra: 4.5, walls: 1.22, ..SLOW },
    Target { name: "rate 3, 0.5 s, 1 day", latency: Latency::Fixed(0.5), days: 1, extra: 3.0, ..SLOW },
    Target { name: "no order", sorting: Sorting::Random, extra: 4.0, walls: 1.30, ..USUAL },
    Target { name: "no order, one day", sorting: Sorting::Random, traffic: Traffic::OneDay, extra: 5.5, walls: 1.45, ..USUAL },
    Target { name: "no order, rate 3", sorting: Sorting::Random, walls: 1.30, ..SLOW },
    Target { name: "heavy tail", latency: HEAVY, count: 300_000, extra: 4.5, walls: 1.30, ..USUAL },
    Target { name: "heavy tail down", latency: HEAVY, sorting: DOWN, extra: 4.5, walls: 1.45, ..USUAL },
    Target { name: "heavy tail, rate 3", latency: HEAVY, extra: 8.0, walls: 1.30, ..SLOW },
    Target { name: "uneven again", count: 300_000, again: true, extra: 2.0, walls: 1.08, ..USUAL },
    Target { name: "down again", sorting: DOWN, again: true, extra: 2.0, walls: 1.08, ..USUAL },
    Target { name: "no order again", sorting: Sorting::Random, again: true, extra: 2.0, walls: 1.08, ..USUAL },
    Target { name: "rate 3, 0.5 s again", latency: Latency::Fixed(0.5), again: true, extra: 2.0, walls: 1.08, ..SLOW },
];

#[test]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn targets_are_met() {
    let only = std::env::var("CONVERSE_EXPORT_TEST_TARGET").unwrap_or_default();
    println!(
        "{:24} {:>4} {:>3} | requests - F: mean most allowed | wall / B: mean most allowed | chains checks",
        "", "F", "C"
    );
    let mut failures = 0;
    for target in TARGETS.iter().filter(|target| target.name.contains(&only)) {
        let measured: Vec<Outcome> = (0..10).map(|seed| measure(target, seed)).collect();
        let (Latency::Fixed(latency) | Latency::HeavyTailed(latency, _) | Latency::Between(_, latency)) =
            target.latency;
        let full = target.count as f64 / 1_000.0;
        let flying = (target.rate * latency).ceil() + 1.0;
        let best = full / target.rate + latency;
        let mean =
            |what: &dyn Fn(&Outcome) -> f64| measured.iter().map(what).sum::<f64>() / measured.len() as f64;
        let most = |what: &dyn Fn(&Outcome) -> f64| measured.iter().map(what).fold(0.0, f64::max);
        let extra = |outcome: &Outcome| outcome.requests as f64 - full;
        let walls = |outcome: &Outcome| outcome.wall / best;
        let checks = |outcome: &Outcome| outcome.checks as f64;
        // one for 20 windows, one or two in a job, and those of the empty days
        let empty_days = if matches!(target.traffic, Traffic::OneDay) {
            8.0
        } else {
            0.0
        };
        let checks_allowed = 2.0 + empty_days + mean(&|outcome| outcome.chains as f64) / 20.0;
        let (extra_allowed, walls_allowed) = (target.extra * flying, target.walls + 0.999 / best);
        let met = mean(&extra) <= extra_allowed
            && mean(&walls) <= walls_allowed
            && most(&walls) <= 2.0 * walls_allowed
            && mean(&checks) <= checks_allowed;
        failures += i32::from(!met);
        println!(
            "{:24} {full:4} {flying:3} | {:16.1} {:4} {extra_allowed:7} | {:14.3} {:.3} {walls_allowed:.3} | {:6.1} {:6.1} {}",
            target.name,
            mean(&extra),
            most(&extra),
            mean(&walls),
            most(&walls),
            mean(&|outcome| outcome.chains as f64),
            mean(&checks),
            if met { "" } else { "MISSED" },
        );
    }
    assert_eq!(failures, 0, "targets were missed");
}

fn measure(target: &Target, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let archive = records(target.traffic, START, target.days, target.count, &mut random);
    let range = Window::new(START, START + target.days * DAY);
    let line = Line {
        rate: target.rate,
        latency: target.latency,
        loses: 0.0,
        strict: false,
    };
    let mut run = |options: PlanOptions| {
        let rule = Rule::plain(target.sorting, 1_000);
        let mut server = Server::new(rule, archive.clone(), Random::new(seed));
        export(&mut server, &[range], options, line, &mut random).unwrap()
    };
    let first = run(PlanOptions::default());
    if !target.again {
        return first;
    }
    run(PlanOptions {
        knowledge: first.learned,
        density: by_day(&archive, START, target.days),
        ..PlanOptions::default()
    })
}
