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
    /// Applies the table's privacy rules to rows of pages. `None` if the table is only read.
    privacy_filter: Option<PrivacyFilter>,
}

impl Table {
    /// Opens the table in `out`, or describes a new one with these settings. Writes nothing.
    ///
    /// # Errors
    /// If the folder cannot be used, or contains a table with other settings.
    pub(crate) fn open_or_create(out: &Path, settings: Settings) -> Result<Self> {
        Self::open_as(out, |_| Ok(settings))
    }

    /// Opens the table in `out` with the settings that `asked` returns for the existing ones. Writes nothing.
    ///
    /// # Errors
    /// If the folder cannot be used, or contains a table with other settings.
    pub(crate) fn open_as(
        out: &Path,
        asked: impl FnOnce(Option<&Settings>) -> Result<Settings>,
    ) -> Result<Self> {
        let unusable = |what: &str, hint: &str| Error::Usage {
            what: format!("cannot use {}: it {what}", out.display()),
            hint: hint.into(),
        };
        if out.exists() && !out.is_dir() {
            return Err(unusable("is not a folder", "give the folder of the table"));
        }
        let existing = out
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("."));
        if !existing.is_dir() || !store::is_writable(existing) {
            return Err(unusable(
                "cannot be written",
                "give a folder with write permission",
            ));
        }
        let fixed = Settings::load(&out.join(OWN_FOLDER))?;
        let found = match &fixed {
            Some(_) => None,
            None => DetectedSettings::detect(out)?,
        };
        // settings that are not requested are those of the files, which do not show the address and the time zone
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

    /// Prepares the table for decoding pages.
    ///
    /// # Errors
    /// If its rules hash keys with another secret.
    pub fn with_secret(mut self, secret: Option<Secret>) -> Result<Self> {
        self.privacy_filter = Some(PrivacyFilter::new(&self.settings.privacy, secret)?);
        Ok(self)
    }

    /// Decodes the body of a response into rows, with the table's options and rules.
    pub(crate) fn decode(&self, dataset: Dataset, body: &[u8]) -> Result<Decoded> {
        if self.privacy_filter.is_none() && !self.settings.privacy.is_empty() {
            return Err(Error::Internal(
                "the table's privacy rules would not be applied".into(),
            ));
        }
        let decoded = decode_as(dataset, self.table_options(), self.privacy_filter.as_ref(), body);
        decoded.map_err(|error| Error::Internal(error.to_string()))
    }

    /// Saves the settings, if that has not happened yet. It must precede everything that depends on them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn save_settings(&self) -> Result<()> {
        match Settings::load(&self.own_folder())? {
            Some(_) => Ok(()),
            None => self.settings.save(&self.own_folder()),
        }
    }

    /// Returns the table's folder.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Returns the folder `_export`.
    #[must_use]
    pub fn own_folder(&self) -> PathBuf {
        self.out.join(OWN_FOLDER)
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the options of its columns.
    #[must_use]
    pub fn table_options(&self) -> &TableOptions {
        &self.settings.table_options
    }

    /// Returns the time zone of its dates.
    ///
    /// # Errors
    /// If this program does not know the time zone.
    pub fn zone(&self) -> Result<Zone> {
        self.settings.zone()
    }

    /// Reads the entry of a partition; `None` if there is none.
    ///
    /// # Errors
    /// If the entry cannot be read.
    pub fn entry(&self, key: &PartitionKey) -> Result<Option<Entry>> {
        read_entry(&self.entry_path(key))
    }

    /// Returns the mean bytes per row of at most `partitions` partitions of a bot; 0 if there are none.
    ///
    /// # Errors
    /// If an entry cannot be read.
    pub fn row_bytes(&self, dataset: Dataset, bot: &str, partitions: usize) -> Result<f64> {
        let folder = self.own_folder().join("partitions").join(dataset.name());
        let folder = folder.join(bot_folder(bot));
        let mut names = store::names(&folder)?;
        // a run may be writing one of them
        names.retain(|name| !name.starts_with('.'));
        let (mut bytes, mut rows) = (0, 0);
        for name in names.iter().step_by(names.len() / partitions.max(1) + 1) {
            match read_entry(&folder.join(name)) {
                // the next run restores it
                Err(Error::Damaged { .. }) | Ok(None) => {}
                entry => {
                    let entry = entry?.into_iter();
                    entry.for_each(|entry| (bytes, rows) = (bytes + entry.bytes, rows + entry.rows));
                }
            }
        }
        Ok(if rows > 0 { bytes as f64 / rows as f64 } else { 0.0 })
    }

    /// Reads the rows of a partition's file in batches.
    pub(crate) fn batches(
        &self,
        dataset: Dataset,
        entry: &Entry,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        self.batches_of(dataset, DataFile::open(&self.out.join(&entry.path))?)
    }

    /// Reads the rows of a file, which must have the table's columns.
    fn batches_of(
        &self,
        dataset: Dataset,
        file: DataFile,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        if !file.has_columns(&self.table_options().schema(dataset)) {
            return Err(Error::Damaged {
                path: self.own_folder().join(settings::FILE),
                what: format!("{} has other columns than the settings", file.path().display()),
            });
        }
        file.batches(None)
    }

    /// Reads all rows of a partition.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its file is not the one in its entry.
    pub fn rows(&self, key: &PartitionKey) -> Result<Vec<RecordBatch>> {
        let file = self.intact_file(key)?;
        file.map_or(Ok(Vec::new()), |file| {
            self.batches_of(key.dataset, file)?.collect()
        })
    }

    fn entry_path(&self, key: &PartitionKey) -> PathBuf {
        self.entry_path_of(&key.folder())
    }

    /// Returns the path of an entry by the folder of the partition.
    fn entry_path_of(&self, folder: &Path) -> PathBuf {
        let mut path = self.entries().join(folder).into_os_string();
        path.push(".json");
        path.into()
    }

    /// Returns the folder of the manifest.
    fn entries(&self) -> PathBuf {
        self.own_folder().join("partitions")
    }
}
