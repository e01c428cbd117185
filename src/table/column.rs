//! A column of a row group while it grows: rows of Arrow arrays become Parquet pages.
//!
//! The parquet crate's own writer hashes every value anew, and gives each column buffers for more rows than most
//! partitions have; most of the time that a table takes went there.

mod bits;
mod bounds;
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
use rayon::prelude::*;

use crate::dataset::{Texts, numbered};
use leaf::Leaf;

/// A column: one leaf, or one for keys and one for values.
pub(super) struct Column {
    leaf: Leaf,
    values: Option<Leaf>,
}

impl Column {
    /// A column that is stored in these leaves.
    pub(super) fn new(leaves: &[ColumnDescPtr], properties: &WriterProperties) -> Result<Self> {
        let mut leaves = leaves.iter().map(|leaf| Leaf::new(leaf.clone(), properties));
        let leaf = leaves.next().ok_or_else(|| wrong("a column has no leaf"))?;
        Ok(Self {
            leaf,
            values: leaves.next(),
        })
    }

    /// Appends the rows at these places, each an array and a place in it. All arrays are of the column's type.
    pub(super) fn append(&mut self, arrays: &[&dyn Array], places: &[(usize, usize)]) -> Result<()> {
        let Some(first) = arrays.first() else {
            return Ok(());
        };
        match first.data_type() {
            DataType::Utf8 => {
                let texts = each(arrays, |array| {
                    let texts: &StringArray = array.as_string_opt()?;
                    Some(Rows::new(texts, None, Texts::of(texts)?))
                });
                self.leaf.texts(&texts?, places)
            }
            DataType::List(_) => {
                let lists = each(arrays, |array| {
                    let lists: &ListArray = array.as_list_opt()?;
                    let ends = Some(lists.value_offsets());
                    Some(Rows::new(lists, ends, Texts::of(lists.values())?))
                });
                self.leaf.texts(&lists?, places)
            }
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
        let leaves: Vec<Leaf> = std::iter::once(self.leaf).chain(self.values).collect();
        leaves.into_par_iter().map(Leaf::close).collect()
    }

    fn maps(&mut self, maps: &[&MapArray], places: &[(usize, usize)]) -> Result<()> {
        let keys_leaf = &mut self.leaf;
        let values_leaf = self.values.as_mut().ok_or_else(|| wrong("a map has no values"))?;
        // whoever has a batch measured may have plain ones
        let maps: Vec<MapArray> = maps.par_iter().map(|maps| numbered(maps)).collect();
        let texts = |part: usize| {
            let rows = maps.iter().map(|maps| {
                let ends = Some(maps.value_offsets());
                Rows::new(maps, ends, Texts::of_maps(maps)[part])
            });
            rows.collect::<Vec<_>>()
        };
        let (keys, values) = rayon::join(
            || keys_leaf.texts(&texts(0), places),
            || values_leaf.texts(&texts(1), places),
        );
        keys.and(values)
    }

    fn booleans(&mut self, arrays: &[&BooleanArray], places: &[(usize, usize)]) -> Result<()> {
        for (array, row) in at(arrays, places) {
            match array.is_valid(row) {
                true => self.leaf.value(&[u8::from(array.value(row))]),
                false => self.leaf.null(),
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
                true => self.leaf.value(&bytes(array.value(row))),
                false => self.leaf.null(),
            }
            self.leaf.end_row()?;
        }
        Ok(())
    }
}

/// Rows with one text each, or with those of a list, or with one half of a map's.
struct Rows<'a> {
    array: &'a dyn Array,
    /// Where the texts of each row end, where it has any number.
    ends: Option<&'a [i32]>,
    texts: Texts<'a>,
}

impl<'a> Rows<'a> {
    fn new(array: &'a dyn Array, ends: Option<&'a [i32]>, texts: Texts<'a>) -> Self {
        Self { array, ends, texts }
    }

    /// Where a row's texts are.
    #[inline]
    fn places(&self, row: usize) -> Range<usize> {
        let place = |end: i32| end.unsigned_abs() as usize;
        match self.ends {
            None => row..row + 1,
            Some(ends) if self.array.is_valid(row) => place(ends[row])..place(ends[row + 1]),
            Some(_) => 0..0,
        }
    }
}

/// All arrays as what they are.
fn each<'a, A>(arrays: &[&'a dyn Array], is: impl Fn(&'a dyn Array) -> Option<A>) -> Result<Vec<A>> {
    let typed: Option<Vec<A>> = arrays.iter().map(|array| is(*array)).collect();
    typed.ok_or_else(|| wrong("the batches of a column are of several types"))
}

fn at<'a, A>(arrays: &'a [&'a A], places: &'a [(usize, usize)]) -> impl Iterator<Item = (&'a A, usize)> {
    places.iter().map(|(array, row)| (arrays[*array], *row))
}

fn wrong(what: &str) -> ParquetError {
    ParquetError::General(what.into())
}
