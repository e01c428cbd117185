//! Reads a few columns of many data files on all cores: what catalogues and reports are made of.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};
use rayon::prelude::*;

use super::{Entry, PartitionKey, Table};
use crate::error::{Error, Result};
use crate::store;
use crate::window::Window;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;
/// Files that are at work at a time: what bounds the memory, whatever the range.
const FILES: usize = 64;
/// A partition may be replaced between the look at its folder and the opening of its file; how often it is looked at
/// again, and after how long.
const LOOKS: usize = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// A row group of a data file: it stays readable when its partition is replaced meanwhile.
pub(crate) struct Part {
    path: PathBuf,
    file: Shared,
    metadata: ArrowReaderMetadata,
    row_group: usize,
}

impl Part {
    /// The columns of its file.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Its rows in order, of the columns with these indices alone.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn batches(
        self,
        columns: impl IntoIterator<Item = usize>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
        let Self {
            path,
            file,
            metadata,
            row_group,
        } = self;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_batch_size(BATCH_ROWS)
            .with_row_groups(vec![row_group])
            .with_projection(mask)
            .build()
            .map_err(Error::parquet("read", &path))?;
        Ok(reader.map(move |batch| batch.map_err(|error| Error::parquet("read", &path)(error.into()))))
    }
}

/// Which rows count: those whose time lies in a range; of no range all, also those without a time. `tell` makes of
/// the time (microseconds) of each what it is looked at for.
pub(crate) fn times_in<T>(
    times: &TimestampMicrosecondArray,
    range: Option<Window>,
    mut tell: impl FnMut(i64) -> Option<T>,
) -> Vec<Option<Option<T>>> {
    let counts = |time: Option<i64>| {
        range.is_none_or(|range| time.is_some_and(|time| range.contains(time.div_euclid(1_000_000))))
    };
    times
        .iter()
        .map(|time| counts(time).then(|| time.and_then(&mut tell)))
        .collect()
}

impl Entry {
    /// Whether a partition may have rows with a time in a range; of no range all have.
    pub(crate) fn may_lie_in(&self, range: Option<Window>) -> bool {
        range.is_none_or(|range| match (self.first, self.last) {
            (Some(first), Some(last)) => first.as_second() < range.end && last.as_second() >= range.start,
            _ => false,
        })
    }
}

impl Table {
    /// Makes something of each part of these partitions' files, on all cores, and gives it to `take` in their order.
    ///
    /// # Errors
    /// The first that reading or `make` gives.
    pub(crate) fn each_part<'k, T: Send>(
        &self,
        keys: impl IntoIterator<Item = &'k PartitionKey>,
        make: impl Fn(&PartitionKey, Part) -> Result<T> + Sync,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let now: Vec<_> = keys.by_ref().take(FILES).collect();
            let parts: Vec<Vec<_>> = now
                .par_iter()
                .map(|key| Ok(self.parts(key)?.into_iter().map(|part| (*key, part)).collect()))
                .collect::<Result<_>>()?;
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            let made: Vec<T> = parts
                .into_par_iter()
                .with_max_len(1)
                .map(|(key, part)| make(key, part))
                .collect::<Result<_>>()?;
            made.into_iter().for_each(&mut take);
        }
        Ok(())
    }

    fn parts(&self, key: &PartitionKey) -> Result<Vec<Part>> {
        let (file, path) = self.open_file(key)?;
        let metadata = load(&file, &path)?;
        Ok((0..metadata.metadata().num_row_groups())
            .map(|row_group| Part {
                path: path.clone(),
                file: file.clone(),
                metadata: metadata.clone(),
                row_group,
            })
            .collect())
    }

    /// Opens the file that a reader from outside would find.
    fn open_file(&self, key: &PartitionKey) -> Result<(Shared, PathBuf)> {
        let folder = self.out().join(key.folder());
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(BETWEEN_LOOKS);
            }
            let names = store::names(&folder)?;
            let Some(name) = names.iter().find(|name| !name.starts_with(['.', '_'])) else {
                continue;
            };
            let path = folder.join(name);
            match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return Ok((Shared::of(opened, &path)?, path)),
            }
        }
        Err(Error::Damaged {
            path: folder,
            what: "its data file is missing".into(),
        })
    }
}

/// A file that is read at several places at a time, which a plain one is not: its copies share one position.
#[derive(Clone)]
struct Shared {
    file: Arc<File>,
    length: u64,
}

impl Shared {
    fn of(opened: io::Result<File>, path: &Path) -> Result<Self> {
        let file = opened.map_err(Error::io("open", path))?;
        let length = file.metadata().map_err(Error::io("open", path))?.len();
        Ok(Self {
            file: Arc::new(file),
            length,
        })
    }
}

impl Length for Shared {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Shared {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(From {
            file: Arc::clone(&self.file),
            at: start,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// Reads a file from some place on.
struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn load(file: &Shared, path: &Path) -> Result<ArrowReaderMetadata> {
    ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).map_err(Error::parquet("read", path))
}
