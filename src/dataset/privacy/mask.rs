//! Masks IP addresses in text.

mod chain;
mod escape;
#[cfg(test)]
mod tests;
mod v6;

use std::borrow::Cow;

use escape::{after_escape, dot};

/// Returns the text with each IPv4 address cut to its first 24 bits, and each IPv6 address to its first 48.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let without_v4 = v4(text);
    match v6::masked(&without_v4) {
        Some(masked) => Cow::Owned(masked),
        None => without_v4,
    }
}

/// Sets the last part of IPv4 addresses to zero.
fn v4(text: &str) -> Cow<'_, str> {
    let (mut masked, mut done, mut at) = (String::new(), 0, 0);
    while let Some(found) = text.as_bytes()[at..].iter().position(u8::is_ascii_digit) {
        at += found;
        match v4_at(text, at) {
            Some((last, end)) => {
                masked.push_str(&text[done..last]);
                masked.push('0');
                (done, at) = (end, end);
            }
            None => at += 1,
        }
    }
    match done {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(masked + &text[done..]),
    }
}

/// Returns the range of the last of four numbers up to 255 with dots between them, if no fifth number follows. Any
/// text may surround them.
fn v4_at(text: &str, begin: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if !digit(begin) || (begin > 0 && digit(begin - 1) && !after_escape(bytes, begin)) {
        return None;
    }
    // a number and a dot precede it
    let dot_before = (1..=begin.min(escape::LONGEST))
        .any(|length| dot(bytes, begin - length) == length && begin > length && digit(begin - length - 1));
    if dot_before {
        return None;
    }
    let (mut at, mut last) = (begin, begin);
    for number in 0..4 {
        if number > 0 {
            let length = dot(bytes, at);
            if length == 0 {
                return None;
            }
            at += length;
        }
        last = at;
        while digit(at) {
            at += 1;
        }
        if !(1..=3).contains(&(at - last)) || text[last..at].parse::<u16>().ok()? > 255 {
            return None;
        }
    }
    let next = dot(bytes, at);
    (next == 0 || !digit(at + next)).then_some((last, at))
}
