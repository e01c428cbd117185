//! Lone surrogates: escapes such as `\ud800` that are half of a pair, which UTF-8 cannot store. Each is read as U+FFFD;
//! so strings that differ only in them would become equal.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::json::{Walk, code_point};

/// Bytes of the escape of a code unit.
const ESCAPE: usize = "\\ud800".len();

/// Whether the escapes of a JSON string, or of any JSON text, include a lone surrogate.
pub(super) fn has_lone(text: &str) -> bool {
    lone(text).next().is_some()
}

/// Where the escapes of lone surrogates begin.
fn lone(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let begin = at + memchr::memchr(b'\\', bytes.get(at..)?)?;
            let (is_lone, length) = match code_point(&bytes[begin..]) {
                Some((character, length)) => (character.is_none(), length),
                None => (false, 2),
            };
            at = begin + length;
            if is_lone {
                return Some(begin);
            }
        }
    })
}

/// Writes bytes that are not UTF-8 as escapes of lone surrogates, one for each byte, so that different bytes remain
/// different. Outside of strings they are invalid JSON either way.
pub(super) fn escaped_bytes(body: &[u8]) -> String {
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let backslashes = text.bytes().rev().take_while(|byte| *byte == b'\\').count();
            if backslashes % 2 == 0 {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\udc{byte:02x}");
            } else {
                // after an open escape: this is invalid JSON, and must not become valid
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
    text
}

/// A key of an object.
struct Key<'a> {
    /// Where its text begins.
    begin: usize,
    /// As it is written.
    inner: &'a str,
    /// As it is read.
    text: String,
}

/// JSON text in which different keys of an object are read as different keys. Where two would be read as the same, the
/// code of each lone surrogate is added to it in hexadecimal digits, repeatedly if necessary. `None` where nothing
/// changes.
pub(super) fn distinct_keys(text: &str) -> Option<String> {
    let mut codes: Vec<(usize, String)> = Vec::new();
    let mut walk = Walk::new(text);
    // the keys of the open objects; none for a list
    let mut open: Vec<Option<Vec<Key<'_>>>> = Vec::new();
    while let Some(byte) = walk.token() {
        if matches!(byte, b'}' | b']') {
            walk.step();
            if let Some(Some(keys)) = open.pop() {
                tell_apart(&keys, &mut codes);
            }
            continue;
        }
        if let Some(Some(keys)) = open.last_mut() {
            let begin = walk.position() + 1;
            let key = walk.string();
            let inner = walk.since(begin);
            let inner = inner.strip_suffix('"').unwrap_or(inner);
            let text = key.text().into_owned();
            keys.push(Key { begin, inner, text });
        }
        match walk.token() {
            Some(b'{') => {
                walk.step();
                open.push(Some(Vec::new()));
            }
            Some(b'[') => {
                walk.step();
                open.push(None);
            }
            _ => walk.skip(),
        }
    }
    if codes.is_empty() || walk.fault().is_some() {
        return None;
    }
    codes.sort_unstable();
    let (mut out, mut done) = (String::with_capacity(text.len() + 64), 0);
    for (at, code) in codes {
        out.push_str(&text[done..at]);
        out.push_str(&code);
        done = at;
    }
    Some(out + &text[done..])
}

/// Adds the insertions that make the keys of an object different: each with its place in the text.
fn tell_apart(keys: &[Key<'_>], codes: &mut Vec<(usize, String)>) {
    if !keys.iter().any(|key| has_lone(key.inner)) {
        return;
    }
    // the keys that are read as each text
    let mut read: HashMap<&str, HashSet<Vec<u8>>> = HashMap::new();
    for key in keys {
        read.entry(&key.text).or_default().insert(exact(key));
    }
    let mut taken: HashSet<String> = read.keys().map(|text| (*text).to_owned()).collect();
    let mut times: HashMap<Vec<u8>, usize> = HashMap::new();
    for key in keys {
        let is_only_one = read.get(&*key.text).is_none_or(|from| from.len() < 2);
        if is_only_one || !has_lone(key.inner) {
            continue;
        }
        let times = *times.entry(exact(key)).or_insert_with(|| {
            let is_free = |times: &usize| taken.insert(with_codes(key, *times));
            (1..).find(is_free).unwrap_or(1)
        });
        codes.extend(lone(key.inner).map(|at| {
            let code = code_at(key.inner, at).repeat(times);
            (key.begin + at + ESCAPE, code)
        }));
    }
}

/// The code of the surrogate whose escape begins at this place.
fn code_at(inner: &str, at: usize) -> String {
    inner[at + 2..at + ESCAPE].to_ascii_lowercase()
}

/// The text of a key with the code of each lone surrogate added so many times after it.
fn with_codes(key: &Key<'_>, times: usize) -> String {
    let (mut written, mut done) = (String::new(), 0);
    for at in lone(key.inner) {
        written.push_str(&key.inner[done..at + ESCAPE]);
        written.push_str(&code_at(key.inner, at).repeat(times));
        done = at + ESCAPE;
    }
    let written = format!("\"{written}{}\"", &key.inner[done..]);
    Walk::new(&written).string().text().into_owned()
}

/// Bytes that are equal for equal keys, however they are escaped, and for no others.
fn exact(key: &Key<'_>) -> Vec<u8> {
    // UTF-8 has no byte 255
    let codes = lone(key.inner).flat_map(|at| [&[255], code_at(key.inner, at).as_bytes()].concat());
    let places = key.text.bytes().chain(codes);
    // which of the replacement characters were sent as such
    let sent =
        parts(key.inner).flat_map(|part| [&[255, 255][..], part.len().to_string().as_bytes()].concat());
    places.chain(sent).collect()
}

/// The text of the parts of a string between its lone surrogates.
fn parts(inner: &str) -> impl Iterator<Item = String> {
    let begins = std::iter::once(0).chain(lone(inner).map(|at| at + ESCAPE));
    let ends = lone(inner).chain(std::iter::once(inner.len()));
    begins.zip(ends).map(|(begin, end)| {
        let written = format!("\"{}\"", &inner[begin..end]);
        Walk::new(&written).string().text().into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_are_told_from_pairs_and_backslashes() {
        for lone in [
            r"\ud800",
            r"a\uDFFFb",
            r"\ud83d\ude00\ude00",
            r"\ud83d\ud83d\ude00",
            r"\\\udc00",
        ] {
            assert!(has_lone(lone), "{lone}");
        }
        for none in [
            "",
            "a",
            r"\\ud800",
            r"\ud83d\ude00",
            r"\u00e9\\",
            r"\ufffd",
            "\u{fffd}",
        ] {
            assert!(!has_lone(none), "{none}");
        }
    }

    #[test]
    fn different_keys_of_an_object_stay_different() {
        for (text, expected) in [
            (r#"{"\ud800":1,"\ud801":2}"#, r#"{"\ud800d800":1,"\ud801d801":2}"#),
            (r#"{"\ud800":1,"\ufffd":2}"#, r#"{"\ud800d800":1,"\ufffd":2}"#),
            (
                "[{\"a\\uDC00\":{\"\u{fffd}\":1 , \"\\udfff\":[]},\"a\u{fffd}\":0}]",
                "[{\"a\\uDC00dc00\":{\"\u{fffd}\":1 , \"\\udfffdfff\":[]},\"a\u{fffd}\":0}]",
            ),
            // the name exists already
            (
                "{\"\\ud800\":1,\"\\ud801\":2,\"\u{fffd}d800\":3}",
                "{\"\\ud800d800d800\":1,\"\\ud801d801\":2,\"\u{fffd}d800\":3}",
            ),
            (
                r#"{"\ud800\ufffd":1,"\ufffd\ud800":2}"#,
                r#"{"\ud800d800\ufffd":1,"\ufffd\ud800d800":2}"#,
            ),
            (
                r#"{"\ud800":1,"\uD800":2,"\ud801":3}"#,
                r#"{"\ud800d800":1,"\uD800d800":2,"\ud801d801":3}"#,
            ),
        ] {
            assert_eq!(distinct_keys(text).as_deref(), Some(expected), "{text}");
            let again = distinct_keys(expected);
            assert_eq!(again, None, "{expected}: {again:?}");
        }
    }

    #[test]
    fn keys_that_differ_already_stay_as_they_are() {
        for text in [
            "{}",
            r#"{"\ud800":"\ud801"}"#,
            r#"{"\ud800":1,"\ud800":2,"\uD800":3}"#,
            r#"{"\ud800":1,"a\ud801":2}"#,
            r#"[{"\ud800":1},{"\ud801":2}]"#,
            r#"{"\ud800":1,"\ud801":2"#,
            r#"["\ud800","\ud801"]"#,
        ] {
            assert_eq!(distinct_keys(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay_different_and_never_become_json() {
        assert_eq!(
            escaped_bytes(b"{\"a\xff\xe2\x82\":\"\\\\\xfe\"}"),
            r#"{"a\udcff\udce2\udc82":"\\\udcfe"}"#
        );
        assert_eq!(escaped_bytes(b"\"\\\xfe\""), "\"\\\u{fffd}\"");
    }
}
