//! Removes rows from a partition, or a complete partition.

use arrow::array::RecordBatch;

use super::file::Writer;
use super::merge::{RowRef, time_bounds};
use super::{Effect, PartitionKey, Staged, Table};
use crate::error::{Error, Result};
use crate::store;

/// The result of a removal of rows.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub(crate) enum RowRemoval {
    /// The partition has none of these rows.
    Unchanged,
    /// The staged next version, and the number of removed rows.
    Rewritten(Staged, u64),
    /// No rows are left, so there is no file; the number of removed rows.
    Emptied(u64),
}

impl Table {
    /// Stages the next version of a partition without the rows for which `goes` is true. It is durable when this
    /// returns. Readers see it after [`Table::publish`].
    ///
    /// # Errors
    /// If the existing rows cannot be read or the new file cannot be written.
    pub(crate) fn stage_removal(
        &self,
        key: &PartitionKey,
        mut goes: impl FnMut(&RecordBatch, usize) -> bool,
    ) -> Result<RowRemoval> {
        let Some(file) = self.intact_file(key)? else {
            return Ok(RowRemoval::Unchanged);
        };
        let mut writer = Writer::create(&self.begin_staging(key)?, key, &self.settings)?;
        let (mut gone, mut rows, mut bounds) = (0, 0, (None, None));
        for batch in self.batches_of(key.dataset, file)? {
            let batch = batch?;
            let count =
                u32::try_from(batch.num_rows()).map_err(|error| Error::Internal(error.to_string()))?;
            let stays = |row: &u32| !goes(&batch, *row as usize);
            let stay: Vec<RowRef> = (0..count)
                .filter(stays)
                .map(|row| RowRef { batch: 0, row })
                .collect();
            gone += u64::from(count) - stay.len() as u64;
            rows += stay.len() as u64;
            let batch = [batch];
            writer.rows(&batch, &stay)?;
            let (first, last) = time_bounds(key.dataset, &batch, &stay);
            bounds = (bounds.0.or(first), last.or(bounds.1));
        }
        if gone == 0 || rows == 0 {
            drop(writer);
            store::remove_folder(&self.staging(key))?;
            return Ok(if gone == 0 {
                RowRemoval::Unchanged
            } else {
                RowRemoval::Emptied(gone)
            });
        }
        let staged = self.staged(key, writer.close()?, Effect::default(), rows, bounds)?;
        Ok(RowRemoval::Rewritten(staged, gone))
    }

    /// Removes a partition, atomically for readers. It is idempotent.
    ///
    /// # Errors
    /// If a file operation fails.
    pub(crate) fn remove_partition(&self, key: &PartitionKey) -> Result<()> {
        let (staging, live) = (self.staging(key), self.out.join(key.folder()));
        if live.exists() {
            store::remove_folder(&staging)?;
            store::move_folder(&live, &staging)?;
            if let Some(folder) = live.parent() {
                // remove the folder of the bot if it is empty
                let _ = std::fs::remove_dir(folder);
            }
        }
        let entry = self.entry_path(key);
        store::remove_file(&entry)?;
        if let Some(folder) = entry.parent().filter(|folder| folder.exists()) {
            store::sync_folder(folder)?;
        }
        store::step("entry-written");
        store::remove_folder(&staging)?;
        store::step("partition-published");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;
    use crate::dataset::{Dataset, decode};
    use crate::table::{PartitionBy, PartitionDate, Settings};

    #[test]
    fn rows_go_and_what_is_left_is_what_it_would_have_been_without_them() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let settings = Settings::new("https://api.example.com", "UTC");
        let tables = folders
            .each_ref()
            .map(|folder| Table::open_or_create(folder.path(), settings.clone()).unwrap());
        let key = PartitionKey {
            dataset: Dataset::Messages,
            bot: "r3".into(),
            date: PartitionDate::of(PartitionBy::Day, jiff::civil::date(2023, 10, 1)),
        };
        let is_odd = |number: u32| number % 2 == 1;
        for (table, numbers) in tables.iter().zip([
            (0..9_000).collect::<Vec<u32>>(),
            (0..9_000).filter(|n| !is_odd(*n)).collect(),
        ]) {
            let record = |n: &u32| {
                format!(
                    r#"{{"_id":"m{n:05}","time":{},"userInput":"text {n}"}}"#,
                    1_696_118_400 + n
                )
            };
            let page = format!(
                r#"{{"data":[{}],"cursor":null}}"#,
                numbers.iter().map(record).collect::<Vec<_>>().join(",")
            );
            let batch = decode(Dataset::Messages, page.as_bytes()).unwrap().batch;
            let rows: Vec<RowRef> = (0..u32::try_from(numbers.len()).unwrap())
                .map(|row| RowRef { batch: 0, row })
                .collect();
            let staged = table.stage(&key, &[batch], &rows).unwrap();
            table.publish(&key, &staged.entry).unwrap();
        }
        let id = |batch: &RecordBatch, row: usize| batch.column(0).as_string::<i32>().value(row).to_owned();
        let goes = |batch: &RecordBatch, row: usize| is_odd(id(batch, row)[1..].parse().unwrap());
        let RowRemoval::Rewritten(staged, 4_500) = tables[0].stage_removal(&key, goes).unwrap() else {
            panic!("half of it is left");
        };
        tables[0].publish(&key, &staged.entry).unwrap();
        assert_eq!(tables[0].entry(&key).unwrap(), tables[1].entry(&key).unwrap());
        assert!(matches!(
            tables[0].stage_removal(&key, goes).unwrap(),
            RowRemoval::Unchanged
        ));
        let all = tables[0].stage_removal(&key, |_, _| true).unwrap();
        assert!(matches!(all, RowRemoval::Emptied(4_500)));
        for _ in 0..2 {
            tables[0].remove_partition(&key).unwrap();
            assert_eq!(tables[0].entry(&key).unwrap(), None);
            assert!(!folders[0].path().join("messages/bot=r3").exists());
        }
        let staging = folders[0].path().join("_export/staging");
        assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
    }
}
