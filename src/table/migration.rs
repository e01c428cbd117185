//! Renames folders of Januaries: an earlier version named them `month=2024` instead of `month=2024-01`.
//!
//! Every step is idempotent, so the next run continues an interrupted one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::entry::read_entry;
use super::{PartitionBy, PartitionDate, PartitionKey, Table, bot_of};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::store;

/// Parses the folder name of a January without its month: `month=2024`.
pub(crate) fn unnamed_january(folder: &str) -> Option<PartitionDate> {
    january_of(folder.strip_prefix(PartitionBy::Month.key())?.strip_prefix('=')?)
}

/// Parses the January of a year: `2024`, or `-000001`.
pub(super) fn january_of(year: &str) -> Option<PartitionDate> {
    let digits = year.strip_prefix('-').unwrap_or(year);
    let is_year = matches!(digits.len(), 4 | 6) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let month = is_year.then(|| PartitionDate::parse(PartitionBy::Month, &format!("{year}-01")))?;
    month.ok()
}

impl Table {
    /// Returns the partitions whose folder or entry lacks the month in its name.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub(crate) fn unnamed_januaries(&self) -> Result<BTreeSet<PartitionKey>> {
        let mut found = BTreeSet::new();
        if self.settings.partition_by != PartitionBy::Month {
            return Ok(found);
        }
        for root in [self.out.clone(), self.entries()] {
            for dataset in Dataset::ALL {
                let folder = root.join(dataset.name());
                for name in store::names(&folder)? {
                    let Some(bot) = bot_of(&name) else { continue };
                    for name in store::names(&folder.join(&name))? {
                        let name = name.strip_suffix(".json").unwrap_or(&name);
                        let bot = bot.clone();
                        let key = unnamed_january(name).map(|date| PartitionKey { dataset, bot, date });
                        found.extend(key);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Renames the folder and the entry of a partition. Only for the process that has the lock.
    ///
    /// # Errors
    /// If a file operation fails.
    pub(crate) fn rename_january(&self, key: &PartitionKey) -> Result<()> {
        let folder = key.folder();
        let Some(old_folder) = without_month(&folder) else {
            return Ok(());
        };
        let (old, new) = (self.out.join(&old_folder), self.out.join(&folder));
        if old.exists() {
            if new.exists() {
                // the correctly named folder contains another version
                for name in store::names(&old)? {
                    self.quarantine(&old_folder.join(name))?;
                }
            } else {
                store::exchange_folders(&old, &new)?;
                store::sync_names([&new])?;
            }
            store::remove_folder(&old)?;
        }
        let old_entry = self.entry_path_of(&old_folder);
        if let (false, Ok(Some(mut entry))) = (self.entry_path(key).exists(), read_entry(&old_entry)) {
            entry.path = folder.join(entry.path.file_name().unwrap_or_default());
            // an entry that is newer than the damage would hide it
            if self.out.join(&entry.path).exists() && self.is_as_written(key, &entry)? {
                self.save_entry(key, &entry)?;
            }
        }
        store::remove_file(&old_entry)
    }

    /// Renames staged versions of Januaries, so that an interrupted commit finds them.
    ///
    /// # Errors
    /// If a file operation fails.
    pub(crate) fn rename_staged_januaries(&self) -> Result<()> {
        if self.settings.partition_by != PartitionBy::Month {
            return Ok(());
        }
        let staging = self.staging_folder();
        for name in store::names(&staging)? {
            if let Some((start, year)) = name.rsplit_once('.')
                && let Some(january) = january_of(year)
            {
                let (old, new) = (staging.join(&name), staging.join(format!("{start}.{january}")));
                std::fs::rename(&old, &new).map_err(Error::io("rename", &old))?;
            }
        }
        Ok(())
    }
}

/// Returns the folder of a January as the earlier version named it.
fn without_month(folder: &Path) -> Option<PathBuf> {
    let name = folder.file_name()?.to_str()?.strip_suffix("-01")?;
    Some(folder.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::date_of_folder;

    #[test]
    fn a_january_without_its_month_is_recognized() {
        let january = |year| {
            Some(PartitionDate::of(
                PartitionBy::Month,
                jiff::civil::date(year, 1, 1),
            ))
        };
        assert_eq!(unnamed_january("month=2024"), january(2024));
        assert_eq!(unnamed_january("month=0001"), january(1));
        assert_eq!(unnamed_january("month=-000044"), january(-44));
        assert_eq!(
            serde_json::from_str::<PartitionDate>(r#""month=1970""#).ok(),
            january(1970)
        );
        for other in [
            "month=2024-01",
            "month=202401",
            "month=24",
            "month=",
            "date=2024",
            "month=+12024",
            "month=__HIVE_DEFAULT_PARTITION__",
        ] {
            assert_eq!(unnamed_january(other), None, "{other}");
        }
        assert_eq!(date_of_folder("month=2024", PartitionBy::Month), None);
    }
}
