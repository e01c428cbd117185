//! Encodes rows as Parquet, each column on a core of its own.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{concat, interleave};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::LogicalType;
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{SchemaDescriptor, Type};
use rayon::prelude::*;

use super::settings::RowGroups;

use crate::dataset::is_json;

/// Rows that are appended before it is known how much memory they take.
const FIRST_ROWS: usize = 128;
/// Runs of rows on average so long are copied each as a whole.
const LEAST_RUN: usize = 16;

/// A Parquet file that grows by row groups. The same rows, given in the same portions, give the same bytes,
/// whatever the number of cores.
pub(super) struct Encoder<W: Write + Send> {
    schema: SchemaRef,
    file: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    limit: RowGroups,
    group: Option<RowGroup>,
    /// Rows of the groups before it, and the bytes that they take in the memory of a reader.
    before: (usize, usize),
}

/// What a file says of its columns, as Arrow and as Parquet. Text that is JSON is marked so in Parquet alone: of Arrow's
/// mark polars makes a type of its own, which none of its functions takes.
pub(super) fn file_schema(schema: &Schema) -> Result<(SchemaRef, SchemaDescriptor)> {
    let plain = |field: &Arc<Field>| match is_json(field) {
        true => field.as_ref().clone().with_metadata(HashMap::new()),
        false => field.as_ref().clone(),
    };
    let arrow = Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>());
    let parquet = ArrowSchemaConverter::new().convert(&arrow)?;
    let root = parquet.root_schema();
    let marked = |(field, column): (&Arc<Field>, &Arc<Type>)| match is_json(field) {
        true => Type::primitive_type_builder(column.name(), column.get_physical_type())
            .with_repetition(column.get_basic_info().repetition())
            .with_logical_type(Some(LogicalType::Json))
            .build()
            .map(Arc::new),
        false => Ok(Arc::clone(column)),
    };
    let columns = schema.fields().iter().zip(root.get_fields()).map(marked);
    let root = Type::group_type_builder(root.name())
        .with_fields(columns.collect::<Result<_>>()?)
        .build()?;
    Ok((Arc::new(arrow), SchemaDescriptor::new(Arc::new(root))))
}

/// A row group that is not written yet.
struct RowGroup {
    /// The writers of each column: several where it is nested.
    columns: Vec<Vec<ArrowColumnWriter>>,
    rows: usize,
    /// What they take in the memory of a reader.
    bytes: usize,
    limit: RowGroups,
}

impl<W: Write + Send> Encoder<W> {
    pub(super) fn new(
        output: W,
        schema: &Schema,
        properties: WriterProperties,
        limit: RowGroups,
    ) -> Result<Self> {
        let (schema, parquet) = file_schema(schema)?;
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_parquet_schema(parquet);
        let writer = ArrowWriter::try_new_with_options(output, schema.clone(), options)?;
        let (file, factory) = writer.into_serialized_writer()?;
        Ok(Self {
            schema,
            file,
            factory,
            limit,
            group: None,
            before: (0, 0),
        })
    }

    /// Appends the rows of `batches` at these places, each a batch and a row.
    pub(super) fn append(&mut self, batches: &[&RecordBatch], places: &[(usize, usize)]) -> Result<()> {
        let mut places = places;
        while !places.is_empty() {
            let group = match self.group.take() {
                Some(group) => group,
                None => RowGroup::new(&self.file, &self.factory, self.limit)?,
            };
            let group = self.group.insert(group);
            let room = group.room(self.before);
            let (now, later) = places.split_at(room.min(places.len()));
            group.append(&self.schema, batches, now)?;
            places = later;
            if group.is_full() {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Ends the file. The output is not flushed.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.end_group()?;
        self.file.finish()?;
        Ok(())
    }

    pub(super) fn output(&self) -> &W {
        self.file.inner()
    }

    pub(super) fn output_mut(&mut self) -> &mut W {
        self.file.inner_mut()
    }

    fn end_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        self.before = (self.before.0 + group.rows, self.before.1 + group.bytes);
        let chunks = group
            .columns
            .into_par_iter()
            .flatten()
            .map(ArrowColumnWriter::close)
            .collect::<Result<Vec<ArrowColumnChunk>>>()?;
        let mut written = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut written)?;
        }
        written.close()?;
        Ok(())
    }
}

impl RowGroup {
    fn new<W: Write + Send>(
        file: &SerializedFileWriter<W>,
        factory: &ArrowRowGroupWriterFactory,
        limit: RowGroups,
    ) -> Result<Self> {
        let mut columns = Vec::new();
        let leaves = factory.create_column_writers(file.flushed_row_groups().len())?;
        for (leaf, writer) in leaves.into_iter().enumerate() {
            let column = file.schema_descr().get_column_root_idx(leaf);
            columns.resize_with(column + 1, Vec::new);
            columns[column].push(writer);
        }
        Ok(Self {
            columns,
            rows: 0,
            bytes: 0,
            limit,
        })
    }

    fn append(
        &mut self,
        schema: &SchemaRef,
        batches: &[&RecordBatch],
        places: &[(usize, usize)],
    ) -> Result<()> {
        self.rows += places.len();
        let columns = self.columns.par_iter_mut().enumerate();
        let bytes = columns.map(|(column, writers)| {
            let arrays: Vec<&dyn Array> = batches.iter().map(|batch| &**batch.column(column)).collect();
            let gathered = gather(&arrays, places)?;
            let leaves = compute_leaves(schema.field(column), &gathered)?;
            let leaves = leaves.par_iter().zip(writers);
            leaves.try_for_each(|(leaf, writer)| writer.write(leaf))?;
            Ok(decoded_bytes(&*gathered))
        });
        self.bytes += bytes.sum::<Result<usize>>()?;
        Ok(())
    }

    /// Rows that may still come, judged by those that are there and those of the groups before it; one at least.
    fn room(&self, before: (usize, usize)) -> usize {
        let (rows, bytes) = (self.rows + before.0, self.bytes + before.1);
        let left = self.limit.bytes.saturating_sub(self.bytes);
        let fitting = (left * rows).checked_div(bytes).unwrap_or(FIRST_ROWS);
        let rows = self.limit.rows.saturating_sub(self.rows);
        fitting.clamp(1, rows.max(1))
    }

    fn is_full(&self) -> bool {
        self.rows >= self.limit.rows || self.bytes >= self.limit.bytes
    }
}

/// What the values of an array take in memory, but for which of them are null: the same for the same values, however
/// they came to be in one array.
fn decoded_bytes(array: &dyn Array) -> usize {
    // offsets only grow, from 0 or more
    let between = |offsets: &[i32]| {
        let [first, last] =
            [offsets.first(), offsets.last()].map(|offset| offset.map_or(0, |at| at.unsigned_abs() as usize));
        (first, last - first)
    };
    let ends = array.len() * size_of::<i32>();
    match array.data_type() {
        DataType::Utf8 => ends + between(array.as_string::<i32>().value_offsets()).1,
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (first, count) = between(list.value_offsets());
            ends + decoded_bytes(&*list.values().slice(first, count))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let (first, count) = between(map.value_offsets());
            let part = |values: &ArrayRef| decoded_bytes(&*values.slice(first, count));
            ends + part(map.keys()) + part(map.values())
        }
        other => array.len() * other.primitive_width().unwrap_or(1),
    }
}

/// The values at these places, each an array and a place in it.
fn gather(arrays: &[&dyn Array], places: &[(usize, usize)]) -> Result<ArrayRef> {
    // rows that stand one behind the other are copied together: pages mostly come in order
    let follows = |a: &(usize, usize), b: &(usize, usize)| (a.0, a.1 + 1) == *b;
    let runs = places.chunk_by(follows);
    if runs.clone().count() > places.len() / LEAST_RUN {
        return Ok(interleave(arrays, places)?);
    }
    let runs = runs.map(|run| arrays[run[0].0].slice(run[0].1, run.len()));
    let runs: Vec<ArrayRef> = runs.collect();
    match &runs[..] {
        [one] => Ok(one.clone()),
        runs => {
            let runs: Vec<&dyn Array> = runs.iter().map(|run| &**run).collect();
            Ok(concat(&runs)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, decode};

    #[test]
    fn rows_take_as_much_however_they_were_cut() {
        let page = r#"{"data":[
            {"_id":"1","metadata":{"a":"xy"},"startTime":1},
            {"_id":"22","tags":["a",null],"locale":"en"},
            {"_id":"3","metadata":{"k":null},"more":[1]}
        ],"cursor":null}"#;
        let batch = decode(Dataset::Conversations, page.as_bytes()).unwrap().batch;
        for column in batch.columns() {
            let whole = decoded_bytes(column);
            let parts: usize = (0..3).map(|row| decoded_bytes(&*column.slice(row, 1))).sum();
            assert_eq!(whole, parts);
            let again = interleave(&[&**column, &*column.slice(1, 2)], &[(0, 0), (1, 0), (1, 1)]).unwrap();
            assert_eq!(whole, decoded_bytes(&*again));
        }
        let held: Vec<usize> = batch
            .columns()
            .iter()
            .map(|column| decoded_bytes(column))
            .collect();
        // ends of rows and entries, and their text
        assert_eq!(
            held,
            [12 + 4, 24, 24, 12 + 2, 12 + 8 + 1, 12 + 16 + 4, 12 + 8 + 7]
        );
    }
}
