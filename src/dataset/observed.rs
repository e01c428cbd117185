//! Counts the keys of records and the types of their values, to detect changes of the API.

use std::collections::BTreeMap;
use std::ops::{AddAssign, BitOr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::json::{Raw, Type};

/// Maximum number of distinct keys, per page and in total. A customer's flow may create a new key for each
/// conversation.
pub(super) const KEYS: usize = 1_000;
/// Prefix of metadata keys.
pub(super) const METADATA: &str = "metadata.";
/// Maximum length of a key. Longer ones are shortened.
pub(super) const NAME_CHARS: usize = 100;

/// A set of types of JSON values, without null.
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

    /// Returns their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let has = move |(place, _): &(usize, &&str)| self.0 & (1 << place) != 0;
        NAMES.iter().enumerate().filter(has).map(|(_, name)| *name)
    }

    /// Returns the types that are not in `others`.
    #[must_use]
    pub fn beyond(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether the set is empty: there were only nulls.
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

/// Counts of a key.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyObservation {
    /// Number of records that have it.
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

/// Counts of the keys of records.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ObservedKeys {
    /// Number of records.
    pub records: u64,
    /// Keys without a column by name. Metadata keys have the prefix `metadata.`.
    pub keys: BTreeMap<String, KeyObservation>,
    /// Number of records with a value for a column, by the column's field; no entry if there are none.
    pub values: BTreeMap<String, u64>,
    /// Characters that UTF-8 cannot store, each of which is read as U+FFFD.
    pub replaced_characters: u64,
}

impl ObservedKeys {
    /// Adds other counts, up to the maximum number of keys.
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

    /// Whether there are fewer than the maximum number of keys. Otherwise a missing key may be an old one.
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
            // characters that were sent as U+FFFD do not count
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
