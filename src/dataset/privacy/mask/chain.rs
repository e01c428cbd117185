//! Candidates of IPv6 addresses: groups of hexadecimal digits with colons between them.

use std::ops::Range;

use super::escape::{after_escape, colon, dot};
use super::v4_at;

/// Maximum digits of a group.
pub(super) const DIGITS: usize = 4;

/// Groups with colons between them.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) groups: Vec<Range<usize>>,
    /// The index of each group that follows two colons; the number of groups for two colons after the last group.
    pub(super) doubles: Vec<usize>,
    /// The position of the first colon, and of the first byte after the last group and its colons.
    pub(super) first_colon: usize,
    pub(super) end: usize,
    /// Whether the last group is an IPv4 address.
    pub(super) has_v4: bool,
    /// Whether one colon follows the last group.
    pub(super) ends_with_colon: bool,
    /// How a colon is written in it.
    pub(super) colon: Range<usize>,
    pub(super) before: Neighbour,
    pub(super) behind: Neighbour,
}

/// The kind of character next to a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// Not part of a word.
    #[default]
    Space,
    Underscore,
    /// A letter or a digit.
    Word,
}

impl Neighbour {
    fn of(byte: Option<&u8>) -> Self {
        match byte {
            Some(b'_') => Self::Underscore,
            Some(byte) if byte.is_ascii_alphanumeric() => Self::Word,
            _ => Self::Space,
        }
    }
}

impl Chain {
    /// The chain whose first colon is at `first`; text before `done` is not part of it.
    pub(super) fn at(text: &str, first: usize, done: usize) -> Self {
        let bytes = text.as_bytes();
        let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        let mut chain = Self {
            first_colon: first,
            colon: first..first + colon(bytes, first),
            ..Self::default()
        };
        let mut begin = first;
        while begin > done && is_hex(begin - 1) && first - begin < DIGITS && !after_escape(bytes, begin) {
            begin -= 1;
        }
        if !after_escape(bytes, begin) {
            chain.before = Neighbour::of(begin.checked_sub(1).map(|before| &bytes[before]));
        }
        if begin < first {
            chain.groups.push(begin..first);
        } else if colon(bytes, first + chain.colon.len()) == 0 {
            // the colon is between it and the word
            chain.before = Neighbour::Space;
        }
        let mut at = first;
        loop {
            let one = colon(bytes, at);
            if one == 0 {
                break;
            }
            let two = colon(bytes, at + one);
            if two > 0 && colon(bytes, at + one + two) > 0 {
                // three colons are no separator
                at += one;
                while colon(bytes, at) > 0 {
                    at += colon(bytes, at);
                }
                break;
            }
            if two > 0 {
                chain.doubles.push(chain.groups.len());
            }
            let one = at..at + one;
            at = one.end + two;
            let group = at;
            while is_hex(at) {
                at += 1;
            }
            if at > group || two > 0 {
                chain.colon = one;
            }
            if at == group {
                chain.ends_with_colon = two == 0;
                break;
            }
            let next = dot(bytes, at);
            if next > 0
                && bytes.get(at + next).is_some_and(u8::is_ascii_digit)
                && let Some((_, end)) = v4_at(text, group)
            {
                chain.groups.push(group..end);
                chain.has_v4 = true;
                at = end;
                break;
            }
            chain.groups.push(group..at);
            if at - group > DIGITS {
                chain.behind = Neighbour::Word;
                break;
            }
        }
        chain.end = at;
        if chain.behind == Neighbour::Space && !chain.ends_with_colon {
            chain.behind = Neighbour::of(bytes.get(at));
        }
        chain
    }
}
