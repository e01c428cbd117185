//! Whether what stands on disk is what the table knows of it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::entry::read_entry_with_change;
use super::{Entry, OWN_FOLDER, PartitionKey, Period, Table, bot_folder, bot_of, file, period_of};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::store;

/// What a look at a partition found.
#[derive(Debug)]
pub(crate) struct Look {
    /// What is known of its file, which stands there as it was written; or what is wrong.
    pub(crate) found: Result<Entry, Wrong>,
    /// What does not belong there, from the table's folder on; where something is wrong, all there is.
    pub(crate) strays: Vec<PathBuf>,
}

/// What is wrong with a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The file or folder, from the table's folder on.
    pub(crate) path: PathBuf,
    pub(crate) what: String,
}

impl Table {
    /// The bots of which a dataset has files or entries.
    pub(crate) fn bots(&self, dataset: Dataset) -> Result<BTreeSet<String>> {
        let mut bots = BTreeSet::new();
        for folder in [&self.out, &self.entries()] {
            for name in store::names(&folder.join(dataset.name()))? {
                bots.extend(bot_of(&name));
            }
        }
        Ok(bots)
    }

    /// The partitions of which a dataset of a bot has a folder or an entry.
    pub(crate) fn periods(&self, dataset: Dataset, bot: &str) -> Result<BTreeSet<Period>> {
        let below = Path::new(dataset.name()).join(bot_folder(bot));
        let by = self.settings.partition_by;
        let mut periods = BTreeSet::new();
        for folder in [&self.out, &self.entries()] {
            let names = store::names(&folder.join(&below))?;
            periods.extend(
                names
                    .iter()
                    .filter_map(|name| period_of(name.strip_suffix(".json").unwrap_or(name), by)),
            );
        }
        Ok(periods)
    }

    /// Looks at a partition: at names, sizes and times, and at the file's content only where it was changed after
    /// its entry was written. An entry that is lost, damaged or wrong is made again from a file that bears the hash of
    /// its content in its name. `None` where there is nothing at all.
    ///
    /// # Errors
    /// Where the system refuses to let it be looked at.
    pub(crate) fn look_at(&self, key: &PartitionKey) -> Result<Option<Look>> {
        let folder = key.folder();
        let known = match read_entry_with_change(&self.entry_path_of(&folder)) {
            Err(Error::Damaged { .. }) => None,
            entry => entry?.filter(|(entry, _)| is_named_as_it_should(entry, &folder)),
        };
        let Some((entry, written)) = known else {
            return self.find(key);
        };
        let look = self.compare(key, &folder, entry, written)?;
        if look.found.is_ok() {
            return Ok(Some(look));
        }
        // the entry may be what is wrong
        let found = self.find(key)?.filter(|look| look.found.is_ok());
        Ok(Some(found.unwrap_or(look)))
    }

    /// Compares a partition's file with its entry, which was last written so late.
    fn compare(&self, key: &PartitionKey, folder: &Path, entry: Entry, written: i128) -> Result<Look> {
        let path = self.out.join(&entry.path);
        let file = match fs::metadata(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.wrong(key, entry.path, "is missing".into());
            }
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        if file.len() != entry.bytes {
            let what = format!("has {} bytes instead of {}", file.len(), entry.bytes);
            return self.wrong(key, entry.path, what);
        }
        let folder = self.out.join(folder);
        let folder = fs::metadata(&folder).map_err(Error::io("read", &folder))?;
        if store::changed(&file) <= written && store::changed(&folder) <= written {
            return Ok(Look {
                found: Ok(entry),
                strays: Vec::new(),
            });
        }
        if store::changed(&file) > written && file::sha256(&path)? != entry.sha256 {
            return self.wrong(key, entry.path, "does not hold what was written".into());
        }
        let mut strays = self.data_files(key)?;
        strays.retain(|stray| *stray != entry.path);
        // written again it is the younger one, and the next look is quick
        self.remember(key, &entry)?;
        Ok(Look {
            found: Ok(entry),
            strays,
        })
    }

    /// Whether a file's content is, to the byte, what was written. Where it is not, the next look at its partition reads
    /// it, whatever its times were.
    pub(crate) fn holds_what_was_written(&self, entry: &Entry) -> Result<bool> {
        let path = self.out.join(&entry.path);
        let holds = file::sha256(&path)? == entry.sha256;
        if !holds {
            store::touch(&path);
        }
        Ok(holds)
    }

    /// Looks for a partition's file without its entry, and makes that again. `None` where there is nothing at all.
    ///
    /// # Errors
    /// Where the system refuses to let it be looked at.
    pub(crate) fn find(&self, key: &PartitionKey) -> Result<Option<Look>> {
        let folder = key.folder();
        let mut files = self.data_files(key)?;
        if files.is_empty() && !self.entry_path(key).exists() {
            return Ok(None);
        }
        let mut whole = Vec::new();
        for (place, path) in files.iter().enumerate() {
            let standing = self.out.join(path);
            let sha256 = file::sha256(&standing)?;
            if *path == folder.join(file::name(&sha256)) {
                let entry = file::describe(&standing, key, path, sha256)?;
                whole.extend(entry.map(|entry| (place, entry)));
            }
        }
        let look = match (whole.pop(), whole.is_empty()) {
            (Some((place, entry)), true) => {
                files.remove(place);
                self.remember(key, &entry)?;
                Look {
                    found: Ok(entry),
                    strays: files,
                }
            }
            (None, _) if files.is_empty() => self.wrong(key, key.folder(), "has no file".into())?,
            (None, _) => self.wrong(key, files.remove(0), "does not hold what was written".into())?,
            (Some(_), false) => self.wrong(key, key.folder(), "holds several files".into())?,
        };
        Ok(Some(look))
    }

    fn wrong(&self, key: &PartitionKey, path: PathBuf, what: String) -> Result<Look> {
        Ok(Look {
            found: Err(Wrong { path, what }),
            strays: self.all_files(key)?,
        })
    }

    /// Everything that stands for a partition, its entry too, from the table's folder on.
    pub(crate) fn all_files(&self, key: &PartitionKey) -> Result<Vec<PathBuf>> {
        let mut files = self.data_files(key)?;
        let entry = self.entry_path(key);
        files.extend(entry.strip_prefix(&self.out).ok().map(Into::into));
        Ok(files)
    }

    /// Whether readers of a partition would open a file.
    pub(crate) fn has_file(&self, key: &PartitionKey) -> Result<bool> {
        Ok(!self.data_files(key)?.is_empty())
    }

    /// What readers of a partition would open, from the table's folder on.
    fn data_files(&self, key: &PartitionKey) -> Result<Vec<PathBuf>> {
        let folder = key.folder();
        let names = store::names(&self.out.join(&folder))?;
        let seen = names.iter().filter(|name| !name.starts_with(['.', '_']));
        Ok(seen.map(|name| folder.join(name)).collect())
    }

    /// Moves a file, told from the table's folder on, to `_export/damaged/`; nothing that a user may miss is ever
    /// deleted. One that is not there is as good.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn set_aside(&self, path: &Path) -> Result<()> {
        let own = path.strip_prefix(OWN_FOLDER).ok();
        let own_folder = self.own_folder();
        let aside = own_folder.join("damaged").join(own.unwrap_or(path));
        let path = self.out.join(path);
        store::set_aside(&path, &own_folder, &aside)?;
        if let (None, Some(folder)) = (own, path.parent()) {
            // a partition is never an empty folder; one that is not empty stays
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }
}

/// Whether the file lies in its partition's folder and bears the beginning of its hash in its name.
fn is_named_as_it_should(entry: &Entry, folder: &Path) -> bool {
    let name = entry.path.file_name().and_then(OsStr::to_str);
    entry.path.parent() == Some(folder) && name.is_some_and(|name| name == file::name(&entry.sha256))
}
