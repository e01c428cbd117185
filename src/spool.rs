//! Spooled pages: response bodies on disk, as received. They are durable before they are processed.
//!
//! A page is one file: a zstd skippable frame with its header as JSON, then a zstd frame with the body. So `zstd -dc`
//! of a page prints exactly what the API returned. Both parts have a checksum. A damaged page is requested again.
//! Pages that are in the table are removed, or moved to another folder with `--keep-pages`.

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

/// Header of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageHeader {
    /// Sequence number over all runs of a table: later pages have larger numbers.
    pub sequence: u64,
    /// Name of the dataset.
    pub dataset: String,
    /// The bot.
    pub bot: String,
    /// The chain of the page.
    pub run: String,
    /// The chain it belongs to.
    pub chain: u32,
    /// Index in the chain, from 0.
    pub index: u32,
    /// The window that is complete when its chain ends.
    pub covers: Window,
    /// The requested window, as sent: it may begin a second earlier.
    #[serde(rename = "asked")]
    pub requested: Window,
    /// The range that its run exports.
    pub range: Window,
    /// Requested records per page.
    pub per_page: u32,
    /// Cursor of the request.
    pub cursor: Option<String>,
    /// The requested conversation, if any. Such a page does not make time complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Records that were removed because their conversations were erased.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub erased: u64,
    /// Time of the request, by the server's clock if it is known.
    #[serde(rename = "asked_at")]
    pub requested_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like that")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The folder of spooled pages, and next to it the folder `kept` of retained pages that are already in the table.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    kept: PathBuf,
    next: AtomicU64,
    /// Folders that this user may not read, if the spool was opened for reading.
    unreadable: Vec<PathBuf>,
}

impl Spool {
    /// Opens the spool in `folder`, which need not exist. New pages get larger sequence numbers than spooled and
    /// retained ones.
    ///
    /// # Errors
    /// If the folder cannot be read.
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

    /// Opens the spool for reading. A folder that this user may not read counts as empty, see [`Spool::unreadable`].
    ///
    /// # Errors
    /// If a folder cannot be read for another reason.
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

    /// Returns the folders that this user may not read.
    #[must_use]
    pub fn unreadable(&self) -> &[PathBuf] {
        &self.unreadable
    }

    /// Returns the sequence number of the next page.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Ensures that new pages get sequence numbers from `first` on.
    pub fn begin_at(&self, first: u64) {
        self.next.fetch_max(first, Ordering::Relaxed);
    }

    /// Stores a page durably. Sets the sequence number of the header.
    ///
    /// # Errors
    /// If it cannot be written; nothing of it is stored then.
    pub fn append(&self, mut header: PageHeader, body: &[u8]) -> Result<PageHeader> {
        header.sequence = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path(header.sequence);
        create_private(&self.folder)?;
        let content = encode(&header, body).map_err(Error::io("compress the page", &path))?;
        store::write_private(&path, &content)?;
        store::step("page-kept");
        Ok(header)
    }

    /// Lists the headers of all spooled pages, by sequence number, and the files of damaged ones.
    ///
    /// # Errors
    /// If the folder or a file cannot be read.
    pub fn list(&self) -> Result<(Vec<PageHeader>, Vec<PathBuf>)> {
        self.list_in(&self.folder)
    }

    /// Lists the headers of retained pages, and the files of damaged ones.
    ///
    /// # Errors
    /// If the folder or a file cannot be read.
    pub fn list_retained(&self) -> Result<(Vec<PageHeader>, Vec<PathBuf>)> {
        self.list_in(&self.kept)
    }

    fn list_in(&self, folder: &Path) -> Result<(Vec<PageHeader>, Vec<PathBuf>)> {
        match self.unreadable.iter().any(|unreadable| unreadable == folder) {
            true => Ok((Vec::new(), Vec::new())),
            false => list(folder),
        }
    }

    /// Reads the body of a spooled page, exactly as the API returned it.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its checksum is wrong.
    pub fn read(&self, sequence: u64) -> Result<Vec<u8>> {
        read(self.path(sequence))
    }

    /// Reads the body of a retained page.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its checksum is wrong.
    pub fn read_retained(&self, sequence: u64) -> Result<Vec<u8>> {
        read(path(&self.kept, sequence))
    }

    /// Replaces the body of a spooled or retained page.
    ///
    /// # Errors
    /// If it cannot be written; the old page is intact then.
    pub(crate) fn rewrite(&self, header: &PageHeader, body: &[u8], is_retained: bool) -> Result<()> {
        let path = self.place(header.sequence, is_retained);
        let content = encode(header, body).map_err(Error::io("compress the page", &path))?;
        store::write_private(&path, &content)
    }

    /// Returns the path of a spooled or retained page.
    pub(crate) fn place(&self, sequence: u64, is_retained: bool) -> PathBuf {
        path(if is_retained { &self.kept } else { &self.folder }, sequence)
    }

    /// Removes spooled pages. Missing ones are skipped.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn remove(&self, sequences: impl IntoIterator<Item = u64>) -> Result<()> {
        for sequence in sequences {
            self.discard(sequence, false)?;
            store::step("page-removed");
        }
        Ok(())
    }

    /// Removes a spooled or retained page.
    ///
    /// # Errors
    /// If its file cannot be removed.
    pub(crate) fn discard(&self, sequence: u64, is_retained: bool) -> Result<()> {
        store::remove_file(&self.place(sequence, is_retained))
    }

    /// Makes removals durable.
    ///
    /// # Errors
    /// If a file operation fails.
    pub(crate) fn sync(&self) -> Result<()> {
        let folders = [&self.folder, &self.kept];
        let mut folders = folders.into_iter().filter(|folder| folder.exists());
        folders.try_for_each(|folder| store::sync_folder(folder))
    }

    /// Moves spooled pages to the retained ones. Missing ones are skipped.
    ///
    /// # Errors
    /// If a file cannot be moved.
    pub fn retain(&self, sequences: impl IntoIterator<Item = u64>) -> Result<()> {
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

    /// Returns the path of a spooled page.
    #[must_use]
    pub fn path(&self, sequence: u64) -> PathBuf {
        path(&self.folder, sequence)
    }
}
