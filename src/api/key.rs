//! The API key: kept out of every log, error, file and URL.

use std::fmt;

use reqwest::header::HeaderValue;

/// A key that prints as `***` wherever it is formatted.
#[derive(Clone)]
pub struct ApiKey(HeaderValue);

/// The key cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Nothing, or only white space.
    #[error("the API key is empty")]
    Empty,
    /// A line break or another character that no header can carry.
    #[error("the API key contains characters that cannot be sent in a header")]
    Unsendable,
}

impl ApiKey {
    /// Takes a key as it was given; white space around it (the line end of a key file) is not part of it.
    ///
    /// # Errors
    /// Where nothing is left, or where a character cannot be sent.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        let mut value = HeaderValue::from_str(text).map_err(|_| KeyError::Unsendable)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// A text of the server's without the key, should it repeat it.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        let key = self.0.to_str().unwrap_or_default();
        if key.is_empty() {
            return text.to_owned();
        }
        text.replace(key, "***")
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
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
    fn a_key_that_cannot_be_sent_is_refused() {
        assert!(matches!(ApiKey::new(" \n"), Err(KeyError::Empty)));
        assert!(matches!(ApiKey::new("two\nlines"), Err(KeyError::Unsendable)));
    }
}
