mod index;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, MapBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Field, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;

use super::Encoder;
use crate::table::settings::RowGroups;

/// A value of each type that a table has.
type Row = (
    String,
    Option<String>,
    Option<i64>,
    (Option<bool>, Option<i64>, Option<f64>),
    Option<Vec<Option<String>>>,
    Option<Vec<(String, Option<String>)>>,
);

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["a", "b", "", "客户"]).prop_map(String::from),
        "[ -~]{0,9}",
        // longer than bounds are told
        "[a\u{7f}é\u{ffff}\u{10ffff}]{30,80}",
        // as long as they are told, and the same up to there
        (
            "[ab\u{7f}\u{d7ff}\u{10ffff}]",
            15..66_usize,
            "[ab\u{10ffff}]{0,3}"
        )
            .prop_map(|(same, times, end)| same.repeat(times) + &end),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let number = prop_oneof![Just(0), Just(i64::MIN), Just(i64::MAX), any::<i64>(), 0..100_i64];
    let double = prop_oneof![Just(0.0), Just(-0.0), any::<f64>()];
    let list = prop::collection::vec(prop::option::of(text()), 0..4);
    let map = prop::collection::vec((text(), prop::option::of(text())), 0..5);
    (
        text(),
        prop::option::of(text()),
        prop::option::of(number.clone()),
        (
            prop::option::of(any::<bool>()),
            prop::option::of(number),
            prop::option::of(double.prop_filter("no bound", |double| !double.is_nan())),
        ),
        prop::option::of(list),
        prop::option::of(map),
    )
}

fn batch(rows: &[Row]) -> RecordBatch {
    let mut lists = ListBuilder::new(StringBuilder::new());
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for (.., list, map) in rows {
        lists.append_option(list.clone());
        for (key, value) in map.iter().flatten() {
            maps.keys().append_value(key);
            maps.values().append_option(value.as_ref());
        }
        maps.append(map.is_some()).unwrap();
    }
    let texts = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let times: TimestampMicrosecondArray = rows.iter().map(|row| row.2).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", texts(&|row| Some(row.0.clone()))),
        ("text", texts(&|row| row.1.clone())),
        ("json", texts(&|row| row.1.clone())),
        ("time", Arc::new(times.with_timezone("UTC"))),
        (
            "flag",
            Arc::new(rows.iter().map(|row| row.3.0).collect::<BooleanArray>()),
        ),
        (
            "count",
            Arc::new(rows.iter().map(|row| row.3.1).collect::<Int64Array>()),
        ),
        (
            "share",
            Arc::new(rows.iter().map(|row| row.3.2).collect::<Float64Array>()),
        ),
        ("list", Arc::new(lists.finish())),
        ("map", Arc::new(maps.finish())),
    ];
    let fields = columns.iter().map(|(name, column)| {
        let nullable = *name != "id";
        Field::new(*name, column.data_type().clone(), nullable)
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(
        Arc::new(schema),
        columns.into_iter().map(|(_, column)| column).collect(),
    )
    .unwrap()
}

fn properties() -> WriterPropertiesBuilder {
    let plain = |builder: WriterPropertiesBuilder, name: &str| {
        builder.set_column_dictionary_enabled(ColumnPath::from(name), false)
    };
    // pages are looked at behind so many values
    let builder = WriterProperties::builder()
        .set_write_batch_size(1)
        .set_bloom_filter_max_ndv(1_000);
    let builder = builder.set_column_bloom_filter_enabled(ColumnPath::from("text"), true);
    let builder = plain(builder, "id")
        .set_column_encoding(ColumnPath::from("id"), Encoding::PLAIN)
        .set_column_bloom_filter_enabled(ColumnPath::from("id"), true);
    plain(plain(builder, "json"), "time")
}

/// The rows as a file, given in parts that end at these places.
fn written(
    batches: &[RecordBatch],
    places: &[(usize, usize)],
    ends: &[usize],
    properties: WriterProperties,
    limit: RowGroups,
) -> Bytes {
    let mut encoder = Encoder::new(Vec::new(), &batches[0].schema(), properties, limit).unwrap();
    let mut start = 0;
    for end in ends.iter().copied().chain([places.len()]) {
        encoder.append(batches, &places[start..end.max(start)]).unwrap();
        start = end.max(start);
    }
    encoder.finish().unwrap();
    std::mem::take(encoder.output_mut()).into()
}

/// All rows of batches, in order.
fn places(batches: &[RecordBatch]) -> Vec<(usize, usize)> {
    let rows = |(number, batch): (usize, &RecordBatch)| (0..batch.num_rows()).map(move |row| (number, row));
    batches.iter().enumerate().flat_map(rows).collect()
}

fn metadata(file: &Bytes) -> Arc<ParquetMetaData> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    ArrowReaderMetadata::load(file, options)
        .unwrap()
        .metadata()
        .clone()
}

proptest! {
    /// Whatever is written is read again by the parquet crate, and the bytes are the same however the rows are given.
    #[test]
    fn invariant_8_rows_are_read_as_they_were_given_however_they_were_cut(
        rows in prop::collection::vec(row(), 1..80),
        order in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..120),
        ends in prop::collection::vec(0..120_usize, 0..4),
        (page_rows, dictionary, group_rows, group_bytes) in (1..40_usize, 1..400_usize, 1..60_usize, 1..20_000_usize),
    ) {
        let whole = batch(&rows);
        // as a page that begins within its buffers
        let (rest, part) = (whole.slice(0, 1), whole.slice(rows.len() / 2, rows.len() - rows.len() / 2));
        let batches = [whole.clone(), part.clone(), rest];
        let places: Vec<(usize, usize)> = order
            .iter()
            .map(|(first, index)| match first {
                true => (0, index.index(whole.num_rows())),
                false => (1, index.index(part.num_rows())),
            })
            .collect();
        let limit = RowGroups { rows: group_rows, bytes: group_bytes };
        let properties = properties()
            .set_data_page_row_count_limit(page_rows)
            .set_dictionary_page_size_limit(dictionary)
            .build();
        let file = written(&batches, &places, &[], properties.clone(), limit);
        let mut ends: Vec<usize> = ends.into_iter().filter(|end| *end <= places.len()).collect();
        ends.sort_unstable();
        let again = written(&[part, whole], &places.iter().map(|(batch, row)| (1 - batch, *row)).collect::<Vec<_>>(), &ends, properties, limit);
        prop_assert_eq!(&file, &again);
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        let expected = interleave_record_batch(&batches, &places).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
        let reader = reader.with_batch_size(1_000).build().unwrap();
        let read: Vec<RecordBatch> = reader.collect::<std::result::Result<_, _>>().unwrap();
        let read = arrow::compute::concat_batches(&read[0].schema(), &read).unwrap();
        prop_assert_eq!(read.columns(), expected.columns());
        let metadata = metadata(&file);
        prop_assert!(metadata.row_groups()[..metadata.num_row_groups() - 1].iter().all(|group| group.num_rows() <= group_rows as i64));
    }
}

/// The same rows in batches of other sizes, whose neighbours have nulls or not, in chunks and pages of the real size.
#[test]
fn invariant_8_rows_give_the_same_bytes_in_batches_of_any_size() {
    let row = |number: i64| -> Row {
        let text = (number < 50).then(|| format!("{number} of few"));
        let list = (number % 3 > 0).then(|| vec![Some("tag".to_owned())]);
        let map = vec![("key".to_owned(), (number != 7).then(|| number.to_string()))];
        let numbers = (Some(true), (number != 9).then_some(number), Some(0.5));
        (
            format!("{number:09}"),
            text,
            (number > 3).then_some(number),
            numbers,
            list,
            Some(map),
        )
    };
    let rows: Vec<Row> = (0..30_000).map(row).collect();
    let limit = RowGroups {
        rows: 25_000,
        bytes: usize::MAX,
    };
    let properties = properties().set_write_batch_size(1024).build();
    let whole = [batch(&rows)];
    let expected = written(&whole, &places(&whole), &[], properties.clone(), limit);
    for size in [1, 777, 2_048, 29_999] {
        let mut encoder = Encoder::new(Vec::new(), &whole[0].schema(), properties.clone(), limit).unwrap();
        for rows in rows.chunks(size) {
            let batch = [batch(rows)];
            encoder.append(&batch, &places(&batch)).unwrap();
        }
        encoder.finish().unwrap();
        assert!(*encoder.output() == expected, "batches of {size} rows");
    }
    let reversed: Vec<RecordBatch> = rows.chunks(1_000).rev().map(batch).collect();
    let places: Vec<(usize, usize)> = (0..30)
        .rev()
        .flat_map(|batch| (0..1_000).map(move |row| (batch, row)))
        .collect();
    let ends = [1, 2_047, 2_049, 24_999];
    assert!(written(&reversed, &places, &ends, properties, limit) == expected);
}

#[test]
fn a_chunk_of_large_values_is_no_larger_than_they_are() {
    let row = |number: usize| -> Row {
        let long = "x".repeat(3 << 20);
        (
            format!("{number}{long}"),
            Some(long),
            None,
            (None, None, None),
            None,
            None,
        )
    };
    let batches: Vec<RecordBatch> = (0..12).map(|number| batch(&[row(number)])).collect();
    let limit = RowGroups {
        rows: 100,
        bytes: 30 << 20,
    };
    let file = written(&batches, &places(&batches), &[], properties().build(), limit);
    let groups: Vec<i64> = metadata(&file)
        .row_groups()
        .iter()
        .map(|group| group.num_rows())
        .collect();
    // 9 MiB each: the text is in two columns
    assert_eq!(groups, [4, 4, 4]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    let read: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(read, 12);
}
