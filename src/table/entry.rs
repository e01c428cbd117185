//! What is known of partitions: of one that stands, and of its next version.

use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PartitionKey;
use crate::error::{Error, Result};
use crate::store;

/// What the table knows of one partition, kept in `_export/partitions/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The file, from the table's folder on.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hex; its name carries the beginning.
    pub sha256: String,
    /// SHA-256 of the ids in the file's order, each followed by a line break, in hex.
    pub ids_sha256: String,
    /// Time of the first row that has one.
    pub first: Option<Timestamp>,
    /// Time of the last row that has one.
    pub last: Option<Timestamp>,
}

/// What new rows did to a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Rows that were not there before.
    pub rows: u64,
    /// Records that came again as they were.
    pub duplicates: u64,
    /// Records that gave way to another version.
    pub superseded: u64,
}

impl Effect {
    /// The records that had it.
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

/// A partition's next version, durable but not yet seen by readers.
#[derive(Debug)]
pub struct Staged {
    /// The partition.
    pub key: PartitionKey,
    /// What will be known of it.
    pub entry: Entry,
    /// What the new rows did.
    pub effect: Effect,
    /// Whether there is a new file; without one nothing of the partition changes.
    pub replaces: bool,
}

/// What is known of a partition by the file at `path`; `None` where there is none.
pub(super) fn read_entry(path: &Path) -> Result<Option<Entry>> {
    Ok(read_entry_with_change(path)?.map(|(entry, _)| entry))
}

/// The same, and when the file last changed.
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
