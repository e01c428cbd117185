//! How near an export comes to the least that its budget allows: requests and seconds, beside their bounds.
//!
//! `cargo bench --bench ceiling [-- NAME…]` runs the binary against the simulator over real HTTP, one export after
//! another, in real time; all of it takes some minutes. With F = records / 1000, C = ⌈rate × latency⌉ + 1 and
//! B = F / rate + latency it fails where a scenario needs more than it is allowed.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    missing_docs
)]

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use converse_export::simulator::{Counting, Endpoint, Latency, Options, Order, Simulator};

const DAY: i64 = 86_400;
const START: i64 = 1_696_118_400;

struct Scenario {
    name: &'static str,
    /// What we ask for, and what the server bears.
    rate: f64,
    bears: f64,
    latency: Latency,
    conversations: u32,
    days: i64,
    order: Order,
    counting: Counting,
    /// Requests allowed beyond F, in C; seconds allowed, in B and beyond.
    chains: f64,
    walls: f64,
    beyond: f64,
}

impl Scenario {
    fn new(name: &'static str, rate: f64, latency: u64, conversations: u32) -> Self {
        Self {
            name,
            rate,
            bears: rate,
            latency: Latency::Fixed(Duration::from_millis(latency)),
            conversations,
            days: 30,
            order: Order::StartAscending,
            counting: Counting::SlidingSecond,
            chains: 3.0,
            walls: 1.15,
            beyond: 1.0,
        }
    }
}

fn scenarios() -> Vec<Scenario> {
    let heavy = Latency::HeavyTailed {
        median: Duration::from_millis(300),
        one_in: 20,
        tail: Duration::from_secs(3),
    };
    let unlimited = f64::INFINITY;
    vec![
        Scenario::new("uneven", 30.0, 300, 300_000),
        Scenario {
            order: Order::StartDescending,
            ..Scenario::new("descending", 30.0, 300, 200_000)
        },
        Scenario {
            days: 1,
            ..Scenario::new("one-day", 30.0, 300, 200_000)
        },
        Scenario::new("slow", 3.0, 1000, 60_000),
        Scenario::new("usual", 3.0, 500, 60_000),
        Scenario {
            order: Order::Unordered,
            chains: 4.0,
            walls: 1.3,
            ..Scenario::new("no-order", 30.0, 300, 200_000)
        },
        Scenario {
            latency: heavy,
            chains: 4.0,
            walls: 1.3,
            ..Scenario::new("heavy-tail", 30.0, 300, 300_000)
        },
        Scenario {
            bears: 20.0,
            chains: unlimited,
            walls: 1.25,
            ..Scenario::new("bears-less", 30.0, 300, 200_000)
        },
        Scenario {
            bears: 20.0,
            counting: Counting::TokenBucket,
            chains: unlimited,
            walls: 1.25,
            ..Scenario::new("bears-less-bucket", 30.0, 300, 200_000)
        },
    ]
}

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let wanted = |scenario: &Scenario| named.is_empty() || named.iter().any(|name| name == scenario.name);
    println!(
        "{:18} {:>4} {:>3} {:>6} | {:>8} {:>8} {:>7} | {:>7} {:>6} {:>6} {:>8}",
        "scenario", "F", "C", "B", "requests", "(n-F)/C", "refused", "fetched", "wall", "wall/B", "most"
    );
    let missed = scenarios()
        .iter()
        .filter(|scenario| wanted(scenario))
        .filter(|scenario| !meets(scenario))
        .count();
    ExitCode::from(u8::from(missed > 0))
}

/// Runs a scenario, prints its line, and says whether it kept to what it is allowed.
fn meets(scenario: &Scenario) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let simulator = runtime
        .block_on(Simulator::start(Options {
            range: START..START + scenario.days * DAY,
            conversations: scenario.conversations,
            order: scenario.order,
            latency: scenario.latency,
            requests_per_second: scenario.bears,
            counting: scenario.counting,
            ..Options::default()
        }))
        .unwrap();
    let out = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_converse-export"))
        .args([
            "export",
            "--bot",
            "r3-218210",
            "--dataset",
            "conversations",
            "--base-url",
            simulator.base_url(),
        ])
        .args([
            "--start",
            &START.to_string(),
            "--end",
            &(START + scenario.days * DAY).to_string(),
        ])
        .args([
            "--requests-per-second",
            &scenario.rate.to_string(),
            "--quiet",
            "--json",
        ])
        .arg("--out")
        .arg(out.path())
        .env("CONVERSE_EXPORT_API_KEY", "demo-key")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let wall = begin.elapsed().as_secs_f64();
    assert!(output.status.success(), "{}: {}", scenario.name, output.status);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let fetched = summary["datasets"]["conversations"]["elapsed_seconds"]
        .as_f64()
        .unwrap();

    let stats = simulator.stats(Endpoint::Conversations);
    let rate = scenario.rate.min(scenario.bears);
    let (Latency::Fixed(latency)
    | Latency::HeavyTailed { median: latency, .. }
    | Latency::Growing { first: latency, .. }) = scenario.latency;
    let full = f64::from(scenario.conversations) / 1000.0;
    let chains = (scenario.rate * latency.as_secs_f64()).ceil() + 1.0;
    let least = full / rate + latency.as_secs_f64();
    let beyond = (stats.requests as f64 - full) / chains;
    let refused = stats.refused_429 as f64;
    let allowed_refused = if scenario.bears < scenario.rate {
        0.05 * stats.requests as f64
    } else {
        0.0
    };
    let met = beyond <= scenario.chains
        && wall <= scenario.walls * least + scenario.beyond
        && refused <= allowed_refused;
    println!(
        "{:18} {full:4} {chains:3} {least:6.2} | {:8} {beyond:8.2} {:7} | {fetched:7.2} {wall:6.2} {:6.3} {:8.2}{}",
        scenario.name,
        stats.requests,
        stats.refused_429,
        wall / least,
        scenario.walls * least + scenario.beyond,
        if met { "" } else { "  MISSED" }
    );
    met
}
