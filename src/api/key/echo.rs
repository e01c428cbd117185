//! Hides a key in text of a server, in any form in which the server may repeat it.

/// Replacement of a key.
const HIDDEN: &str = "***";
/// A part of the key with at least this many characters, at the end of a shortened text, is hidden, too.
const PART: usize = 4;
/// Minimum length of an encoded key that is searched. Shorter ones occur in any text.
const SHORTEST_CODE: usize = 5;
/// Maximum nesting of escapes that is searched: `%252B` has two.
const DEPTH: usize = 3;
/// Authentication schemes that a key may begin with.
const SCHEMES: [&str; 4] = ["bearer", "basic", "token", "apikey"];

/// Returns the text with the key hidden: as plain text in upper or lower case, with or without its quotation marks;
/// with characters escaped as in URLs, JSON or HTML; as base64, alone or within a longer text; and as hex. An empty
/// key hides nothing.
pub(super) fn hidden(text: &str, key: &[u8]) -> String {
    let (plain, codes) = forms(key);
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let found = |forms: &[Vec<u8>]| {
            forms
                .iter()
                .filter_map(|form| end(text.as_bytes(), at, form, 0))
                .max()
        };
        if let Some(end) = found(&plain) {
            shown.push_str(HIDDEN);
            at = text.ceil_char_boundary(end);
        } else if let Some(end) = found(&codes) {
            // adjacent characters contain bits of the key, too
            shown.truncate(shown.trim_end_matches(is_code).len());
            shown.push_str(HIDDEN);
            let rest = &text[text.ceil_char_boundary(end)..];
            at = text.len() - rest.trim_start_matches(is_code).len();
        } else {
            shown.push(next);
            at += next.len_utf8();
        }
    }
    shown
}

/// Returns what is searched: the key and its parts, and their encoded forms.
fn forms(key: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let parts = key
        .split(u8::is_ascii_whitespace)
        .filter(|part| part.len() >= PART);
    let parts = parts.filter(|part| {
        !SCHEMES
            .iter()
            .any(|scheme| part.eq_ignore_ascii_case(scheme.as_bytes()))
    });
    let mut plain: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    if !key.is_empty() {
        plain.push(key.to_vec());
    }
    let mut codes = Vec::new();
    for secret in &plain {
        for shift in 0..3 {
            let code = base64(secret, shift);
            let for_urls: Vec<u8> = code.iter().map(|letter| for_urls(*letter)).collect();
            codes.extend([code, for_urls]);
        }
        let hex = secret.iter().flat_map(|byte| format!("{byte:02x}").into_bytes());
        codes.push(hex.collect());
    }
    codes.retain(|code| code.len() >= SHORTEST_CODE);
    (plain, codes)
}

/// Returns where the secret ends in the text, of which `matched` bytes precede `at`.
fn end(text: &[u8], at: usize, secret: &[u8], matched: usize) -> Option<usize> {
    let Some((expected, rest)) = secret.split_first() else {
        return (matched > 0).then_some(at);
    };
    let left = text.get(at..).unwrap_or_default();
    let is_cut = left.is_empty() || left == "…".as_bytes();
    if is_cut {
        return (matched >= PART).then_some(at);
    }
    let further = |length: usize| end(text, at + length, rest, matched + 1);
    if left[0].eq_ignore_ascii_case(expected)
        && let Some(end) = further(1)
    {
        return Some(end);
    }
    let escapes = unescaped(left);
    let escaped = escapes
        .iter()
        .filter(|(byte, _)| byte.eq_ignore_ascii_case(expected));
    if let Some(end) = escaped.filter_map(|(_, length)| further(*length)).next() {
        return Some(end);
    }
    if matched > 0 {
        // an escape of a character that needs none, or the first one of several
        if left[0] == b'\\'
            && let Some(end) = end(text, at + 1, secret, matched)
        {
            return Some(end);
        }
        // quotation marks may be missing
        if b"\"'`\\".contains(expected)
            && let Some(end) = end(text, at, rest, matched)
        {
            return Some(end);
        }
    }
    // an escape that was cut off
    let is_begun = left.len() < 6 && matches!(left[0], b'%' | b'\\' | b'&') && escapes.is_empty();
    (matched >= PART && is_begun).then_some(text.len())
}

/// Returns the possible characters of an escape at the beginning of a text, and its length.
fn unescaped(text: &[u8]) -> Vec<(u8, usize)> {
    let number = |digits: Option<&[u8]>, radix: u32| {
        let digits = std::str::from_utf8(digits?).ok()?;
        u8::try_from(u32::from_str_radix(digits, radix).ok()?).ok()
    };
    let mut found = Vec::new();
    match text {
        [b'+', ..] => found.push((b' ', 1)),
        [b'%', ..] => {
            let mut at = 1;
            for _ in 0..DEPTH {
                let Some(byte) = number(text.get(at..at + 2), 16) else {
                    break;
                };
                found.push((byte, at + 2));
                if byte != b'%' {
                    break;
                }
                at += 2;
            }
        }
        [b'\\', b'u' | b'U', ..] => found.extend(number(text.get(2..6), 16).map(|byte| (byte, 6))),
        [b'\\', b'x' | b'X', ..] => found.extend(number(text.get(2..4), 16).map(|byte| (byte, 4))),
        [b'&', b'#', rest @ ..] => {
            let length = rest.iter().take(8).position(|byte| *byte == b';');
            if let Some(length) = length {
                let digits = &rest[..length];
                let byte = match digits.split_first() {
                    Some((b'x' | b'X', digits)) => number(Some(digits), 16),
                    _ => number(Some(digits), 10),
                };
                found.extend(byte.map(|byte| (byte, length + 3)));
            }
        }
        [b'&', ..] => {
            let names: [(&[u8], u8); 5] = [
                (b"&amp;", b'&'),
                (b"&lt;", b'<'),
                (b"&gt;", b'>'),
                (b"&quot;", b'"'),
                (b"&apos;", b'\''),
            ];
            let named = names.iter().filter(|(name, _)| text.starts_with(name));
            found.extend(named.map(|(name, byte)| (*byte, name.len())));
        }
        _ => {}
    }
    found
}

/// Returns the base64 characters that only the secret determines, if so many bytes precede it.
fn base64(secret: &[u8], before: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |index: usize| {
        let index = index - before * 8;
        usize::from(secret[index / 8] >> (7 - index % 8) & 1)
    };
    let first = (before * 8).div_ceil(6);
    let last = (before + secret.len()) * 8 / 6;
    let letter = |index: usize| LETTERS[(index * 6..index * 6 + 6).fold(0, |value, at| value * 2 + bit(at))];
    (first..last).map(letter).collect()
}

/// Returns the character of the alphabet for URLs.
fn for_urls(letter: u8) -> u8 {
    match letter {
        b'+' => b'-',
        b'/' => b'_',
        letter => letter,
    }
}

/// Whether a character can be part of base64 or hex.
fn is_code(character: char) -> bool {
    character.is_ascii_alphanumeric() || "+/-_=".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters, and what escapes and alphabets differ in.
    const KEY: &str = "k3y+Ab/C d=\"9~Zq>?";

    #[track_caller]
    fn is_hidden(text: &str, key: &str) {
        let shown = hidden(text, key.as_bytes());
        assert!(shown.contains(HIDDEN), "{text}: {shown}");
        let letters = |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
        assert!(!letters(&shown).contains(&letters(key)[..3]), "{text}: {shown}");
        assert!(shown.starts_with("say ") && shown.ends_with(" end"), "{shown}");
    }

    #[test]
    fn invariant_7_every_form_of_the_key_is_hidden() {
        for form in [
            "k3y+Ab/C d=\"9~Zq>?",
            "Bearer k3y+Ab/C d=\"9~Zq>?",
            "K3Y+AB/C D=\"9~ZQ>?",
            // URLs: upper and lower case, spaces both ways, everything escaped, escaped twice
            "k3y%2BAb%2FC%20d%3D%229%7EZq%3E%3F",
            "k3y%2bAb%2fC+d%3d%229~Zq%3e%3f",
            "%6B%33%79%2B%41%62%2F%43%20%64%3D%22%39%7E%5A%71%3E%3F",
            "k3y%252BAb%252FC%2520d%253D%25229~Zq%253E%253F",
            // JSON, JSON within JSON
            r#"k3y+Ab\/C d=\"9~Zq>?"#,
            r#"k3y+Ab/C d=\\\"9~Zq\u003e?"#,
            r"\u006b3y+Ab/C\u0020d=\x229~Zq\u003E?",
            // HTML
            "k3y+Ab/C d=&quot;9~Zq&gt;?",
            "k3y&#43;Ab&#x2F;C d=&#34;9~Zq&#62;?",
            // without its quotation mark
            "k3y+Ab/C d=9~Zq>?",
        ] {
            is_hidden(&format!("say '{form}' end"), KEY);
        }
    }

    #[test]
    fn invariant_7_codes_of_the_key_are_hidden_wherever_they_begin() {
        for (form, key) in [
            // alone; behind one and two other bytes; for URLs, without padding
            ("ZGVtby1rZXk=", "demo-key"),
            ("OmRlbW8ta2V5", "demo-key"),
            ("YTpkZW1vLWtleQ==", "demo-key"),
            ("dXNlcjpkZW1vLWtleQ", "demo-key"),
            ("64656d6f2d6b6579", "demo-key"),
            ("64656D6F2D6B6579", "demo-key"),
            ("fn5-Pz8_", "~~~???"),
            ("fn5+Pz8/", "~~~???"),
            ("fn5%2BPz8%2F", "~~~???"),
        ] {
            let shown = hidden(&format!("say {form} end"), key.as_bytes());
            assert_eq!(shown, "say *** end", "{form}");
        }
    }

    #[test]
    fn what_a_scheme_precedes_is_hidden_alone_too() {
        assert_eq!(
            hidden("Bearer: no abcdefgh here", b"Bearer abcdefgh"),
            "Bearer: no *** here"
        );
    }

    #[test]
    fn a_key_that_is_cut_off_is_hidden() {
        for text in [
            "no demo-ke",
            "no demo-ke…",
            "no demo%2",
            "no demo\\u00",
            "no demo-key",
        ] {
            assert_eq!(
                hidden(text, b"demo-key").trim_end_matches('…'),
                "no ***",
                "{text}"
            );
        }
    }

    #[test]
    fn text_without_the_key_stays() {
        for text in [
            "",
            "no such bot: 100% of “r3” & more",
            "dem",
            "a %zz \\u12 &#; %",
            "Zeile\nzwei – €",
        ] {
            assert_eq!(hidden(text, b"demo-key"), text);
            assert_eq!(hidden(text, b""), text);
        }
        assert_eq!(hidden("no x", b"x"), "no ***");
    }
}
