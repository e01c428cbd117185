//! Addresses in text, with their last part made zero.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The text with each IPv4 address cut to its first 24 bits, and each IPv6 address to its first 48.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut done = 0;
    for (begin, end) in candidates(text) {
        let Some(address) = text.get(begin..end).and_then(address) else {
            continue;
        };
        masked.push_str(&text[done..begin]);
        masked.push_str(&address);
        done = end;
    }
    match done {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(masked + &text[done..]),
    }
}

/// Parts of the text that may be addresses: what an address is written with, and nothing like it on either side.
fn candidates(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let bytes = text.as_bytes();
    let belongs = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let begin = at + bytes[at..].iter().position(belongs)?;
            let length = bytes[begin..].iter().position(|byte| !belongs(byte));
            at = length.map_or(bytes.len(), |length| begin + length);
            let is_word =
                |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            let before = begin.checked_sub(1).and_then(|before| bytes.get(before));
            // a word that only begins or ends like an address is none
            if at - begin >= 3 && !is_word(before) && !is_word(bytes.get(at)) {
                return Some((begin, at));
            }
        }
    })
}

/// What a candidate becomes, where it is an address; a port, and what ends a sentence, stay.
fn address(candidate: &str) -> Option<String> {
    let whole = candidate.trim_end_matches(['.', ':']);
    let rest = &candidate[whole.len()..];
    if let Some(masked) = whole.parse().ok().map(v6) {
        return Some(masked + rest);
    }
    let (host, port) = match whole.split_once(':') {
        Some((host, _)) => (host, &whole[host.len()..]),
        None => (whole, ""),
    };
    let masked = v4(host.parse().ok()?);
    Some(format!("{masked}{port}{rest}"))
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
            "v1.2.3.4",
            "256.1.1.1",
            "a::b::c",
            "cafe",
            "e.g. this: that",
            "deadbeef_203.0.113.77",
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
