//! The library as another program embeds it: without the feature `cli`, and without effects on the process around it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use converse_export::api::{ApiKey, Client, Connection};
use converse_export::dataset::Dataset;
use converse_export::export::{Options, Outcome, Silent, export};
use converse_export::fetch::CancellationToken;
use converse_export::status::status;
use converse_export::table::Table;
use converse_export::window::Window;
use converse_export_simulator::{self as simulator, Endpoint, Simulator};
use rustls::crypto::CryptoProvider;

const TICK: Duration = Duration::from_millis(5);
/// Generous, since tests share a machine; an export takes longer than this.
const LONGEST_GAP: Duration = Duration::from_millis(500);

fn options(simulator: &Simulator, archive: &simulator::Options, out: &Path) -> Options {
    Options {
        bots: vec![archive.bots[0].clone()],
        datasets: Dataset::ALL.to_vec(),
        // messages go on after the last conversation began
        range: Window::new(archive.range.start, archive.range.end + 86_400),
        out: out.to_owned(),
        connection: Connection::new(
            simulator.base_url().parse().unwrap(),
            ApiKey::new(&archive.key).unwrap(),
        ),
        requests_per_second: 0.0,
        concurrency: None,
        per_page: 1000,
        timezone: None,
        metadata: None,
        row_group_rows: None,
        row_group_bytes: None,
        privacy: Default::default(),
        promote: None,
        partition_by: None,
        settle: Duration::from_secs(900),
        refetch: false,
        lookback: None,
        conversation: None,
        keep_pages: false,
    }
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
async fn export_beside_a_task(options: &Options) -> (Outcome, Duration, Duration) {
    let stop = CancellationToken::new();
    let ticks = tokio::spawn(longest_gap(stop.clone()));
    // it ticks before the export begins
    tokio::time::sleep(4 * TICK).await;
    let begin = Instant::now();
    let outcome = export(options, Arc::new(Silent), CancellationToken::new()).await;
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
    let options = Options {
        keep_pages: true,
        ..options(&simulator, &archive, &out)
    };
    let assert_free = |name: &str, took: Duration, gap: Duration| {
        assert!(
            took > LONGEST_GAP,
            "{name}: too little work to show anything: {took:?}"
        );
        assert!(gap < LONGEST_GAP, "{name}: no tick for {gap:?} of {took:?}");
    };

    let (outcome, took, gap) = export_beside_a_task(&options).await;
    assert_complete(&outcome, &simulator, &archive.bots[0]);
    assert_free("fetched", took, gap);

    // without its data files, the table is built again from the pages, before anything is fetched
    for dataset in Dataset::ALL {
        std::fs::remove_dir_all(out.join(dataset.name())).unwrap();
    }
    let before = simulator.stats(Endpoint::Messages).requests;
    let (outcome, took, gap) = export_beside_a_task(&options).await;
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
    let options = options(&simulator, &archive, &folder.path().join("lake"));
    let outcome = export(&options, Arc::new(Silent), CancellationToken::new()).await;
    assert_complete(&outcome.unwrap(), &simulator, &archive.bots[0]);
    // and none for TLS; where this machine has no certificates, that is an error, and shows the same
    let https = Connection {
        base_url: "https://127.0.0.1:9".parse().unwrap(),
        ..options.connection
    };
    drop(Client::new(https));
    assert!(CryptoProvider::get_default().is_none());
}
