//! IPv6 addresses in text.
//!
//! Each chain (groups of hexadecimal digits with colons between them) is searched for an address. Any text may precede or
//! follow it, even more digits. Where a chain could also be something else, it counts as an address only with evidence.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::chain::{Chain, DIGITS, Neighbour};
use super::escape::{colon, dot};

/// Groups of an address.
const GROUPS: usize = 8;

/// The text with IPv6 addresses masked; `None` where it has none.
pub(super) fn masked(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut masked, mut done, mut at) = (String::new(), 0, 0);
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b':', b'%', rest)) {
        at += found;
        if colon(bytes, at) == 0 {
            at += 1;
            continue;
        }
        let chain = Chain::at(text, at, done);
        if let Some((place, address)) = chain.address(text)
            && text[place.clone()] != address
        {
            masked.push_str(&text[done..place.start]);
            masked.push_str(&address);
            done = place.end;
        }
        at = chain.end.max(at + 1);
    }
    (done > 0).then(|| masked + &text[done..])
}

impl Chain {
    /// The range of the address in the text, and its replacement.
    fn address(&self, text: &str) -> Option<(Range<usize>, String)> {
        let count = self.groups.len();
        let all = 0..count;
        let clock = self
            .groups
            .iter()
            .take(3)
            .take_while(|group| is_clock(&text[(*group).clone()]))
            .count();
        if clock == 3 && self.is_valid(&(3..count)) {
            return self.masked(text, 3..count);
        }
        if self.is_valid(&all) {
            return self.masked(text, all);
        }
        if self.doubles.is_empty() && count + usize::from(self.has_v4) > GROUPS {
            return self.long(text, clock);
        }
        if let Some(found) = self.without_outer_colons().and_then(|rest| rest.address(text)) {
            return Some(found);
        }
        // the longest part that is one
        let parts = (0..count).flat_map(|begin| (begin + 1..=count).map(move |end| begin..end));
        let parts = parts.filter(|part| self.is_valid(part) && self.is_evident(text, part));
        let longest = parts.max_by_key(|part| (part.len(), count - part.start))?;
        self.masked(text, longest)
    }

    /// The chain without the two colons at one of its ends, if there are two elsewhere, too: they may belong to the text
    /// next to it.
    fn without_outer_colons(&self) -> Option<Self> {
        let count = self.groups.len();
        let outer = self
            .doubles
            .iter()
            .position(|double| *double == 0 || *double == count)?;
        let mut rest = Self {
            before: Neighbour::Word,
            groups: self.groups.clone(),
            doubles: self.doubles.clone(),
            colon: self.colon.clone(),
            ..*self
        };
        rest.doubles.remove(outer);
        (!rest.doubles.is_empty()).then_some(rest)
    }

    /// An address in more groups than an address has, without two adjacent colons: a time of day may precede it, and a
    /// port may follow it.
    fn long(&self, text: &str, clock: usize) -> Option<(Range<usize>, String)> {
        let count = self.groups.len();
        let of = |group: usize| &text[self.groups[group].clone()];
        // fingerprints of keys have this form
        if (0..count).all(|group| of(group).len() == 2) {
            return None;
        }
        let begin = count + usize::from(self.has_v4) - GROUPS;
        if self.has_v4 || begin <= clock {
            return self.masked(text, begin..count);
        }
        if count == GROUPS + 1 && is_usual(of(0)) {
            return self.masked(text, 0..GROUPS);
        }
        // its beginning is unknown, so all groups are masked
        let (place, _) = self.masked(text, 0..GROUPS)?;
        let begin: Vec<&str> = (0..3).map(of).collect();
        let address: Ipv6Addr = format!("{}::", begin.join(":")).parse().ok()?;
        Some((
            place.start..self.groups[count - 1].end,
            self.written(text, &address.to_string()),
        ))
    }

    /// Whether these groups, with the colons between and beside them, are an address.
    fn is_valid(&self, part: &Range<usize>) -> bool {
        let has_v4 = self.has_v4 && part.end == self.groups.len();
        let groups = part.len() + usize::from(has_v4);
        match self.doubles_of(part) {
            0 => groups == GROUPS,
            1 => groups < GROUPS,
            _ => false,
        }
    }

    /// How often this part has two colons. Those at its ends count only at the ends of the chain.
    fn doubles_of(&self, part: &Range<usize>) -> usize {
        let is_in = |double: &&usize| {
            let is_outer = **double == 0 && part.start == 0
                || **double == self.groups.len() && part.end == self.groups.len();
            is_outer || (part.start < **double && **double < part.end)
        };
        self.doubles.iter().filter(is_in).count()
    }

    /// Whether a part of the chain is so similar to an address that it is one, whatever is next to it.
    fn is_evident(&self, text: &str, part: &Range<usize>) -> bool {
        let groups = || self.groups[part.clone()].iter().map(|group| &text[group.clone()]);
        let has_digit = groups().any(|group| group.bytes().any(|byte| byte.is_ascii_digit()));
        has_digit && (part.len() > 2 || groups().next().is_some_and(is_usual))
    }

    /// The range of a part of the chain in the text, and its replacement; `None` where it cannot be an address.
    fn masked(&self, text: &str, part: Range<usize>) -> Option<(Range<usize>, String)> {
        let count = self.groups.len();
        let groups = &self.groups[part.clone()];
        let (starts, ends) = (part.start == 0, part.end == count);
        let sides = [
            if starts { self.before } else { Neighbour::Space },
            if ends { self.behind } else { Neighbour::Space },
        ];
        let has_digit = || {
            groups
                .iter()
                .any(|group| text[group.clone()].bytes().any(|byte| byte.is_ascii_digit()))
        };
        let fits = match sides {
            _ if sides.contains(&Neighbour::Word) => self.is_evident(text, &part),
            _ if sides.contains(&Neighbour::Underscore) => has_digit() || part.len() > 2,
            _ => true,
        };
        if !fits {
            return None;
        }
        let leads = starts && self.doubles.first() == Some(&0);
        let trails = ends && self.doubles.last() == Some(&count);
        let mut address = String::new();
        if leads {
            address.push_str("::");
        }
        for (place, group) in groups.iter().enumerate() {
            if place > 0 {
                let double = self.doubles.contains(&(part.start + place));
                address.push_str(if double { "::" } else { ":" });
            }
            let group = &text[group.clone()];
            match self.has_v4 && ends && place + 1 == groups.len() {
                true => address.push_str(&plain_v4(group)?),
                // excess digits belong to a word after it
                false => address.push_str(&group[..group.len().min(DIGITS)]),
            }
        }
        if trails && count > 0 {
            address.push_str("::");
        }
        let begin = if leads {
            self.first_colon
        } else {
            groups.first()?.start
        };
        let end = if trails { self.end } else { groups.last()?.end };
        let address: Ipv6Addr = address.parse().ok()?;
        Some((begin..end, self.written(text, &shortened(address))))
    }

    /// An address with colons as the chain has them.
    fn written(&self, text: &str, address: &str) -> String {
        address.replace(':', &text[self.colon.clone()])
    }
}

/// Two digits, as in a time of day.
fn is_clock(group: &str) -> bool {
    group.len() == 2 && group.parse::<u8>().is_ok_and(|number| number < 60)
}

/// Whether addresses begin so: in 2000::/3, fc00::/7 or fe80::/10.
fn is_usual(group: &str) -> bool {
    let group = &group[..group.len().min(DIGITS)];
    let first = u16::from_str_radix(group, 16).unwrap_or(0);
    group.len() == DIGITS && (first >> 13 == 1 || first >> 9 == 0x7e || first >> 6 == 0x3fa)
}

/// An IPv4 address with its dots.
fn plain_v4(text: &str) -> Option<String> {
    let (bytes, mut plain, mut at) = (text.as_bytes(), String::new(), 0);
    while at < text.len() {
        let length = dot(bytes, at);
        match length {
            0 => plain.push(char::from(bytes[at])),
            _ => plain.push('.'),
        }
        at += length.max(1);
    }
    let numbers: Option<Vec<u8>> = plain.split('.').map(|number| number.parse().ok()).collect();
    let [a, b, c, d]: [u8; 4] = numbers?.try_into().ok()?;
    Some(Ipv4Addr::new(a, b, c, d).to_string())
}

/// An address cut to its first 48 bits, or to the first 24 bits of the IPv4 address that it contains.
fn shortened(address: Ipv6Addr) -> String {
    if let Some(mapped) = address.to_ipv4_mapped() {
        let [a, b, c, _] = mapped.octets();
        return format!("::ffff:{}", Ipv4Addr::new(a, b, c, 0));
    }
    let [a, b, c, ..] = address.segments();
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
}
