//! Which keys the records of a page have, and values of which types: what tells that an archive has changed its ways.

use std::collections::BTreeMap;
use std::ops::{AddAssign, BitOr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::json::{Raw, Type};

/// Keys that are told apart, of each page and in all; a customer's flow may make a new key for each conversation.
pub(super) const KEYS: usize = 1_000;
/// Stands before the names of metadata's keys.
pub(super) const METADATA: &str = "metadata.";
/// Names that are longer are told by their beginning.
pub(super) const NAME_CHARS: usize = 100;

/// Types of JSON values, null apart.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct JsonTypes(u8);

const NAMES: [&str; 5] = ["string", "number", "boolean", "list", "object"];

impl JsonTypes {
    pub(super) fn of(value: Raw<'_>) -> Self {
        Self(match value.r#type {
            Type::Null => 0,
            Type::Text => 1,
            Type::Number => 2,
            Type::Bool => 4,
            Type::List => 8,
            Type::Object => 16,
        })
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let has = move |(place, _): &(usize, &&str)| self.0 & (1 << place) != 0;
        NAMES.iter().enumerate().filter(has).map(|(_, name)| *name)
    }

    /// Those that are not among others.
    #[must_use]
    pub fn beyond(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether there is none: only null was seen.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for JsonTypes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Serialize for JsonTypes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for JsonTypes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let place = |name: &String| NAMES.iter().position(|known| known == name);
        Ok(Self(
            names
                .iter()
                .filter_map(place)
                .fold(0, |types, place| types | 1 << place),
        ))
    }
}

/// What was seen of a key.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyObservation {
    /// Records that have it.
    pub records: u64,
    /// The types of its values.
    pub types: JsonTypes,
}

impl AddAssign for KeyObservation {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.types = self.types | other.types;
    }
}

/// What was seen of the keys of records.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ObservedKeys {
    /// Records.
    pub records: u64,
    /// Keys beside the columns by their names, keys of metadata as `metadata.` and their names.
    pub keys: BTreeMap<String, KeyObservation>,
    /// Records that have a value for a column, by the column's field; none where no record has.
    pub values: BTreeMap<String, u64>,
    /// Characters of the answers that no text can hold, each of which is read as U+FFFD.
    pub replaced_characters: u64,
}

impl ObservedKeys {
    /// Takes in what was seen elsewhere, as far as there is room.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.replaced_characters += other.replaced_characters;
        for (name, observation) in &other.keys {
            if self.keys.len() < KEYS || self.keys.contains_key(name) {
                *self.keys.entry(name.clone()).or_default() += *observation;
            }
        }
        for (field, values) in &other.values {
            *self.values.entry(field.clone()).or_default() += values;
        }
    }

    /// Whether there is room for more keys: beyond it a key that is not there may be an old one.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.keys.len() < KEYS
    }
}

#[cfg(test)]
mod tests {
    use crate::dataset::{Dataset, MetadataMode, TableOptions, decode_as};

    #[test]
    fn keys_are_seen_with_their_types_in_every_mode() {
        let page = r#"{"data":[
            {"_id":"1","metadata":{"a":1,"b":"x","c":null},"more":[]},
            {"_id":"2","metadata":{"b":{},"a":"1"},"startTime":"soon"},
            {"_id":"3","metadata":{"a":true,"\ud800":[]}},
            {"_id":"4","locale":"\ufffd and �"},
            {"locale":"\ufffd and \\ud800, of a record without id"}
        ],"cursor":null}"#;
        for metadata in MetadataMode::ALL {
            let table_options = TableOptions {
                metadata,
                ..TableOptions::default()
            };
            let seen = decode_as(Dataset::Conversations, &table_options, None, page.as_bytes())
                .unwrap()
                .observed;
            let told = |name: &str| {
                let observation = seen.keys[name];
                (observation.records, observation.types.names().collect::<Vec<_>>())
            };
            assert_eq!(seen.records, 4);
            assert_eq!(told("metadata.a"), (3, vec!["string", "number", "boolean"]));
            assert_eq!(told("metadata.b"), (2, vec!["string", "object"]));
            assert_eq!(told("metadata.c"), (1, vec![]));
            assert_eq!(told("more"), (1, vec!["list"]));
            assert_eq!(told("startTime"), (1, vec!["string"]));
            assert_eq!(seen.keys.len(), 6);
            // those that were sent so are none
            assert_eq!(seen.replaced_characters, 1);
        }
    }

    #[test]
    fn halves_of_surrogate_pairs_in_keys_are_counted_each_time() {
        let record = |key: &str| format!(r#"{{"_id":1,"metadata":{{"{key}":{{"\udc00":1}}}}}}"#);
        for (keys, expected) in [
            ([r"\ud800", "\u{fffd}", r"\ud800"], 5),
            (["\u{fffd}", r"\ud800", "\u{fffd}"], 4),
            ([r"\ud800", r"\ud800", r"\ud800"], 6),
        ] {
            let page = format!(r#"{{"data":[{}],"cursor":null}}"#, keys.map(record).join(","));
            let decoded = decode_as(
                Dataset::Conversations,
                &TableOptions::default(),
                None,
                page.as_bytes(),
            );
            assert_eq!(decoded.unwrap().observed.replaced_characters, expected, "{page}");
        }
    }

    #[test]
    fn keys_that_are_new_in_each_record_have_a_bound() {
        let records: Vec<String> = (0..3_000)
            .map(|id| format!(r#"{{"_id":"{id}","metadata":{{"k{id}":1,"same":2}}}}"#))
            .collect();
        let page = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
        let seen = decode_as(
            Dataset::Conversations,
            &TableOptions::default(),
            None,
            page.as_bytes(),
        )
        .unwrap()
        .observed;
        assert_eq!(seen.keys.len(), super::KEYS);
        assert_eq!(seen.keys["metadata.same"].records, 3_000);
    }
}
