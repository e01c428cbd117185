//! One Parquet file: written from rows in order, named after its content, read back.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use sha2::{Digest, Sha256};

use super::Entry;
use super::encoder::Encoder;
use super::merge::{RowRef, time_bounds};
use super::partition::PartitionKey;
use super::properties::properties;
use super::scan::Footer;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::words::hex;

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// SHA-256 of the file, in hex.
    pub(crate) sha256: String,
    /// SHA-256 of its ids in order, each followed by a line break, in hex.
    pub(crate) ids_sha256: String,
}

/// Writes rows in the order given. The same rows give the same bytes, however the batches are cut.
pub(crate) fn write(
    path: &Path,
    key: &PartitionKey,
    settings: &Settings,
    batches: &[RecordBatch],
    rows: &[RowRef],
) -> Result<Written> {
    let mut writer = Writer::create(path, key, settings)?;
    writer.rows(batches, rows)?;
    writer.close()
}

/// How large the file of a batch would be in a table of these settings, in bytes.
///
/// # Errors
/// Where its rows cannot be written as Parquet.
pub fn size(key: &PartitionKey, settings: &Settings, batch: &RecordBatch) -> Result<u64> {
    let count = u32::try_from(batch.num_rows()).map_err(|error| Error::Internal(error.to_string()))?;
    let rows: Vec<RowRef> = (0..count).map(|row| RowRef { batch: 0, row }).collect();
    let mut writer = Writer::new(
        io::sink(),
        Path::new("a file that is only measured"),
        key,
        settings,
    )?;
    writer.rows(std::slice::from_ref(batch), &rows)?;
    Ok(writer.finish()?.bytes)
}

/// Writes rows as Parquet; they may come in parts, of whatever length, and give the same bytes.
pub(crate) struct Writer<W: Write + Send> {
    /// Told in errors.
    path: PathBuf,
    encoder: Encoder<Hashing<W>>,
    ids: Sha256,
}

impl Writer<BufWriter<File>> {
    /// A new file.
    pub(crate) fn create(path: &Path, key: &PartitionKey, settings: &Settings) -> Result<Self> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        Self::new(BufWriter::with_capacity(1 << 18, file), path, key, settings)
    }

    /// Ends the file; it is durable when this returns.
    pub(crate) fn close(mut self) -> Result<Written> {
        let written = self.finish()?;
        let file = self.encoder.output().inner.get_ref();
        file.sync_all().map_err(Error::io("write", &self.path))?;
        Ok(written)
    }
}

impl<W: Write + Send> Writer<W> {
    fn new(output: W, path: &Path, key: &PartitionKey, settings: &Settings) -> Result<Self> {
        let output = Hashing {
            inner: output,
            sha256: Sha256::new(),
            bytes: 0,
            failed: None,
        };
        let encoder = Encoder::new(
            output,
            &settings.shape.schema(key.dataset),
            properties(key, settings)?,
            settings.row_groups,
        );
        Ok(Self {
            path: path.to_owned(),
            encoder: encoder.map_err(Error::parquet("write", path))?,
            ids: Sha256::new(),
        })
    }

    /// Writes rows behind those that are written already.
    pub(crate) fn rows(&mut self, batches: &[RecordBatch], rows: &[RowRef]) -> Result<()> {
        add_ids(&mut self.ids, batches, rows.iter().copied());
        let places: Vec<(usize, usize)> = rows
            .iter()
            .map(|at| (at.batch as usize, at.row as usize))
            .collect();
        let appended = self.encoder.append(batches, &places);
        appended.map_err(|error| self.failed(error))
    }

    /// The error of a write. Where the system refused it, that is the reason, whatever the encoder makes of it: for
    /// some parts of a file it passes on no more than a text.
    fn failed(&mut self, error: ParquetError) -> Error {
        match self.encoder.output_mut().failed.take() {
            Some(source) => Error::io("write", &self.path)(source),
            None => Error::parquet("write", &self.path)(error),
        }
    }

    fn finish(&mut self) -> Result<Written> {
        // taking the output out would turn an error of the system, such as a full disk, into mere text
        let finished = self.encoder.finish();
        finished.map_err(|error| self.failed(error))?;
        let output = self.encoder.output_mut();
        output.flush().map_err(Error::io("write", &self.path))?;
        Ok(Written {
            bytes: output.bytes,
            sha256: hex(&output.sha256.clone().finalize()),
            ids_sha256: hex(&self.ids.clone().finalize()),
        })
    }
}

/// Tells each value of a column that holds times, but nulls.
pub(crate) fn each_time(footer: Footer, column: usize, mut told: impl FnMut(i64)) -> Result<()> {
    for batch in footer.batches(Some(&[column]))? {
        let batch = batch?;
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        times.iter().flatten().for_each(&mut told);
    }
    Ok(())
}

/// All rows of a file, in batches.
///
/// # Errors
/// Where it cannot be read as Parquet.
pub fn read(path: &Path) -> Result<Vec<RecordBatch>> {
    Footer::open(path)?.batches(None)?.collect()
}

/// The SHA-256 of a file, in hex.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut hashing = Hashing {
        inner: io::sink(),
        sha256: Sha256::new(),
        bytes: 0,
        failed: None,
    };
    File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut hashing))
        .map_err(Error::io("read", path))?;
    Ok(hex(&hashing.sha256.finalize()))
}

/// The name of a file whose content has this SHA-256, in hex.
pub(crate) fn name(sha256: &str) -> String {
    format!("part-{}.parquet", sha256.get(..32).unwrap_or(sha256))
}

/// The entry of a partition's file that is known as `known_as` and has this hash, from reading it whole. `None`
/// where it is no file of this dataset and bot.
pub(crate) fn describe(
    path: &Path,
    key: &PartitionKey,
    known_as: &Path,
    sha256: String,
) -> Result<Option<Entry>> {
    let described = (|| {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let bytes = file.metadata().map_err(Error::io("read", path))?.len();
        let footer = ParquetRecordBatchReaderBuilder::try_new(file).map_err(Error::parquet("read", path))?;
        let told = footer.metadata().file_metadata().key_value_metadata();
        let says = |told: &KeyValue, name: &str, value: &str| {
            told.key == format!("converse_export.{name}") && told.value.as_deref() == Some(value)
        };
        let belongs = told.is_some_and(|told| {
            told.iter().any(|told| says(told, "dataset", key.dataset.name()))
                && told.iter().any(|told| says(told, "bot", &key.bot))
        });
        if !belongs {
            return Ok(None);
        }
        let mut ids = Sha256::new();
        let (mut rows, mut first, mut last) = (0, None, None);
        for batch in Footer::open(path)?.batches(None)? {
            let batch = batch?;
            let places = (0..batch.num_rows()).map(|row| u32::try_from(row).unwrap_or(u32::MAX));
            let places: Vec<RowRef> = places.map(|row| RowRef { batch: 0, row }).collect();
            rows += batch.num_rows() as u64;
            let batch = [batch];
            add_ids(&mut ids, &batch, places.iter().copied());
            let bounds = time_bounds(key.dataset, &batch, &places);
            first = first.or(bounds.0);
            last = bounds.1.or(last);
        }
        Ok(Some(Entry {
            path: known_as.to_owned(),
            rows,
            bytes,
            sha256,
            ids_sha256: hex(&ids.finalize()),
            first,
            last,
        }))
    })();
    match described {
        Err(Error::Parquet { .. }) => Ok(None),
        described => described,
    }
}

fn add_ids(sha256: &mut Sha256, batches: &[RecordBatch], rows: impl Iterator<Item = RowRef>) {
    let ids = batches.iter().map(|batch| batch.column(0).as_string::<i32>());
    let ids: Vec<&StringArray> = ids.collect();
    for at in rows {
        sha256.update(ids[at.batch as usize].value(at.row as usize));
        sha256.update("\n");
    }
}

/// Passes bytes on and takes their checksum.
pub(super) struct Hashing<W> {
    pub(super) inner: W,
    pub(super) sha256: Sha256,
    pub(super) bytes: u64,
    /// The first error of the system.
    pub(super) failed: Option<io::Error>,
}

impl<W> Hashing<W> {
    fn note<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done
            && error.kind() != io::ErrorKind::Interrupted
        {
            let first = match error.raw_os_error() {
                Some(number) => io::Error::from_raw_os_error(number),
                None => io::Error::new(error.kind(), error.to_string()),
            };
            self.failed.get_or_insert(first);
        }
        done
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        let written = self.note(written)?;
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.note(flushed)
    }
}
