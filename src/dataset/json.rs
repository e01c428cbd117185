//! Reads JSON in one pass, as slices of the text.
//!
//! Values that serde_json rejects (lone surrogates, `1e400`) are kept as they are written. Reading does not recurse.

#[cfg(test)]
pub(super) mod tests;
mod walk;

use std::borrow::Cow;

use super::surrogates::has_lone;
pub(super) use walk::{Walk, Written};

/// The type of a JSON value.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) enum Type {
    #[default]
    Null,
    Bool,
    Number,
    Text,
    List,
    Object,
}

/// A JSON value as it is written. It is returned in registers, unlike [`Value`].
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    pub(super) r#type: Type,
    /// Whether the text is known to be the output of [`Writer`](super::compact::Writer) for the value: strings have
    /// no escapes, and nested values are compact.
    pub(super) plain: bool,
    /// The text between the quotes of a string, the complete text of other values, or nothing for null.
    pub(super) text: &'a str,
}

impl<'a> Raw<'a> {
    /// Returns the value.
    pub(super) fn value(self) -> Value<'a> {
        let Self { text, plain, .. } = self;
        match self.r#type {
            Type::Null => Value::Null,
            Type::Bool => Value::Bool(text),
            Type::Number => Value::Number(text),
            Type::Text => Value::Text(Quoted {
                inner: text,
                escaped: !plain,
            }),
            Type::List => Value::List(text),
            Type::Object => Value::Object(text),
        }
    }

    /// Returns the length of the value as it is written.
    #[inline]
    pub(super) fn length(self) -> usize {
        match self.r#type {
            Type::Null => 4,
            Type::Text => self.text.len() + 2,
            _ => self.text.len(),
        }
    }

    /// Whether it can be an id, see [`Value::id`].
    pub(super) fn is_id(self) -> bool {
        !(self.r#type == Type::Text && self.text.is_empty()) && self.is_reference()
    }

    /// Whether it can be a reference: a number, or a string without lone surrogates.
    pub(super) fn is_reference(self) -> bool {
        match self.r#type {
            Type::Text => self.plain || !has_lone(self.text),
            other => other == Type::Number,
        }
    }

    /// Returns the text between the quotes of a string, with its escapes.
    pub(super) fn as_written(self) -> Self {
        Self { plain: true, ..self }
    }

    pub(super) fn is_object(self) -> bool {
        self.r#type == Type::Object
    }
}

/// A JSON value by its type. Nested values are text.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    #[default]
    Null,
    /// `true` or `false`.
    Bool(&'a str),
    /// The number as it is written.
    Number(&'a str),
    Text(Quoted<'a>),
    /// The text from `[` to `]`.
    List(&'a str),
    /// The text from `{` to `}`.
    Object(&'a str),
}

impl<'a> Value<'a> {
    /// Returns the value as an id: a number as it is written, or the text of a string. `None` for an empty string,
    /// and for one with lone surrogates, since different ids would become equal.
    pub(super) fn id(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Number(number) => Some(Cow::Borrowed(number)),
            Self::Text(text) => {
                let is_none = text.inner.is_empty() || text.escaped && has_lone(text.inner);
                (!is_none).then(|| text.text())
            }
            _ => None,
        }
    }

    /// Returns the name of the type for messages.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// The text between the quotes of a JSON string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quoted<'a> {
    inner: &'a str,
    escaped: bool,
}

impl<'a> Quoted<'a> {
    /// Returns the text if it has no escapes.
    pub(super) fn as_written(self) -> Option<&'a str> {
        (!self.escaped).then_some(self.inner)
    }

    /// Returns the text without escapes. A lone surrogate becomes U+FFFD.
    pub(super) fn text(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.inner);
        }
        let mut out = String::with_capacity(self.inner.len());
        self.push_text(&mut out);
        Cow::Owned(out)
    }

    /// Appends the result of [`Quoted::text`].
    pub(super) fn push_text(self, out: &mut String) {
        self.unescape(out, String::push);
    }

    /// Appends the text, and passes each escaped character to `push`.
    pub(super) fn unescape(self, out: &mut String, push: impl Fn(&mut String, char)) {
        if !self.escaped {
            out.push_str(self.inner);
            return;
        }
        let mut rest = self.inner;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            out.push_str(&rest[..at]);
            let (escaped, length) = escape(&rest.as_bytes()[at..]);
            push(out, escaped);
            rest = rest.get(at + length..).unwrap_or_default();
        }
        out.push_str(rest);
    }
}

/// Returns the character of the escape at the start of `bytes`, and the escape's length.
fn escape(bytes: &[u8]) -> (char, usize) {
    match bytes.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => {
            let (character, length) = code_point(bytes).unwrap_or((None, CODE_UNIT));
            (character.unwrap_or(char::REPLACEMENT_CHARACTER), length)
        }
        Some(&itself) => (char::from(itself), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// Returns the character of the escape of a code unit, or of a surrogate pair, at the start of `bytes`, and its
/// length. There is no character for a lone surrogate. `None` if there is no such escape.
pub(super) fn code_point(bytes: &[u8]) -> Option<(Option<char>, usize)> {
    let first = code_unit(bytes)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((Some(character), CODE_UNIT));
    }
    let second = bytes.get(CODE_UNIT..).and_then(code_unit);
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    Some((pair, if pair.is_some() { 2 * CODE_UNIT } else { CODE_UNIT }))
}

/// Length of the escape of a code unit: `\u` and four hexadecimal digits.
const CODE_UNIT: usize = 6;

/// Returns the code unit of the escape at the start of `bytes`.
fn code_unit(bytes: &[u8]) -> Option<u16> {
    let digits: &[u8; 4] = bytes.strip_prefix(b"\\u")?.first_chunk()?;
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let unit = digits
        .iter()
        .try_fold(0, |unit, each| Some(unit << 4 | digit(each)?))?;
    u16::try_from(unit).ok()
}

/// Parses a text that is exactly one JSON value, without surrounding whitespace.
pub(crate) fn whole(text: &str) -> Option<Value<'_>> {
    let mut walk = Walk::new(text);
    let value = walk.value();
    let is_whole = walk.fault().is_none() && walk.since(0) == text;
    let spaced = text.starts_with(|first: char| first.is_ascii_whitespace());
    (is_whole && !spaced).then_some(value)
}

/// Returns the values of a list.
pub(super) fn elements(list: &str) -> impl Iterator<Item = Raw<'_>> {
    let mut walk = Walk::new(list);
    walk.open();
    std::iter::from_fn(move || walk.more().then(|| walk.raw()))
}

/// Returns the keys and values of an object, including repeated keys.
pub(crate) fn entries(object: &str) -> impl Iterator<Item = (Quoted<'_>, Value<'_>)> {
    let mut walk = Walk::new(object);
    walk.open();
    std::iter::from_fn(move || Some((walk.key()?, walk.value())))
}
