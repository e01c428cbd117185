//! The library as another program embeds it: without the feature `cli`, and without effects on the process around it.
#![allow(clippy::unwrap_used, missing_docs)]

mod examples;
mod pages;
mod public_api;
mod table;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use converse_export::{
    ApiKey, CancellationToken, Client, Connection, Dataset, Export, Outcome, Silent, Table, Window, status,
};
use converse_export_simulator::{self as simulator, Endpoint, Simulator};
use rustls::crypto::CryptoProvider;

const TICK: Duration = Duration::from_millis(5);
/// Generous, since tests share a machine; an export takes longer than this.
const LONGEST_GAP: Duration = Duration::from_millis(500);

/// Cargo as it runs outside of a test: with the variables of the test's package, it builds some dependencies again.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "OUT_DIR" {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

fn connection(simulator: &Simulator, archive: &simulator::Options) -> Connection {
    let key = ApiKey::new(&archive.key).unwrap();
    Connection::new(simulator.base_url().parse().unwrap(), key)
}

fn export(simulator: &Simulator, archive: &simulator::Options, out: &Path) -> Export {
    // messages go on after the last conversation began
    let range = Window::new(archive.range.start, archive.range.end + 86_400);
    Export::new(connection(simulator, archive), &archive.bots[0], range, out).requests_per_second(0.0)
}

fn assert_complete(outcome: &Outcome, simulator: &Simulator, bot: &str) {
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    let archive = simulator.archive();
    for (dataset, records) in [
        ("conversations", archive.conversations(bot).count()),
        ("messages", archive.messages(bot).count()),
    ] {
        assert_eq!(
            outcome.summary.datasets[dataset].rows, records as u64,
            "{dataset}"
        );
    }
}

/// The longest time between two ticks of a task, until it is stopped.
async fn longest_gap(stop: CancellationToken) -> Duration {
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    while !stop.is_cancelled() {
        tokio::time::sleep(TICK).await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    longest
}

/// Exports on a runtime's only thread; how long that took, and the longest that another task of the thread waited beyond
/// its time.
async fn export_beside_a_task(export: &Export) -> (Outcome, Duration, Duration) {
    let stop = CancellationToken::new();
    let ticks = tokio::spawn(longest_gap(stop.clone()));
    // it ticks before the export begins
    tokio::time::sleep(4 * TICK).await;
    let begin = Instant::now();
    let outcome = export.run(Arc::new(Silent), CancellationToken::new()).await;
    let took = begin.elapsed();
    stop.cancel();
    (outcome.unwrap(), took, ticks.await.unwrap())
}

#[tokio::test(flavor = "current_thread")]
async fn an_export_leaves_the_only_thread_of_a_runtime_to_its_other_tasks() {
    let archive = simulator::Options {
        conversations: 40_000,
        requests_per_second: 0.0,
        ..simulator::Options::default()
    };
    let simulator = Simulator::start(archive.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("lake");
    let export = export(&simulator, &archive, &out).keep_pages();
    let assert_free = |name: &str, took: Duration, gap: Duration| {
        assert!(
            took > LONGEST_GAP,
            "{name}: too little work to show anything: {took:?}"
        );
        assert!(gap < LONGEST_GAP, "{name}: no tick for {gap:?} of {took:?}");
    };

    let (outcome, took, gap) = export_beside_a_task(&export).await;
    assert_complete(&outcome, &simulator, &archive.bots[0]);
    assert_free("fetched", took, gap);

    // without its data files, the table is built again from the pages, before anything is fetched
    for dataset in Dataset::ALL {
        std::fs::remove_dir_all(out.join(dataset.name())).unwrap();
    }
    let before = simulator.stats(Endpoint::Messages).requests;
    let (outcome, took, gap) = export_beside_a_task(&export).await;
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    assert!(!outcome.summary.damaged.is_empty());
    assert_eq!(simulator.stats(Endpoint::Messages).requests, before);
    assert_free("built again", took, gap);
    let status = Table::read(&out, status).unwrap();
    let archived = simulator.archive();
    for (dataset, records) in [
        ("conversations", archived.conversations(&archive.bots[0]).count()),
        ("messages", archived.messages(&archive.bots[0]).count()),
    ] {
        assert_eq!(
            status.datasets[dataset][&archive.bots[0]].rows, records as u64,
            "{dataset}"
        );
    }
}

#[tokio::test]
async fn an_export_installs_no_crypto_provider_in_the_process() {
    let archive = simulator::Options {
        conversations: 200,
        requests_per_second: 0.0,
        ..simulator::Options::default()
    };
    let simulator = Simulator::start(archive.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let export = export(&simulator, &archive, &folder.path().join("lake"));
    let outcome = export.run(Arc::new(Silent), CancellationToken::new()).await;
    assert_complete(&outcome.unwrap(), &simulator, &archive.bots[0]);
    // and none for TLS; where this machine has no certificates, that is an error, and shows the same
    let https = Connection {
        base_url: "https://127.0.0.1:9".parse().unwrap(),
        ..connection(&simulator, &archive)
    };
    drop(Client::new(https));
    assert!(CryptoProvider::get_default().is_none());
}

#[tokio::test]
async fn an_export_can_be_spawned_as_a_task() {
    let archive = simulator::Options {
        conversations: 300,
        requests_per_second: 0.0,
        ..simulator::Options::default()
    };
    let simulator = Simulator::start(archive.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let export = export(&simulator, &archive, &folder.path().join("lake"));
    let run = async move { export.run(Arc::new(Silent), CancellationToken::new()).await };
    let outcome = tokio::spawn(run).await.unwrap().unwrap();
    assert_complete(&outcome, &simulator, &archive.bots[0]);
}
