//! Counts the keys of maps, batch by batch, with bounded memory.

use arrow::array::{Array, MapArray};
use hashbrown::HashMap;
use jiff::civil::Date;

use super::value_type::ValueType;
use crate::dataset::entries_of;

/// Maximum number of keys, and of bytes of their names. A customer's flow may create a key for each conversation.
const KEYS: usize = 10_000;
const KEY_BYTES: usize = 4 << 20;
/// Maximum number of examples of a key, and of their characters.
const EXAMPLES: usize = 3;
const EXAMPLE_CHARS: usize = 60;

/// Statistics of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyStats {
    pub(super) types: [u64; ValueType::ALL.len()],
    pub(super) first: Option<Date>,
    pub(super) last: Option<Date>,
    pub(super) examples: Vec<String>,
}

impl KeyStats {
    pub(super) fn values(&self) -> u64 {
        self.types.iter().sum()
    }

    fn add(&mut self, value: Option<&str>, value_type: ValueType, day: Option<Date>, with_examples: bool) {
        self.types[value_type as usize] += 1;
        self.on(day, day);
        if let (true, Some(text)) = (with_examples && self.examples.len() < EXAMPLES, value)
            && !self.examples.iter().any(|example| is_example(example, text))
        {
            self.examples.push(example(text));
        }
    }

    fn on(&mut self, first: Option<Date>, last: Option<Date>) {
        self.first = [self.first, first].into_iter().flatten().min();
        self.last = self.last.max(last);
    }

    fn merge(&mut self, other: Self) {
        for (count, more) in self.types.iter_mut().zip(other.types) {
            *count += more;
        }
        self.on(other.first, other.last);
        for example in other.examples {
            if self.examples.len() < EXAMPLES && !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
    }
}

/// Truncates a value for an example.
fn example(text: &str) -> String {
    match text.char_indices().nth(EXAMPLE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn is_example(example: &str, text: &str) -> bool {
    match example.strip_suffix('…') {
        Some(begin) => text.starts_with(begin),
        None => example == text,
    }
}

/// The keys of one column.
#[derive(Debug, Default)]
pub(crate) struct KeyCounts {
    /// Keys in the order of their first occurrence.
    keys: Vec<String>,
    /// Statistics of each key.
    stats: Vec<KeyStats>,
    /// Index of each key.
    places: HashMap<String, usize>,
    bytes: usize,
    /// Number of values of keys beyond the bounds.
    pub(super) others: u64,
}

impl KeyCounts {
    /// Adds the maps of the rows with an entry in `days`, which is their day if they have a time. The types of values are
    /// `types`, one per entry, or else are guessed from the texts.
    pub(crate) fn add(
        &mut self,
        maps: &MapArray,
        types: Option<&[ValueType]>,
        days: &[Option<Option<Date>>],
        with_examples: bool,
    ) {
        let (keys, values, places) = entries_of(maps);
        // a row mostly has the keys of the previous row, in the same order
        let mut expected: Vec<usize> = Vec::new();
        for (row, day) in days.iter().enumerate() {
            let (Some(day), true) = (day, maps.is_valid(row)) else {
                continue;
            };
            for (nth, entry) in places(row).enumerate() {
                let key = keys.value(entry);
                let place = match expected.get(nth) {
                    Some(place) if self.keys[*place] == key => Some(*place),
                    _ => self.index_of(key),
                };
                let Some(place) = place else {
                    self.others += 1;
                    continue;
                };
                match expected.get_mut(nth) {
                    Some(expected) => *expected = place,
                    None => expected.push(place),
                }
                let value = values.is_valid(entry).then(|| values.value(entry));
                let value_type = types.and_then(|types| types.get(entry).copied());
                let value_type = value_type.unwrap_or_else(|| ValueType::of(value));
                self.stats[place].add(value, value_type, *day, with_examples);
            }
        }
    }

    /// Adds the counts of another part. Parts are added in a fixed order, so that the bounds apply deterministically.
    pub(crate) fn merge(&mut self, other: Self) {
        self.others += other.others;
        for (key, stats) in other.keys.into_iter().zip(other.stats) {
            match self.index_of(&key) {
                Some(place) => self.stats[place].merge(stats),
                None => self.others += stats.values(),
            }
        }
    }

    /// Returns the index of a key, which is added if needed; `None` if the bounds are reached.
    fn index_of(&mut self, key: &str) -> Option<usize> {
        if let Some(place) = self.places.get(key) {
            return Some(*place);
        }
        if self.stats.len() == KEYS || self.bytes + key.len() > KEY_BYTES {
            return None;
        }
        let place = self.stats.len();
        self.bytes += key.len();
        self.places.insert(key.to_owned(), place);
        self.keys.push(key.to_owned());
        self.stats.push(KeyStats::default());
        Some(place)
    }

    /// Returns every key with its statistics.
    pub(super) fn into_keys(self) -> impl Iterator<Item = (String, KeyStats)> {
        self.keys.into_iter().zip(self.stats)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{MapBuilder, StringBuilder};

    use super::*;

    fn maps(rows: &[&[(&str, Option<&str>)]]) -> MapArray {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for row in rows {
            for (key, value) in *row {
                builder.keys().append_value(key);
                builder.values().append_option(*value);
            }
            builder.append(true).unwrap();
        }
        builder.finish()
    }

    #[test]
    fn keys_are_counted_whatever_their_order() {
        let day = |day| Some(Some(jiff::civil::date(2023, 10, day)));
        let maps = maps(&[
            &[("a", Some("1")), ("b", None)],
            &[("b", Some("x")), ("a", Some("1")), ("c", Some("y"))],
            &[("a", Some("not counted"))],
            &[],
            &[("a", Some("2.5"))],
        ]);
        let mut counts = KeyCounts::default();
        counts.add(&maps, None, &[day(2), day(1), None, day(3), Some(None)], true);
        let keys: BTreeMap<_, _> = counts.into_keys().collect();
        let of = |key: &str| keys[key].clone();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((of("a").values(), of("b").values(), of("c").values()), (3, 2, 1));
        assert_eq!(of("a").types[ValueType::Integer as usize], 2);
        assert_eq!(of("a").examples, ["1", "2.5"]);
        assert_eq!((of("a").first, of("a").last), (day(1).unwrap(), day(2).unwrap()));
        assert_eq!(of("b").types[ValueType::Null as usize], 1);
    }

    #[test]
    fn parts_add_up_and_the_number_of_keys_is_bounded() {
        let names: Vec<String> = (0..KEYS + 10).map(|number| format!("key {number}")).collect();
        let rows: Vec<[(&str, Option<&str>); 1]> =
            names.iter().map(|name| [(name.as_str(), Some("v"))]).collect();
        let rows: Vec<&[(&str, Option<&str>)]> = rows.iter().map(|row| &row[..]).collect();
        let days = vec![Some(None); rows.len()];
        let counted = |rows: &[&[(&str, Option<&str>)]]| {
            let mut counts = KeyCounts::default();
            counts.add(&maps(rows), None, &days[..rows.len()], true);
            counts
        };
        let mut all = counted(&rows[..5]);
        all.merge(counted(&rows));
        assert_eq!(all.others, 10);
        let keys: BTreeMap<_, _> = all.into_keys().collect();
        assert_eq!(keys.len(), KEYS);
        assert_eq!((keys["key 0"].values(), keys["key 9"].values()), (2, 1));
        assert!(!keys.contains_key("key 10009"));

        let long = "é".repeat(KEY_BYTES);
        let mut counts = counted(&[&[(long.as_str(), Some(long.as_str())), ("short", Some(&long))]]);
        assert_eq!(counts.others, 1);
        counts.merge(counted(&[&[("short", Some(&long))]]));
        let (key, short) = counts.into_keys().next().unwrap();
        assert_eq!(key, "short");
        assert_eq!(short.examples, [format!("{}…", "é".repeat(EXAMPLE_CHARS))]);
        assert_eq!(short.values(), 2);
    }
}
