//! Privacy rules: they drop keys, hash values and mask addresses in rows. Only the spool has the original records.
//!
//! Rules are applied to the text in rows, so that the same code applies to rows of pages and to rows of a table. They
//! apply at any depth within text that is a JSON object or list.

mod mask;
mod nested;
mod pattern;

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::arrays::Maps;
use super::column::{entries_of, list_element};
use super::compact::push_text;
use super::json::{Value, whole};
use super::observed::{METADATA, ObservedKeys};
use crate::display::hex;
use pattern::Path;
pub use pattern::Pattern;

/// The privacy rules of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrivacyRules {
    /// Keys that are dropped with their values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_keys: Vec<Pattern>,
    /// Keys whose values are replaced by their HMAC-SHA-256, in hex.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hash_keys: Vec<Pattern>,
    /// Whether the last part of IP addresses is set to zero.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mask_ip: bool,
    /// Identifies the secret of the hashes without containing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_check: Option<String>,
}

impl PrivacyRules {
    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.drop_keys.is_empty() && self.hash_keys.is_empty() && !self.mask_ip
    }

    /// Sorts the rules and removes repeated ones.
    fn sorted(mut self) -> Self {
        for patterns in [&mut self.drop_keys, &mut self.hash_keys] {
            patterns.sort_unstable();
            patterns.dedup();
        }
        self
    }

    /// Formats patterns for messages.
    pub fn display_list(patterns: &[Pattern]) -> String {
        match patterns {
            [] => "nothing".into(),
            patterns => patterns
                .iter()
                .map(Pattern::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    /// Returns the rules that must still be applied to rows with the `earlier` rules. A value is not hashed twice.
    #[must_use]
    pub fn beyond(&self, earlier: &Self) -> Self {
        let lacking = |all: &[Pattern], some: &[Pattern]| {
            let lacking = all.iter().filter(|pattern| !some.contains(pattern));
            lacking.cloned().collect()
        };
        Self {
            drop_keys: lacking(&self.drop_keys, &earlier.drop_keys),
            hash_keys: lacking(&self.hash_keys, &earlier.hash_keys),
            mask_ip: self.mask_ip && !earlier.mask_ip,
            secret_check: self.secret_check.clone(),
        }
    }
}

/// Requested privacy rules. For what is not given, those of the table apply.
#[derive(Clone, Debug, Default)]
pub struct PrivacyOptions {
    /// All keys to drop.
    pub drop_keys: Option<Vec<Pattern>>,
    /// All keys to hash.
    pub hash_keys: Option<Vec<Pattern>>,
    /// Whether to mask addresses. They are always masked in a table that already masks them.
    pub mask_ip: bool,
    /// The secret of the hashes.
    pub secret: Option<Secret>,
}

impl PrivacyOptions {
    /// Returns the rules of a table with `rules`, or of a new table.
    #[must_use]
    pub fn replacing(&self, rules: &PrivacyRules) -> PrivacyRules {
        self.with(rules, |asked, has| asked.unwrap_or(has).to_vec())
    }

    /// Adds the requested rules to `rules`: removed values cannot be restored.
    #[must_use]
    pub fn adding_to(&self, rules: &PrivacyRules) -> PrivacyRules {
        self.with(rules, |asked, has| [has, asked.unwrap_or_default()].concat())
    }

    fn with(
        &self,
        rules: &PrivacyRules,
        joined: impl Fn(Option<&[Pattern]>, &[Pattern]) -> Vec<Pattern>,
    ) -> PrivacyRules {
        let hash_keys = joined(self.hash_keys.as_deref(), &rules.hash_keys);
        let secret = self.secret.as_ref().filter(|_| !hash_keys.is_empty());
        let secret_check = rules.secret_check.clone();
        let rules = PrivacyRules {
            drop_keys: joined(self.drop_keys.as_deref(), &rules.drop_keys),
            hash_keys,
            mask_ip: self.mask_ip || rules.mask_ip,
            secret_check: secret_check.or_else(|| secret.map(Secret::check)),
        };
        rules.sorted()
    }
}

/// Why rules cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivacyError {
    /// There are keys to hash, but no secret.
    #[error("cannot hash keys: there is no secret")]
    NoSecret,
    /// The secret is not that of the table's hashes.
    #[error("cannot hash keys: the secret is not that of the table")]
    OtherSecret,
}

/// The secret of hashed values.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

/// Does not show the secret.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Creates a secret; `None` if it is empty.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let keyed = Hmac::new_from_slice(bytes).ok()?;
        (!bytes.is_empty()).then_some(Self(keyed))
    }

    /// Returns the HMAC-SHA-256 of a text, in lower-case hex.
    pub fn hash(&self, text: &str) -> String {
        let mut keyed = self.0.clone();
        keyed.update(text.as_bytes());
        hex(&keyed.finalize().into_bytes())
    }

    /// Returns a text that identifies the secret.
    pub fn check(&self) -> String {
        let mut check = self.hash("converse-export: is this the table's secret?");
        check.truncate(16);
        check
    }
}

/// Applies privacy rules to rows.
#[derive(Clone, Debug)]
pub struct PrivacyFilter {
    rules: PrivacyRules,
    /// Keys whose values are already hashed.
    hashed: Vec<Pattern>,
    secret: Option<Secret>,
}

/// What a rule does with the value of a key.
enum KeyAction {
    Stays,
    Goes,
    IsHashed,
}

impl PrivacyFilter {
    /// Creates a filter for rows of pages.
    pub fn new(rules: &PrivacyRules, secret: Option<Secret>) -> Result<Self, PrivacyError> {
        Self::after(rules, &PrivacyRules::default(), secret)
    }

    /// Creates a filter for rows with the `earlier` rules.
    pub fn after(
        rules: &PrivacyRules,
        earlier: &PrivacyRules,
        secret: Option<Secret>,
    ) -> Result<Self, PrivacyError> {
        let is_known = |secret: &Secret| {
            rules
                .secret_check
                .as_ref()
                .is_none_or(|check| *check == secret.check())
        };
        let lacking = rules.beyond(earlier);
        match &secret {
            None if !lacking.hash_keys.is_empty() => Err(PrivacyError::NoSecret),
            Some(secret) if !rules.hash_keys.is_empty() && !is_known(secret) => {
                Err(PrivacyError::OtherSecret)
            }
            _ => Ok(Self {
                rules: lacking,
                hashed: earlier.hash_keys.clone(),
                secret,
            }),
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Applies the rules to the columns of rows. Ids, references and times do not change.
    pub(super) fn apply(&self, dataset: super::Dataset, columns: Vec<ArrayRef>) -> Vec<ArrayRef> {
        if self.is_empty() {
            return columns;
        }
        let stays = |column: usize| {
            let declared = dataset.columns().get(column);
            declared.is_some_and(|column| matches!(column.kind, super::Kind::Id | super::Kind::Reference))
        };
        let columns = columns.into_iter().enumerate();
        let columns = columns.map(|(column, array)| match array.data_type() {
            _ if stays(column) => array,
            DataType::Utf8 => Arc::new(self.texts(array.as_string())) as ArrayRef,
            DataType::List(_) => Arc::new(self.list(array.as_list())) as ArrayRef,
            DataType::Map(..) => Arc::new(self.map(array.as_map())) as ArrayRef,
            _ => array,
        });
        columns.collect()
    }

    /// Removes dropped keys from the counts of keys.
    pub(super) fn seen(&self, observed: &mut ObservedKeys) {
        observed.keys.retain(|name, _| {
            let mut path = Path::default();
            path.enter(name.strip_prefix(METADATA).unwrap_or(name));
            !matches!(self.action(&path), KeyAction::Goes)
        });
    }

    fn texts(&self, texts: &StringArray) -> StringArray {
        let mut cleaned = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        for text in texts {
            cleaned.append_option(text.map(|text| self.text(&mut Path::default(), text)));
        }
        cleaned.finish()
    }

    fn list(&self, list: &ListArray) -> ListArray {
        let elements = self.texts(list.values().as_string());
        ListArray::new(
            Arc::new(list_element()),
            list.offsets().clone(),
            Arc::new(elements),
            list.nulls().cloned(),
        )
    }

    fn map(&self, map: &MapArray) -> MapArray {
        let (keys, values, places) = entries_of(map);
        let mut cleaned = Maps::default();
        for row in 0..map.len() {
            for place in places(row) {
                let key = keys.value(place);
                let value = values.is_valid(place).then(|| values.value(place));
                let mut path = Path::default();
                let inside = path.enter(key);
                let value = match (self.action(&path), value) {
                    (KeyAction::Goes, _) => continue,
                    (_, None) => None,
                    (KeyAction::IsHashed, Some(value)) => Some(Cow::Owned(self.hash(value))),
                    (KeyAction::Stays, Some(value)) => Some(self.text(&mut path, value)),
                };
                path.leave(inside);
                cleaned.entry(key, value.as_deref());
            }
            cleaned.end(map.is_valid(row));
        }
        cleaned.finish()
    }

    /// Applies the rules to a text at this path.
    fn text<'a>(&self, path: &mut Path, text: &'a str) -> Cow<'a, str> {
        let bare = text.trim();
        if bare.starts_with(['{', '[', '"']) {
            match whole(bare) {
                Some(Value::Object(_) | Value::List(_)) => {
                    return self.nested(path, bare).map_or(Cow::Borrowed(text), Cow::Owned);
                }
                // a JSON string within a JSON string: each level makes the text 1.5 times as long, so there are few
                Some(Value::Text(packed)) => {
                    return match self.text(path, &packed.text()) {
                        Cow::Borrowed(_) => Cow::Borrowed(text),
                        Cow::Owned(cleaned) => {
                            let mut packed = String::new();
                            push_text(&cleaned, &mut packed);
                            Cow::Owned(packed)
                        }
                    };
                }
                _ => {}
            }
        }
        match self.rules.mask_ip {
            true => mask::masked(text),
            false => Cow::Borrowed(text),
        }
    }

    fn action(&self, path: &Path) -> KeyAction {
        let meets = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.meets(path));
        if meets(&self.rules.drop_keys) {
            KeyAction::Goes
        } else if meets(&self.rules.hash_keys) && !meets(&self.hashed) {
            KeyAction::IsHashed
        } else {
            KeyAction::Stays
        }
    }

    /// Returns the hash of a text; empty without a secret, which [`PrivacyFilter::new`] rules out.
    fn hash(&self, text: &str) -> String {
        self.secret
            .as_ref()
            .map(|secret| secret.hash(text))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
