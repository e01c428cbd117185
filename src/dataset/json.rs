//! Walks JSON text, value by value, as slices of the text itself.
//!
//! serde_json has validated the text before it comes here, so that the walk only has to find where things
//! end. It passes over what serde_json's own strings and numbers refuse (lone surrogates, `1e400`), and it
//! does not recurse. Text that is not JSON gives values without meaning, but no panic and no endless loop.

use std::borrow::Cow;

/// A JSON value, told apart by its type; nested values are kept as their text.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    #[default]
    Null,
    /// `true` or `false`.
    Bool(&'a str),
    /// The number as it was written.
    Number(&'a str),
    Text(Quoted<'a>),
    /// The text from `[` to `]`.
    List(&'a str),
    /// The text from `{` to `}`.
    Object(&'a str),
}

impl<'a> Value<'a> {
    /// The one value that `text` holds.
    pub(super) fn of(text: &'a str) -> Self {
        Walk::new(text).value()
    }

    /// Whether it can be an id: a string or a number.
    pub(super) fn is_id(self) -> bool {
        matches!(self, Self::Text(_) | Self::Number(_))
    }

    /// What a person calls the type.
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

/// What stands between the quotes of a JSON string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quoted<'a> {
    inner: &'a str,
    escaped: bool,
}

impl<'a> Quoted<'a> {
    /// The text that is meant. A lone surrogate becomes U+FFFD.
    pub(super) fn text(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.inner);
        }
        let mut out = String::with_capacity(self.inner.len());
        self.push_text(&mut out);
        Cow::Owned(out)
    }

    /// Appends what [`Quoted::text`] gives.
    pub(super) fn push_text(self, out: &mut String) {
        self.unescape(out, String::push);
    }

    /// Appends the text, each character that was escaped by way of `push`.
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

/// The character that the escape at the start of `bytes` means, and the escape's length.
fn escape(bytes: &[u8]) -> (char, usize) {
    match bytes.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => code_point(bytes),
        Some(&itself) => (char::from(itself), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// `\uXXXX`, or two of them where they are a surrogate pair.
fn code_point(bytes: &[u8]) -> (char, usize) {
    let first = code_unit(bytes);
    if let Some(Ok(both)) = char::decode_utf16([first, code_unit(&bytes[6.min(bytes.len())..])]).next() {
        return (both, if both.len_utf16() == 2 { 12 } else { 6 });
    }
    (char::REPLACEMENT_CHARACTER, 6)
}

/// The code unit of the `\uXXXX` at the start of `bytes`; 0, which pairs with nothing, where there is none.
fn code_unit(bytes: &[u8]) -> u16 {
    let digits = bytes.strip_prefix(b"\\u").and_then(|digits| digits.get(..4));
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    digits
        .and_then(|digits| u16::from_str_radix(digits, 16).ok())
        .unwrap_or(0)
}

/// The values of a list, given its text.
pub(super) fn elements(list: &str) -> impl Iterator<Item = Value<'_>> {
    let mut walk = Walk::new(list);
    walk.step();
    std::iter::from_fn(move || walk.more().then(|| walk.value()))
}

/// The keys and values of an object, given its text, as often as they occur.
pub(super) fn entries(object: &str) -> impl Iterator<Item = (Quoted<'_>, Value<'_>)> {
    let mut walk = Walk::new(object);
    walk.step();
    std::iter::from_fn(move || Some((walk.key()?, walk.value())))
}

/// A position in JSON text.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that means something. In text known to be valid, commas and colons tell nothing more.
    pub(super) fn next(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t' | b',' | b':') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Steps over the bracket that is next, into or out of a list or an object.
    pub(super) fn step(&mut self) {
        self.next();
        self.at += 1;
    }

    /// Whether a value or a key comes before the end of what the walk is in.
    pub(super) fn more(&mut self) -> bool {
        !matches!(self.next(), None | Some(b'}' | b']'))
    }

    /// The next key of the object that the walk is in; steps out of it behind the last.
    pub(super) fn key(&mut self) -> Option<Quoted<'a>> {
        if self.more() {
            return Some(self.string());
        }
        self.step();
        None
    }

    /// Reads one value, passing over what is nested in it.
    pub(super) fn value(&mut self) -> Value<'a> {
        match self.next() {
            Some(b'"') => Value::Text(self.string()),
            Some(b'{') => Value::Object(self.nested()),
            Some(b'[') => Value::List(self.nested()),
            Some(b't' | b'f') => Value::Bool(self.bare()),
            Some(b'n') | None => {
                self.bare();
                Value::Null
            }
            Some(_) => Value::Number(self.bare()),
        }
    }

    /// Reads a string.
    pub(super) fn string(&mut self) -> Quoted<'a> {
        self.next();
        let start = self.at + 1;
        let escaped = self.pass_string();
        let inner = self
            .text
            .get(start..self.at.saturating_sub(1))
            .unwrap_or_default();
        Quoted { inner, escaped }
    }

    /// Steps over the string that begins here; whether it has escapes.
    fn pass_string(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        self.at += 1;
        while let Some(rest) = bytes.get(self.at..) {
            self.at += quote_or_backslash(rest);
            if bytes.get(self.at) != Some(&b'\\') {
                self.at += 1;
                break;
            }
            escaped = true;
            self.at += 2;
        }
        escaped
    }

    /// The text of the list or object that begins here.
    fn nested(&mut self) -> &'a str {
        let (start, mut depth) = (self.at, 0_usize);
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' => {
                    self.pass_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        self.since(start)
    }

    /// The text of the number or the word that begins here.
    pub(super) fn bare(&mut self) -> &'a str {
        let start = self.at;
        let ends = |byte: &u8| matches!(byte, b',' | b':' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        // At least one byte, so that a walk through what is not JSON ends too.
        let rest = self.text.as_bytes().get(start + 1..).unwrap_or_default();
        self.at += 1 + rest.iter().position(ends).unwrap_or(rest.len());
        self.since(start)
    }

    /// Where the walk is: the start of what is next.
    pub(super) fn position(&mut self) -> usize {
        self.next();
        self.at
    }

    /// The text from a position to here.
    pub(super) fn since(&self, position: usize) -> &'a str {
        self.text.get(position..self.at).unwrap_or_default()
    }
}

/// How many bytes come before the first quote or backslash, eight at a time: most strings are too short for a
/// call of memchr to pay.
fn quote_or_backslash(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    // Marks the lowest byte that is zero, by its high bit; bits above it may be wrong.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let tail = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    bytes.len() - rest.len() + tail.unwrap_or(rest.len())
}
