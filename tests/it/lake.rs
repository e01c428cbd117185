//! A table in its folder, as a reader from outside finds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::duck::{self, Rows};

/// A table's folder.
pub(crate) struct Lake(pub(crate) PathBuf);

impl Lake {
    /// See [`duck::rows`].
    pub(crate) fn rows(&self, sql: &str) -> Rows {
        duck::rows(&self.0, sql)
    }

    /// The ids of a dataset, which must be distinct.
    #[track_caller]
    pub(crate) fn ids(&self, dataset: &str) -> BTreeSet<String> {
        ids(self.rows(&format!("select id from {dataset}")))
    }

    /// Every data file by its path in the lake, with the SHA-256 of its bytes.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for dataset in ["conversations", "messages"] {
            for path in files_below(&self.0.join(dataset)) {
                let name = path.strip_prefix(&self.0).unwrap().to_str().unwrap().to_owned();
                let hash = Sha256::digest(fs::read(&path).unwrap());
                files.insert(name, hash.iter().map(|byte| format!("{byte:02x}")).collect());
            }
        }
        files
    }
}

impl Lake {
    /// The exporter's ledger of this table, without its checksum.
    pub(crate) fn ledger(&self) -> Value {
        without_checksum(&self.0.join("_export/ledger.json"))
    }

    /// Of each dataset of each bot, what was received is accounted for, and the rows are those of the partitions.
    #[track_caller]
    pub(crate) fn assert_ledger_adds_up(&self) {
        for (dataset, bots) in self.ledger()["datasets"].as_object().unwrap() {
            for account in bots.as_object().unwrap().values() {
                let count = |what: &str| account[what].as_u64().unwrap();
                let parts = count("rows") + count("duplicates") + count("superseded") + count("rejected");
                let parts = parts + count("erased");
                assert_eq!(count("received"), parts, "{dataset}: {account}");
                let held = account["partitions"].as_object().unwrap().values();
                let held: u64 = held.map(|held| held["rows"].as_u64().unwrap()).sum();
                assert_eq!(held, count("rows"), "{dataset}: {account}");
            }
        }
    }
}

/// The first column of rows, whose values must be distinct.
#[track_caller]
pub(crate) fn ids(rows: Rows) -> BTreeSet<String> {
    let count = rows.len();
    let ids: BTreeSet<String> = rows
        .into_iter()
        .map(|row| row[0].as_str().expect("an id is text").to_owned())
        .collect();
    assert_eq!(ids.len(), count, "an id came twice");
    ids
}

/// All files below a folder; none where there is no folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// A JSON file of the exporter without its checksum: what is made of it is like a file of an earlier version.
pub(crate) fn without_checksum(path: &Path) -> Value {
    let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    json.as_object_mut().unwrap().remove("checksum");
    json
}
