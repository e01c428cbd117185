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
    let shape = Shape {
        metadata: MetadataMode::Both,
        ..Shape::default()
    };
    decode_as(Dataset::Conversations, &shape, None, page.as_bytes()).unwrap()
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
        let mut observed = Observed::default();
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
            let shape = Shape { metadata, ..Shape::default() };
            let rows = decode_as(dataset, &shape, None, page.as_bytes()).unwrap();
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
            let (mut names, mut entries) = (Names::default(), Vec::new());
            let read = names.object(&mut Walk::new(&text), &mut entries);
            prop_assert_eq!(read.value(), Value::Object(raw.text));
            prop_assert!(!read.plain || read.text == written, "{}", text);
        }
    }
}
