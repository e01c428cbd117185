//! Stages next versions of partitions, and publishes them: each one atomically for readers.

use std::path::PathBuf;

use jiff::Timestamp;
use rayon::prelude::*;

use super::file::{self, Written};
use super::{Effect, Entry, PartitionKey, Staged, Table, bot_folder};
use crate::error::{Error, Result};
use crate::store;

/// Name of a file that is not complete.
const UNNAMED: &str = "part.parquet";

impl Table {
    /// Creates the staging folder of a partition. Returns the path of the file before it has its name.
    pub(super) fn begin_staging(&self, key: &PartitionKey) -> Result<PathBuf> {
        let folder = self.staging(key);
        store::remove_folder(&folder)?;
        store::create_folder(&self.staging_folder())?;
        std::fs::create_dir(&folder).map_err(Error::io("create the folder", &folder))?;
        Ok(folder.join(UNNAMED))
    }

    /// Whether a staged version was published, as far as a crash could tell otherwise.
    ///
    /// # Errors
    /// If the entry cannot be read.
    pub(crate) fn is_published(&self, key: &PartitionKey, entry: &Entry) -> Result<bool> {
        if !self.staging(key).exists() {
            return Ok(true);
        }
        match self.entry(key) {
            Err(Error::Damaged { .. }) => Ok(false),
            known => Ok(known?.as_ref() == Some(entry)),
        }
    }

    /// Whether a partition was removed.
    pub(crate) fn is_removed(&self, key: &PartitionKey) -> bool {
        !self.entry_path(key).exists()
    }

    /// Makes the names of all staged versions durable; what is in them is already.
    pub(crate) fn sync_staged(&self) -> Result<()> {
        let staging = self.staging_folder();
        match staging.exists() {
            true => store::sync_folder(&staging),
            false => Ok(()),
        }
    }

    /// Names the file of a partition's next version, so that it can be published.
    pub(super) fn staged(
        &self,
        key: &PartitionKey,
        written: Written,
        effect: Effect,
        rows: u64,
        (first, last): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<Staged> {
        store::step("data-file-written");
        let folder = self.staging(key);
        let unnamed = folder.join(UNNAMED);
        let name = file::name(&written.sha256);
        std::fs::rename(&unnamed, folder.join(&name)).map_err(Error::io("rename", &unnamed))?;
        store::sync_folder(&folder)?;
        store::step("partition-staged");
        let entry = Entry {
            path: key.folder().join(&name),
            rows,
            bytes: written.bytes,
            sha256: written.sha256,
            ids_sha256: written.ids_sha256,
            first,
            last,
        };
        Ok(Staged {
            key: key.clone(),
            entry,
            effect,
            replaces: true,
        })
    }

    /// Stages nothing, since the new rows do not change the partition.
    pub(super) fn stage_unchanged(&self, key: &PartitionKey, entry: Entry, effect: Effect) -> Result<Staged> {
        store::remove_folder(&self.staging(key))?;
        Ok(Staged {
            key: key.clone(),
            entry,
            effect,
            replaces: false,
        })
    }

    /// Replaces the current versions of partitions by the staged ones, each one atomically for readers, and writes
    /// their entries. It is idempotent.
    ///
    /// # Errors
    /// If a file operation fails.
    pub(crate) fn publish_all(&self, partitions: &[(PartitionKey, Entry)]) -> Result<()> {
        self.publish_those(partitions, |_, _| Ok(true))
    }

    /// Publishes again after a crash. A file that was damaged after it was staged gets no entry: an entry that is
    /// newer than the damage would hide it from the next inspection.
    ///
    /// # Errors
    /// If a file operation fails.
    pub(crate) fn publish_again(&self, partitions: &[(PartitionKey, Entry)]) -> Result<()> {
        self.publish_those(partitions, |key, entry| self.is_as_written(key, entry))
    }

    fn publish_those(
        &self,
        partitions: &[(PartitionKey, Entry)],
        gets_entry: impl Fn(&PartitionKey, &Entry) -> Result<bool> + Sync,
    ) -> Result<()> {
        let mut folders = Vec::new();
        for (key, entry) in partitions {
            let (staging, live) = (self.staging(key), self.out.join(key.folder()));
            let name = entry.path.file_name().unwrap_or_default();
            if staging.join(name).exists() && !live.join(name).exists() {
                store::exchange_folders(&staging, &live)?;
            }
            folders.push(live);
        }
        // remove the old version only after the new one is durable
        store::sync_names(&folders)?;
        let entries = partitions.par_iter().filter_map(|(key, entry)| {
            let written = gets_entry(key, entry)
                .and_then(|gets| gets.then(|| self.write_entry(key, entry)).transpose());
            written.transpose()
        });
        store::sync_names(&entries.collect::<Result<Vec<_>>>()?)?;
        for (key, _) in partitions {
            store::remove_folder(&self.staging(key))?;
            store::step("partition-published");
        }
        Ok(())
    }

    /// Publishes one partition.
    ///
    /// # Errors
    /// As [`Table::publish_all`].
    pub(crate) fn publish(&self, key: &PartitionKey, entry: &Entry) -> Result<()> {
        self.publish_all(&[(key.clone(), entry.clone())])
    }

    /// Writes the entry of a partition durably.
    pub(super) fn save_entry(&self, key: &PartitionKey, entry: &Entry) -> Result<()> {
        store::sync_names([&self.write_entry(key, entry)?])
    }

    /// Writes the entry of a partition. Its name is not durable yet.
    fn write_entry(&self, key: &PartitionKey, entry: &Entry) -> Result<PathBuf> {
        let path = self.entry_path(key);
        store::write_unnamed(&path, &store::seal(entry)?)?;
        store::step("entry-written");
        Ok(path)
    }

    /// Removes unfinished files after a crash. Only for the process that has the lock, and after the last commit was
    /// completed.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn remove_leftovers(&self) -> Result<()> {
        store::remove_folder(&self.staging_folder())?;
        store::step("swept");
        store::remove_unfinished(&self.own_folder())
    }

    pub(super) fn staging_folder(&self) -> PathBuf {
        self.own_folder().join("staging")
    }

    pub(super) fn staging(&self, key: &PartitionKey) -> PathBuf {
        let bot = bot_folder(&key.bot);
        self.staging_folder()
            .join(format!("{}.{bot}.{}", key.dataset, key.date))
    }
}
