//! The ledger, the state that the commit log describes: what the exports of a table have completed, per dataset and bot.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, ObservedKeys};
use crate::drift::Drift;
use crate::plan::Knowledge;
use crate::table::{Entry, PartitionDate};
use crate::window::Windows;
use persistence::LogHandle;

mod earlier;
mod learned;
mod partition_check;
mod persistence;
mod sync;
#[cfg(test)]
mod tests;
mod unchecked_rows;

pub use persistence::Publication;
pub use sync::{Refetch, SyncState};
pub use unchecked_rows::{NewRows, UncheckedRows};

const VERSION: u32 = 1;

/// The ledger of a table. It only describes what is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    version: u32,
    /// The next sequence number of a page.
    pub next_sequence: u64,
    /// The number of the last file of [`changes`](crate::changes).
    #[serde(default)]
    pub changes: u64,
    /// By dataset, then by bot.
    pub datasets: BTreeMap<String, BTreeMap<String, DatasetState>>,
    #[serde(skip)]
    log: LogHandle,
}

/// The state of a dataset of a bot, over all runs. Invariant: `received = rows + duplicates + superseded + rejected +
/// erased`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetState {
    /// Complete ranges of the time that the API filters by: every record is in the table.
    pub complete: Windows,
    /// Requests, including retries.
    pub requests: u64,
    /// Pages whose records are in the table.
    pub pages: u64,
    /// Received records of these pages, including repeated and rejected ones.
    pub received: u64,
    /// Rows of all partitions: distinct records.
    pub rows: u64,
    /// Records that were received again without a change, including rejected ones.
    pub duplicates: u64,
    /// Records that were replaced by another version.
    pub superseded: u64,
    /// Rows that were removed because the dates of their records changed; also counted in `superseded`.
    #[serde(rename = "moved")]
    pub date_changes: u64,
    /// Distinct records that could not become rows.
    pub rejected: u64,
    /// Records that were removed or skipped because their conversations were erased.
    pub erased: u64,
    /// Records outside the requested range. They are neither in the table nor in `received`.
    pub outside: u64,
    /// The earliest time of a row.
    pub first: Option<Timestamp>,
    /// The latest time of a row.
    pub last: Option<Timestamp>,
    /// What runs learned of the API.
    #[serde(rename = "learnt")]
    pub learned: Knowledge,
    /// When the limits in `learned` were found; `None` if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits_since: Option<Timestamp>,
    /// Keys in records of earlier runs.
    pub known_keys: ObservedKeys,
    /// Keys in records of the current run so far.
    #[serde(rename = "observing")]
    pub current_keys: ObservedKeys,
    /// Drift of the last run that received records.
    pub drift: Drift,
    /// How the last run that changed something ended.
    pub last_run: Option<LastRun>,
    /// Partitions that already contain the rows of a spooled page, by the page's sequence number.
    #[serde(rename = "under_way")]
    pub applied_partitions: BTreeMap<u64, BTreeSet<PartitionDate>>,
    /// Metadata of each partition, which detects a row that is missing in both file and manifest.
    pub partitions: BTreeMap<PartitionDate, PartitionMetadata>,
    /// Partitions that have changed since the last file of [`changes`](crate::changes).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub changed: BTreeSet<PartitionDate>,
    /// New rows that are not compared with other partitions yet.
    #[serde(rename = "moves", skip_serializing_if = "Option::is_none")]
    pub unchecked_rows: Option<UncheckedRows>,
    /// A refetch that is not complete.
    pub refetching: Option<Refetch>,
    /// The state of `sync`, if it was ever used.
    pub sync: Option<SyncState>,
}

/// Metadata of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionMetadata {
    /// Number of rows, one per id.
    pub rows: u64,
    /// [`Entry::ids_sha256`].
    pub ids_sha256: String,
    /// [`Entry::sha256`].
    pub sha256: String,
}

impl PartitionMetadata {
    /// Returns the metadata in an entry of the manifest.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        Self {
            rows: entry.rows,
            ids_sha256: entry.ids_sha256.clone(),
            sha256: entry.sha256.clone(),
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// Time of the end.
    pub ended: Timestamp,
    /// New rows.
    pub rows: u64,
    /// Whether the whole requested range was complete.
    #[serde(rename = "whole")]
    pub complete: bool,
}

impl DatasetState {
    /// Whether the API has never returned a page, for example for a mistyped bot. Such states are not saved.
    #[must_use]
    pub fn has_no_response(&self) -> bool {
        let counts = [
            self.pages,
            self.received,
            self.rows,
            self.rejected,
            self.erased,
            self.outside,
        ];
        counts.iter().all(|count| *count == 0)
            && self.complete.is_empty()
            && self.partitions.is_empty()
            && self.changed.is_empty()
            && self.applied_partitions.is_empty()
            && self.learned == Knowledge::default()
    }

    /// Compares the keys of the run that ends with those of earlier runs, and adds them.
    pub fn end_key_observation(&mut self, dataset: Dataset) -> Drift {
        let run = std::mem::take(&mut self.current_keys);
        if run.records == 0 {
            return Drift::default();
        }
        self.drift = Drift::between(dataset, &self.known_keys, &run);
        self.known_keys.add(&run);
        self.drift.clone()
    }

    /// Records the new version of a partition.
    pub fn record_partition(&mut self, date: PartitionDate, entry: &Entry) {
        let metadata = PartitionMetadata::of(entry);
        self.rows += metadata.rows;
        let before = self.partitions.insert(date, metadata);
        if before.as_ref() != self.partitions.get(&date) {
            self.changed.insert(date);
        }
        self.rows -= before.map_or(0, |before| before.rows);
        self.first = [self.first, entry.first].into_iter().flatten().min();
        self.last = self.last.max(entry.last);
    }

    /// Adds a partition that is in the table but not in the ledger.
    pub fn adopt_partition(&mut self, date: PartitionDate, entry: &Entry) {
        self.received += entry.rows;
        self.record_partition(date, entry);
    }

    /// Removes a partition; returns the number of its rows.
    pub fn remove_partition(&mut self, date: PartitionDate) -> u64 {
        let rows = self.partitions.remove(&date).map_or(0, |metadata| metadata.rows);
        self.rows -= rows;
        self.changed.insert(date);
        rows
    }

    fn without_partitions(&self) -> Self {
        let mut copy = self.clone();
        copy.partitions.clear();
        copy
    }

    /// Removes a partition whose rows are lost, so that spooled pages can add them again.
    pub fn remove_lost_partition(&mut self, date: PartitionDate) {
        self.received -= self.remove_partition(date);
        for dates in self.applied_partitions.values_mut() {
            dates.remove(&date);
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Ledger {
    /// Creates an empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self {
            version: VERSION,
            next_sequence: 0,
            changes: 0,
            datasets: BTreeMap::new(),
            log: LogHandle::default(),
        }
    }

    fn remove_empty_states(&mut self) {
        for bots in self.datasets.values_mut() {
            bots.retain(|_, state| !state.has_no_response());
        }
        self.datasets.retain(|_, bots| !bots.is_empty());
    }

    /// The states that are saved, with dataset and bot.
    fn saved_states(&self) -> impl Iterator<Item = (&str, &str, &DatasetState)> {
        let bots = self.datasets.iter();
        let states =
            bots.flat_map(|(dataset, bots)| bots.iter().map(move |(bot, state)| (&**dataset, &**bot, state)));
        states.filter(|(.., state)| !state.has_no_response())
    }

    /// Returns the state of a dataset of a bot, if there is one.
    #[must_use]
    pub fn state(&self, dataset: &str, bot: &str) -> Option<&DatasetState> {
        self.datasets.get(dataset)?.get(bot)
    }

    /// Returns the state of a dataset of a bot, created if there is none.
    pub fn state_mut(&mut self, dataset: &str, bot: &str) -> &mut DatasetState {
        self.datasets
            .entry(dataset.to_owned())
            .or_default()
            .entry(bot.to_owned())
            .or_default()
    }
}
