//! The port on an object store.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutResult, UpdateVersion,
};

use super::port::{Condition, Entry, Store, Version};
use super::{failure, key, private_file};
use crate::error::{Error, Result, StoreFailure};

/// Files below this size are one request: a process that is killed leaves no unfinished upload.
const ONE_REQUEST: u64 = 64 * 1_024 * 1_024;

/// How many objects of a listing are awaited at a time, as many as S3 gives with one request.
const PAGE: usize = 1_000;

mod transfer;

type Answer<T> = object_store::Result<T>;

/// Objects below a prefix of a bucket.
///
/// A request takes at most 20 s and the time of its bytes at 128 KiB/s. It is repeated for at most 40 s.
#[derive(Clone, Debug)]
pub struct RemoteStore {
    inner: Arc<dyn ObjectStore>,
    prefix: String,
    place: String,
}

impl RemoteStore {
    /// The objects of `inner` below `prefix` (`""`: all of them); `place` is the URL for messages.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, prefix: &str, place: &str) -> Self {
        Self {
            inner,
            prefix: prefix.to_owned(),
            place: place.to_owned(),
        }
    }

    /// Checks that the bucket exists and that its objects can be listed.
    ///
    /// # Errors
    /// If the store does not list them.
    pub(super) fn check(&self) -> Result<()> {
        Self::again(|| {
            let (inner, prefix) = (Arc::clone(&self.inner), self.path("")?);
            let first = self.run("open", "", 0, async move {
                inner.list(Some(&prefix)).next().await.transpose()
            })?;
            first.map_err(self.failed("open", ""))
        })
        .map(|_| ())
    }

    /// The name of an object or a folder: this is the only place that makes one of a key, byte for byte.
    fn path(&self, key: &str) -> Result<Path> {
        let name = [self.prefix.as_str(), key].join("/");
        Path::parse(name.trim_matches('/'))
            .map_err(|error| Error::Internal(format!("{name:?} cannot name an object: {error}")))
    }

    fn object(&self, key: &str) -> Result<Path> {
        key::check(key)?;
        self.path(key)
    }

    fn place_of(&self, key: &str) -> String {
        format!("{}/{key}", self.place).trim_end_matches('/').to_owned()
    }

    /// The objects of a folder, as the store lists them.
    fn listed(&self, folder: &str, after: Option<&str>) -> Result<Vec<Entry>> {
        let prefix = self.path(folder)?;
        let mut objects = match after {
            Some(after) => self.inner.list_with_offset(Some(&prefix), &self.object(after)?),
            None => self.inner.list(Some(&prefix)),
        };
        let mut found = Vec::new();
        loop {
            let step = self.run("list", folder, 0, async move {
                let page: Answer<Vec<_>> = objects.by_ref().take(PAGE).try_collect().await;
                page.map(|page| (page, objects))
            })?;
            let (page, rest) = step.map_err(self.failed("list", folder))?;
            let is_last = page.len() < PAGE;
            found.extend(page.into_iter().filter_map(|about| self.entry(&about)));
            if is_last {
                break;
            }
            objects = rest;
        }
        Ok(found)
    }

    fn content(&self, key: &str, options: GetOptions) -> Result<Option<(Bytes, ObjectMeta)>> {
        let mut content = BytesMut::new();
        let about = self.download(key, options, |chunk| {
            content.extend_from_slice(&chunk);
            Ok(())
        })?;
        Ok(about.map(|about| (content.freeze(), about)))
    }

    /// `None` for an object whose key is not below the prefix.
    fn entry(&self, about: &ObjectMeta) -> Option<Entry> {
        let name = about.location.as_ref();
        let key = match self.prefix.as_str() {
            "" => name,
            prefix => name.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        Some(Entry {
            key: key.to_owned(),
            size: about.size,
            version: version(about),
        })
    }
}

impl Store for RemoteStore {
    fn place(&self) -> &str {
        &self.place
    }

    fn get(&self, key: &str) -> Result<Option<(Bytes, Version)>> {
        Self::again(|| self.content(key, GetOptions::default()))
            .map(|got| got.map(|(content, about)| (content, version(&about))))
    }

    fn get_range(&self, key: &str, range: Range<u64>, expected: Option<&Version>) -> Result<Option<Bytes>> {
        let mut options = GetOptions::default();
        let length = range.end.saturating_sub(range.start);
        options.range = Some(GetRange::Bounded(range));
        match expected {
            Some(Version {
                generation: Some(generation),
                ..
            }) => options.version = Some(generation.clone()),
            Some(expected) => options.if_match = expected.etag.clone(),
            None => {}
        }
        match Self::again(|| self.content(key, options.clone()))? {
            Some((content, _)) if content.len() as u64 == length => Ok(Some(content)),
            Some(_) => {
                let reason = "the object is shorter than expected";
                Err(Error::store(
                    "read",
                    self.place_of(key),
                    StoreFailure::Changed,
                    reason,
                ))
            }
            // a generation is gone where the object was replaced
            None if expected.is_some() && self.head(key)?.is_some() => {
                let reason = "it was replaced while it was read";
                Err(Error::store(
                    "read",
                    self.place_of(key),
                    StoreFailure::Changed,
                    reason,
                ))
            }
            None => Ok(None),
        }
    }

    fn head(&self, key: &str) -> Result<Option<Entry>> {
        let path = self.object(key)?;
        let about = Self::again(|| {
            let (inner, path) = (Arc::clone(&self.inner), path.clone());
            let head = self.run("read", key, 0, async move { inner.head(&path).await })?;
            failure::found("read", || self.place_of(key), head)
        })?;
        Ok(about.map(|about| Entry {
            key: key.to_owned(),
            size: about.size,
            version: version(&about),
        }))
    }

    fn list(&self, folder: &str, after: Option<&str>) -> Result<Vec<Entry>> {
        key::check_folder(folder)?;
        let mut found = Self::again(|| self.listed(folder, after))?;
        // some stores list in another order, and some include the offset
        found.retain(|entry| after.is_none_or(|after| entry.key.as_str() > after));
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn put(&self, key: &str, bytes: Bytes) -> Result<Version> {
        Self::again(|| {
            self.put_as(key, bytes.clone(), PutMode::Overwrite)?
                .map_err(self.failed("write", key))
        })
    }

    fn put_if(&self, key: &str, bytes: Bytes, condition: &Condition) -> Result<Option<Version>> {
        use object_store::Error::{AlreadyExists, NotFound, NotModified, Precondition};
        let mode = match condition {
            Condition::Absent => PutMode::Create,
            Condition::Is(expected) => PutMode::Update(UpdateVersion {
                e_tag: expected.etag.clone(),
                version: expected.generation.clone(),
            }),
        };
        match self.put_as(key, bytes, mode)? {
            Ok(version) => Ok(Some(version)),
            Err(AlreadyExists { .. } | Precondition { .. } | NotModified { .. }) => Ok(None),
            // the object to be replaced, or the bucket
            missing @ Err(NotFound { .. }) => failure::found("write", || self.place_of(key), missing),
            Err(error) => Err(self.failed("write", key)(error)),
        }
    }

    fn put_file(&self, key: &str, from: &FilePath) -> Result<Version> {
        let read = || {
            let file = File::open(from)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (mut file, length) = read().map_err(Error::io("read", from))?;
        if length >= ONE_REQUEST {
            return Self::again(|| {
                file.rewind().map_err(Error::io("read", from))?;
                self.put_parts(key, &mut file, from)
            });
        }
        let content = fs::read(from).map_err(Error::io("read", from))?;
        self.put(key, content.into())
    }

    fn get_to_file(&self, key: &str, to: &FilePath) -> Result<Option<Version>> {
        let about = Self::again(|| {
            let mut file = None;
            self.download(key, GetOptions::default(), |chunk| {
                let mut write = || {
                    let file = match &mut file {
                        Some(file) => file,
                        None => file.insert(private_file().write(true).create(true).truncate(true).open(to)?),
                    };
                    file.write_all(&chunk)
                };
                write().map_err(Error::io("write", to))
            })
        })?;
        Ok(about.map(|about| version(&about)))
    }

    fn delete(&self, keys: &[&str]) -> Result<()> {
        let paths = keys.iter().map(|key| self.object(key));
        let mut left = paths.collect::<Result<Vec<_>>>()?;
        Self::again(|| self.remove(&mut left))
    }
}

fn written(result: PutResult) -> Version {
    Version {
        etag: result.e_tag,
        generation: result.version,
    }
}

fn version(about: &ObjectMeta) -> Version {
    Version {
        etag: about.e_tag.clone(),
        generation: about.version.clone(),
    }
}
