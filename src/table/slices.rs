//! The next version of a partition that is too large for memory: made of one slice of its time after another.

use std::fs::File;
use std::hash::BuildHasher;
use std::io::BufWriter;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use hashbrown::{DefaultHashBuilder, HashSet};
use jiff::Timestamp;

use super::file::{self, Writer};
use super::merge::{self, Merged, RowRef};
use super::{Effect, Footer, PartitionKey, Staged, Table};
use crate::dataset::Dataset;
use crate::error::Result;

/// A partition's next version while it is made, from its earliest rows to its latest.
pub(crate) struct Slices<'a> {
    table: &'a Table,
    key: PartitionKey,
    /// Apart, so that a slice is written while the next one is merged.
    pub(crate) merging: Merging,
    pub(crate) writing: Writing,
}

/// What of a partition is told apart already.
pub(crate) struct Merging {
    dataset: Dataset,
    held: Option<Held>,
    /// Ids so far, as hashes: two that agree by accident only make the partition be built as a whole.
    ids: HashSet<u64>,
    hasher: DefaultHashBuilder,
}

/// What of a partition is written already.
pub(crate) struct Writing {
    dataset: Dataset,
    writer: Writer<BufWriter<File>>,
    effect: Effect,
    changed: bool,
    rows: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// The rows of a part of a partition's time, in order.
pub(crate) struct Slice {
    batches: Vec<RecordBatch>,
    merged: Merged,
    held: usize,
}

impl Table {
    /// Tells the time of each row that a partition holds.
    ///
    /// # Errors
    /// As [`Table::rows`].
    pub(crate) fn each_time(&self, key: &PartitionKey, told: impl FnMut(i64)) -> Result<()> {
        let file = self.proven_file(key)?;
        file.map_or(Ok(()), |footer| {
            file::each_time(footer, key.dataset.time_column(), told)
        })
    }

    /// Begins a partition's next version, see [`Table::stage`].
    ///
    /// # Errors
    /// Where the present rows cannot be read or a file cannot be made.
    pub(crate) fn slices(&self, key: &PartitionKey) -> Result<Slices<'_>> {
        let held = self.proven_file(key)?.map(|footer| Held::new(self, footer, key));
        let dataset = key.dataset;
        Ok(Slices {
            table: self,
            key: key.clone(),
            merging: Merging {
                dataset,
                held: held.transpose()?,
                ids: HashSet::new(),
                hasher: DefaultHashBuilder::default(),
            },
            writing: Writing {
                dataset,
                writer: Writer::create(&self.begin_staging(key)?, key, &self.settings)?,
                effect: Effect::default(),
                changed: false,
                rows: 0,
                first: None,
                last: None,
            },
        })
    }
}

impl Merging {
    /// All rows before `end` (microseconds) that no earlier slice had: those that the partition holds, and new ones in
    /// the order in which they were fetched. `None` where an id was in an earlier slice already: its record has changed
    /// its time, and the partition can only be built as a whole.
    pub(crate) fn slice(&mut self, end: i64, new: &[RecordBatch], rows: &[RowRef]) -> Result<Option<Slice>> {
        let mut batches = match &mut self.held {
            Some(held) => held.before(end)?,
            None => Vec::new(),
        };
        let (all, held) = merge::together(&mut batches, new, rows)?;
        let merged = merge::merge(self.dataset, &batches, &all, held)?;
        let ids = batches.iter().map(|batch| batch.column(0).as_string::<i32>());
        let ids: Vec<_> = ids.collect();
        for at in &merged.rows {
            let id = ids[at.batch as usize].value(at.row as usize);
            if !self.ids.insert(self.hasher.hash_one(id)) {
                return Ok(None);
            }
        }
        Ok(Some(Slice {
            batches,
            merged,
            held,
        }))
    }
}

impl Writing {
    /// Writes the slice behind those before it.
    pub(crate) fn write(&mut self, slice: &Slice) -> Result<()> {
        let Slice {
            batches,
            merged,
            held,
        } = slice;
        self.writer.rows(batches, &merged.rows)?;
        self.effect += merged.effect(*held);
        self.changed |= merged.changed;
        self.rows += merged.rows.len() as u64;
        let (first, last) = merge::time_bounds(self.dataset, batches, &merged.rows);
        self.first = self.first.or(first);
        self.last = last.or(self.last);
        Ok(())
    }
}

impl Slices<'_> {
    /// Adds a slice, see [`Merging::slice`]; answers false where the partition can only be built as a whole.
    pub(crate) fn add(&mut self, end: i64, new: &[RecordBatch], rows: &[RowRef]) -> Result<bool> {
        let slice = self.merging.slice(end, new, rows)?;
        slice.map_or(Ok(false), |slice| self.writing.write(&slice).map(|()| true))
    }

    /// Ends the version; seen by nobody until [`Table::publish`], see [`Table::stage`].
    pub(crate) fn finish(self) -> Result<Staged> {
        let known = self.table.entry(&self.key)?;
        let Writing {
            writer,
            effect,
            changed,
            rows,
            first,
            last,
            ..
        } = self.writing;
        let written = writer.close()?;
        match known.filter(|_| !changed) {
            Some(entry) => self.table.unchanged(&self.key, entry, effect),
            None => self.table.staged(&self.key, written, effect, rows, (first, last)),
        }
    }
}

/// The rows that a partition holds, sorted by time, as far as they are not read yet.
struct Held {
    time_column: usize,
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    /// Read, and not given away yet.
    rest: Option<RecordBatch>,
}

impl Held {
    fn new(table: &Table, footer: Footer, key: &PartitionKey) -> Result<Self> {
        Ok(Self {
            batches: Box::new(table.batches_of(key.dataset, footer)?),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::decode;
    use crate::table::{PartitionBy, Period, Settings};

    /// So many rows of the one partition, the given number apart in time, the first one so many seconds into the partition.
    fn page(ids: std::ops::Range<u32>, seconds: impl Fn(u32) -> u32) -> (RecordBatch, Vec<RowRef>) {
        let records: Vec<String> = ids
            .map(|id| {
                let (time, text) = (1_696_118_400 + seconds(id), "x".repeat(id as usize % 50));
                format!(r#"{{"_id":"m{id}","time":{time},"type":"Bot","userInput":"{text}"}}"#)
            })
            .collect();
        let body = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
        let batch = decode(Dataset::Messages, body.as_bytes()).unwrap().batch;
        let rows = (0..u32::try_from(batch.num_rows()).unwrap()).map(|row| RowRef { batch: 0, row });
        let rows = rows.collect();
        (batch, rows)
    }

    fn table(folder: &std::path::Path) -> (Table, PartitionKey) {
        let settings = Settings::new("https://api.example.com", "UTC");
        let key = PartitionKey {
            dataset: Dataset::Messages,
            bot: "r3".into(),
            period: Period::of(PartitionBy::Day, jiff::civil::date(2023, 10, 1)),
        };
        (Table::open(folder, settings).unwrap(), key)
    }

    const DAY: i64 = 1_696_118_400_000_000;

    /// Stages a page in slices that end at these seconds of the partition.
    fn in_slices(
        table: &Table,
        key: &PartitionKey,
        page: &(RecordBatch, Vec<RowRef>),
        ends: &[i64],
    ) -> Option<Staged> {
        let mut slices = table.slices(key).unwrap();
        let times = page.0.column(key.dataset.time_column());
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let mut begin = i64::MIN;
        for end in ends
            .iter()
            .map(|second| DAY + second * 1_000_000)
            .chain([i64::MAX])
        {
            let within = |at: &&RowRef| (begin..end).contains(&times.value(at.row as usize));
            let rows: Vec<RowRef> = page.1.iter().filter(within).copied().collect();
            if !slices.add(end, std::slice::from_ref(&page.0), &rows).unwrap() {
                return None;
            }
            begin = end;
        }
        Some(slices.finish().unwrap())
    }

    #[test]
    fn invariant_8_slices_give_the_same_bytes_as_the_whole() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [(whole, key), (sliced, _)] = folders.each_ref().map(|folder| table(folder.path()));
        // the second page brings half of the first one again, and more rows between its rows
        let spread = |id: u32| id * 7919 % 80_000;
        for (ids, ends) in [
            (0..5_000, vec![1, 10_000, 10_001, 60_000]),
            (2_500..9_000, vec![30_000, 30_000]),
        ] {
            let page = page(ids, spread);
            let expected = whole.stage(&key, std::slice::from_ref(&page.0), &page.1).unwrap();
            let staged = in_slices(&sliced, &key, &page, &ends).unwrap();
            assert_eq!(staged.entry, expected.entry);
            assert_eq!(staged.effect, expected.effect);
            whole.publish(&key, &expected.entry).unwrap();
            sliced.publish(&key, &staged.entry).unwrap();
            let again = in_slices(&sliced, &key, &page, &ends).unwrap();
            assert!(!again.replaces, "nothing is new");
            assert_eq!(again.entry, expected.entry);
        }
    }

    #[test]
    fn invariant_4_an_id_in_two_slices_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (table, key) = table(folder.path());
        let first = page(0..100, |id| id);
        let staged = table
            .stage(&key, std::slice::from_ref(&first.0), &first.1)
            .unwrap();
        table.publish(&key, &staged.entry).unwrap();
        let moved = page(0..1, |_| 5_000);
        assert!(in_slices(&table, &key, &moved, &[1_000]).is_none());
        assert!(in_slices(&table, &key, &moved, &[6_000]).is_some());
    }
}
