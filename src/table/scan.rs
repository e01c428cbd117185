//! Reads one data file in order to prove it: all its bytes, its footer, its rows batch by batch.

use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use sha2::{Digest, Sha256};

use super::encoder::file_schema;
use super::file::Hashing;
use super::partition::PartitionKey;
use super::properties;
use crate::dataset::Shape;
use crate::error::{Error, Result};
use crate::words::hex;

/// Rows of a batch: what bounds the memory of a scan.
const BATCH_ROWS: usize = 8192;

/// A data file whose bytes were all read.
#[derive(Debug)]
pub(crate) struct Scan {
    path: PathBuf,
    file: File,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its SHA-256, in hex.
    pub(crate) sha256: String,
}

impl Scan {
    /// Reads all bytes of a file.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let mut read = Hashing {
            inner: io::sink(),
            sha256: Sha256::new(),
            bytes: 0,
            failed: None,
        };
        io::copy(&mut io::BufReader::with_capacity(1 << 18, &file), &mut read)
            .and_then(|_| file.rewind())
            .map_err(Error::io("read", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes: read.bytes,
            sha256: hex(&read.sha256.finalize()),
        })
    }

    /// Reads the footer.
    ///
    /// # Errors
    /// Where it cannot be read as Parquet.
    pub(crate) fn footer(self) -> Result<Footer> {
        let metadata = ArrowReaderMetadata::load(&self.file, ArrowReaderOptions::new());
        Ok(Footer {
            metadata: metadata.map_err(Error::parquet("read", &self.path))?,
            path: self.path,
            file: self.file,
        })
    }
}

/// What a file's footer says, and the way to its rows.
pub(crate) struct Footer {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl Footer {
    /// Opens a file for its rows alone.
    ///
    /// # Errors
    /// Where it cannot be read as Parquet.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let scan = Scan {
            path: path.to_owned(),
            file,
            bytes: 0,
            sha256: String::new(),
        };
        scan.footer()
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of rows that it tells.
    pub(crate) fn rows(&self) -> u64 {
        let rows = self.metadata.metadata().file_metadata().num_rows();
        rows.try_into().unwrap_or(0)
    }

    /// Whether the columns have these names and types.
    pub(super) fn has_columns(&self, schema: &Schema) -> bool {
        let (found, expected) = (self.metadata.schema().fields(), schema.fields());
        let same =
            |(a, b): (&Arc<Field>, &Arc<Field>)| a.name() == b.name() && a.data_type() == b.data_type();
        found.len() == expected.len() && found.iter().zip(expected).all(same)
    }

    /// Whether the columns are exactly the dataset's in a table of this form, as Arrow and as Parquet.
    pub(crate) fn has_schema_of(&self, key: &PartitionKey, shape: &Shape) -> bool {
        file_schema(&shape.schema(key.dataset)).is_ok_and(|(schema, parquet)| {
            let found = self.metadata.parquet_schema().root_schema().get_fields();
            parquet.root_schema().get_fields() == found && self.metadata.schema().fields() == schema.fields()
        })
    }

    /// What the file says of itself under this name.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let labels = self.metadata.metadata().file_metadata().key_value_metadata()?;
        labels.iter().find(|label| label.key == name)?.value.as_deref()
    }

    /// A sentence for each thing that the file says of itself and that does not fit its partition.
    pub(crate) fn differing_labels(&self, key: &PartitionKey, shape: &Shape) -> Vec<String> {
        let labels = self.metadata.metadata().file_metadata().key_value_metadata();
        let value = |name: &str| labels?.iter().find(|label| label.key == name)?.value.as_deref();
        properties::labels(key, shape)
            .into_iter()
            .filter_map(|(name, expected)| match value(&name) {
                Some(found) if found == expected => None,
                Some(found) => Some(format!("its label {name} is {found:?} instead of {expected:?}")),
                None => Some(format!("its label {name} is missing")),
            })
            .collect()
    }

    /// Its rows in order, of these columns, or of all.
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
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_batch_size(BATCH_ROWS)
            .with_projection(mask)
            .build()
            .map_err(&failed)?;
        Ok(reader.map(move |batch| batch.map_err(ParquetError::from).map_err(&failed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, decode};
    use crate::table::merge::RowRef;
    use crate::table::{PartitionBy, Period, RowGroups, Settings, Table};

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
        let table = Table::open(folder.path(), settings).unwrap();
        let key = PartitionKey {
            dataset: Dataset::Conversations,
            bot: "r3".into(),
            period: Period::of(PartitionBy::Day, jiff::civil::date(2023, 10, 1)),
        };
        let staged = table.stage(&key, std::slice::from_ref(&batch), &rows).unwrap();
        table.publish(&key, &staged.entry).unwrap();

        let mut row = 0;
        for read in table.rows(&key).unwrap() {
            assert_eq!(read.columns(), batch.slice(row, read.num_rows()).columns());
            row += read.num_rows();
        }
        assert_eq!(row, 100);
        let plain = Footer::open(&folder.path().join(&staged.entry.path)).unwrap();
        let rows: usize = plain
            .batches(None)
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .sum();
        assert_eq!(rows, 100);
    }
}
