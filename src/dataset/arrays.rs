//! Builders of Arrow arrays of text. Finished arrays have no spare capacity, since they may be in memory for long.
//!
//! Offsets have 32 bits: a page has less than 2 GiB, and no value is longer than its JSON.

use arrow::array::{
    Array, ListArray, ListBuilder, MapArray, MapBuilder, MapFieldNames, StringArray, StringBuilder,
};

use super::column::{KEY, KEY_VALUE, VALUE, list_element};
use super::compact::Writer;
use super::json::{self, Raw, Type};
use super::key_table::{KeyTable, KeyValue};

/// Appends the text of a value, or null. `written` is the buffer for text that must be formatted first.
#[inline]
fn push(texts: &mut StringBuilder, value: Raw<'_>, writer: &mut Writer, written: &mut String) {
    if value.r#type == Type::Null {
        texts.append_null();
    } else if value.plain {
        texts.append_value(value.text);
    } else {
        written.clear();
        writer.push(value.value(), written);
        texts.append_value(written);
    }
}

/// Builds a [`StringArray`].
#[derive(Debug, Default)]
pub(super) struct Strings {
    builder: StringBuilder,
    written: String,
}

impl Strings {
    /// Appends the text of a value, or null.
    #[inline]
    pub(super) fn push(&mut self, value: Raw<'_>, writer: &mut Writer) {
        push(&mut self.builder, value, writer, &mut self.written);
    }

    pub(super) fn finish(mut self) -> StringArray {
        let mut array = self.builder.finish();
        array.shrink_to_fit();
        array
    }
}

/// Builds an array of lists of strings.
#[derive(Debug)]
pub(super) struct Lists {
    builder: ListBuilder<StringBuilder>,
    written: String,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            builder: ListBuilder::new(StringBuilder::new()).with_field(list_element()),
            written: String::new(),
        }
    }
}

impl Lists {
    /// Appends the elements of a list, null for null, and any other value as the only element.
    pub(super) fn push(&mut self, value: Raw<'_>, writer: &mut Writer) {
        let (elements, written) = (self.builder.values(), &mut self.written);
        match value.r#type {
            Type::Null => {}
            Type::List => {
                json::elements(value.text).for_each(|element| push(elements, element, writer, written));
            }
            _ => push(elements, value, writer, written),
        }
        self.builder.append(value.r#type != Type::Null);
    }

    pub(super) fn finish(mut self) -> ListArray {
        let mut array = self.builder.finish();
        array.shrink_to_fit();
        array
    }
}

/// Builds an array of maps of strings to strings.
#[derive(Debug)]
pub(super) struct Maps {
    builder: MapBuilder<StringBuilder, StringBuilder>,
    written: String,
}

impl Default for Maps {
    fn default() -> Self {
        let names = MapFieldNames {
            entry: KEY_VALUE.into(),
            key: KEY.into(),
            value: VALUE.into(),
        };
        Self {
            builder: MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new()),
            written: String::new(),
        }
    }
}

impl Maps {
    /// Appends an entry to the current map.
    #[inline]
    pub(super) fn entry(&mut self, key: &str, value: Option<&str>) {
        self.builder.keys().append_value(key);
        self.builder.values().append_option(value);
    }

    /// Ends the current map, or appends null if `is_valid` is false and the map has no entries.
    #[expect(clippy::expect_used, reason = "each entry has a key and a value")]
    pub(super) fn end(&mut self, is_valid: bool) {
        self.builder.append(is_valid).expect("as many keys as values");
    }

    pub(super) fn push_null(&mut self) {
        self.end(false);
    }

    /// Appends a map of these entries, whose keys are in `names`.
    pub(super) fn push(&mut self, entries: &[KeyValue<'_>], names: &KeyTable<'_>, writer: &mut Writer) {
        for (name, value) in entries {
            let Some(name) = name else {
                continue;
            };
            self.builder.keys().append_value(names.text(*name));
            push(self.builder.values(), *value, writer, &mut self.written);
        }
        self.end(true);
    }

    pub(super) fn finish(mut self) -> MapArray {
        let mut array = self.builder.finish();
        array.shrink_to_fit();
        array
    }
}
