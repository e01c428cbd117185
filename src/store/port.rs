//! The port for bytes by key: what a table needs of the place where it is stored.

use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::conditional;
use crate::error::Result;

/// Bytes by key, on a local disk or an object store.
///
/// **Keys** are texts such as `conversations/bot=a%20b/date=2023-10-01/part.parquet`: names separated by `/`. A store
/// uses a key byte for byte as the name of the object or the path of the file: it neither encodes nor decodes it. Who
/// makes a key from foreign text encodes the text, once. An invalid key, see [`super::key::check`], is an internal error.
///
/// **Threads**: all operations block. Call them from a thread that may block (a thread of `spawn_blocking`, of rayon, or
/// of one's own), never from an async task. They need no runtime around them, and they work in any runtime.
///
/// **Time**: each operation ends. Requests have limits of time, and so have repetitions (see `remote.rs`).
///
/// **Errors** of operations that write mean that the outcome is unknown: the bytes may be there. Failures that can pass have
/// then been tried again. So a caller stops, and the next run looks at what is stored.
pub trait Store: Debug + Send + Sync {
    /// Where this is, for messages: a path, or a URL without credentials.
    fn place(&self) -> &str;

    /// The content of an object, and its version. `None` where there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn get(&self, key: &str) -> Result<Option<(Bytes, Version)>>;

    /// A part of the content of an object. `None` where there is no object. With `version`, all parts that are read belong
    /// to one version.
    ///
    /// # Errors
    /// If the store cannot be read, the range reaches beyond the end, or the object has another version.
    fn get_range(&self, key: &str, range: Range<u64>, version: Option<&Version>) -> Result<Option<Bytes>>;

    /// Size and version of an object. `None` where there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn head(&self, key: &str) -> Result<Option<Entry>>;

    /// All objects below a folder and its folders, sorted by the bytes of their keys; `""` is the root. With `after`, only
    /// those whose keys are greater.
    ///
    /// An object that is written or removed meanwhile may be listed or not. Versions in a listing may lack the generation:
    /// call [`Store::head`] before [`Store::replace`].
    ///
    /// # Errors
    /// If the store cannot be read.
    fn list(&self, folder: &str, after: Option<&str>) -> Result<Vec<Entry>>;

    /// Writes an object, or overwrites it. It is durable afterwards, and no reader sees a part of it.
    ///
    /// # Errors
    /// If the store cannot be written; the outcome is then unknown.
    fn put(&self, key: &str, bytes: Bytes) -> Result<Version>;

    /// One attempt to write an object if the condition is true. **Its result is ambiguous**: call [`Store::put_new`] or
    /// [`Store::replace`] instead. `None` means that the store refused the condition, which proves nothing: an attempt
    /// whose answer was lost may have written the object, and some stores refuse without a reason (HTTP status 409).
    ///
    /// # Errors
    /// If the store cannot be written; the outcome is then unknown.
    fn put_if(&self, key: &str, bytes: Bytes, condition: &Condition) -> Result<Option<Version>>;

    /// Writes the content of a file. Files below 64 MiB are one request; others are uploaded in parts, a few at a time, and
    /// become visible at the end. There is no condition, since uploads in parts have none.
    ///
    /// # Errors
    /// If the file cannot be read, or the store cannot be written; the outcome is then unknown.
    fn put_file(&self, key: &str, file: &Path) -> Result<Version>;

    /// Writes the content of an object to a file, and returns its version. `None` where there is no object; then the file
    /// does not change. The file is private and not durable: it is for temporary use. After an error it may be incomplete.
    ///
    /// # Errors
    /// If the store cannot be read, or the file cannot be written.
    fn get_to_file(&self, key: &str, file: &Path) -> Result<Option<Version>>;

    /// Removes objects. Those that do not exist are ignored. On disk, folders remain.
    ///
    /// # Errors
    /// If some objects cannot be removed; others may have been removed.
    fn delete(&self, keys: &[&str]) -> Result<()>;

    /// Creates an object. Exactly one of several writers with different bytes succeeds.
    ///
    /// Success means that the object has these bytes, even if another writer wrote them. If the writer matters, the bytes contain an
    /// attempt id.
    ///
    /// # Errors
    /// If the store cannot be read or written. The outcome is then unknown.
    fn put_new(&self, key: &str, bytes: Bytes) -> Result<Written> {
        conditional::put(self, key, &bytes, &Condition::Absent)
    }

    /// Replaces an object if it still has the expected version. Exactly one of several writers with different bytes
    /// succeeds. Success means the same as that of [`Store::put_new`]. Bytes that are equal to those of the expected version
    /// do not change the version on S3, so that another writer may succeed as well.
    ///
    /// # Errors
    /// If the store cannot be read or written. The outcome is then unknown.
    fn replace(&self, key: &str, bytes: Bytes, expected: &Version) -> Result<Written> {
        conditional::put(self, key, &bytes, &Condition::Is(expected.clone()))
    }
}

/// When to write an object.
#[derive(Clone, Debug)]
pub enum Condition {
    /// It does not exist.
    Absent,
    /// It has this version.
    Is(Version),
}

/// The outcome of a conditional write.
#[derive(Clone, Debug)]
#[must_use]
pub enum Written {
    /// The object has the bytes that were to be written.
    Done(Version),
    /// Another writer was first, or the expected version is gone. Nothing was written.
    Lost,
}

/// An object, without its content.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its version.
    pub version: Version,
}

/// What distinguishes the contents that an object has had. It has a meaning in the store that it is from, and for one key.
///
/// On a local disk it changes also if the file is copied, for example by a backup that was restored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Version {
    /// The entity tag. On S3, equal contents can have equal tags.
    pub etag: Option<String>,
    /// The generation (Google Cloud Storage) or version id (a bucket with versions). It is missing in listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
}

impl Version {
    /// Whether both are the same version: by the generation where both have it, otherwise by the entity tag.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (&self.generation, &other.generation) {
            (Some(own), Some(others)) => own == others,
            _ => self.etag.is_some() && self.bare_etag() == other.bare_etag(),
        }
    }

    /// The tag without quotes, which Azure omits in listings.
    fn bare_etag(&self) -> Option<&str> {
        self.etag.as_deref().map(|etag| etag.trim_matches('"'))
    }
}
