//! Arrow arrays while they grow. Text is appended where it will stay, piece by piece.
//!
//! Offsets are 32 bits wide: a page is known to be shorter than 2 GiB before it comes here, and no value is
//! longer than the JSON that it was made of.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ListArray, MapArray, StringArray, StructArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};

use super::column::{list_element, map_entry, map_fields};
use super::compact::Writer;
use super::distinct::Repeats;
use super::json::{self, Value};

/// A key and its value, as they stand in an object.
pub(super) type Entry<'a> = (Cow<'a, str>, Value<'a>);

/// A growing [`StringArray`].
#[derive(Debug, Default)]
pub(super) struct Strings {
    text: String,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Strings {
    /// The value's text, or null for null.
    pub(super) fn push(&mut self, value: Value<'_>, writer: &mut Writer) {
        let start = self.text.len();
        let valid = writer.push(value, &mut self.text);
        self.end_value(start, valid);
    }

    fn push_str(&mut self, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.end_value(start, true);
    }

    fn end_value(&mut self, start: usize, valid: bool) {
        self.lengths.push(self.text.len() - start);
        self.valid.push(valid);
    }

    pub(super) fn finish(self) -> StringArray {
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        StringArray::new(offsets, Buffer::from(self.text.into_bytes()), nulls(self.valid))
    }
}

/// A growing list of strings.
#[derive(Debug, Default)]
pub(super) struct Lists {
    elements: Strings,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Lists {
    /// The elements of a list, null for null, anything else as the one element.
    pub(super) fn push(&mut self, value: Value<'_>, writer: &mut Writer) {
        let before = self.elements.lengths.len();
        match value {
            Value::Null => {}
            Value::List(text) => json::elements(text).for_each(|element| self.elements.push(element, writer)),
            single => self.elements.push(single, writer),
        }
        self.lengths.push(self.elements.lengths.len() - before);
        self.valid.push(value != Value::Null);
    }

    pub(super) fn finish(self) -> ListArray {
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        let elements = Arc::new(self.elements.finish());
        ListArray::new(Arc::new(list_element()), offsets, elements, nulls(self.valid))
    }
}

/// A growing map of strings to strings.
#[derive(Debug, Default)]
pub(super) struct Maps {
    keys: Strings,
    values: Strings,
    lengths: Vec<usize>,
    valid: Vec<bool>,
    repeats: Repeats,
}

impl Maps {
    pub(super) fn push_null(&mut self) {
        self.lengths.push(0);
        self.valid.push(false);
    }

    /// One map of these entries, of a repeated key the last.
    pub(super) fn push(&mut self, entries: &[Entry<'_>], writer: &mut Writer) {
        let mut repeated = self.repeats.find(entries.iter().map(|(key, _)| key.as_ref()));
        self.lengths.push(entries.len() - repeated.len());
        self.valid.push(true);
        for (position, (key, value)) in entries.iter().enumerate() {
            if repeated.last() == Some(&position) {
                repeated.pop();
                continue;
            }
            self.keys.push_str(key);
            self.values.push(*value, writer);
        }
    }

    pub(super) fn finish(self) -> MapArray {
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        let columns = vec![
            Arc::new(self.keys.finish()) as _,
            Arc::new(self.values.finish()) as _,
        ];
        let entries = StructArray::new(map_fields(), columns, None);
        MapArray::new(Arc::new(map_entry()), offsets, entries, nulls(self.valid), false)
    }
}

/// Arrow has no buffer for an array without nulls.
fn nulls(valid: Vec<bool>) -> Option<NullBuffer> {
    valid.contains(&false).then(|| NullBuffer::from(valid))
}
