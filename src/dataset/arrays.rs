//! Arrow arrays while they grow. Text is appended where it will stay, piece by piece.
//!
//! Offsets are 32 bits wide: a page is known to be shorter than 2 GiB before it comes here, and no value is
//! longer than the JSON that it was made of.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ListArray, MapArray, StringArray, StringBuilder};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};

use super::column::list_element;
use super::compact::Writer;
use super::json::{self, Raw, Type};
use super::names::{Entry, Name, Names};
use super::texts::{Packed, by_number, map, validity};

/// Where the values of an array end, and which of them are null.
#[derive(Debug)]
struct Ends {
    /// Begins with 0.
    offsets: Vec<i32>,
    /// The places of the nulls.
    nulls: Vec<usize>,
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            nulls: Vec::new(),
        }
    }
}

impl Ends {
    /// A value that ends where so much is there.
    #[inline]
    fn push(&mut self, end: usize, valid: bool) {
        // a longer one cannot be, and would not pass the array's own check
        self.offsets.push(i32::try_from(end).unwrap_or(i32::MIN));
        if !valid {
            self.nulls.push(self.len() - 1);
        }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn finish(self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let nulls = validity(self.len(), &self.nulls);
        (OffsetBuffer::new(ScalarBuffer::from(self.offsets)), nulls)
    }
}

/// A value's text, or none for null; where it has to be written first, that is done in `written`.
#[inline]
fn text<'t>(value: Raw<'t>, writer: &mut Writer, written: &'t mut String) -> Option<&'t str> {
    if value.r#type == Type::Null {
        return None;
    }
    if value.plain {
        return Some(value.text);
    }
    written.clear();
    writer.push(value.value(), written);
    Some(written)
}

/// A growing [`StringArray`]. Arrow's own builder knows that its text is UTF-8 and need not look again.
#[derive(Debug, Default)]
pub(super) struct Strings {
    builder: StringBuilder,
    /// What has to be written before it can be appended.
    written: String,
}

impl Strings {
    /// The value's text, or null for null.
    #[inline]
    pub(super) fn push(&mut self, value: Raw<'_>, writer: &mut Writer) {
        match text(value, writer, &mut self.written) {
            Some(text) => self.builder.append_value(text),
            None => self.builder.append_null(),
        }
    }

    fn len(&self) -> usize {
        self.builder.len()
    }

    pub(super) fn finish(mut self) -> StringArray {
        self.builder.finish()
    }
}

/// A growing list of strings.
#[derive(Debug, Default)]
pub(super) struct Lists {
    elements: Strings,
    ends: Ends,
}

impl Lists {
    /// The elements of a list, null for null, anything else as the one element.
    pub(super) fn push(&mut self, value: Raw<'_>, writer: &mut Writer) {
        match value.r#type {
            Type::Null => {}
            Type::List => json::elements(value.text).for_each(|element| self.elements.push(element, writer)),
            _ => self.elements.push(value, writer),
        }
        self.ends.push(self.elements.len(), value.r#type != Type::Null);
    }

    pub(super) fn finish(self) -> ListArray {
        let (offsets, nulls) = self.ends.finish();
        let elements = Arc::new(self.elements.finish());
        let element = Arc::new(list_element());
        ListArray::new(element, offsets, elements, nulls)
    }
}

/// A growing map of strings to strings, whose keys are told by names of one [`Names`].
#[derive(Debug, Default)]
pub(super) struct Maps {
    keys: Vec<Name>,
    values: Packed,
    ends: Ends,
    /// What has to be written before it can be appended.
    written: String,
}

impl Maps {
    pub(super) fn push_null(&mut self) {
        self.ends.push(self.keys.len(), false);
    }

    /// One map of these entries.
    pub(super) fn push(&mut self, entries: &[Entry<'_>], writer: &mut Writer) {
        for (name, value) in entries {
            let Some(name) = name else {
                continue;
            };
            self.keys.push(*name);
            self.values.push(text(*value, writer, &mut self.written));
        }
        self.ends.push(self.keys.len(), true);
    }

    pub(super) fn finish(self, names: &Names<'_>) -> MapArray {
        let (ends, nulls) = self.ends.finish();
        // names are fewer than the bytes of a page
        let number = |name: &Name| i32::try_from(*name).unwrap_or(i32::MIN);
        let keys = self.keys.iter().map(number).collect();
        let keys = by_number(keys, &[], names.texts().collect());
        map(Arc::new(keys), Arc::new(self.values.finish()), ends, nulls)
    }
}
