//! Declared columns of datasets, and their Arrow types.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, MapArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Name of the last column of each dataset: a map of the fields without a column.
pub(super) const EXTRA: &str = "extra";

/// One declared column of a dataset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Name of the column in the table.
    pub name: &'static str,
    /// The record's field that it is made from.
    pub field: &'static str,
    /// How values of the field are converted.
    pub kind: Kind,
}

/// How a JSON value is converted. A value that does not fit becomes null, and is stored in `extra`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The record's id: a non-empty string, or a number as it is written. Records without an id, or with lone
    /// surrogates in it, are rejected.
    Id,
    /// The id of another record; optional, and possibly empty. An id with lone surrogates does not fit, and is stored
    /// with its escapes in `extra`.
    Reference,
    /// A time, in microseconds since 1970.
    Time,
    /// The text of a string, or the compact JSON of any other value.
    Text,
    /// As [`Kind::Text`], with few distinct values.
    Label,
    /// The text of a string, with few distinct values. Other types do not fit.
    StrictLabel,
    /// A list with elements as in [`Kind::Text`]. Any other value becomes the only element.
    TextList,
    /// An object with values as in [`Kind::Text`]. Other types do not fit.
    TextMap,
}

impl Kind {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Id | Self::Reference | Self::Text | Self::Label | Self::StrictLabel => DataType::Utf8,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::TextList => DataType::List(Arc::new(list_element())),
            Self::TextMap => DataType::Map(Arc::new(map_entry()), false),
        }
    }
}

/// Returns the schema of the columns and `extra`.
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let declared = columns.iter().map(|column| {
        let nullable = column.kind != Kind::Id;
        Field::new(column.name, column.kind.data_type(), nullable)
    });
    let extra = Field::new(EXTRA, Kind::TextMap.data_type(), true);
    Arc::new(Schema::new(declared.chain([extra]).collect::<Vec<_>>()))
}

/// Arrow's extension type for JSON text.
const JSON_MARK: (&str, &str) = ("ARROW:extension:name", "arrow.json");

/// Returns the field of a column with JSON text.
pub(super) fn json_field(name: &str) -> Field {
    let mark = HashMap::from([(JSON_MARK.0.to_owned(), JSON_MARK.1.to_owned())]);
    Field::new(name, DataType::Utf8, true).with_metadata(mark)
}

/// Whether a column is marked as JSON text.
pub(crate) fn is_json(field: &Field) -> bool {
    let mark = field.metadata().get(JSON_MARK.0);
    *field.data_type() == DataType::Utf8 && mark.is_some_and(|mark| mark == JSON_MARK.1)
}

/// Returns the keys and the values of maps, and the indices of a row's entries.
pub(crate) fn entries_of(maps: &MapArray) -> (&StringArray, &StringArray, impl Fn(usize) -> Range<usize>) {
    let place = |row: usize| maps.value_offsets()[row].unsigned_abs() as usize;
    let entries = move |row| place(row)..place(row + 1);
    (maps.keys().as_string(), maps.values().as_string(), entries)
}

/// Returns the field of a list element, with Parquet's name.
pub(super) fn list_element() -> Field {
    Field::new("element", DataType::Utf8, true)
}

/// Name of a map entry in Parquet.
pub(super) const KEY_VALUE: &str = "key_value";
pub(super) const KEY: &str = "key";
pub(super) const VALUE: &str = "value";

/// Returns the field of a map entry.
fn map_entry() -> Field {
    let fields = vec![
        Field::new(KEY, DataType::Utf8, false),
        Field::new(VALUE, DataType::Utf8, true),
    ];
    Field::new_struct(KEY_VALUE, fields, false)
}
