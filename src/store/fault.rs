//! A store that fails as object stores do, for tests, and that counts what is done. It exists in debug builds only.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::port::{Condition, Entry, Store, Version};
use crate::error::{Error, Result, StoreFailure};

/// How often operations fail, each from 0 to 1. Together they are at most 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The operation is not done, and the store reports an error.
    pub refused: f64,
    /// The operation is done, and its answer is lost.
    pub lost: f64,
    /// The operation is done later, after [`Faults::delay`].
    pub delayed: f64,
    /// A conditional write is not done, and refused as if its condition were false (HTTP status 409).
    pub conflict: f64,
    /// The time of delayed operations.
    pub delay: Duration,
}

/// What was done in the store behind a [`FaultStore`]. An operation whose answer was lost counts, a refused one does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All operations.
    pub operations: u64,
    /// Objects written, also again.
    pub objects_written: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Keys that were to be removed.
    pub removals: u64,
    /// Faults.
    pub faults: u64,
}

/// A store with faults. The same seed gives the same faults to the same operations.
#[derive(Debug)]
pub struct FaultStore {
    inner: Arc<dyn Store>,
    faults: Faults,
    random: Mutex<StdRng>,
    operations: AtomicU64,
    objects_written: AtomicU64,
    bytes_written: AtomicU64,
    bytes_read: AtomicU64,
    removals: AtomicU64,
    injected: AtomicU64,
}

/// What happens to an operation.
enum Fate {
    Done,
    Refused,
    Lost,
    Conflict,
}

impl FaultStore {
    /// A store in which operations on `inner` fail.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, faults: Faults, seed: u64) -> Self {
        Self {
            inner,
            faults,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            operations: AtomicU64::new(0),
            objects_written: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            injected: AtomicU64::new(0),
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            operations: now(&self.operations),
            objects_written: now(&self.objects_written),
            bytes_written: now(&self.bytes_written),
            bytes_read: now(&self.bytes_read),
            removals: now(&self.removals),
            faults: now(&self.injected),
        }
    }

    fn fate(&self, is_conditional: bool) -> Fate {
        let Faults {
            refused,
            lost,
            delayed,
            conflict,
            delay,
        } = self.faults;
        let drawn: f64 = self
            .random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random();
        let fate = if drawn < refused {
            Fate::Refused
        } else if drawn < refused + lost {
            Fate::Lost
        } else if drawn < refused + lost + delayed {
            add(&self.injected, 1);
            thread::sleep(delay);
            return Fate::Done;
        } else if is_conditional && drawn < refused + lost + delayed + conflict {
            Fate::Conflict
        } else {
            return Fate::Done;
        };
        add(&self.injected, 1);
        fate
    }

    fn act<T>(&self, doing: &'static str, key: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.carry_out(self.fate(false), doing, key, work)
    }

    fn carry_out<T>(
        &self,
        fate: Fate,
        doing: &'static str,
        key: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let fault = |reason| {
            let place = format!("{}/{key}", self.place());
            Err(Error::store(doing, place, StoreFailure::Unavailable, reason))
        };
        if matches!(fate, Fate::Refused) {
            return fault("a test refuses it");
        }
        add(&self.operations, 1);
        let done = work()?;
        match fate {
            Fate::Lost => fault("a test lost the answer"),
            _ => Ok(done),
        }
    }

    fn wrote(&self, bytes: u64) {
        add(&self.objects_written, 1);
        add(&self.bytes_written, bytes);
    }
}

impl Store for FaultStore {
    fn place(&self) -> &str {
        self.inner.place()
    }

    fn get(&self, key: &str) -> Result<Option<(Bytes, Version)>> {
        self.act("read", key, || {
            let got = self.inner.get(key)?;
            add(
                &self.bytes_read,
                got.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64),
            );
            Ok(got)
        })
    }

    fn get_range(&self, key: &str, range: Range<u64>, version: Option<&Version>) -> Result<Option<Bytes>> {
        self.act("read", key, || {
            let got = self.inner.get_range(key, range, version)?;
            add(
                &self.bytes_read,
                got.as_ref().map_or(0, |bytes| bytes.len() as u64),
            );
            Ok(got)
        })
    }

    fn head(&self, key: &str) -> Result<Option<Entry>> {
        self.act("read", key, || self.inner.head(key))
    }

    fn list(&self, folder: &str, after: Option<&str>) -> Result<Vec<Entry>> {
        self.act("list", folder, || self.inner.list(folder, after))
    }

    fn put(&self, key: &str, bytes: Bytes) -> Result<Version> {
        self.act("write", key, || {
            let length = bytes.len() as u64;
            let version = self.inner.put(key, bytes)?;
            self.wrote(length);
            Ok(version)
        })
    }

    fn put_if(&self, key: &str, bytes: Bytes, condition: &Condition) -> Result<Option<Version>> {
        let fate = self.fate(true);
        if matches!(fate, Fate::Conflict) {
            return Ok(None);
        }
        self.carry_out(fate, "write", key, || {
            let length = bytes.len() as u64;
            let version = self.inner.put_if(key, bytes, condition)?;
            if version.is_some() {
                self.wrote(length);
            }
            Ok(version)
        })
    }

    fn put_file(&self, key: &str, file: &Path) -> Result<Version> {
        self.act("write", key, || {
            let version = self.inner.put_file(key, file)?;
            self.wrote(file.metadata().map_or(0, |about| about.len()));
            Ok(version)
        })
    }

    fn get_to_file(&self, key: &str, file: &Path) -> Result<Option<Version>> {
        self.act("read", key, || {
            let version = self.inner.get_to_file(key, file)?;
            if version.is_some() {
                add(&self.bytes_read, file.metadata().map_or(0, |about| about.len()));
            }
            Ok(version)
        })
    }

    fn delete(&self, keys: &[&str]) -> Result<()> {
        self.act("remove objects of", "", || {
            self.inner.delete(keys)?;
            add(&self.removals, keys.len() as u64);
            Ok(())
        })
    }
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}
