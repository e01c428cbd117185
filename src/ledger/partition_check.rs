//! Whether a partition is, to the byte, what the ledger says.

use std::path::Path;

use super::{Account, PartitionMetadata};
use crate::error::{Error, Result};
use crate::table::{Entry, PartitionKey, Table};

impl Account {
    /// The entry of a partition whose file was read whole and is what was written; `None` where there is no partition.
    /// Only for the process that has the lock.
    ///
    /// # Errors
    /// [`Error::Damaged`] where file, entry and ledger do not agree. A partition that the ledger does not know is none.
    pub(crate) fn verify_partition(&self, table: &Table, key: &PartitionKey) -> Result<Option<Entry>> {
        let damaged = |path: &Path, what: &str| Error::Damaged {
            path: table.out().join(path),
            what: format!("it {what}"),
        };
        let held = self.partitions.get(&key.period);
        let look = match (table.look_at(key)?, held) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(damaged(&key.folder(), "has no file")),
            (Some(look), _) => look,
        };
        let entry = look.found.map_err(|wrong| damaged(&wrong.path, &wrong.what))?;
        if !table.holds_what_was_written(&entry)? {
            return Err(damaged(&entry.path, "does not hold what was written"));
        }
        if held.is_none_or(|held| *held == PartitionMetadata::of(&entry)) {
            return Ok(Some(entry));
        }
        // the entry may be what is wrong
        let again = table.find(key)?.and_then(|look| look.found.ok());
        let again = again.filter(|again| held == Some(&PartitionMetadata::of(again)));
        let other = || damaged(&entry.path, "holds other rows than were written");
        again.map(Some).ok_or_else(other)
    }
}
