//! The table: partitions of distinct and sorted rows, one Parquet file each, replaced as one.

mod check;
mod contents;
mod detected_settings;
mod duckdb;
mod encoder;
mod entry;
mod file;
mod file_scan;
mod inspect;
mod lock;
mod manifest;
mod merge;
mod migration;
mod partition;
mod partition_builder;
mod partition_count;
mod partition_date;
mod properties;
mod publish;
mod reader;
mod retry;
mod row_removal;
mod scan;
mod settings;
mod sorted_runs;
mod zone;
mod zone_rules;

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

pub(crate) use check::{Defect, Depth};
pub(crate) use duckdb::{FolderKey, duckdb_table};
pub use entry::{Effect, Entry, Staged};
pub(crate) use file_scan::times_in;
pub(crate) use inspect::Inspection;
pub use lock::Lock;
pub use manifest::Manifest;
#[cfg(test)]
pub(crate) use merge::RowRef;
pub(crate) use migration::unnamed_january;
pub(crate) use partition::bot_of;
pub use partition::{PartitionKey, bot_folder};
pub use partition_count::PartitionCount;
pub(crate) use partition_date::date_of_folder;
pub use partition_date::{PartitionBy, PartitionDate};
pub(crate) use reader::DataFile;
pub use reader::read as read_file;
pub(crate) use retry::TableVersion;
pub(crate) use row_removal::RowRemoval;
pub use scan::{Partition, Scan};
pub use settings::{DEFAULT_TIMEZONE, RowGroups, SCHEMA_VERSION, Settings};
pub use zone::Zone;

#[cfg(test)]
pub(crate) use file::name as file_name;
pub use file::size as file_size;
pub use properties::properties as file_properties;

use crate::dataset::{Dataset, Decoded, PrivacyFilter, Secret, TableOptions, decode_as};
use crate::error::{Error, Result};
use crate::store;
use detected_settings::DetectedSettings;
use entry::read_entry;

/// The exporter's own folder in a table.
pub const OWN_FOLDER: &str = "_export";
/// The folder of quarantined files, below [`OWN_FOLDER`].
pub(crate) const QUARANTINE: &str = "quarantine";
/// All folders of quarantined files: [`QUARANTINE`], and the one that earlier versions of this program used.
pub(crate) const QUARANTINE_FOLDERS: [&str; 2] = [QUARANTINE, "damaged"];

/// A table in a folder.
#[derive(Clone, Debug)]
pub struct Table {
    out: PathBuf,
    settings: Settings,
    /// Takes out of rows what its rules say, where rows are to be made of pages.
    privacy_filter: Option<PrivacyFilter>,
}

impl Table {
    /// The table in `out` with these settings. Nothing is written yet.
    ///
    /// # Errors
    /// Where the folder cannot be used, or holds a table with other settings.
    pub(crate) fn open_or_create(out: &Path, settings: Settings) -> Result<Self> {
        Self::open_as(out, |_| Ok(settings))
    }

    /// The table in `out` with the settings that are asked for, given those that it has. Nothing is written yet.
    ///
    /// # Errors
    /// Where the folder cannot be used, or holds a table with other settings.
    pub(crate) fn open_as(
        out: &Path,
        asked: impl FnOnce(Option<&Settings>) -> Result<Settings>,
    ) -> Result<Self> {
        let unusable = |what: &str, hint: &str| Error::Usage {
            what: format!("--out {} {what}", out.display()),
            hint: hint.into(),
        };
        if out.exists() && !out.is_dir() {
            return Err(unusable(
                "is not a folder",
                "give the folder that shall hold the table",
            ));
        }
        let existing = out
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("."));
        if !existing.is_dir() || !store::is_writable(existing) {
            return Err(unusable(
                "cannot be written",
                "give an --out that you may write to",
            ));
        }
        let fixed = Settings::load(&out.join(OWN_FOLDER))?;
        let found = match &fixed {
            Some(_) => None,
            None => DetectedSettings::detect(out)?,
        };
        // what is not asked for is as the files have it; they do not tell the address and the zone
        let shown = found
            .as_ref()
            .map(|found| found.settings(Settings::new("", DEFAULT_TIMEZONE)));
        let settings = asked(fixed.as_ref().or(shown.as_ref()))?;
        let shown = found.as_ref().map(|found| found.settings(settings.clone()));
        let differences = fixed
            .or(shown)
            .map(|fixed| fixed.differences(&settings))
            .unwrap_or_default();
        if !differences.is_empty() {
            return Err(Error::OtherSettings {
                path: out.to_owned(),
                differences,
            });
        }
        if let Some(found) = found {
            found.check(out, &settings)?;
        }
        Ok(Self {
            out: out.to_owned(),
            settings,
            privacy_filter: None,
        })
    }

    /// The table, ready for rows to be made of pages.
    ///
    /// # Errors
    /// Where its rules hash keys, and this is not their secret.
    pub fn with_secret(mut self, secret: Option<Secret>) -> Result<Self> {
        self.privacy_filter = Some(PrivacyFilter::new(&self.settings.privacy, secret)?);
        Ok(self)
    }

    /// Makes rows of the body of an answer, as the table's settings say.
    pub(crate) fn decode(&self, dataset: Dataset, body: &[u8]) -> Result<Decoded> {
        if self.privacy_filter.is_none() && !self.settings.privacy.is_empty() {
            return Err(Error::Internal(
                "rows would be made against the table's rules".into(),
            ));
        }
        let decoded = decode_as(dataset, self.table_options(), self.privacy_filter.as_ref(), body);
        decoded.map_err(|error| Error::Internal(error.to_string()))
    }

    /// Fixes the table's settings, before the first thing that depends on them is written.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn save_settings(&self) -> Result<()> {
        match Settings::load(&self.own_folder())? {
            Some(_) => Ok(()),
            None => self.settings.save(&self.own_folder()),
        }
    }

    /// The table's folder.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The exporter's own folder in it.
    #[must_use]
    pub fn own_folder(&self) -> PathBuf {
        self.out.join(OWN_FOLDER)
    }

    /// What all of its files depend on.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The form of its columns.
    #[must_use]
    pub fn table_options(&self) -> &TableOptions {
        &self.settings.table_options
    }

    /// The zone of its dates.
    ///
    /// # Errors
    /// Where the table's zone is not known to this program.
    pub fn zone(&self) -> Result<Zone> {
        self.settings.zone()
    }

    /// What is known of a partition; `None` where there is none.
    ///
    /// # Errors
    /// Where the entry cannot be read.
    pub fn entry(&self, key: &PartitionKey) -> Result<Option<Entry>> {
        read_entry(&self.entry_path(key))
    }

    /// Bytes of a row on average, over at most so many partitions of a dataset of a bot; 0 where there are none.
    ///
    /// # Errors
    /// Where an entry cannot be read.
    pub fn row_bytes(&self, dataset: Dataset, bot: &str, partitions: usize) -> Result<f64> {
        let folder = self.own_folder().join("partitions").join(dataset.name());
        let folder = folder.join(bot_folder(bot));
        let mut names = store::names(&folder)?;
        // a run may be writing one of them
        names.retain(|name| !name.starts_with('.'));
        let (mut bytes, mut rows) = (0, 0);
        for name in names.iter().step_by(names.len() / partitions.max(1) + 1) {
            match read_entry(&folder.join(name)) {
                // the next run makes it again
                Err(Error::Damaged { .. }) | Ok(None) => {}
                entry => {
                    let entry = entry?.into_iter();
                    entry.for_each(|entry| (bytes, rows) = (bytes + entry.bytes, rows + entry.rows));
                }
            }
        }
        Ok(if rows > 0 { bytes as f64 / rows as f64 } else { 0.0 })
    }

    /// The rows of a partition's file, a batch at a time.
    pub(crate) fn batches(
        &self,
        dataset: Dataset,
        entry: &Entry,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        self.batches_of(dataset, DataFile::open(&self.out.join(&entry.path))?)
    }

    /// The rows of a file of a dataset, which must have the table's columns.
    fn batches_of(
        &self,
        dataset: Dataset,
        file: DataFile,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        if !file.has_columns(&self.table_options().schema(dataset)) {
            return Err(Error::Damaged {
                path: self.own_folder().join(settings::FILE),
                what: format!("{} has other columns than it says", file.path().display()),
            });
        }
        file.batches(None)
    }

    /// All rows that a partition holds.
    ///
    /// # Errors
    /// [`Error::Damaged`] where its file is not the one that is known.
    pub fn rows(&self, key: &PartitionKey) -> Result<Vec<RecordBatch>> {
        let file = self.intact_file(key)?;
        file.map_or(Ok(Vec::new()), |file| {
            self.batches_of(key.dataset, file)?.collect()
        })
    }

    fn entry_path(&self, key: &PartitionKey) -> PathBuf {
        self.entry_path_of(&key.folder())
    }

    /// The same by the partition's folder.
    fn entry_path_of(&self, folder: &Path) -> PathBuf {
        let mut path = self.entries().join(folder).into_os_string();
        path.push(".json");
        path.into()
    }

    /// Where the entries of all partitions stand: the manifest.
    fn entries(&self) -> PathBuf {
        self.own_folder().join("partitions")
    }
}
