//! What was erased, so that no later run brings it back: keyed hashes of conversations' ids, never the ids.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dataset::Secret;
use crate::display::hex;
use crate::error::{Error, Result};
use crate::store;

const FILE: &str = "erased.json";
const VERSION: u32 = 1;

/// The tombstones of a table.
#[derive(Clone, Debug)]
pub struct Tombstones {
    path: PathBuf,
    secret: Secret,
    held: Held,
    known: HashSet<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    version: u32,
    /// 32 random bytes, in hex.
    key: String,
    /// An erasure has begun and has not come to its end.
    unfinished: bool,
    /// HMAC-SHA-256 of each id, in hex.
    tombstones: Vec<String>,
    /// Those of them of which nothing was found.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    not_found: BTreeSet<String>,
}

impl Tombstones {
    /// The tombstones of the table whose own folder this is; `None` where nothing was ever erased.
    ///
    /// # Errors
    /// Where they cannot be read: what was erased could come back unnoticed.
    pub fn load(own_folder: &Path) -> Result<Option<Self>> {
        let path = own_folder.join(FILE);
        let Some(content) = store::read_if_there(&path)? else {
            return Ok(None);
        };
        let held = store::unseal(&content).and_then(|content| content.read::<Held>());
        let held = held.map_err(|error| Error::Usage {
            what: format!("{} is damaged: {error}", path.display()),
            hint: "restore it, or remove it and erase the same conversations again: without it they would come back".into(),
        })?;
        if held.version > VERSION {
            return Err(Error::Usage {
                what: format!("{} is of a newer version", path.display()),
                hint: "update converse-export".into(),
            });
        }
        Self::of(path, held).map(Some)
    }

    /// Tombstones with a new key, which stand nowhere yet.
    ///
    /// # Errors
    /// None that could be named.
    pub fn new(own_folder: &Path) -> Result<Self> {
        let held = Held {
            version: VERSION,
            key: hex(&rand::random::<[u8; 32]>()),
            unfinished: false,
            tombstones: Vec::new(),
            not_found: BTreeSet::new(),
        };
        Self::of(own_folder.join(FILE), held)
    }

    fn of(path: PathBuf, held: Held) -> Result<Self> {
        Ok(Self {
            secret: Secret::new(held.key.as_bytes())
                .ok_or_else(|| Error::Internal(format!("{} holds no key", path.display())))?,
            known: held.tombstones.iter().cloned().collect(),
            path,
            held,
        })
    }

    fn tombstone(&self, id: &str) -> String {
        self.secret.hash(id)
    }

    /// Whether this conversation was erased.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.known.contains(&self.tombstone(id))
    }

    /// Whether an erasure found something of this conversation.
    #[must_use]
    pub fn was_found(&self, id: &str) -> bool {
        let tombstone = self.tombstone(id);
        self.known.contains(&tombstone) && !self.held.not_found.contains(&tombstone)
    }

    /// Whether an erasure has not come to its end.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.held.unfinished
    }

    /// Begins an erasure of conversations, of which something `is_found` or not; durable when this returns.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn begin(
        &mut self,
        ids: impl Iterator<Item = impl AsRef<str>>,
        is_found: impl Fn(&str) -> bool,
    ) -> Result<()> {
        for id in ids {
            let tombstone = self.tombstone(id.as_ref());
            if is_found(id.as_ref()) {
                self.held.not_found.remove(&tombstone);
            } else if !self.known.contains(&tombstone) {
                self.held.not_found.insert(tombstone.clone());
            }
            if self.known.insert(tombstone.clone()) {
                self.held.tombstones.push(tombstone);
            }
        }
        // in the order of hashes, which tells nothing of who was erased when
        self.held.tombstones.sort_unstable();
        self.held.unfinished = true;
        self.save()
    }

    /// Nothing of what was erased is left.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn end(&mut self) -> Result<()> {
        self.held.unfinished = false;
        self.save()
    }

    fn save(&self) -> Result<()> {
        store::write_atomically(&self.path, &store::seal(&self.held)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_are_known_again_and_tell_no_id() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Tombstones::load(folder.path()).unwrap().is_none());
        let mut tombstones = Tombstones::new(folder.path()).unwrap();
        tombstones
            .begin(["conversation-1", "conversation-1"].into_iter(), |_| true)
            .unwrap();
        let content = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(!content.contains("conversation-1"));
        let mut again = Tombstones::load(folder.path()).unwrap().unwrap();
        assert!(again.is_unfinished() && again.has("conversation-1") && !again.has("conversation-2"));
        again.end().unwrap();
        let again = Tombstones::load(folder.path()).unwrap().unwrap();
        assert!(!again.is_unfinished() && again.held.tombstones.len() == 1);
        // one that was not found, until it is
        let mut later = again.clone();
        for (is_found, expected) in [(false, false), (false, false), (true, true), (false, true)] {
            later.begin(["mistyped"].into_iter(), |_| is_found).unwrap();
            let later = Tombstones::load(folder.path()).unwrap().unwrap();
            assert!(later.has("mistyped") && later.was_found("conversation-1"));
            assert_eq!(later.was_found("mistyped"), expected);
        }
        // the same id has another tombstone elsewhere
        let other = Tombstones::new(folder.path()).unwrap();
        assert_ne!(
            other.tombstone("conversation-1"),
            again.tombstone("conversation-1")
        );
        std::fs::write(folder.path().join(FILE), &content[..content.len() / 2]).unwrap();
        assert!(matches!(
            Tombstones::load(folder.path()),
            Err(Error::Usage { .. })
        ));
    }
}
