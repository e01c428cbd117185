mod index;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, MapBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;

use crate::table::encoder::Encoder;
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
    let builder = WriterProperties::builder().set_column_bloom_filter_enabled(ColumnPath::from("text"), true);
    let builder = plain(builder, "id")
        .set_column_encoding(ColumnPath::from("id"), Encoding::PLAIN)
        .set_column_bloom_filter_enabled(ColumnPath::from("id"), true);
    plain(plain(builder, "json"), "time")
}

/// The rows as a file, given in parts that end at these places.
fn written(
    batches: &[&RecordBatch],
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

/// What the index of a column's pages tells of each.
fn pages(index: &ColumnIndexMetaData) -> (BoundaryOrder, Vec<(bool, Option<i64>, String)>) {
    let bounds = |page: usize| match index {
        ColumnIndexMetaData::BOOLEAN(index) => {
            format!("{:?}", (index.min_value(page), index.max_value(page)))
        }
        ColumnIndexMetaData::INT64(index) => format!("{:?}", (index.min_value(page), index.max_value(page))),
        ColumnIndexMetaData::DOUBLE(index) => format!("{:?}", (index.min_value(page), index.max_value(page))),
        ColumnIndexMetaData::BYTE_ARRAY(index) => {
            format!("{:?}", (index.min_value(page), index.max_value(page)))
        }
        other => panic!("{other:?}"),
    };
    let count = usize::try_from(index.num_pages()).unwrap();
    let told = (0..count).map(|page| (index.is_null_page(page), index.null_count(page), bounds(page)));
    (index.get_boundary_order().unwrap(), told.collect())
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
        let batches = [&whole, &part, &rest];
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
        let again = written(&[&part, &whole], &places.iter().map(|(batch, row)| (1 - batch, *row)).collect::<Vec<_>>(), &ends, properties, limit);
        prop_assert_eq!(&file, &again);
        let expected = interleave_record_batch(&batches, &places).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
        let reader = reader.with_batch_size(1_000).build().unwrap();
        let read: Vec<RecordBatch> = reader.collect::<std::result::Result<_, _>>().unwrap();
        let read = arrow::compute::concat_batches(&read[0].schema(), &read).unwrap();
        prop_assert_eq!(read.columns(), expected.columns());
        let told = metadata(&file);
        prop_assert!(told.row_groups()[..told.num_row_groups() - 1].iter().all(|group| group.num_rows() <= group_rows as i64));
    }

    /// What a file tells of its columns is what the parquet crate's own writer would tell.
    #[test]
    fn files_tell_what_the_library_would(rows in prop::collection::vec(row(), 1..60), page_rows in 1..40_usize) {
        let batch = batch(&rows);
        // the library looks whether a page is full only behind so many values
        let properties = properties().set_data_page_row_count_limit(page_rows).set_write_batch_size(1).build();
        let places: Vec<(usize, usize)> = (0..rows.len()).map(|row| (0, row)).collect();
        let limit = RowGroups { rows: 1_000, bytes: usize::MAX };
        let ours = metadata(&written(&[&batch], &places, &[], properties.clone(), limit));
        let mut theirs = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        theirs.write(&batch).unwrap();
        let theirs = metadata(&theirs.into_inner().unwrap().into());
        prop_assert_eq!(ours.file_metadata().key_value_metadata(), theirs.file_metadata().key_value_metadata());
        prop_assert_eq!(ours.file_metadata().schema(), theirs.file_metadata().schema());
        for (ours, theirs) in ours.row_group(0).columns().iter().zip(theirs.row_group(0).columns()) {
            let name = ours.column_path();
            prop_assert_eq!(ours.num_values(), theirs.num_values(), "{}", name);
            prop_assert_eq!(ours.encodings_mask(), theirs.encodings_mask(), "{}", name);
            prop_assert_eq!(ours.page_encoding_stats(), theirs.page_encoding_stats(), "{}", name);
            // the library writes a bound whole that has no short one, which ours leaves out
            let has_bounds = ours.statistics().is_some_and(|bounds| bounds.min_bytes_opt().is_some());
            let is_short = |bounds: &Statistics| bounds.max_bytes_opt().is_none_or(|most| most.len() <= 64);
            if has_bounds || theirs.statistics().is_none_or(is_short) {
                prop_assert_eq!(ours.statistics(), theirs.statistics(), "{}", name);
            }
            prop_assert_eq!(ours.bloom_filter_length().is_some(), theirs.bloom_filter_length().is_some(), "{}", name);
        }
        let names: Vec<String> = ours.row_group(0).columns().iter().map(|column| column.column_path().string()).collect();
        let [ours, theirs] = [ours, theirs].map(|told| told.page_index_for_row_group(0));
        for (column, name) in names.iter().enumerate() {
            // where a page of lists has as many nulls as rows, the library takes it for one without values
            let is_short = |text: &String| text.len() <= 64;
            let all_short = rows.iter().all(|row| is_short(&row.0) && row.1.as_ref().is_none_or(is_short));
            // and it claims an order of bounds that are cut short by those that are not
            if !name.contains('.') && (all_short || !["id", "text", "json"].contains(&name.as_str())) {
                prop_assert_eq!(pages(ours.column_index(column).unwrap()), pages(theirs.column_index(column).unwrap()), "{}", column);
            }
            let [ours, theirs] = [&ours, &theirs].map(|told| told.offset_index(column).unwrap());
            let rows = |pages: &OffsetIndexMetaData| pages.page_locations.iter().map(|page| page.first_row_index).collect::<Vec<_>>();
            prop_assert_eq!(rows(ours), rows(theirs), "{}", column);
        }
    }
}

#[test]
fn a_page_of_lists_with_nulls_beside_values_is_none_without_values() {
    let list = |values: &[Option<&str>]| -> Row {
        let list = values.iter().map(|value| value.map(String::from)).collect();
        (String::new(), None, None, (None, None, None), Some(list), None)
    };
    let rows = [list(&[None, Some("a")]), list(&[None]), list(&[])];
    let batch = batch(&rows);
    let properties = properties().set_data_page_row_count_limit(1).build();
    let limit = RowGroups {
        rows: 10,
        bytes: usize::MAX,
    };
    let places = [(0, 0), (0, 1), (0, 2)];
    let told = metadata(&written(&[&batch], &places, &[], properties, limit));
    let pages = told.page_index_for_row_group(0);
    let pages = pages.column_index(7).unwrap();
    let empty: Vec<bool> = (0..3).map(|page| pages.is_null_page(page)).collect();
    assert_eq!(empty, [false, true, true]);
}
