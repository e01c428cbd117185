//! What a column is made of.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, MapArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The name of every dataset's last column, a map of the fields that have no column of their own.
pub(super) const EXTRA: &str = "extra";

/// One declared column of a dataset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// The column's name in the table.
    pub name: &'static str,
    /// The record's field that it is made of.
    pub field: &'static str,
    /// How a value of the field becomes one of the column.
    pub kind: Kind,
}

/// How a JSON value becomes a column's value. What fits no rule gives null, and is kept in `extra`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The record's own id: a string that is not empty, or a number as it was written. Without one, or with one that has
    /// lone surrogates, the record is rejected.
    Id,
    /// The id of something else, not required, and possibly empty. One with lone surrogates does not fit, and `extra` has it
    /// with its escapes.
    Reference,
    /// An instant, in microseconds since 1970.
    Time,
    /// A string's text, or the compact JSON text of anything else.
    Text,
    /// As [`Kind::Text`], but one of few.
    Label,
    /// A string's text, one of few; no other type fits.
    StrictLabel,
    /// A list, its elements by the rule of [`Kind::Text`]; anything else is the one element.
    TextList,
    /// An object, its values by the rule of [`Kind::Text`]; no other type fits.
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

/// The schema of the columns and `extra`.
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let declared = columns.iter().map(|column| {
        let nullable = column.kind != Kind::Id;
        Field::new(column.name, column.kind.data_type(), nullable)
    });
    let extra = Field::new(EXTRA, Kind::TextMap.data_type(), true);
    Arc::new(Schema::new(declared.chain([extra]).collect::<Vec<_>>()))
}

/// How Arrow marks text that is JSON.
const JSON_MARK: (&str, &str) = ("ARROW:extension:name", "arrow.json");

/// A column of JSON text.
pub(super) fn json_field(name: &str) -> Field {
    let mark = HashMap::from([(JSON_MARK.0.to_owned(), JSON_MARK.1.to_owned())]);
    Field::new(name, DataType::Utf8, true).with_metadata(mark)
}

/// Whether a column holds text that is JSON, and says so.
pub(crate) fn is_json(field: &Field) -> bool {
    let mark = field.metadata().get(JSON_MARK.0);
    *field.data_type() == DataType::Utf8 && mark.is_some_and(|mark| mark == JSON_MARK.1)
}

/// The keys and the values of maps, and the places of a row's entries among them.
pub(crate) fn entries_of(maps: &MapArray) -> (&StringArray, &StringArray, impl Fn(usize) -> Range<usize>) {
    let place = |row: usize| maps.value_offsets()[row].unsigned_abs() as usize;
    let entries = move |row| place(row)..place(row + 1);
    (maps.keys().as_string(), maps.values().as_string(), entries)
}

/// An element of a list, by the name that Parquet gives it.
pub(super) fn list_element() -> Field {
    Field::new("element", DataType::Utf8, true)
}

/// An entry of a map and its parts, by the names that Parquet gives them.
pub(super) const KEY_VALUE: &str = "key_value";
pub(super) const KEY: &str = "key";
pub(super) const VALUE: &str = "value";

/// An entry of a map.
fn map_entry() -> Field {
    let fields = vec![
        Field::new(KEY, DataType::Utf8, false),
        Field::new(VALUE, DataType::Utf8, true),
    ];
    Field::new_struct(KEY_VALUE, fields, false)
}
