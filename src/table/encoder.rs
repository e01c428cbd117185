//! Encodes rows as Parquet by the column writers of the parquet crate.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_array};
use arrow::compute::{concat, interleave};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{BoundaryOrder, LogicalType};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{SchemaDescriptor, Type};

use super::settings::RowGroups;
use crate::dataset::is_json;

/// Maximum rows and bytes that are encoded at a time. Column writers end pages depending on the arrays that they get,
/// so the arrays must not depend on how rows are passed in.
const CHUNK: RowGroups = RowGroups {
    rows: 2048,
    bytes: 4 * 1024 * 1024,
};
/// Maximum bytes of a bound in a footer. The parquet crate truncates bounds to this length if it can.
const BOUND_BYTES: usize = 64;

/// Writes a Parquet file row group by row group. The same rows give the same bytes, however they are passed in.
pub(super) struct Encoder<W: Write + Send> {
    file: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    limit: RowGroups,
    /// A writer for each leaf column of the current row group.
    writers: Vec<ArrowColumnWriter>,
    /// Size of the current row group, including the chunk.
    group: Size,
    /// Rows that are not encoded yet: arrays of each column.
    chunk: Vec<Vec<ArrayRef>>,
    chunk_size: Size,
}

/// Number and size of rows.
#[derive(Clone, Copy, Default)]
struct Size {
    rows: usize,
    /// Bytes in a reader's memory, without null bitmaps.
    bytes: usize,
}

impl Size {
    fn add_row(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }

    fn reaches(self, limit: RowGroups) -> bool {
        self.rows >= limit.rows || self.bytes >= limit.bytes
    }
}

/// Returns the schema of a file, as Arrow and as Parquet. JSON text is marked in the Parquet schema only: polars
/// reads Arrow's mark as an extension type that its functions do not support.
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

impl<W: Write + Send> Encoder<W> {
    pub(super) fn new(
        output: W,
        schema: &Schema,
        mut properties: WriterProperties,
        limit: RowGroups,
    ) -> Result<Self> {
        let (schema, parquet) = file_schema(schema)?;
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let file = SerializedFileWriter::new(output, parquet.root_schema_ptr(), Arc::new(properties))?;
        Ok(Self {
            factory: ArrowRowGroupWriterFactory::new(&file, schema.clone()),
            file,
            limit,
            writers: Vec::new(),
            group: Size::default(),
            chunk: vec![Vec::new(); schema.fields().len()],
            chunk_size: Size::default(),
            schema,
        })
    }

    /// Appends rows of `batches`. Each place is the index of a batch and of a row in it.
    pub(super) fn append(&mut self, batches: &[RecordBatch], places: &[(usize, usize)]) -> Result<()> {
        let mut places = places;
        while !places.is_empty() {
            let mut count = 0;
            while count < places.len() && !self.is_chunk_full() {
                let (batch, row) = places[count];
                let columns = batches[batch].columns().iter();
                let bytes = columns.map(|column| bytes(column, row..row + 1)).sum();
                self.group.add_row(bytes);
                self.chunk_size.add_row(bytes);
                count += 1;
            }
            let (now, later) = places.split_at(count);
            for (column, arrays) in self.chunk.iter_mut().enumerate() {
                let sources: Vec<&dyn Array> = batches.iter().map(|batch| &**batch.column(column)).collect();
                arrays.push(interleave(&sources, now)?);
            }
            places = later;
            if self.is_chunk_full() {
                self.encode_chunk()?;
            }
            if self.group.reaches(self.limit) {
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

    fn is_chunk_full(&self) -> bool {
        self.chunk_size.reaches(CHUNK) || self.group.reaches(self.limit)
    }

    fn encode_chunk(&mut self) -> Result<()> {
        if std::mem::take(&mut self.chunk_size).rows == 0 {
            return Ok(());
        }
        if self.writers.is_empty() {
            let group = self.file.flushed_row_groups().len();
            self.writers = self.factory.create_column_writers(group)?;
        }
        let mut writers = self.writers.iter_mut();
        for (field, arrays) in self.schema.fields().iter().zip(&mut self.chunk) {
            let arrays = std::mem::take(arrays);
            let arrays: Vec<&dyn Array> = arrays.iter().map(|array| &**array).collect();
            // `ArrayData` has no null bitmap if nothing is null; a bitmap would also change where pages end
            let array = make_array(concat(&arrays)?.to_data());
            for (leaf, writer) in compute_leaves(field, &array)?.iter().zip(writers.by_ref()) {
                writer.write(leaf)?;
            }
        }
        Ok(())
    }

    /// Writes the row group, if it has rows.
    fn end_group(&mut self) -> Result<()> {
        self.encode_chunk()?;
        if std::mem::take(&mut self.group).rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for writer in std::mem::take(&mut self.writers) {
            let mut chunk = writer.close()?;
            remove_wrong_bounds(chunk.close_mut())?;
            chunk.append_to_row_group(&mut group)?;
        }
        group.close()?;
        Ok(())
    }
}

/// Size of values in memory, without null bitmaps. The same values have the same size in any array.
fn bytes(array: &dyn Array, range: Range<usize>) -> usize {
    let ends = range.len() * size_of::<i32>();
    let between = |offsets: &[i32]| {
        let [start, end] = [range.start, range.end].map(|place| offsets[place].unsigned_abs() as usize);
        start..end
    };
    match array.data_type() {
        DataType::Utf8 => ends + between(array.as_string::<i32>().value_offsets()).len(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            ends + bytes(list.values(), between(list.value_offsets()))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let entries = between(map.value_offsets());
            ends + bytes(map.keys(), entries.clone()) + bytes(map.values(), entries)
        }
        other => range.len() * other.primitive_width().unwrap_or(1),
    }
}

/// Removes bounds that readers must not use, or that make a footer large. The parquet crate
/// - orders page bounds before it truncates them, and declares that order for the truncated ones,
/// - writes a bound in full if no shorter text is as great,
/// - truncates JSON text within a character,
/// - takes a page with as many nulls as rows for a page without values, which is wrong in lists and maps.
fn remove_wrong_bounds(close: &mut ColumnCloseResult) -> Result<()> {
    let is_repeated = close.metadata.column_descr().max_rep_level() > 0;
    close.column_index = close
        .column_index
        .take()
        .filter(|index| !is_repeated && is_sound(index));
    if let Some(Statistics::ByteArray(bounds)) = close.metadata.statistics() {
        let is_good = |bound: Option<&[u8]>| bound.is_none_or(is_bound);
        if !is_good(bounds.min_bytes_opt()) || !is_good(bounds.max_bytes_opt()) {
            let none = Statistics::byte_array(None, None, None, bounds.null_count_opt(), false);
            let metadata = close.metadata.clone().into_builder();
            close.metadata = metadata.set_statistics(none).build()?;
        }
    }
    Ok(())
}

fn is_bound(bound: &[u8]) -> bool {
    bound.len() <= BOUND_BYTES && std::str::from_utf8(bound).is_ok()
}

/// Whether all page bounds are valid in the order that the index declares.
fn is_sound(index: &ColumnIndexMetaData) -> bool {
    let ColumnIndexMetaData::BYTE_ARRAY(texts) = index else {
        return true;
    };
    let pages = 0..usize::try_from(index.num_pages()).unwrap_or_default();
    let bounds: Vec<_> = pages
        .filter_map(|page| Some([texts.min_value(page)?, texts.max_value(page)?]))
        .collect();
    let ordered = |is_ordered: fn(&[u8], &[u8]) -> bool| {
        let mut pairs = bounds.windows(2);
        pairs.all(|pair| is_ordered(pair[0][0], pair[1][0]) && is_ordered(pair[0][1], pair[1][1]))
    };
    let follows = match index.get_boundary_order() {
        Some(BoundaryOrder::ASCENDING) => ordered(|one, next| one <= next),
        Some(BoundaryOrder::DESCENDING) => ordered(|one, next| one >= next),
        _ => true,
    };
    follows && bounds.iter().flatten().all(|bound| is_bound(bound))
}
