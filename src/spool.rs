//! Pages on disk, as they came: kept durably before anything is made of them, read again whenever needed.
//!
//! A page is one file: a zstd skippable frame with its header as JSON, then a zstd frame with the body. So
//! `zstd -dc` of a page prints exactly what the API answered. Both parts carry a checksum; a page that fails
//! it counts as never answered.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::store;
use crate::window::Window;

/// The skippable frame's magic number, which every zstd decoder passes over.
const SKIPPABLE: u32 = 0x184D_2A50;
/// Fast: the network is slower still, and pages live shortly.
const LEVEL: i32 = 1;
const ENDING: &str = ".json.zst";

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
    pub asked: Window,
    /// The range that its run was asked to export.
    pub range: Window,
    /// Records wanted a page, as it was sent.
    pub per_page: u32,
    /// The cursor it was asked with.
    pub cursor: Option<String>,
    /// When it was asked for, by the server's clock where it tells it.
    pub asked_at: Timestamp,
}

/// The folder of pages that are answered and not yet part of the table.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    next: AtomicU64,
}

impl Spool {
    /// Opens the spool in `folder`, which need not be there. Pages get sequence numbers beyond those that are
    /// there.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let spool = Self {
            folder: folder.to_owned(),
            next: AtomicU64::new(0),
        };
        let last = spool.sequences()?.last().copied();
        spool
            .next
            .fetch_max(last.map_or(0, |last| last + 1), Ordering::Relaxed);
        Ok(spool)
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

    /// Keeps a page; it is durable when this returns. The header's sequence number is given here.
    ///
    /// # Errors
    /// Where it cannot be written; nothing of it is left then.
    pub fn append(&self, mut header: PageHeader, body: &[u8]) -> Result<PageHeader> {
        header.sequence = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path(header.sequence);
        let content = encode(&header, body).map_err(Error::io("compress the page", &path))?;
        store::write_atomically(&path, &content)?;
        Ok(header)
    }

    /// The headers of all pages, in the order in which they were answered, and the numbers of those that are
    /// damaged.
    ///
    /// # Errors
    /// Where the folder or a file cannot be read at all.
    pub fn list(&self) -> Result<(Vec<PageHeader>, Vec<u64>)> {
        let mut headers = Vec::new();
        let mut damaged = Vec::new();
        for sequence in self.sequences()? {
            let path = self.path(sequence);
            let file = File::open(&path).map_err(Error::io("read", &path))?;
            match read_header(file) {
                Ok(header) if header.sequence == sequence => headers.push(header),
                Ok(_) => damaged.push(sequence),
                Err(error) if is_damage(&error) => damaged.push(sequence),
                Err(error) => return Err(Error::io("read", &path)(error)),
            }
        }
        Ok((headers, damaged))
    }

    /// The body of a page, exactly as the API answered it.
    ///
    /// # Errors
    /// [`Error::Damaged`] where its checksum does not fit.
    pub fn read(&self, sequence: u64) -> Result<Vec<u8>> {
        let path = self.path(sequence);
        let content = fs::read(&path).map_err(Error::io("read", &path))?;
        decode_body(&content).map_err(|error| match is_damage(&error) {
            true => Error::Damaged {
                path,
                what: error.to_string(),
            },
            false => Error::io("read", &path)(error),
        })
    }

    /// Forgets pages; those that are gone already are passed over.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn remove(&self, sequences: impl IntoIterator<Item = u64>) -> Result<()> {
        sequences
            .into_iter()
            .try_for_each(|sequence| store::remove_file(&self.path(sequence)))
    }

    fn sequences(&self) -> Result<Vec<u64>> {
        let names = store::names(&self.folder)?;
        Ok(names
            .iter()
            .filter_map(|name| name.strip_suffix(ENDING)?.parse().ok())
            .collect())
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.folder.join(format!("{sequence:012}{ENDING}"))
    }
}

fn encode(header: &PageHeader, body: &[u8]) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(header).map_err(io::Error::other)?;
    let length = u32::try_from(json.len() + CHECK).map_err(io::Error::other)?;
    let mut content = Vec::with_capacity(body.len() / 4 + json.len() + 64);
    content.extend_from_slice(&SKIPPABLE.to_le_bytes());
    content.extend_from_slice(&length.to_le_bytes());
    content.extend_from_slice(&check(&json));
    content.extend_from_slice(&json);
    let mut encoder = zstd::Encoder::new(content, LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.include_contentsize(true)?;
    encoder.set_pledged_src_size(Some(body.len() as u64))?;
    encoder.write_all(body)?;
    encoder.finish()
}

/// Bytes of checksum before the header's JSON.
const CHECK: usize = 8;
/// What precedes the header's checksum: magic number and length.
const PREFIX: usize = 8;

fn check(json: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&Sha256::digest(json)[..CHECK]);
    check
}

fn read_header(mut page: impl Read) -> io::Result<PageHeader> {
    let mut prefix = [0; PREFIX + CHECK];
    page.read_exact(&mut prefix)?;
    let (magic, rest) = prefix.split_at(4);
    let (length, expected) = rest.split_at(4);
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    if magic != SKIPPABLE.to_le_bytes() || !(CHECK..64 * 1024 * 1024).contains(&length) {
        return Err(damage("it does not begin as a page does"));
    }
    let mut json = vec![0; length - CHECK];
    page.read_exact(&mut json)?;
    if check(&json) != expected {
        return Err(damage("its header's checksum does not fit"));
    }
    serde_json::from_slice(&json).map_err(|error| damage(error.to_string()))
}

fn decode_body(content: &[u8]) -> io::Result<Vec<u8>> {
    read_header(content)?;
    let length = u32::from_le_bytes([content[4], content[5], content[6], content[7]]) as usize;
    let frame = &content[PREFIX + length..];
    let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
    let size = size
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| damage("its body is cut off"))?;
    let mut body = Vec::with_capacity(size);
    zstd::Decoder::new(frame)
        .and_then(|mut decoder| decoder.read_to_end(&mut body))
        .map_err(|error| damage(error.to_string()))?;
    if body.len() == size {
        Ok(body)
    } else {
        Err(damage("its body is cut off"))
    }
}

fn damage(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> PageHeader {
        PageHeader {
            sequence: 0,
            dataset: "messages".into(),
            bot: "r3-218210".into(),
            run: "one".into(),
            chain: 4,
            index: 2,
            covers: Window::new(2, 9),
            asked: Window::new(1, 9),
            range: Window::new(2, 8),
            per_page: 1000,
            cursor: Some("ä\"".into()),
            asked_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_page_comes_back_as_it_was_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool.begin_at(7);
        let kept = spool.append(header(), b"{\"data\": []}").unwrap();
        assert_eq!(kept.sequence, 7);
        let spool = Spool::open(folder.path()).unwrap();
        assert_eq!(spool.next_sequence(), 8);
        assert_eq!(spool.list().unwrap(), (vec![kept], vec![]));
        assert_eq!(spool.read(7).unwrap(), b"{\"data\": []}");
        spool.remove([7, 8]).unwrap();
        assert_eq!(spool.list().unwrap(), (vec![], vec![]));
    }

    #[test]
    fn a_page_torn_at_any_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool
            .append(header(), b"{\"data\": [1, 2, 3], \"cursor\": null}")
            .unwrap();
        let path = spool.path(0);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(spool.read(0), Err(Error::Damaged { .. })), "{length}");
        }
        for place in 0..whole.len() {
            let mut bent = whole.clone();
            bent[place] ^= 0x20;
            fs::write(&path, &bent).unwrap();
            if let Ok(body) = spool.read(0) {
                panic!(
                    "a bent byte {place} was read as {:?}",
                    String::from_utf8_lossy(&body)
                );
            }
        }
    }

    #[test]
    fn other_tools_read_the_body() {
        let content = encode(&header(), b"body").unwrap();
        assert_eq!(zstd::decode_all(&content[..]).unwrap(), b"body");
    }
}
