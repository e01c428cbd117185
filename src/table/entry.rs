//! Entries of the manifest, and staged next versions of partitions.

use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PartitionKey;
use crate::error::{Error, Result};
use crate::store;

/// The entry of one partition, stored in `_export/partitions/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path of the file, relative to the table's folder.
    pub path: PathBuf,
    /// Number of rows.
    pub rows: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hex. The name of the file contains its beginning.
    pub sha256: String,
    /// SHA-256 of the ids in file order, each followed by a line break, in hex.
    pub ids_sha256: String,
    /// Time of the first row that has one.
    pub first: Option<Timestamp>,
    /// Time of the last row that has one.
    pub last: Option<Timestamp>,
}

/// What new rows change in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Rows that are new.
    pub rows: u64,
    /// Records that were received again unchanged.
    pub duplicates: u64,
    /// Records that were replaced by another version.
    pub superseded: u64,
}

impl Effect {
    /// The number of records that caused it.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.rows + self.duplicates + self.superseded
    }
}

impl AddAssign for Effect {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.duplicates += other.duplicates;
        self.superseded += other.superseded;
    }
}

/// The next version of a partition: durable, but not visible to readers yet.
#[derive(Debug)]
pub struct Staged {
    /// The partition.
    pub key: PartitionKey,
    /// Its future entry.
    pub entry: Entry,
    /// What the new rows change.
    pub effect: Effect,
    /// Whether there is a new file. If not, the partition does not change.
    pub replaces: bool,
}

/// Reads the entry at `path`; `None` if there is none.
pub(super) fn read_entry(path: &Path) -> Result<Option<Entry>> {
    Ok(read_entry_with_change(path)?.map(|(entry, _)| entry))
}

/// Reads the entry at `path`, and the time when the file last changed.
pub(super) fn read_entry_with_change(path: &Path) -> Result<Option<(Entry, i128)>> {
    let Some((content, changed)) = store::read_with_change(path)? else {
        return Ok(None);
    };
    let entry = store::unseal(&content).and_then(|content| content.read());
    entry
        .map(|entry| Some((entry, changed)))
        .map_err(|what| Error::Damaged {
            path: path.to_owned(),
            what,
        })
}
