//! One Parquet file: written from rows in order, named after its content.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch, StringArray};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use super::encoder::Encoder;
use super::merge::RowRef;
use super::partition::PartitionKey;
use super::settings::{RowGroups, SCHEMA_VERSION, Settings};
use crate::dataset::{Kind, Promoted, PromotedType, Shape};
use crate::display::hex;
use crate::error::{Error, Result};

/// Behind dictionaries, level 3 takes half as long again and saves nothing.
const ZSTD_LEVEL: i32 = 1;
/// Of times, which are written plainly, it saves a tenth.
const TIMES_ZSTD_LEVEL: i32 = 3;
/// A dictionary may grow so large before a column goes on without one. Values of metadata repeat within a row
/// group, and many are longer than the usual limit of 1 MiB lets in: files become a fifth smaller.
const DICTIONARY_BYTES: usize = 8 * 1024 * 1024;

/// Row groups of a sorted run: what is in memory of it while runs are merged.
const RUN_ROW_GROUPS: RowGroups = RowGroups {
    rows: 8192,
    bytes: 1024 * 1024,
};

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

    /// A new file for a sorted run, which is read once and removed: cheap to write, in row groups that take little memory.
    pub(super) fn create_run(path: &Path, key: &PartitionKey, settings: &Settings) -> Result<Self> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_compression(zstd(ZSTD_LEVEL))
            .build();
        let settings = Settings {
            row_groups: RUN_ROW_GROUPS,
            ..settings.clone()
        };
        let output = BufWriter::with_capacity(1 << 18, file);
        Self::with(output, path, key, &settings, properties)
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
        Self::with(output, path, key, settings, properties(key, &settings.shape)?)
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
            &settings.shape.schema(key.dataset),
            properties,
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
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        let places: Vec<(usize, usize)> = rows
            .iter()
            .map(|at| (at.batch as usize, at.row as usize))
            .collect();
        let appended = self.encoder.append(&batches, &places);
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

    /// Ends the file, which may be lost in a crash.
    pub(super) fn finish(&mut self) -> Result<Written> {
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

/// The name of a file whose content has this SHA-256, in hex.
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

/// How the file of a partition is written: encodings, compression, order, labels. Nothing in here may differ between
/// two runs that bring the same rows.
///
/// # Errors
/// Where the dataset has more columns than Parquet can count.
pub fn properties(key: &PartitionKey, shape: &Shape) -> Result<WriterProperties> {
    let dataset = key.dataset;
    let column = |index: usize| i32::try_from(index).map_err(|error| Error::Internal(error.to_string()));
    let ascending = |column_idx| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: true,
    };
    let sorting = vec![ascending(column(dataset.time_column())?), ascending(column(0)?)];
    let mut builder = WriterProperties::builder();
    for column in dataset.columns() {
        let path = ColumnPath::from(column.name);
        // bounds of pages, which readers keep in memory, are for what is short and looked for
        if !matches!(column.kind, Kind::Text | Kind::TextList | Kind::TextMap) {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        builder = match column.kind {
            // none comes twice, so a dictionary would only cost; sorted by time, ids begin much alike, which a column of
            // this very encoding is compressed for. Some readers know no other one for text
            Kind::Id => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::PLAIN)
                .set_column_bloom_filter_enabled(path, true),
            Kind::Reference => builder.set_column_bloom_filter_enabled(path, true),
            Kind::Time => times(builder, path),
            // numbers of a small dictionary, which zstd makes little smaller: readers go through them at a stroke where it
            // is left out, and where a page holds all of a row group
            Kind::Label | Kind::StrictLabel => builder
                .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
                .set_column_data_page_row_count_limit(path, RowGroups::default().rows),
            Kind::Text | Kind::TextList | Kind::TextMap => builder,
        };
    }
    if let Some(metadata) = shape.metadata_text(dataset) {
        // hardly one comes twice
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(metadata), false);
    }
    for column in shape.promoted(dataset) {
        let path = ColumnPath::from(column.name.as_str());
        if !matches!(column.r#type, PromotedType::String | PromotedType::Json) {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        if column.r#type == PromotedType::Timestamp {
            builder = times(builder, path);
        }
    }
    let told = labels(key, shape)
        .into_iter()
        .map(|(name, value)| KeyValue::new(name, value));
    Ok(builder
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_created_by(concat!("converse-export version ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(zstd(ZSTD_LEVEL))
        .set_sorting_columns(Some(sorting))
        .set_key_value_metadata(Some(told.collect()))
        .build())
}

/// How times are written: plainly, since fastparquet takes the differences between them for others, without an error.
fn times(builder: WriterPropertiesBuilder, path: ColumnPath) -> WriterPropertiesBuilder {
    builder
        .set_column_dictionary_enabled(path.clone(), false)
        .set_column_compression(path, zstd(TIMES_ZSTD_LEVEL))
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default())
}

/// What a file says of itself beside its rows.
pub(super) fn labels(key: &PartitionKey, shape: &Shape) -> Vec<(String, String)> {
    let dataset = key.dataset;
    let time = dataset.columns()[dataset.time_column()].name;
    let mut labels = vec![
        ("dataset", dataset.name().into()),
        ("bot", key.bot.clone()),
        ("schema_version", SCHEMA_VERSION.to_string()),
        ("sorted_by", format!("{time}, id")),
    ];
    if shape.metadata_text(dataset).is_some() {
        labels.push(("metadata", shape.metadata.to_string()));
    }
    if let promoted @ [_, ..] = shape.promoted(dataset) {
        labels.push(("promoted", Promoted::told(promoted)));
    }
    let named = |(name, value)| (format!("converse_export.{name}"), value);
    labels.into_iter().map(named).collect()
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
