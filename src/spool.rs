//! Pages on disk, as they came: durable before rows are made of them, and read again when they are.
//!
//! A page is one file: a zstd skippable frame with its header as JSON, then a zstd frame with the body. So
//! `zstd -dc` of a page prints exactly what the API answered. Both parts carry a checksum; a page that fails
//! it counts as never answered. Pages that are part of the table are removed, or kept beside the spool for as
//! long as the user likes.

mod folder;
mod format;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store;
use crate::window::Window;
use folder::{create_private, list, look_into, path, read, sequences};
use format::encode;

/// Where a page belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageHeader {
    /// Order in which pages were answered, across all runs on one folder: a later page has a larger number.
    pub sequence: u64,
    /// Name of the dataset.
    pub dataset: String,
    /// The bot.
    pub bot: String,
    /// The run that fetched it; chains are numbered within a run.
    pub run: String,
    /// The chain it belongs to.
    pub chain: u32,
    /// Its place in the chain, from 0.
    pub index: u32,
    /// The window that its chain covers once it is read to its end.
    pub covers: Window,
    /// The window that was asked for, as it was sent: it may begin a second earlier.
    #[serde(rename = "asked")]
    pub requested: Window,
    /// The range that its run was asked to export.
    pub range: Window,
    /// Records wanted a page, as it was sent.
    pub per_page: u32,
    /// The cursor it was asked with.
    pub cursor: Option<String>,
    /// The one conversation whose messages were asked for; such a page says nothing of what else its window holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Records that came with it and were not kept, since their conversations were erased.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub erased: u64,
    /// When it was asked for, by the server's clock where it tells it.
    #[serde(rename = "asked_at")]
    pub requested_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like that")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The folder of pages that are answered and not yet part of the table, and beside it, in `kept`, the folder of
/// those that are part of it and that the user wants to keep.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    kept: PathBuf,
    next: AtomicU64,
    /// Folders that this user may not read; filled only where the spool was opened for reading.
    unreadable: Vec<PathBuf>,
}

impl Spool {
    /// Opens the spool in `folder`, which need not be there. Pages get sequence numbers beyond those that are
    /// there and those that are kept beside it.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let kept = folder.with_file_name("kept");
        let last = sequences(folder)?.last().copied();
        let last = last.max(sequences(&kept)?.last().copied());
        Ok(Self {
            folder: folder.to_owned(),
            kept,
            next: AtomicU64::new(last.map_or(0, |last| last + 1)),
            unreadable: Vec::new(),
        })
    }

    /// Opens the spool for commands that only read. A folder that this user may not read counts as empty, see
    /// [`Spool::unreadable`].
    ///
    /// # Errors
    /// Where a folder cannot be read for another reason.
    pub fn open_to_read(folder: &Path) -> Result<Self> {
        let kept = folder.with_file_name("kept");
        let (mut last, mut unreadable) = (None, Vec::new());
        for folder in [folder, &kept] {
            match look_into(folder) {
                Err(error) if error.is_denied() => unreadable.push(folder.to_owned()),
                sequences => last = last.max(sequences?.last().copied()),
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            kept,
            next: AtomicU64::new(last.map_or(0, |last| last + 1)),
            unreadable,
        })
    }

    /// Folders whose pages this user may not read.
    #[must_use]
    pub fn unreadable(&self) -> &[PathBuf] {
        &self.unreadable
    }

    /// The number that the next page will get.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Makes sure that pages get numbers from `first` on.
    pub fn begin_at(&self, first: u64) {
        self.next.fetch_max(first, Ordering::Relaxed);
    }

    /// Stores a page; it is durable when this returns. The header's sequence number is given here.
    ///
    /// # Errors
    /// Where it cannot be written; nothing of it is left then.
    pub fn append(&self, mut header: PageHeader, body: &[u8]) -> Result<PageHeader> {
        header.sequence = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path(header.sequence);
        create_private(&self.folder)?;
        let content = encode(&header, body).map_err(Error::io("compress the page", &path))?;
        store::write_private(&path, &content)?;
        store::step("page-kept");
        Ok(header)
    }

    /// The headers of all pages, in the order in which they were answered, and the files of those that are
    /// damaged.
    ///
    /// # Errors
    /// Where the folder or a file cannot be read at all.
    pub fn list(&self) -> Result<(Vec<PageHeader>, Vec<PathBuf>)> {
        self.list_in(&self.folder)
    }

    /// The same of the pages that are kept beside the spool.
    ///
    /// # Errors
    /// Where the folder or a file cannot be read at all.
    pub fn list_kept(&self) -> Result<(Vec<PageHeader>, Vec<PathBuf>)> {
        self.list_in(&self.kept)
    }

    fn list_in(&self, folder: &Path) -> Result<(Vec<PageHeader>, Vec<PathBuf>)> {
        match self.unreadable.iter().any(|unreadable| unreadable == folder) {
            true => Ok((Vec::new(), Vec::new())),
            false => list(folder),
        }
    }

    /// The body of a page, exactly as the API answered it.
    ///
    /// # Errors
    /// [`Error::Damaged`] where its checksum does not fit.
    pub fn read(&self, sequence: u64) -> Result<Vec<u8>> {
        read(self.path(sequence))
    }

    /// The body of a page that is kept beside the spool.
    ///
    /// # Errors
    /// [`Error::Damaged`] where its checksum does not fit.
    pub fn read_kept(&self, sequence: u64) -> Result<Vec<u8>> {
        read(path(&self.kept, sequence))
    }

    /// Puts another body in the place of a page's, of one that is kept beside the spool or of one that is not.
    ///
    /// # Errors
    /// Where it cannot be written; the old one is still there then.
    pub(crate) fn rewrite(&self, header: &PageHeader, body: &[u8], is_kept: bool) -> Result<()> {
        let path = self.place(header.sequence, is_kept);
        let content = encode(header, body).map_err(Error::io("compress the page", &path))?;
        store::write_private(&path, &content)
    }

    /// Where a page stands, kept beside the spool or not.
    pub(crate) fn place(&self, sequence: u64, is_kept: bool) -> PathBuf {
        path(if is_kept { &self.kept } else { &self.folder }, sequence)
    }

    /// Removes pages; those that are gone already are passed over.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn remove(&self, sequences: impl IntoIterator<Item = u64>) -> Result<()> {
        for sequence in sequences {
            self.discard(sequence, false)?;
            store::step("page-removed");
        }
        Ok(())
    }

    /// Removes a page, kept beside the spool or not.
    ///
    /// # Errors
    /// Where its file cannot be removed.
    pub(crate) fn discard(&self, sequence: u64, is_kept: bool) -> Result<()> {
        store::remove_file(&self.place(sequence, is_kept))
    }

    /// Makes removals durable.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn sync(&self) -> Result<()> {
        let folders = [&self.folder, &self.kept];
        let mut folders = folders.into_iter().filter(|folder| folder.exists());
        folders.try_for_each(|folder| store::sync_folder(folder))
    }

    /// Takes pages out of the spool and keeps them beside it; those that are gone already are passed over.
    ///
    /// # Errors
    /// Where a file cannot be moved.
    pub fn keep(&self, sequences: impl IntoIterator<Item = u64>) -> Result<()> {
        create_private(&self.kept)?;
        for sequence in sequences {
            let from = self.path(sequence);
            match fs::rename(&from, path(&self.kept, sequence)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("move", &from)(error));
                }
                _ => {}
            }
        }
        store::sync_folder(&self.kept)
    }

    /// Where a page stands.
    #[must_use]
    pub fn path(&self, sequence: u64) -> PathBuf {
        path(&self.folder, sequence)
    }
}
