//! Addresses in text, with their last part made zero.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The text with each IPv4 address cut to its first 24 bits, and each IPv6 address to its first 48.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let without_v4 = replaced(text, v4_at);
    match replaced(&without_v4, v6_at) {
        Cow::Owned(masked) => Cow::Owned(masked),
        Cow::Borrowed(_) => without_v4,
    }
}

/// The text with what `found` makes of the parts that begin at some place: what stands in their place, and their end.
fn replaced(text: &str, found: impl Fn(&str, usize) -> Option<(String, usize)>) -> Cow<'_, str> {
    let (mut masked, mut done, mut at) = (String::new(), 0, 0);
    while at < text.len() {
        match found(text, at) {
            Some((address, end)) => {
                masked.push_str(&text[done..at]);
                masked.push_str(&address);
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

/// Four numbers up to 255 with dots between them, and no fifth, whatever stands around them.
fn v4_at(text: &str, begin: usize) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if !digit(begin) || (begin > 0 && digit(begin - 1) && !is_encoded(bytes, begin)) {
        return None;
    }
    if begin > 1 && bytes[begin - 1] == b'.' && digit(begin - 2) {
        return None;
    }
    let (mut at, mut last) = (begin, begin);
    for number in 0..4 {
        if number > 0 {
            if bytes.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        last = at;
        while digit(at) {
            at += 1;
        }
        if !(1..=3).contains(&(at - last)) || text[last..at].parse::<u16>().ok()? > 255 {
            return None;
        }
    }
    if bytes.get(at) == Some(&b'.') && digit(at + 1) {
        return None;
    }
    Some((format!("{}0", &text[begin..last]), at))
}

/// Whether the two characters before are the end of an escape such as `%20`.
fn is_encoded(bytes: &[u8], begin: usize) -> bool {
    begin >= 3 && bytes[begin - 3] == b'%' && bytes[begin - 2..begin].iter().all(u8::is_ascii_hexdigit)
}

/// What is written as an IPv6 address is, from its first character to its last.
fn v6_at(text: &str, begin: usize) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let belongs = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    if !belongs(&bytes[begin]) || !(may_begin(bytes, begin) || is_encoded(bytes, begin)) {
        return None;
    }
    let length = bytes[begin..].iter().take_while(|byte| belongs(byte)).count();
    let run = &text[begin..begin + length];
    let ends_a_word = |end: usize| {
        bytes
            .get(end)
            .is_some_and(|after| after.is_ascii_alphanumeric() || *after == b'_')
    };
    for candidate in [run, run.trim_end_matches(['.', ':'])] {
        let end = begin + candidate.len();
        if let (false, Ok(address)) = (ends_a_word(end), candidate.parse()) {
            return Some((v6(address), end));
        }
    }
    None
}

/// Whether an IPv6 address may begin here: at the beginning of what is written as one, or behind a word with a colon.
fn may_begin(bytes: &[u8], begin: usize) -> bool {
    let belongs = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(**byte, b'.' | b':');
    let is_word = |at: usize| bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_';
    // no address is longer
    let back = bytes[..begin].iter().rev().take(50).take_while(belongs).count();
    let run = begin - back;
    let follows_a_word = run > 0 && is_word(run - 1);
    match back {
        0 => !follows_a_word,
        1 => bytes[run] == b':',
        _ => {
            follows_a_word
                && bytes[run..begin - 1].iter().all(u8::is_ascii_hexdigit)
                && bytes[begin - 1] == b':'
        }
    }
}

fn v4(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 0)
}

fn v6(address: Ipv6Addr) -> String {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return format!("::ffff:{}", v4(mapped));
    }
    let [a, b, c, ..] = address.segments();
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_last_part_wherever_they_stand() {
        for (text, expected) in [
            ("203.0.113.77", "203.0.113.0"),
            ("203.0.113.77, 10.1.2.3", "203.0.113.0, 10.1.2.0"),
            ("203.0.113.77:8080", "203.0.113.0:8080"),
            ("it is 203.0.113.77.", "it is 203.0.113.0."),
            ("(203.0.113.77)", "(203.0.113.0)"),
            ("ip=203.0.113.77&x=1", "ip=203.0.113.0&x=1"),
            ("2001:db8:85a3:8d3:1319:8a2e:370:7348", "2001:db8:85a3::"),
            ("[2001:db8::1]:443", "[2001:db8::]:443"),
            ("::ffff:203.0.113.77", "::ffff:203.0.113.0"),
            (
                "ip:203.0.113.12 X-Forwarded-For:203.0.113.13",
                "ip:203.0.113.0 X-Forwarded-For:203.0.113.0",
            ),
            ("{ip:203.0.113.14}", "{ip:203.0.113.0}"),
            ("12:30:45:203.0.113.23", "12:30:45:203.0.113.0"),
            (
                "?u=a%20203.0.113.16&ip%3D203.0.113.17",
                "?u=a%20203.0.113.0&ip%3D203.0.113.0",
            ),
            (
                "user_203.0.113.18 x.203.0.113.42 203.0.113.19.nip.io",
                "user_203.0.113.0 x.203.0.113.0 203.0.113.0.nip.io",
            ),
            ("wait...203.0.113.21", "wait...203.0.113.0"),
            ("203.0.113.020", "203.0.113.0"),
            ("addr:2001:db8:1:2::3", "addr:2001:db8:1::"),
            ("2001:db8:1:cafe::", "2001:db8:1::"),
            ("2001:db8:1:2::3.", "2001:db8:1::."),
            ("::1", "::"),
            ("mein Gerät: 203.0.113.77 ü", "mein Gerät: 203.0.113.0 ü"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
            assert_eq!(masked(expected), expected, "twice: {text}");
        }
    }

    #[test]
    fn what_is_no_address_stays() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "Chrome/118.0.5993.70",
            "12:30:45",
            "2023-10-01T08:00:00.123Z",
            "256.1.1.1",
            "a::b::c",
            "cafe",
            "e.g. this: that",
            "std::add",
            "https://example.com:8080/a.b",
        ] {
            assert!(
                matches!(masked(text), Cow::Borrowed(_)),
                "{text}: {}",
                masked(text)
            );
        }
    }
}
