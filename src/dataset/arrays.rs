//! Arrow arrays of texts while they grow. What they had room for is given back when they are finished: they may wait long.
//!
//! Offsets are 32 bits wide: a page is known to be shorter than 2 GiB before it comes here, and no value is
//! longer than the JSON that it was made of.

use arrow::array::{
    Array, ListArray, ListBuilder, MapArray, MapBuilder, MapFieldNames, StringArray, StringBuilder,
};

use super::column::{KEY, KEY_VALUE, VALUE, list_element};
use super::compact::Writer;
use super::json::{self, Raw, Type};
use super::key_table::{KeyTable, KeyValue};

/// Appends a value's text, or null for null; where the text has to be written first, that is done in `written`.
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

/// A growing [`StringArray`].
#[derive(Debug, Default)]
pub(super) struct Strings {
    builder: StringBuilder,
    written: String,
}

impl Strings {
    /// The value's text, or null for null.
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

/// A growing list of strings.
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
    /// The elements of a list, null for null, anything else as the one element.
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

/// A growing map of strings to strings.
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
    /// Appends an entry to the map that the next [`Maps::end`] ends.
    #[inline]
    pub(super) fn entry(&mut self, key: &str, value: Option<&str>) {
        self.builder.keys().append_value(key);
        self.builder.values().append_option(value);
    }

    /// Ends a map, or appends null, before which there must be no entry.
    #[expect(clippy::expect_used, reason = "each entry has a key and a value")]
    pub(super) fn end(&mut self, is_valid: bool) {
        self.builder.append(is_valid).expect("as many keys as values");
    }

    pub(super) fn push_null(&mut self) {
        self.end(false);
    }

    /// One map of these entries, whose keys are among `names`.
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
