//! What a proof found.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::dataset::Dataset;

/// What a proof found.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// Whether all of the table was checked and nothing is wrong.
    pub ok: bool,
    /// Partitions that a run replaced again and again while they were checked, so that nothing can be said of them.
    pub changed_meanwhile: u64,
    /// By dataset, then by bot.
    pub datasets: BTreeMap<&'static str, BTreeMap<String, DatasetVerification>>,
    /// What is wrong.
    pub problems: Vec<Finding>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<Finding>,
    /// What the API said, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveReport>,
    /// From the first step to the last.
    pub elapsed_seconds: f64,
}

/// Something that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A file or folder, from the table's folder on.
    pub path: String,
    /// What is found there.
    pub what: String,
    #[serde(skip)]
    remedy: Remedy,
}

/// What helps against a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remedy {
    /// Nothing has to be done.
    None,
    /// To remove what does not belong there.
    Remove,
    /// To ask the vendor which of two records is right.
    Vendor,
    /// To ask the API for the range once more.
    Refetch,
    /// To run the same export again.
    Export,
}

/// A dataset of a bot, as far as it was proven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DatasetVerification {
    /// Partitions of the manifest.
    pub partitions: u64,
    /// Rows that their files hold, as far as they can be read.
    pub rows: u64,
    /// Size of the files by the manifest.
    pub bytes: u64,
    /// By the ledger, as the three after it.
    pub received: u64,
    /// Records that came again as they were.
    pub duplicates: u64,
    /// Records that gave way to another version.
    pub superseded: u64,
    /// Distinct records that could not become rows.
    pub rejected: u64,
    /// Messages whose conversation is not in the table; none where no conversations of the bot were exported, or not
    /// all of them can be read.
    pub missing_conversations: Option<u64>,
    /// Problems of this dataset of this bot.
    pub problems: u64,
}

/// What the API said when it was asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LiveReport {
    /// Where the choice of windows came from: the same seed chooses the same ones of the same table.
    pub seed: u64,
    /// Windows that were asked for, in the order of the choice.
    pub windows: Vec<ComparedWindow>,
    /// Requests made, retries included.
    pub requests: u64,
}

/// One window that was asked for again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ComparedWindow {
    /// The dataset.
    pub dataset: &'static str,
    /// The bot.
    pub bot: String,
    /// The window, as an interval.
    pub window: String,
    /// Records of it that were compared.
    pub records: u64,
    /// Records that the API answered and the table lacks.
    pub missing: u64,
    /// Rows that the table has and the API did not answer: they were deleted at the source.
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

    /// What was proven of a dataset of a bot.
    pub(super) fn of(&mut self, dataset: Dataset, bot: &str) -> &mut DatasetVerification {
        let bots = self.datasets.entry(dataset.name()).or_default();
        bots.entry(bot.to_owned()).or_default()
    }

    /// Adds a problem of no dataset, or of one that is not known.
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

    /// Adds what is worth knowing.
    pub(super) fn note(&mut self, path: &Path, what: impl Into<String>) {
        self.notes.push(Finding::new(path, Remedy::None, what));
    }

    /// The one thing to do, where something is wrong.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let Some(remedy) = self.problems.iter().map(|problem| problem.remedy).max() else {
            return (self.changed_meanwhile > 0).then_some("verify again, best when no export is running");
        };
        match remedy {
            Remedy::Export => Some(
                "run the same export again: it mends what kept pages or the API still give; then verify again",
            ),
            Remedy::Refetch => Some("export the range once more with --refetch; then verify again"),
            Remedy::Vendor => Some(
                "the record's time was corrected, or the API gave it two times: a `sync --lookback` or `export --refetch` over both dates leaves the newer version",
            ),
            Remedy::Remove | Remedy::None => {
                Some("remove what does not belong to the table; then verify again")
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
