//! Ids in a file, one in each line, as editors and spreadsheets write them.

use std::path::Path;

use crate::error::{Error, Result};

/// What surrounds an id and is none of it: blanks, and marks that no editor shows.
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

/// The ids of a file with this content. Byte order marks, line ends, blanks, surrounding quotes and a comma at the end of
/// a line are removed; empty lines are skipped.
pub(super) fn ids(content: &[u8], path: &Path) -> Result<Vec<String>> {
    let not_utf_8 = |what: &str| Error::Usage {
        what: format!("cannot read {}: {what}", path.display()),
        hint: "save it as UTF-8, with an id in each line".into(),
    };
    if content.starts_with(&[0xff, 0xfe]) || content.starts_with(&[0xfe, 0xff]) || content.contains(&0) {
        return Err(not_utf_8("it is UTF-16 or UTF-32, not UTF-8"));
    }
    let text = std::str::from_utf8(content).map_err(|_| not_utf_8("it is not UTF-8"))?;
    let lines = text.split(['\n', '\r']).map(bare).filter(|id| !id.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

fn bare(line: &str) -> &str {
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
    fn what_editors_add_to_ids_is_removed() {
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
