//! What a key may be. Nothing else looks at the characters of a key.

use crate::error::{Error, Result};

/// The longest key that all object stores accept, together with the prefix of the table, in bytes.
pub(super) const LONGEST: usize = 1_024;

/// Checks a key: names separated by `/`, none of them empty, `.` or `..`, and no control characters. Names that begin with
/// `.` and end with `.tmp` are reserved for unfinished files.
///
/// # Errors
/// If it is none.
pub fn check(key: &str) -> Result<()> {
    let problem = if key.len() > LONGEST {
        "it is too long"
    } else if key.chars().any(char::is_control) {
        "it contains a control character"
    } else if key.split('/').any(|name| matches!(name, "" | "." | "..")) {
        "a name in it is empty, `.` or `..`"
    } else if key.split('/').any(is_reserved) {
        "a name in it is reserved"
    } else {
        return Ok(());
    };
    Err(Error::Internal(format!("{key:?} cannot be a key: {problem}")))
}

/// Checks the name of a folder: a key, or nothing for the root.
///
/// # Errors
/// As [`check`].
pub(super) fn check_folder(folder: &str) -> Result<()> {
    if folder.is_empty() { Ok(()) } else { check(folder) }
}

/// Whether a name is that of an unfinished file.
pub(super) fn is_reserved(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(super::UNFINISHED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_relative_names() {
        for key in [
            "a",
            "a/b.c",
            "bot=a%20b/date=2023-10-01/part-0.parquet",
            "ü",
            "..a",
            "_x/.y",
        ] {
            check(key).unwrap();
        }
        let long = "a".repeat(LONGEST + 1);
        for key in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "a/../b",
            "a\nb",
            ".a.tmp",
            "x/.a.tmp/b",
            long.as_str(),
        ] {
            check(key).unwrap_err();
        }
        check_folder("").unwrap();
        check_folder("/").unwrap_err();
    }
}
