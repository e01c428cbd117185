//! JSON files that end with a checksum of their own content, so that a changed byte is noticed where the JSON stays valid.
//!
//! The last field of the object is `"checksum"`: SHA-256, in hex, of all bytes before this field. Files of earlier
//! versions have none and are still read; there a field that is not known counts as a damaged checksum.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::display::hex;
use crate::error::{Error, Result};

const BEFORE: &str = ",\n  \"checksum\": \"";
const AFTER: &str = "\"\n}";
const HEX_DIGITS: usize = 64;

/// The JSON text of an object, with its checksum.
///
/// # Errors
/// Where the value is no object with fields.
pub(crate) fn seal(value: &impl Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_vec_pretty(value).map_err(|error| Error::Internal(error.to_string()))?;
    let Some(fields) = json.strip_suffix(b"\n}") else {
        return Err(Error::Internal(
            "a sealed file must be an object with fields".into(),
        ));
    };
    let mut sealed = fields.to_vec();
    let checksum = hex(&Sha256::digest(fields));
    for part in [BEFORE, &checksum, AFTER] {
        sealed.extend_from_slice(part.as_bytes());
    }
    Ok(sealed)
}

/// The content of a file that [`seal`] wrote, or of one without a checksum.
pub(crate) struct Unsealed {
    json: Vec<u8>,
    is_sealed: bool,
}

/// Checks the checksum of a file, where it has one.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn unseal(content: &[u8]) -> Result<Unsealed, String> {
    let Some((fields, checksum)) = split(content) else {
        return Ok(Unsealed {
            json: content.to_vec(),
            is_sealed: false,
        });
    };
    if hex(&Sha256::digest(fields)).as_bytes() != checksum {
        return Err("its content was changed: the checksum in it does not fit".into());
    }
    Ok(Unsealed {
        json: [fields, b"\n}"].concat(),
        is_sealed: true,
    })
}

/// What a checksum covers, and the checksum; `None` where there is none.
fn split(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = content.strip_suffix(AFTER.as_bytes())?;
    let (rest, checksum) = rest.split_at_checked(rest.len().checked_sub(HEX_DIGITS)?)?;
    Some((rest.strip_suffix(BEFORE.as_bytes())?, checksum))
}

impl Unsealed {
    /// Reads some of its fields, whatever the others are.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn fields<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.json).map_err(|error| error.to_string())
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read<T: DeserializeOwned + Serialize>(&self) -> Result<T, String> {
        let value: T = self.fields()?;
        if !self.is_sealed {
            let known = serde_json::to_value(&value).map_err(|error| error.to_string())?;
            let mut fields = self.fields::<Map<String, Value>>()?.into_iter();
            if let Some((field, _)) = fields.find(|(field, _)| known.get(field).is_none()) {
                return Err(format!(
                    "its content was changed: the field {field:?} is not known"
                ));
            }
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct File {
        version: u32,
        texts: Vec<String>,
    }

    fn read(content: &[u8]) -> Result<File, String> {
        unseal(content)?.read()
    }

    #[test]
    fn any_changed_byte_and_any_missing_end_is_noticed() {
        let file = File {
            version: 1,
            texts: vec!["one".into(), "two".into()],
        };
        let sealed = seal(&file).unwrap();
        assert_eq!(read(&sealed).as_ref(), Ok(&file));
        serde_json::from_slice::<Value>(&sealed).unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(read(&changed).is_err(), "{}", String::from_utf8_lossy(&changed));
            }
            assert!(read(&sealed[..at]).is_err());
        }
    }

    #[test]
    fn a_file_of_an_earlier_version_is_read() {
        let json = r#"{"version": 1, "texts": []}"#;
        let texts = Vec::new();
        assert_eq!(read(json.as_bytes()), Ok(File { version: 1, texts }));
    }
}
