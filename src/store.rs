//! Where bytes of a table are stored: a port for bytes by key, on a local disk and on object stores, and durable local files.
//!
//! [`Store`] is the port, [`open`] opens one for a path or a URL. The other functions are for local files: they are there
//! after a crash, or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD};

use crate::error::{Error, Result};

mod conditional;
mod connector;
mod failure;
#[cfg(debug_assertions)]
pub mod fault;
pub mod key;
pub mod lease;
mod local;
mod location;
mod options;
mod port;
mod private;
mod probe;
mod provider;
mod remote;
mod replace;
mod runtime;
mod sealed;

pub use crate::error::{StoreError, StoreFailure};
pub use local::LocalStore;
pub use location::{Location, open};
pub use options::StoreOptions;
pub use port::{Condition, Entry, Store, Version, Written};
pub use probe::probe;
pub use remote::RemoteStore;

pub(crate) use private::{create_private_folder, make_private, private_file, write_private};
pub(crate) use replace::{exchange_folders, exchange_trees, move_folder};
pub(crate) use sealed::{seal, unseal};

/// Writes a file whole or not at all: readers see the old content or the new, also after a crash.
///
/// # Errors
/// Where the system refuses; the old content is then still there.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    write_unnamed(path, content)?;
    sync_folder(parent(path))
}

/// The same, but for its name: that is durable once its folder is synced.
///
/// # Errors
/// As [`write_atomically`].
pub(crate) fn write_unnamed(path: &Path, content: &[u8]) -> Result<()> {
    create_folder(parent(path))?;
    write_as(path, content, &File::options())
}

/// The same with options for the file that is created. Its folder must be there.
fn write_as(path: &Path, content: &[u8], options: &fs::OpenOptions) -> Result<()> {
    let unfinished = unfinished(path);
    let written = (|| {
        let mut file = options
            .clone()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        step("file-written");
        fs::rename(&unfinished, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written.map_err(Error::io("write", path))?;
    step("file-renamed");
    Ok(())
}

const UNFINISHED: &str = ".tmp";

/// A name beside `path` that every reader passes over.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}{UNFINISHED}"))
}

/// Makes a folder and those above it; their names are durable when this returns.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_folder(above)?;
    }
    match fs::create_dir(path) {
        Ok(()) => sync_folder(parent(path)),
        // another thread of ours was first
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::io("create the folder", path)(error)),
    }
}

/// Makes the names in a folder durable.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("write", path))
}

/// Makes the names of files or folders durable, each folder that they are in but once.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn sync_names<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
    let folders: BTreeSet<&Path> = paths.into_iter().map(|path| parent(path)).collect();
    folders.into_iter().try_for_each(sync_folder)
}

/// Moves a file to where nobody stumbles over it, as `aside`, or that name with a number where it is taken. One
/// that is not there is as good. The folders below `root` that it takes are private, and so is the file.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn set_aside(path: &Path, root: &Path, aside: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    create_private_folder(root, parent(aside))?;
    let mut to = aside.to_owned();
    for number in 2.. {
        if !to.exists() {
            break;
        }
        let mut name = aside.as_os_str().to_owned();
        name.push(format!(".{number}"));
        to = name.into();
    }
    match fs::rename(path, &to) {
        Err(error) if replace::is_immovable(&error) && path.is_file() => {
            // it is on another file system
            let copied = fs::copy(path, &to).and_then(|_| File::open(&to)?.sync_all());
            copied.map_err(Error::io("move", path))?;
            remove_file(path)?;
        }
        moved => moved.map_err(Error::io("move", path))?,
    }
    if to.is_file() {
        private::narrow_file(&to);
    }
    sync_folder(parent(&to))?;
    sync_folder(parent(path))
}

/// When a file or folder last changed in any way, by the system's own clock, in nanoseconds: unlike the time of
/// its content, no program can set it.
pub(crate) fn changed(about: &fs::Metadata) -> i128 {
    i128::from(about.ctime()) * 1_000_000_000 + i128::from(about.ctime_nsec())
}

/// Sets the time of [`changed`] of a file or folder to now, and nothing else of it. Where the system refuses, nothing changes.
pub(crate) fn touch(path: &Path) {
    let touched = fs::metadata(path).and_then(|about| fs::set_permissions(path, about.permissions()));
    if let Err(error) = touched {
        tracing::debug!("cannot touch {}: {error}", path.display());
    }
}

/// Removes what a crash left of [`write_atomically`] in a folder and those below it.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<()> {
    for entry in entries(folder)? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name();
        // the folder tells what is a folder, without a look at each file
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_unfinished(&entry.path())?;
        } else if name
            .to_str()
            .is_some_and(|name| name.starts_with('.') && name.ends_with(UNFINISHED))
        {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a folder with all that is in it; one that is not there is as good.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a file; one that is not there is as good.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether this process could write a file into the folder.
pub(crate) fn is_writable(path: &Path) -> bool {
    rustix::fs::accessat(
        CWD,
        path,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
        AtFlags::EACCESS,
    )
    .is_ok()
}

/// A file's content, `None` where there is no such file.
///
/// # Errors
/// Where the system refuses to read it.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// A file's content and when it last changed, see [`changed`]; `None` where there is no such file.
///
/// # Errors
/// Where the system refuses to read it.
pub(crate) fn read_with_change(path: &Path) -> Result<Option<(Vec<u8>, i128)>> {
    let read = || {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let mut content = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
        // reading the file itself to its end would ask for its length again
        file.take(u64::MAX).read_to_end(&mut content)?;
        Ok((content, changed(&about)))
    };
    match read() {
        Ok(read) => Ok(Some(read)),
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// What is in a folder; nothing where there is no such folder.
fn entries(path: &Path) -> Result<impl Iterator<Item = io::Result<fs::DirEntry>> + use<>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The names in a folder, sorted; none where there is no such folder.
///
/// # Errors
/// Where the system refuses to read it.
pub(crate) fn names(path: &Path) -> Result<Vec<String>> {
    let mut names = entries(path)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(Error::io("read", path))?;
    names.sort_unstable();
    Ok(names)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}

/// A step on the way of data to the disk is done. Here tests have the process killed, to see that the next run
/// mends whatever is left: `tests/it/kill.rs` finds every call of this and kills at each. Builds that are
/// handed out hold nothing of it.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn step(_name: &'static str) {}

/// The same in builds for tests: `CONVERSE_EXPORT_TEST_KILL_AT=step:n` ends the process when it comes to this
/// step for the n-th time, as hard as `kill -9`.
#[cfg(debug_assertions)]
pub(crate) fn step(name: &'static str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static LAST: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let last = std::env::var("CONVERSE_EXPORT_TEST_KILL_AT").ok()?;
        let (step, time) = last.split_once(':')?;
        Some((step.to_owned(), time.parse().ok()?))
    });
    static TIMES: AtomicU64 = AtomicU64::new(0);
    if let Some((step, time)) = &*LAST
        && step == name
        && TIMES.fetch_add(1, Ordering::Relaxed) + 1 == *time
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(path.parent().unwrap()).unwrap(), ["file.json"]);
    }
}
