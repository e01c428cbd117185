//! Lists of changed partitions for incremental loads: one file per run in `_export/changes/`.
//!
//! The ledger records changed partitions in the commit that changes them, so that the next run lists what a killed run
//! has changed. The file is written before the ledger is cleared: a partition may be listed twice, but is never missed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::store;
use crate::table::{Entry, OWN_FOLDER, PartitionBy, PartitionDate, PartitionKey, Table, date_of_folder};

/// Version of the file format.
const VERSION: u32 = 1;
/// Number of files that are retained. A job that is further behind finds a gap in the numbers and loads the whole table.
const RETAINED: usize = 1_000;
const FOLDER: &str = "changes";
const EXTENSION: &str = ".json";

/// The partitions that a run changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeList {
    version: u32,
    /// Number of the file, counted from 1.
    pub number: u64,
    /// Time of writing.
    pub written: Timestamp,
    /// The command that wrote it, such as `export`, `sync` or `erase`.
    pub command: String,
    /// The watermark of each dataset of each bot.
    pub watermarks: Vec<Watermark>,
    /// Partitions that are new or have a new file.
    pub partitions: Vec<ChangedPartition>,
    /// Partitions that were removed.
    pub removed: Vec<RemovedPartition>,
}

/// The watermark of a dataset of a bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The dataset.
    pub dataset: String,
    /// The bot.
    pub bot: String,
    /// Everything before it is complete.
    pub watermark: Timestamp,
}

/// A changed partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedPartition {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot.
    pub bot: String,
    /// The partition's date or month.
    #[serde(flatten)]
    pub date: DateKey,
    /// Its new file.
    #[serde(flatten)]
    pub partition: PartitionFile,
}

/// The data file of a changed partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFile {
    /// Path relative to the table's folder. Earlier files of the same folder are removed.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, in hex.
    pub content_hash: String,
    /// Time of the first row that has one.
    pub first: Option<Timestamp>,
    /// Time of the last row that has one.
    pub last: Option<Timestamp>,
}

impl PartitionFile {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            path: entry.path.clone(),
            rows: entry.rows,
            bytes: entry.bytes,
            content_hash: entry.sha256.clone(),
            first: entry.first,
            last: entry.last,
        }
    }
}

/// A removed partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedPartition {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot.
    pub bot: String,
    /// The partition's date or month.
    #[serde(flatten)]
    pub date: DateKey,
    /// Folder relative to the table's folder.
    pub path: PathBuf,
}

/// The date of a partition, under the name of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateKey {
    /// A day.
    Date(String),
    /// A month.
    Month(String),
}

impl DateKey {
    fn of(date: PartitionDate) -> Self {
        match date.by() {
            PartitionBy::Day => Self::Date(date.to_string()),
            PartitionBy::Month => Self::Month(date.to_string()),
        }
    }

    fn key(&self, dataset: Dataset, bot: &str) -> Result<PartitionKey> {
        let (by, date) = match self {
            Self::Date(date) => (PartitionBy::Day, date),
            Self::Month(month) => (PartitionBy::Month, month),
        };
        let bot = bot.to_owned();
        let unknown = || Error::Internal(format!("a list of changes contains the date {date:?}"));
        let date = date_of_folder(&format!("{}={date}", by.key()), by).ok_or_else(unknown)?;
        Ok(PartitionKey { dataset, bot, date })
    }
}

impl RemovedPartition {
    pub(crate) fn key(&self) -> Result<PartitionKey> {
        self.date.key(self.dataset, &self.bot)
    }
}

/// The lists of changes after one of them.
pub(crate) struct Since {
    /// Number of the newest list; 0 if there is none.
    pub(crate) newest: u64,
    /// The lists in order; `None` if one of them was removed.
    pub(crate) lists: Option<Vec<ChangeList>>,
}

/// Reads the lists with a greater number than `number`.
///
/// # Errors
/// If a list cannot be read.
pub(crate) fn since(table: &Table, number: u64) -> Result<Since> {
    let folder = table.own_folder().join(FOLDER);
    let numbers = numbers(&folder)?;
    let newest = numbers.last().copied().unwrap_or(0);
    let oldest = numbers.first().copied().unwrap_or(1);
    if newest < number || oldest > number + 1 {
        return Ok(Since { newest, lists: None });
    }
    let mut lists = Vec::new();
    for number in numbers.into_iter().filter(|listed| *listed > number) {
        let path = path(&folder, number);
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            // a run has removed it meanwhile
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Since { newest, lists: None });
            }
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let list = serde_json::from_slice(&content).map_err(|error| Error::Damaged {
            path,
            what: error.to_string(),
        })?;
        lists.push(list);
    }
    Ok(Since {
        newest,
        lists: Some(lists),
    })
}

impl ChangedPartition {
    pub(crate) fn key(&self) -> Result<PartitionKey> {
        self.date.key(self.dataset, &self.bot)
    }

    fn of(key: PartitionKey, entry: &Entry) -> Self {
        Self {
            dataset: key.dataset,
            date: DateKey::of(key.date),
            bot: key.bot,
            partition: PartitionFile::of(entry),
        }
    }
}

/// Writes the changes since the last file; returns the path of the file relative to the table's folder, or `None` if
/// nothing has changed. The caller must have the lock.
///
/// # Errors
/// If an entry cannot be read or a file cannot be written. The ledger stays as it is then.
pub(crate) fn write(table: &Table, ledger: &mut Ledger, command: &str) -> Result<Option<PathBuf>> {
    let folder = table.own_folder().join(FOLDER);
    let mut numbers = numbers(&folder)?;
    let mut changes = ChangeList {
        version: VERSION,
        number: numbers.last().copied().unwrap_or(0).max(ledger.changes) + 1,
        written: Timestamp::now(),
        command: command.to_owned(),
        watermarks: Vec::new(),
        partitions: Vec::new(),
        removed: Vec::new(),
    };
    for (name, bots) in &mut ledger.datasets {
        let Ok(dataset) = name.parse::<Dataset>() else {
            continue;
        };
        for (bot, state) in bots {
            if state.has_no_response() {
                continue;
            }
            changes
                .watermarks
                .extend(state.watermark().map(|watermark| Watermark {
                    dataset: name.clone(),
                    bot: bot.clone(),
                    watermark,
                }));
            for date in std::mem::take(&mut state.changed) {
                let bot = bot.clone();
                let key = PartitionKey { dataset, bot, date };
                match table.entry(&key)? {
                    Some(entry) => changes.partitions.push(ChangedPartition::of(key, &entry)),
                    None => changes.removed.push(RemovedPartition {
                        path: key.folder(),
                        dataset,
                        date: DateKey::of(date),
                        bot: key.bot,
                    }),
                }
            }
        }
    }
    if changes.partitions.is_empty() && changes.removed.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_vec_pretty(&changes).map_err(|error| Error::Internal(error.to_string()))?;
    let path = path(&folder, changes.number);
    store::write_atomically(&path, &json)?;
    store::step("changes-written");
    ledger.changes = changes.number;
    ledger.save(&table.own_folder())?;
    numbers.push(changes.number);
    let excess = numbers.len().saturating_sub(RETAINED);
    for number in &numbers[..excess] {
        store::remove_file(&self::path(&folder, *number))?;
    }
    let name = path.file_name().unwrap_or_default();
    Ok(Some(Path::new(OWN_FOLDER).join(FOLDER).join(name)))
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}{EXTENSION}"))
}

/// Returns the numbers of the existing files, in order.
fn numbers(folder: &Path) -> Result<Vec<u64>> {
    let names = store::names(folder)?;
    let numbers = names
        .iter()
        .filter_map(|name| name.strip_suffix(EXTENSION)?.parse().ok());
    Ok(numbers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{PartitionBy, PartitionDate, Settings};

    #[test]
    fn changes_are_numbered_and_bounded_and_never_missed() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new("https://api.example.com", "UTC");
        let table = Table::open_or_create(folder.path(), settings).unwrap();
        let mut ledger = Ledger::new();
        assert_eq!(write(&table, &mut ledger, "sync").unwrap(), None);
        let date = PartitionDate::of(PartitionBy::Day, "2023-10-01".parse().unwrap());
        let change = |ledger: &mut Ledger| ledger.state_mut("messages", "r/3").changed.insert(date);
        let number = |path: Option<PathBuf>| {
            path.unwrap()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        change(&mut ledger);
        let mut unsaved = ledger.clone();
        let path = write(&table, &mut ledger, "sync").unwrap();
        let content = std::fs::read(folder.path().join(path.as_ref().unwrap())).unwrap();
        let changes: ChangeList = serde_json::from_slice(&content).unwrap();
        assert_eq!(
            changes.removed[0].path,
            Path::new("messages/bot=r%2F3/date=2023-10-01")
        );
        assert_eq!(number(path), 1);
        assert_eq!(write(&table, &mut ledger, "sync").unwrap(), None);
        // a crash before the ledger is saved
        assert_eq!(number(write(&table, &mut unsaved, "sync").unwrap()), 2);
        for _ in 0..RETAINED {
            change(&mut ledger);
            write(&table, &mut ledger, "sync").unwrap();
        }
        let left = numbers(&folder.path().join("_export/changes")).unwrap();
        assert_eq!(
            (left.len(), left[0], left[RETAINED - 1]),
            (RETAINED, 3, RETAINED as u64 + 2)
        );
    }
}
