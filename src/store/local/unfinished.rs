//! Files before they get their names.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags};

use super::{LocalStore, PRIVATE_ROOT};
use crate::error::{Error, Result};
use crate::store::port::Version;
use crate::store::{UNFINISHED, create_folder, create_private_folder, parent, private_file};

impl LocalStore {
    /// Writes an unfinished file beside `path`, with the content that `write` gives it.
    pub(super) fn unfinished(
        &self,
        path: &Path,
        write: impl Fn(&mut File) -> io::Result<()>,
    ) -> Result<Unfinished> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let hidden = path.with_file_name(format!(".{name}.{process}.{number}{UNFINISHED}"));
        let is_private = self.is_private(path);
        if is_private {
            create_private_folder(&self.root.join(PRIVATE_ROOT), parent(path))?;
        } else {
            create_folder(parent(path))?;
        }
        let mut options = if is_private {
            private_file()
        } else {
            File::options()
        };
        let mut unfinished = Unfinished {
            path: hidden,
            version: Version::default(),
        };
        let written = (|| {
            let mut file = options.write(true).create_new(true).open(&unfinished.path)?;
            write(&mut file)?;
            make_later(&file, path)?;
            file.sync_all()?;
            unfinished.version = version(&file.metadata()?);
            Ok(())
        })();
        written.map_err(Error::io("write", path))?;
        Ok(unfinished)
    }
}

/// An unfinished file, which is removed if it does not get its name.
pub(super) struct Unfinished {
    pub(super) path: PathBuf,
    pub(super) version: Version,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // after a rename there is none
        let _ = fs::remove_file(&self.path);
    }
}

/// Gives a file its name if no file has it.
pub(super) fn create(unfinished: &Path, path: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, unfinished, CWD, path, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            fs::hard_link(unfinished, path)
        }
        renamed => renamed.map_err(Into::into),
    }
}

/// Makes the time of a file later than that of the file that it replaces: clocks are coarse, and inodes are used again.
fn make_later(file: &File, replaced: &Path) -> io::Result<()> {
    let Ok(before) = fs::metadata(replaced).and_then(|about| about.modified()) else {
        return Ok(());
    };
    if file.metadata()?.modified()? <= before {
        file.set_modified(before + Duration::from_micros(1))?;
    }
    Ok(())
}

pub(super) fn version(about: &fs::Metadata) -> Version {
    let time = i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec());
    Version {
        etag: Some(format!("{time:x}-{:x}-{:x}", about.len(), about.ino())),
        generation: None,
    }
}
