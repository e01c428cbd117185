//! Compares partitions with the ledger.

use super::{DatasetState, PartitionMetadata};
use crate::error::{Error, Result};
use crate::table::{Defect, Depth, Entry, Inspection, PartitionKey, Table};

impl DatasetState {
    /// Inspects a partition by its entry and the ledger. `is_right` decides if the ledger does not have the
    /// partition. `None` if there is no partition. Only for the process that has the lock.
    ///
    /// # Errors
    /// As [`Table::inspect`].
    pub(crate) fn inspect(
        &self,
        table: &Table,
        key: &PartitionKey,
        depth: Depth,
        is_right: impl Fn(&Entry) -> bool,
    ) -> Result<Option<Inspection>> {
        let held = self.partitions.get(&key.date);
        let is_expected = |entry: &Entry| {
            held.map_or_else(|| is_right(entry), |held| *held == PartitionMetadata::of(entry))
        };
        let missing = || Inspection {
            found: Err(Defect {
                path: key.folder(),
                what: "it has no file".into(),
            }),
            strays: Vec::new(),
        };
        let inspection = table.inspect(key, depth, is_expected)?;
        Ok(inspection.or_else(|| held.map(|_| missing())))
    }

    /// Returns the entry of a partition after reading its file completely. `None` if there is no partition. Only for
    /// the process that has the lock.
    ///
    /// # Errors
    /// [`Error::Damaged`] if file, entry and ledger differ. A partition that the ledger does not have is not compared
    /// with it.
    pub(crate) fn verify_partition(&self, table: &Table, key: &PartitionKey) -> Result<Option<Entry>> {
        let Some(inspection) = self.inspect(table, key, Depth::Checksum, |_| true)? else {
            return Ok(None);
        };
        let damaged = |Defect { path, what }| Error::Damaged {
            path: table.out().join(path),
            what,
        };
        inspection.found.map(Some).map_err(damaged)
    }
}
