//! Values that are told by numbers, in the order in which each came first.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// The values of a dictionary page.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// The page: the values in Parquet's PLAIN encoding.
    plain: Vec<u8>,
    entries: Vec<Entry>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    end: usize,
    hash: u64,
}

/// Where there is no guess which value comes.
pub(super) const NO_GUESS: u32 = u32::MAX;

impl Dictionary {
    /// The number of a value, which is written with its length where values have many. A right guess is quicker.
    #[inline]
    pub(super) fn number(&mut self, value: &[u8], guess: u32, has_length: bool) -> u32 {
        if let Some(entry) = self.entries.get(guess as usize)
            && self.plain[entry.start..entry.end] == *value
        {
            return guess;
        }
        self.look_up(value, has_length)
    }

    fn look_up(&mut self, value: &[u8], has_length: bool) -> u32 {
        let hash = self.hasher.hash_one(value);
        let is = |number: &u32| {
            let entry = &self.entries[*number as usize];
            entry.hash == hash && self.plain[entry.start..entry.end] == *value
        };
        if let Some(number) = self.numbers.find(hash, is) {
            return *number;
        }
        let number = self.append(value, hash, has_length);
        let entries = &self.entries;
        self.numbers
            .insert_unique(hash, number, |number| entries[*number as usize].hash);
        number
    }

    /// Adds a value that is known to be new, or counts as new, and is not looked for later.
    pub(super) fn add(&mut self, value: &[u8], has_length: bool) {
        self.append(value, 0, has_length);
    }

    fn append(&mut self, value: &[u8], hash: u64, has_length: bool) -> u32 {
        // a page is told to be full long before
        let number = u32::try_from(self.entries.len()).unwrap_or(NO_GUESS);
        if has_length {
            self.plain.extend_from_slice(&length(value));
        }
        let start = self.plain.len();
        self.plain.extend_from_slice(value);
        let end = self.plain.len();
        self.entries.push(Entry { start, end, hash });
        number
    }

    /// How many values it holds.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Its values in the order in which they came.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.entries
            .iter()
            .map(|entry| &self.plain[entry.start..entry.end])
    }

    /// The page.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain
    }
}

/// A value's length as it stands before it.
pub(super) fn length(value: &[u8]) -> [u8; 4] {
    // no value is as long as 2 GiB
    u32::try_from(value.len()).unwrap_or_default().to_le_bytes()
}
