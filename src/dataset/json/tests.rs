use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::{Value, Walk};

/// Where the text is not JSON, read as one value.
fn passed_over(text: &str) -> Option<usize> {
    let mut walk = Walk::new(text);
    walk.value();
    walk.ends();
    walk.fault()
}

/// The same, read level by level.
fn stepped_through(text: &str) -> Option<usize> {
    fn value(walk: &mut Walk<'_>) {
        match walk.next() {
            Some(b'[') => {
                walk.open();
                while walk.more() {
                    value(walk);
                }
            }
            Some(b'{') => {
                walk.open();
                while walk.key().is_some() {
                    value(walk);
                }
            }
            _ => {
                walk.value();
            }
        }
    }
    let mut walk = Walk::new(text);
    value(&mut walk);
    walk.ends();
    walk.fault()
}

fn agrees_with_serde(text: &str) {
    let serde = serde_json::from_str::<IgnoredAny>(text);
    for fault in [passed_over(text), stepped_through(text)] {
        assert_eq!(fault.is_none(), serde.is_ok(), "{text:?}: {fault:?}, {serde:?}");
    }
}

/// JSON texts, with whitespace and repeated keys.
pub(in crate::dataset) fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        "\"([ a-z,:\\[\\]{}é😀]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,20}\"",
    ];
    let space = "[ \n\r\t]{0,2}";
    leaf.prop_recursive(8, 64, 4, move |inner| {
        let entry = ("\"[a-c]{0,2}\"", space, inner.clone());
        let entry = entry.prop_map(move |(key, space, value)| format!("{key}{space}:{space}{value}"));
        let list = prop::collection::vec(inner, 0..4);
        let object = prop::collection::vec(entry, 0..4);
        prop_oneof![
            (list, space)
                .prop_map(|(list, space)| format!("[{space}{}{space}]", list.join(&format!("{space},")))),
            (object, space).prop_map(|(object, space)| format!(
                "{{{space}{}}}{space}",
                object.join(&format!(",{space}"))
            )),
        ]
    })
}

proptest! {
    #[test]
    fn json_is_told_from_what_is_none(
        text in json(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}\",:\\\\0-9a-u.eE+ \u{0}-]"), 0..3),
    ) {
        agrees_with_serde(&text);
        let mut characters: Vec<String> = text.chars().map(String::from).collect();
        for (at, other) in changes {
            let at = at.index(characters.len());
            characters[at] = other;
        }
        agrees_with_serde(&characters.concat());
        agrees_with_serde(&characters[1..].concat());
        agrees_with_serde(&characters[..characters.len() - 1].concat());
    }
}

#[test]
fn what_is_no_json_is_told() {
    for text in [
        "",
        " ",
        "-",
        "01",
        "1.",
        "1.e5",
        "1e",
        ".5",
        "+1",
        "tru",
        "truth",
        "nul",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{1:2}",
        "{\"a\":1]",
        "1 2",
        "[] []",
        "{\"a\" 1}",
        "[[[]]",
        "{\"a\":{\"b\":[}}",
        "\u{feff}[]",
        "'a'",
        "[\"a\"\"b\"]",
        "{\"a\":1 \"b\":2}",
    ] {
        assert!(
            passed_over(text).is_some() && stepped_through(text).is_some(),
            "{text:?}"
        );
        agrees_with_serde(text);
    }
}

#[test]
fn depth_costs_no_stack() {
    for levels in [63, 64, 65, 127, 128, 129, 100_000] {
        let mixed = "[{\"a\":".repeat(levels);
        let closing = "}]".repeat(levels);
        assert_eq!(passed_over(&format!("{mixed}1{closing}")), None);
        let wrong = format!("{mixed}1{}]]", "}]".repeat(levels - 1));
        assert_eq!(passed_over(&wrong), Some(wrong.len() - 2));
    }
}

#[test]
fn halves_of_surrogate_pairs_are_counted() {
    for (text, lone) in [
        (r#""a""#, 0),
        (r#""\ud83d\ude00""#, 0),
        (r#""\uD83D\uDE00 \ufffd \u00e9 �""#, 0),
        (r#""\ud83d""#, 1),
        (r#""\ude00\ud83d""#, 2),
        (r#""\ud83d\ud83d\ude00""#, 1),
        (r#"["\ud83d","\ude00"]"#, 2),
        (r#""\ud83d\u0061""#, 1),
        (r#""\\ud83d""#, 0),
        (r#""\\\ud83d\\ude00""#, 1),
    ] {
        let mut walk = Walk::new(text);
        let text = walk.value();
        assert_eq!(walk.lone_surrogates(), lone, "{text:?}");
        if let Value::Text(text) = text {
            let sent = text.inner.matches(r"\ufffd").count() + text.inner.matches('\u{fffd}').count();
            assert_eq!(text.text().matches('\u{fffd}').count() as u64, sent as u64 + lone);
        }
    }
}
