//! What exports have left in a folder, to be compared with what an undisturbed one leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Deserialize;
use serde_json::Value;

use crate::lake::{Lake, files_below};

/// What is left in a table's folder, as far as it must not depend on what happened on the way.
pub(crate) struct FolderContents {
    /// Data files by path, with the checksums of their bytes.
    files: BTreeMap<String, String>,
    rejected: BTreeSet<String>,
    accounts: BTreeMap<String, DatasetState>,
}

/// The ledger's account of one dataset.
#[derive(Deserialize)]
pub(crate) struct DatasetState {
    complete: Value,
    pub(crate) pages: u64,
    received: u64,
    rows: u64,
    duplicates: u64,
    superseded: u64,
    rejected: u64,
    partitions: Value,
}

impl FolderContents {
    /// Reads what is left, which must be tidy: nothing unfinished, nothing that is not needed any more, and every
    /// record accounted for.
    #[track_caller]
    pub(crate) fn by(lake: &Lake) -> Self {
        let own = lake.0.join("_export");
        for file in files_below(&lake.0) {
            let name = file.strip_prefix(&lake.0).unwrap().to_str().unwrap();
            let known = [
                "conversations/",
                "messages/",
                "_export/changes/",
                "_export/log/",
                "_export/partitions/",
                "_export/rejected/",
            ];
            let single = ["lock", "table.json"].map(|name| format!("_export/{name}"));
            let expected = known.iter().any(|folder| name.starts_with(folder))
                || single.iter().any(|single| single == name);
            assert!(expected && !name.contains("/."), "{name} was left behind");
        }
        let ledger = lake.ledger();
        let mut accounts = BTreeMap::new();
        for (dataset, bots) in ledger["datasets"].as_object().unwrap() {
            let account = bots.as_object().unwrap().values().next().unwrap();
            let account: DatasetState = serde_json::from_value(account.clone()).unwrap();
            let parts = account.rows + account.duplicates + account.superseded + account.rejected;
            assert_eq!(
                account.received, parts,
                "{dataset}: a record is not accounted for"
            );
            accounts.insert(dataset.clone(), account);
        }
        let rejected = files_below(&own.join("rejected")).into_iter().flat_map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            let distinct: BTreeSet<_> = lines.iter().cloned().collect();
            assert_eq!(distinct.len(), lines.len(), "a rejected record is kept twice");
            distinct
        });
        Self {
            files: lake.files(),
            rejected: rejected.collect(),
            accounts,
        }
    }

    #[track_caller]
    pub(crate) fn is_the_same_as(&self, undisturbed: &Self, what: &str) {
        assert_eq!(self.files, undisturbed.files, "{what}");
        assert_eq!(self.rejected, undisturbed.rejected, "{what}");
        for (dataset, account) in &undisturbed.accounts {
            let ours = &self.accounts[dataset];
            assert_eq!(ours.complete, account.complete, "{what}: {dataset}");
            assert_eq!(ours.partitions, account.partitions, "{what}: {dataset}");
            let counts = |account: &DatasetState| (account.rows, account.rejected);
            assert_eq!(counts(ours), counts(account), "{what}: {dataset}");
        }
    }

    /// It has this file with this checksum.
    #[track_caller]
    pub(crate) fn holds(&self, file: &str, hash: &str) {
        assert_eq!(self.files.get(file).map(String::as_str), Some(hash), "{file}");
    }

    /// A number of the accounts, over all datasets.
    pub(crate) fn total(&self, of: fn(&DatasetState) -> u64) -> u64 {
        self.accounts.values().map(of).sum()
    }
}
