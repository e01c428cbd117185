//! The lock of a table: one process at a time may change it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, Result};
use crate::store;

/// Folders below `_export/` that contain records as the API sent them.
const PRIVATE: [&str; 5] = ["pages", "kept", "quarantine", "damaged", "rejected"];
/// Time within which the process that took the lock writes its name into the file.
const NAMED_WITHIN: Duration = Duration::from_millis(100);

/// The exclusive right to change a table, until it is dropped. The system releases it when the process ends in any
/// way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the table in `out`, whose own folder is `folder`.
    ///
    /// # Errors
    /// [`Error::Locked`] without delay if another process has the lock.
    pub fn acquire(out: &Path, folder: &Path) -> Result<Self> {
        store::create_folder(folder)?;
        let path = folder.join("lock");
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let take = || flock(&file, FlockOperation::NonBlockingLockExclusive);
        let taken = take().or_else(|_| {
            // the other process may not have written its name yet, or may have tested the lock only
            std::thread::sleep(NAMED_WITHIN);
            take()
        });
        match taken {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::Locked {
                    path: out.to_owned(),
                    holder: name(&mut file),
                });
            }
            Err(error) => return Err(Error::io("lock", &path)(error.into())),
        }
        let host = rustix::system::uname();
        let holder = format!(
            "process {} on {}, since {:.0}\n",
            std::process::id(),
            host.nodename().to_string_lossy(),
            jiff::Timestamp::now()
        );
        file.set_len(0)
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(Error::io("write", &path))?;
        store::step("lock-taken");
        for private in PRIVATE {
            // earlier versions created them with wider permissions
            store::make_private(&folder.join(private))?;
        }
        Ok(Self { _file: file })
    }

    /// Returns who has the lock of the table whose own folder is `folder`. Writes nothing, and does not keep the
    /// lock.
    ///
    /// # Errors
    /// If the lock file cannot be read.
    pub fn holder(folder: &Path) -> Result<Option<String>> {
        let path = folder.join("lock");
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(name(&mut file))),
            Err(error) => Err(Error::io("lock", &path)(error.into())),
        }
    }
}

/// Reads who has the lock. It is for display only, so an unreadable name is no error.
fn name(file: &mut File) -> String {
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    match holder.trim() {
        "" => "unknown".into(),
        holder => holder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let take = || Lock::acquire(folder.path(), &folder.path().join("_export"));
        let first = take().unwrap();
        let Err(Error::Locked { holder, .. }) = take() else {
            panic!("two held one lock")
        };
        assert!(
            holder.contains(&format!("process {}", std::process::id())),
            "{holder}"
        );
        let asked = || Lock::holder(&folder.path().join("_export")).unwrap();
        assert_eq!(asked(), Some(holder));
        drop(first);
        assert_eq!(asked(), None);
        take().unwrap();
    }
}
