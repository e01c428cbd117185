//! A sink: copies the partitions that a run has changed into another system, here a map in memory.
//!
//! `cargo run --example sink`

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatchReader;
use converse_export::{
    ApiKey, CancellationToken, Connection, Export, Partition, PartitionKey, Silent, Sink, SinkError, Table,
    Window,
};
use converse_export_simulator::{Options, Simulator};

/// The number of rows of each partition.
#[derive(Default)]
struct Counts(BTreeMap<PartitionKey, usize>);

impl Sink for Counts {
    fn clear(&mut self) -> Result<(), SinkError> {
        self.0.clear();
        Ok(())
    }

    fn replace(&mut self, partition: &Partition, rows: &mut dyn RecordBatchReader) -> Result<(), SinkError> {
        let mut count = 0;
        for batch in rows {
            count += batch?.num_rows();
        }
        self.0.insert(partition.key.clone(), count);
        Ok(())
    }

    fn remove(&mut self, key: &PartitionKey) -> Result<(), SinkError> {
        self.0.remove(key);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let api = Simulator::start(Options::default()).await?;
    let out = std::env::temp_dir().join(format!("converse-export-sink-{}", std::process::id()));
    let day = |day: i64| Window::new(1_696_118_400, 1_696_118_400 + day * 86_400);
    let (mut sink, mut delivered) = (Counts::default(), 0);
    for range in [day(1), day(2)] {
        let connection = Connection::new(api.base_url().parse()?, ApiKey::new("demo-key")?);
        let export = Export::new(connection, "r3-218210", range, &out);
        export.run(Arc::new(Silent), CancellationToken::new()).await?;
        // store this number together with the rows
        delivered = Table::open(&out)?.deliver(delivered, &mut sink)?;
        println!("delivery {delivered}: {:?}", sink.0.values());
    }
    std::fs::remove_dir_all(out)?;
    Ok(())
}
