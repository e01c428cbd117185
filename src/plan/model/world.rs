//! Many small exports from servers of every kind: whatever the API turns out to do, no record is missed, the
//! export ends, and what is called covered was received at that very moment.

use super::archive::{DAY, Random, Traffic, records};
use super::server::{Cursors, Lie, Rule, Server, Sorting};
use super::{Latency, Line, export};
use crate::plan::{Field, PlanError, PlanOptions};
use crate::window::Window;

const EXPORTS: u64 = 10_000;
const LYING_EXPORTS: u64 = 2_000;

fn rule(random: &mut Random) -> Rule {
    let filter = random.pick(&[Field::Time, Field::Time, Field::LastAction]);
    let by = if random.chance(0.7) {
        filter
    } else {
        random.pick(&[Field::Time, Field::LastAction])
    };
    let sorting = random.pick(&[
        Sorting::Ascending(by),
        Sorting::Ascending(by),
        Sorting::Descending(by),
        Sorting::Descending(by),
        Sorting::Random,
        Sorting::Shards(by, 3),
        Sorting::Stragglers(by, 4),
        Sorting::Blocks(by, 2, true),
        Sorting::Blocks(by, 3, false),
        Sorting::Inserted(by, 4),
        Sorting::Inserted(by, 300),
        Sorting::BrokenDay(by),
    ]);
    let rare = |random: &mut Random, chance: f64, share: f64| if random.chance(chance) { share } else { 0.0 };
    Rule {
        filter,
        sorting,
        includes_start: random.chance(0.5),
        includes_end: random.chance(0.5),
        floors: random.chance(0.5),
        cursors: random.pick(&[Cursors::Token, Cursors::Token, Cursors::Offset, Cursors::Scroll]),
        per_page: random.pick(&[2, 10, 10, 20, 50, 100]),
        empty_end: random.chance(0.3),
        absent_end: random.chance(0.1),
        empties: rare(random, 0.2, 0.2),
        deaths: rare(random, 0.2, 0.02),
        growth: rare(random, 0.2, 0.2),
        short: rare(random, 0.2, 0.1),
        lie: Lie::Nothing,
    }
}

/// A server that hides records.
fn lying_rule(random: &mut Random) -> Rule {
    let per_page = random.pick(&[50, 100, 200]);
    let lie = match random.below(6) {
        0 => Lie::Cap(random.pick(&[1, 3, 5, 10]) * per_page),
        1 => Lie::Cap(per_page + usize::try_from(random.below(300)).unwrap()),
        2 => Lie::Range(random.chance(0.5), random.pick(&[1, 3, 7, 14]) * DAY + 1),
        3 => Lie::NullBehindFullPage(random.pick(&[1.0, 0.3])),
        4 => Lie::EmptyForDeadCursor,
        _ => Lie::Rounding(60),
    };
    let honest = rule(random);
    let sorting = random.pick(&[
        Sorting::Ascending(honest.filter),
        Sorting::Descending(honest.filter),
        Sorting::Random,
        Sorting::Inserted(honest.filter, 4),
        Sorting::Inserted(honest.filter, 300),
        Sorting::BrokenDay(honest.filter),
    ]);
    let sorting = match lie {
        // the end of a cut listing in no order is nowhere
        Lie::Cap(_) if sorting == Sorting::Random => Sorting::Ascending(honest.filter),
        _ => sorting,
    };
    Rule {
        // a bound that is excluded and hull is lost
        includes_start: matches!(lie, Lie::Rounding(_)) || honest.includes_start,
        lie,
        per_page,
        deaths: if lie == Lie::EmptyForDeadCursor { 0.1 } else { 0.0 },
        growth: 0.0,
        short: 0.0,
        absent_end: false,
        empties: 0.0,
        sorting,
        ..honest
    }
}

fn ranges(random: &mut Random, start: i64, days: i64) -> Vec<Window> {
    let hull = Window::new(start, start + days * DAY);
    match random.below(4) {
        0 => {
            let (first, second) = hull.split_at(start + random.below(days * DAY));
            vec![second, Window::new(first.start, first.end - random.below(DAY))]
        }
        1 => vec![Window::new(
            start + random.below(DAY),
            hull.end - random.below(DAY / 2),
        )],
        _ => vec![hull],
    }
}

fn one(seed: u64, rule: fn(&mut Random) -> Rule) -> Result<(), PlanError> {
    let mut random = Random::new(seed);
    let mut rule = rule(&mut random);
    let is_honest = rule.lie == Lie::Nothing;
    let traffic = match is_honest {
        true => random.pick(&[
            Traffic::Uneven,
            Traffic::Uneven,
            Traffic::Even,
            Traffic::OneDay,
            Traffic::OneSecond,
        ]),
        false => random.pick(&[Traffic::Uneven, Traffic::Even]),
    };
    if matches!(traffic, Traffic::OneSecond) {
        // a second cannot be split where its cursors do not live long enough
        rule.deaths = 0.0;
    }
    let (days, start) = match is_honest {
        true => (1 + random.below(20), 1_696_118_400 + random.below(DAY)),
        // a server that rounds to minutes is asked for whole minutes
        false => (1 + random.below(40), 1_696_118_400 + 60 * random.below(1_440)),
    };
    // what is hidden shows by what is expected: that takes some records
    let fewest = if is_honest { 0 } else { 20 };
    let pages = fewest + usize::try_from(random.below(60)).unwrap();
    let archive = records(traffic, start, days, pages * rule.per_page + 1, &mut random);
    let ranges = match is_honest {
        true => ranges(&mut random, start, days),
        false => vec![Window::new(start, start + days * DAY)],
    };
    let mut server = Server::new(rule, archive, Random::new(seed));
    let line = Line {
        rate: random.pick(&[0.0, 3.0, 30.0]),
        latency: random.pick(&[
            Latency::Fixed(0.3),
            Latency::Between(0.1, 1.0),
            Latency::HeavyTailed(0.3, 3.0),
        ]),
        loses: if random.chance(0.2) { 0.02 } else { 0.0 },
        strict: is_honest,
    };
    let options = PlanOptions {
        per_page: u32::try_from(rule.per_page).unwrap(),
        max_in_flight: random.pick(&[1, 2, 8, 8, 64]),
        ..PlanOptions::default()
    };
    let outcome = export(&mut server, &ranges, options, line, &mut random)?;
    if !is_honest {
        return Ok(());
    }
    // where pages lose records between them, windows of one page are read
    let is_unstable = rule.is_unstable();
    assert!(
        outcome.requests < 140 + if is_unstable { 40 } else { 20 } * pages,
        "{} requests for {pages} pages",
        outcome.requests
    );
    Ok(())
}

#[test]
fn ten_thousand_exports_miss_nothing() {
    let mut failed = Vec::new();
    for seed in 0..EXPORTS {
        match std::panic::catch_unwind(|| one(seed, rule)) {
            Ok(Ok(())) => continue,
            // a second that cannot be read while a cursor lives
            Ok(Err(PlanError::CursorExpires { window, .. })) if window.seconds() <= 3 => continue,
            // an API that leaves the cursor out at the end, met first on a page that is just full: an error is
            // right, since a renamed field would look the same
            Ok(Err(PlanError::CursorMissing { .. })) if rule(&mut Random::new(seed)).absent_end => continue,
            // a second that holds as many records as a limit would allow, or whose pages lose records
            Ok(Err(PlanError::UncertainEnd { records, .. }))
                if records % 100 <= 1
                    || records.is_power_of_two()
                    || rule(&mut Random::new(seed)).is_unstable() =>
            {
                continue;
            }
            Ok(Err(error)) => println!("seed {seed}: {error}"),
            Err(_) => {}
        }
        println!("seed {seed}: {:?}", rule(&mut Random::new(seed)));
        failed.push(seed);
    }
    assert!(
        failed.is_empty(),
        "{} exports failed, seeds {failed:?}",
        failed.len()
    );
}

#[test]
fn servers_that_hide_records_are_found_out() {
    let (mut failed, mut read) = (Vec::new(), 0);
    for seed in 0..LYING_EXPORTS {
        match std::panic::catch_unwind(|| one(seed, lying_rule)) {
            Ok(Ok(())) => read += 1,
            // an error is right where a window cannot be read, and silence is not
            Ok(Err(_)) => {}
            Err(_) => {
                println!("seed {seed}: {:?}", lying_rule(&mut Random::new(seed)));
                failed.push(seed);
            }
        }
    }
    assert!(
        failed.is_empty(),
        "{} exports failed, seeds {failed:?}",
        failed.len()
    );
    assert!(
        read * 10 >= LYING_EXPORTS * 9,
        "only {read} of {LYING_EXPORTS} were read"
    );
}
