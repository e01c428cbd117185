//! Decodes all rows of a partition's file and sums up what they are.

use std::panic::{self, AssertUnwindSafe};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::Timestamp;
use parquet::errors::ParquetError;
use sha2::{Digest, Sha256};

use super::merge::moment;
use super::reader::DataFile;
use super::{Entry, PartitionKey, Zone};
use crate::display::hex;
use crate::error::{Error, Result};

/// The rows of a file, summed up.
pub(super) struct Contents {
    pub(super) rows: u64,
    pub(super) ids_sha256: String,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// Rows that are not in the order of time, then id.
    disordered: u64,
    /// Rows of another partition.
    misplaced: u64,
}

impl Contents {
    /// Decodes all rows. `batch` is called with each batch.
    ///
    /// # Errors
    /// Where the file cannot be decoded, and those of `batch`.
    pub(super) fn read(
        file: DataFile,
        key: &PartitionKey,
        zone: &Zone,
        batch: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<Self> {
        let path = file.path().to_owned();
        // the reader of a file whose bytes were altered together with its checksum may panic
        let read = panic::catch_unwind(AssertUnwindSafe(|| Self::decode(file, key, zone, batch)));
        let panicked = || ParquetError::General("its contents make the reader panic".into());
        read.unwrap_or_else(|_| Err(Error::parquet("read", &path)(panicked())))
    }

    fn decode(
        file: DataFile,
        key: &PartitionKey,
        zone: &Zone,
        mut batch: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<Self> {
        let (dataset, mut dates) = (key.dataset, zone.dates());
        let mut digest = Sha256::new();
        let (mut rows, mut disordered, mut misplaced) = (0, 0, 0);
        let (mut first, mut last): (Option<i64>, Option<i64>) = (None, None);
        let mut before: Option<(Option<i64>, String)> = None;
        for read in file.batches(None)? {
            let read = read?;
            let ids = read.column(dataset.id_column()).as_string_opt::<i32>();
            let times = read.column(dataset.time_column());
            let times = times.as_primitive_opt::<TimestampMicrosecondType>();
            let (Some(ids), Some(times)) = (ids, times) else {
                return Err(Error::Internal(format!("{dataset} has neither ids nor times")));
            };
            let earlier = before.take();
            let mut previous = earlier.as_ref().map(|(time, id)| (*time, id.as_str()));
            for row in 0..read.num_rows() {
                let (id, time) = (ids.value(row), times.is_valid(row).then(|| times.value(row)));
                digest.update(id);
                digest.update("\n");
                let now = Some((time, id));
                disordered += u64::from(previous >= now);
                misplaced += u64::from(dates.of(time) != key.date);
                first = first.or(time);
                last = time.or(last);
                previous = now;
            }
            before = previous.map(|(time, id)| (time, id.to_owned()));
            rows += read.num_rows() as u64;
            batch(&read)?;
        }
        Ok(Self {
            rows,
            ids_sha256: hex(&digest.finalize()),
            first: first.map(moment),
            last: last.map(moment),
            disordered,
            misplaced,
        })
    }

    /// A sentence for each thing that does not fit a partition and its entry.
    pub(super) fn differences(&self, key: &PartitionKey, entry: &Entry) -> Vec<String> {
        let mut findings = Vec::new();
        if self.rows != entry.rows {
            findings.push(format!("it gives {} rows instead of {}", self.rows, entry.rows));
        }
        if self.disordered > 0 {
            let what = format!("{} rows are not in the order of time, then id", self.disordered);
            findings.push(what);
        }
        if self.misplaced > 0 {
            let by = key.date.by().key();
            findings.push(format!("{} rows do not belong to its {by}", self.misplaced));
        }
        if self.ids_sha256 != entry.ids_sha256 {
            findings.push("its ids are not those of the manifest".into());
        }
        let micros = |times: [Option<Timestamp>; 2]| times.map(|time| time.map(Timestamp::as_microsecond));
        if micros([self.first, self.last]) != micros([entry.first, entry.last]) {
            findings.push("its first or last time is not the manifest's".into());
        }
        findings
    }
}
