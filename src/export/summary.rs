//! What a run did, for people and for jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::repair::Damage;
use crate::changes::PartitionFile;
use crate::dataset::{Dataset, TypeMismatches};
use crate::drift::Drift;
use crate::plan::Limits;
use crate::table::{FolderKey, PartitionBy, PartitionCount, duckdb_table};

/// What a run did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// By name of the dataset.
    pub datasets: BTreeMap<&'static str, DatasetSummary>,
    /// What was found damaged: it is moved aside, and its time is not called complete until it is exported again.
    pub damaged: Vec<Damage>,
    /// The file that tells jobs what has changed, from the table's folder on; none where nothing has.
    pub changes: Option<PathBuf>,
    /// What could not be exported whole. What was fetched of it is kept, and the other bots have nothing to do with it.
    pub failed: Vec<Failed>,
    /// From the first step to the last.
    pub elapsed_seconds: f64,
    /// A line for DuckDB that reads what was exported; empty where the table holds no file.
    pub duckdb: String,
}

/// A dataset of a bot that could not be exported whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The dataset.
    pub dataset: &'static str,
    /// The bot.
    pub bot: String,
    /// What failed, and why.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// What a run did for one dataset. `received = rows + duplicates + superseded + rejected + erased`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DatasetSummary {
    /// Rows that were not in the table before.
    pub rows: u64,
    /// Records within the range asked for that became part of this run.
    pub received: u64,
    /// Records that came again as they were: where windows overlap, or since an earlier run had them.
    pub duplicates: u64,
    /// Records that gave way to another version, theirs or the table's.
    pub superseded: u64,
    /// Rows that went from a partition since their records have another date now; they are part of `superseded`, but
    /// for those whose other row is not new.
    pub moved: u64,
    /// Distinct records that could not become rows; they are kept in `_export/rejected/`.
    pub rejected: u64,
    /// Records that the API sent though their conversations were erased; nothing of them was kept.
    pub erased: u64,
    /// Records that the API sent from beyond the range asked for; they are not part of `received`.
    pub outside: u64,
    /// Values that did not fit their promoted columns, by column, counted once for each record that came; the rows have
    /// null there, and the values in their metadata.
    pub promoted_misfits: TypeMismatches,
    /// What is otherwise than in earlier runs: keys, types, values that had to be repaired.
    pub drift: Drift,
    /// Requests sent, retries included.
    pub requests: u64,
    /// The fewest requests that this many records could have come in.
    pub fewest_requests: u64,
    /// Share of the requests that the budget allowed meanwhile, 0 to 1; nothing where there is no limit.
    pub budget_used: Option<f64>,
    /// Requests that repeated a failed one.
    pub retries: u64,
    /// Requests refused for coming too soon.
    pub rate_limited: u64,
    /// Bytes of answers, after decompression.
    pub bytes_received: u64,
    /// From the first step of this run to the last page of this dataset.
    pub elapsed_seconds: f64,
    /// Whether there was nothing to ask for, since the table had all of it.
    pub was_complete: bool,
    /// The time that the API filters by, where its pages proved it: `time` or `last_action_at`.
    pub filtered_by: Option<&'static str>,
    /// What the server cannot do, as far as it was met: requests were adapted to it.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Ranges asked for that are not complete yet, since they were too young when they were asked for.
    pub unsettled: Vec<(Timestamp, Timestamp)>,
    /// Days, or months, whose partitions this run changed.
    #[serde(flatten)]
    pub periods: PartitionCount,
    /// Bytes of the partitions that this run changed.
    pub bytes_written: u64,
    /// Partitions that this run changed, in order of their paths.
    pub partitions: Vec<PartitionFile>,
}

impl DatasetSummary {
    /// Reckons what follows from the counts.
    pub(super) fn close(&mut self, by: PartitionBy, per_page: u32, requests_per_second: f64) {
        let records = self.received + self.outside;
        self.fewest_requests = records.div_ceil(per_page.max(1).into());
        if !self.was_complete {
            self.fewest_requests = self.fewest_requests.max(1);
        }
        let allowed = requests_per_second * self.elapsed_seconds;
        self.budget_used = (allowed > 0.0).then(|| (self.requests as f64 / allowed).min(1.0));
        let period = |changed: &PartitionFile| changed.path.parent()?.file_name().map(ToOwned::to_owned);
        let periods: BTreeSet<_> = self.partitions.iter().filter_map(period).collect();
        self.periods = PartitionCount::new(by, periods.len() as u64);
        self.bytes_written = self.partitions.iter().map(|changed| changed.bytes).sum();
    }
}

/// A line for DuckDB that counts the rows of each day or month.
pub(super) fn duckdb(out: &Path, dataset: Dataset, by: PartitionBy) -> String {
    let key = by.key();
    let column = FolderKey {
        name: key,
        r#type: match by {
            PartitionBy::Day => "DATE",
            PartitionBy::Month => "VARCHAR",
        },
    };
    match duckdb_table(&out.join(dataset.name()), &[column], false) {
        Ok(table) => {
            format!("SELECT {key}, count(*) AS {dataset} FROM {table} GROUP BY {key} ORDER BY {key};")
        }
        Err(comment) => comment.to_owned(),
    }
}

impl Summary {
    /// Distinct records met that could not become rows.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.datasets.values().map(|dataset| dataset.rejected).sum()
    }
}
