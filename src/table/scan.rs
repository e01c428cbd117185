//! The rows of a table as record batches, with the columns and partitions that are wanted.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch, RecordBatchIterator, RecordBatchReader,
    StringArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use jiff::Timestamp;
use jiff::civil::Date;

use super::{Entry, PartitionBy, PartitionKey, Table};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::window::Window;

const EPOCH: Date = Date::constant(1970, 1, 1);
/// The column of the bot, which in the files is part of the path.
const BOT: &str = "bot";

/// A partition of a table, and its data file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partition {
    /// Dataset, bot, and day or month.
    pub key: PartitionKey,
    /// The file, relative to the folder of the table.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// Time of the first row that has one.
    pub first: Option<Timestamp>,
    /// Time of the last row that has one.
    pub last: Option<Timestamp>,
}

impl Partition {
    pub(crate) fn new(key: PartitionKey, entry: Entry) -> Self {
        Self {
            key,
            path: entry.path,
            rows: entry.rows,
            bytes: entry.bytes,
            sha256: entry.sha256,
            first: entry.first,
            last: entry.last,
        }
    }
}

/// What to read of a dataset: bots, range, columns.
#[derive(Clone, Debug)]
pub struct Scan {
    table: Table,
    dataset: Dataset,
    bots: Option<Vec<String>>,
    range: Option<Window>,
    columns: Option<Vec<String>>,
}

impl Table {
    /// The partitions, ordered by dataset, bot and date.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn partitions(&self) -> Result<Vec<Partition>> {
        let entries = self.manifest()?.into_entries(&self.out)?.into_iter();
        Ok(entries.map(|(key, entry)| Partition::new(key, entry)).collect())
    }

    /// A scan of all rows of a dataset.
    #[must_use]
    pub fn scan(&self, dataset: Dataset) -> Scan {
        Scan {
            table: self.clone(),
            dataset,
            bots: None,
            range: None,
            columns: None,
        }
    }
}

impl Scan {
    /// Only these bots.
    #[must_use]
    pub fn bots<B: Into<String>>(mut self, bots: impl IntoIterator<Item = B>) -> Self {
        self.bots = Some(bots.into_iter().map(Into::into).collect());
        self
    }

    /// Only rows with a time in this half-open range of Unix seconds: `start_time` of conversations, `time` of messages.
    #[must_use]
    pub fn range(mut self, range: Window) -> Self {
        self.range = Some(range);
        self
    }

    /// Only these columns, in this order.
    #[must_use]
    pub fn columns<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// The schema of the batches: the columns of the data files, then `bot` (text) and `date` (a date) or `month` (text
    /// such as `2023-10`), which are null in rows without a time.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no column of a requested name.
    pub fn schema(&self) -> Result<SchemaRef> {
        let all = self.all_columns();
        let Some(columns) = &self.columns else {
            return Ok(all);
        };
        let places = columns.iter().map(|column| {
            all.index_of(column).map_err(|_| Error::Usage {
                what: format!("there is no column {column} in {}", self.dataset),
                hint: format!("the columns are {}", names(&all)),
            })
        });
        Ok(Arc::new(all.project(&places.collect::<Result<Vec<_>>>()?)?))
    }

    /// The rows, partition by partition in the order of [`Table::partitions`], and in a partition by time, then id.
    /// A batch has at most 8,192 rows, and about 4 MiB unless one row has more. A run may replace partitions meanwhile: of
    /// each partition the reader sees one complete version.
    ///
    /// # Errors
    /// As [`Scan::schema`], and if the manifest cannot be read. The reader returns errors of data files.
    pub fn reader(&self) -> Result<Box<dyn RecordBatchReader + Send>> {
        let schema = self.schema()?;
        let mut partitions = self.table.manifest()?.into_entries(&self.table.out)?;
        partitions.retain(|key, entry| self.is_wanted(key, entry));
        let scan = self.clone();
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let batches = partitions.into_iter().flat_map(move |(key, entry)| {
            let (batches, error) = match scan.batches(&key, &entry, &names) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            batches.into_iter().flatten().chain(error)
        });
        let batches = batches.map(|batch| batch.map_err(external));
        Ok(Box::new(RecordBatchIterator::new(batches, schema)))
    }

    /// The rows of one partition, with all columns.
    pub(crate) fn partition_reader(
        &self,
        key: &PartitionKey,
        entry: &Entry,
    ) -> Result<impl RecordBatchReader + use<>> {
        let schema = self.schema()?;
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let batches = self.batches(key, entry, &names)?;
        Ok(RecordBatchIterator::new(
            batches.map(|batch| batch.map_err(external)),
            schema,
        ))
    }

    /// The columns of the files, and those of the folders.
    fn all_columns(&self) -> SchemaRef {
        let by = self.table.settings.partition_by;
        let date = match by {
            PartitionBy::Day => DataType::Date32,
            PartitionBy::Month => DataType::Utf8,
        };
        let folders = [
            Field::new(BOT, DataType::Utf8, false),
            Field::new(by.key(), date, true),
        ];
        let schema = self.table.table_options().schema(self.dataset);
        let columns = schema.fields().iter().cloned().chain(folders.map(Arc::new));
        Arc::new(Schema::new(columns.collect::<Vec<_>>()))
    }

    fn is_wanted(&self, key: &PartitionKey, entry: &Entry) -> bool {
        let meets = |range: Window| {
            let seconds =
                |time: Option<Timestamp>| time.map(|time| time.as_microsecond().div_euclid(1_000_000));
            let (first, last) = (seconds(entry.first), seconds(entry.last));
            first.is_some_and(|first| first < range.end) && last.is_some_and(|last| last >= range.start)
        };
        key.dataset == self.dataset
            && self.bots.as_ref().is_none_or(|bots| bots.contains(&key.bot))
            && self.range.is_none_or(meets)
    }

    /// The batches of a partition with columns of these names.
    fn batches(
        &self,
        key: &PartitionKey,
        entry: &Entry,
        names: &[String],
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let file = self.table.open_current(key, entry)?;
        let stored = self.table.table_options().schema(self.dataset);
        let time = self.dataset.time_column();
        let mut wanted: Vec<usize> = names
            .iter()
            .filter_map(|name| stored.index_of(name).ok())
            .collect();
        // there is no batch without columns, and the range needs the time
        wanted.push(time);
        wanted.sort_unstable();
        wanted.dedup();
        let batches = file.map(|file| file.batches(Some(&wanted))).transpose()?;
        let (scan, key, names) = (self.clone(), key.clone(), names.to_vec());
        let complete = move |batch: Result<RecordBatch>| scan.complete(&key, batch?, &names);
        Ok(batches.into_iter().flatten().map(complete))
    }

    /// A batch with columns of these names, of the rows in the range.
    fn complete(&self, key: &PartitionKey, batch: RecordBatch, names: &[String]) -> Result<RecordBatch> {
        let stored = self.table.table_options().schema(self.dataset);
        let batch = match self.range {
            Some(range) => {
                let time = batch.column(
                    batch
                        .schema()
                        .index_of(stored.field(self.dataset.time_column()).name())?,
                );
                let times = time.as_primitive::<TimestampMicrosecondType>();
                let inside = times
                    .iter()
                    .map(|time| time.is_some_and(|time| range.contains(time.div_euclid(1_000_000))));
                let inside: Vec<bool> = inside.collect();
                filter_record_batch(&batch, &BooleanArray::from(inside))?
            }
            None => batch,
        };
        let all = self.all_columns();
        let rows = batch.num_rows();
        let columns = names.iter().map(|name| -> Result<(Arc<Field>, ArrayRef)> {
            let field = Arc::clone(&all.fields()[all.index_of(name)?]);
            let column: ArrayRef = if let Some(column) = batch.column_by_name(name) {
                Arc::clone(column)
            } else if name == BOT {
                Arc::new(StringArray::from(vec![key.bot.as_str(); rows]))
            } else {
                date_column(key, rows)
            };
            Ok((field, column))
        });
        let (fields, columns): (Vec<_>, Vec<_>) = columns.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

fn external(error: Error) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

/// The day or month of a partition, once for each row.
fn date_column(key: &PartitionKey, rows: usize) -> ArrayRef {
    let first = key.date.first();
    match key.date.by() {
        PartitionBy::Day => {
            let days = first.map(|date| (date - EPOCH).get_days());
            Arc::new(Date32Array::from(vec![days; rows]))
        }
        PartitionBy::Month => {
            let month = first.map(|_| key.date.to_string());
            Arc::new(StringArray::from(vec![month; rows]))
        }
    }
}

fn names(schema: &Schema) -> String {
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    names.join(", ")
}
