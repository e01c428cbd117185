use std::ops::Range;
use std::path::Path;

use super::*;
use crate::dataset::{Dataset, decode};
use crate::table::{PartitionBy, PartitionDate, Settings};

/// 2023-10-01T00:00:00Z.
const DAY: u32 = 1_696_118_400;

fn key(dataset: Dataset) -> PartitionKey {
    PartitionKey {
        dataset,
        bot: "r3".into(),
        date: PartitionDate::of(PartitionBy::Day, jiff::civil::date(2023, 10, 1)),
    }
}

fn table(folder: &Path) -> Table {
    Table::open_or_create(folder, Settings::new("https://api.example.com", "UTC")).unwrap()
}

fn rows(dataset: Dataset, records: &[String]) -> RecordBatch {
    let body = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
    decode(dataset, body.as_bytes()).unwrap().batch
}

/// One message for each id, the given number of seconds into the day, or without a time.
fn messages(ids: Range<u32>, second: impl Fn(u32) -> Option<u32>) -> RecordBatch {
    let message = |id: u32| {
        let time = second(id).map_or("null".to_owned(), |second| (DAY + second).to_string());
        let text = "x".repeat(id as usize % 50);
        format!(r#"{{"_id":"m{id}","time":{time},"type":"Bot","userInput":"{text}"}}"#)
    };
    rows(Dataset::Messages, &ids.map(message).collect::<Vec<_>>())
}

/// Builds the next version of a partition from these batches, in memory and from sorted runs, and publishes both.
/// Both are the same; returns what the new rows did.
#[track_caller]
fn build(tables: &[Table; 2], key: &PartitionKey, batches: &[RecordBatch]) -> Staged {
    let [expected, staged] = [(&tables[0], usize::MAX / 2), (&tables[1], 1)].map(|(table, run_bytes)| {
        let mut builder = table.builder_within(key, run_bytes);
        assert!(builder.is_empty());
        batches
            .iter()
            .try_for_each(|batch| builder.add(batch.clone()))
            .unwrap();
        assert_eq!(builder.runs.is_empty(), run_bytes > 1);
        let staged = builder.finish().unwrap();
        table.publish(key, &staged.entry).unwrap();
        staged
    });
    assert_eq!(staged.entry, expected.entry);
    assert_eq!(staged.effect, expected.effect);
    assert_eq!(staged.replaces, expected.replaces);
    let left: Vec<_> = std::fs::read_dir(tables[1].staging_folder()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    staged
}

#[test]
fn invariant_8_sorted_runs_give_the_same_bytes_as_rows_in_memory() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let tables = folders.each_ref().map(|folder| table(folder.path()));
    let key = key(Dataset::Messages);
    let spread = |id: u32| Some(id * 7919 % 80_000);
    // more runs than are merged at a time
    let pages: Vec<RecordBatch> = (0..40)
        .map(|page| messages(page * 100..page * 100 + 150, spread))
        .collect();
    let staged = build(&tables, &key, &pages);
    assert_eq!((staged.effect.rows, staged.effect.duplicates), (4_050, 39 * 50));
    // half of them again, and more rows between
    let staged = build(&tables, &key, &[messages(2_000..6_000, spread)]);
    assert_eq!((staged.effect.rows, staged.effect.duplicates), (1_950, 2_050));
    let staged = build(&tables, &key, &[messages(0..6_000, spread)]);
    assert!(!staged.replaces && staged.effect.rows == 0);
}

#[test]
fn invariant_6_rows_without_a_time_are_merged_on_disk_too() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let tables = folders.each_ref().map(|folder| table(folder.path()));
    let key = key(Dataset::Messages);
    let pages: Vec<RecordBatch> = (0..20)
        .map(|page| messages(page * 50..page * 50 + 100, |id| (id % 3 == 0).then_some(id)))
        .collect();
    let staged = build(&tables, &key, &pages);
    assert_eq!(staged.effect.rows, 1_050);
    assert_eq!(build(&tables, &key, &pages[3..5]).effect.duplicates, 200);
}

#[test]
fn invariant_4_of_an_id_with_several_times_the_later_version_is_kept() {
    let conversation = |id: u32, second: u32, version: u32| {
        format!(
            r#"{{"_id":"c{id}","startTime":{},"lastActionAt":{}}}"#,
            DAY + second,
            DAY + version
        )
    };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let tables = folders.each_ref().map(|folder| table(folder.path()));
    let key = key(Dataset::Conversations);
    let page = |records: &[String]| rows(Dataset::Conversations, records);
    let first: Vec<String> = (0..30).map(|id| conversation(id, id * 10, 500)).collect();
    build(&tables, &key, &[page(&first)]);
    // ids of the file with another time: later versions, an earlier one, and the same version, fetched later
    let next = [
        page(&[conversation(3, 5, 600), conversation(4, 900, 501)]),
        page(&[conversation(5, 901, 499), conversation(6, 902, 500)]),
        page(&[conversation(3, 700, 550), conversation(99, 1, 1)]),
        page(&[conversation(99, 800, 1)]),
    ];
    let staged = build(&tables, &key, &next);
    assert_eq!((staged.effect.rows, staged.effect.superseded), (1, 6));
    let batches = tables[1].rows(&key).unwrap();
    let expected: Vec<String> = [
        (3, 5, 600),
        (4, 900, 501),
        (5, 50, 500),
        (6, 902, 500),
        (99, 800, 1),
    ]
    .into_iter()
    .map(|(id, second, version)| conversation(id, second, version))
    .collect();
    let expected = page(&expected);
    for row in 0..expected.num_rows() {
        let expected = expected.slice(row, 1);
        let found = batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(move |row| batch.slice(row, 1)))
            .filter(|found| found.column(0) == expected.column(0));
        assert_eq!(found.collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn a_builder_that_is_dropped_leaves_no_runs() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path());
    let mut builder = table.builder_within(&key(Dataset::Messages), 1);
    builder.add(messages(0..10, Some)).unwrap();
    let runs = || std::fs::read_dir(table.staging_folder()).unwrap().count();
    assert_eq!(runs(), 1);
    drop(builder);
    assert_eq!(runs(), 0);
}
