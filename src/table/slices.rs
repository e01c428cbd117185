//! The next version of a partition that is too large for memory: made of one slice of its time after another.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::BufWriter;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use hashbrown::HashSet;
use jiff::Timestamp;

use super::file::{self, Writer};
use super::merge::{self, RowRef};
use super::{Effect, PartitionKey, Staged, Table};
use crate::error::Result;

/// A partition's next version while it is made, from its earliest rows to its latest.
pub(crate) struct Slices<'a> {
    table: &'a Table,
    key: PartitionKey,
    held: Option<Held>,
    writer: Writer<BufWriter<File>>,
    /// Ids so far, as hashes: two that agree by accident only make the partition be built as a whole.
    ids: HashSet<u64>,
    hasher: RandomState,
    effect: Effect,
    changed: bool,
    rows: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Table {
    /// The times of all rows that a partition holds.
    ///
    /// # Errors
    /// As [`Table::rows`].
    pub(crate) fn times(&self, key: &PartitionKey) -> Result<Vec<i64>> {
        let file = self.data_file(key)?;
        file.map_or(Ok(Vec::new()), |path| {
            file::times(&path, key.dataset.time_column())
        })
    }

    /// Begins a partition's next version, see [`Table::stage`].
    ///
    /// # Errors
    /// Where the present rows cannot be read or a file cannot be made.
    pub(crate) fn slices(&self, key: &PartitionKey) -> Result<Slices<'_>> {
        let held = self.data_file(key)?.map(|path| Held::open(&path, key));
        Ok(Slices {
            table: self,
            key: key.clone(),
            held: held.transpose()?,
            writer: Writer::create(&self.begin_staging(key)?, key)?,
            ids: HashSet::new(),
            hasher: RandomState::new(),
            effect: Effect::default(),
            changed: false,
            rows: 0,
            first: None,
            last: None,
        })
    }
}

impl Slices<'_> {
    /// Adds all rows before `end` (microseconds) that no earlier slice had: those that the partition holds, and
    /// new ones in the order in which they were fetched. Answers false where an id was in an earlier slice
    /// already: its record has changed its time, and the partition can only be built as a whole.
    pub(crate) fn add(&mut self, end: i64, new: &[RecordBatch], rows: &[RowRef]) -> Result<bool> {
        let mut batches = match &mut self.held {
            Some(held) => held.before(end)?,
            None => Vec::new(),
        };
        let (all, held) = merge::together(&mut batches, new, rows)?;
        let merged = merge::merge(self.key.dataset, &batches, &all, held)?;
        for at in &merged.rows {
            let ids = batches[at.batch as usize].column(0).as_string::<i32>();
            if !self.ids.insert(self.hasher.hash_one(ids.value(at.row as usize))) {
                return Ok(false);
            }
        }
        self.writer.rows(&batches, &merged.rows)?;
        self.effect += merged.effect(held);
        self.changed |= merged.changed;
        self.rows += merged.rows.len() as u64;
        let (first, last) = merge::time_bounds(self.key.dataset, &batches, &merged.rows);
        self.first = self.first.or(first);
        self.last = last.or(self.last);
        Ok(true)
    }

    /// Ends the version; durable when this returns, but seen by nobody until [`Table::publish`].
    pub(crate) fn finish(self) -> Result<Staged> {
        let known = self.table.entry(&self.key)?;
        let written = self.writer.close()?;
        match known.filter(|_| !self.changed) {
            Some(entry) => self.table.unchanged(&self.key, entry, self.effect),
            None => self.table.staged(
                &self.key,
                written,
                self.effect,
                self.rows,
                (self.first, self.last),
            ),
        }
    }
}

/// The rows that a partition holds, sorted by time, as far as they are not read yet.
struct Held {
    time_column: usize,
    batches: Box<dyn Iterator<Item = Result<RecordBatch>>>,
    /// Read, and not given away yet.
    rest: Option<RecordBatch>,
}

impl Held {
    fn open(path: &Path, key: &PartitionKey) -> Result<Self> {
        Ok(Self {
            batches: Box::new(file::batches(path)?),
            time_column: key.dataset.time_column(),
            rest: None,
        })
    }

    /// The next rows, up to the first that is not before `end`.
    fn before(&mut self, end: i64) -> Result<Vec<RecordBatch>> {
        let mut before = Vec::new();
        loop {
            let Some(batch) = self.rest.take().map(Ok).or_else(|| self.batches.next()) else {
                return Ok(before);
            };
            let batch = batch?;
            let times = batch.column(self.time_column);
            let times = times.as_primitive::<TimestampMicrosecondType>().values();
            let count = times.partition_point(|time| *time < end);
            if count > 0 {
                before.push(batch.slice(0, count));
            }
            if count < batch.num_rows() {
                self.rest = Some(batch.slice(count, batch.num_rows() - count));
                return Ok(before);
            }
        }
    }
}
