//! Folders and files that only their owner can read: they contain records as the API sent them.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{create_folder, parent, sync_folder, write_as};
use crate::error::{Error, Result};

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;
/// What group and others may do.
const OF_OTHERS: u32 = 0o077;

/// Creates a folder and those above it up to `root`, private from the start.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn create_private_folder(root: &Path, path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if path == root || !path.starts_with(root) {
        return create_folder(path);
    }
    create_private_folder(root, parent(path))?;
    match DirBuilder::new().mode(FOLDER).create(path) {
        Ok(()) => sync_folder(parent(path)),
        // another thread of ours was first
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::io("create the folder", path)(error)),
    }
}

/// Options to open a file with that is private if they create it.
pub(crate) fn private_file() -> fs::OpenOptions {
    let mut options = File::options();
    options.mode(FILE);
    options
}

/// Writes a private file as [`super::write_atomically`] does. Its folder must be there.
///
/// # Errors
/// Where the system refuses; the old content is then still there.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    write_as(path, content, &private_file())?;
    sync_folder(parent(path))
}

/// Makes a folder private with all that is below it. One that is not there is as good, and so is one of another user's,
/// who alone can change that.
///
/// # Errors
/// Where a folder cannot be read.
pub(crate) fn make_private(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("read", folder))?,
    };
    // the folder first: from then on nobody else comes to its files
    narrow(folder, FOLDER);
    for entry in entries {
        let entry = entry.map_err(Error::io("read", folder))?;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => make_private(&entry.path())?,
            Ok(kind) if kind.is_file() => narrow(&entry.path(), FILE),
            _ => {}
        }
    }
    Ok(())
}

/// Takes the rights of others away from a file or folder.
pub(super) fn narrow(path: &Path, mode: u32) {
    let is_open = fs::metadata(path).is_ok_and(|about| about.permissions().mode() & OF_OTHERS != 0);
    if is_open && let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        tracing::warn!("cannot make {} private: {error}", path.display());
    }
}

/// The same for a file that was moved into a private folder.
pub(super) fn narrow_file(path: &Path) {
    narrow(path, FILE);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_created_is_private_and_what_was_open_becomes_private() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("_export");
        let (inner, file) = (root.join("kept/deep"), root.join("kept/deep/page"));
        create_private_folder(&root, &inner).unwrap();
        write_private(&file, b"page").unwrap();
        assert_ne!(mode(&root), FOLDER, "the folder above has the usual rights");
        let check = || {
            assert_eq!([mode(&root.join("kept")), mode(&inner)], [FOLDER; 2]);
            assert_eq!(mode(&file), FILE);
        };
        check();
        for (path, mode) in [(&file, 0o644), (&inner, 0o755), (&root.join("kept"), 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        make_private(&root.join("kept")).unwrap();
        check();
        make_private(&root.join("nowhere")).unwrap();
    }
}
