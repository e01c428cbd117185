use arrow::array::{AsArray, RecordBatch};

use super::*;
use crate::dataset::{Dataset, TableOptions, decode, decode_as};

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn secret() -> Option<Secret> {
    Secret::new(b"a secret that nobody knows")
}

fn rules(drop: &[&str], hash: &[&str], mask_ip: bool) -> PrivacyRules {
    PrivacyRules {
        drop_keys: patterns(drop),
        hash_keys: patterns(hash),
        mask_ip,
        secret_check: None,
    }
}

fn rows(dataset: Dataset, record: &str) -> RecordBatch {
    let page = format!(r#"{{"data":[{record}],"cursor":null}}"#);
    decode(dataset, page.as_bytes()).unwrap().batch
}

fn applied(privacy_filter: &PrivacyFilter, dataset: Dataset, batch: &RecordBatch) -> RecordBatch {
    let columns = privacy_filter.apply(dataset, batch.columns().to_vec());
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

fn clean(dataset: Dataset, record: &str, rules: PrivacyRules) -> RecordBatch {
    applied(
        &PrivacyFilter::new(&rules, secret()).unwrap(),
        dataset,
        &rows(dataset, record),
    )
}

/// The entries of the first row's map.
fn entries(batch: &RecordBatch, column: &str) -> Vec<(String, Option<String>)> {
    let maps = batch.column_by_name(column).unwrap().as_map();
    let (keys, values, places) = entries_of(maps);
    let entry = |place| {
        let value = values.is_valid(place).then(|| values.value(place).to_owned());
        (keys.value(place).to_owned(), value)
    };
    places(0).map(entry).collect()
}

fn text(batch: &RecordBatch, column: &str) -> String {
    batch
        .column_by_name(column)
        .unwrap()
        .as_string::<i32>()
        .value(0)
        .to_owned()
}

#[test]
fn keys_of_metadata_and_extra_are_dropped_hashed_and_masked_at_any_depth() {
    let record = r#"{"_id":"c1","startTime":1696118400,"locale":"en","tags":["from 203.0.113.77"],
        "metadata":{"email":"a@b.c","user_id":12345678901234567890,"none":null,"user":{"email":"a@b.c","name":"A","ids":[{"user_id":"u"}]},
        "packed":"{\"email\":\"a@b.c\",\"x\":1.50}","__sys_userIp":"203.0.113.77"},
        "contact":{"email":"a@b.c","phone":"1"},"email":"a@b.c"}"#;
    let cleaned = clean(
        Dataset::Conversations,
        record,
        rules(&["email"], &["user_id", "none"], true),
    );
    let hash = |text: &str| secret().unwrap().hash(text);
    let of = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    assert_eq!(
        entries(&cleaned, "metadata"),
        [
            of("user_id", &hash("12345678901234567890")),
            ("none".to_owned(), None),
            of(
                "user",
                &format!(r#"{{"name":"A","ids":[{{"user_id":"{}"}}]}}"#, hash("u"))
            ),
            of("packed", r#"{"x":1.50}"#),
            of("__sys_userIp", "203.0.113.0"),
        ]
    );
    assert_eq!(entries(&cleaned, "extra"), [of("contact", r#"{"phone":"1"}"#)]);
    let tags = cleaned.column_by_name("tags").unwrap().as_list::<i32>().value(0);
    assert_eq!(tags.as_string::<i32>().value(0), "from 203.0.113.0");
    assert_eq!(text(&cleaned, "id"), "c1");
}

#[test]
fn paths_within_messages_are_cleaned_and_ids_stay() {
    let record = r#"{"_id":"203.0.113.77","time":1696118400,"conversationId":"203.0.113.78","type":"User",
        "outMsg":{"attachment":{"payload":{"email":"a@b.c","url":"http://203.0.113.77/x"}}},
        "userInput":" {\"form\": {\"email\": \"a@b.c\", \"ok\": true}} "}"#;
    let cleaned = clean(
        Dataset::Messages,
        record,
        rules(&["payload.email", "form.email"], &[], true),
    );
    assert_eq!(
        text(&cleaned, "out_msg"),
        r#"{"attachment":{"payload":{"url":"http://203.0.113.0/x"}}}"#
    );
    assert_eq!(text(&cleaned, "user_input"), r#"{"form":{"ok":true}}"#);
    assert_eq!(text(&cleaned, "id"), "203.0.113.77");
    assert_eq!(text(&cleaned, "conversation_id"), "203.0.113.78");
}

#[test]
fn what_is_packed_more_than_once_is_cleaned() {
    let mut value = r#"{"email":"a@b.c","ip":"203.0.113.77","x":1.50}"#.to_owned();
    let mut expected = r#"{"ip":"203.0.113.0","x":1.50}"#.to_owned();
    for _ in 0..4 {
        let record = format!(
            r#"{{"_id":"c1","metadata":{{"packed":{0},"within":[{0}]}}}}"#,
            serde_json::to_string(&value).unwrap()
        );
        let cleaned = clean(Dataset::Conversations, &record, rules(&["email"], &[], true));
        let within = serde_json::to_string(&[&expected]).unwrap();
        let of = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        assert_eq!(
            entries(&cleaned, "metadata"),
            [of("packed", &expected), of("within", &within)]
        );
        value = serde_json::to_string(&value).unwrap();
        expected = serde_json::to_string(&expected).unwrap();
    }
}

#[test]
fn keys_that_are_dropped_are_not_even_named() {
    let page = r#"{"data":[{"_id":"1","email":1,"metadata":{"email":2,"plan":3,"a@b.c":4}}],"cursor":null}"#;
    let privacy_filter = PrivacyFilter::new(&rules(&["email", "*@*"], &["plan"], false), secret()).unwrap();
    let decoded = decode_as(
        Dataset::Conversations,
        &TableOptions::default(),
        Some(&privacy_filter),
        page.as_bytes(),
    );
    let seen = decoded.unwrap().observed.keys;
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["metadata.plan"]);
}

#[test]
fn rules_that_were_applied_are_not_applied_again() {
    let record = r#"{"_id":"c1","startTime":1,"metadata":{"user_id":"u","name":"A"}}"#;
    let earlier = rules(&[], &["user_id"], false);
    let once = clean(Dataset::Conversations, record, earlier.clone());
    let both = rules(&["name"], &["user_id", "user*"], false);
    let privacy_filter = PrivacyFilter::after(&both, &earlier, secret()).unwrap();
    let after = applied(&privacy_filter, Dataset::Conversations, &once);
    assert_eq!(after, clean(Dataset::Conversations, record, both));
    assert!(PrivacyFilter::new(&earlier, None).is_err(), "no secret");
    assert!(
        PrivacyFilter::after(&earlier, &earlier, None).is_ok(),
        "nothing to hash"
    );
}

#[test]
fn nothing_to_take_out_changes_nothing() {
    let record = r#"{"_id":"c1","startTime":1696118400,"metadata":{"a":{"b":[1,{},[],"\u0000\"é😀"],"c":{}},"d":null},"x":{"y":[]}}"#;
    for rules in [rules(&["absent"], &[], false), rules(&[], &["absent"], true)] {
        assert_eq!(
            clean(Dataset::Conversations, record, rules),
            rows(Dataset::Conversations, record)
        );
    }
}

#[test]
fn emptied_objects_and_lists_stay_json_and_depth_costs_no_stack() {
    let privacy_filter = PrivacyFilter::new(&rules(&["k"], &[], false), None).unwrap();
    let cleaned = |text: &str| privacy_filter.text(&mut Path::default(), text).into_owned();
    assert_eq!(cleaned(r#"{"k":1}"#), "{}");
    assert_eq!(cleaned(r#"{"k":1,"a":2,"k":3}"#), r#"{"a":2}"#);
    assert_eq!(
        cleaned(r#"{"a":2,"k":{"b":1},"c":[{"k":1},{"k":1,"d":null}]}"#),
        r#"{"a":2,"c":[{},{"d":null}]}"#
    );
    let deep = format!("{}1{}", r#"{"a":"#.repeat(50_000), "}".repeat(50_000));
    assert!(cleaned(&deep) == deep);
}

#[test]
fn a_secret_is_known_again_and_never_told() {
    let (one, other) = (secret().unwrap(), Secret::new(b"another").unwrap());
    assert_ne!(one.check(), other.check());
    assert_eq!(one.check(), secret().unwrap().check());
    assert!(Secret::new(b"").is_none());
    assert!(!format!("{:?}", PrivacyFilter::new(&PrivacyRules::default(), Some(one))).contains("nobody"));
    // a vector of RFC 4231
    let hash = Secret::new(b"Jefe").unwrap().hash("what do ya want for nothing?");
    assert_eq!(
        hash,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}
