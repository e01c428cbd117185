//! Reads the manifest: the entries of all partitions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Entry, OWN_FOLDER, PartitionKey, Settings, Table, date_of_folder, partition, unnamed_january};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::store;

/// The entries of all partitions.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// The entry of each partition.
    pub entries: BTreeMap<PartitionKey, Entry>,
    /// Files among the entries that cannot be read as entries, and why. Paths are relative to the table's folder.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Manifest {
    /// Returns the entries. `out` is the table's folder.
    ///
    /// # Errors
    /// [`Error::Damaged`] for the first unreadable one.
    pub fn into_entries(self, out: &Path) -> Result<BTreeMap<PartitionKey, Entry>> {
        match self.unreadable.into_iter().next() {
            Some((path, what)) => Err(Error::Damaged {
                path: out.join(path),
                what,
            }),
            None => Ok(self.entries),
        }
    }
}

impl Table {
    /// The table that stands in `out`, with the settings that it was made with. It need not be writable.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is none, or it is of a newer version of this program; [`Error::Damaged`] where
    /// there is one, but its settings cannot be read.
    pub fn open(out: impl AsRef<Path>) -> Result<Self> {
        let out = out.as_ref();
        let own = out.join(OWN_FOLDER);
        if let Some(settings) = Settings::load(&own)? {
            let out = out.to_owned();
            return Ok(Self {
                out,
                settings,
                privacy_filter: None,
            });
        }
        if own.join("partitions").exists() {
            return Err(Error::Damaged {
                path: own.join("table.json"),
                what: "it is missing, though there is a table".into(),
            });
        }
        Err(Error::Usage {
            what: format!("there is no table in {}", out.display()),
            hint: "give the folder of an export".into(),
        })
    }

    /// Reads the entries of all partitions. An unreadable entry does not hide the others.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn manifest(&self) -> Result<Manifest> {
        let below = Path::new(OWN_FOLDER).join("partitions");
        let mut manifest = Manifest::default();
        let mut named = Vec::new();
        for name in store::names(&self.out.join(&below))? {
            let path = below.join(&name);
            match name.parse::<Dataset>() {
                Ok(dataset) => self.named(dataset, &path, &mut named, &mut manifest.unreadable)?,
                Err(unknown) => manifest.unreadable.push((path, unknown.to_string())),
            }
        }
        let read: Vec<_> = named
            .into_par_iter()
            .map(|(key, path)| match self.entry(&key) {
                Ok(Some(entry)) => Ok(Some((key, entry))),
                // a run removed it after its folder was listed
                Ok(None) if !self.out.join(&path).exists() => Ok(None),
                Ok(None) => Err((path, "it is not at the place of an entry".to_owned())),
                Err(error) => Err((path, error.with_causes())),
            })
            .collect();
        for entry in read {
            match entry {
                Ok(entry) => manifest.entries.extend(entry),
                Err(wrong) => manifest.unreadable.push(wrong),
            }
        }
        Ok(manifest)
    }

    /// Adds the partitions of a dataset in the manifest, each with the path of its entry.
    fn named(
        &self,
        dataset: Dataset,
        folder: &Path,
        named: &mut Vec<(PartitionKey, PathBuf)>,
        unreadable: &mut Vec<(PathBuf, String)>,
    ) -> Result<()> {
        let by = self.settings.partition_by;
        for name in store::names(&self.out.join(folder))? {
            let path = folder.join(&name);
            let Some(bot) = partition::bot_of(&name) else {
                unreadable.push((path, "its name is not that of a bot".into()));
                continue;
            };
            // names with a leading dot are unfinished files: ignore them
            for name in store::names(&self.out.join(&path))?
                .into_iter()
                .filter(|name| !name.starts_with('.'))
            {
                let name_of = name.strip_suffix(".json");
                match name_of.and_then(|name| date_of_folder(name, by)) {
                    Some(date) => {
                        let bot = bot.clone();
                        named.push((PartitionKey { dataset, bot, date }, path.join(&name)));
                    }
                    None => {
                        let what = match name_of.and_then(unnamed_january) {
                            Some(january) => {
                                format!("its name lacks the month of {january}: the next run renames it")
                            }
                            None => format!("its name is not that of a {}", by.key()),
                        };
                        unreadable.push((path.join(&name), what));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{PartitionBy, PartitionDate};

    #[test]
    fn a_manifest_tells_what_it_holds_and_what_it_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let none = Table::open(folder.path());
        assert!(matches!(none, Err(Error::Usage { .. })));
        let settings = Settings::new("https://api.example.com", "UTC");
        settings.save(&folder.path().join(OWN_FOLDER)).unwrap();
        let table = Table::open(folder.path()).unwrap();
        assert!(table.manifest().unwrap().entries.is_empty());

        let key = |bot: &str, day: Option<&str>| PartitionKey {
            dataset: Dataset::Messages,
            bot: bot.into(),
            date: day.map_or(PartitionDate::timeless(PartitionBy::Day), |day| {
                PartitionDate::of(PartitionBy::Day, day.parse().unwrap())
            }),
        };
        let keys = [key("a/b ü", Some("2023-10-01")), key("r3", None)];
        for key in &keys {
            let entry = Entry {
                path: key.folder().join("part-0.parquet"),
                rows: 1,
                bytes: 2,
                sha256: "3".into(),
                ids_sha256: "4".into(),
                first: None,
                last: None,
            };
            let json = serde_json::to_vec(&entry).unwrap();
            store::write_atomically(&table.entry_path(key), &json).unwrap();
        }
        let partitions = folder.path().join(OWN_FOLDER).join("partitions/messages/bot=r3");
        for (name, content) in [
            ("date=2023-10-02.json", "{"),
            ("notes.txt", ""),
            (".date=2023-10-03.json.tmp", ""),
        ] {
            std::fs::write(partitions.join(name), content).unwrap();
        }
        let manifest = table.manifest().unwrap();
        assert_eq!(manifest.entries.into_keys().collect::<Vec<_>>(), keys);
        let names: Vec<_> = manifest
            .unreadable
            .iter()
            .map(|(path, _)| path.file_name().unwrap())
            .collect();
        assert_eq!(names.len(), 2);
        assert!(names.contains(&"date=2023-10-02.json".as_ref()) && names.contains(&"notes.txt".as_ref()));
    }
}
