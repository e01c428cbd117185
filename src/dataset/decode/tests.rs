use arrow::compute::concat_batches;
use proptest::prelude::*;

use super::*;
use crate::dataset::json::Value;
use crate::dataset::json::tests::json;
use crate::dataset::peek;

/// Objects of these keys, in any order, some of them twice, with space at some places.
fn object(keys: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    let space = "[ \n]{0,1}";
    let entry = (prop::sample::select(keys), space, space, json());
    let entry = entry.prop_map(|(key, before, behind, value)| format!("{before}\"{key}\"{behind}:{value}"));
    prop::collection::vec(entry, 0..most).prop_map(|entries| format!("{{{}}}", entries.join(",")))
}

fn record() -> impl Strategy<Value = String> {
    const FIELDS: &[&str] = &[
        "locale",
        "startTime",
        "time",
        "_id",
        "lastActionAt",
        "tags",
        "metadata",
        "more",
        "mor\\u0065",
        "x",
    ];
    const KEYS: &[&str] = &[
        "a",
        "b",
        "\\u0061",
        "a key of more than thirty-two characters",
        "客户",
    ];
    (
        object(FIELDS, 5),
        prop::option::of(object(KEYS, 6)),
        prop::option::of(0..9),
    )
        .prop_map(|(fields, metadata, id)| {
            let fields = &fields[1..fields.len() - 1];
            let id = id.map(|id| format!("\"_id\":{id}"));
            let metadata = metadata.map(|metadata| format!("\"metadata\":{metadata}"));
            let fields = (!fields.is_empty()).then(|| fields.to_owned());
            let all: Vec<String> = [id, fields, metadata].into_iter().flatten().collect();
            format!("{{{}}}", all.join(","))
        })
}

fn page(records: &[String]) -> Decoded {
    let page = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
    let table_options = TableOptions {
        metadata: MetadataMode::Both,
        ..TableOptions::default()
    };
    decode_as(Dataset::Conversations, &table_options, None, page.as_bytes()).unwrap()
}

proptest! {
    /// What was learnt of the keys of earlier records changes nothing of a later one.
    #[test]
    fn records_become_the_rows_that_each_becomes_alone(records in prop::collection::vec(record(), 1..6)) {
        let all = page(&records);
        let alone: Vec<Decoded> = records.iter().map(|record| page(std::slice::from_ref(record))).collect();
        let rows = concat_batches(&all.batch.schema(), alone.iter().map(|page| &page.batch)).unwrap();
        prop_assert_eq!(&rows, &all.batch);
        let rejected: Vec<&str> = alone.iter().flat_map(|page| &page.rejected).map(|it| it.raw.as_str()).collect();
        prop_assert_eq!(rejected, all.rejected.iter().map(|it| it.raw.as_str()).collect::<Vec<_>>());
        let mut observed = ObservedKeys::default();
        alone.iter().for_each(|page| observed.add(&page.observed));
        prop_assert_eq!(observed, all.observed);
    }

    /// One look at a page tells the same, whether rows were made of it or not.
    #[test]
    fn rows_tell_what_a_look_at_their_page_does(
        records in prop::collection::vec(prop_oneof![4 => record(), 1 => json()], 0..6),
        cursor in prop::sample::select(vec!["", ",\"cursor\":null", ",\"cursor\":\"\"", ",\"cursor\":\"a\""]),
        metadata in prop::sample::select(MetadataMode::ALL.to_vec()),
    ) {
        let page = format!(r#"{{"data":[{}]{cursor}}}"#, records.join(","));
        for dataset in Dataset::ALL {
            let table_options = TableOptions { metadata, ..TableOptions::default() };
            let rows = decode_as(dataset, &table_options, None, page.as_bytes()).unwrap();
            prop_assert_eq!(rows.peek(dataset), peek(dataset, page.as_bytes()).unwrap());
        }
    }

    /// What is taken as it stands is what would have been written.
    #[test]
    fn plain_text_is_the_compact_form(text in json()) {
        let mut walk = Walk::new(&text);
        let raw = walk.raw();
        let mut written = String::new();
        Writer::default().push(raw.value(), &mut written);
        if raw.plain && raw.r#type != Type::Null {
            prop_assert_eq!(raw.text, &written);
        }
        // and the compact form is taken as it stands, but for escapes
        if !written.contains('\\') && matches!(raw.r#type, Type::List | Type::Object) {
            prop_assert!(Walk::new(&written).raw().plain, "{}", written);
        }
        if raw.is_object() {
            let (mut names, mut entries) = (KeyTable::default(), Vec::new());
            let read = names.object(&mut Walk::new(&text), &mut entries);
            prop_assert_eq!(read.value(), Value::Object(raw.text));
            prop_assert!(!read.plain || read.text == written, "{}", text);
        }
    }
}

/// Records of a page that is read as it is, with what a look at it shows.
fn read(dataset: Dataset, metadata: MetadataMode, records: &[u8]) -> Decoded {
    let page = [br#"{"data":["#, records, br#"],"cursor":null}"#].concat();
    let table_options = TableOptions {
        metadata,
        ..TableOptions::default()
    };
    let decoded = decode_as(dataset, &table_options, None, &page).unwrap();
    assert_eq!(decoded.peek(dataset), peek(dataset, &page).unwrap());
    decoded
}

/// A row as JSON text of its columns, `null` where one is null.
fn shown(decoded: &Decoded, column: &str) -> Vec<String> {
    let array = decoded.batch.column_by_name(column).unwrap();
    let array = arrow::compute::cast(array, &plain(array.data_type())).unwrap();
    let options = arrow::util::display::FormatOptions::default().with_null("null");
    let shown = arrow::util::display::ArrayFormatter::try_new(&array, &options).unwrap();
    (0..array.len()).map(|row| shown.value(row).to_string()).collect()
}

/// A type without dictionaries.
fn plain(r#type: &arrow::datatypes::DataType) -> arrow::datatypes::DataType {
    match r#type {
        arrow::datatypes::DataType::Map(..) => Kind::TextMap.data_type(),
        other => other.clone(),
    }
}

#[test]
fn invariant_5_an_id_is_a_text_that_is_not_empty_or_a_number() {
    let records = br#"{"_id":""},{"_id":"","startTime":1},{"_id":" "},{"_id":"\u0020\t"},{"_id":0},{"_id":"a"},{"_id":"a","_id":""}"#;
    let decoded = read(Dataset::Conversations, MetadataMode::Map, records);
    assert_eq!(shown(&decoded, "id"), [" ", " \t", "0", "a"]);
    let rejected: Vec<(&str, Reason)> = decoded
        .rejected
        .iter()
        .map(|it| (it.raw.as_str(), it.reason))
        .collect();
    assert_eq!(rejected.len(), 3);
    assert_eq!(rejected[1], (r#"{"_id":"","startTime":1}"#, Reason::NoId));
    let hashes: std::collections::HashSet<u64> = decoded
        .peek(Dataset::Conversations)
        .records
        .iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(hashes.len(), 7);
}

#[test]
fn invariant_5_ids_that_no_text_can_store_do_not_become_one() {
    let records = [
        br#"{"_id":"a\ud800"},{"_id":"a\ud801"},{"_id":"\ud83d\ude00"},{"_id":"a\ufffd"},"#.as_slice(),
        b"{\"_id\":\"a\xff\"},{\"_id\":\"a\xfe\"}",
    ];
    let decoded = read(Dataset::Conversations, MetadataMode::Map, &records.concat());
    assert_eq!(shown(&decoded, "id"), ["\u{1f600}", "a\u{fffd}"]);
    let raw: Vec<&str> = decoded.rejected.iter().map(|it| it.raw.as_str()).collect();
    assert_eq!(
        raw,
        [
            r#"{"_id":"a\ud800"}"#,
            r#"{"_id":"a\ud801"}"#,
            r#"{"_id":"a\udcff"}"#,
            r#"{"_id":"a\udcfe"}"#
        ]
    );
    let hashes: std::collections::HashSet<u64> = decoded
        .peek(Dataset::Conversations)
        .records
        .iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(hashes.len(), 6);
    let records = br#"{"_id":1,"conversationId":"\ud800"},{"_id":2,"conversationId":"\uD801"},{"_id":3,"conversationId":""}"#;
    let decoded = read(Dataset::Messages, MetadataMode::Map, records);
    assert_eq!(shown(&decoded, "conversation_id"), ["null", "null", ""]);
    let extra = shown(&decoded, "extra");
    assert_eq!(
        extra,
        [r"{conversationId: \ud800}", r"{conversationId: \uD801}", "null"]
    );
}

#[test]
fn invariant_5_keys_that_no_text_can_store_do_not_become_one() {
    let records = [
        br#"{"_id":1,"metadata":{"\ud800":1,"\ud801":2,"n":{"\udc00":[3],"\udc01":4,"\udc01":5}},"\ud800":6,"\ud801":7},"#.as_slice(),
        b"{\"_id\":2,\"metadata\":{\"k\xff\":1,\"k\xfe\":2,\"\\ud800\":3}},{\"\\ud800\":1,\"\\ud801\":2}",
    ];
    let records = records.concat();
    let decoded = read(Dataset::Conversations, MetadataMode::Both, &records);
    let nested = "{\"\u{fffd}dc00\":[3],\"\u{fffd}dc01\":5}";
    assert_eq!(
        shown(&decoded, "metadata"),
        [
            format!("{{\u{fffd}d800: 1, \u{fffd}d801: 2, n: {nested}}}"),
            "{k\u{fffd}dcff: 1, k\u{fffd}dcfe: 2, \u{fffd}: 3}".into(),
        ]
    );
    assert_eq!(
        shown(&decoded, "metadata_json")[0],
        format!("{{\"\u{fffd}d800\":1,\"\u{fffd}d801\":2,\"n\":{nested}}}")
    );
    assert_eq!(shown(&decoded, "extra")[0], "{\u{fffd}d800: 6, \u{fffd}d801: 7}");
    assert_eq!(
        decoded.rejected[0].raw, r#"{"\ud800":1,"\ud801":2}"#,
        "complete, as it came"
    );
    assert_eq!(decoded.observed.replaced_characters, 14 - 2 - 2 + 2);
}
