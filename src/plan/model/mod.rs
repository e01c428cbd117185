//! The planner against simulated servers, in virtual time.

mod archive;
mod server;
mod targets;
mod world;

use archive::Random;
use server::{Answer, Server};

use super::{Knowledge, NextPage, PageRequest, PlanError, PlanOptions, Planner};
use crate::window::{Window, Windows};

/// Seconds between a request and its answer.
#[derive(Debug, Clone, Copy)]
enum Latency {
    Fixed(f64),
    /// Evenly between the two.
    Between(f64, f64),
    /// The first, but the second for one request in twenty.
    HeavyTailed(f64, f64),
}

impl Latency {
    fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Fixed(seconds) => seconds,
            Self::Between(low, high) => low + (high - low) * random.unit(),
            Self::HeavyTailed(median, slow) => {
                if random.chance(0.05) {
                    slow
                } else {
                    median * (0.8 + 0.4 * random.unit())
                }
            }
        }
    }
}

/// How an export is run.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// Requests per second; 0 is no limit.
    rate: f64,
    latency: Latency,
    /// Share of the answers that are lost on their way.
    loses: f64,
    /// Check that `covered` is true at every answer, not only at the end.
    strict: bool,
}

/// What became of an export.
#[derive(Debug, Default)]
struct Outcome {
    requests: usize,
    wall: f64,
    chains: usize,
    most_in_flight: usize,
    learned: Knowledge,
    /// Requests for time that was listed before.
    checks: usize,
}

struct Flight {
    lands: f64,
    request: PageRequest,
    answer: Answer,
}

/// Exports `ranges` and checks all that can be checked.
fn export(
    server: &mut Server,
    ranges: &[Window],
    options: PlanOptions,
    line: Line,
    random: &mut Random,
) -> Result<Outcome, PlanError> {
    let planner = Planner::new(ranges.to_vec(), options);
    run(server, planner, ranges, line, random)
}

fn run(
    server: &mut Server,
    mut planner: Planner,
    ranges: &[Window],
    line: Line,
    random: &mut Random,
) -> Result<Outcome, PlanError> {
    // The budget stays a little below its limit.
    let interval = if line.rate > 0.0 { 1.025 / line.rate } else { 0.0 };
    let ranges: Windows = ranges.iter().copied().collect();
    let (mut now, mut slot) = (0.0_f64, 0.0_f64);
    let mut flights: Vec<Flight> = Vec::new();
    let mut outcome = Outcome::default();
    let (mut covered, mut listed) = (Windows::new(), Windows::new());
    while !planner.is_done() {
        let landing = (0..flights.len()).min_by(|a, b| flights[*a].lands.total_cmp(&flights[*b].lands));
        let lands = landing.map_or(f64::INFINITY, |at| flights[at].lands);
        if lands > slot.max(now) && planner.wants() {
            now = now.max(slot);
            slot = now + interval;
            let request = planner.next().expect("it wants to");
            outcome.checks += usize::from(listed.covers(request.covers));
            send(&mut flights, server, request, now, line, random, &mut outcome);
            continue;
        }
        let flight = flights.swap_remove(landing.expect("something is in flight while it is not done"));
        now = now.max(flight.lands);
        match flight.answer {
            _ if random.chance(line.loses) && flight.request.retryable => {
                now = now.max(slot);
                slot = now + interval;
                send(
                    &mut flights,
                    server,
                    flight.request,
                    now,
                    line,
                    random,
                    &mut outcome,
                );
            }
            _ if random.chance(line.loses) && !flight.request.retryable => {
                planner.response_lost(&flight.request)?
            }
            Answer::Dead => planner.cursor_expired(&flight.request)?,
            Answer::Page(page) => {
                server.receive(&page);
                if page.next == NextPage::End {
                    listed.insert(flight.request.covers);
                }
                planner.answered(&flight.request, &page)?;
            }
        }
        if line.strict {
            let grown = planner.covered();
            if grown != covered {
                server.assert_received(&grown);
            }
            covered = grown;
        }
    }
    assert!(
        ranges.iter().all(|range| planner.covered().covers(*range)),
        "done, and yet not covered"
    );
    server.assert_received(&ranges);
    outcome.wall = now;
    outcome.chains = planner.progress().chains;
    outcome.learned = planner.learned();
    Ok(outcome)
}

fn send(
    flights: &mut Vec<Flight>,
    server: &mut Server,
    request: PageRequest,
    now: f64,
    line: Line,
    random: &mut Random,
    outcome: &mut Outcome,
) {
    outcome.requests += 1;
    assert!(outcome.requests < 5_000, "the planner does not end");
    let answer = server.answer(request.requested, request.cursor.as_deref());
    flights.push(Flight {
        lands: now + line.latency.draw(random),
        request,
        answer,
    });
    outcome.most_in_flight = outcome.most_in_flight.max(flights.len());
}
