//! Tables as an embedder reads them: scans, and deliveries to a sink.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchReader};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use converse_export::{
    CancellationToken, Dataset, Error, Export, Partition, PartitionBy, PartitionKey, Silent, Sink, SinkError,
    Table, Window, erase,
};
use converse_export_simulator::{self as simulator, Simulator};

use crate::connection;

const DAY: i64 = 86_400;

async fn world() -> (Simulator, simulator::Options) {
    let archive = simulator::Options {
        conversations: 3_000,
        bots: vec!["a/b c".into(), "r3".into()],
        requests_per_second: 0.0,
        ..simulator::Options::default()
    };
    (Simulator::start(archive.clone()).await.unwrap(), archive)
}

async fn run(export: &Export) {
    let outcome = export
        .run(Arc::new(Silent), CancellationToken::new())
        .await
        .unwrap();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
}

fn export(simulator: &Simulator, archive: &simulator::Options, days: i64, out: &Path) -> Export {
    let range = Window::new(archive.range.start, archive.range.start + days * DAY);
    let connection = connection(simulator, archive);
    let bots = archive.bots.iter().skip(1);
    let export = Export::new(connection, &archive.bots[0], range, out).requests_per_second(0.0);
    bots.fold(export, |export, bot| export.bot(bot))
}

fn batches(reader: impl RecordBatchReader) -> Vec<RecordBatch> {
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert!(batches.iter().all(|batch| batch.schema() == schema));
    batches
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test]
async fn a_scan_gives_the_rows_bots_range_and_columns_that_are_asked_for() {
    let (simulator, archive) = world().await;
    let folder = tempfile::tempdir().unwrap();
    for by in [PartitionBy::Day, PartitionBy::Month] {
        let out = folder.path().join(by.name());
        run(&export(&simulator, &archive, 5, &out).partition_by(by)).await;
        let table = Table::open(&out).unwrap();
        let dataset = Dataset::Conversations;
        let times = |bot: &str| {
            let archive = simulator.archive();
            let conversations = archive.conversations(bot);
            conversations
                .map(|conversation| conversation.time_us.div_euclid(1_000_000))
                .collect::<Vec<_>>()
        };
        let all = batches(table.scan(dataset).reader().unwrap());
        assert_eq!(rows(&all), times("r3").len() + times("a/b c").len());
        let partitions = table.partitions().unwrap();
        let counted = partitions
            .iter()
            .filter(|partition| partition.key.dataset == dataset);
        assert_eq!(
            counted.map(|partition| partition.rows).sum::<u64>(),
            rows(&all) as u64
        );
        let names: Vec<String> = all[0]
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let stored = dataset.schema();
        assert_eq!(names.len(), stored.fields().len() + 2);
        assert_eq!(names[stored.fields().len()..], ["bot", by.key()]);

        let range = Window::new(archive.range.start + DAY / 2, archive.range.start + 3 * DAY / 2);
        let scan = table.scan(dataset).bots(["r3"]).range(range);
        let some = batches(scan.clone().columns([by.key(), "bot", "id"]).reader().unwrap());
        let expected = times("r3")
            .into_iter()
            .filter(|time| range.contains(*time))
            .count();
        assert!(expected > 0 && rows(&some) == expected);
        for batch in &some {
            assert!(
                batch
                    .column(1)
                    .as_string::<i32>()
                    .iter()
                    .all(|bot| bot == Some("r3"))
            );
        }
        let dated = batches(scan.columns(["start_time", by.key()]).reader().unwrap());
        assert_eq!(rows(&dated), expected);
        for batch in dated {
            let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
            for (row, time) in times.iter().enumerate() {
                let second = time.unwrap().div_euclid(1_000_000);
                assert!(range.contains(second));
                match by {
                    PartitionBy::Day => {
                        let days = batch.column(1).as_primitive::<Date32Type>().value(row);
                        assert_eq!(i64::from(days), second.div_euclid(DAY));
                    }
                    PartitionBy::Month => {
                        assert_eq!(batch.column(1).as_string::<i32>().value(row), "2023-10");
                    }
                }
            }
        }
        // nothing of the file but the time is read, and that is left out again
        let dates = batches(table.scan(dataset).columns([by.key()]).reader().unwrap());
        assert_eq!((rows(&dates), dates[0].num_columns()), (rows(&all), 1));
        let unknown = table.scan(dataset).columns(["nothing"]).schema();
        assert!(matches!(unknown, Err(Error::Usage { .. })), "{unknown:?}");
        assert_eq!(
            rows(&batches(table.scan(dataset).bots(["nobody"]).reader().unwrap())),
            0
        );
    }
    assert!(matches!(Table::open(folder.path()), Err(Error::Usage { .. })));
}

/// The ids of each partition that a sink received.
#[derive(Default)]
struct Copy {
    ids: BTreeMap<PartitionKey, Vec<String>>,
    calls: Vec<&'static str>,
    fails: bool,
}

impl Sink for Copy {
    fn clear(&mut self) -> Result<(), SinkError> {
        self.calls.push("clear");
        self.ids.clear();
        Ok(())
    }

    fn replace(&mut self, partition: &Partition, rows: &mut dyn RecordBatchReader) -> Result<(), SinkError> {
        if self.fails {
            return Err("the other system is away".into());
        }
        self.calls.push("replace");
        let mut ids = Vec::new();
        for batch in rows {
            ids.extend(
                batch?
                    .column(0)
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .map(str::to_owned),
            );
        }
        assert_eq!(ids.len() as u64, partition.rows);
        self.ids.insert(partition.key.clone(), ids);
        Ok(())
    }

    fn remove(&mut self, key: &PartitionKey) -> Result<(), SinkError> {
        self.calls.push("remove");
        self.ids.remove(key);
        Ok(())
    }
}

impl Copy {
    /// The calls since the last time.
    fn calls(&mut self) -> (usize, usize, usize) {
        let calls = std::mem::take(&mut self.calls);
        let count = |name| calls.iter().filter(|call| **call == name).count();
        (count("clear"), count("replace"), count("remove"))
    }

    #[track_caller]
    fn assert_equals(&self, out: &Path) {
        let mut whole = Self::default();
        Table::open(out).unwrap().deliver(0, &mut whole).unwrap();
        assert_eq!(self.ids, whole.ids);
    }
}

#[tokio::test]
async fn a_sink_receives_what_has_changed_and_equals_the_table() {
    let (simulator, archive) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    let mut sink = Copy::default();
    run(&export(&simulator, &archive, 2, out)).await;
    let first = Table::open(out).unwrap().deliver(0, &mut sink).unwrap();
    let (cleared, replaced, removed) = sink.calls();
    assert!(cleared == 1 && replaced >= 8 && removed == 0, "{replaced}");
    sink.assert_equals(out);
    // nothing new
    assert_eq!(
        Table::open(out).unwrap().deliver(first, &mut sink).unwrap(),
        first
    );
    assert_eq!(sink.calls(), (0, 0, 0));

    run(&export(&simulator, &archive, 3, out)).await;
    // the sink fails: the number does not advance
    sink.fails = true;
    let failed = Table::open(out).unwrap().deliver(first, &mut sink);
    assert!(matches!(failed, Err(Error::Sink(_))), "{failed:?}");
    sink.fails = false;
    let second = Table::open(out).unwrap().deliver(first, &mut sink).unwrap();
    let (cleared, replaced, removed) = sink.calls();
    assert!(
        second > first && cleared == 0 && (4..=8).contains(&replaced) && removed == 0,
        "{replaced}"
    );
    sink.assert_equals(out);

    // all conversations of one day go: its partition is removed
    let last = sink
        .ids
        .keys()
        .rfind(|key| key.dataset == Dataset::Conversations)
        .unwrap()
        .clone();
    erase(out, &sink.ids[&last].clone()).unwrap();
    let third = Table::open(out).unwrap().deliver(second, &mut sink).unwrap();
    assert!(sink.calls().2 >= 1 && !sink.ids.contains_key(&last));
    sink.assert_equals(out);

    // the lists in between are lost: the sink receives all
    std::fs::remove_file(out.join(format!("_export/changes/{:012}.json", 1))).unwrap();
    std::fs::remove_file(out.join(format!("_export/changes/{second:012}.json"))).unwrap();
    let mut late = Copy::default();
    late.ids.insert(last, vec!["gone since".into()]);
    assert_eq!(Table::open(out).unwrap().deliver(1, &mut late).unwrap(), third);
    assert_eq!(late.calls().0, 1);
    late.assert_equals(out);
}
