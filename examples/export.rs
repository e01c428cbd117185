//! An export from the library, without the command line: two days of a simulated API, and the summary.
//!
//! `cargo run --example export`

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use converse_export::{ApiKey, CancellationToken, Connection, Dataset, Export, Silent, Table, Window};
use converse_export_simulator::{Options, Simulator};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let api = Simulator::start(Options::default()).await?;
    let out = std::env::temp_dir().join(format!("converse-export-example-{}", std::process::id()));

    let connection = Connection::new(api.base_url().parse()?, ApiKey::new("demo-key")?);
    let two_days = Window::new(1_696_118_400, 1_696_291_200);
    let export = Export::new(connection, "r3-218210", two_days, &out);
    let outcome = export.run(Arc::new(Silent), CancellationToken::new()).await?;
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);

    for (dataset, done) in &outcome.summary.datasets {
        println!("{dataset}: {} rows in {} requests", done.rows, done.requests);
    }
    for batch in Table::open(&out)?
        .scan(Dataset::Messages)
        .columns(["id", "time"])
        .reader()?
    {
        println!("a batch of {} messages", batch?.num_rows());
    }
    std::fs::remove_dir_all(out)?;
    Ok(())
}
