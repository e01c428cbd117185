//! The objects of a log: names and contents.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::{FOLDER, ObjectDamage, VERSION};
use crate::error::{Error, Result};
use crate::store::Store;

/// Most of an object are hashes, which no level makes smaller.
const LEVEL: i32 = 3;
const ENDING: &str = ".json.zst";
const DIGITS: usize = 20;
const MISSING: &str = "it is missing";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Commit,
    Copy,
    Checkpoint,
    CheckpointCopy,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Commit, Self::Copy, Self::Checkpoint, Self::CheckpointCopy];

    /// The copy of an object of this kind.
    pub(super) fn copy(self) -> Self {
        match self {
            Self::Commit | Self::Copy => Self::Copy,
            Self::Checkpoint | Self::CheckpointCopy => Self::CheckpointCopy,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Commit => "",
            Self::Copy => ".copy",
            Self::Checkpoint => ".state",
            Self::CheckpointCopy => ".state.copy",
        }
    }
}

/// The name of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) number: u64,
    pub(super) kind: Kind,
}

impl Name {
    pub(super) fn key(&self) -> String {
        let Self { number, kind } = self;
        format!("{FOLDER}/{number:0DIGITS$}{}{ENDING}", kind.suffix())
    }

    fn parse(key: &str) -> Option<Self> {
        let name = key
            .strip_prefix(FOLDER)?
            .strip_prefix('/')?
            .strip_suffix(ENDING)?;
        let (digits, suffix) = name.split_at_checked(DIGITS)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
        let number = digits.parse().ok().filter(|number| *number > 0)?;
        Some(Self { number, kind })
    }
}

/// The objects of the log, by number. Files of other names are not part of it.
pub(super) fn list(store: &dyn Store) -> Result<Vec<Name>> {
    let objects = store.list(FOLDER, None)?;
    let mut names: Vec<Name> = objects
        .iter()
        .filter_map(|object| Name::parse(&object.key))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The content of an object: JSON, compressed, with a checksum.
pub(super) fn encode(value: &impl Serialize) -> Result<Bytes> {
    let encoded = || {
        let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        let json = serde_json::to_vec(value)?;
        encoder.set_pledged_src_size(Some(json.len() as u64))?;
        encoder.write_all(&json)?;
        encoder.finish()
    };
    let encoded: std::io::Result<Vec<u8>> = encoded();
    encoded
        .map(Bytes::from)
        .map_err(|error| Error::Internal(format!("cannot encode a commit: {error}")))
}

fn decode<T: DeserializeOwned>(content: &[u8]) -> std::io::Result<T> {
    let json = zstd::decode_all(content)?;
    // a newer version may have other fields, and it is not damage
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(&json)?;
    if version > VERSION {
        return Err(std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            format!("it has version {version}, and this program supports {VERSION}"),
        ));
    }
    Ok(serde_json::from_slice(&json)?)
}

/// Reads objects, and notes which are damaged.
pub(super) struct Reader<'a> {
    store: &'a dyn Store,
    pub(super) damages: Vec<ObjectDamage>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(store: &'a dyn Store) -> Self {
        let damages = Vec::new();
        Self { store, damages }
    }

    /// Reads an object. `None` if it is missing or damaged.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is of a newer version of this program, and if the store cannot be read.
    pub(super) fn read<T: DeserializeOwned>(&mut self, name: Name) -> Result<Option<T>> {
        let key = name.key();
        let what = match self.store.get(&key)? {
            None => MISSING.to_owned(),
            Some((content, _)) => match decode(&content) {
                Ok(value) => return Ok(Some(value)),
                Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                    return Err(Error::Usage {
                        what: format!("cannot read {}/{key}: {error}", self.store.place()),
                        hint: "update converse-export".into(),
                    });
                }
                Err(error) => error.to_string(),
            },
        };
        self.damages.push(ObjectDamage { key, what });
        Ok(None)
    }

    /// Reads an object, or its copy.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub(super) fn read_either<T: DeserializeOwned>(&mut self, name: Name) -> Result<Option<T>> {
        let original = self.read(name)?;
        let sound = self.damages.len();
        if original.is_some() {
            return Ok(original);
        }
        let kind = name.kind.copy();
        let copy = self.read(Name { kind, ..name })?;
        // a store has no copies
        if self.damages.len() > sound && self.damages[sound].what == MISSING {
            self.damages.truncate(sound);
        }
        Ok(copy)
    }

    /// The first damage, as an error.
    pub(super) fn damage(self) -> Error {
        let place = self.store.place().to_owned();
        match self.damages.into_iter().next() {
            Some(ObjectDamage { key, what }) => Error::Damaged {
                path: Path::new(&place).join(key),
                what,
            },
            None => Error::Internal("a log without damage cannot be read".into()),
        }
    }
}

/// Reads every object of a log. Returns those that are damaged.
///
/// # Errors
/// As [`Reader::read`].
pub(crate) fn find_damage(store: &dyn Store) -> Result<Vec<ObjectDamage>> {
    let mut reader = Reader::new(store);
    for name in list(store)? {
        let _: Option<IgnoredAny> = reader.read(name)?;
    }
    // those that a writer has removed meanwhile are no damage
    reader.damages.retain(|damage| damage.what != MISSING);
    Ok(reader.damages)
}
