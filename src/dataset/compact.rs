//! Converts JSON values to text: the text of a string, or compact JSON.

use std::fmt::Write;
use std::ops::Range;

use super::distinct::Repeats;
use super::json::{Quoted, Value, Walk};

/// Writes values as text. It is reused for its buffers.
#[derive(Debug, Default)]
pub(super) struct Writer {
    open: Vec<Level>,
    /// Ranges of the keys of the open objects in the output, including quotes.
    keys: Vec<Range<usize>>,
    /// Ranges of the output that a repeated key replaced.
    void: Vec<Range<usize>>,
    repeats: Repeats,
}

/// An open list or object.
#[derive(Debug)]
enum Level {
    List,
    /// Index of its first key among the keys of the open objects.
    Object(usize),
}

impl Writer {
    /// Appends the text of a string, or the compact JSON of any other value. For null, appends nothing and returns
    /// false.
    pub(super) fn push(&mut self, value: Value<'_>, out: &mut String) -> bool {
        match value {
            Value::Null => return false,
            Value::Text(text) => text.push_text(out),
            Value::Bool(text) | Value::Number(text) => out.push_str(text),
            Value::List(text) | Value::Object(text) => self.push_nested(text, out),
        }
        true
    }

    /// Appends a list or an object without whitespace, with numbers as they are written and minimal escapes in
    /// strings. Of a repeated key, the last value is kept. It does not recurse, and takes linear time.
    fn push_nested(&mut self, text: &str, out: &mut String) {
        let begin = out.len();
        let mut walk = Walk::new(text);
        self.open.clear();
        self.keys.clear();
        self.void.clear();
        while let Some(byte) = walk.token() {
            if matches!(byte, b'}' | b']') {
                walk.step();
                self.close(out);
                out.push(char::from(byte));
                continue;
            }
            // An opening bracket at the end is that of the list or object: a string would end with a quote.
            if out.len() > begin && !out.ends_with(['{', '[']) {
                out.push(',');
            }
            if let Some(Level::Object(_)) = self.open.last() {
                let start = out.len();
                push_string(walk.string(), out);
                self.keys.push(start..out.len());
                out.push(':');
            }
            match walk.token() {
                Some(b'"') => push_string(walk.string(), out),
                Some(bracket @ (b'{' | b'[')) => {
                    walk.step();
                    out.push(char::from(bracket));
                    self.open.push(if bracket == b'[' {
                        Level::List
                    } else {
                        Level::Object(self.keys.len())
                    });
                }
                _ => out.push_str(walk.bare()),
            }
        }
        self.drop_void(begin, out);
    }

    /// Finds the repeated keys of the object that ends here. They are removed together at the end, since removing
    /// them here would move the same text at each level.
    fn close(&mut self, out: &str) {
        if let Some(Level::Object(first)) = self.open.pop() {
            let keys = &self.keys[first..];
            for repeated in self.repeats.find(keys.iter().map(|key| &out[key.clone()])) {
                self.void.push(keys[repeated].start..keys[repeated + 1].start);
            }
            self.keys.truncate(first);
        }
    }

    fn drop_void(&mut self, begin: usize, out: &mut String) {
        if self.void.is_empty() {
            return;
        }
        self.void.sort_unstable_by_key(|part| part.start);
        let written = out.split_off(begin);
        let mut at = 0;
        for part in &self.void {
            // A range within a removed one begins before `at`.
            out.push_str(written.get(at..part.start - begin).unwrap_or_default());
            at = at.max(part.end - begin);
        }
        out.push_str(&written[at..]);
    }
}

/// Appends a string in quotes with minimal escapes.
pub(super) fn push_string(text: Quoted<'_>, out: &mut String) {
    out.push('"');
    text.unescape(out, push_character);
    out.push('"');
}

/// Appends any text as a JSON string.
pub(super) fn push_text(text: &str, out: &mut String) {
    out.push('"');
    text.chars().for_each(|character| push_character(out, character));
    out.push('"');
}

fn push_character(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..='\u{1f}' => {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(text: &str) -> String {
        let mut out = String::from("before ");
        assert!(Writer::default().push(Walk::new(text).value(), &mut out));
        out.split_off("before ".len())
    }

    #[test]
    fn whitespace_goes_and_numbers_stay_as_written() {
        let text = " { \"a\" :\t[ 1e400 , -0.0,\r\n123456789012345678901234567890 ,true, null,[ ],{ } ] } ";
        assert_eq!(
            compact(text),
            r#"{"a":[1e400,-0.0,123456789012345678901234567890,true,null,[],{}]}"#
        );
    }

    #[test]
    fn strings_are_escaped_no_more_than_needed() {
        let text = r#"["\u0041\/\"\\\b\f\n\r\t\u0001\u001F\u007f é\u00e9 \ud83d\ude00", "{ [ , :"]"#;
        let expected = "[\"A/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f} éé 😀\",\"{ [ , :\"]";
        assert_eq!(compact(text), expected);
    }

    #[test]
    fn a_repeated_key_keeps_its_last_value_in_the_last_place_at_every_level() {
        let text = r#"{"a":{"x":1,"x":2},"b":0,"\u0061":{"y":[1,{"z":1,"q":[],"z":2}],"y":{"z":1,"z":3}}}"#;
        assert_eq!(compact(text), r#"{"b":0,"a":{"y":{"z":3}}}"#);
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        assert_eq!(
            compact(r#"{"\ud800":"a\udc00b\ud800\ud800\ud83d\ude00"}"#),
            "{\"\u{fffd}\":\"a\u{fffd}b\u{fffd}\u{fffd}😀\"}"
        );
    }

    #[test]
    fn depth_costs_neither_stack_nor_time() {
        let depth = 100_000;
        let text = format!("{}1{}", r#"{"a":0,"a":"#.repeat(depth), "}".repeat(depth));
        let expected = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(compact(&text) == expected);
        let lists = "[".repeat(depth) + &"]".repeat(depth);
        assert!(compact(&lists) == lists);
    }
}
