//! The one reader of data files: checksum, footer, and rows in batches of the columns that are wanted.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use sha2::{Digest, Sha256};

use super::encoder::file_schema;
use super::file::Hashing;
use super::partition::PartitionKey;
use super::properties;
use crate::dataset::TableOptions;
use crate::display::hex;
use crate::error::{Error, Result};

/// Limits of a batch: rows, and bytes as far as the footer gives them. They bound the memory of a reader.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: i64 = 4 * 1024 * 1024;

/// The SHA-256 of all bytes of a file, in hex.
///
/// # Errors
/// Where the file cannot be read.
pub(super) fn checksum(path: &Path) -> Result<String> {
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

/// All rows of a file, in batches.
///
/// # Errors
/// Where it cannot be read as Parquet.
pub fn read(path: &Path) -> Result<Vec<RecordBatch>> {
    DataFile::open(path)?.batches(None)?.collect()
}

/// An open data file whose footer is read.
pub(crate) struct DataFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl DataFile {
    /// Opens a file and reads its footer.
    ///
    /// # Errors
    /// Where it cannot be read as Parquet.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
        Ok(Self {
            metadata: metadata.map_err(Error::parquet("read", path))?,
            path: path.to_owned(),
            file,
        })
    }

    /// The path by which the file was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of rows by the footer.
    pub(crate) fn rows(&self) -> u64 {
        let rows = self.metadata.metadata().file_metadata().num_rows();
        rows.try_into().unwrap_or(0)
    }

    /// The columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Whether the columns have these names and types.
    pub(super) fn has_columns(&self, schema: &Schema) -> bool {
        let (found, expected) = (self.metadata.schema().fields(), schema.fields());
        let same =
            |(a, b): (&Arc<Field>, &Arc<Field>)| a.name() == b.name() && a.data_type() == b.data_type();
        found.len() == expected.len() && found.iter().zip(expected).all(same)
    }

    /// Whether the columns are exactly those of the dataset in a table of this shape, in Arrow and in Parquet.
    pub(super) fn has_schema_of(&self, key: &PartitionKey, table_options: &TableOptions) -> bool {
        file_schema(&table_options.schema(key.dataset)).is_ok_and(|(schema, parquet)| {
            let found = self.metadata.parquet_schema().root_schema().get_fields();
            parquet.root_schema().get_fields() == found && self.metadata.schema().fields() == schema.fields()
        })
    }

    /// The value of a label, `converse_export.<name>`, in the file's key-value metadata.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let labels = self.metadata.metadata().file_metadata().key_value_metadata()?;
        let is_named = |key: &str| key.strip_prefix("converse_export.") == Some(name);
        labels.iter().find(|label| is_named(&label.key))?.value.as_deref()
    }

    /// A sentence for each label that is missing or differs from those of a partition.
    pub(super) fn differing_labels(&self, key: &PartitionKey, table_options: &TableOptions) -> Vec<String> {
        let differing = |(name, expected): (String, String)| {
            let found = self.label(name.strip_prefix("converse_export.").unwrap_or(&name));
            match found {
                Some(found) if found == expected => None,
                Some(found) => Some(format!("its label {name} is {found:?} instead of {expected:?}")),
                None => Some(format!("its label {name} is missing")),
            }
        };
        let labels = properties::labels(key, table_options).into_iter();
        labels.filter_map(differing).collect()
    }

    /// The rows in order, of the columns with these indices or of all. The columns of a batch are in the order of the file.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn batches(
        self,
        columns: Option<&[usize]>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let Self { path, file, metadata } = self;
        let mask = match columns {
            Some(columns) => ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied()),
            None => ProjectionMask::all(),
        };
        let failed = move |error: ParquetError| Error::parquet("read", &path)(error);
        // a batch is never larger than a row group: the footer doesn't tell the bytes of values that dictionaries share
        let readers = (0..metadata.metadata().num_row_groups()).map(move |group| {
            let builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(file.try_clone()?, metadata.clone());
            let rows = batch_rows(metadata.metadata().row_group(group));
            let builder = builder.with_batch_size(rows).with_projection(mask.clone());
            builder.with_row_groups(vec![group]).build()
        });
        let batches = readers.flat_map(|reader| {
            let (reader, error) = match reader {
                Ok(reader) => (Some(reader), None),
                Err(error) => (None, Some(Err(error))),
            };
            reader.into_iter().flatten().map(|batch| Ok(batch?)).chain(error)
        });
        Ok(batches.map(move |batch| batch.map_err(&failed)))
    }
}

/// Rows to read from a row group at a time.
fn batch_rows(group: &RowGroupMetaData) -> usize {
    let bytes = group.total_byte_size() / group.num_rows().max(1);
    let rows = BATCH_BYTES / bytes.max(1);
    usize::try_from(rows).unwrap_or(1).clamp(1, BATCH_ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, decode};
    use crate::table::merge::RowRef;
    use crate::table::{PartitionBy, PartitionDate, RowGroups, Settings, Table};

    #[test]
    fn rows_of_several_row_groups_are_read_as_they_were() {
        let long = format!(r#""{}""#, "x".repeat(10_000));
        let record = |id: usize| {
            let value = ["null", &long, r#""short""#][id % 3];
            format!(
                r#"{{"_id":"c{id:03}","startTime":1696118400,"metadata":{{"a":{value},"b":null,"n":{id}}}}}"#
            )
        };
        let records: Vec<String> = (0..100).map(record).collect();
        let page = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
        let batch = decode(Dataset::Conversations, page.as_bytes()).unwrap().batch;
        let rows: Vec<RowRef> = (0..100).map(|row| RowRef { batch: 0, row }).collect();
        let mut settings = Settings::new("https://api.example.com", "UTC");
        settings.row_groups = RowGroups {
            rows: 7,
            ..RowGroups::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let table = Table::open_or_create(folder.path(), settings).unwrap();
        let key = PartitionKey {
            dataset: Dataset::Conversations,
            bot: "r3".into(),
            date: PartitionDate::of(PartitionBy::Day, jiff::civil::date(2023, 10, 1)),
        };
        let staged = table.stage(&key, std::slice::from_ref(&batch), &rows).unwrap();
        table.publish(&key, &staged.entry).unwrap();

        let mut row = 0;
        for read in table.rows(&key).unwrap() {
            assert_eq!(read.columns(), batch.slice(row, read.num_rows()).columns());
            row += read.num_rows();
        }
        assert_eq!(row, 100);
        let plain = DataFile::open(&folder.path().join(&staged.entry.path)).unwrap();
        let rows: usize = plain
            .batches(None)
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .sum();
        assert_eq!(rows, 100);
    }
}
