//! Counts the keys of maps, a batch of rows at a time, in memory that has a bound.

use arrow::array::{Array, MapArray};
use hashbrown::HashMap;
use jiff::civil::Date;

use super::look::Look;
use crate::dataset::entries_of;

/// Keys that are told apart, and the bytes of their names; a customer's flow may make a new key for each conversation.
const KEYS: usize = 10_000;
const KEY_BYTES: usize = 4 << 20;
/// Examples of a key, and the characters of one.
const EXAMPLES: usize = 3;
const EXAMPLE_CHARS: usize = 60;

/// What is known of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) looks: [u64; Look::ALL.len()],
    pub(super) first: Option<Date>,
    pub(super) last: Option<Date>,
    pub(super) examples: Vec<String>,
}

impl Seen {
    pub(super) fn values(&self) -> u64 {
        self.looks.iter().sum()
    }

    fn add(&mut self, value: Option<&str>, look: Look, day: Option<Date>, with_examples: bool) {
        self.looks[look as usize] += 1;
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
        for (count, more) in self.looks.iter_mut().zip(other.looks) {
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

/// A value, shortened.
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
pub(crate) struct Tally {
    /// Each key, in the order in which they were met.
    keys: Vec<String>,
    /// What is known of each of them.
    seen: Vec<Seen>,
    /// Where each of them stands.
    places: HashMap<String, usize>,
    bytes: usize,
    /// Values of keys that there was no room for.
    pub(super) others: u64,
}

impl Tally {
    /// Adds the maps of those rows that count; with the day of each, where it has one. What the values are is told by
    /// `looks`, an entry each, or else by what they look like.
    pub(crate) fn add(
        &mut self,
        maps: &MapArray,
        looks: Option<&[Look]>,
        days: &[Option<Option<Date>>],
        with_examples: bool,
    ) {
        let (keys, values, places) = entries_of(maps);
        // a row mostly has the keys of the row before it, in the same order
        let mut expected: Vec<usize> = Vec::new();
        for (row, day) in days.iter().enumerate() {
            let (Some(day), true) = (day, maps.is_valid(row)) else {
                continue;
            };
            for (nth, entry) in places(row).enumerate() {
                let key = keys.value(entry);
                let place = match expected.get(nth) {
                    Some(place) if self.keys[*place] == key => Some(*place),
                    _ => self.place(key),
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
                let look = looks.and_then(|looks| looks.get(entry).copied());
                let look = look.unwrap_or_else(|| Look::of(value));
                self.seen[place].add(value, look, *day, with_examples);
            }
        }
    }

    /// Adds what another part counted; in the same order always, so that what there is room for is no matter of chance.
    pub(crate) fn merge(&mut self, other: Self) {
        self.others += other.others;
        for (key, seen) in other.keys.into_iter().zip(other.seen) {
            match self.place(&key) {
                Some(place) => self.seen[place].merge(seen),
                None => self.others += seen.values(),
            }
        }
    }

    /// The place of a key; `None` where there is no room for a new one.
    fn place(&mut self, key: &str) -> Option<usize> {
        if let Some(place) = self.places.get(key) {
            return Some(*place);
        }
        if self.seen.len() == KEYS || self.bytes + key.len() > KEY_BYTES {
            return None;
        }
        let place = self.seen.len();
        self.bytes += key.len();
        self.places.insert(key.to_owned(), place);
        self.keys.push(key.to_owned());
        self.seen.push(Seen::default());
        Some(place)
    }

    /// Every key with what is known of it.
    pub(super) fn into_keys(self) -> impl Iterator<Item = (String, Seen)> {
        self.keys.into_iter().zip(self.seen)
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
        let mut tally = Tally::default();
        tally.add(&maps, None, &[day(2), day(1), None, day(3), Some(None)], true);
        let keys: BTreeMap<_, _> = tally.into_keys().collect();
        let of = |key: &str| keys[key].clone();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((of("a").values(), of("b").values(), of("c").values()), (3, 2, 1));
        assert_eq!(of("a").looks[Look::Integer as usize], 2);
        assert_eq!(of("a").examples, ["1", "2.5"]);
        assert_eq!((of("a").first, of("a").last), (day(1).unwrap(), day(2).unwrap()));
        assert_eq!(of("b").looks[Look::Null as usize], 1);
    }

    #[test]
    fn parts_add_up_and_new_keys_without_end_do_not_fill_the_memory() {
        let names: Vec<String> = (0..KEYS + 10).map(|number| format!("key {number}")).collect();
        let rows: Vec<[(&str, Option<&str>); 1]> =
            names.iter().map(|name| [(name.as_str(), Some("v"))]).collect();
        let rows: Vec<&[(&str, Option<&str>)]> = rows.iter().map(|row| &row[..]).collect();
        let days = vec![Some(None); rows.len()];
        let counted = |rows: &[&[(&str, Option<&str>)]]| {
            let mut tally = Tally::default();
            tally.add(&maps(rows), None, &days[..rows.len()], true);
            tally
        };
        let mut all = counted(&rows[..5]);
        all.merge(counted(&rows));
        assert_eq!(all.others, 10);
        let keys: BTreeMap<_, _> = all.into_keys().collect();
        assert_eq!(keys.len(), KEYS);
        assert_eq!((keys["key 0"].values(), keys["key 9"].values()), (2, 1));
        assert!(!keys.contains_key("key 10009"));

        let long = "é".repeat(KEY_BYTES);
        let mut tally = counted(&[&[(long.as_str(), Some(long.as_str())), ("short", Some(&long))]]);
        assert_eq!(tally.others, 1);
        tally.merge(counted(&[&[("short", Some(&long))]]));
        let (key, short) = tally.into_keys().next().unwrap();
        assert_eq!(key, "short");
        assert_eq!(short.examples, [format!("{}…", "é".repeat(EXAMPLE_CHARS))]);
        assert_eq!(short.values(), 2);
    }
}
