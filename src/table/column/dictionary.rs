//! Values that are told by numbers, in the order in which each came first.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::dataset::same;

/// The values of a dictionary page.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// The page: the values in Parquet's PLAIN encoding.
    plain: Vec<u8>,
    /// Where each value ends in it.
    ends: Vec<usize>,
    /// Part of each value's hash, so that the table grows without looking at the values again, and its number.
    numbers: HashTable<(u32, u32)>,
    hasher: DefaultHashBuilder,
    /// Whether values are written with their length before them.
    has_lengths: bool,
}

/// What no value has for a number.
pub(super) const NO_NUMBER: u32 = u32::MAX;

impl Dictionary {
    /// One without values, which are written with their lengths where they have many.
    pub(super) fn new(has_lengths: bool) -> Self {
        Self {
            has_lengths,
            ..Self::default()
        }
    }

    /// The number of a value.
    pub(super) fn number(&mut self, value: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(value);
        let part = (hash >> u32::BITS) as u32;
        let is =
            |(other, number): &(u32, u32)| *other == part && same(&self.plain[self.place(*number)], value);
        if let Some((_, number)) = self.numbers.find(spread(part), is) {
            return *number;
        }
        let number = self.add(value);
        self.numbers
            .insert_unique(spread(part), (part, number), |(part, _)| spread(*part));
        number
    }

    /// Adds a value that is known to be new, or counts as new, and is not looked for later.
    pub(super) fn add(&mut self, value: &[u8]) -> u32 {
        // a page is told to be full long before
        let number = u32::try_from(self.ends.len()).unwrap_or(NO_NUMBER);
        if self.has_lengths {
            self.plain.extend_from_slice(&length(value));
        }
        self.plain.extend_from_slice(value);
        self.ends.push(self.plain.len());
        number
    }

    /// The value of a number, where there is one.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&[u8]> {
        ((number as usize) < self.len()).then(|| &self.plain[self.place(number)])
    }

    #[inline]
    fn place(&self, number: u32) -> Range<usize> {
        let number = number as usize;
        let before = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let length = if self.has_lengths { LENGTH } else { 0 };
        before + length..self.ends[number]
    }

    /// How many values it holds.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Its values in the order in which they came.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..NO_NUMBER).map_while(|number| self.get(number))
    }

    /// The page.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain
    }
}

/// A hash of part of a hash, as tables want it: they look at the highest bits and at the lowest ones.
#[inline]
fn spread(part: u32) -> u64 {
    u64::from(part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Bytes of a length.
const LENGTH: usize = 4;

/// A value's length as it stands before it.
pub(super) fn length(value: &[u8]) -> [u8; LENGTH] {
    // no value is as long as 2 GiB
    u32::try_from(value.len()).unwrap_or_default().to_le_bytes()
}
