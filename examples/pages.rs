//! Pages as Arrow record batches, without a table: concurrent requests, each record once.
//!
//! `cargo run --example pages`

#![allow(clippy::print_stdout)]

use converse_export::{ApiKey, Client, Connection, Dataset, TableOptions, Window};
use converse_export_simulator::{Options, Simulator};
use futures_util::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let api = Simulator::start(Options::default()).await?;
    let connection = Connection::new(api.base_url().parse()?, ApiKey::new("demo-key")?);
    let two_days = Window::new(1_696_118_400, 1_696_291_200);

    let mut pages = Client::new(connection)?.pages(Dataset::Messages, "r3-218210", two_days);
    let mut messages = 0;
    while let Some(page) = pages.next().await {
        let batch = page?.decode(&TableOptions::default())?.batch;
        messages += batch.num_rows();
        println!("{} messages, {} columns", batch.num_rows(), batch.num_columns());
    }
    println!("{messages} messages in all");
    Ok(())
}
