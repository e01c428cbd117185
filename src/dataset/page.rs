//! A page: the envelope around the records of one answer.

mod envelope;

use std::borrow::Cow;

use super::json::{Value, Walk};
use super::surrogates::escaped_bytes;
use crate::display;
use envelope::Envelope;

/// Where the chain goes on behind a page.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Next {
    /// With the page that this cursor gives.
    Cursor(String),
    /// Nowhere: the cursor is null or empty.
    End,
    /// The page does not say: it has no cursor at all.
    Absent,
}

/// Characters of an excerpt at most. It is this long so that whoever shows it can take out what must not be seen
/// before cutting it short: half a key would no longer be found.
const EXCERPT: usize = 4096;

/// Why the body of an answer is not a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The body is broken off, or was never JSON.
    #[error("the answer is not JSON: {excerpt}")]
    NotJson {
        /// How the body begins, at most 4096 characters, none of them a control character; or, where it begins as a page
        /// does and may hold what is not to be shown, where it goes wrong.
        excerpt: String,
        /// Whether it ended too early.
        cut_off: bool,
    },
    /// The body is JSON, but has no `data`; or `data` is null, and the answer does not also say with `"cursor": null`,
    /// and without a message, that it is the last page. `{"data": null, "cursor": null}` is an empty last page.
    #[error("the answer holds no `data`{}", message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    NoData {
        /// What the body says instead, where it says something: as an excerpt.
        message: Option<String>,
    },
    /// A field beside `data` shows an error, a timeout or a partial result: taken as a page, the answer could end a window
    /// too early.
    #[error("the answer tells that something failed{}", message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    TellsOfAnError {
        /// What it says of it: as an excerpt.
        message: Option<String>,
    },
    /// `data` is not a list.
    #[error("`data` should be a list, but is {found}")]
    DataNotAList {
        /// What it is.
        found: &'static str,
    },
    /// `cursor` is neither text nor a number nor null.
    #[error("`cursor` should be a string, but is {found}")]
    UnusableCursor {
        /// What it is.
        found: &'static str,
    },
    /// The body is 2 GiB long or longer.
    #[error("the answer is too large for a page: {bytes} bytes")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

impl PageError {
    /// Whether the body ended too early: it broke off on its way, another attempt may well succeed.
    pub fn is_cut_off(&self) -> bool {
        matches!(self, Self::NotJson { cut_off: true, .. })
    }
}

/// What some servers begin their UTF-8 with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The body as text. Bytes that are not UTF-8 become escapes of lone surrogates where it may be a page, else U+FFFD: the
/// strings of a page are read as U+FFFD either way, but are known to lack something.
pub(super) fn text(body: &[u8]) -> Result<Cow<'_, str>, PageError> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    // Lossy reading is far slower, even where nothing is lost.
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

/// What was read of an answer.
pub(super) struct Page<T> {
    /// Where its chain goes on.
    pub(super) cursor: Next,
    /// What was made of its records.
    pub(super) records: T,
    /// Escapes that are half of a surrogate pair without its other half, each of which is U+FFFD where it is read.
    pub(super) lone_surrogates: u64,
}

/// Reads an answer in one pass: `read` makes something of its records, one after another, beginning with `new`. The
/// answer is known to be JSON to its end.
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
                // of two fields with one name the last counts
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
            (true, true) => format!("it breaks off after {at} bytes"),
            (true, false) => format!("it goes wrong at byte {at} of {}", body.len()),
        };
        return Err(PageError::NotJson { excerpt, cut_off });
    }
    let cursor = fields.last("cursor");
    let (records, count) = match data {
        Data::List(records, count) => (records, count),
        // how a list without elements is written where the server's language has no empty one
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

/// What `data` holds.
enum Data<'a, T> {
    /// A list, with what was made of its records and their number.
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

/// The beginning of `text`, safe to print: at most [`EXCERPT`] characters, control characters escaped.
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

    /// Where the chain goes on, and how many records there are.
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

    /// Why `body` is no page.
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
        assert_eq!(said, "`data` should be a list, but is a number");
    }

    #[test]
    fn an_answer_that_breaks_off_is_told_from_one_that_is_no_json() {
        let body = r#"{"data":[{"_id":"\u00e9","n":[-1.5e+3,true,{}]}],"cursor":null}"#;
        assert!(count(body).is_ok());
        for end in (1..body.len()).filter(|end| body.is_char_boundary(*end)) {
            assert!(count(&body[..end]).unwrap_err().is_cut_off(), "{}", &body[..end]);
        }
        let said = refused(&body[..20]);
        assert_eq!(said, "the answer is not JSON: it breaks off after 20 bytes");
        let said = refused(r#"{"data":[{"email":"a@b.c"}}"#);
        assert_eq!(said, "the answer is not JSON: it goes wrong at byte 26 of 27");
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
