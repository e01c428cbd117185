//! Detects the settings of a table whose settings file is lost, from its data files.
//!
//! Folder names show whether partitions are days or months. Footers show the columns. No file stores the time zone,
//! so every row is checked against the requested one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::partition_date::{PartitionBy, PartitionDate, date_of_folder};
use super::reader::DataFile;
use super::{PartitionKey, Settings, Zone, bot_of};
use crate::dataset::{Dataset, MetadataMode, Promoted, TableOptions};
use crate::error::{Error, Result};
use crate::store;

/// The settings that the data files of a table show.
pub(super) struct DetectedSettings {
    files: Vec<(PartitionKey, PathBuf)>,
    partition_by: PartitionBy,
    /// `None` if the files do not show them.
    table_options: Option<TableOptions>,
}

impl DetectedSettings {
    /// Detects the settings from the data files in the folder of a table. `None` if this program wrote none of the
    /// files.
    ///
    /// # Errors
    /// [`Error::Usage`] if the files show different settings.
    pub(super) fn detect(out: &Path) -> Result<Option<Self>> {
        let files = data_files(out)?;
        let footers =
            files
                .into_par_iter()
                .filter_map(|(key, path)| match DataFile::open(&out.join(&path)) {
                    // a file that is no Parquet is foreign or damaged: it shows no settings
                    Err(Error::Parquet { .. }) => None,
                    Err(error) => Some(Err(error)),
                    Ok(file) => {
                        let label = |name: &str| file.label(name);
                        let is_own = label("dataset") == Some(key.dataset.name());
                        let table_options =
                            is_own.then(|| table_options(label("metadata"), label("promoted")))?;
                        Some(Ok((key, path, table_options)))
                    }
                });
        let footers = footers.collect::<Result<Vec<_>>>()?;
        let mut by_layout: BTreeMap<PartitionBy, &Path> = BTreeMap::new();
        for (key, path, _) in &footers {
            by_layout.entry(key.date.by()).or_insert(path);
        }
        let two = |what: &str, one: &Path, other: &Path| Error::Usage {
            what: format!(
                "cannot use {}: it has no settings, and its files are of two {what}: {} and {}",
                out.display(),
                one.display(),
                other.display()
            ),
            hint: "move the files of one of them to another folder".into(),
        };
        let mut layouts = by_layout.iter();
        let Some((partition_by, one)) = layouts.next() else {
            return Ok(None);
        };
        if let Some((_, other)) = layouts.next() {
            return Err(two("layouts", one, other));
        }
        let mut with_metadata = footers
            .iter()
            .filter(|(key, ..)| key.dataset.metadata_column().is_some());
        let first = with_metadata.next();
        if let Some((_, one, table_options)) = first
            && let Some((_, other, _)) = with_metadata.find(|(.., other)| other != table_options)
        {
            return Err(two("kinds of columns", one, other));
        }
        Ok(Some(Self {
            partition_by: *partition_by,
            table_options: first.and_then(|(.., table_options)| table_options.clone()),
            files: footers.into_iter().map(|(key, path, _)| (key, path)).collect(),
        }))
    }

    /// Returns the detected settings. The others are taken from `others`.
    pub(super) fn settings(&self, others: Settings) -> Settings {
        Settings {
            partition_by: self.partition_by,
            table_options: self
                .table_options
                .clone()
                .unwrap_or_else(|| others.table_options.clone()),
            ..others
        }
    }

    /// Checks that files with these settings can be added to the existing ones.
    ///
    /// # Errors
    /// [`Error::Usage`] if the settings do not match the files.
    pub(super) fn check(&self, out: &Path, settings: &Settings) -> Result<()> {
        let refused = |path: &Path, what: &str, hint: &str| Error::Usage {
            what: format!(
                "cannot use {}: it has no settings, and {} {what}",
                out.display(),
                path.display()
            ),
            hint: hint.into(),
        };
        let zone = settings.zone()?;
        self.files.par_iter().try_for_each(|(key, path)| {
            let file = DataFile::open(&out.join(path))?;
            if !file.has_columns(&settings.table_options.schema(key.dataset)) {
                let hint = "request the columns of its files, or use another folder";
                return Err(refused(path, "has other columns than requested", hint));
            }
            match is_misplaced(file, key, &zone) {
                // the file is damaged, and the run repairs it
                Err(Error::Parquet { .. }) => Ok(()),
                Ok(true) => {
                    let what = format!(
                        "contains rows of another {} in {}",
                        key.date.by().key(),
                        settings.timezone
                    );
                    let hint = "request the time zone of the table, or use another folder";
                    Err(refused(path, &what, hint))
                }
                checked => checked.map(|_| ()),
            }
        })
    }
}

/// Whether a file has rows of another partition.
fn is_misplaced(file: DataFile, key: &PartitionKey, zone: &Zone) -> Result<bool> {
    let (dataset, mut dates) = (key.dataset, zone.dates());
    for batch in file.batches(Some(&[dataset.time_column()]))? {
        let dates = dates.of_rows(dataset, &batch?)?;
        if dates.iter().any(|date| *date != key.date) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Parses the table options in the labels of a file; `None` if they are invalid.
fn table_options(metadata: Option<&str>, promoted: Option<&str>) -> Option<TableOptions> {
    let promote = promoted.map_or(Ok(Vec::new()), |columns| {
        columns.split(", ").map(str::parse).collect()
    });
    let promote: Vec<Promoted> = promote.ok()?;
    let is_understood = promoted.is_none_or(|columns| Promoted::display_list(&promote) == columns);
    Some(TableOptions {
        metadata: metadata.map_or(Ok(MetadataMode::Map), str::parse).ok()?,
        promote: is_understood.then_some(promote)?,
    })
}

/// Lists the files that readers of the table open, in the folders of partitions. Paths are relative to the table's
/// folder.
fn data_files(out: &Path) -> Result<Vec<(PartitionKey, PathBuf)>> {
    let mut files = Vec::new();
    for dataset in Dataset::ALL {
        let folder = PathBuf::from(dataset.name());
        if !out.join(&folder).is_dir() {
            continue;
        }
        for name in store::names(&out.join(&folder))? {
            let folder = folder.join(&name);
            let Some(bot) = bot_of(&name).filter(|_| out.join(&folder).is_dir()) else {
                continue;
            };
            for name in store::names(&out.join(&folder))? {
                let folder = folder.join(&name);
                let date: Option<PartitionDate> = PartitionBy::ALL
                    .into_iter()
                    .find_map(|by| date_of_folder(&name, by));
                let Some(date) = date.filter(|_| out.join(&folder).is_dir()) else {
                    continue;
                };
                let names = store::names(&out.join(&folder))?;
                let seen = names.into_iter().filter(|name| !name.starts_with(['.', '_']));
                files.extend(seen.map(|name| {
                    let bot = bot.clone();
                    (PartitionKey { dataset, bot, date }, folder.join(name))
                }));
            }
        }
    }
    Ok(files)
}
