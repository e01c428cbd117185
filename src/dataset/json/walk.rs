//! Walks through JSON text, and validates it on the way.

mod nested;
mod plain;
mod written;

use super::{Quoted, Raw, Type, Value, code_point};
use plain::plain;
pub(in crate::dataset) use written::Written;

/// A position in JSON text. If the text is invalid, the walk ends: there are no more keys and values, and
/// [`Walk::fault`] returns the position.
#[derive(Debug)]
pub(in crate::dataset) struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// Whether the current list or object was just opened, so that no comma precedes the next value.
    opened: bool,
    fault: Option<usize>,
    /// Number of lone surrogates so far.
    lone_surrogates: u64,
    /// Fingerprints of the keys of skipped objects; reused as a buffer.
    prints: Vec<u64>,
}

impl<'a> Walk<'a> {
    pub(in crate::dataset) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            opened: false,
            fault: None,
            lone_surrogates: 0,
            prints: Vec::new(),
        }
    }

    /// Returns the position at which the text is invalid, or its length if it is cut off.
    pub(in crate::dataset) fn fault(&self) -> Option<usize> {
        self.fault
    }

    /// Returns the number of lone surrogates so far.
    #[inline]
    pub(in crate::dataset) fn lone_surrogates(&self) -> u64 {
        self.lone_surrogates
    }

    /// Makes the walk fail if there is text after the value.
    pub(in crate::dataset) fn ends(&mut self) {
        if self.next().is_some() {
            self.fail();
        }
    }

    /// Returns the first byte of the next token.
    #[inline]
    pub(in crate::dataset) fn next(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Returns the first byte of the next value, key or bracket, and skips commas and colons. Only for text that is
    /// known to be JSON.
    #[inline]
    pub(in crate::dataset) fn token(&mut self) -> Option<u8> {
        loop {
            match self.next() {
                Some(b',' | b':') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Skips the next bracket.
    #[inline]
    pub(in crate::dataset) fn step(&mut self) {
        self.next();
        self.at += 1;
    }

    /// Enters the next list or object.
    #[inline]
    pub(in crate::dataset) fn open(&mut self) {
        self.step();
        self.opened = true;
    }

    /// Whether the current list has another element. Leaves the list after the last one.
    #[inline]
    pub(in crate::dataset) fn more(&mut self) -> bool {
        self.more_before(b']')
    }

    /// Returns the next key of the current object. Leaves the object after the last one.
    #[inline]
    pub(in crate::dataset) fn key(&mut self) -> Option<Quoted<'a>> {
        self.key_as_written().map(|(key, _)| key)
    }

    /// Returns the next key, and its text with quotes and colon.
    #[inline]
    pub(in crate::dataset) fn key_as_written(&mut self) -> Option<(Quoted<'a>, &'a str)> {
        if !self.more_before(b'}') {
            return None;
        }
        let start = self.position();
        let key = self.string();
        self.expect(b':');
        self.fault.is_none().then(|| (key, self.since(start)))
    }

    /// Skips the next key of the current object if it is written exactly like this, without whitespace before it.
    /// Otherwise returns false and skips nothing.
    #[inline]
    pub(in crate::dataset) fn key_is(&mut self, written: &Written<'_>) -> bool {
        let start = self.at + usize::from(!self.opened);
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let separated = self.opened || self.text.as_bytes().get(self.at) == Some(&b',');
        let is_it = separated && written.begins(rest);
        if is_it {
            self.at = start + written.text.len();
            self.opened = false;
        }
        is_it
    }

    /// Skips a list or an object if it is written exactly like this one, which was read before.
    #[inline]
    pub(in crate::dataset) fn passes(&mut self, nested: &str) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let is_it = !nested.is_empty() && rest.starts_with(nested.as_bytes());
        if is_it {
            self.at += nested.len();
        }
        is_it
    }

    #[inline]
    fn more_before(&mut self, end: u8) -> bool {
        let opened = std::mem::take(&mut self.opened);
        match self.next() {
            Some(byte) if byte == end => {
                self.at += 1;
                return false;
            }
            Some(_) if opened => {}
            Some(b',') => self.at += 1,
            _ => self.fail(),
        }
        self.fault.is_none()
    }

    /// Reads one value, and skips what is nested in it.
    pub(in crate::dataset) fn value(&mut self) -> Value<'a> {
        self.raw().value()
    }

    /// Reads one value as it is written.
    // a call would return it in memory, which takes longer than most values
    #[inline(always)]
    pub(in crate::dataset) fn raw(&mut self) -> Raw<'a> {
        let start = self.position();
        let (r#type, plain) = match self.text.as_bytes().get(start) {
            Some(b'"') => {
                let Quoted { inner: text, escaped } = self.string();
                return Raw {
                    r#type: Type::Text,
                    plain: !escaped,
                    text,
                };
            }
            Some(b'{') => (Type::Object, self.pass_nested::<true>()),
            Some(b'[') => (Type::List, self.pass_nested::<true>()),
            first => {
                self.pass_bare();
                match first {
                    Some(b't' | b'f') => (Type::Bool, true),
                    Some(b'-' | b'0'..=b'9') => (Type::Number, true),
                    _ => return Raw::default(),
                }
            }
        };
        let text = self.since(start);
        Raw { r#type, plain, text }
    }

    /// Skips one value.
    #[inline]
    pub(in crate::dataset) fn skip(&mut self) {
        match self.next() {
            Some(b'"') => {
                self.pass_string();
            }
            Some(b'{' | b'[') => {
                self.pass_nested::<false>();
            }
            _ => self.pass_bare(),
        }
    }

    /// Reads a string.
    #[inline]
    pub(in crate::dataset) fn string(&mut self) -> Quoted<'a> {
        self.expect(b'"');
        let start = self.at;
        let escaped = self.pass_text();
        let inner = self.since(start);
        self.at += usize::from(self.fault.is_none());
        Quoted { inner, escaped }
    }

    /// Returns the text of the number or word that begins here.
    #[inline]
    pub(in crate::dataset) fn bare(&mut self) -> &'a str {
        let start = self.position();
        self.pass_bare();
        self.since(start)
    }

    /// Returns the position of the next token.
    #[inline]
    pub(in crate::dataset) fn position(&mut self) -> usize {
        self.next();
        self.at
    }

    /// Returns the text from a position to here.
    #[inline]
    pub(in crate::dataset) fn since(&self, position: usize) -> &'a str {
        self.text.get(position..self.at).unwrap_or_default()
    }

    /// Ends the walk: the text is invalid from here on.
    fn fail(&mut self) {
        self.fault.get_or_insert(self.at.min(self.text.len()));
        self.at = self.text.len();
    }

    #[inline]
    fn expect(&mut self, byte: u8) {
        if self.next() == Some(byte) {
            self.at += 1;
        } else {
            self.fail();
        }
    }

    /// Skips the text of a string up to its closing quote. Returns whether it has escapes.
    #[inline]
    fn pass_text(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        while let Some(rest) = bytes.get(self.at..) {
            self.at += plain(rest);
            match bytes.get(self.at) {
                Some(b'\\') => {
                    escaped = true;
                    self.pass_escape();
                }
                Some(b'"') => break,
                _ => {
                    self.fail();
                    break;
                }
            }
        }
        escaped
    }

    fn pass_escape(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        match bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let escape = &bytes[self.at - 1..];
                let Some((character, length)) = code_point(escape) else {
                    self.at += 1 + escape[2..]
                        .iter()
                        .take(4)
                        .take_while(|digit| digit.is_ascii_hexdigit())
                        .count();
                    return self.fail();
                };
                self.at += length - 1;
                self.lone_surrogates += u64::from(character.is_none());
            }
            _ => self.fail(),
        }
    }

    /// Skips a string. Returns whether it has escapes.
    #[inline]
    fn pass_string(&mut self) -> bool {
        self.expect(b'"');
        let escaped = self.pass_text();
        self.at += usize::from(self.fault.is_none());
        escaped
    }

    /// Skips a number, `true`, `false` or `null`.
    fn pass_bare(&mut self) {
        match self.next() {
            Some(b't') => self.pass_word(b"true"),
            Some(b'f') => self.pass_word(b"false"),
            Some(b'n') => self.pass_word(b"null"),
            _ => self.pass_number(),
        }
    }

    #[inline]
    fn pass_word<const LENGTH: usize>(&mut self, word: &[u8; LENGTH]) {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.first_chunk() == Some(word) {
            self.at += LENGTH;
        } else {
            self.at += rest.iter().zip(word).take_while(|(a, b)| a == b).count();
            self.fail();
        }
    }

    fn pass_number(&mut self) {
        self.pass_any(b"-");
        if !self.pass_any(b"0") {
            self.pass_digits();
        }
        if self.pass_any(b".") {
            self.pass_digits();
        }
        if self.pass_any(b"eE") {
            self.pass_any(b"+-");
            self.pass_digits();
        }
    }

    /// Skips one of these bytes, if it is next.
    #[inline]
    fn pass_any(&mut self, any: &[u8]) -> bool {
        let is_there = self
            .text
            .as_bytes()
            .get(self.at)
            .is_some_and(|byte| any.contains(byte));
        self.at += usize::from(is_there);
        is_there
    }

    /// Skips digits, at least one.
    #[inline]
    fn pass_digits(&mut self) {
        let start = self.at;
        while self.text.as_bytes().get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start {
            self.fail();
        }
    }
}
