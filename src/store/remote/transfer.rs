//! Transfers of bytes to and from an object store.

use std::collections::HashSet;
use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStoreExt, PutMode, PutOptions, WriteMultipart};

use super::{Answer, RemoteStore, written};
use crate::error::{Error, Result, StoreFailure};
use crate::store::port::Version;
use crate::store::{connector, failure, runtime};

/// The size of a part of a larger file. S3 permits 10,000 parts.
const PART: usize = 16 * 1_024 * 1_024;
/// How many parts are uploaded at a time.
const PARTS: usize = 3;
/// The time of an operation with its repetitions, without the time of its bytes. `provider.rs` bounds the repetitions.
const OPERATION: Duration = Duration::from_secs(150);

/// The time to remove one object, as bytes.
const BYTES_OF_DELETION: u64 = 16 * 1_024;
/// The pauses before an operation is repeated whose answer was interrupted.
const INTERRUPTED: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(300),
    Duration::from_millis(1_500),
];

impl RemoteStore {
    /// Runs an operation that transfers so many bytes.
    pub(super) fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        key: &str,
        bytes: u64,
        operation: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        runtime::run(OPERATION + connector::limit(bytes), operation).ok_or_else(|| {
            let reason = "the store did not answer in time";
            Error::store(doing, self.place_of(key), StoreFailure::Unavailable, reason)
        })
    }

    /// Repeats an operation whose answer was interrupted, which object_store does not. Only for those that give the same
    /// result when they are done twice.
    pub(super) fn again<T>(mut operation: impl FnMut() -> Result<T>) -> Result<T> {
        for pause in INTERRUPTED {
            match operation() {
                Err(error) if error.store_failure() == Some(StoreFailure::Interrupted) => {
                    tracing::debug!("again after {pause:?}: {error}");
                    thread::sleep(pause);
                }
                result => return result,
            }
        }
        operation()
    }

    pub(super) fn failed(&self, doing: &'static str, key: &str) -> impl FnOnce(object_store::Error) -> Error {
        let place = self.place_of(key);
        move |error| failure::error(doing, place, &error)
    }

    pub(super) fn put_as(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<Answer<Version>> {
        let (inner, path) = (Arc::clone(&self.inner), self.object(key)?);
        let length = bytes.len() as u64;
        self.run("write", key, length, async move {
            let options = PutOptions::from(mode);
            inner.put_opts(&path, bytes.into(), options).await.map(written)
        })
    }

    /// Passes the content of an object on, as it arrives.
    pub(super) fn download(
        &self,
        key: &str,
        options: GetOptions,
        mut write: impl FnMut(Bytes) -> Result<()>,
    ) -> Result<Option<ObjectMeta>> {
        let (inner, path) = (Arc::clone(&self.inner), self.object(key)?);
        let got = self.run(
            "read",
            key,
            0,
            async move { inner.get_opts(&path, options).await },
        )?;
        let Some(got) = failure::found("read", || self.place_of(key), got)? else {
            return Ok(None);
        };
        let about = got.meta.clone();
        let mut stream = got.into_stream();
        // an object without content is written, too
        write(Bytes::new())?;
        loop {
            let step = self.run("read", key, 0, async move { (stream.next().await, stream) })?;
            let (Some(chunk), rest) = step else { break };
            write(chunk.map_err(self.failed("read", key))?)?;
            stream = rest;
        }
        Ok(Some(about))
    }

    /// Removes objects, and takes those that are gone from the list.
    pub(super) fn remove(&self, left: &mut Vec<Path>) -> Result<()> {
        let paths = futures_util::stream::iter(left.clone().into_iter().map(Ok)).boxed();
        let mut removed = self.inner.delete_stream(paths);
        let bytes = left.len() as u64 * BYTES_OF_DELETION;
        let (gone, failed) = self.run("remove objects of", "", bytes, async move {
            let (mut gone, mut failed) = (HashSet::new(), None);
            while let Some(removed) = removed.next().await {
                match removed {
                    Ok(path) => _ = gone.insert(path.to_string()),
                    Err(object_store::Error::NotFound { path, .. }) => _ = gone.insert(path),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            (gone, failed)
        })?;
        left.retain(|path| !gone.contains(path.as_ref()));
        match failed {
            Some(error) => Err(self.failed("remove objects of", "")(error)),
            None => Ok(()),
        }
    }

    /// Uploads a file in parts.
    pub(super) fn put_parts(&self, key: &str, file: &mut File, from: &FilePath) -> Result<Version> {
        let (inner, path) = (Arc::clone(&self.inner), self.object(key)?);
        let part_bytes = PART as u64;
        let upload = self.run("write", key, 0, async move { inner.put_multipart(&path).await })?;
        let mut upload =
            WriteMultipart::new_with_chunk_size(upload.map_err(self.failed("write", key))?, PART);
        loop {
            let mut part = Vec::with_capacity(PART);
            if let Err(error) = file.take(part_bytes).read_to_end(&mut part) {
                let _ = self.run("write", key, 0, upload.abort());
                return Err(Error::io("read", from)(error));
            }
            if part.is_empty() {
                break;
            }
            let step = self.run("write", key, part_bytes, async move {
                let waited = upload.wait_for_capacity(PARTS).await;
                match waited {
                    Ok(()) => {
                        upload.put(part.into());
                        Ok(upload)
                    }
                    Err(error) => {
                        let _ = upload.abort().await;
                        Err(error)
                    }
                }
            })?;
            upload = step.map_err(self.failed("write", key))?;
        }
        // it waits for the last parts, and removes all parts if it fails
        self.run("write", key, part_bytes * PARTS as u64, upload.finish())?
            .map(written)
            .map_err(self.failed("write", key))
    }
}
