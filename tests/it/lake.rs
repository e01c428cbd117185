//! A table in its folder, as a reader from outside finds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use converse_export::internal::Ledger;
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
    /// The exporter's ledger of this table.
    pub(crate) fn ledger(&self) -> Value {
        serde_json::to_value(Ledger::load(&self.0.join("_export")).unwrap()).unwrap()
    }

    /// The objects of the commit log: the commits and checkpoints, or the copies.
    pub(crate) fn log(&self, copies: bool) -> Vec<PathBuf> {
        let objects = files_below(&self.0.join("_export/log"));
        let is_copy = |path: &PathBuf| path.to_str().unwrap().contains(".copy.");
        objects
            .into_iter()
            .filter(|path| is_copy(path) == copies)
            .collect()
    }

    /// Adds what an earlier version wrote before it executed the last commit.
    pub(crate) fn write_earlier_commit(&self) {
        let last = self.log(false).pop().unwrap();
        let commit = zstd::decode_all(&*fs::read(last).unwrap()).unwrap();
        let commit: Value = serde_json::from_slice(&commit).unwrap();
        let publication = &commit["change"]["publication"];
        let commit = serde_json::json!({
            "partitions": publication["partitions"],
            "withdrawn": publication["removed"],
            "ledger": self.ledger(),
            "pages": publication["pages"],
            "keeps_pages": publication["keeps_pages"],
        });
        fs::write(self.0.join("_export/commit.json"), commit.to_string()).unwrap();
    }

    /// Replaces the commit log by a ledger as earlier versions wrote it.
    pub(crate) fn write_earlier_ledger(&self, ledger: &Value) {
        let own = self.0.join("_export");
        if fs::remove_dir_all(own.join("log")).is_err() {
            return;
        }
        fs::write(
            own.join("ledger.json"),
            serde_json::to_string_pretty(ledger).unwrap(),
        )
        .unwrap();
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
