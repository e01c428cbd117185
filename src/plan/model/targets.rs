//! The scenarios that the planner was tuned for. Bounds are on the mean of ten archives; they are wider than those of
//! `benches/ceiling` where a busy day is found late.

use super::archive::{DAY, Random, Traffic, records};
use super::server::{Rule, Server, Sorting};
use super::{Latency, Line, export};
use crate::plan::{Field, Options};
use crate::window::Window;

struct Target {
    name: &'static str,
    rate: f64,
    latency: Latency,
    count: usize,
    days: i64,
    traffic: Traffic,
    sorting: Sorting,
    /// Requests beyond F, in C; wall time in B, beyond which less than a second is allowed.
    extra: f64,
    walls: f64,
}

const UP: Sorting = Sorting::Ascending(Field::Time);
const DOWN: Sorting = Sorting::Descending(Field::Time);
const START: i64 = 1_696_118_400;

#[test]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn targets_are_met() {
    let fixed = Latency::Fixed;
    let target = |name, rate, latency, count, days, traffic, sorting, extra, walls| Target {
        name,
        rate,
        latency,
        count,
        days,
        traffic,
        sorting,
        extra,
        walls,
    };
    let heavy = Latency::HeavyTailed(0.3, 3.0);
    let targets = [
        target(
            "300k uneven up",
            30.0,
            fixed(0.3),
            300_000,
            30,
            Traffic::Uneven,
            UP,
            3.0,
            1.15,
        ),
        target(
            "200k uneven down",
            30.0,
            fixed(0.3),
            200_000,
            30,
            Traffic::Uneven,
            DOWN,
            3.0,
            1.15,
        ),
        target(
            "200k one day asked",
            30.0,
            fixed(0.3),
            200_000,
            1,
            Traffic::Uneven,
            UP,
            3.0,
            1.15,
        ),
        target(
            "200k one day of 30",
            30.0,
            fixed(0.3),
            200_000,
            30,
            Traffic::OneDay,
            UP,
            5.5,
            1.40,
        ),
        target(
            "200k one day of 30 down",
            30.0,
            fixed(0.3),
            200_000,
            30,
            Traffic::OneDay,
            DOWN,
            6.0,
            1.40,
        ),
        target(
            "rate 3, 1 s",
            3.0,
            fixed(1.0),
            60_000,
            30,
            Traffic::Uneven,
            UP,
            4.0,
            1.25,
        ),
        target(
            "rate 3, 1 s down",
            3.0,
            fixed(1.0),
            60_000,
            30,
            Traffic::Uneven,
            DOWN,
            4.0,
            1.36,
        ),
        target(
            "rate 3, 0.5 s",
            3.0,
            fixed(0.5),
            60_000,
            30,
            Traffic::Uneven,
            UP,
            4.5,
            1.22,
        ),
        target(
            "rate 3, 0.5 s, 1 day",
            3.0,
            fixed(0.5),
            60_000,
            1,
            Traffic::Uneven,
            UP,
            3.0,
            1.15,
        ),
        target(
            "200k no order",
            30.0,
            fixed(0.3),
            200_000,
            30,
            Traffic::Uneven,
            Sorting::Random,
            4.0,
            1.30,
        ),
        target(
            "200k no order, one day",
            30.0,
            fixed(0.3),
            200_000,
            30,
            Traffic::OneDay,
            Sorting::Random,
            5.5,
            1.45,
        ),
        target(
            "60k no order, rate 3",
            3.0,
            fixed(1.0),
            60_000,
            30,
            Traffic::Uneven,
            Sorting::Random,
            4.0,
            1.30,
        ),
        target(
            "300k heavy tail",
            30.0,
            heavy,
            300_000,
            30,
            Traffic::Uneven,
            UP,
            4.5,
            1.30,
        ),
        target(
            "200k heavy tail",
            30.0,
            heavy,
            200_000,
            30,
            Traffic::Uneven,
            DOWN,
            4.5,
            1.45,
        ),
        target(
            "60k heavy tail, rate 3",
            3.0,
            heavy,
            60_000,
            30,
            Traffic::Uneven,
            UP,
            8.0,
            1.30,
        ),
    ];
    println!(
        "{:24} {:>4} {:>3} | requests - F: mean most allowed | wall / B: mean most allowed | chains",
        "", "F", "C"
    );
    let mut failures = 0;
    for target in &targets {
        let mut measured = Vec::new();
        for seed in 0..10 {
            let mut random = Random::new(seed);
            let archive = records(target.traffic, START, target.days, target.count, &mut random);
            let mut server = Server::new(Rule::plain(target.sorting, 1_000), archive, Random::new(seed));
            let range = Window::new(START, START + target.days * DAY);
            let line = Line {
                rate: target.rate,
                latency: target.latency,
                loses: 0.0,
                strict: false,
            };
            measured.push(export(&mut server, &[range], Options::default(), line, &mut random).unwrap());
        }
        let (Latency::Fixed(latency) | Latency::HeavyTailed(latency, _) | Latency::Between(_, latency)) =
            target.latency;
        let full = target.count as f64 / 1_000.0;
        let flying = (target.rate * latency).ceil() + 1.0;
        let best = full / target.rate + latency;
        let mean = |what: &dyn Fn(&super::Outcome) -> f64| {
            measured.iter().map(what).sum::<f64>() / measured.len() as f64
        };
        let most = |what: &dyn Fn(&super::Outcome) -> f64| measured.iter().map(what).fold(0.0, f64::max);
        let extra = |outcome: &super::Outcome| outcome.requests as f64 - full;
        let walls = |outcome: &super::Outcome| outcome.wall / best;
        let (extra_allowed, walls_allowed) = (target.extra * flying, target.walls + 0.999 / best);
        let met = mean(&extra) <= extra_allowed && mean(&walls) <= walls_allowed;
        failures += i32::from(!met);
        println!(
            "{:24} {full:4} {flying:3} | {:16.1} {:4} {extra_allowed:7} | {:14.3} {:.3} {walls_allowed:.3} | {:.1} {}",
            target.name,
            mean(&extra),
            most(&extra),
            mean(&walls),
            most(&walls),
            mean(&|outcome| outcome.chains as f64),
            if met { "" } else { "MISSED" },
        );
    }
    assert_eq!(failures, 0, "targets were missed");
}
