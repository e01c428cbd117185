//! Interns the keys of the objects of a page. Most records have the same keys in the same order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::json::{Raw, Type, Walk, Written};
use super::observed::{JsonTypes, KEYS, KeyObservation, NAME_CHARS};

/// Index of a key in the table.
pub(super) type KeyId = usize;

/// A key and its value; the key is `None` if it is repeated later in the object.
pub(super) type KeyValue<'a> = (Option<KeyId>, Raw<'a>);

/// The known keys, and the current object.
#[derive(Debug)]
pub(super) struct KeyTable<'a> {
    known: Vec<KnownKey<'a>>,
    /// Counts of each key.
    observations: Vec<KeyObservation>,
    /// Recent lists and objects of each key.
    nested: Vec<Nested<'a>>,
    places: HashMap<Cow<'a, str>, KeyId>,
    /// Number of objects so far.
    objects: usize,
    /// The previous key of the current object, or [`BEGIN`].
    before: KeyId,
}

#[derive(Debug)]
struct KnownKey<'a> {
    text: Cow<'a, str>,
    /// The key as it is written, with quotes and colon.
    written: Written<'a>,
    /// Whether that is its compact form.
    compact: bool,
    /// Whether it has no lone surrogates. Lone surrogates are counted where they are read, so such a key is never
    /// skipped as the expected one.
    is_whole: bool,
    /// The key that followed it last time.
    then: KeyId,
    /// The last object that contained it, and its index among the entries there.
    seen: (usize, usize),
}

/// The last lists and objects that were read for a key, and the index of the next one.
#[derive(Clone, Copy, Debug, Default)]
struct Nested<'a> {
    recent: [Raw<'a>; 4],
    next: usize,
}

/// Precedes the first key of each object.
const BEGIN: KeyId = 0;

impl Default for KeyTable<'_> {
    fn default() -> Self {
        let begin = KnownKey {
            text: Cow::Borrowed(""),
            written: Written::new(""),
            compact: true,
            is_whole: true,
            then: BEGIN,
            seen: (0, 0),
        };
        Self {
            known: vec![begin],
            observations: vec![KeyObservation::default()],
            nested: vec![Nested::default()],
            places: HashMap::new(),
            objects: 0,
            before: BEGIN,
        }
    }
}

/// A property of each key in a [`KeyTable`], computed once per key.
#[derive(Debug)]
pub(super) struct PerKey<T>(Vec<Option<T>>);

impl<T> Default for PerKey<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> PerKey<T> {
    /// Returns the property of a key.
    #[inline]
    pub(super) fn of(
        &mut self,
        name: KeyId,
        names: &KeyTable<'_>,
        find: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        while self.0.len() <= name {
            self.0.push(find(names.text(self.0.len())));
        }
        self.0[name]
    }
}

impl<'a> KeyTable<'a> {
    /// Reads the next object into entries. Of a repeated key, the last value is kept.
    pub(super) fn object(&mut self, walk: &mut Walk<'a>, entries: &mut Vec<KeyValue<'a>>) -> Raw<'a> {
        let start = walk.position();
        entries.clear();
        self.begin();
        walk.open();
        // whether all keys and values are compact, and the length of the text in this case: brackets, and a comma
        // between entries
        let (mut compact, mut length) = (true, 1);
        while let Some(name) = self.read(walk) {
            let value = match walk.next() {
                Some(b'{' | b'[') => self.nested(name, walk),
                _ => walk.raw(),
            };
            let known = &self.known[name];
            compact &= known.compact & (known.seen.0 != self.objects) & value.plain;
            length += known.written.text.len() + value.length() + 1;
            self.add(entries, name, value);
        }
        let text = walk.since(start);
        Raw {
            r#type: Type::Object,
            plain: compact && length.max(2) == text.len(),
            text,
        }
    }

    /// Reads a list or an object. Many are equal to a recent one of the same key, which a comparison finds faster
    /// than reading.
    fn nested(&mut self, name: KeyId, walk: &mut Walk<'a>) -> Raw<'a> {
        let nested = &mut self.nested[name];
        if let Some(known) = nested.recent.iter().find(|known| walk.passes(known.text)) {
            return *known;
        }
        let lone_surrogates = walk.lone_surrogates();
        let value = walk.raw();
        if walk.lone_surrogates() == lone_surrogates {
            nested.recent[nested.next] = value;
            nested.next = (nested.next + 1) % nested.recent.len();
        }
        value
    }

    /// Begins an object.
    pub(super) fn begin(&mut self) {
        self.objects += 1;
        self.before = BEGIN;
    }

    /// Reads the next key of the current object.
    #[inline]
    pub(super) fn read(&mut self, walk: &mut Walk<'a>) -> Option<KeyId> {
        let expected = self.known[self.before].then;
        if expected == BEGIN || !walk.key_is(&self.known[expected].written) {
            return self.read_other(walk);
        }
        self.before = expected;
        Some(expected)
    }

    fn read_other(&mut self, walk: &mut Walk<'a>) -> Option<KeyId> {
        let lone_surrogates = walk.lone_surrogates();
        let (key, written) = walk.key_as_written()?;
        let text = key.text();
        let name = match self.places.get(&text) {
            Some(name) => *name,
            None => {
                let name = self.known.len();
                self.known.push(KnownKey {
                    text: text.clone(),
                    written: Written::new(written),
                    is_whole: walk.lone_surrogates() == lone_surrogates,
                    compact: key.as_written().is_some_and(|key| key.len() + 3 == written.len()),
                    then: BEGIN,
                    seen: (0, 0),
                });
                self.observations.push(KeyObservation::default());
                self.nested.push(Nested::default());
                self.places.insert(text, name);
                name
            }
        };
        if self.known[name].is_whole {
            self.known[self.before].then = name;
        }
        self.before = name;
        Some(name)
    }

    /// Adds an entry. A later value of the same key replaces an earlier one.
    #[inline]
    pub(super) fn add(&mut self, entries: &mut Vec<KeyValue<'a>>, name: KeyId, value: Raw<'a>) {
        let known = &mut self.known[name];
        if known.seen.0 == self.objects
            && let Some(earlier) = entries.get_mut(known.seen.1)
        {
            earlier.0 = None;
        }
        known.seen = (self.objects, entries.len());
        entries.push((Some(name), value));
    }

    /// Returns the text of a key.
    #[inline]
    pub(super) fn text(&self, name: KeyId) -> &str {
        &self.known[name].text
    }

    /// Counts the keys of an object.
    pub(super) fn observe(&mut self, entries: &[KeyValue<'a>]) {
        for (name, value) in entries {
            if let Some(name) = name {
                self.observations[*name] += KeyObservation {
                    records: 1,
                    types: JsonTypes::of(*value),
                };
            }
        }
    }

    /// Adds the counts of the keys, each with `prefix`, up to a maximum number of keys.
    pub(super) fn observations(&self, prefix: &str, keys: &mut BTreeMap<String, KeyObservation>) {
        let known = self.known.iter().zip(&self.observations);
        let noted = known.filter(|(_, observation)| observation.records > 0);
        for (known, observation) in noted.take(KEYS) {
            let name: String = known.text.chars().take(NAME_CHARS).collect();
            *keys.entry(format!("{prefix}{name}")).or_default() += *observation;
        }
    }
}
