//! The API key. It never appears in a log, error, file or URL.

mod echo;

use std::fmt;

use reqwest::header::HeaderValue;

/// An API key. It is formatted as `***`.
#[derive(Clone)]
pub struct ApiKey(HeaderValue);

/// Why a key is invalid. The messages contain no part of it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is empty, or only whitespace.
    #[error("the API key is empty")]
    Empty,
    /// It contains a line break or another character that no header can contain.
    #[error("the API key contains characters that cannot be sent in a header")]
    Unsendable,
    /// It contains a character that is not ASCII: a typographic quotation mark, an invisible space, or text in
    /// UTF-16.
    #[error("the API key contains a character that is not ASCII, such as a typographic quotation mark")]
    NotAscii,
    /// It has a quotation mark at one end only.
    #[error("the API key has a quotation mark at one end only")]
    Quote,
    /// It is a line such as `KEY=value` or `x-api-key: value`.
    #[error("the API key contains its name: give only the value")]
    Named,
}

impl ApiKey {
    /// Parses a key. Surrounding whitespace and line breaks, a byte order mark, and one pair of quotation marks are
    /// removed.
    ///
    /// # Errors
    /// If it is empty, contains more than a key, or contains a character that cannot be sent.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        let text = unquoted(text.trim_start_matches('\u{feff}').trim())?.trim();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if !text.is_ascii() {
            return Err(KeyError::NotAscii);
        }
        if text.lines().any(is_named) {
            return Err(KeyError::Named);
        }
        let mut value = HeaderValue::from_str(text).map_err(|_| KeyError::Unsendable)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// Parses the bytes of a file or a variable, which may not be text.
    ///
    /// # Errors
    /// As [`ApiKey::new`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::new(std::str::from_utf8(bytes).map_err(|_| KeyError::NotAscii)?)
    }

    /// Hides the key in a text of the server, in any form in which the server may repeat it.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        echo::hidden(text, self.0.as_bytes())
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Removes a pair of quotation marks.
fn unquoted(text: &str) -> Result<&str, KeyError> {
    for quote in ['"', '\'', '`'] {
        match (text.strip_prefix(quote), text.strip_suffix(quote)) {
            (Some(rest), Some(_)) => return rest.strip_suffix(quote).ok_or(KeyError::Quote),
            (None, None) => {}
            _ => return Err(KeyError::Quote),
        }
    }
    Ok(text)
}

/// Whether a line contains a name and a value, like variables and headers. A key can end with `=`.
fn is_named(line: &str) -> bool {
    let line = line.trim().strip_prefix("export ").unwrap_or(line).trim();
    let is_name = |name: &str| {
        let mut characters = name.chars();
        characters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && characters.all(|character| character.is_ascii_alphanumeric() || "_-.".contains(character))
    };
    if let Some((name, value)) = line.split_once('=')
        && !value.trim_matches('=').trim().is_empty()
        && is_name(name.trim())
    {
        return true;
    }
    line.split_once(':')
        .is_some_and(|(name, value)| value.starts_with(' ') && is_name(name))
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_7_the_key_does_not_print() {
        let key = ApiKey::new("  secret-key\n").unwrap();
        assert!(!format!("{key:?} {:?}", key.header()).contains("secret"));
    }

    #[test]
    fn what_surrounds_a_key_is_removed() {
        for text in [
            "secret-key",
            " secret-key\r\n",
            "\u{feff}secret-key\n",
            "\"secret-key\"\n",
            "'secret-key'",
            "\u{feff}\" secret-key \"\r\n",
        ] {
            assert_eq!(ApiKey::new(text).unwrap().header(), "secret-key", "{text:?}");
        }
        // base64 ends like this
        assert_eq!(ApiKey::new("c2VjcmV0==").unwrap().header(), "c2VjcmV0==");
        assert_eq!(ApiKey::from_bytes(b"\xef\xbb\xbfabc\n").unwrap().header(), "abc");
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused() {
        type Is = fn(&KeyError) -> bool;
        let empty: Is = |error| matches!(error, KeyError::Empty);
        let unsendable: Is = |error| matches!(error, KeyError::Unsendable);
        let not_ascii: Is = |error| matches!(error, KeyError::NotAscii);
        let quote: Is = |error| matches!(error, KeyError::Quote);
        let named: Is = |error| matches!(error, KeyError::Named);
        for (text, expected) in [
            (" \n", empty),
            ("\u{feff}", empty),
            ("\"\"", empty),
            ("secret\nlines", unsendable),
            ("secret\0key", unsendable),
            ("\u{201c}secret\u{201d}", not_ascii),
            ("\u{2018}secret\u{2019}", not_ascii),
            ("secret\u{200b}key", not_ascii),
            ("secr\u{e9}t", not_ascii),
            ("\"secret", quote),
            ("secret'", quote),
            ("\"", quote),
            ("CONVERSE_EXPORT_API_KEY=secret", named),
            ("export KEY=\"secret", named),
            ("export KEY=secret", named),
            ("key = secret", named),
            ("# a comment\nKEY=secret\n", named),
            ("x-api-key: secret", named),
        ] {
            let error = ApiKey::new(text).unwrap_err();
            assert!(expected(&error), "{text:?}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        // as Windows writes it
        let utf16: Vec<u8> = "\u{feff}secret"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert!(matches!(ApiKey::from_bytes(&utf16), Err(KeyError::NotAscii)));
    }
}
