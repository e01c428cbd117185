//! Dots and colons in URLs and JSON: plain, percent-encoded once or twice, or escaped.

/// Maximum length of an escape: at most two encodings are supported.
pub(super) const LONGEST: usize = "%25253A".len();

/// Returns the length of a dot here; 0 if there is none.
pub(super) fn dot(bytes: &[u8], at: usize) -> usize {
    character(bytes, at, b'.', b"2e")
}

/// Returns the length of a colon here; 0 if there is none.
pub(super) fn colon(bytes: &[u8], at: usize) -> usize {
    character(bytes, at, b':', b"3a")
}

fn character(bytes: &[u8], at: usize, plain: u8, code: &[u8; 2]) -> usize {
    let Some(rest) = bytes.get(at..) else {
        return 0;
    };
    match rest.first() {
        Some(byte) if *byte == plain => 1,
        Some(b'%') => {
            let mut length = 1;
            while rest[length..].starts_with(b"25") && length + 2 < LONGEST {
                length += 2;
            }
            let is_it = rest
                .get(length..length + 2)
                .is_some_and(|found| found.eq_ignore_ascii_case(code));
            if is_it { length + 2 } else { 0 }
        }
        _ => 0,
    }
}

/// Whether an escape such as `%20`, `%2520` or `\u0020` ends here.
pub(super) fn after_escape(bytes: &[u8], end: usize) -> bool {
    let before = &bytes[..end];
    let ends = |start: &[u8], digits: usize| {
        let hex = before
            .len()
            .checked_sub(digits)
            .map(|place| before.split_at(place));
        hex.is_some_and(|(rest, hex)| rest.ends_with(start) && hex.iter().all(u8::is_ascii_hexdigit))
    };
    ends(b"%", 2) || ends(b"%25", 2) || ends(b"%2525", 2) || ends(b"\\u", 4)
}
