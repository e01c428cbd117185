//! The commit log: the state of a table as numbered objects below `_export/log/`.
//!
//! | object | content |
//! | --- | --- |
//! | `<20 digits>.json.zst` | a commit: what it changes |
//! | `<20 digits>.state.json.zst` | a checkpoint: the whole state after the commit of this number |
//! | `<20 digits>.copy.json.zst`, `….state.copy.json.zst` | on a disk: a copy, which is read if the object is damaged or missing |
//!
//! A commit is created, never overwritten: that is its point of no return, and of several writers only one succeeds.
//! Every [`COMMITS`] commits a checkpoint is written. The last two checkpoints and the commits after the older one are
//! retained, so that a damaged checkpoint can be replaced.

mod object;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::display::hex;
use crate::error::{Error, Result};
use crate::store::{Store, Written};
use object::{Kind, Name, Reader};

pub(crate) use object::find_damage;

/// Version of the format.
const VERSION: u32 = 1;
/// Commits between two checkpoints.
const COMMITS: u64 = 50;
/// How often a log is read if a writer removes commits meanwhile.
const READS: usize = 20;

/// The folder of the log.
pub(crate) const FOLDER: &str = "_export/log";

/// What a log describes.
pub(crate) trait State: Default + Serialize + DeserializeOwned {
    /// The difference that a commit makes.
    type Change: Clone + Serialize + DeserializeOwned;

    /// Applies the change of the next commit.
    fn apply(&mut self, change: Self::Change);
}

/// The end of a log, to which commits are appended.
#[derive(Debug)]
pub(crate) struct Log<S> {
    store: Arc<dyn Store>,
    /// Whether commits are written twice.
    copies: bool,
    /// The last commit; 0 if there is none.
    number: u64,
    /// The newest checkpoint; 0 if there is none.
    checkpoint: u64,
    /// The writer's number: greater than that of all earlier writers.
    epoch: u64,
    /// A random text, the same in all commits of this writer.
    attempt: String,
    state: PhantomData<fn() -> S>,
}

/// A log that was read.
pub(crate) struct Opened<S: State> {
    pub(crate) log: Log<S>,
    pub(crate) state: S,
    /// The change of the last commit, if the log still has it: a crash may have interrupted what follows a commit.
    pub(crate) last: Option<S::Change>,
    /// Objects that were damaged or missing, and for which there was a substitute.
    pub(crate) damages: Vec<ObjectDamage>,
}

/// An object that is damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectDamage {
    pub(crate) key: String,
    /// A sentence about it.
    pub(crate) what: String,
}

#[derive(Serialize, Deserialize)]
struct Commit<C> {
    #[serde(flatten)]
    header: Header,
    change: C,
}

#[derive(Serialize, Deserialize)]
struct Checkpoint<S> {
    #[serde(flatten)]
    header: Header,
    state: S,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    number: u64,
    epoch: u64,
    attempt: String,
    written: Timestamp,
}

impl<S: State> Log<S> {
    /// Reads the log of a table. Without one, the state is the default. Nothing is written; the caller may not have the
    /// lock, as long as it appends nothing.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a needed object is missing or damaged, [`Error::Usage`] if the log is of a newer version of
    /// this program, and if the store cannot be read.
    pub(crate) fn open(store: &Arc<dyn Store>, copies: bool) -> Result<Opened<S>> {
        let mut reads = 1;
        loop {
            let names = object::list(&**store)?;
            match Self::read(store, copies, &names) {
                // a writer may have replaced commits by a checkpoint since they were listed
                Err(Error::Damaged { .. }) if reads < READS && object::list(&**store)? != names => reads += 1,
                opened => return opened,
            }
        }
    }

    fn read(store: &Arc<dyn Store>, copies: bool, names: &[Name]) -> Result<Opened<S>> {
        let newest_of = |kind: Kind| {
            let of_kind = names.iter().filter(|name| name.kind == kind);
            of_kind.map(|name| name.number).max().unwrap_or(0)
        };
        let checkpoint = newest_of(Kind::Checkpoint).max(newest_of(Kind::CheckpointCopy));
        let newest = newest_of(Kind::Commit).max(newest_of(Kind::Copy)).max(checkpoint);
        let mut reader = Reader::new(&**store);
        let (mut number, mut epoch, mut state) = (0, 0, S::default());
        let is_checkpoint = |kind| [Kind::Checkpoint, Kind::CheckpointCopy].contains(&kind);
        let checkpoints = names.iter().rev().filter(|name| is_checkpoint(name.kind));
        let mut checkpoints: Vec<u64> = checkpoints.map(|name| name.number).collect();
        checkpoints.dedup();
        // the one before a damaged one, and the commits since, are as good
        for checkpoint in checkpoints {
            let name = Name {
                number: checkpoint,
                kind: Kind::Checkpoint,
            };
            if let Some(checkpoint) = reader.read_either::<Checkpoint<S>>(name)? {
                (number, epoch, state) = (
                    checkpoint.header.number,
                    checkpoint.header.epoch,
                    checkpoint.state,
                );
                break;
            }
        }
        let commit = |number| Name {
            number,
            kind: Kind::Commit,
        };
        // without it, a commit before the checkpoint is not needed
        let needed = reader.damages.len();
        let mut last = match number > 0 && number == newest {
            true => reader
                .read_either::<Commit<S::Change>>(commit(number))?
                .map(|commit| commit.change),
            false => None,
        };
        reader.damages.truncate(needed);
        while number < newest {
            let Some(Commit { header, change }) =
                reader.read_either::<Commit<S::Change>>(commit(number + 1))?
            else {
                return Err(reader.damage());
            };
            (number, epoch) = (header.number, header.epoch);
            last = (number == newest).then(|| change.clone());
            state.apply(change);
        }
        let log = Self {
            store: Arc::clone(store),
            copies,
            number,
            checkpoint,
            epoch: epoch + 1,
            attempt: hex(&rand::random::<[u8; 16]>()),
            state: PhantomData,
        };
        let damages = reader.damages;
        Ok(Opened {
            log,
            state,
            last,
            damages,
        })
    }

    /// Whether nothing was ever committed.
    pub(crate) fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// The number of the last commit.
    #[cfg(test)]
    fn number(&self) -> u64 {
        self.number
    }

    /// Appends a commit; it is durable when this returns. `state` is the state with the change.
    ///
    /// # Errors
    /// [`Error::Overtaken`] if another writer appended a commit meanwhile: this writer must stop. If the store cannot be
    /// written; then the commit may exist, and the log must be opened again.
    pub(crate) fn append(&mut self, change: &S::Change, state: &S) -> Result<()> {
        let number = self.number + 1;
        let commit = Commit {
            header: self.header(number),
            change,
        };
        let content = object::encode(&commit)?;
        let overtaken = || Error::Overtaken {
            place: self.store.place().to_owned(),
        };
        let key = Name {
            number,
            kind: Kind::Commit,
        }
        .key();
        if let Written::Lost = self.store.put_new(&key, content.clone())? {
            return Err(overtaken());
        }
        if !self.store.list(FOLDER, Some(&key))?.is_empty() {
            // another writer had a commit of this number, and has removed it since
            self.store.delete(&[&key])?;
            return Err(overtaken());
        }
        self.number = number;
        if self.copies {
            self.store.put(
                &Name {
                    number,
                    kind: Kind::Copy,
                }
                .key(),
                content,
            )?;
        }
        if self.number >= self.checkpoint + COMMITS {
            self.write_checkpoint(state)?;
        }
        Ok(())
    }

    /// Writes a checkpoint of the last commit, and removes what is older than the checkpoint before.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(crate) fn write_checkpoint(&mut self, state: &S) -> Result<()> {
        if self.number == 0 {
            return Ok(());
        }
        let checkpoint = Checkpoint {
            header: self.header(self.number),
            state,
        };
        let content = object::encode(&checkpoint)?;
        let name = |kind| {
            Name {
                number: self.number,
                kind,
            }
            .key()
        };
        self.store.put(&name(Kind::Checkpoint), content.clone())?;
        if self.copies {
            self.store.put(&name(Kind::CheckpointCopy), content)?;
        }
        if self.checkpoint == self.number {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.checkpoint, self.number);
        let names = object::list(&*self.store)?;
        let old = names.iter().filter(|name| match name.kind {
            Kind::Checkpoint | Kind::CheckpointCopy => name.number < before,
            Kind::Commit | Kind::Copy => name.number <= before,
        });
        let keys: Vec<String> = old.map(Name::key).collect();
        self.store
            .delete(&keys.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn header(&self, number: u64) -> Header {
        Header {
            version: VERSION,
            number,
            epoch: self.epoch,
            attempt: self.attempt.clone(),
            written: Timestamp::now(),
        }
    }
}
