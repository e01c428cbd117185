//! Encodes rows as Parquet, each column on a core of its own.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::LogicalType;
use parquet::errors::Result;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{SchemaDescriptor, Type};
use rayon::prelude::*;

use super::column::Column;
use super::settings::RowGroups;
use super::sizes::Sizes;

use crate::dataset::is_json;

/// A Parquet file that grows by row groups. The same rows give the same bytes, however they are given and whatever the
/// number of cores.
pub(super) struct Encoder<W: Write + Send> {
    file: SerializedFileWriter<W>,
    properties: WriterPropertiesPtr,
    limit: RowGroups,
    group: Option<RowGroup>,
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
    columns: Vec<Column>,
    rows: usize,
    /// What they take in the memory of a reader.
    bytes: usize,
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
        let properties = Arc::new(properties);
        let file = SerializedFileWriter::new(output, parquet.root_schema_ptr(), properties.clone())?;
        Ok(Self {
            file,
            properties,
            limit,
            group: None,
        })
    }

    /// Appends the rows of `batches` at these places, each a batch and a row.
    pub(super) fn append(&mut self, batches: &[&RecordBatch], places: &[(usize, usize)]) -> Result<()> {
        let sizes: Vec<Sizes<'_>> = batches.iter().map(|batch| Sizes::of(batch)).collect();
        let mut places = places;
        while !places.is_empty() {
            let group = match self.group.take() {
                Some(group) => group,
                None => RowGroup::new(&self.file, &self.properties)?,
            };
            let group = self.group.insert(group);
            let mut fits = 0;
            for (batch, row) in places {
                if group.rows >= self.limit.rows || group.bytes >= self.limit.bytes {
                    break;
                }
                group.rows += 1;
                group.bytes += sizes[*batch].row(*row);
                fits += 1;
            }
            let (now, later) = places.split_at(fits);
            group.append(batches, now)?;
            places = later;
            if !later.is_empty() {
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
        let columns = group.columns.into_par_iter().map(Column::close);
        let mut written = self.file.next_row_group()?;
        for (chunk, close) in columns.collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            written.append_column(&chunk, close)?;
        }
        written.close()?;
        Ok(())
    }
}

impl RowGroup {
    fn new<W: Write + Send>(file: &SerializedFileWriter<W>, properties: &WriterProperties) -> Result<Self> {
        let schema = file.schema_descr();
        let leaves = |column| {
            let is_of = |leaf: &usize| schema.get_column_root_idx(*leaf) == column;
            let leaves = (0..schema.num_columns()).filter(is_of);
            leaves.map(|leaf| schema.column(leaf)).collect::<Vec<_>>()
        };
        let columns = 0..schema.root_schema().get_fields().len();
        let columns = columns.map(|column| Column::new(&leaves(column), properties));
        Ok(Self {
            columns: columns.collect::<Result<_>>()?,
            rows: 0,
            bytes: 0,
        })
    }

    fn append(&mut self, batches: &[&RecordBatch], places: &[(usize, usize)]) -> Result<()> {
        let columns = self.columns.par_iter_mut().enumerate();
        columns.try_for_each(|(place, column)| {
            let arrays: Vec<&dyn Array> = batches.iter().map(|batch| &**batch.column(place)).collect();
            column.append(&arrays, places)
        })
    }
}
