use arrow::datatypes::TimestampMicrosecondType;
use arrow::util::display::array_value_to_string;
use jiff::Timestamp;

use super::*;
use crate::dataset::{Dataset, MetadataMode, TableOptions, decode_as};

/// What a promoted column is for each of these metadata objects, in every mode, and the rows that do not fit.
#[track_caller]
fn promoted(column: &str, metadata: &[&str]) -> (Vec<Option<String>>, Vec<usize>) {
    let records: Vec<String> = metadata
        .iter()
        .map(|metadata| format!(r#"{{"_id":1,"metadata":{metadata}}}"#))
        .collect();
    let body = format!(r#"{{"data":[{}]}}"#, records.join(","));
    let of_mode = |metadata| {
        let table_options = TableOptions {
            metadata,
            promote: vec![column.parse().unwrap()],
        };
        let decoded = decode_as(Dataset::Conversations, &table_options, None, body.as_bytes()).unwrap();
        let values = decoded.batch.columns().last().unwrap();
        let times = values.as_primitive_opt::<TimestampMicrosecondType>();
        let value = |row| match times {
            _ if values.is_null(row) => None,
            Some(times) => {
                let micros = times.value(row);
                let at = Timestamp::from_microsecond(micros).map(|at| at.to_string());
                Some(at.unwrap_or_else(|_| micros.to_string()))
            }
            None => Some(array_value_to_string(values, row).unwrap()),
        };
        let mismatches = decoded.mismatches.iter().map(|mismatch| mismatch.row).collect();
        ((0..values.len()).map(value).collect(), mismatches)
    };
    let expected = of_mode(MetadataMode::Map);
    assert_eq!(of_mode(MetadataMode::Json), expected);
    assert_eq!(of_mode(MetadataMode::Both), expected);
    expected
}

/// What values become; those that do not fit are the last so many.
#[track_caller]
fn values(r#type: &str, fitting: &[(&str, Option<&str>)], mismatches: &[&str]) {
    let values = fitting.iter().map(|(value, _)| value).chain(mismatches);
    let objects: Vec<String> = values.map(|value| format!(r#"{{"a":0,"k":{value}}}"#)).collect();
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    let (found, unfit) = promoted(&format!("k:{type}"), &objects);
    for ((value, expected), found) in fitting.iter().zip(&found) {
        assert_eq!(found.as_deref(), *expected, "{value} as {type}");
    }
    assert!(found[fitting.len()..].iter().all(Option::is_none), "{found:?}");
    assert_eq!(unfit, (fitting.len()..objects.len()).collect::<Vec<_>>());
}

#[test]
fn each_type_takes_what_fits_and_tells_what_does_not() {
    let text = [
        (r#""a\u00e9""#, Some("aé")),
        ("null", None),
        ("5", Some("5")),
        ("1e400", Some("1e400")),
        ("true", Some("true")),
        (r#"{ "x" : [ 1 ] }"#, Some(r#"{"x":[1]}"#)),
        (r#""""#, Some("")),
    ];
    values("string", &text, &[]);
    let whole = [
        ("5", Some("5")),
        (r#""-7""#, Some("-7")),
        ("null", None),
        ("5.0", Some("5")),
    ];
    let no_whole = [
        "5.5",
        r#""""#,
        r#""five""#,
        "true",
        "9223372036854775808",
        "[5]",
        r#"" 5""#,
    ];
    values("int64", &whole, &no_whole);
    let number = [
        ("2.5", Some("2.5")),
        (r#""1e3""#, Some("1000.0")),
        ("-0.0", Some("-0.0")),
        ("1e-400", Some("0.0")),
        ("123456789012345678901234567890", Some("1.2345678901234568e29")),
        ("null", None),
    ];
    values(
        "float64",
        &number,
        &["1e400", r#""NaN""#, r#""inf""#, r#""""#, "true", "{}"],
    );
    let truth = [
        ("true", Some("true")),
        (r#""False""#, Some("false")),
        ("null", None),
    ];
    values("bool", &truth, &["1", r#""yes""#, r#""""#, "[true]"]);
    let times = [
        ("1744750665", Some("2025-04-15T20:57:45Z")),
        (r#""1744750665123""#, Some("2025-04-15T20:57:45.123Z")),
        (r#""2025-04-15T22:57:45+02:00""#, Some("2025-04-15T20:57:45Z")),
        (r#""2025-04-15""#, Some("2025-04-15T00:00:00Z")),
        (r#""9999-12-31T23:59:59.999999Z""#, Some("253402300799999999")),
        (r#""0001-01-01""#, Some("0001-01-01T00:00:00Z")),
        ("null", None),
    ];
    values(
        "timestamp",
        &times,
        &[
            r#""soon""#,
            "true",
            "1e30",
            r#""""#,
            r#""0000-12-31""#,
            "-62135596801",
        ],
    );
    let json = [
        (r#"{ "x" : 1 }"#, Some(r#"{"x":1}"#)),
        ("5", Some("5")),
        (r#""5""#, Some("5")),
        (r#""[1, 2]""#, Some("[1, 2]")),
        (r#""say \"no\"\n""#, Some(r#""say \"no\"\n""#)),
        (r#""{broken""#, Some(r#""{broken""#)),
        (r#""""#, Some(r#""""#)),
        ("null", None),
    ];
    values("json", &json, &[]);
}

#[test]
fn a_key_is_looked_for_as_a_whole_then_as_a_path() {
    let some = |text: &str| Some(text.to_owned());
    let (found, mismatches) = promoted(
        "a.b.c",
        &[
            r#"{"a.b.c":"whole","a.b":{"c":"longer"},"a":{"b":{"c":"path"}}}"#,
            r#"{"a":{"b":{"c":"path"}},"a.b":{"c":"longer"}}"#,
            r#"{"a":{"b":{"c":"path"}},"a.b":{"d":1}}"#,
            r#"{"a":{"b.c":[1, 2],"b":{"c":0}}}"#,
            r#"{"a":{"b":"{\"c\": {\"d\" : 1}}"}}"#,
            r#"{"a.b.c":null,"a":{"b":{"c":"path"}}}"#,
            r#"{"a":{"b":{"c":1,"c":"last"}}}"#,
            r#"{"a":{"b":[{"c":1}]}}"#,
            r#"{"a":"{\"b\":{\"c\":1}"}"#,
            r#"{"x":1}"#,
            "null",
            "{}",
        ],
    );
    assert_eq!(
        found,
        [
            some("whole"),
            some("longer"),
            some("path"),
            some("[1,2]"),
            some(r#"{"d":1}"#),
            None,
            some("last"),
            None,
            None,
            None,
            None,
            None
        ]
    );
    assert_eq!(mismatches, [0; 0]);
    // wherever the key stands
    let (found, _) = promoted(
        "k",
        &[r#"{"a":1,"k":2}"#, r#"{"k":3,"a":4}"#, r#"{"b":1,"a":2,"k":5}"#],
    );
    assert_eq!(found, [some("2"), some("3"), some("5")]);
}
