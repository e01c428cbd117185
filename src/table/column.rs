//! A column of a row group while it grows: rows of Arrow arrays become Parquet pages.
//!
//! The parquet crate's own writer hashes every value anew, and gives each column buffers for more rows than most
//! partitions have; most of the time that a table takes went there.

mod bits;
mod bounds;
mod delta;
mod dictionary;
mod hybrid;
mod leaf;
#[cfg(test)]
mod tests;
mod values;

use std::ops::Range;

use arrow::array::{
    Array, ArrowPrimitiveType, AsArray, BooleanArray, ListArray, MapArray, PrimitiveArray, StringArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnDescPtr;

use dictionary::NO_GUESS;
use leaf::Leaf;

/// A column: one leaf, or one for keys and one for values.
pub(super) struct Column {
    leaf: Leaf,
    values: Option<Leaf>,
    /// By the value before, and by the key.
    next: Guesses,
    at_key: Guesses,
}

impl Column {
    /// A column that is stored in these leaves.
    pub(super) fn new(leaves: &[ColumnDescPtr], properties: &WriterProperties) -> Result<Self> {
        let mut leaves = leaves.iter().map(|leaf| Leaf::new(leaf.clone(), properties));
        let leaf = leaves.next().ok_or_else(|| wrong("a column has no leaf"))?;
        Ok(Self {
            leaf,
            values: leaves.next(),
            next: Guesses::default(),
            at_key: Guesses::default(),
        })
    }

    /// Appends the rows at these places, each an array and a place in it. All arrays are of the column's type.
    pub(super) fn append(&mut self, arrays: &[&dyn Array], places: &[(usize, usize)]) -> Result<()> {
        let Some(first) = arrays.first() else {
            return Ok(());
        };
        match first.data_type() {
            DataType::Utf8 => self.text(&each(arrays, |array| array.as_string_opt())?, places),
            DataType::List(_) => self.lists(&each(arrays, |array| array.as_list_opt())?, places),
            DataType::Map(..) => self.maps(&each(arrays, |array| array.as_map_opt())?, places),
            DataType::Boolean => self.booleans(&each(arrays, |array| array.as_boolean_opt())?, places),
            DataType::Int64 => self.numbers::<Int64Type>(arrays, places, i64::to_le_bytes),
            DataType::Float64 => self.numbers::<Float64Type>(arrays, places, f64::to_le_bytes),
            DataType::Timestamp(..) => {
                self.numbers::<TimestampMicrosecondType>(arrays, places, i64::to_le_bytes)
            }
            other => Err(ParquetError::NYI(format!("columns of {other}"))),
        }
    }

    /// The chunks, ready to be put into a row group.
    pub(super) fn close(self) -> Result<Vec<(Bytes, ColumnCloseResult)>> {
        let leaves = std::iter::once(self.leaf).chain(self.values);
        leaves.map(Leaf::close).collect()
    }

    fn text(&mut self, arrays: &[&StringArray], places: &[(usize, usize)]) -> Result<()> {
        let mut last = NO_GUESS;
        for (array, row) in at(arrays, places) {
            match array.is_valid(row) {
                true => last = self.leaf.value(0, array.value(row).as_bytes(), last),
                false => self.leaf.null_value(0),
            }
            self.leaf.end_row()?;
        }
        Ok(())
    }

    fn booleans(&mut self, arrays: &[&BooleanArray], places: &[(usize, usize)]) -> Result<()> {
        for (array, row) in at(arrays, places) {
            match array.is_valid(row) {
                true => _ = self.leaf.value(0, &[u8::from(array.value(row))], NO_GUESS),
                false => self.leaf.null_value(0),
            }
            self.leaf.end_row()?;
        }
        Ok(())
    }

    fn numbers<T: ArrowPrimitiveType>(
        &mut self,
        arrays: &[&dyn Array],
        places: &[(usize, usize)],
        bytes: impl Fn(T::Native) -> [u8; 8],
    ) -> Result<()> {
        let arrays: Vec<&PrimitiveArray<T>> = each(arrays, |array| array.as_primitive_opt())?;
        for (array, row) in at(&arrays, places) {
            match array.is_valid(row) {
                true => _ = self.leaf.value(0, &bytes(array.value(row)), NO_GUESS),
                false => self.leaf.null_value(0),
            }
            self.leaf.end_row()?;
        }
        Ok(())
    }

    fn lists(&mut self, arrays: &[&ListArray], places: &[(usize, usize)]) -> Result<()> {
        let elements = each(arrays, |list| list.values().as_string_opt::<i32>())?;
        for &(array, row) in places {
            let (list, elements) = (arrays[array], elements[array]);
            let range = entries(list, list.value_offsets(), row);
            if range.is_empty() {
                self.leaf.nothing(list.is_valid(row));
            }
            let mut before = NO_GUESS;
            for element in range.clone() {
                let repetition = u8::from(element > range.start);
                let value = elements.is_valid(element).then(|| elements.value(element));
                before = self.next.value(&mut self.leaf, repetition, value, before);
            }
            self.leaf.end_row()?;
        }
        Ok(())
    }

    fn maps(&mut self, arrays: &[&MapArray], places: &[(usize, usize)]) -> Result<()> {
        let keys = each(arrays, |map| map.keys().as_string_opt::<i32>())?;
        let values = each(arrays, |map| map.values().as_string_opt::<i32>())?;
        let values_leaf = self.values.as_mut().ok_or_else(|| wrong("a map has no values"))?;
        for &(array, row) in places {
            let (map, keys, values) = (arrays[array], keys[array], values[array]);
            let range = entries(map, map.value_offsets(), row);
            if range.is_empty() {
                self.leaf.nothing(map.is_valid(row));
                values_leaf.nothing(map.is_valid(row));
            }
            let mut key = NO_GUESS;
            for entry in range.clone() {
                let repetition = u8::from(entry > range.start);
                key = self
                    .next
                    .value(&mut self.leaf, repetition, Some(keys.value(entry)), key);
                let value = values.is_valid(entry).then(|| values.value(entry));
                self.at_key.value(values_leaf, repetition, value, key);
            }
            self.leaf.end_row()?;
            values_leaf.end_row()?;
        }
        Ok(())
    }
}

/// Which value came last where another one, or a key, was before it: likely the same comes again.
#[derive(Default)]
struct Guesses(Vec<u32>);

impl Guesses {
    /// Appends a value, or null; answers the value's number.
    #[inline]
    fn value(&mut self, leaf: &mut Leaf, repetition: u8, value: Option<&str>, before: u32) -> u32 {
        let Some(value) = value else {
            leaf.null_value(repetition);
            return NO_GUESS;
        };
        let guess = self.0.get(before as usize).copied().unwrap_or(NO_GUESS);
        let number = leaf.value(repetition, value.as_bytes(), guess);
        if number != guess && before != NO_GUESS {
            if self.0.len() <= before as usize {
                self.0.resize(before as usize + 1, NO_GUESS);
            }
            self.0[before as usize] = number;
        }
        number
    }
}

/// All arrays as what they are.
fn each<'a, T: ?Sized, A>(arrays: &[&'a T], is: impl Fn(&'a T) -> Option<&'a A>) -> Result<Vec<&'a A>> {
    let typed: Option<Vec<&A>> = arrays.iter().map(|array| is(array)).collect();
    typed.ok_or_else(|| wrong("the batches of a column are of several types"))
}

fn at<'a, A>(arrays: &'a [&'a A], places: &'a [(usize, usize)]) -> impl Iterator<Item = (&'a A, usize)> {
    places.iter().map(|(array, row)| (arrays[*array], *row))
}

/// The places of the entries of a row of lists or maps.
fn entries(array: &dyn Array, offsets: &[i32], row: usize) -> Range<usize> {
    let place = |offset: i32| offset.unsigned_abs() as usize;
    match array.is_valid(row) {
        true => place(offsets[row])..place(offsets[row + 1]),
        false => 0..0,
    }
}

fn wrong(what: &str) -> ParquetError {
    ParquetError::General(what.into())
}
