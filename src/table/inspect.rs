//! Inspects partitions on disk, and restores entries from data files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::check::{Defect, Depth, is_named_for};
use super::contents::Contents;
use super::entry::read_entry_with_change;
use super::reader::{DataFile, checksum};
use super::{
    Entry, OWN_FOLDER, PartitionDate, PartitionKey, QUARANTINE, Table, bot_folder, bot_of, date_of_folder,
    file,
};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::store;

/// The state of a partition.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// The entry of its intact file, or the defect.
    pub(crate) found: Result<Entry, Defect>,
    /// Files that do not belong there, relative to the table's folder. If there is a defect: all files, and the
    /// entry.
    pub(crate) strays: Vec<PathBuf>,
}

impl Table {
    /// Returns the bots that have files or entries in a dataset.
    pub(crate) fn bots(&self, dataset: Dataset) -> Result<BTreeSet<String>> {
        let mut bots = BTreeSet::new();
        for folder in [&self.out, &self.entries()] {
            for name in store::names(&folder.join(dataset.name()))? {
                bots.extend(bot_of(&name));
            }
        }
        Ok(bots)
    }

    /// Returns the dates that have a folder or an entry for a bot in a dataset.
    pub(crate) fn dates(&self, dataset: Dataset, bot: &str) -> Result<BTreeSet<PartitionDate>> {
        let below = Path::new(dataset.name()).join(bot_folder(bot));
        let by = self.settings.partition_by;
        let mut dates = BTreeSet::new();
        for folder in [&self.out, &self.entries()] {
            let names = store::names(&folder.join(&below))?;
            dates.extend(
                names
                    .iter()
                    .filter_map(|name| date_of_folder(name.strip_suffix(".json").unwrap_or(name), by)),
            );
        }
        Ok(dates)
    }

    /// Inspects a partition to some depth. A file that changed after its entry was written is read at least to
    /// [`Depth::Checksum`]. `is_expected` compares an entry with what the ledger stores of the partition.
    ///
    /// An entry that is lost, damaged or not expected is restored from the file, if the name of the file contains the
    /// hash of its content. Returns `None` if there is neither a file nor an entry. Only for the process that has the
    /// lock.
    ///
    /// # Errors
    /// If a file operation fails.
    pub(crate) fn inspect(
        &self,
        key: &PartitionKey,
        depth: Depth,
        is_expected: impl Fn(&Entry) -> bool,
    ) -> Result<Option<Inspection>> {
        let known = match read_entry_with_change(&self.entry_path(key)) {
            Err(Error::Damaged { .. }) => None,
            entry => entry?.filter(|(entry, _)| is_named_for(entry, &key.folder())),
        };
        let unexpected = |entry: &Entry| Defect {
            path: entry.path.clone(),
            what: "its rows are not those that were written".into(),
        };
        let wrong = match known {
            None => None,
            Some((entry, written)) => match self.compare(key, &entry, written, depth)? {
                Err(wrong) => Some(wrong),
                Ok(_) if !is_expected(&entry) => Some(unexpected(&entry)),
                Ok(strays) => {
                    let found = Ok(entry);
                    return Ok(Some(Inspection { found, strays }));
                }
            },
        };
        // the entry may be the wrong one
        let Some(Inspection { found, strays }) = self.recover(key)? else {
            return Ok(None);
        };
        let wrong = match (found, wrong) {
            (Ok(entry), _) if is_expected(&entry) => {
                self.save_entry(key, &entry)?;
                let found = Ok(entry);
                return Ok(Some(Inspection { found, strays }));
            }
            (_, Some(wrong)) | (Err(wrong), None) => wrong,
            (Ok(entry), None) => unexpected(&entry),
        };
        Ok(Some(Inspection {
            found: Err(wrong),
            strays: self.all_files(key)?,
        }))
    }

    /// Compares the file of a partition with its entry, which was last written at `written`. Returns the files that
    /// do not belong there.
    fn compare(
        &self,
        key: &PartitionKey,
        entry: &Entry,
        written: i128,
        depth: Depth,
    ) -> Result<Result<Vec<PathBuf>, Defect>> {
        let is_younger = |path: &Path| fs::metadata(path).is_ok_and(|about| store::changed(&about) > written);
        let is_changed = is_younger(&self.out.join(&entry.path));
        let has_other_names = is_younger(&self.out.join(key.folder()));
        let depth = if is_changed {
            depth.max(Depth::Checksum)
        } else {
            depth
        };
        let findings = self.check(key, entry, depth, |_| Ok(()))?;
        if let Some(what) = findings.into_iter().next() {
            if depth >= Depth::Checksum {
                // make the next run read it completely, even if its times are unchanged
                store::touch(&self.out.join(&entry.path));
            }
            let path = entry.path.clone();
            return Ok(Err(Defect { path, what }));
        }
        if !is_changed && !has_other_names {
            return Ok(Ok(Vec::new()));
        }
        let mut strays = self.data_files(key)?;
        strays.retain(|stray| *stray != entry.path);
        // makes the entry newer than the file, so that the next run does not read the file
        self.save_entry(key, entry)?;
        Ok(Ok(strays))
    }

    /// Restores the entry of a partition from the only file whose name contains the hash of its content. Returns all
    /// other files, too. `None` if there is neither a file nor an entry.
    fn recover(&self, key: &PartitionKey) -> Result<Option<Inspection>> {
        let mut files = self.data_files(key)?;
        if files.is_empty() && !self.entry_path(key).exists() {
            return Ok(None);
        }
        let mut sound = Vec::new();
        for (place, path) in files.iter().enumerate() {
            let sha256 = checksum(&self.out.join(path))?;
            if *path == key.folder().join(file::name(&sha256)) {
                sound.extend(self.describe(key, path, sha256)?.map(|entry| (place, entry)));
            }
        }
        let wrong = |path: PathBuf, what: &str| {
            let what = what.into();
            Err(Defect { path, what })
        };
        let found = match (sound.pop(), sound.is_empty()) {
            (Some((place, entry)), true) => {
                files.remove(place);
                Ok(entry)
            }
            (Some(_), false) => wrong(key.folder(), "it has several files"),
            (None, _) => match files.first() {
                None => wrong(key.folder(), "it has no file"),
                Some(file) => {
                    let what = "it is not what was written: its SHA-256 is not that in its name";
                    wrong(file.clone(), what)
                }
            },
        };
        let strays = files;
        Ok(Some(Inspection { found, strays }))
    }

    /// Returns the entry of a file with this hash; `None` if it is no readable file of this dataset and bot.
    fn describe(&self, key: &PartitionKey, path: &Path, sha256: String) -> Result<Option<Entry>> {
        let known_as = self.out.join(path);
        let read = (|| {
            let bytes = fs::metadata(&known_as)
                .map_err(Error::io("read", &known_as))?
                .len();
            let file = DataFile::open(&known_as)?;
            let labels = ["dataset", "bot"].map(|name| file.label(name));
            if labels != [Some(key.dataset.name()), Some(&*key.bot)] {
                return Ok(None);
            }
            let contents = Contents::read(file, key, &self.zone()?, |_| Ok(()))?;
            Ok(Some(Entry {
                path: path.to_owned(),
                rows: contents.rows,
                bytes,
                sha256,
                ids_sha256: contents.ids_sha256,
                first: contents.first,
                last: contents.last,
            }))
        })();
        match read {
            Err(Error::Parquet { .. }) => Ok(None),
            read => read,
        }
    }

    /// Opens the file of a partition after a check of its bytes. Its rows become part of a next version, which would
    /// look intact even if they were damaged. `None` if there is neither a file nor an entry.
    ///
    /// # Errors
    /// [`Error::Damaged`] if there is not exactly one file, the one in the entry.
    pub(super) fn intact_file(&self, key: &PartitionKey) -> Result<Option<DataFile>> {
        let files = self.data_files(key)?;
        let damaged = |path: &Path, what: String| Error::Damaged {
            path: self.out.join(path),
            what,
        };
        let Some(entry) = self.entry(key)? else {
            return match files.is_empty() {
                true => Ok(None),
                false => Err(damaged(&key.folder(), "it has no entry".into())),
            };
        };
        if let Some(Defect { path, what }) = self.find_defect(key, &entry)? {
            return Err(damaged(&path, what));
        }
        if files.len() != 1 {
            let what = format!("it has {} files instead of one", files.len());
            return Err(damaged(&key.folder(), what));
        }
        DataFile::open(&self.out.join(&entry.path)).map(Some)
    }

    /// Lists the files of a partition and its entry, relative to the table's folder.
    fn all_files(&self, key: &PartitionKey) -> Result<Vec<PathBuf>> {
        let mut files = self.data_files(key)?;
        let entry = self.entry_path(key);
        files.extend(entry.strip_prefix(&self.out).ok().map(Into::into));
        Ok(files)
    }

    /// Whether a partition has files that readers open.
    pub(crate) fn has_file(&self, key: &PartitionKey) -> Result<bool> {
        Ok(!self.data_files(key)?.is_empty())
    }

    /// Lists the files of a partition that readers open, relative to the table's folder.
    fn data_files(&self, key: &PartitionKey) -> Result<Vec<PathBuf>> {
        let folder = key.folder();
        let names = store::names(&self.out.join(&folder))?;
        let seen = names.iter().filter(|name| !name.starts_with(['.', '_']));
        Ok(seen.map(|name| folder.join(name)).collect())
    }

    /// Moves a file to `_export/quarantine/`, so that nothing is deleted that a user may need. `path` is relative to
    /// the table's folder. Does nothing if there is no such file.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn quarantine(&self, path: &Path) -> Result<()> {
        let own = path.strip_prefix(OWN_FOLDER).ok();
        let own_folder = self.own_folder();
        let aside = own_folder.join(QUARANTINE).join(own.unwrap_or(path));
        let path = self.out.join(path);
        store::set_aside(&path, &own_folder, &aside)?;
        if let (None, Some(folder)) = (own, path.parent()) {
            // remove the folder if it is empty
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }
}
