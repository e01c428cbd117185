//! Decodes the records of a page into a record batch.

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeFrom;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondBuilder};

use super::arrays::{Lists, Maps, Strings};
use super::column::{Column, Kind};
use super::compact::Writer;
use super::json::{Raw, Type, Walk};
use super::key_table::{KeyId, KeyTable, KeyValue, PerKey};
use super::observed::{METADATA, ObservedKeys};
use super::page::{Next, Page, PageError};
use super::promote::TypeMismatch;
use super::surrogates::distinct_keys;
use super::table_options::{MetadataMode, TableOptions};
use super::time::parse_time;
use super::{Dataset, PrivacyFilter, page};

/// The records of one page. Each of them is in either `batch` or `rejected`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decoded {
    /// The rows, in the page's order, with the requested schema.
    pub batch: RecordBatch,
    /// The records that cannot become rows.
    pub rejected: Vec<Rejected>,
    /// The values that do not fit their promoted columns, row by row.
    pub mismatches: Vec<TypeMismatch>,
    /// The keys of the rows, before privacy rules are applied.
    pub observed: ObservedKeys,
    /// The cursor of the next page.
    pub cursor: Next,
}

/// A record that cannot become a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// Index among all records of the page, from 0.
    pub index: usize,
    /// The reason.
    pub reason: Reason,
    /// The JSON text as received.
    pub raw: String,
}

/// Why a record cannot become a row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// It is not a JSON object.
    NotAnObject,
    /// Its `_id` is missing, neither a string nor a number, empty, or contains lone surrogates or bytes that are not
    /// UTF-8.
    NoId,
}

impl Reason {
    /// Returns the reason as a short text. It is the same in all versions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAnObject => "not an object",
            Self::NoId => "no usable _id",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Decodes the body of a response. Bytes that are not UTF-8, and lone surrogates, are read as U+FFFD. Keys of an
/// object that become equal by this get the codes of their surrogates appended. An `_id` with one is invalid.
pub fn decode(dataset: Dataset, body: &[u8]) -> Result<Decoded, PageError> {
    decode_as(dataset, &TableOptions::default(), None, body)
}

/// Decodes the body of a response into the columns of a table, and applies its privacy rules.
pub fn decode_as(
    dataset: Dataset,
    table_options: &TableOptions,
    privacy_filter: Option<&PrivacyFilter>,
    body: &[u8],
) -> Result<Decoded, PageError> {
    let body = page::text(body)?;
    let page = records(dataset, table_options, &body)?;
    let (rows, rejected, _) = page.records;
    let distinct = (page.lone_surrogates > 0).then(|| distinct_keys(&body)).flatten();
    let (mut columns, mut observed) = match &distinct {
        Some(body) => records(dataset, table_options, body)?.records.0.finish(),
        None => rows.finish(),
    };
    observed.replaced_characters = page.lone_surrogates;
    if let Some(privacy_filter) = privacy_filter {
        columns = privacy_filter.apply(dataset, columns);
        privacy_filter.seen(&mut observed);
    }
    let (batch, mismatches) = table_options.complete(dataset, columns);
    Ok(Decoded {
        batch,
        rejected,
        mismatches,
        observed,
        cursor: page.cursor,
    })
}

/// The rows of a page, the rejected records, and the indices of the following records.
type Records<'a> = (Rows<'a>, Vec<Rejected>, RangeFrom<usize>);

fn records<'a>(
    dataset: Dataset,
    table_options: &TableOptions,
    body: &'a str,
) -> Result<Page<Records<'a>>, PageError> {
    let new = || (Rows::new(dataset, table_options.metadata), Vec::new(), 0..);
    page::read(body, new, |(rows, rejected, places), walk| {
        let (start, index) = (walk.position(), places.next().unwrap_or(usize::MAX));
        if let Err(reason) = rows.push(walk) {
            let raw = walk.since(start).to_owned();
            rejected.push(Rejected { index, reason, raw });
        }
    })
}

/// The rows so far, and the current record.
struct Rows<'a> {
    columns: Vec<RowsBuilder<'a>>,
    /// The keys of the records, and their columns.
    fields: KeyTable<'a>,
    column_of: PerKey<usize>,
    /// Fields of the record without a column, or with a value that does not fit.
    others: Vec<KeyValue<'a>>,
    extra: Maps,
    records: u64,
    /// The index of the metadata column and its JSON text, if it is stored in addition to the map.
    texts: Option<(usize, Strings)>,
    writer: Writer,
}

/// Builds a column, and contains the current record's value.
struct RowsBuilder<'a> {
    column: &'static Column,
    array: Array,
    value: Raw<'a>,
    /// The key of the value.
    field: KeyId,
    /// The entries of the value, if it is an object and the column contains objects. They are read in the same pass:
    /// skipping them first would take as long again.
    entries: Vec<KeyValue<'a>>,
    /// The keys of the objects.
    names: KeyTable<'a>,
}

enum Array {
    Strings(Strings),
    /// Objects as JSON text.
    Objects(Strings),
    Times(TimestampMicrosecondBuilder),
    Lists(Lists),
    Maps(Maps),
}

impl<'a> Rows<'a> {
    fn new(dataset: Dataset, metadata: MetadataMode) -> Self {
        let columns = dataset.columns().iter();
        let beside = dataset
            .metadata_column()
            .filter(|_| metadata == MetadataMode::Both);
        Self {
            columns: columns.map(|column| RowsBuilder::new(column, metadata)).collect(),
            fields: KeyTable::default(),
            column_of: PerKey::default(),
            others: Vec::new(),
            extra: Maps::default(),
            records: 0,
            texts: beside.map(|column| (column, Strings::default())),
            writer: Writer::default(),
        }
    }

    /// Appends the row of a record, unless it is rejected.
    fn push(&mut self, walk: &mut Walk<'a>) -> Result<(), Reason> {
        self.read(walk)?;
        for column in &mut self.columns {
            if !column.push(&mut self.writer) {
                let value = match column.column.kind {
                    // different ids with lone surrogates would become equal
                    Kind::Reference if column.value.r#type == Type::Text => column.value.as_written(),
                    _ => column.value,
                };
                self.fields.add(&mut self.others, column.field, value);
            }
        }
        if let Some((column, texts)) = &mut self.texts {
            let value = self.columns[*column].value;
            texts.push(
                if value.is_object() { value } else { Raw::default() },
                &mut self.writer,
            );
        }
        self.observe();
        match self.others.as_slice() {
            [] => self.extra.push_null(),
            others => self.extra.push(others, &self.fields, &mut self.writer),
        }
        Ok(())
    }

    /// Counts the record's keys.
    fn observe(&mut self) {
        self.records += 1;
        self.fields.observe(&self.others);
        for column in &mut self.columns {
            if column.value.is_object() {
                column.names.observe(&column.entries);
            }
        }
    }

    /// Reads the fields of the record.
    fn read(&mut self, walk: &mut Walk<'a>) -> Result<(), Reason> {
        if walk.next() != Some(b'{') {
            walk.value();
            return Err(Reason::NotAnObject);
        }
        walk.open();
        self.others.clear();
        self.columns
            .iter_mut()
            .for_each(|column| column.value = Raw::default());
        self.fields.begin();
        while let Some(name) = self.fields.read(walk) {
            let column = |field: &str| {
                self.columns
                    .iter()
                    .position(|column| column.column.field == field)
            };
            match self.column_of.of(name, &self.fields, column) {
                Some(column) => self.columns[column].read(name, walk),
                None => self.fields.add(&mut self.others, name, walk.raw()),
            }
        }
        let has_id = |column: &RowsBuilder<'_>| column.column.kind != Kind::Id || column.value.is_id();
        if self.columns.iter().all(has_id) {
            Ok(())
        } else {
            Err(Reason::NoId)
        }
    }

    fn finish(self) -> (Vec<ArrayRef>, ObservedKeys) {
        let mut observed = ObservedKeys {
            records: self.records,
            ..ObservedKeys::default()
        };
        for column in &self.columns {
            column.names.observations(METADATA, &mut observed.keys);
        }
        self.fields.observations("", &mut observed.keys);
        let declared: Vec<&str> = self.columns.iter().map(|column| column.column.field).collect();
        let arrays = self.columns.into_iter().map(RowsBuilder::finish);
        let texts = self.texts.map(|(_, texts)| Arc::new(texts.finish()) as ArrayRef);
        let mut arrays: Vec<ArrayRef> = arrays
            .chain([Arc::new(self.extra.finish()) as ArrayRef])
            .collect();
        for (field, array) in declared.into_iter().zip(&arrays) {
            let values = (array.len() - array.null_count()) as u64;
            if values > 0 {
                observed.values.insert(field.to_owned(), values);
            }
        }
        arrays.extend(texts);
        (arrays, observed)
    }
}

impl<'a> RowsBuilder<'a> {
    fn new(column: &'static Column, metadata: MetadataMode) -> Self {
        let array = match column.kind {
            Kind::TextMap if metadata == MetadataMode::Json => Array::Objects(Strings::default()),
            Kind::Id | Kind::Reference | Kind::Text | Kind::Label | Kind::StrictLabel => {
                Array::Strings(Strings::default())
            }
            Kind::Time => Array::Times(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Kind::TextList => Array::Lists(Lists::default()),
            Kind::TextMap => Array::Maps(Maps::default()),
        };
        Self {
            column,
            array,
            value: Raw::default(),
            field: KeyId::default(),
            entries: Vec::new(),
            names: KeyTable::default(),
        }
    }

    /// Reads the value at this key. A later value replaces an earlier one.
    fn read(&mut self, field: KeyId, walk: &mut Walk<'a>) {
        self.field = field;
        let of_objects = matches!(self.array, Array::Maps(_) | Array::Objects(_));
        self.value = match of_objects && walk.next() == Some(b'{') {
            true => self.names.object(walk, &mut self.entries),
            false => walk.raw(),
        };
    }

    /// Appends the value, or null if it does not fit. Returns whether it fits.
    fn push(&mut self, writer: &mut Writer) -> bool {
        let value = self.value;
        let fits = match &mut self.array {
            Array::Strings(strings) => {
                let fits = match self.column.kind {
                    Kind::Id => value.is_id(),
                    Kind::Reference => value.is_reference(),
                    Kind::StrictLabel => value.r#type == Type::Text,
                    _ => true,
                };
                strings.push(if fits { value } else { Raw::default() }, writer);
                fits
            }
            Array::Objects(texts) => {
                let fits = value.is_object();
                texts.push(if fits { value } else { Raw::default() }, writer);
                fits
            }
            Array::Times(times) => {
                let time = parse_time(value.value());
                times.append_option(time);
                time.is_some()
            }
            Array::Lists(lists) => {
                lists.push(value, writer);
                true
            }
            Array::Maps(maps) => {
                let fits = value.is_object();
                if fits {
                    maps.push(&self.entries, &self.names, writer)
                } else {
                    maps.push_null()
                }
                fits
            }
        };
        fits || value.r#type == Type::Null
    }

    fn finish(self) -> ArrayRef {
        match self.array {
            Array::Strings(strings) | Array::Objects(strings) => Arc::new(strings.finish()),
            Array::Times(mut times) => Arc::new(times.finish()),
            Array::Lists(lists) => Arc::new(lists.finish()),
            Array::Maps(maps) => Arc::new(maps.finish()),
        }
    }
}
