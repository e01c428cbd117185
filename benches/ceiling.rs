//! Requests and seconds of an export, beside the fewest that its budget allows.
//!
//! `cargo bench --bench ceiling [-- NAME…]` runs the binary against the simulator over HTTP, one export after another, in
//! real time. With F = records / 1000, C = ⌈rate × latency⌉ + 1 and B = F / rate + latency, it fails if a scenario needs
//! more than its limits. `--requests` prints each request too.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    missing_docs
)]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use converse_export_simulator::{Counting, Endpoint, Growth, Latency, Options, Order, Simulator};

const DAY: i64 = 86_400;
const START: i64 = 1_696_118_400;
/// The day with 20 times the conversations of the others.
const BUSY_DAY: u32 = 2;
/// Seconds that any export may take beyond its share of B.
const FLAT: f64 = 1.0;

struct Scenario {
    name: &'static str,
    /// Requests a second, as the exporter is configured.
    rate: f64,
    server: Options,
    /// Whether an earlier run has exported the same range.
    is_refetch: bool,
    /// The most requests beyond F, in C, and the most seconds, in B.
    chains: f64,
    walls: f64,
}

impl Scenario {
    fn new(name: &'static str, rate: f64, latency_ms: u64, conversations: u32) -> Self {
        Self {
            name,
            rate,
            server: Options {
                range: START..START + 30 * DAY,
                conversations,
                busy_day: Some(BUSY_DAY),
                latency: Latency::Fixed(Duration::from_millis(latency_ms)),
                requests_per_second: rate,
                counting: Counting::SlidingSecond,
                ..Options::default()
            },
            is_refetch: false,
            chains: 3.0,
            walls: 1.15,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.server);
        self
    }

    fn limits(self, chains: f64, walls: f64) -> Self {
        Self {
            chains,
            walls,
            ..self
        }
    }

    fn refetch(self) -> Self {
        Self {
            is_refetch: true,
            ..self
        }
    }

    /// Records of the busy day are inserted after all others.
    fn late(self, late_records: u32) -> Self {
        self.with(|server| {
            server.order = Order::Insertion;
            server.growth = Growth {
                late_records,
                late_seconds: 31 * 86_400,
                late_day: Some(BUSY_DAY),
                ..Growth::default()
            };
        })
    }

    /// The server allows fewer requests than the exporter sends.
    fn bears(self, requests_per_second: f64, counting: Counting) -> Self {
        let limited = self.with(|server| {
            server.requests_per_second = requests_per_second;
            server.counting = counting;
        });
        limited.limits(f64::INFINITY, 1.25)
    }
}

fn scenarios() -> Vec<Scenario> {
    let large = |name| Scenario::new(name, 30.0, 300, 300_000);
    let medium = |name| Scenario::new(name, 30.0, 300, 200_000);
    let heavy_tail = Latency::HeavyTailed {
        median: Duration::from_millis(300),
        one_in: 20,
        tail: Duration::from_secs(3),
    };
    vec![
        large("uneven"),
        large("busy-day-10").with(|server| server.busy_day = Some(10)),
        medium("descending").with(|server| server.order = Order::StartDescending),
        medium("one-day").with(|server| server.range = START..START + DAY),
        Scenario::new("slow", 3.0, 1000, 60_000),
        Scenario::new("usual", 3.0, 500, 60_000),
        large("equal-gap").with(|server| server.equal_gap = Some(60)),
        large("late-1").late(1),
        large("late-1000").late(1_000),
        large("refetch").refetch().limits(2.0, 1.08),
        medium("no-order")
            .with(|server| server.order = Order::Unordered)
            .limits(4.0, 1.3),
        large("heavy-tail")
            .with(|server| server.latency = heavy_tail)
            .limits(4.0, 1.3),
        medium("bears-less").bears(20.0, Counting::SlidingSecond),
        medium("bears-less-bucket").bears(20.0, Counting::TokenBucket),
    ]
}

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let wanted = |scenario: &Scenario| named.is_empty() || named.iter().any(|name| name == scenario.name);
    println!(
        "{:18} {:>4} {:>3} {:>6} | {:>8} {:>8} {:>5} {:>7} | {:>7} {:>6} {:>6} {:>6}",
        "scenario",
        "F",
        "C",
        "B",
        "requests",
        "(n-F)/C",
        "most",
        "refused",
        "fetched",
        "wall",
        "wall/B",
        "most"
    );
    let missed = scenarios()
        .iter()
        .filter(|scenario| wanted(scenario))
        .filter(|scenario| !meets(scenario))
        .count();
    println!("{missed} missed");
    ExitCode::from(u8::from(missed > 0))
}

/// Runs a scenario, prints its line, and returns whether it met its limits.
fn meets(scenario: &Scenario) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let simulator = runtime
        .block_on(Simulator::start(scenario.server.clone()))
        .unwrap();
    let out = tempfile::tempdir().unwrap();
    if scenario.is_refetch {
        export(scenario, &simulator, out.path(), &[]);
    }
    let before = simulator.stats(Endpoint::Conversations);
    let begin = Instant::now();
    let refetch: &[&str] = if scenario.is_refetch { &["--refetch"] } else { &[] };
    let fetched = export(scenario, &simulator, out.path(), refetch);
    let wall = begin.elapsed().as_secs_f64();
    let after = simulator.stats(Endpoint::Conversations);
    let requests = (after.requests - before.requests) as f64;
    let refused = (after.refused_429 - before.refused_429) as f64;

    let bears = scenario.server.requests_per_second;
    let rate = scenario.rate.min(bears);
    let (Latency::Fixed(latency)
    | Latency::HeavyTailed { median: latency, .. }
    | Latency::Growing { first: latency, .. }) = scenario.server.latency;
    let latency = latency.as_secs_f64();
    let full = f64::from(scenario.server.conversations) / 1000.0;
    let chains = (scenario.rate * latency).ceil() + 1.0;
    let least = full / rate + latency;
    let beyond = (requests - full) / chains;
    let most = scenario.walls * least + FLAT;
    let most_refused = if bears < scenario.rate {
        0.05 * requests
    } else {
        0.0
    };
    let misses: Vec<&str> = [
        (beyond > scenario.chains, "requests"),
        (refused > most_refused, "refused"),
        (wall > most, "wall"),
    ]
    .into_iter()
    .filter_map(|(is_missed, what)| is_missed.then_some(what))
    .collect();
    println!(
        "{:18} {full:4} {chains:3} {least:6.2} | {requests:8} {beyond:8.2} {:5.1} {refused:7} | {fetched:7.2} {wall:6.2} \
         {:6.3} {most:6.2}{}{}",
        scenario.name,
        scenario.chains,
        wall / least,
        if misses.is_empty() { "" } else { "  MISSED " },
        misses.join(", ")
    );
    if std::env::args().any(|arg| arg == "--requests") {
        for request in &after.log[before.log.len()..] {
            let hours = |second: i64| (second - START) as f64 / 3_600.0;
            println!(
                "{:8} ms {:8.2} h to {:8.2} h, {} {:4} records{}",
                request.at,
                hours(request.start_time),
                hours(request.end_time),
                request.status,
                request.records,
                if request.cursor.is_some() {
                    ", next page"
                } else {
                    ""
                }
            );
        }
    }
    misses.is_empty()
}

/// Runs the binary. Returns the seconds that it fetched.
fn export(scenario: &Scenario, simulator: &Simulator, out: &Path, args: &[&str]) -> f64 {
    let range = &scenario.server.range;
    let output = Command::new(env!("CARGO_BIN_EXE_converse-export"))
        .args(["export", "--quiet", "--json"])
        .args(["--bot", "r3-218210", "--dataset", "conversations"])
        .args(["--base-url", simulator.base_url()])
        .args(["--start", &range.start.to_string()])
        .args(["--end", &range.end.to_string()])
        .args(["--requests-per-second", &scenario.rate.to_string()])
        .args(args)
        .arg("--out")
        .arg(out)
        .env("CONVERSE_EXPORT_API_KEY", "demo-key")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", scenario.name, output.status);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        summary["failed"].as_array().map(Vec::len),
        Some(0),
        "{}",
        scenario.name
    );
    summary["datasets"]["conversations"]["elapsed_seconds"]
        .as_f64()
        .unwrap()
}
