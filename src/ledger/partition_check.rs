//! Verifies a partition against the ledger.

use std::path::Path;

use super::{Account, PartitionMetadata};
use crate::error::{Error, Result};
use crate::table::{Entry, PartitionKey, Table};

impl Account {
    /// Verifies the whole data file of a partition; returns its entry, or `None` if there is no such partition. The caller
    /// must have the lock.
    ///
    /// # Errors
    /// [`Error::Damaged`] if file, entry and ledger disagree. A partition may be missing in the ledger.
    pub(crate) fn verify_partition(&self, table: &Table, key: &PartitionKey) -> Result<Option<Entry>> {
        let damaged = |path: &Path, what: &str| Error::Damaged {
            path: table.out().join(path),
            what: format!("it {what}"),
        };
        let metadata = self.partitions.get(&key.period);
        let look = match (table.look_at(key)?, metadata) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(damaged(&key.folder(), "has no file")),
            (Some(look), _) => look,
        };
        let entry = look.found.map_err(|wrong| damaged(&wrong.path, &wrong.what))?;
        if !table.holds_what_was_written(&entry)? {
            return Err(damaged(&entry.path, "is not as it was written"));
        }
        if metadata.is_none_or(|metadata| *metadata == PartitionMetadata::of(&entry)) {
            return Ok(Some(entry));
        }
        // the entry may be wrong: read it from the file
        let again = table.find(key)?.and_then(|look| look.found.ok());
        let again = again.filter(|again| metadata == Some(&PartitionMetadata::of(again)));
        let other = || damaged(&entry.path, "contains other rows than were written");
        again.map(Some).ok_or_else(other)
    }
}
