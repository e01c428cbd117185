//! Parses a page: the envelope around the records of a response.

mod envelope;

use std::borrow::Cow;

use super::json::{Value, Walk};
use super::surrogates::escaped_bytes;
use crate::display;
use envelope::Envelope;

/// What a page says about the next one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Next {
    /// The cursor of the next page.
    Cursor(String),
    /// There is none: the cursor is null or empty.
    End,
    /// The page has no cursor field.
    Absent,
}

/// Maximum characters of an excerpt. The caller must hide the key before it shortens the excerpt: a part of the key
/// would not be found.
const EXCERPT: usize = 4096;

/// Why a body is not a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The body is cut off, or not JSON.
    #[error("the response is not JSON: {excerpt}")]
    NotJson {
        /// The beginning of the body, at most 4,096 characters without control characters. If it begins like a page,
        /// and may contain private data, the position of the error instead.
        excerpt: String,
        /// Whether the body is cut off.
        cut_off: bool,
    },
    /// The body is JSON without `data`, or `data` is null without the signs of a last page: `"cursor": null`, and no
    /// message. `{"data": null, "cursor": null}` is an empty last page.
    #[error("the response has no `data`{}", message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    NoData {
        /// An excerpt of the server's message, if there is one.
        message: Option<String>,
    },
    /// Another field shows an error, a timeout or a partial result. As a page, the response could end a window too
    /// early.
    #[error("the response reports a failure{}", message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    TellsOfAnError {
        /// An excerpt of the message.
        message: Option<String>,
    },
    /// `data` is not a list.
    #[error("`data` must be a list, but is {found}")]
    DataNotAList {
        /// Its type.
        found: &'static str,
    },
    /// `cursor` is neither a string nor a number nor null.
    #[error("`cursor` must be a string, but is {found}")]
    UnusableCursor {
        /// Its type.
        found: &'static str,
    },
    /// The body has 2 GiB or more.
    #[error("the response is too large for a page: {bytes} bytes")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

impl PageError {
    /// Whether the body is cut off, so that a retry may succeed.
    pub fn is_cut_off(&self) -> bool {
        matches!(self, Self::NotJson { cut_off: true, .. })
    }
}

/// The byte order mark with which some servers begin UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Converts the body to text. Bytes that are not UTF-8 become escapes of lone surrogates if it may be a page, or else
/// U+FFFD. The strings of a page are read as U+FFFD in both cases, but lone surrogates are counted.
pub(super) fn text(body: &[u8]) -> Result<Cow<'_, str>, PageError> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    // Lossy conversion is much slower, even if nothing is lost.
    let text = match simdutf8::basic::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) if body.trim_ascii_start().starts_with(b"{") => Cow::Owned(escaped_bytes(body)),
        Err(_) => String::from_utf8_lossy(body),
    };
    if i32::try_from(text.len()).is_err() {
        return Err(PageError::TooLarge { bytes: text.len() });
    }
    Ok(text)
}

/// A parsed page.
pub(super) struct Page<T> {
    /// The cursor of the next page.
    pub(super) cursor: Next,
    /// The result of its records.
    pub(super) records: T,
    /// Number of lone surrogates, each of which is read as U+FFFD.
    pub(super) lone_surrogates: u64,
}

/// Parses a response in one pass. `read` processes its records one by one, beginning with `new`. The result is only
/// returned if the complete response is valid JSON.
pub(super) fn read<'a, T>(
    body: &'a str,
    new: impl Fn() -> T,
    mut read: impl FnMut(&mut T, &mut Walk<'a>),
) -> Result<Page<T>, PageError> {
    let mut walk = Walk::new(body);
    let is_object = walk.next() == Some(b'{');
    let mut fields = Envelope::default();
    let (mut data, mut has_data) = (Data::Other(Value::Null), false);
    if is_object {
        walk.open();
        while let Some(key) = walk.key() {
            if key.text() != "data" {
                fields.0.push((key, walk.value()));
            } else if walk.next() == Some(b'[') {
                let (mut records, mut count) = (new(), 0_usize);
                walk.open();
                while walk.more() {
                    read(&mut records, &mut walk);
                    count += 1;
                }
                data = Data::List(records, count);
            } else {
                has_data = true;
                // of repeated fields, the last one counts
                data = Data::Other(walk.value());
            }
        }
    } else {
        walk.value();
    }
    walk.ends();
    if let Some(at) = walk.fault() {
        let cut_off = at == body.len();
        let begins = body.trim_start().starts_with(['{', '[']);
        let excerpt = match (begins, cut_off) {
            (false, _) => excerpt(body),
            (true, true) => format!("it is cut off after {at} bytes"),
            (true, false) => format!("it is invalid at byte {at} of {}", body.len()),
        };
        return Err(PageError::NotJson { excerpt, cut_off });
    }
    let cursor = fields.last("cursor");
    let (records, count) = match data {
        Data::List(records, count) => (records, count),
        // an empty list in server languages without empty lists
        Data::Other(Value::Null)
            if has_data
                && cursor == Some(Value::Null)
                && fields.message().is_none_or(|text| envelope::is_good(&text)) =>
        {
            (new(), 0)
        }
        Data::Other(Value::Null) => {
            let message = fields.message();
            return Err(PageError::NoData { message });
        }
        Data::Other(other) => {
            let found = other.type_name();
            return Err(PageError::DataNotAList { found });
        }
    };
    let cursor = next(cursor)?;
    let about = envelope::Page {
        ends: !matches!(cursor, Next::Cursor(_)),
        is_empty: count == 0,
    };
    if let Some(sign) = fields.sign_of_an_error(about) {
        let message = match fields.message() {
            Some(message) if sign.contains(&message) => Some(message),
            Some(message) => Some(format!("{sign}: {message}")),
            None => Some(sign),
        };
        return Err(PageError::TellsOfAnError { message });
    }
    Ok(Page {
        cursor,
        records,
        lone_surrogates: walk.lone_surrogates(),
    })
}

/// The value of `data`.
enum Data<'a, T> {
    /// A list: the result of its records, and their number.
    List(T, usize),
    Other(Value<'a>),
}

fn next(cursor: Option<Value<'_>>) -> Result<Next, PageError> {
    let cursor = match cursor {
        None => return Ok(Next::Absent),
        Some(Value::Null) => return Ok(Next::End),
        Some(Value::Text(text)) => text.text().into_owned(),
        Some(Value::Number(number)) => number.to_owned(),
        Some(other) => {
            return Err(PageError::UnusableCursor {
                found: other.type_name(),
            });
        }
    };
    Ok(if cursor.is_empty() {
        Next::End
    } else {
        Next::Cursor(cursor)
    })
}

/// Returns the beginning of `text`, safe to print: at most [`EXCERPT`] characters, with control characters escaped.
fn excerpt(text: &str) -> String {
    let safe = |character: char| match character {
        control if control.is_control() => control.escape_default().to_string(),
        unsafe_one if display::is_unsafe(unsafe_one) => unsafe_one.escape_unicode().to_string(),
        other => other.to_string(),
    };
    let mut excerpt = String::new();
    let mut room = EXCERPT;
    for safe in text.trim().chars().map(safe) {
        match room.checked_sub(safe.chars().count()) {
            Some(left) => room = left,
            None => {
                excerpt.truncate(excerpt.floor_char_boundary(excerpt.len()));
                excerpt.pop();
                excerpt.push('…');
                break;
            }
        }
        excerpt.push_str(&safe);
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the cursor and the number of records.
    fn count(body: &str) -> Result<(Next, usize), PageError> {
        let page = read(
            body,
            || 0,
            |count, walk| {
                walk.value();
                *count += 1;
            },
        )?;
        Ok((page.cursor, page.records))
    }

    /// Returns the error of a body.
    #[track_caller]
    fn refused(body: &str) -> String {
        match count(body) {
            Err(error) => error.to_string(),
            Ok(page) => panic!("{body} was taken for a page: {page:?}"),
        }
    }

    #[test]
    fn invariant_5_an_error_with_success_does_not_end_a_window() {
        for (body, words) in [
            (r#"{"data":null}"#, ""),
            (r#"{"data":null,"cursor":"c2"}"#, ""),
            (
                r#"{"data":null,"message":"backend away","cursor":null}"#,
                "backend away",
            ),
            (
                r#"{"data":[],"cursor":null,"error":"archive away"}"#,
                "archive away",
            ),
            (
                r#"{"data":[ ],"cursor":"c2","error":{"code":7,"message":"shard away"}}"#,
                "shard away",
            ),
            (r#"{"data":[],"error":{"code":7}}"#, r#"{"code":7}"#),
            (
                r#"{"data":[],"errors":[{"message":"shard 3 timed out"}],"cursor":null}"#,
                "shard 3 timed out",
            ),
            (r#"{"data":[],"errors":["no"]}"#, "no"),
            (
                r#"{"success":false,"data":[],"message":"quota used up","cursor":null}"#,
                "quota used up",
            ),
            (
                r#"{"data":[{"_id":"1"}],"error":"stopped early","cursor":null}"#,
                "stopped early",
            ),
            (r#"{"data":[{"_id":"1"}],"success":false}"#, "`success` is false"),
            (
                r#"{"data":[{"_id":"1"}],"cursor":"c2","timed_out":true}"#,
                "`timed_out` is true",
            ),
            (r#"{"status":"error","data":[]}"#, "`status` is error"),
            (
                r#"{"data":[{"_id":"1"}],"cursor":"c2","errors":["shard 3"]}"#,
                "shard 3",
            ),
            (r#"{"cursor":null}"#, ""),
            (
                r#"{"data":null,"cursor":null,"status":"error"}"#,
                "`status` is error",
            ),
            (r#"{"data":null,"cursor":""}"#, ""),
        ] {
            let said = refused(body);
            assert!(said.ends_with(words), "{body}: {said}");
        }
        for body in [
            r#"{"data":[],"cursor":null}"#,
            r#"{"data":[]}"#,
            r#"{"data":[],"cursor":null,"error":null,"errors":[],"success":true}"#,
            r#"{"data":[],"cursor":"c2","error":"","errors":{}}"#,
            r#"{"data":[],"cursor":null,"error":false,"message":"nothing in this range"}"#,
            r#"{"data":null,"cursor":null}"#,
            r#"{"data":null,"cursor":null,"total":0,"error":null,"message":"OK"}"#,
            r#"{"data":[{"_id":"1"}],"cursor":"c2","errors":[]}"#,
        ] {
            assert!(count(body).is_ok(), "{body}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_page() {
        let body = text(b"\xef\xbb\xbf{\"data\":[{\"_id\":\"1\"}],\"cursor\":null}").unwrap();
        assert_eq!(count(&body).unwrap(), (Next::End, 1));
    }

    #[test]
    fn of_two_fields_with_one_name_the_last_counts() {
        let body = r#"{"data":[1,2],"cursor":"c1","data":[{}],"cursor":null}"#;
        assert_eq!(count(body).unwrap(), (Next::End, 1));
        let said = refused(r#"{"data":[1,2],"data":7}"#);
        assert_eq!(said, "`data` must be a list, but is a number");
    }

    #[test]
    fn an_answer_that_breaks_off_is_told_from_one_that_is_no_json() {
        let body = r#"{"data":[{"_id":"\u00e9","n":[-1.5e+3,true,{}]}],"cursor":null}"#;
        assert!(count(body).is_ok());
        for end in (1..body.len()).filter(|end| body.is_char_boundary(*end)) {
            assert!(count(&body[..end]).unwrap_err().is_cut_off(), "{}", &body[..end]);
        }
        let said = refused(&body[..20]);
        assert_eq!(said, "the response is not JSON: it is cut off after 20 bytes");
        let said = refused(r#"{"data":[{"email":"a@b.c"}}"#);
        assert_eq!(said, "the response is not JSON: it is invalid at byte 26 of 27");
        for body in ["<html>", r#"{"data":[}"#, r#"{"data":[]} {"#, r#"{"data":[01]}"#] {
            assert!(!count(body).unwrap_err().is_cut_off(), "{body}");
        }
    }

    #[test]
    fn excerpts_are_long_enough_to_be_searched_and_no_longer() {
        let said = refused(&"no\n".repeat(EXCERPT));
        let length = said.chars().count();
        assert!((EXCERPT..EXCERPT + 40).contains(&length), "{length}");
        assert!(said.contains("no\\nno") && said.ends_with('…'));
    }
}
