//! A page: the envelope around the records of one answer.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{self, Value, Walk};

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

/// Why the body of an answer is not a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The body is broken off, or was never JSON.
    #[error("the answer is not JSON: {excerpt}")]
    NotJson {
        /// How the body begins: at most 80 characters, none of them a control character.
        excerpt: String,
        /// Where reading failed.
        source: serde_json::Error,
    },
    /// The body is JSON, but holds no `data`.
    #[error("the answer holds no `data`{}", message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    NoData {
        /// What the body says instead, where it says something: at most 200 characters, none of them a control
        /// character.
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
        matches!(self, Self::NotJson { source, .. } if source.is_eof())
    }
}

/// The body as text, bytes that are not UTF-8 as U+FFFD.
pub(super) fn text(body: &[u8]) -> Result<Cow<'_, str>, PageError> {
    // Lossy reading is far slower, even where nothing is lost.
    let text = std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
    if i32::try_from(text.len()).is_err() {
        return Err(PageError::TooLarge { bytes: text.len() });
    }
    Ok(text)
}

/// An answer taken apart, and known to be JSON to its end.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) cursor: Next,
    /// The list's text.
    data: &'a str,
}

impl<'a> Page<'a> {
    pub(super) fn read(body: &'a str) -> Result<Self, PageError> {
        let Fields(fields) = serde_json::from_str(body).map_err(|source| match source.is_data() {
            true => PageError::NoData { message: None },
            false => PageError::NotJson {
                excerpt: excerpt(body, 80),
                source,
            },
        })?;
        let field = |name| {
            let mut backwards = fields.iter().rev();
            backwards
                .find(|(key, _)| is(key, name))
                .map(|(_, value)| Value::of(value.get()))
        };
        let data = match field("data") {
            None => {
                return Err(PageError::NoData {
                    message: message(field("error"), field("message")),
                });
            }
            Some(Value::Null) => "[]",
            Some(Value::List(list)) => list,
            Some(other) => {
                return Err(PageError::DataNotAList {
                    found: other.type_name(),
                });
            }
        };
        Ok(Self {
            cursor: next(field("cursor"))?,
            data,
        })
    }

    /// The records, each to be read by `read`, whose result comes with the record's text.
    pub(super) fn records<T>(
        &self,
        mut read: impl FnMut(&mut Walk<'a>) -> T,
    ) -> impl Iterator<Item = (T, &'a str)> {
        let mut walk = Walk::new(self.data);
        walk.step();
        std::iter::from_fn(move || {
            walk.more().then(|| {
                let start = walk.position();
                let record = read(&mut walk);
                (record, walk.since(start))
            })
        })
    }
}

/// The fields of a JSON object as they stand there.
struct Fields<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn is(key: &RawValue, name: &str) -> bool {
    matches!(Value::of(key.get()), Value::Text(key) if key.text() == name)
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

/// What `{"error": {"message": …}}`, `{"error": …}` or `{"message": …}` has to say.
fn message(error: Option<Value<'_>>, message: Option<Value<'_>>) -> Option<String> {
    let within = match error {
        Some(Value::Object(error)) => json::entries(error)
            .filter(|(key, _)| key.text() == "message")
            .last()
            .map(|(_, value)| value),
        other => other,
    };
    [within, message]
        .into_iter()
        .flatten()
        .find_map(|value| match value {
            Value::Text(text) => Some(excerpt(&text.text(), 200)),
            _ => None,
        })
}

/// The beginning of `text`, safe to print: at most `most` characters, control characters escaped.
fn excerpt(text: &str, most: usize) -> String {
    let safe = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    let mut excerpt = String::new();
    let mut room = most;
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
