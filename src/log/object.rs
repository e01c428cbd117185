//! The objects of a log: names and contents.

use std::io::Write;
use std::path::PathBuf;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{FOLDER, VERSION};
use crate::error::{Error, Result};
use crate::store::Store;

/// Most of an object are hashes, which no level makes smaller.
const LEVEL: i32 = 3;
const ENDING: &str = ".json.zst";
const DIGITS: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Commit,
    Copy,
    Checkpoint,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Commit, Self::Copy, Self::Checkpoint];

    fn suffix(self) -> &'static str {
        match self {
            Self::Commit => "",
            Self::Copy => ".copy",
            Self::Checkpoint => ".state",
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

/// Reads an object.
///
/// # Errors
/// [`Error::Damaged`] if it is missing or damaged, [`Error::Usage`] if it is of a newer version of this program.
pub(super) fn read<T: DeserializeOwned>(store: &dyn Store, name: Name) -> Result<T> {
    let path = || PathBuf::from(format!("{}/{}", store.place(), name.key()));
    let damaged = |what: String| Error::Damaged { path: path(), what };
    let Some((content, _)) = store.get(&name.key())? else {
        return Err(damaged("it is missing".into()));
    };
    decode(&content).map_err(|error| match error.kind() {
        std::io::ErrorKind::Unsupported => Error::Usage {
            what: format!("cannot read {}: {error}", path().display()),
            hint: "update converse-export".into(),
        },
        _ => damaged(error.to_string()),
    })
}

/// Reads a commit, or its copy.
///
/// # Errors
/// As [`read`], of the commit.
pub(super) fn read_commit<T: DeserializeOwned>(store: &dyn Store, number: u64) -> Result<T> {
    let kind = Kind::Commit;
    match read(store, Name { number, kind }) {
        Err(error @ Error::Damaged { .. }) => {
            let kind = Kind::Copy;
            read(store, Name { number, kind }).map_err(|_| error)
        }
        commit => commit,
    }
}
