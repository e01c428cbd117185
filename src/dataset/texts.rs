//! Texts of which many are the same, each kept once: as keys and values of maps stand in memory.

use std::ptr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BooleanBufferBuilder, DictionaryArray, Int32Array, MapArray,
    RecordBatch, StringArray, StringBuilder, StructArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::column::{map_entry, map_fields};

/// The texts of an array, whether they stand in it or it tells them by numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texts<'a> {
    numbers: Option<&'a [i32]>,
    nulls: Option<&'a NullBuffer>,
    texts: &'a StringArray,
}

impl<'a> Texts<'a> {
    /// None where the array holds something else.
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
        if let Some(texts) = array.as_string_opt() {
            return Some(Self {
                numbers: None,
                nulls: texts.nulls(),
                texts,
            });
        }
        let numbered = array.as_dictionary_opt::<Int32Type>()?;
        let texts = numbered.values().as_string_opt()?;
        (texts.null_count() == 0).then_some(Self {
            numbers: Some(numbered.keys().values()),
            nulls: numbered.keys().nulls(),
            texts,
        })
    }

    /// The keys of maps, and their values.
    #[expect(clippy::expect_used, reason = "no column has maps of anything else")]
    pub(crate) fn of_maps(maps: &'a MapArray) -> [Self; 2] {
        [maps.keys(), maps.values()].map(|array| Self::of(array).expect("maps of texts"))
    }

    #[inline]
    pub(crate) fn is_valid(&self, place: usize) -> bool {
        self.nulls.is_none_or(|nulls| nulls.is_valid(place))
    }

    /// The text at a place, which must be valid.
    #[inline]
    pub(crate) fn value(&self, place: usize) -> &'a str {
        self.texts.value(self.number(place).unwrap_or(place))
    }

    /// The same, or none where it is null.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<&'a str> {
        self.is_valid(place).then(|| self.value(place))
    }

    /// The number that tells the text at a place, where there are numbers. Texts of one number are the same, those of two
    /// may be.
    #[inline]
    pub(crate) fn number(&self, place: usize) -> Option<usize> {
        self.numbers.map(|numbers| numbers[place].unsigned_abs() as usize)
    }

    /// Whether a number tells the same text here and there.
    pub(crate) fn shares_numbers_with(&self, other: &Self) -> bool {
        let [own, others] =
            [self, other].map(|texts| (texts.texts.value_offsets(), texts.texts.value_data()));
        let numbered = self.numbers.is_some() && other.numbers.is_some();
        numbered && ptr::eq(own.0, others.0) && ptr::eq(own.1, others.1)
    }

    /// How many numbers there are.
    pub(crate) fn numbers(&self) -> usize {
        self.numbers.map_or(0, |_| self.texts.len())
    }
}

/// An array of texts by numbers, while it grows.
#[derive(Debug, Default)]
pub(super) struct Packed {
    numbers: Vec<i32>,
    nulls: Vec<usize>,
    texts: StringBuilder,
    /// The number of the text that came last, of all that [`slot`] gives the same place.
    recent: Vec<i32>,
}

const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 12;

impl Packed {
    /// Appends a text, or null.
    #[inline]
    pub(super) fn push(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            self.nulls.push(self.numbers.len());
            self.numbers.push(0);
            return;
        };
        if self.recent.is_empty() {
            self.recent.resize(SLOTS, i32::MAX);
        }
        let slot = slot(text.as_bytes());
        let mut number = self.recent[slot];
        if !self.get(number).is_some_and(|known| same(known, text.as_bytes())) {
            // texts are as many as the bytes of a page at most, which are fewer than 2 GiB
            number = i32::try_from(self.texts.len()).unwrap_or(i32::MIN);
            self.texts.append_value(text);
            self.recent[slot] = number;
        }
        self.numbers.push(number);
    }

    #[inline]
    fn get(&self, number: i32) -> Option<&[u8]> {
        let ends = self.texts.offsets_slice().get(number.unsigned_abs() as usize..)?;
        let (start, end) = (ends.first()?, ends.get(1)?);
        let texts = self.texts.values_slice();
        texts.get(start.unsigned_abs() as usize..end.unsigned_abs() as usize)
    }

    pub(super) fn finish(mut self) -> DictionaryArray<Int32Type> {
        by_number(self.numbers, &self.nulls, self.texts.finish())
    }
}

/// Texts by their numbers, but for the nulls at these places.
pub(super) fn by_number(
    numbers: Vec<i32>,
    nulls: &[usize],
    texts: StringArray,
) -> DictionaryArray<Int32Type> {
    let nulls = validity(numbers.len(), nulls);
    DictionaryArray::new(Int32Array::new(numbers.into(), nulls), Arc::new(texts))
}

/// What is null of so many values; none where nothing is.
pub(super) fn validity(length: usize, nulls: &[usize]) -> Option<NullBuffer> {
    (!nulls.is_empty()).then(|| {
        let mut valid = BooleanBufferBuilder::new(length);
        valid.append_n(length, true);
        nulls.iter().for_each(|null| valid.set_bit(*null, false));
        NullBuffer::new(valid.finish())
    })
}

/// A map of these keys and values.
pub(super) fn map(
    keys: ArrayRef,
    values: ArrayRef,
    ends: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
) -> MapArray {
    let fields = map_fields(keys.data_type().clone(), values.data_type().clone());
    let entries = StructArray::new(fields.clone(), vec![keys, values], None);
    MapArray::new(Arc::new(map_entry(fields)), ends, entries, nulls, false)
}

/// A schema as rows in memory have it: texts of maps stand by number.
pub(crate) fn in_memory(schema: &Schema) -> SchemaRef {
    let by_number = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Map(..) => {
            let entry = map_entry(map_fields(by_number(), by_number()));
            let field = field.as_ref().clone();
            Arc::new(field.with_data_type(DataType::Map(Arc::new(entry), false)))
        }
        _ => Arc::clone(field),
    };
    let fields: Vec<_> = schema.fields().iter().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Maps with keys and values by number, as they are in memory, and with no texts but their own.
fn packed(maps: &MapArray) -> MapArray {
    let [keys, values] = Texts::of_maps(maps).map(|texts| -> ArrayRef {
        let mut packed = Packed::default();
        for place in 0..maps.entries().len() {
            packed.push(texts.get(place));
        }
        Arc::new(packed.finish())
    });
    map(keys, values, maps.offsets().clone(), maps.nulls().cloned())
}

/// The same, where they are not by number already.
pub(crate) fn numbered(maps: &MapArray) -> MapArray {
    let is_plain = |array: &ArrayRef| *array.data_type() == DataType::Utf8;
    match is_plain(maps.keys()) || is_plain(maps.values()) {
        true => packed(maps),
        false => maps.clone(),
    }
}

/// Some rows of a batch, and no text of the others: those of maps would be kept as long as any of them is.
///
/// # Errors
/// Where the batch has no such rows.
pub(crate) fn take_rows(batch: &RecordBatch, rows: &UInt32Array) -> Result<RecordBatch, ArrowError> {
    let taken = take_record_batch(batch, rows)?;
    let columns = taken.columns().iter().map(|column| match column.as_map_opt() {
        Some(maps) => Arc::new(packed(maps)) as ArrayRef,
        None => Arc::clone(column),
    });
    RecordBatch::try_new(taken.schema(), columns.collect())
}

/// A place for a text, by how long it is, how it begins and how it ends: quicker than a hash of all of it.
#[inline]
fn slot(text: &[u8]) -> usize {
    let (begin, end) = match (text.first_chunk(), text.last_chunk()) {
        (Some(begin), Some(end)) => (u64::from_le_bytes(*begin), u64::from_le_bytes(*end)),
        _ => {
            let few = text.iter().fold(0, |few, byte| few << 8 | u64::from(*byte));
            (few, few)
        }
    };
    let mixed = begin.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ end.wrapping_add(text.len() as u64);
    let mixed = mixed.wrapping_mul(0xd1b5_4a32_d192_ed03) >> (u64::BITS - SLOT_BITS);
    usize::try_from(mixed).unwrap_or_default()
}

/// Whether texts are the same. Most are short: a call that compares any number of bytes takes longer.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let ends = |text: &[u8]| Some((*text.first_chunk::<8>()?, *text.last_chunk::<8>()?));
    match (a.len() == b.len(), a.len()) {
        (false, _) => false,
        (true, ..8) => a.iter().zip(b).all(|(a, b)| a == b),
        (true, 8..=16) => ends(a) == ends(b),
        (true, 17..) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, decode};

    #[test]
    fn texts_come_back_as_they_were_and_hardly_one_is_kept_twice() {
        let of = |number: usize| match number % 7 {
            0 => None,
            1 => Some(String::new()),
            2 => Some("客户".repeat(number % 3)),
            3 => Some(format!("begins alike, ends as {}", number % 100)),
            length => Some("x".repeat(length * (number % 13))),
        };
        let all: Vec<Option<String>> = (0..20_000).map(of).collect();
        let mut packed = Packed::default();
        all.iter().for_each(|text| packed.push(text.as_deref()));
        let array = packed.finish();
        assert_eq!(array.len(), all.len());
        let texts = Texts::of(&array).unwrap();
        let distinct: std::collections::BTreeSet<_> = all.iter().flatten().collect();
        assert!(
            (distinct.len()..1000).contains(&texts.numbers()),
            "{}",
            texts.numbers()
        );
        let plain = StringArray::from(all.clone());
        for (place, text) in all.iter().enumerate() {
            assert_eq!(texts.get(place), text.as_deref());
            assert_eq!(Texts::of(&plain).unwrap().get(place), text.as_deref());
        }
        assert!(Texts::of(&Int32Array::from(vec![1])).is_none());
    }

    #[test]
    fn invariant_6_rows_that_are_taken_hold_no_text_of_others() {
        let record =
            |number| format!(r#"{{"_id":{number},"metadata":{{"k{number}":"v{number}","same":null}}}}"#);
        let records: Vec<String> = (0..100).map(record).collect();
        let page = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
        let batch = decode(Dataset::Conversations, page.as_bytes()).unwrap().batch;
        let taken = take_rows(&batch, &UInt32Array::from(vec![7, 3])).unwrap();
        for (row, from) in [7, 3].into_iter().enumerate() {
            assert_eq!(taken.slice(row, 1), batch.slice(from, 1));
        }
        let maps = taken.column_by_name("metadata").unwrap().as_map();
        assert_eq!(Texts::of_maps(maps).map(|texts| texts.numbers()), [3, 2]);
    }

    #[test]
    fn texts_that_only_seem_the_same_are_told_apart() {
        let all: Vec<String> = (100..200)
            .map(|number| format!("begins alike, {number} ends alike"))
            .collect();
        let mut packed = Packed::default();
        all.iter().chain(&all).for_each(|text| packed.push(Some(text)));
        let array = packed.finish();
        let texts = Texts::of(&array).unwrap();
        for (place, text) in all.iter().chain(&all).enumerate() {
            assert_eq!(texts.value(place), text);
        }
    }

    #[test]
    fn same_is_what_is_equal() {
        let text = b"some text of 32 bytes, or more..";
        for end in 0..=text.len() {
            for other in 0..=text.len() {
                assert_eq!(same(&text[..end], &text[..other]), end == other);
            }
            for place in 0..end {
                let mut bent = text[..end].to_vec();
                bent[place] ^= 1;
                assert!(!same(&bent, &text[..end]));
            }
        }
    }
}
