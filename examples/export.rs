//! An export from the library, without the command line: a simulated API, two days of it, the summary.
//!
//! `cargo run --example export`

use std::sync::Arc;
use std::time::Duration;

use converse_export::api::{ApiKey, Connection};
use converse_export::dataset::{Dataset, RulesAsked};
use converse_export::export::{Options, Silent, export};
use converse_export::fetch::CancellationToken;
use converse_export::window::Window;
use converse_export_simulator::{self as simulator, Simulator};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let simulator = Simulator::start(simulator::Options::default()).await?;
    let out = std::env::temp_dir().join(format!("converse-export-example-{}", std::process::id()));
    let options = Options {
        bots: vec!["r3-218210".into()],
        datasets: vec![Dataset::Conversations],
        range: Window::new(1_696_118_400, 1_696_291_200),
        out: out.clone(),
        connection: Connection::new(simulator.base_url().parse()?, ApiKey::new("demo-key")?),
        requests_per_second: 3.0,
        concurrency: None,
        per_page: 1000,
        timezone: None,
        metadata: None,
        promote: None,
        row_group_rows: None,
        row_group_bytes: None,
        privacy: RulesAsked::default(),
        partition_by: None,
        settle: Duration::from_secs(15 * 60),
        refetch: false,
        lookback: None,
        conversation: None,
        keep_pages: false,
    };
    // cancelled from elsewhere, the run ends early, and keeps what was answered
    let stop = CancellationToken::new();
    let outcome = export(&options, Arc::new(Silent), stop).await?;
    let done = &outcome.summary.datasets["conversations"];
    assert!(outcome.failures.is_empty());
    assert_eq!(
        done.received,
        done.rows + done.duplicates + done.superseded + done.rejected
    );
    std::fs::remove_dir_all(out)?;
    Ok(())
}
