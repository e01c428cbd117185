//! Tombstones of erased conversations: keyed hashes of their ids, which prevent later exports of them.

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
    content: FileContent,
    known: HashSet<String>,
}

/// The content of `erased.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FileContent {
    version: u32,
    /// 32 random bytes, in hex.
    key: String,
    /// Whether an erasure has begun and not ended.
    unfinished: bool,
    /// HMAC-SHA-256 of each id, in hex.
    tombstones: Vec<String>,
    /// Tombstones of conversations that were not found.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    not_found: BTreeSet<String>,
}

impl Tombstones {
    /// Reads the tombstones of a table; `None` if nothing was ever erased.
    ///
    /// # Errors
    /// If they cannot be read, since erased conversations could be exported again.
    pub fn load(own_folder: &Path) -> Result<Option<Self>> {
        let path = own_folder.join(FILE);
        let Some(content) = store::read_if_there(&path)? else {
            return Ok(None);
        };
        let read = store::unseal(&content).and_then(|content| content.read::<FileContent>());
        let content = read.map_err(|error| Error::Usage {
            what: format!("{} is damaged: {error}", path.display()),
            hint: "restore the file, or remove it and erase the same conversations again, which would otherwise be exported again".into(),
        })?;
        if content.version > VERSION {
            return Err(Error::Usage {
                what: format!("cannot read {}: it has a newer version", path.display()),
                hint: "update converse-export".into(),
            });
        }
        Self::of(path, content).map(Some)
    }

    /// Creates tombstones with a new key, in memory only.
    ///
    /// # Errors
    /// If the key cannot be used, which does not happen.
    pub fn new(own_folder: &Path) -> Result<Self> {
        let content = FileContent {
            version: VERSION,
            key: hex(&rand::random::<[u8; 32]>()),
            unfinished: false,
            tombstones: Vec::new(),
            not_found: BTreeSet::new(),
        };
        Self::of(own_folder.join(FILE), content)
    }

    fn of(path: PathBuf, content: FileContent) -> Result<Self> {
        Ok(Self {
            secret: Secret::new(content.key.as_bytes())
                .ok_or_else(|| Error::Internal(format!("{} contains no key", path.display())))?,
            known: content.tombstones.iter().cloned().collect(),
            path,
            content,
        })
    }

    fn tombstone(&self, id: &str) -> String {
        self.secret.hash(id)
    }

    /// Whether a conversation was erased.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.known.contains(&self.tombstone(id))
    }

    /// Whether an erasure found records of a conversation.
    #[must_use]
    pub fn was_found(&self, id: &str) -> bool {
        let tombstone = self.tombstone(id);
        self.known.contains(&tombstone) && !self.content.not_found.contains(&tombstone)
    }

    /// Whether an erasure has begun and not ended.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.content.unfinished
    }

    /// Begins an erasure; durable when this returns. `is_found` says whether the table has records of a conversation.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn begin(
        &mut self,
        ids: impl Iterator<Item = impl AsRef<str>>,
        is_found: impl Fn(&str) -> bool,
    ) -> Result<()> {
        for id in ids {
            let tombstone = self.tombstone(id.as_ref());
            if is_found(id.as_ref()) {
                self.content.not_found.remove(&tombstone);
            } else if !self.known.contains(&tombstone) {
                self.content.not_found.insert(tombstone.clone());
            }
            if self.known.insert(tombstone.clone()) {
                self.content.tombstones.push(tombstone);
            }
        }
        // sorted, so that the order does not show when each was erased
        self.content.tombstones.sort_unstable();
        self.content.unfinished = true;
        self.save()
    }

    /// Ends an erasure.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn end(&mut self) -> Result<()> {
        self.content.unfinished = false;
        self.save()
    }

    fn save(&self) -> Result<()> {
        store::write_atomically(&self.path, &store::seal(&self.content)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_are_read_back_and_contain_no_id() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Tombstones::load(folder.path()).unwrap().is_none());
        let mut tombstones = Tombstones::new(folder.path()).unwrap();
        tombstones
            .begin(["conversation-1", "conversation-1"].into_iter(), |_| true)
            .unwrap();
        let content = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(!content.contains("conversation-1"));
        let mut again = Tombstones::load(folder.path()).unwrap().unwrap();
        assert!(
            again.is_unfinished() && again.contains("conversation-1") && !again.contains("conversation-2")
        );
        again.end().unwrap();
        let again = Tombstones::load(folder.path()).unwrap().unwrap();
        assert!(!again.is_unfinished() && again.content.tombstones.len() == 1);
        // one that was not found, until it is
        let mut later = again.clone();
        for (is_found, expected) in [(false, false), (false, false), (true, true), (false, true)] {
            later.begin(["mistyped"].into_iter(), |_| is_found).unwrap();
            let later = Tombstones::load(folder.path()).unwrap().unwrap();
            assert!(later.contains("mistyped") && later.was_found("conversation-1"));
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
