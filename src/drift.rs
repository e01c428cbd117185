//! Drift: how the records of the API have changed since earlier runs. It is reported, and is not an error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, JsonTypes, ObservedKeys};

/// A key counts as vanished if it was in this share of at least [`RECORDS`] records, and is in none of as many.
const SHARE: f64 = 0.9;
const RECORDS: u64 = 1_000;
/// Number of keys that are listed by name.
const LISTED: usize = 5;

/// Differences from earlier runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drift {
    /// New keys, with the types of their values.
    pub new: BTreeMap<String, JsonTypes>,
    /// Keys whose values have new types.
    pub changed: BTreeMap<String, TypeChange>,
    /// Keys and fields that nearly every record had, and none has.
    pub vanished: Vec<String>,
    /// Number of values that did not fit their columns and are in `extra`, by field, and of invalid characters that were
    /// replaced, as `replaced_characters`.
    pub repaired: BTreeMap<String, u64>,
}

/// The types of a key's values, before and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeChange {
    /// Types in earlier runs.
    pub was: JsonTypes,
    /// New types.
    pub now: JsonTypes,
}

impl Drift {
    /// Compares the records of a run with those of earlier runs. A first run has only repaired values.
    #[must_use]
    pub fn between(dataset: Dataset, known: &ObservedKeys, run: &ObservedKeys) -> Self {
        let mut drift = Self::default();
        let is_declared = |name: &str| dataset.columns().iter().any(|column| column.field == name);
        for (name, sight) in &run.keys {
            if is_declared(name) {
                drift.repaired.insert(name.clone(), sight.records);
                continue;
            }
            match known.keys.get(name) {
                None if known.records > 0 && known.has_room() => {
                    drift.new.insert(name.clone(), sight.types);
                }
                Some(before) if !before.types.is_empty() => {
                    let (was, now) = (before.types, sight.types.beyond(before.types));
                    if !now.is_empty() {
                        drift.changed.insert(name.clone(), TypeChange { was, now });
                    }
                }
                _ => {}
            }
        }
        if known.records >= RECORDS && run.records >= RECORDS {
            let most = |records: u64| records as f64 >= SHARE * known.records as f64;
            let fields = known.values.iter().filter(|(field, values)| {
                most(**values) && !run.values.contains_key(*field) && !run.keys.contains_key(*field)
            });
            let keys = known.keys.iter().filter(|(name, sight)| {
                most(sight.records) && run.has_room() && !run.keys.contains_key(*name) && !is_declared(name)
            });
            let gone = fields.map(|(name, _)| name).chain(keys.map(|(name, _)| name));
            drift.vanished = gone.cloned().collect();
            drift.vanished.sort_unstable();
        }
        if run.replaced_characters > 0 {
            let replaced = "replaced_characters".to_owned();
            drift.repaired.insert(replaced, run.replaced_characters);
        }
        drift
    }

    /// Adds the drift of another bot.
    pub fn add(&mut self, other: Self) {
        for (name, types) in other.new {
            let known = self.new.entry(name).or_default();
            *known = *known | types;
        }
        self.changed.extend(other.changed);
        self.vanished.extend(other.vanished);
        self.vanished.sort_unstable();
        self.vanished.dedup();
        for (name, count) in other.repaired {
            *self.repaired.entry(name).or_default() += count;
        }
    }

    /// Whether there are no differences.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Number of keys with a difference.
    #[must_use]
    pub fn count(&self) -> usize {
        self.new.len() + self.changed.len() + self.vanished.len() + self.repaired.len()
    }

    /// Describes the differences, one line each.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let types = |types: JsonTypes| types.names().collect::<Vec<_>>().join(" or ");
        let new = self.new.iter().map(|(name, seen)| match seen.is_empty() {
            true => name.clone(),
            false => format!("{name} ({})", types(*seen)),
        });
        let changed = self.changed.iter();
        let changed = changed.map(|(name, change)| {
            format!(
                "{name} ({}, before only {})",
                types(change.now),
                types(change.was)
            )
        });
        let repaired = self
            .repaired
            .iter()
            .map(|(name, count)| format!("{name} ({count})"));
        [
            ("new fields", listed(new)),
            ("changed types", listed(changed)),
            ("missing fields", listed(self.vanished.iter().cloned())),
            ("values that did not fit their columns", listed(repaired)),
        ]
        .into_iter()
        .filter_map(|(what, names)| Some(format!("{what}: {}", names?)))
        .collect()
    }
}

/// Lists the first names and the number of others; `None` if there are none.
fn listed(mut names: impl Iterator<Item = String>) -> Option<String> {
    let first: Vec<String> = names.by_ref().take(LISTED).collect();
    let more = names.count();
    match (first.is_empty(), more) {
        (true, _) => None,
        (_, 0) => Some(first.join(", ")),
        _ => Some(format!("{} and {more} more", first.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::decode;

    fn observed(records: u64, metadata: &str) -> ObservedKeys {
        let record = |id| format!(r#"{{"_id":"{id}","startTime":1,"metadata":{metadata}}}"#);
        let records: Vec<String> = (0..records).map(record).collect();
        let page = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
        decode(Dataset::Conversations, page.as_bytes()).unwrap().observed
    }

    fn between(known: &ObservedKeys, run: &ObservedKeys) -> Drift {
        Drift::between(Dataset::Conversations, known, run)
    }

    #[test]
    fn new_changed_missing_and_repaired_fields_are_described() {
        let known = observed(1_000, r#"{"plan":"x","seats":1,"old":true}"#);
        let run = observed(1_000, r#"{"plan":"x","seats":"1","fresh":{}}"#);
        let drift = between(&known, &run);
        assert_eq!(
            drift.describe(),
            [
                "new fields: metadata.fresh (object)",
                "changed types: metadata.seats (string, before only number)",
                "missing fields: metadata.old",
            ]
        );
        assert_eq!(drift.count(), 3);
        // also a documented field
        let mut untimed = known.clone();
        untimed.values.remove("startTime");
        let gone = between(&known, &untimed);
        assert_eq!(gone.describe(), ["missing fields: startTime"]);
        assert!(between(&untimed, &known).is_empty());
        // too few records to call a field missing
        assert!(between(&known, &observed(10, r#"{"plan":"x","seats":1}"#)).is_empty());
        // a first run has no earlier runs, but reports repaired values
        let text = between(&ObservedKeys::default(), &observed(3, r#""none""#));
        assert_eq!(
            text.describe(),
            ["values that did not fit their columns: metadata (3)"]
        );
        assert!(between(&known, &known).is_empty());
        let json = serde_json::to_string(&drift).unwrap();
        assert_eq!(serde_json::from_str::<Drift>(&json).unwrap(), drift);
    }
}
