//! Replaces a folder by another one: as one step, or file by file where the system cannot do that.
//!
//! Some systems refuse to move a folder: overlayfs where it is part of a lower layer (an image), and every system where
//! one of the two is a mount point or on another file system. There the files are replaced one by one. First the new files are
//! written beside the old ones, under names that readers ignore. Then the old files are removed, and then the new ones
//! get their names. A reader that lists files meanwhile may miss rows, but it never sees rows of both versions.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

use super::{create_folder, names, parent, remove_file, remove_folder, step, sync_folder, unfinished};
use crate::error::{Error, Result};

/// Steps of a replacement file by file; only some systems come to them.
const COPIED: &str = "files-copied";
const REMOVED: &str = "files-removed";
const RENAMED: &str = "files-renamed";

/// Puts the folder `new` in the place of the folder `live`, which is durable once the name of `live` is. Where the
/// system can, this is one step, and what was there before is at `new` afterwards. Where it cannot exchange two folders,
/// the old folder is moved aside first: a reader that lists files in that moment finds no partition, but never a mixture.
/// Where it cannot move folders, files are replaced one by one, and `new` stays as it is. After a crash the same
/// call continues.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn exchange_folders(new: &Path, live: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::io("replace", live)(error);
    if !live.exists() {
        create_folder(parent(live))?;
        match fs::rename(new, live) {
            Err(error) if is_immovable(&error) => replace_files(new, live)?,
            moved => moved.map_err(failed)?,
        }
    } else {
        match rustix::fs::renameat_with(CWD, new, CWD, live, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
                let aside = unfinished(new);
                match fs::rename(live, &aside) {
                    Err(error) if is_immovable(&error) => replace_files(new, live)?,
                    moved => {
                        moved.map_err(failed)?;
                        fs::rename(new, live).map_err(failed)?;
                        fs::rename(&aside, new).map_err(failed)?;
                    }
                }
            }
            Err(error) if is_immovable(&error.into()) => replace_files(new, live)?,
            Err(error) => return Err(failed(error.into())),
        }
    }
    step("partition-exchanged");
    Ok(())
}

/// The same for a folder that has folders. Where another file system is mounted below `live`, it stays there, and
/// files are replaced one by one.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn exchange_trees(new: &Path, live: &Path) -> Result<()> {
    if live.exists() && contains_mounts(live).map_err(Error::io("read", live))? {
        replace_files(new, live)?;
        step("partition-exchanged");
        return Ok(());
    }
    exchange_folders(new, live)
}

/// Whether a folder below this one is a mount point.
fn contains_mounts(folder: &Path) -> io::Result<bool> {
    let mount = mount(folder)?;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                if self::mount(&entry.path())? != mount {
                    return Ok(true);
                }
                folders.push(entry.path());
            }
        }
    }
    Ok(false)
}

/// What tells the mounts of folders apart: the device, and the mount itself where the system says it.
fn mount(folder: &Path) -> io::Result<(u64, u64)> {
    let device = fs::metadata(folder)?.dev();
    #[cfg(target_os = "linux")]
    let mount = {
        use rustix::fs::{AtFlags, StatxFlags, statx};
        let about = statx(CWD, folder, AtFlags::empty(), StatxFlags::MNT_ID);
        about.map_or(0, |about| about.stx_mnt_id)
    };
    #[cfg(not(target_os = "linux"))]
    let mount = 0;
    Ok((device, mount))
}

/// Moves a folder away in one step, to where there is none. Where the system cannot move it, its files are removed.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn move_folder(live: &Path, to: &Path) -> Result<()> {
    create_folder(parent(to))?;
    match fs::rename(live, to) {
        Err(error) if is_immovable(&error) => remove_folder(live)?,
        moved => moved.map_err(Error::io("move", live))?,
    }
    step("partition-exchanged");
    sync_folder(parent(live))
}

/// Whether a folder is where it cannot be moved from or to.
pub(super) fn is_immovable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::CrossesDevices | io::ErrorKind::ResourceBusy
    )
}

/// Replaces the files below `live` by those below `new`, except those that readers ignore. Done again it changes nothing.
fn replace_files(new: &Path, live: &Path) -> Result<()> {
    tracing::debug!("replacing the files of {} one by one", live.display());
    create_folder(live)?;
    let files = visible_files(new)?;
    let mut folders = BTreeSet::from([live.to_owned()]);
    for file in &files {
        let to = live.join(file);
        create_folder(parent(&to))?;
        folders.insert(parent(&to).to_owned());
        let hidden = unfinished(&to);
        remove_file(&hidden)?;
        let from = new.join(file);
        fs::hard_link(&from, &hidden)
            .or_else(|_| fs::copy(&from, &hidden).and_then(|_| File::open(&hidden)?.sync_all()))
            .map_err(Error::io("write", &hidden))?;
    }
    folders.iter().try_for_each(|folder| sync_folder(folder))?;
    step(COPIED);
    for file in visible_files(live)?.difference(&files) {
        remove_file(&live.join(file))?;
    }
    step(REMOVED);
    for file in &files {
        let (to, hidden) = (live.join(file), unfinished(&live.join(file)));
        fs::rename(&hidden, &to).map_err(Error::io("replace", &to))?;
        // after a crash both may be names of one file, and then a rename does nothing
        remove_file(&hidden)?;
    }
    step(RENAMED);
    folders.iter().try_for_each(|folder| sync_folder(folder))?;
    remove_empty_folders(live)
}

/// The files below a folder, from there on, except those whose names begin with a dot or an underscore.
fn visible_files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let (mut files, mut folders) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(inner) = folders.pop() {
        for name in names(&folder.join(&inner))? {
            let path = inner.join(&name);
            if name.starts_with(['.', '_']) {
                continue;
            } else if folder.join(&path).is_dir() {
                folders.push(path);
            } else {
                files.insert(path);
            }
        }
    }
    Ok(files)
}

/// Removes the folders below a folder that contain nothing.
fn remove_empty_folders(folder: &Path) -> Result<()> {
    for name in names(folder)? {
        let path = folder.join(name);
        if path.is_dir() && !path.is_symlink() {
            remove_empty_folders(&path)?;
            // one that is not empty stays
            let _ = fs::remove_dir(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[&str]) {
        for file in files {
            create_folder(parent(&folder.join(file))).unwrap();
            fs::write(folder.join(file), file).unwrap();
        }
    }

    #[test]
    fn invariant_2_folders_change_places() {
        let folder = tempfile::tempdir().unwrap();
        let (new, live) = (folder.path().join("new"), folder.path().join("deep/live"));
        for (content, expected_old) in [("1", None), ("2", Some("1"))] {
            write(&new, &[content]);
            exchange_folders(&new, &live).unwrap();
            assert_eq!(names(&live).unwrap(), [content]);
            assert_eq!(names(&new).unwrap().first().map(String::as_str), expected_old);
            remove_folder(&new).unwrap();
        }
    }

    #[test]
    fn files_are_replaced_one_by_one_and_again_after_any_crash() {
        let folder = tempfile::tempdir().unwrap();
        let (new, live) = (folder.path().join("new"), folder.path().join("live"));
        let files = ["a/b/new.parquet", "a/both.parquet", "c.parquet"];
        for half_done in [0, 1, 2, 3] {
            write(&new, &files);
            write(&new, &["_mark"]);
            write(
                &live,
                &["a/old/old.parquet", "a/both.parquet", ".mine", "_mine/x"],
            );
            if half_done > 0 {
                // a crash left some files hidden, or has removed the old ones, or has named some of the new ones
                write(&live, &["a/b/.new.parquet.tmp", ".c.parquet.tmp"]);
            }
            if half_done > 1 {
                fs::remove_file(live.join("a/old/old.parquet")).unwrap();
            }
            if half_done > 2 {
                fs::remove_file(live.join("a/b/.new.parquet.tmp")).unwrap();
                fs::hard_link(new.join("a/b/new.parquet"), live.join("a/b/new.parquet")).unwrap();
            }
            for _ in 0..2 {
                replace_files(&new, &live).unwrap();
                let expected: BTreeSet<PathBuf> = files.iter().map(Into::into).collect();
                assert_eq!(visible_files(&live).unwrap(), expected);
                assert_eq!(fs::read_to_string(live.join(files[0])).unwrap(), files[0]);
                assert_eq!(names(&live).unwrap(), [".mine", "_mine", "a", "c.parquet"]);
                assert_eq!(names(&live.join("a")).unwrap(), ["b", "both.parquet"]);
                assert_eq!(names(&live.join("a/b")).unwrap(), ["new.parquet"]);
            }
            remove_folder(&new).unwrap();
            remove_folder(&live).unwrap();
        }
    }
}
