//! Writes one Parquet file from sorted rows. Its name is derived from its content.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch, StringArray};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use sha2::{Digest, Sha256};

use super::encoder::Encoder;
use super::merge::RowRef;
use super::partition::PartitionKey;
use super::properties::{RUN_ROW_GROUPS, properties, run_properties};
use super::settings::Settings;
use crate::display::hex;
use crate::error::{Error, Result};

/// Properties of a file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// SHA-256 of the file, in hex.
    pub(crate) sha256: String,
    /// SHA-256 of the ids in order, each followed by a line break, in hex.
    pub(crate) ids_sha256: String,
}

/// Writes rows in the given order. The same rows give the same bytes, however they are split into batches.
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

/// Returns the size of the file that a batch would have in a table with these settings, in bytes.
///
/// # Errors
/// If the rows cannot be written as Parquet.
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

/// Writes rows as Parquet. They may come in parts of any length, and give the same bytes.
pub(crate) struct Writer<W: Write + Send> {
    /// Named in errors.
    path: PathBuf,
    encoder: Encoder<Hashing<W>>,
    ids: Sha256,
}

impl Writer<BufWriter<File>> {
    /// Creates a file.
    pub(crate) fn create(path: &Path, key: &PartitionKey, settings: &Settings) -> Result<Self> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        Self::new(BufWriter::with_capacity(1 << 18, file), path, key, settings)
    }

    /// Creates a file for a sorted run, which is read once and removed: fast to write, with small row groups.
    pub(super) fn create_run(path: &Path, key: &PartitionKey, settings: &Settings) -> Result<Self> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        let settings = Settings {
            row_groups: RUN_ROW_GROUPS,
            ..settings.clone()
        };
        let output = BufWriter::with_capacity(1 << 18, file);
        Self::with(output, path, key, &settings, run_properties())
    }

    /// Finishes the file; it is durable when this returns.
    pub(crate) fn close(mut self) -> Result<Written> {
        let written = self.finish()?;
        let file = self.encoder.output().inner.get_ref();
        file.sync_all().map_err(Error::io("write", &self.path))?;
        Ok(written)
    }
}

impl<W: Write + Send> Writer<W> {
    fn new(output: W, path: &Path, key: &PartitionKey, settings: &Settings) -> Result<Self> {
        Self::with(output, path, key, settings, properties(key, settings)?)
    }

    fn with(
        output: W,
        path: &Path,
        key: &PartitionKey,
        settings: &Settings,
        properties: WriterProperties,
    ) -> Result<Self> {
        let output = Hashing {
            inner: output,
            sha256: Sha256::new(),
            bytes: 0,
            failed: None,
        };
        let encoder = Encoder::new(
            output,
            &settings.table_options.schema(key.dataset),
            properties,
            settings.row_groups,
        );
        Ok(Self {
            path: path.to_owned(),
            encoder: encoder.map_err(Error::parquet("write", path))?,
            ids: Sha256::new(),
        })
    }

    /// Appends rows.
    pub(crate) fn rows(&mut self, batches: &[RecordBatch], rows: &[RowRef]) -> Result<()> {
        add_ids(&mut self.ids, batches, rows.iter().copied());
        let places: Vec<(usize, usize)> = rows
            .iter()
            .map(|at| (at.batch as usize, at.row as usize))
            .collect();
        let appended = self.encoder.append(batches, &places);
        appended.map_err(|error| self.failed(error))
    }

    /// Returns the error of a write. A system error takes precedence over the encoder's error, which for some parts
    /// of a file is only a text.
    fn failed(&mut self, error: ParquetError) -> Error {
        match self.encoder.output_mut().failed.take() {
            Some(source) => Error::io("write", &self.path)(source),
            None => Error::parquet("write", &self.path)(error),
        }
    }

    /// Finishes the file without making it durable.
    pub(super) fn finish(&mut self) -> Result<Written> {
        // taking the output out of the encoder would turn a system error, such as a full disk, into a text
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

/// Returns the name of a file whose content has this SHA-256, in hex.
pub(crate) fn name(sha256: &str) -> String {
    format!("part-{}.parquet", sha256.get(..32).unwrap_or(sha256))
}

fn add_ids(sha256: &mut Sha256, batches: &[RecordBatch], rows: impl Iterator<Item = RowRef>) {
    let ids = batches.iter().map(|batch| batch.column(0).as_string::<i32>());
    let ids: Vec<&StringArray> = ids.collect();
    for at in rows {
        sha256.update(ids[at.batch as usize].value(at.row as usize));
        sha256.update("\n");
    }
}

/// Passes bytes on and computes their checksum.
pub(super) struct Hashing<W> {
    pub(super) inner: W,
    pub(super) sha256: Sha256,
    pub(super) bytes: u64,
    /// The first system error.
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
