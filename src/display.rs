//! Formats numbers, and escapes untrusted text for display.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Formats a number with its thousands separated: `12,345`.
#[cfg(feature = "cli")]
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// Whether a character changes how its neighbours are shown: control characters, and those that change the direction
/// of text.
pub(crate) fn affects_neighbours(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character must not reach a terminal or a log: it affects its neighbours, or is invisible, so that two
/// different texts look the same.
pub(crate) fn is_unsafe(c: char) -> bool {
    affects_neighbours(c)
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200d}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Escapes untrusted text for a terminal: on one line, unsafe characters as `\u{202e}`.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => line.push(' '),
            unsafe_character if is_unsafe(unsafe_character) => line.extend(unsafe_character.escape_unicode()),
            other => line.push(other),
        }
    }
    line.into()
}

/// Escapes untrusted text of several lines.
#[cfg(feature = "cli")]
pub(crate) fn safe_lines(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && is_unsafe(c)) {
        return text.into();
    }
    let lines: Vec<_> = text.split('\n').map(safe).collect();
    lines.join("\n").into()
}

/// Escapes unsafe characters in JSON text as `\u202e`, which leaves its values the same.
#[cfg(feature = "cli")]
pub(crate) fn safe_json(json: &str) -> Cow<'_, str> {
    // control characters of ASCII are either escaped already or the white space between values
    let must_be_escaped = |c: char| c >= '\u{7f}' && is_unsafe(c);
    if !json.contains(must_be_escaped) {
        return json.into();
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        if must_be_escaped(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let numbers = [0, 999, 1_000, 12_345_678].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "12,345,678"]);
    }

    #[test]
    fn untrusted_text_is_escaped() {
        for unsafe_character in [
            '\u{1b}',
            '\u{7}',
            '\u{7f}',
            '\u{9b}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            let text = format!("bot{unsafe_character}x");
            let code = u32::from(unsafe_character);
            assert_eq!(safe(&text), format!("bot\\u{{{code:x}}}x"));
            let lines = format!("{text}\n{text}");
            assert_eq!(safe_lines(&lines), format!("{0}\n{0}", safe(&text)));
            let json = serde_json::to_string(&text).unwrap();
            let printed = safe_json(&json);
            assert!(!printed.contains(is_unsafe), "{printed}");
            assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), text);
        }
        assert_eq!(safe("a\r\nb\tc"), "a  b c");
        assert!(matches!(safe("Zürich – “日本”"), Cow::Borrowed(_)));
        assert!(matches!(safe_json("{\n  \"a\": 1\n}"), Cow::Borrowed(_)));
    }
}
