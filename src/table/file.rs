//! One Parquet file: written from rows in order, named after its content, read back.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use super::Entry;
use super::merge::{RowRef, time_bounds};
use super::partition::PartitionKey;
use super::settings::SCHEMA_VERSION;
use crate::dataset::Kind;
use crate::error::{Error, Result};

/// Rows of a row group: what DuckDB scans at a time.
const ROW_GROUP_ROWS: usize = 122_880;
/// Bytes of a row group at most, as far as its rows can be told apart.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;
/// Rows gathered at a time on their way to the writer; fixed, since the place of page breaks depends on it.
const GATHERED_ROWS: usize = 2048;
const ZSTD_LEVEL: i32 = 3;
/// A dictionary may grow so large before a column goes on without one. Values of metadata repeat within a row
/// group, and many are longer than the usual limit of 1 MiB lets in: files become a fifth smaller.
const DICTIONARY_BYTES: usize = 8 * 1024 * 1024;

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
    batches: &[RecordBatch],
    rows: &[RowRef],
) -> Result<Written> {
    let file = File::create(path).map_err(Error::io("create", path))?;
    let buffered = BufWriter::with_capacity(1 << 18, file);
    let (buffered, written) = encode(buffered, path, key, batches, rows)?;
    let file = buffered
        .into_inner()
        .map_err(|error| Error::io("write", path)(error.into_error()))?;
    file.sync_all().map_err(Error::io("write", path))?;
    Ok(written)
}

/// How large the file of a batch would be, in bytes.
///
/// # Errors
/// Where its rows cannot be written as Parquet.
pub fn size(key: &PartitionKey, batch: &RecordBatch) -> Result<u64> {
    let count = u32::try_from(batch.num_rows()).map_err(|error| Error::Internal(error.to_string()))?;
    let rows: Vec<RowRef> = (0..count).map(|row| RowRef { batch: 0, row }).collect();
    let nowhere = Path::new("a file that is only measured");
    let (_, written) = encode(io::sink(), nowhere, key, std::slice::from_ref(batch), &rows)?;
    Ok(written.bytes)
}

/// Writes rows as Parquet; `path` is told in errors.
fn encode<W: Write + Send>(
    output: W,
    path: &Path,
    key: &PartitionKey,
    batches: &[RecordBatch],
    rows: &[RowRef],
) -> Result<(W, Written)> {
    let failed = |source: ParquetError| Error::parquet("write", path)(source);
    let mut output = Hashing {
        inner: output,
        sha256: Sha256::new(),
        bytes: 0,
    };
    let mut writer =
        ArrowWriter::try_new(&mut output, key.dataset.schema(), Some(properties(key)?)).map_err(failed)?;
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let mut ids = Sha256::new();
    let mut places = Vec::with_capacity(GATHERED_ROWS);
    for chunk in rows.chunks(GATHERED_ROWS) {
        places.clear();
        places.extend(chunk.iter().map(|at| (at.batch as usize, at.row as usize)));
        let gathered = interleave_record_batch(&batches, &places)?;
        add_ids(&mut ids, &gathered);
        writer.write(&gathered).map_err(failed)?;
    }
    // `into_inner` would turn an error of the system, such as a full disk, into mere text
    writer.close().map_err(failed)?;
    let written = Written {
        bytes: output.bytes,
        sha256: hex(&output.sha256.finalize()),
        ids_sha256: hex(&ids.finalize()),
    };
    Ok((output.inner, written))
}

/// All rows of a file, in batches.
///
/// # Errors
/// Where it cannot be read as Parquet.
pub fn read(path: &Path) -> Result<Vec<RecordBatch>> {
    batches(path)?.collect()
}

/// The rows of a file, a batch at a time.
pub(crate) fn batches(path: &Path) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(8192).build())
        .map_err(Error::parquet("read", path))?;
    let path = path.to_owned();
    Ok(reader.map(move |batch| batch.map_err(|error| Error::parquet("read", &path)(error.into()))))
}

/// The SHA-256 of a file, in hex.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut hashing = Hashing {
        inner: io::sink(),
        sha256: Sha256::new(),
        bytes: 0,
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
        for batch in batches(path)? {
            let batch = batch?;
            let places = (0..batch.num_rows()).map(|row| u32::try_from(row).unwrap_or(u32::MAX));
            let places: Vec<RowRef> = places.map(|row| RowRef { batch: 0, row }).collect();
            rows += batch.num_rows() as u64;
            add_ids(&mut ids, &batch);
            let bounds = time_bounds(key.dataset, &[batch], &places);
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

fn add_ids(sha256: &mut Sha256, batch: &RecordBatch) {
    for id in batch.column(0).as_string::<i32>().iter().flatten() {
        sha256.update(id);
        sha256.update("\n");
    }
}

/// Nothing in here may differ between two runs that bring the same rows.
fn properties(key: &PartitionKey) -> Result<WriterProperties> {
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
        builder = match column.kind {
            // sorted by time, ids begin much alike; none comes twice, so a dictionary would only cost
            Kind::Id => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BYTE_ARRAY)
                .set_column_bloom_filter_enabled(path, true),
            Kind::Reference => builder.set_column_bloom_filter_enabled(path, true),
            Kind::Time => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            Kind::Text | Kind::StrictText | Kind::TextList | Kind::TextMap => builder,
        };
    }
    let told = labels(key).map(|(name, value)| KeyValue::new(name, value));
    Ok(builder
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_created_by(concat!("converse-export version ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(
            ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default(),
        ))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_sorting_columns(Some(sorting))
        .set_key_value_metadata(Some(told.to_vec()))
        .build())
}

/// What a file says of itself beside its rows.
pub(super) fn labels(key: &PartitionKey) -> [(String, String); 4] {
    let dataset = key.dataset;
    let time = dataset.schema().field(dataset.time_column()).name().clone();
    [
        ("dataset", dataset.name().into()),
        ("bot", key.bot.clone()),
        ("schema_version", SCHEMA_VERSION.to_string()),
        ("sorted_by", format!("{time}, id")),
    ]
    .map(|(name, value)| (format!("converse_export.{name}"), value))
}

/// Passes bytes on and takes their checksum.
pub(super) struct Hashing<W> {
    pub(super) inner: W,
    pub(super) sha256: Sha256,
    pub(super) bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
