//! The index of a column's pages, searched by the rules of parquet-mr (`ColumnIndexBuilder`, `BoundaryOrder`).

use std::cmp::Ordering;

use arrow::array::{Array, AsArray};

use super::*;
use crate::dataset::{Dataset, MetadataMode, Promoted, TableOptions, decode_as};
use crate::table::{PartitionBy, PartitionDate, PartitionKey, Settings, file_properties};

/// The bounds of the pages that have values, and the place of each among all pages.
#[derive(Debug)]
struct Index {
    order: BoundaryOrder,
    pages: Vec<(usize, Vec<u8>, Vec<u8>)>,
}

impl Index {
    fn of(index: &ColumnIndexMetaData) -> Option<Self> {
        let ColumnIndexMetaData::BYTE_ARRAY(texts) = index else {
            return None;
        };
        let count = usize::try_from(index.num_pages()).unwrap();
        let pages = (0..count).filter(|page| !index.is_null_page(*page)).map(|page| {
            let bound = |bound: Option<&[u8]>| bound.unwrap().to_vec();
            (page, bound(texts.min_value(page)), bound(texts.max_value(page)))
        });
        Some(Self {
            order: index.get_boundary_order().unwrap(),
            pages: pages.collect(),
        })
    }

    /// The pages that may have a value equal to this one.
    fn equal(&self, value: &[u8]) -> Vec<usize> {
        // how a value stands to the bounds of a page, in the order of the pages
        let below = |page: usize| value.cmp(&self.pages[page].1) == Ordering::Less;
        let above = |page: usize| value.cmp(&self.pages[page].2) == Ordering::Greater;
        let found = match self.order {
            BoundaryOrder::UNORDERED => {
                let may = |page: &usize| !below(*page) && !above(*page);
                (0..self.pages.len()).filter(may).collect()
            }
            BoundaryOrder::ASCENDING => self.between(below, above),
            BoundaryOrder::DESCENDING => self.between(above, below),
        };
        found.into_iter().map(|page| self.pages[page].0).collect()
    }

    /// `findBounds`: the first and the last page by binary search.
    fn between(&self, is_before: impl Fn(usize) -> bool, is_behind: impl Fn(usize) -> bool) -> Vec<usize> {
        let (mut left, mut right) = (0, self.pages.len());
        let (mut first, mut last) = (None, None);
        while left < right {
            let middle = (left + right) / 2;
            if is_before(middle) {
                right = middle;
            } else if is_behind(middle) {
                left = middle + 1;
            } else {
                (first, right) = (Some(middle), middle);
            }
        }
        (left, right) = (0, self.pages.len());
        while left < right {
            let middle = (left + right) / 2;
            if is_before(middle) {
                right = middle;
            } else if is_behind(middle) {
                left = middle + 1;
            } else {
                (last, left) = (Some(middle), middle + 1);
            }
        }
        first
            .zip(last)
            .map_or(Vec::new(), |(first, last)| (first..=last).collect())
    }
}

/// The order that is claimed, checked pair by pair.
fn obeys(index: &Index) -> bool {
    let pairs = || {
        index
            .pages
            .windows(2)
            .map(|pair| (pair[0].1.cmp(&pair[1].1), pair[0].2.cmp(&pair[1].2)))
    };
    match index.order {
        BoundaryOrder::ASCENDING => pairs().all(|(least, greatest)| least.is_le() && greatest.is_le()),
        BoundaryOrder::DESCENDING => pairs().all(|(least, greatest)| least.is_ge() && greatest.is_ge()),
        BoundaryOrder::UNORDERED => true,
    }
}

proptest! {
    /// No page that has a value is left out by a search for it, and no bound is long.
    #[test]
    fn a_search_by_the_index_finds_every_page_that_has_the_value(
        mut rows in prop::collection::vec(row(), 1..60),
        order in 0..3,
        page_rows in 1..4_usize,
    ) {
        match order {
            0 => rows.sort_unstable_by(|a, b| a.0.cmp(&b.0)),
            1 => rows.sort_unstable_by(|a, b| b.1.cmp(&a.1)),
            _ => {}
        }
        let batch = batch(&rows);
        let properties = properties().set_data_page_row_count_limit(page_rows).build();
        let limit = RowGroups { rows: 1_000, bytes: usize::MAX };
        let batches = [batch];
        let told = metadata(&written(&batches, &places(&batches), &[], properties, limit));
        let [batch] = batches;
        for column in told.row_group(0).columns() {
            let bounds = column.statistics().map(|all| [all.min_bytes_opt(), all.max_bytes_opt()]);
            for bound in bounds.into_iter().flatten().flatten() {
                prop_assert!(bound.len() <= 64, "{} bytes", bound.len());
            }
        }
        let pages = told.page_index_for_row_group(0);
        for (column, name) in ["id", "text", "json"].into_iter().enumerate() {
            let Some(index) = pages.column_index(column).and_then(Index::of) else {
                continue;
            };
            prop_assert!(obeys(&index), "{} {:?} {:?}", name, index.order, index.pages);
            prop_assert!(index.pages.iter().all(|(_, least, greatest)| least.len() <= 64 && greatest.len() <= 64));
            let texts = batch.column_by_name(name).unwrap().as_string::<i32>();
            let locations = &pages.offset_index(column).unwrap().page_locations;
            for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
                let page = locations.partition_point(|page| page.first_row_index <= row as i64) - 1;
                let found = index.equal(texts.value(row).as_bytes());
                prop_assert!(found.contains(&page), "{} of row {}: page {} is not in {:?}", name, row, page, found);
            }
        }
    }
}

/// A chunk of so many ids, one a page, and their index.
fn ids(ids: &[String]) -> (Arc<ParquetMetaData>, Option<Index>) {
    let row = |id: &String| -> Row { (id.clone(), None, None, (None, None, None), None, None) };
    let batches = [batch(&ids.iter().map(row).collect::<Vec<_>>())];
    let properties = properties().set_data_page_row_count_limit(1).build();
    let limit = RowGroups {
        rows: 1_000,
        bytes: usize::MAX,
    };
    let told = metadata(&written(&batches, &places(&batches), &[], properties, limit));
    let index = told
        .page_index_for_row_group(0)
        .column_index(0)
        .and_then(Index::of);
    (told, index)
}

#[test]
fn bounds_that_are_truncated_claim_no_order_that_they_lack() {
    let same = "x".repeat(62);
    // the second is greater, and the first, truncated to a text that is greater still, is not below it
    let (told, index) = ids(&[format!("{same}\u{7f}\u{7f}a"), format!("{same}\u{80}")]);
    assert!(index.is_none(), "{index:?}");
    let bounds = told.row_group(0).column(0).statistics().unwrap();
    assert!(bounds.min_bytes_opt().is_some());
    for (last, expected) in [
        (["xxa", "xxb", "y"], BoundaryOrder::ASCENDING),
        (["y", "xxb", "xxa"], BoundaryOrder::DESCENDING),
        (["xxb", "y", "xxa"], BoundaryOrder::UNORDERED),
    ] {
        let (_, index) = ids(&last.map(|last| format!("{same}{last}")));
        let index = index.unwrap();
        assert_eq!(index.order, expected);
        assert!(obeys(&index), "{index:?}");
    }
}

#[test]
fn a_bound_without_a_short_one_above_it_is_left_out() {
    for last in ["\u{10ffff}", "\u{7f}", "\u{7ff}"] {
        let (told, index) = ids(&["a".into(), last.repeat(1_000_000), "b".into()]);
        assert!(index.is_none(), "{last:?}");
        let bounds = told.row_group(0).column(0).statistics().unwrap();
        assert_eq!(
            (bounds.max_bytes_opt(), bounds.min_bytes_opt()),
            (None, None),
            "{last:?}"
        );
        assert_eq!(bounds.null_count_opt(), Some(0));
    }
    let (_, index) = ids(&["\u{10ffff}".repeat(16), "a".into()]);
    assert!(index.is_some(), "it is short enough to be written whole");
}

/// The file of some conversations as a table writes it, with metadata as map and as JSON.
fn conversations(records: &[String]) -> Bytes {
    let promote = ["a", "n:int64", "t:timestamp", "f:float64", "b:bool", "j:json"];
    let table_options = TableOptions {
        metadata: MetadataMode::Both,
        promote: Promoted::list(&promote).unwrap(),
    };
    let page = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
    let decoded = decode_as(Dataset::Conversations, &table_options, None, page.as_bytes()).unwrap();
    let key = PartitionKey {
        dataset: Dataset::Conversations,
        bot: "r3".into(),
        date: PartitionDate::timeless(PartitionBy::Day),
    };
    let mut settings = Settings::new("https://api.example.com", "UTC");
    settings.table_options = table_options;
    let properties = file_properties(&key, &settings).unwrap();
    let schema = settings.table_options.schema(Dataset::Conversations);
    let batches = [decoded.batch];
    let mut encoder = Encoder::new(Vec::new(), &schema, properties, RowGroups::default()).unwrap();
    encoder.append(&batches, &places(&batches)).unwrap();
    encoder.finish().unwrap();
    std::mem::take(encoder.output_mut()).into()
}

#[test]
fn pages_have_bounds_in_short_columns_only() {
    let record = r#"{"_id":"1","startTime":1,"lastActionAt":2,"locale":"en","tags":["a"],
        "metadata":{"a":"x","n":1,"t":1744750665,"f":1.5,"b":true,"j":{}},"more":1}"#;
    let told = metadata(&conversations(&[record.into()]));
    let pages = told.page_index_for_row_group(0);
    let mut indexed = Vec::new();
    for (place, column) in told.row_group(0).columns().iter().enumerate() {
        let name = column.column_path().string();
        assert!(column.statistics().is_some(), "{name}");
        assert!(
            !column.encodings().any(|encoding| {
                matches!(
                    encoding,
                    Encoding::DELTA_BINARY_PACKED
                        | Encoding::DELTA_BYTE_ARRAY
                        | Encoding::DELTA_LENGTH_BYTE_ARRAY
                )
            }),
            "{name}: few readers know its encoding"
        );
        if pages.column_index(place).is_some() {
            indexed.push(name);
        }
    }
    assert_eq!(
        indexed,
        ["id", "start_time", "last_action_at", "locale", "n", "t", "f", "b"]
    );
}

#[test]
fn pages_with_as_many_nulls_as_rows_are_not_without_values() {
    // two rows, and two nulls beside a value: the parquet crate takes the page for one without values
    let record = |id: u32, tags: &str, metadata: &str| {
        format!(r#"{{"_id":"{id}","startTime":1,"tags":{tags},"metadata":{metadata}}}"#)
    };
    let records = [
        record(1, r#"[null,"a"]"#, r#"{"k":null,"l":"v"}"#),
        record(2, "[null]", r#"{"k":null}"#),
    ];
    let told = metadata(&conversations(&records));
    let pages = told.page_index_for_row_group(0);
    for (place, column) in told.row_group(0).columns().iter().enumerate() {
        let name = column.column_path().string();
        let nulls = column
            .statistics()
            .and_then(|bounds| bounds.null_count_opt())
            .unwrap();
        if let Some(index) = pages.column_index(place) {
            let is_empty = nulls == column.num_values().unsigned_abs();
            assert_eq!(index.is_null_page(0), is_empty, "{name}");
        }
        if name.starts_with("tags") || name == "metadata.key_value.value" {
            assert_eq!((nulls, column.num_values()), (2, 3), "{name}");
            assert!(column.statistics().unwrap().max_bytes_opt().is_some(), "{name}");
        }
    }
    // with an index of its pages, whatever the properties say
    let list = |values: &[Option<&str>]| -> Row {
        let list = values.iter().map(|value| value.map(String::from)).collect();
        (String::new(), None, None, (None, None, None), Some(list), None)
    };
    let batches = [batch(&[list(&[None, Some("a")]), list(&[None])])];
    let limit = RowGroups::default();
    let told = metadata(&written(
        &batches,
        &places(&batches),
        &[],
        properties().build(),
        limit,
    ));
    let pages = told.page_index_for_row_group(0);
    let repeated = told.file_metadata().schema_descr().columns().iter().enumerate();
    for (place, _) in repeated.filter(|(_, column)| column.max_rep_level() > 0) {
        assert!(pages.column_index(place).is_none());
    }
}

#[test]
fn a_footer_is_small_whatever_the_texts_are() {
    let last = "\u{10ffff}".repeat(250_000);
    // 63 bytes, and a character that does not end at the 64th
    let within = format!("{}é", "x".repeat(58));
    for text in [last, within.repeat(1_000)] {
        let record = format!(
            r#"{{"_id":"{text}","startTime":1,"locale":"{text}","tags":["{text}"],"metadata":{{"{text}":"{text}","a":"{text}"}},"more":"{text}"}}"#
        );
        let file = conversations(&[record]);
        let footer = file[file.len() - 8..]
            .first_chunk()
            .copied()
            .map(u32::from_le_bytes)
            .unwrap();
        assert!(footer < 8_000, "{footer} bytes");
        let told = metadata(&file);
        for column in told.row_group(0).columns() {
            let bounds = column.statistics().unwrap();
            for bound in [bounds.min_bytes_opt(), bounds.max_bytes_opt()]
                .into_iter()
                .flatten()
            {
                assert!(bound.len() <= 64 && (bound.len() == 8 || std::str::from_utf8(bound).is_ok()));
            }
        }
    }
}
