//! What rows take in the memory of a reader.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;

use crate::dataset::Texts;

/// Tells what each row of a batch takes, but for which of its values are null: the same for the same row in any batch.
pub(super) struct Sizes<'a>(Vec<Size<'a>>);

/// Bytes of the end of a text, a list or a map.
const END: usize = size_of::<i32>();

/// What a column's values take. Ends of values tell what a row of any length takes at one stroke.
enum Size<'a> {
    Fixed(usize),
    Text(&'a [i32]),
    List(&'a [i32], &'a [i32]),
    Map(&'a [i32], [Texts<'a>; 2]),
}

impl<'a> Sizes<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Self {
        Self(batch.columns().iter().map(|column| Size::of(column)).collect())
    }

    /// Bytes of a row.
    #[inline]
    pub(super) fn row(&self, row: usize) -> usize {
        self.0.iter().map(|column| column.row(row)).sum()
    }
}

impl<'a> Size<'a> {
    fn of(array: &'a dyn Array) -> Self {
        let text = |array: &'a dyn Array| array.as_string_opt::<i32>().map(|text| text.value_offsets());
        match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string::<i32>().value_offsets()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Self::List(list.value_offsets(), text(list.values()).unwrap_or_default())
            }
            DataType::Map(..) => {
                let map = array.as_map();
                Self::Map(map.value_offsets(), Texts::of_maps(map))
            }
            other => Self::Fixed(other.primitive_width().unwrap_or(1)),
        }
    }

    #[inline]
    fn row(&self, row: usize) -> usize {
        match self {
            Self::Fixed(width) => *width,
            Self::Text(ends) => END + between(ends, row, row + 1),
            Self::List(ends, elements) => END + part(ends, elements, row),
            Self::Map(ends, parts) => {
                let entries = place(ends[row])..place(ends[row + 1]);
                let sizes = parts.iter().map(|part| {
                    let sizes = entries
                        .clone()
                        .map(|entry| END + part.get(entry).map_or(0, str::len));
                    sizes.sum::<usize>()
                });
                END + sizes.sum::<usize>()
            }
        }
    }
}

/// What the elements of a row's list take.
fn part(ends: &[i32], elements: &[i32], row: usize) -> usize {
    let (first, last) = (place(ends[row]), place(ends[row + 1]));
    (last - first) * END + between(elements, first, last)
}

fn between(ends: &[i32], first: usize, last: usize) -> usize {
    place(ends[last]) - place(ends[first])
}

/// Offsets only grow, from 0 or more.
fn place(offset: i32) -> usize {
    offset.unsigned_abs() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, decode};

    #[test]
    fn rows_take_as_much_in_any_batch() {
        let page = r#"{"data":[
            {"_id":"1","metadata":{"a":"xy"},"startTime":1},
            {"_id":"22","tags":["a",null],"locale":"en"},
            {"_id":"3","metadata":{"k":null},"more":[1]}
        ],"cursor":null}"#;
        let batch = decode(Dataset::Conversations, page.as_bytes()).unwrap().batch;
        let whole = Sizes::of(&batch);
        // ends of values and entries, times, and text
        let fixed = 5 * END + 2 * 8;
        let expected = [
            fixed + 1 + 2 * END + 3,
            fixed + 2 + 2 * END + 1 + 2,
            fixed + 1 + 2 * END + 1 + 2 * END + 7,
        ];
        for (row, expected) in expected.into_iter().enumerate() {
            assert_eq!(whole.row(row), expected);
            assert_eq!(Sizes::of(&batch.slice(row, 1)).row(0), expected);
        }
    }
}
