use proptest::prelude::*;

use super::*;
use crate::dataset::json::tests::json;
use crate::dataset::{PrivacyRules, decode_as};

fn table_options(metadata: MetadataMode, promote: &[&str]) -> TableOptions {
    TableOptions {
        metadata,
        promote: Promoted::list(promote).unwrap(),
    }
}

const PAGE: &str = r#"{"data":[
    {"_id":"1","metadata":{"n":5,"t":"5","a":{"b" : [1e400,null], "b":"\ud800"},"n":7,"":null,"k.\u00e9":true}},
    {"_id":"2","metadata":{}},
    {"_id":"3","metadata":null},
    {"_id":"4","metadata":"none"},
    {"_id":"5","metadata":[{"n":1}]},
    {"_id":"6"},
    {"_id":"7","more":1,"metadata":{"n":"no number","t":"{\"x\":\"\\u0041\"}"}}
]}"#;

/// One that takes nothing out.
fn idle() -> PrivacyFilter {
    PrivacyFilter::new(&PrivacyRules::default(), None).unwrap()
}

fn decoded(table_options: &TableOptions) -> (RecordBatch, Vec<TypeMismatch>) {
    let decoded = decode_as(Dataset::Conversations, table_options, None, PAGE.as_bytes()).unwrap();
    (decoded.batch, decoded.mismatches)
}

#[test]
fn json_is_the_object_as_it_came_but_for_space_and_repeated_keys() {
    let (batch, _) = decoded(&table_options(MetadataMode::Json, &[]));
    let texts: Vec<_> = batch
        .column_by_name("metadata")
        .unwrap()
        .as_string::<i32>()
        .iter()
        .collect();
    assert_eq!(
        texts,
        [
            Some("{\"t\":\"5\",\"a\":{\"b\":\"\u{fffd}\"},\"n\":7,\"\":null,\"k.é\":true}"),
            Some("{}"),
            None,
            None,
            None,
            None,
            Some(r#"{"n":"no number","t":"{\"x\":\"\\u0041\"}"}"#)
        ]
    );
    // what is no object is kept where it is kept in every mode
    let extra = |mode| {
        decoded(&table_options(mode, &[]))
            .0
            .column_by_name("extra")
            .unwrap()
            .clone()
    };
    assert_eq!(&extra(MetadataMode::Json), &extra(MetadataMode::Map));
    let (both, _) = decoded(&table_options(MetadataMode::Both, &[]));
    assert_eq!(
        both.column_by_name("metadata_json"),
        batch.column_by_name("metadata")
    );
    let (map, _) = decoded(&TableOptions::default());
    assert_eq!(both.column_by_name("metadata"), map.column_by_name("metadata"));
}

#[test]
fn invariant_8_rows_in_another_form_are_what_a_page_would_have_given() {
    let promotions: [&[&str]; 3] = [&[], &["n:int64", "t", "a.b:json=ab"], &["t:json", "n"]];
    let shapes = || {
        MetadataMode::ALL
            .into_iter()
            .flat_map(|mode| promotions.map(|list| table_options(mode, list)))
    };
    for to in shapes() {
        let expected = decoded(&to);
        assert_eq!(to.schema(Dataset::Conversations), expected.0.schema());
        for from in shapes() {
            let made = to.of(&from, &idle(), Dataset::Conversations, &decoded(&from).0);
            if from.metadata == MetadataMode::Map && to.metadata != MetadataMode::Map {
                assert!(made.is_none());
            } else if from == to {
                assert_eq!(made.unwrap().0, expected.0);
            } else {
                assert_eq!(made.unwrap(), expected, "{from:?} to {to:?}");
            }
        }
    }
    let mismatches = decoded(&table_options(MetadataMode::Map, promotions[1])).1;
    assert_eq!(mismatches, [TypeMismatch { row: 6, column: 0 }]);
}

#[test]
fn messages_have_one_form() {
    let some = table_options(MetadataMode::Both, &["system"]);
    assert_eq!(some.schema(Dataset::Messages), Dataset::Messages.schema());
    let page = br#"{"data":[{"_id":"1","metadata":{"a":1}}]}"#;
    let rows = decode_as(Dataset::Messages, &some, None, page).unwrap().batch;
    assert_eq!(Dataset::Messages.schema(), rows.schema());
    assert_eq!(
        some.of(&TableOptions::default(), &idle(), Dataset::Messages, &rows)
            .unwrap()
            .0,
        rows
    );
}

#[test]
fn two_columns_never_have_one_name() {
    table_options(MetadataMode::Map, &["system", "plan", "PLAN=other"])
        .check()
        .unwrap();
    for promote in [
        "ID",
        "start_time:int64",
        "Metadata_JSON",
        "date",
        "bot=month",
        "x=Channel",
    ] {
        let error = table_options(MetadataMode::Map, &["system", promote])
            .check()
            .unwrap_err();
        assert!(error.hint.contains("=NAME"), "{promote}: {error:?}");
    }
    assert!(
        table_options(MetadataMode::Map, &["plan", "pl-an=Plan"])
            .check()
            .is_err()
    );
}

#[test]
fn what_is_not_asked_for_stays() {
    let one = table_options(MetadataMode::Json, &["a", "b"]);
    assert_eq!(one.with(None, None), one);
    let other_order = Promoted::list(&["b", "a"]).unwrap();
    assert_eq!(one.with(None, Some(&other_order)), one);
    let other = one.with(Some(MetadataMode::Both), Some(&other_order[1..]));
    assert_eq!(other, table_options(MetadataMode::Both, &["a"]));
    assert_eq!(one.with(None, Some(&[])).promote, []);
    let twice = Promoted::list(&["a", "a"]).unwrap();
    assert!(one.with(None, Some(&twice)).check().is_err());
    let written = serde_json::to_string(&one).unwrap();
    assert_eq!(
        written,
        r#"{"metadata":"json","promote":["a:string=a","b:string=b"]}"#
    );
    assert_eq!(serde_json::from_str::<TableOptions>(&written).unwrap(), one);
    assert_eq!(
        serde_json::from_str::<TableOptions>("{}").unwrap(),
        TableOptions::default()
    );
}

proptest! {
    #[test]
    fn invariant_8_any_metadata_gives_the_same_rows_by_every_way(values in prop::collection::vec(json(), 1..5)) {
        let keys = ["a", "b.c", "a", "b"].iter().zip(values);
        let entries: Vec<String> = keys.map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let page = format!(r#"{{"data":[{{"_id":1,"metadata":{{{}}}}}]}}"#, entries.join(","));
        let promote = ["a", "a.b=ab", "b.c:json=bc", "b:float64", "b.a:int64=ba", "a:timestamp=at"];
        let rows = |table_options: &TableOptions| {
            let decoded = decode_as(Dataset::Conversations, table_options, None, page.as_bytes()).unwrap();
            (decoded.batch, decoded.mismatches)
        };
        let full = MetadataMode::ALL.map(|mode| table_options(mode, &promote));
        for from in MetadataMode::ALL.map(|mode| table_options(mode, &[])) {
            let bare = rows(&from).0;
            for to in full.iter().filter(|to| to.can_be_made_from(&from)) {
                prop_assert_eq!(to.of(&from, &idle(), Dataset::Conversations, &bare).unwrap(), rows(to));
            }
        }
    }
}
