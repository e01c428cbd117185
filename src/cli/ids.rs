//! Parses files of ids, one per line, as editors and spreadsheets write them.

use std::path::Path;

use crate::error::{Error, Result};

/// Whether a character around an id is ignored: white space and invisible marks.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}')
}

const QUOTES: [(char, char); 5] = [
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('\u{201c}', '\u{201d}'),
    ('\u{2018}', '\u{2019}'),
];

/// Returns the ids of a file. Removes byte order marks, white space, surrounding quotes, and a comma or semicolon at the
/// end of a line; skips empty lines.
pub(super) fn ids(content: &[u8], path: &Path) -> Result<Vec<String>> {
    let not_utf_8 = |what: &str| Error::Usage {
        what: format!("cannot read {}: {what}", path.display()),
        hint: "save it as UTF-8, with one id per line".into(),
    };
    if content.starts_with(&[0xff, 0xfe]) || content.starts_with(&[0xfe, 0xff]) || content.contains(&0) {
        return Err(not_utf_8("it is UTF-16 or UTF-32, not UTF-8"));
    }
    let text = std::str::from_utf8(content).map_err(|_| not_utf_8("it is not UTF-8"))?;
    let lines = text.split(['\n', '\r']).map(trimmed).filter(|id| !id.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

fn trimmed(line: &str) -> &str {
    let line = line.trim_matches(is_blank);
    let line = line.trim_end_matches([',', ';']).trim_matches(is_blank);
    let quoted = QUOTES
        .iter()
        .find_map(|(open, close)| line.strip_prefix(*open)?.strip_suffix(*close));
    quoted.unwrap_or(line).trim_matches(is_blank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_editors_write_them() {
        let ids = |content: &[u8]| super::ids(content, Path::new("ids.txt"));
        let text =
            "\u{feff}\"a1\"\r\n\r\n b2 \t\n\u{201c}c3\u{201d}\n'd4',\n\"\"\n\u{feff}e5\u{a0}\rf\"6\n\"g7";
        assert_eq!(
            ids(text.as_bytes()).unwrap(),
            ["a1", "b2", "c3", "d4", "e5", "f\"6", "\"g7"]
        );
        let wide: Vec<u8> = "a1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [&[0xff, 0xfe][..], &wide].concat();
        let big: Vec<u8> = "\u{feff}a1".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for wrong in [&wide[..], &marked, &big, b"a\xe9"] {
            let Err(Error::Usage { what, hint }) = ids(wrong) else {
                panic!("{wrong:?} was read")
            };
            assert!(
                what.starts_with("cannot read ids.txt: it is ") && hint.contains("UTF-8"),
                "{what}"
            );
        }
    }
}
