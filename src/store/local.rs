//! The port on a local disk.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::port::{Condition, Entry, Store, Version};
use super::{key, parent, private_file, sync_folder, sync_names};
use crate::error::{Error, Result, StoreFailure};

mod unfinished;

use unfinished::{create, version};

/// Folders whose contents only the owner can read: records as the API sent them.
const PRIVATE: [&str; 5] = ["pages", "kept", "damaged", "quarantine", "rejected"];
/// Where these folders are.
const PRIVATE_ROOT: &str = "_export";

/// Files below a folder.
///
/// A write is durable: the file and the names of the file and of new folders are synced. Unfinished files have names that
/// [`super::remove_unfinished`] removes after a crash and that no listing contains.
///
/// [`Store::put_new`] is atomic among all processes. [`Store::replace`] compares the version (time of change, size and
/// inode of the file) and then renames: that is atomic among the threads of this process. Other processes are excluded by
/// the lock of the table. Two contents of one key never have the same version.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    place: String,
    replacing: Mutex<()>,
}

impl LocalStore {
    /// Files below `root`, which the first write creates.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            place: root.display().to_string(),
            replacing: Mutex::new(()),
        }
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        key::check(key)?;
        Ok(self.root.join(key))
    }

    fn is_private(&self, path: &Path) -> bool {
        let own = path.strip_prefix(self.root.join(PRIVATE_ROOT));
        own.is_ok_and(|own| PRIVATE.iter().any(|folder| own.starts_with(folder)))
    }

    fn overwrite(&self, path: &Path, write: impl Fn(&mut File) -> io::Result<()>) -> Result<Version> {
        let unfinished = self.unfinished(path, write)?;
        fs::rename(&unfinished.path, path).map_err(Error::io("write", path))?;
        sync_folder(parent(path))?;
        Ok(unfinished.version.clone())
    }

    fn collect(&self, folder: &str, found: &mut Vec<Entry>) -> Result<()> {
        let path = self.root.join(folder);
        let entries = match fs::read_dir(&path) {
            Err(error) if is_absent(&error) => return Ok(()),
            entries => entries.map_err(Error::io("read", &path))?,
        };
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &path))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                tracing::debug!("ignoring {}: its name is not UTF-8", entry.path().display());
                continue;
            };
            let key = if folder.is_empty() {
                name.to_owned()
            } else {
                format!("{folder}/{name}")
            };
            // links are followed
            match fs::metadata(entry.path()) {
                Ok(about) if about.is_dir() => self.collect(&key, found)?,
                Ok(about) if about.is_file() && !key::is_reserved(name) => found.push(Entry {
                    key,
                    size: about.len(),
                    version: version(&about),
                }),
                Ok(_) => {}
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(Error::io("read", &entry.path())(error)),
            }
        }
        Ok(())
    }
}

impl Store for LocalStore {
    fn place(&self) -> &str {
        &self.place
    }

    fn get(&self, key: &str) -> Result<Option<(Bytes, Version)>> {
        let path = self.path(key)?;
        let Some((mut file, about)) = open(&path)? else {
            return Ok(None);
        };
        let mut content = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
        file.read_to_end(&mut content).map_err(Error::io("read", &path))?;
        Ok(Some((content.into(), version(&about))))
    }

    fn get_range(&self, key: &str, range: Range<u64>, expected: Option<&Version>) -> Result<Option<Bytes>> {
        let path = self.path(key)?;
        let Some((mut file, about)) = open(&path)? else {
            return Ok(None);
        };
        if expected.is_some_and(|expected| !expected.is(&version(&about))) {
            let changed = "it was replaced while it was read";
            return Err(Error::store(
                "read",
                path.display().to_string(),
                StoreFailure::Changed,
                changed,
            ));
        }
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let read = (|| {
            if range.end > about.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut part = vec![0; length];
            file.seek(SeekFrom::Start(range.start))?;
            file.read_exact(&mut part)?;
            Ok(part)
        })();
        read.map(|part| Some(part.into()))
            .map_err(Error::io("read", &path))
    }

    fn head(&self, key: &str) -> Result<Option<Entry>> {
        let path = self.path(key)?;
        match fs::metadata(&path) {
            Ok(about) if about.is_file() => Ok(Some(Entry {
                key: key.to_owned(),
                size: about.len(),
                version: version(&about),
            })),
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    fn list(&self, folder: &str, after: Option<&str>) -> Result<Vec<Entry>> {
        key::check_folder(folder)?;
        let mut found = Vec::new();
        self.collect(folder, &mut found)?;
        found.retain(|entry| after.is_none_or(|after| entry.key.as_str() > after));
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn put(&self, key: &str, bytes: Bytes) -> Result<Version> {
        self.overwrite(&self.path(key)?, |file| file.write_all(&bytes))
    }

    fn put_if(&self, key: &str, bytes: Bytes, condition: &Condition) -> Result<Option<Version>> {
        let path = self.path(key)?;
        match condition {
            Condition::Absent => {
                if path.exists() {
                    return Ok(None);
                }
                let unfinished = self.unfinished(&path, |file| file.write_all(&bytes))?;
                match create(&unfinished.path, &path) {
                    Ok(()) => sync_folder(parent(&path)).map(|()| Some(unfinished.version.clone())),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
                    Err(error) => Err(Error::io("write", &path)(error)),
                }
            }
            Condition::Is(expected) => {
                let _one_at_a_time = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
                if !self.head(key)?.is_some_and(|found| found.version.is(expected)) {
                    return Ok(None);
                }
                self.overwrite(&path, |file| file.write_all(&bytes)).map(Some)
            }
        }
    }

    fn put_file(&self, key: &str, from: &Path) -> Result<Version> {
        let path = self.path(key)?;
        let source = File::open(from).map_err(Error::io("read", from))?;
        self.overwrite(&path, |file| io::copy(&mut &source, file).map(|_| ()))
    }

    fn get_to_file(&self, key: &str, to: &Path) -> Result<Option<Version>> {
        let path = self.path(key)?;
        let Some((mut file, about)) = open(&path)? else {
            return Ok(None);
        };
        let copied = private_file()
            .write(true)
            .create(true)
            .truncate(true)
            .open(to)
            .and_then(|mut to| io::copy(&mut file, &mut to));
        copied.map_err(Error::io("write", to))?;
        Ok(Some(version(&about)))
    }

    fn delete(&self, keys: &[&str]) -> Result<()> {
        let paths = keys
            .iter()
            .map(|key| self.path(key))
            .collect::<Result<Vec<_>>>()?;
        let mut removed = Vec::new();
        for path in paths {
            match fs::remove_file(&path) {
                Ok(()) => removed.push(path),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(Error::io("remove", &path)(error)),
            }
        }
        sync_names(&removed)
    }
}

fn open(path: &Path) -> Result<Option<(File, fs::Metadata)>> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|about| (file, about)));
    match opened {
        Ok((_, about)) if !about.is_file() => Ok(None),
        Ok(opened) => Ok(Some(opened)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Whether there is no such file: one of the folders on the way may be a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests;
