//! The least and the greatest of values.

use std::cmp::Ordering;

use parquet::basic::Type;
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

/// Bytes of a text's bound that are told at most.
const MOST: usize = 64;

/// The least and the greatest of the values so far, in Parquet's PLAIN encoding.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    r#type: Type,
    least: Vec<u8>,
    greatest: Vec<u8>,
    is_empty: bool,
}

/// A bound as it is told, and whether a value is equal to it.
type Told = (Vec<u8>, bool);

impl Bounds {
    pub(super) fn new(r#type: Type) -> Self {
        Self {
            r#type,
            least: Vec::new(),
            greatest: Vec::new(),
            is_empty: true,
        }
    }

    pub(super) fn is_double(&self) -> bool {
        self.r#type == Type::DOUBLE
    }

    /// Takes in a value.
    #[inline]
    pub(super) fn add(&mut self, value: &[u8]) {
        if self.is_empty {
            self.is_empty = false;
            self.least.extend_from_slice(value);
            self.greatest.extend_from_slice(value);
        } else if self.order(value, &self.least) == Ordering::Less {
            self.least.clear();
            self.least.extend_from_slice(value);
        } else if self.order(value, &self.greatest) == Ordering::Greater {
            self.greatest.clear();
            self.greatest.extend_from_slice(value);
        }
    }

    /// Takes in the values that others are the bounds of.
    pub(super) fn merge(&mut self, other: &Self) {
        if !other.is_empty {
            self.add(&other.least);
            self.add(&other.greatest);
        }
    }

    /// Forgets all values.
    pub(super) fn clear(&mut self) {
        self.least.clear();
        self.greatest.clear();
        self.is_empty = true;
    }

    /// The bounds as a file has them: long text is cut short, the greatest so that it stays the greater. None where there
    /// are no values, or where no short text is as great.
    pub(super) fn told(&self) -> Option<(Told, Told)> {
        if self.is_empty {
            return None;
        }
        let (least, greatest) = (&self.least, &self.greatest);
        Some(match self.r#type {
            Type::BYTE_ARRAY => (shorter(least), shorter_but_greater(greatest)?),
            _ => ((least.clone(), true), (greatest.clone(), true)),
        })
    }

    /// The same as Parquet's statistics.
    pub(super) fn statistics(&self, nulls: u64) -> Statistics {
        let told = self.told();
        let (is_least, is_greatest) = told.as_ref().map_or((false, false), |told| (told.0.1, told.1.1));
        let (least, greatest) = told.map(|(least, greatest)| (least.0, greatest.0)).unzip();
        let nulls = Some(nulls);
        match self.r#type {
            Type::BOOLEAN => {
                let [least, greatest] = [least, greatest].map(|bound| bound.map(|bound| bound == [1]));
                Statistics::boolean(least, greatest, None, nulls, false)
            }
            Type::DOUBLE => {
                let [least, greatest] = [least, greatest].map(|bound| bound.map(|bound| double(&bound)));
                // JSON has no NaN
                ValueStatistics::new(least, greatest, None, nulls, false)
                    .with_nan_count((!self.is_empty).then_some(0))
                    .into()
            }
            Type::BYTE_ARRAY => {
                let [least, greatest] = [least, greatest].map(|bound| bound.map(ByteArray::from));
                ValueStatistics::new(least, greatest, None, nulls, false)
                    .with_min_is_exact(is_least)
                    .with_max_is_exact(is_greatest)
                    .into()
            }
            _ => {
                let [least, greatest] = [least, greatest].map(|bound| bound.map(|bound| whole(&bound)));
                Statistics::int64(least, greatest, None, nulls, false)
            }
        }
    }

    /// The order in which readers compare bounds.
    #[inline]
    pub(super) fn order(&self, a: &[u8], b: &[u8]) -> Ordering {
        match self.r#type {
            Type::INT64 => whole(a).cmp(&whole(b)),
            // the order that the file names
            Type::DOUBLE => double(a).total_cmp(&double(b)),
            _ => a.cmp(b),
        }
    }
}

fn eight(value: &[u8]) -> [u8; 8] {
    value.try_into().unwrap_or_default()
}

fn whole(value: &[u8]) -> i64 {
    i64::from_le_bytes(eight(value))
}

fn double(value: &[u8]) -> f64 {
    f64::from_le_bytes(eight(value))
}

/// The beginning of a text, up to the end of a character.
fn shorter(text: &[u8]) -> Told {
    let start = beginning(text);
    (start.as_bytes().to_vec(), start.len() == text.len())
}

/// The beginning of a text with its last character replaced by the next one of the same length; none where no character
/// of a long text has one.
fn shorter_but_greater(text: &[u8]) -> Option<Told> {
    let start = beginning(text);
    if start.len() == text.len() {
        return Some((text.to_vec(), true));
    }
    let next = |(place, last): (usize, char)| {
        let next = char::from_u32(u32::from(last) + 1)?;
        (next.len_utf8() == last.len_utf8()).then(|| format!("{}{next}", &start[..place]).into_bytes())
    };
    let greater = start.char_indices().rev().find_map(next)?;
    Some((greater, false))
}

fn beginning(text: &[u8]) -> &str {
    let text = std::str::from_utf8(text).unwrap_or_default();
    &text[..text.floor_char_boundary(MOST)]
}
