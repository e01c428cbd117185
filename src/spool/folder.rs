//! Folders of pages with one file per page.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::PageHeader;
use super::format::{decode_body, is_damage, read_header};
use crate::error::{Error, Result};
use crate::store;

const ENDING: &str = ".json.zst";

/// Creates a folder of pages that only its owner can read.
pub(super) fn create_private(folder: &Path) -> Result<()> {
    store::create_private_folder(folder.parent().unwrap_or(Path::new(".")), folder)
}

pub(super) fn path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("{sequence:012}{ENDING}"))
}

pub(super) fn sequences(folder: &Path) -> Result<Vec<u64>> {
    let names = store::names(folder)?;
    Ok(names
        .iter()
        .filter_map(|name| name.strip_suffix(ENDING)?.parse().ok())
        .collect())
}

/// Returns the sequence numbers as [`sequences`], if the files may be read.
pub(super) fn look_into(folder: &Path) -> Result<Vec<u64>> {
    let sequences = sequences(folder)?;
    if let Some(first) = sequences.first() {
        let path = path(folder, *first);
        match File::open(&path).map_err(Error::io("read", &path)) {
            Err(error) if error.is_denied() => return Err(error),
            _ => {}
        }
    }
    Ok(sequences)
}

pub(super) fn list(folder: &Path) -> Result<(Vec<PageHeader>, Vec<PathBuf>)> {
    let mut headers = Vec::new();
    let mut damaged = Vec::new();
    for sequence in sequences(folder)? {
        let path = path(folder, sequence);
        let file = match File::open(&path) {
            // a run removed it after the folder was listed
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file.map_err(Error::io("read", &path))?,
        };
        match read_header(file) {
            Ok(header) if header.sequence == sequence => headers.push(header),
            Ok(_) => damaged.push(path),
            Err(error) if is_damage(&error) => damaged.push(path),
            Err(error) => return Err(Error::io("read", &path)(error)),
        }
    }
    Ok((headers, damaged))
}

pub(super) fn read(path: PathBuf) -> Result<Vec<u8>> {
    let content = fs::read(&path).map_err(Error::io("read", &path))?;
    decode_body(&content).map_err(|error| match is_damage(&error) {
        true => Error::Damaged {
            path,
            what: error.to_string(),
        },
        false => Error::io("read", &path)(error),
    })
}
