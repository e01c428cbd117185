//! The table: partitions of distinct and sorted rows, one Parquet file each, replaced as one.

mod check;
mod current;
mod encoder;
mod entry;
mod file;
mod found;
mod january;
mod lock;
mod manifest;
mod merge;
mod partition;
mod parts;
mod period;
mod properties;
mod reading;
mod scan;
mod settings;
mod slices;
mod without;
mod zone_rules;

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use jiff::Timestamp;
use rayon::prelude::*;

pub(crate) use check::{Look, Wrong};
pub(crate) use current::Version;
pub use entry::{Effect, Entry, Staged};
pub use lock::Lock;
pub use manifest::Manifest;
pub(crate) use merge::{RowRef, moment};
pub(crate) use partition::bot_of;
pub use partition::{PartitionKey, Periods, Zone, bot_folder};
pub(crate) use parts::{Part, times_in};
pub use period::{PartitionBy, Period, PeriodCount};
pub(crate) use period::{period_of, unnamed_january};
pub(crate) use reading::{FolderKey, duckdb_table};
pub(crate) use scan::{Footer, Scan};
pub use settings::{DEFAULT_TIMEZONE, RowGroups, SCHEMA_VERSION, Settings};
pub(crate) use slices::Slices;
pub(crate) use without::Without;
pub use zone_rules::ZoneRules;

pub(crate) use file::name as file_name;
pub use file::{read as read_file, size as file_size};
pub use properties::properties as file_properties;

use crate::dataset::{Cleaner, Dataset, Decoded, Secret, Shape, decode_as};
use crate::error::{Error, Result};
use crate::store;
use entry::read_entry;
use file::Written;
use found::Found;

/// The name of a file whose content is not complete.
const UNNAMED: &str = "part.parquet";

/// The exporter's own folder in a table.
pub const OWN_FOLDER: &str = "_export";

/// A table in a folder.
#[derive(Clone, Debug)]
pub struct Table {
    out: PathBuf,
    settings: Settings,
    /// Takes out of rows what its rules say, where rows are to be made of pages.
    cleaner: Option<Cleaner>,
}

impl Table {
    /// The table in `out` with these settings. Nothing is written yet.
    ///
    /// # Errors
    /// Where the folder cannot be used, or holds a table with other settings.
    pub fn open(out: &Path, settings: Settings) -> Result<Self> {
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
        let standing = out
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("."));
        if !standing.is_dir() || !store::is_writable(standing) {
            return Err(unusable(
                "cannot be written",
                "give an --out that you may write to",
            ));
        }
        let fixed = Settings::load(&out.join(OWN_FOLDER))?;
        let found = match &fixed {
            Some(_) => None,
            None => Found::look(out)?,
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
            cleaner: None,
        })
    }

    /// The table, ready for rows to be made of pages.
    ///
    /// # Errors
    /// Where its rules hash keys, and this is not their secret.
    pub fn with_secret(mut self, secret: Option<Secret>) -> Result<Self> {
        self.cleaner = Some(Cleaner::new(&self.settings.privacy, secret)?);
        Ok(self)
    }

    /// Makes rows of the body of an answer, as the table's settings say.
    pub(crate) fn decode(&self, dataset: Dataset, body: &[u8]) -> Result<Decoded> {
        if self.cleaner.is_none() && !self.settings.privacy.is_empty() {
            return Err(Error::Internal(
                "rows would be made against the table's rules".into(),
            ));
        }
        let decoded = decode_as(dataset, self.shape(), self.cleaner.as_ref(), body);
        decoded.map_err(|error| Error::Internal(error.to_string()))
    }

    /// Fixes the table's settings, before the first thing that depends on them is written.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn establish(&self) -> Result<()> {
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
    pub fn shape(&self) -> &Shape {
        &self.settings.shape
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
        self.batches_of(dataset, Footer::open(&self.out.join(&entry.path))?)
    }

    /// The rows of a file of a dataset, which must have the table's columns.
    fn batches_of(
        &self,
        dataset: Dataset,
        footer: Footer,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        if !footer.has_columns(&self.shape().schema(dataset)) {
            return Err(Error::Damaged {
                path: self.own_folder().join(settings::FILE),
                what: format!("{} has other columns than it says", footer.path().display()),
            });
        }
        footer.batches(None)
    }

    /// All rows that a partition holds.
    ///
    /// # Errors
    /// [`Error::Damaged`] where its file is not the one that is known.
    pub fn rows(&self, key: &PartitionKey) -> Result<Vec<RecordBatch>> {
        let file = self.proven_file(key)?;
        file.map_or(Ok(Vec::new()), |footer| {
            self.batches_of(key.dataset, footer)?.collect()
        })
    }

    /// The file of a partition, of which all bytes are those that were written: its rows become part of a next version,
    /// which would look sound whatever they are. `None` where there is no file.
    fn proven_file(&self, key: &PartitionKey) -> Result<Option<Footer>> {
        let Some((path, entry)) = self.data_file(key)? else {
            return Ok(None);
        };
        let scan = Scan::open(&path)?;
        let is_as_written = match entry {
            Some(entry) => entry.sha256 == scan.sha256,
            None => path.ends_with(file::name(&scan.sha256)),
        };
        if !is_as_written {
            return Err(self.differs(path));
        }
        scan.footer().map(Some)
    }

    /// The error of a file that is not what was written. The next look at its partition reads it, whatever its times were.
    fn differs(&self, path: PathBuf) -> Error {
        store::touch(&path);
        Error::Damaged {
            path,
            what: "it does not hold what was written".into(),
        }
    }

    /// The file of a partition, and what is known of it; `None` where there is none.
    fn data_file(&self, key: &PartitionKey) -> Result<Option<(PathBuf, Option<Entry>)>> {
        let folder = self.out.join(key.folder());
        let files: Vec<String> = store::names(&folder)?
            .into_iter()
            .filter(|name| !name.starts_with(['.', '_']))
            .collect();
        let expected = self.entry(key)?;
        let damaged = |what: String| Error::Damaged {
            path: folder.clone(),
            what,
        };
        match (&files[..], expected) {
            ([], None) => Ok(None),
            ([], Some(entry)) => Err(damaged(format!("{} is missing", entry.path.display()))),
            ([name], Some(entry)) if *entry.path != key.folder().join(name) => Err(damaged(format!(
                "it holds {name} instead of {}",
                entry.path.display()
            ))),
            ([name], entry) => Ok(Some((folder.join(name), entry))),
            _ => Err(damaged(format!("it holds {} files instead of one", files.len()))),
        }
    }

    /// Makes a partition's next version from the rows that it holds and new ones, in the order in which they
    /// were fetched; seen by nobody until [`Table::publish`], and durable once [`Table::sync_staged`] has been called.
    ///
    /// # Errors
    /// Where the present rows cannot be read or the new file cannot be written.
    pub(crate) fn stage(&self, key: &PartitionKey, new: &[RecordBatch], rows: &[RowRef]) -> Result<Staged> {
        let mut batches = self.rows(key)?;
        let (all, held) = merge::together(&mut batches, new, rows)?;
        let merged = merge::merge(key.dataset, &batches, &all, held)?;
        let effect = merged.effect(held);
        if let (Some(entry), false) = (self.entry(key)?, merged.changed) {
            return self.unchanged(key, entry, effect);
        }
        let written = file::write(
            &self.begin_staging(key)?,
            key,
            &self.settings,
            &batches,
            &merged.rows,
        )?;
        let bounds = merge::time_bounds(key.dataset, &batches, &merged.rows);
        self.staged(key, written, effect, merged.rows.len() as u64, bounds)
    }

    /// Where the file of a partition's next version is written, before it has a name.
    fn begin_staging(&self, key: &PartitionKey) -> Result<PathBuf> {
        let folder = self.staging(key);
        store::remove_folder(&folder)?;
        store::create_folder(&self.staging_folder())?;
        std::fs::create_dir(&folder).map_err(Error::io("create the folder", &folder))?;
        Ok(folder.join(UNNAMED))
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
    fn staged(
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

    /// What came changes nothing of a partition.
    fn unchanged(&self, key: &PartitionKey, entry: Entry, effect: Effect) -> Result<Staged> {
        store::remove_folder(&self.staging(key))?;
        Ok(Staged {
            key: key.clone(),
            entry,
            effect,
            replaces: false,
        })
    }

    /// Puts staged versions in the place of the present ones, each as one step for every reader, and remembers what
    /// is known of them. Done again after a crash it changes nothing.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn publish_all(&self, partitions: &[(PartitionKey, Entry)]) -> Result<()> {
        self.publish_those(partitions, |_| Ok(true))
    }

    /// The same after a crash. A file that was damaged since it was staged gets no entry, so that the next look at its
    /// partition finds it: an entry that is younger than the damage would hide it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn publish_again(&self, partitions: &[(PartitionKey, Entry)]) -> Result<()> {
        self.publish_those(partitions, |entry| match self.holds_what_was_written(entry) {
            Err(error) if error.is_not_found() => Ok(false),
            holds => holds,
        })
    }

    fn publish_those(
        &self,
        partitions: &[(PartitionKey, Entry)],
        gets_entry: impl Fn(&Entry) -> Result<bool> + Sync,
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
        // what gave way goes only once what came instead is there to stay
        store::sync_names(&folders)?;
        let entries = partitions.par_iter().filter_map(|(key, entry)| {
            let written =
                gets_entry(entry).and_then(|gets| gets.then(|| self.write_entry(key, entry)).transpose());
            written.transpose()
        });
        store::sync_names(&entries.collect::<Result<Vec<_>>>()?)?;
        for (key, _) in partitions {
            store::remove_folder(&self.staging(key))?;
            store::step("partition-published");
        }
        Ok(())
    }

    /// The same of one partition.
    ///
    /// # Errors
    /// As [`Table::publish_all`].
    pub(crate) fn publish(&self, key: &PartitionKey, entry: &Entry) -> Result<()> {
        self.publish_all(&[(key.clone(), entry.clone())])
    }

    /// Writes down what is known of a partition.
    fn remember(&self, key: &PartitionKey, entry: &Entry) -> Result<()> {
        store::sync_names([&self.write_entry(key, entry)?])
    }

    /// Writes a partition's entry, whose name is not durable yet.
    fn write_entry(&self, key: &PartitionKey, entry: &Entry) -> Result<PathBuf> {
        let path = self.entry_path(key);
        store::write_unnamed(&path, &store::seal(entry)?)?;
        store::step("entry-written");
        Ok(path)
    }

    /// Removes what a crash left unfinished. Only for the holder of the lock, and after the last commit was
    /// carried through.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn sweep(&self) -> Result<()> {
        store::remove_folder(&self.staging_folder())?;
        store::step("swept");
        store::remove_unfinished(&self.own_folder())
    }

    fn staging_folder(&self) -> PathBuf {
        self.own_folder().join("staging")
    }

    fn staging(&self, key: &PartitionKey) -> PathBuf {
        let bot = bot_folder(&key.bot);
        self.staging_folder()
            .join(format!("{}.{bot}.{}", key.dataset, key.period))
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
