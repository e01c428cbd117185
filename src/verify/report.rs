//! The report of a verification.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::dataset::Dataset;

/// The report of a verification.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// Whether everything was checked without a problem.
    pub ok: bool,
    /// Partitions that a run replaced too often to be checked.
    pub changed_meanwhile: u64,
    /// By dataset, then by bot.
    pub datasets: BTreeMap<&'static str, BTreeMap<String, DatasetVerification>>,
    /// Problems.
    pub problems: Vec<Finding>,
    /// Notes, which are not problems.
    pub notes: Vec<Finding>,
    /// The comparison with the API, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveReport>,
    /// Total time in seconds.
    pub elapsed_seconds: f64,
}

/// A finding and its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A file or folder, relative to the table's folder.
    pub path: String,
    /// A sentence that describes it.
    pub what: String,
    #[serde(skip)]
    remedy: Remedy,
}

/// What the user can do about a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remedy {
    /// Nothing.
    None,
    /// Remove what does not belong to the table.
    Remove,
    /// Ask the vendor which of two records is right.
    Vendor,
    /// Export the range again with a refetch.
    Refetch,
    /// Run the same export again.
    Export,
}

/// The verification of a dataset of a bot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DatasetVerification {
    /// Number of partitions in the manifest.
    pub partitions: u64,
    /// Number of readable rows.
    pub rows: u64,
    /// Size of the files, from the manifest.
    pub bytes: u64,
    /// Received records, from the ledger, like the next three counts.
    pub received: u64,
    /// Records that came again unchanged.
    pub duplicates: u64,
    /// Records that were replaced by another version.
    pub superseded: u64,
    /// Distinct records that could not become rows.
    pub rejected: u64,
    /// Messages whose conversation is not in the table; `None` if no conversations of the bot were exported, or some
    /// cannot be read.
    pub missing_conversations: Option<u64>,
    /// Number of problems.
    pub problems: u64,
}

/// The comparison with the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LiveReport {
    /// Seed of the choice of windows: the same seed chooses the same windows of the same table.
    pub seed: u64,
    /// The windows, in the order of the choice.
    pub windows: Vec<ComparedWindow>,
    /// Requests, including retries.
    pub requests: u64,
}

/// The comparison of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ComparedWindow {
    /// The dataset.
    pub dataset: &'static str,
    /// The bot.
    pub bot: String,
    /// The window, as an interval.
    pub window: String,
    /// Records that were compared.
    pub records: u64,
    /// Records of the API that the table lacks.
    pub missing: u64,
    /// Rows of the table that the API does not return: they were deleted at the source.
    pub gone: u64,
}

impl VerifyReport {
    pub(super) fn new() -> Self {
        Self {
            ok: true,
            changed_meanwhile: 0,
            datasets: BTreeMap::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            live: None,
            elapsed_seconds: 0.0,
        }
    }

    /// Returns the verification of a dataset of a bot.
    pub(super) fn of(&mut self, dataset: Dataset, bot: &str) -> &mut DatasetVerification {
        let bots = self.datasets.entry(dataset.name()).or_default();
        bots.entry(bot.to_owned()).or_default()
    }

    /// Adds a problem without a dataset.
    pub(super) fn problem(&mut self, path: &Path, remedy: Remedy, what: impl Into<String>) {
        self.ok = false;
        self.problems.push(Finding::new(path, remedy, what));
    }

    /// Adds a problem of a dataset of a bot.
    pub(super) fn problem_of(
        &mut self,
        (dataset, bot): (Dataset, &str),
        path: &Path,
        remedy: Remedy,
        what: impl Into<String>,
    ) {
        self.of(dataset, bot).problems += 1;
        self.problem(path, remedy, what);
    }

    /// Adds partitions that changed while they were checked.
    pub(super) fn changed(&mut self, partitions: u64) {
        self.ok &= partitions == 0;
        self.changed_meanwhile += partitions;
    }

    /// Adds a note.
    pub(super) fn note(&mut self, path: &Path, what: impl Into<String>) {
        self.notes.push(Finding::new(path, Remedy::None, what));
    }

    /// Returns what the user can do about the most important problem.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let Some(remedy) = self.problems.iter().map(|problem| problem.remedy).max() else {
            return (self.changed_meanwhile > 0).then_some("verify again when no export is active");
        };
        match remedy {
            Remedy::Export => Some(
                "run the same export again: it repairs what retained pages or the API have; then verify again",
            ),
            Remedy::Refetch => Some("export the range again with --refetch; then verify again"),
            Remedy::Vendor => Some(
                "the time of the record was corrected, or the API returned it twice: `sync --lookback` or `export --refetch` over both dates keeps the newer version",
            ),
            Remedy::Remove | Remedy::None => {
                Some("remove the files that do not belong to the table; then verify again")
            }
        }
    }
}

impl Finding {
    fn new(path: &Path, remedy: Remedy, what: impl Into<String>) -> Self {
        Self {
            path: path.display().to_string(),
            what: what.into(),
            remedy,
        }
    }
}
