//! Merges rows on disk: sorted runs of new rows, each one a file, and the existing file of the partition.
//!
//! One batch of each run is in memory, and 16 bytes of each row: a hash of its id, and its time.

mod merge_heads;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use hashbrown::HashMap;

use super::file::Writer;
use super::merge::Merged;
use super::{DataFile, Effect, PartitionKey, Staged, Table};
use crate::dataset::id_hash;
use crate::error::{Error, Result};
use crate::store;
use merge_heads::{Head, KeptTimes, View, merge, value};

/// Maximum number of runs that are merged at a time. If there are more, neighbouring runs are merged first.
const FAN_IN: usize = 16;

/// Sorted runs of a partition's new rows, in the order in which they were fetched. Ids are distinct within a run.
pub(super) struct SortedRuns<'a> {
    table: &'a Table,
    key: PartitionKey,
    folder: PathBuf,
    runs: Vec<PathBuf>,
    written: usize,
    /// Rows that were duplicates or superseded by another new row.
    duplicates: u64,
    superseded: u64,
    /// For each row: a hash of its id, and its time in microseconds, or `i64::MIN` if it has none.
    keys: Vec<(u64, i64)>,
}

impl<'a> SortedRuns<'a> {
    pub(super) fn new(table: &'a Table, key: &PartitionKey) -> Self {
        let mut folder = table.staging(key).into_os_string();
        folder.push(".runs");
        Self {
            table,
            key: key.clone(),
            folder: folder.into(),
            runs: Vec::new(),
            written: 0,
            duplicates: 0,
            superseded: 0,
            keys: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Writes rows as the next run.
    pub(super) fn write(&mut self, batches: &[RecordBatch], merged: &Merged) -> Result<()> {
        self.duplicates += merged.duplicates;
        self.superseded += merged.superseded;
        let views: Vec<View> = batches
            .iter()
            .map(|batch| View::of(self.key.dataset, batch))
            .collect();
        let keys = merged.rows.iter().map(|at| {
            let (view, row) = (&views[at.batch as usize], at.row as usize);
            (id_hash(view.ids.value(row)), view.time(row).unwrap_or(i64::MIN))
        });
        self.keys.extend(keys);
        let path = self.next_run()?;
        let mut writer = Writer::create_run(&path, &self.key, &self.table.settings)?;
        writer.rows(batches, &merged.rows)?;
        writer.finish()?;
        self.runs.push(path);
        Ok(())
    }

    /// Merges all runs and the existing rows into the next version.
    pub(super) fn merge(mut self) -> Result<Staged> {
        let (table, key) = (self.table, self.key.clone());
        let present = table.intact_file(&key)?;
        let present_rows = present.as_ref().map_or(0, DataFile::rows);
        let present = present.map(|file| file.path().to_owned());
        let kept = self.kept_times(present.as_ref())?;
        while self.runs.len() > FAN_IN {
            self.merge_neighbours(&kept)?;
        }
        let mut writer = Writer::create(&table.begin_staging(&key)?, &key, &table.settings)?;
        let mut heads = self.heads(present.iter().chain(&self.runs))?;
        let has_present = present.is_some();
        let outcome = merge(key.dataset, &mut heads, has_present, &kept, |batches, rows| {
            writer.rows(batches, rows)
        })?;
        let written = writer.close()?;
        let effect = Effect {
            rows: outcome.rows - present_rows,
            duplicates: self.duplicates + outcome.duplicates,
            superseded: self.superseded + outcome.superseded,
        };
        match table.entry(&key)?.filter(|_| !outcome.changed) {
            Some(entry) => table.stage_unchanged(&key, entry, effect),
            None => table.staged(&key, written, effect, outcome.rows, (outcome.first, outcome.last)),
        }
    }

    /// Merges each [`FAN_IN`] neighbouring runs into one.
    fn merge_neighbours(&mut self, kept: &KeptTimes) -> Result<()> {
        let mut merged = Vec::new();
        for runs in std::mem::take(&mut self.runs).chunks(FAN_IN) {
            let path = self.next_run()?;
            let mut writer = Writer::create_run(&path, &self.key, &self.table.settings)?;
            let mut heads = self.heads(runs)?;
            let outcome = merge(self.key.dataset, &mut heads, false, kept, |batches, rows| {
                writer.rows(batches, rows)
            })?;
            writer.finish()?;
            self.duplicates += outcome.duplicates;
            self.superseded += outcome.superseded;
            runs.iter().try_for_each(|run| store::remove_file(run))?;
            merged.push(path);
        }
        self.runs = merged;
        Ok(())
    }

    fn next_run(&mut self) -> Result<PathBuf> {
        if self.written == 0 {
            store::remove_folder(&self.folder)?;
            store::create_folder(&self.table.staging_folder())?;
            std::fs::create_dir(&self.folder).map_err(Error::io("create the folder", &self.folder))?;
        }
        self.written += 1;
        Ok(self.folder.join(format!("{}.parquet", self.written)))
    }

    fn heads<'p>(&self, paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<Vec<Head>> {
        let head = |path: &PathBuf| {
            let batches = self.table.batches_of(self.key.dataset, DataFile::open(path)?)?;
            Head::new(self.key.dataset, Box::new(batches))
        };
        paths.into_iter().map(head).collect()
    }

    /// Returns the time of the row to keep, for each id that has rows with different times: the one with the later
    /// version, or on a tie the later fetched one. Rows with the same time meet during the merge.
    fn kept_times(&mut self, present: Option<&PathBuf>) -> Result<KeptTimes> {
        let mut keys = std::mem::take(&mut self.keys);
        if let Some(path) = present {
            self.each_key(path, |id, time, _| {
                keys.push((id_hash(id), time.unwrap_or(i64::MIN)));
            })?;
        }
        keys.sort_unstable();
        let differ = |pair: &&[(u64, i64)]| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1;
        let ids: HashSet<u64> = keys.windows(2).filter(differ).map(|pair| pair[0].0).collect();
        drop(keys);
        let mut kept: HashMap<String, (Option<i64>, Option<i64>)> = HashMap::new();
        if ids.is_empty() {
            return Ok(KeptTimes::new());
        }
        for path in present.into_iter().chain(&self.runs) {
            self.each_key(path, |id, time, version| {
                if ids.contains(&id_hash(id)) {
                    let row = kept.entry_ref(id).or_insert((version, time));
                    if row.0 <= version {
                        *row = (version, time);
                    }
                }
            })?;
        }
        Ok(kept.into_iter().map(|(id, (_, time))| (id, time)).collect())
    }

    /// Calls `row` with the id, the time and the version of each row of a file.
    fn each_key(&self, path: &Path, mut row: impl FnMut(&str, Option<i64>, Option<i64>)) -> Result<()> {
        let dataset = self.key.dataset;
        let columns = [
            Some(dataset.id_column()),
            Some(dataset.time_column()),
            dataset.version_column(),
        ];
        let mut columns: Vec<usize> = columns.into_iter().flatten().collect();
        columns.sort_unstable();
        let place = |column: usize| columns.iter().position(|other| *other == column);
        for batch in DataFile::open(path)?.batches(Some(&columns))? {
            let batch = batch?;
            let times = |column: usize| {
                let place = place(column)?;
                Some(batch.column(place).as_primitive::<TimestampMicrosecondType>())
            };
            let ids = batch
                .column(place(dataset.id_column()).unwrap_or_default())
                .as_string::<i32>();
            let (time, version) = (
                times(dataset.time_column()),
                dataset.version_column().and_then(times),
            );
            for number in 0..batch.num_rows() {
                row(ids.value(number), value(time, number), value(version, number));
            }
        }
        Ok(())
    }
}

impl Drop for SortedRuns<'_> {
    fn drop(&mut self) {
        if self.written > 0 {
            // the next run removes what is left
            let _ = store::remove_folder(&self.folder);
        }
    }
}
