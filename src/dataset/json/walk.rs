//! A walk through JSON text, which finds out on its way whether it is JSON.

mod nested;
mod plain;
mod written;

use super::{Quoted, Raw, Type, Value, code_point};
use plain::plain;
pub(in crate::dataset) use written::Written;

/// A position in JSON text. Where the text turns out to be none the walk is at its end at once: there are no more
/// keys and values, and [`Walk::fault`] tells where.
#[derive(Debug)]
pub(in crate::dataset) struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// The list or object that the walk is in was opened just now: no comma comes before what is next.
    opened: bool,
    fault: Option<usize>,
    /// Escapes passed that are half of a surrogate pair without its other half.
    lone_surrogates: u64,
    /// Of the keys of the objects that are being passed over; kept for its memory.
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

    /// Where the text is not JSON, as far as it was read: the length of the text where it breaks off.
    pub(in crate::dataset) fn fault(&self) -> Option<usize> {
        self.fault
    }

    /// How many escapes so far were half of a surrogate pair without its other half.
    #[inline]
    pub(in crate::dataset) fn lone_surrogates(&self) -> u64 {
        self.lone_surrogates
    }

    /// Takes whatever is left behind the value for a fault.
    pub(in crate::dataset) fn ends(&mut self) {
        if self.next().is_some() {
            self.fail();
        }
    }

    /// The byte at the start of what is next.
    #[inline]
    pub(in crate::dataset) fn next(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// The byte at the start of the next value, key or bracket, passing over commas and colons: for text that is
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

    /// Steps over the bracket that is next.
    #[inline]
    pub(in crate::dataset) fn step(&mut self) {
        self.next();
        self.at += 1;
    }

    /// Steps into the list or object that is next.
    #[inline]
    pub(in crate::dataset) fn open(&mut self) {
        self.step();
        self.opened = true;
    }

    /// Whether another element comes in the list that the walk is in; steps out of it behind the last.
    #[inline]
    pub(in crate::dataset) fn more(&mut self) -> bool {
        self.more_before(b']')
    }

    /// The next key of the object that the walk is in; steps out of it behind the last.
    #[inline]
    pub(in crate::dataset) fn key(&mut self) -> Option<Quoted<'a>> {
        self.key_as_written().map(|(key, _)| key)
    }

    /// The same with how it is written, quotes and colon included.
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

    /// Steps over the next key of the object that the walk is in where it is written just so, without space before it;
    /// false, and nothing stepped over, where it is not.
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

    /// Steps over a list or an object where it is written just so, as one that was read before.
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

    /// Reads one value, passing over what is nested in it.
    pub(in crate::dataset) fn value(&mut self) -> Value<'a> {
        self.raw().value()
    }

    /// The same as it stands in the text.
    // a call would hand it over in memory, piece by piece, which takes longer than most values do
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

    /// Passes over one value.
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

    /// The text of the number or the word that begins here.
    #[inline]
    pub(in crate::dataset) fn bare(&mut self) -> &'a str {
        let start = self.position();
        self.pass_bare();
        self.since(start)
    }

    /// Where the walk is: the start of what is next.
    #[inline]
    pub(in crate::dataset) fn position(&mut self) -> usize {
        self.next();
        self.at
    }

    /// The text from a position to here.
    #[inline]
    pub(in crate::dataset) fn since(&self, position: usize) -> &'a str {
        self.text.get(position..self.at).unwrap_or_default()
    }

    /// Ends the walk: the text is not JSON from here on.
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

    /// Steps over the text of a string up to the quote behind it; whether it has escapes.
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

    /// Whether it has escapes.
    #[inline]
    fn pass_string(&mut self) -> bool {
        self.expect(b'"');
        let escaped = self.pass_text();
        self.at += usize::from(self.fault.is_none());
        escaped
    }

    /// Steps over a number, `true`, `false` or `null`.
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

    /// Steps over one of these bytes, if one is there.
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

    /// Steps over digits, one at least.
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
