//! Builds the next version of a partition in bounded memory.

#[cfg(test)]
mod tests;

use arrow::array::RecordBatch;

use super::merge::{self, RowRef};
use super::sorted_runs::SortedRuns;
use super::{PartitionKey, Staged, Table, file};
use crate::error::{Error, Result};

/// Maximum bytes of new rows in memory. More rows are written to disk as sorted runs.
const RUN_BYTES: usize = 32 * 1024 * 1024;
/// Bytes that a row takes in memory during a merge, in addition to its values.
const ROW_BYTES: usize = 96;

/// Collects new rows of a partition in the order in which they were fetched, and merges them with the existing ones.
/// Large partitions are merged on disk: see [`SortedRuns`].
pub(crate) struct PartitionBuilder<'a> {
    table: &'a Table,
    key: PartitionKey,
    run_bytes: usize,
    batches: Vec<RecordBatch>,
    rows: Vec<RowRef>,
    bytes: usize,
    runs: SortedRuns<'a>,
}

impl Table {
    /// Begins the next version of a partition.
    pub(crate) fn builder(&self, key: &PartitionKey) -> PartitionBuilder<'_> {
        self.builder_within(key, RUN_BYTES)
    }

    fn builder_within(&self, key: &PartitionKey, run_bytes: usize) -> PartitionBuilder<'_> {
        PartitionBuilder {
            table: self,
            key: key.clone(),
            run_bytes,
            batches: Vec::new(),
            rows: Vec::new(),
            bytes: 0,
            runs: SortedRuns::new(self, key),
        }
    }

    /// Stages the next version of a partition from its existing rows and new ones, in the order in which they were
    /// fetched. Readers see it after [`Table::publish`]. It is durable after [`Table::sync_staged`].
    ///
    /// # Errors
    /// If the existing rows cannot be read or the new file cannot be written.
    #[cfg(test)]
    pub(crate) fn stage(&self, key: &PartitionKey, new: &[RecordBatch], rows: &[RowRef]) -> Result<Staged> {
        let mut builder = self.builder(key);
        builder.batches = new.to_vec();
        builder.rows = rows.to_vec();
        builder.finish()
    }
}

impl PartitionBuilder<'_> {
    /// Adds all rows of a batch.
    ///
    /// # Errors
    /// If a sorted run cannot be written.
    pub(crate) fn add(&mut self, batch: RecordBatch) -> Result<()> {
        let number = |count: usize| u32::try_from(count).map_err(|error| Error::Internal(error.to_string()));
        let (place, rows) = (number(self.batches.len())?, number(batch.num_rows())?);
        self.rows
            .extend((0..rows).map(|row| RowRef { batch: place, row }));
        self.bytes += bytes_of(&batch);
        self.batches.push(batch);
        if self.bytes >= self.run_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// Whether no rows were added.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.runs.is_empty()
    }

    /// Stages the next version. Readers see it after [`Table::publish`]. It is durable after [`Table::sync_staged`].
    ///
    /// # Errors
    /// If the existing rows cannot be read or the new file cannot be written.
    pub(crate) fn finish(mut self) -> Result<Staged> {
        let present = match self.runs.is_empty() {
            true => self.present_rows()?,
            false => None,
        };
        match present {
            Some(present) => self.merge_in_memory(present),
            None => {
                self.spill()?;
                self.runs.merge()
            }
        }
    }

    /// Reads the existing rows; `None` if they do not fit into memory with the new ones.
    fn present_rows(&self) -> Result<Option<Vec<RecordBatch>>> {
        let mut present = Vec::new();
        let Some(file) = self.table.intact_file(&self.key)? else {
            return Ok(Some(present));
        };
        let mut bytes = self.bytes;
        for batch in self.table.batches_of(self.key.dataset, file)? {
            let batch = batch?;
            bytes += bytes_of(&batch);
            if bytes > 2 * self.run_bytes {
                return Ok(None);
            }
            present.push(batch);
        }
        Ok(Some(present))
    }

    fn merge_in_memory(self, mut batches: Vec<RecordBatch>) -> Result<Staged> {
        let Self { table, key, .. } = self;
        let (all, present) = merge::append_rows(&mut batches, &self.batches, &self.rows)?;
        let merged = merge::merge(key.dataset, &batches, &all, present)?;
        let effect = merged.effect(present);
        if let (Some(entry), false) = (table.entry(&key)?, merged.changed) {
            return table.stage_unchanged(&key, entry, effect);
        }
        let path = table.begin_staging(&key)?;
        let written = file::write(&path, &key, &table.settings, &batches, &merged.rows)?;
        let bounds = merge::time_bounds(key.dataset, &batches, &merged.rows);
        table.staged(&key, written, effect, merged.rows.len() as u64, bounds)
    }

    /// Writes the rows in memory as a sorted run.
    fn spill(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let (batches, rows) = (std::mem::take(&mut self.batches), std::mem::take(&mut self.rows));
        self.bytes = 0;
        let merged = merge::merge(self.key.dataset, &batches, &rows, 0)?;
        drop(rows);
        self.runs.write(&batches, &merged)
    }
}

/// Bytes that the rows of a batch take in memory during a merge.
fn bytes_of(batch: &RecordBatch) -> usize {
    batch.get_array_memory_size() + batch.num_rows() * ROW_BYTES
}
