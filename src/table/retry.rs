//! Reads a table that a run may change at the same time, with retries.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{DataFile, Entry, Lock, OWN_FOLDER, PartitionKey, Staged, Table};
use crate::error::{Error, Result};
use crate::store;

/// Maximum number of times that a changing table is read, and the delay between them.
const MAX_READS: usize = 20;
const READ_DELAY: Duration = Duration::from_millis(50);
/// Maximum number of times that a partition's file is opened, and the delay between them.
const MAX_OPENS: usize = 20;
const OPEN_DELAY: Duration = Duration::from_millis(25);

/// The versions of the files that a rebuild replaces, and the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableVersion(Vec<Option<(u64, i128)>>, Option<String>);

impl TableVersion {
    /// Returns the version of the table whose own folder is `folder`.
    pub(crate) fn of(folder: &Path) -> Self {
        let files = ["table.json", "rebuild.json"];
        let version = |name| {
            let about = fs::metadata(folder.join(name)).ok()?;
            Some((about.ino(), store::changed(&about)))
        };
        // every commit has a name of its own
        let commits = store::names(&folder.join("log")).unwrap_or_default();
        let last = commits.into_iter().filter(|name| !name.starts_with('.')).max();
        Self(files.into_iter().map(version).collect(), last)
    }
}

impl Table {
    /// Opens the table in `out` and reads it with `read`, again if a run replaces it at the same time.
    ///
    /// # Errors
    /// As [`Table::open`] and `read`.
    pub fn read<T>(out: &Path, read: impl Fn(&Self) -> Result<T>) -> Result<T> {
        Self::read_again(out, || read(&Self::open(out)?))
    }

    /// Reads something of the table in `out`. If that fails while a run changes the table, it is repeated a bounded
    /// number of times.
    ///
    /// # Errors
    /// As `read`.
    pub(crate) fn read_again<T>(out: &Path, read: impl Fn() -> Result<T>) -> Result<T> {
        let own = out.join(OWN_FOLDER);
        let mut reads = 1;
        loop {
            let before = TableVersion::of(&own);
            let error = match read() {
                Ok(read) => return Ok(read),
                Err(error) => error,
            };
            let is_transient =
                error.is_not_found() || matches!(error, Error::Damaged { .. } | Error::Parquet { .. });
            let is_changing =
                || TableVersion::of(&own) != before || matches!(Lock::holder(&own), Ok(Some(_)));
            if !is_transient || reads >= MAX_READS || !is_changing() {
                return Err(error);
            }
            reads += 1;
            std::thread::sleep(READ_DELAY);
        }
    }

    /// Returns the path of a staged file.
    pub(crate) fn staged_path(&self, staged: &Staged) -> PathBuf {
        let name = staged.entry.path.file_name().unwrap_or_default();
        self.staging(&staged.key).join(name)
    }

    /// Opens the file of a partition: the one in `entry`, or the current one if a run has replaced it. `None` if the
    /// partition was removed.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the file of the current entry is missing or cannot be read.
    pub(crate) fn open_current(&self, key: &PartitionKey, entry: &Entry) -> Result<Option<DataFile>> {
        let mut entry = entry.clone();
        for _ in 0..MAX_OPENS {
            match DataFile::open(&self.out.join(&entry.path)) {
                Err(error) if error.is_not_found() => {}
                file => return file.map(Some),
            }
            match self.entry(key)? {
                None => return Ok(None),
                Some(current) => {
                    if current == entry {
                        std::thread::sleep(OPEN_DELAY);
                    }
                    entry = current;
                }
            }
        }
        Err(Error::Damaged {
            path: self.out.join(entry.path),
            what: "it is missing".into(),
        })
    }
}
