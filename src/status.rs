//! The state of a table, read from its ledger and manifest without opening a data file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::commit;
use crate::drift::Drift;
use crate::error::Result;
use crate::ledger::{DatasetState, LastRun, Ledger};
use crate::plan::{Knowledge, Limits};
use crate::rejected::RejectedSummary;
use crate::spool::Spool;
use crate::table::{Entry, Lock, PartitionBy, PartitionCount, PartitionKey, Settings, Table, Zone};
use crate::window::{Window, Windows};

/// The state of a table.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The settings of the table.
    pub settings: Settings,
    /// The run that has the lock, if any.
    pub at_work: Option<String>,
    /// Whether a commit was interrupted. The next run completes it.
    pub interrupted_commit: bool,
    /// The exporter's own folders that this user may not read. Their contents are not counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<PathBuf>,
    /// By dataset, then by bot.
    pub datasets: BTreeMap<String, BTreeMap<String, DatasetStatus>>,
}

/// The state of a dataset of a bot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DatasetStatus {
    /// Complete ranges, of the time that the API filters by.
    pub complete: Vec<TimeRange>,
    /// The gaps between them.
    pub holes: Vec<TimeRange>,
    /// Everything before it is complete, from the start of `sync`, or else from the first complete second.
    pub watermark: Option<Timestamp>,
    /// Partitions with a time.
    #[serde(flatten)]
    pub periods: PartitionCount,
    /// Rows of all partitions, also of the one without a date.
    pub rows: u64,
    /// Size of the data files.
    pub bytes: u64,
    /// Time of the first row.
    pub first: Option<Timestamp>,
    /// Time of the last row.
    pub last: Option<Timestamp>,
    /// Requests made, retries included.
    pub requests: u64,
    /// Records received.
    pub received: u64,
    /// Records that were received again without a change.
    pub duplicates: u64,
    /// Records that were replaced by another version.
    pub superseded: u64,
    /// Records that were removed or skipped because their conversations were erased.
    pub erased: u64,
    /// Records outside the requested range.
    pub outside: u64,
    /// Distinct records that could not become rows.
    pub rejected: u64,
    /// Rejected records by reason.
    pub rejected_reasons: BTreeMap<String, u64>,
    /// Spooled pages that are not completely in the table yet.
    pub pages_waiting: u64,
    /// What changed in the records of the last run that received some.
    pub drift: Drift,
    /// How the last run that changed something ended.
    pub last_run: Option<LastRun>,
    /// What earlier runs learned of the API, without its limits.
    #[serde(rename = "learnt")]
    pub learned: Knowledge,
    /// Limits of the server that the next run uses. They are remembered for 30 days.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// A half-open range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TimeRange {
    /// The first second.
    pub start: Timestamp,
    /// The second after the last one.
    pub end: Timestamp,
}

/// Reads the state of a table.
///
/// # Errors
/// If the folder, the ledger or an entry of the manifest cannot be read.
pub fn status(table: &Table) -> Result<Status> {
    status_with(table, &table.manifest()?.into_entries(table.out())?)
}

/// Reads the state of a table whose manifest entries are known.
///
/// # Errors
/// As [`status`].
pub(crate) fn status_with(table: &Table, entries: &BTreeMap<PartitionKey, Entry>) -> Result<Status> {
    let own = table.own_folder();
    let ledger = Ledger::load(&own)?;
    let by = table.settings().partition_by;
    let now = Timestamp::now();
    let mut datasets: BTreeMap<String, BTreeMap<String, DatasetStatus>> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for (dataset, bots) in &ledger.datasets {
        for (bot, state) in bots {
            let mut status = DatasetStatus::of(state, by, now);
            if state.rejected > 0 {
                match RejectedSummary::read(&own, dataset, bot) {
                    Err(error) if error.is_denied() => unreadable.push(own.join("rejected")),
                    summary => status.rejected_reasons = summary?.reasons,
                }
            }
            datasets
                .entry(dataset.clone())
                .or_default()
                .insert(bot.clone(), status);
        }
    }
    let mut of = |dataset: &str, bot: &str, add: &dyn Fn(&mut DatasetStatus)| {
        let bots = datasets.entry(dataset.to_owned()).or_default();
        add(bots
            .entry(bot.to_owned())
            .or_insert_with(|| DatasetStatus::of(&DatasetState::default(), by, now)));
    };
    for (key, entry) in entries {
        of(key.dataset.name(), &key.bot, &|status| status.add(key, entry));
    }
    let spool = Spool::open_to_read(&own.join("pages"))?;
    unreadable.extend_from_slice(spool.unreadable());
    unreadable.dedup();
    for header in spool.list()?.0 {
        of(&header.dataset, &header.bot, &|status| status.pages_waiting += 1);
    }
    let at_work = Lock::holder(&own)?;
    // the commit of an active run is not interrupted
    let interrupted_commit =
        at_work.is_none() && commit::is_interrupted(table, &spool, &ledger)? && Lock::holder(&own)?.is_none();
    Ok(Status {
        settings: table.settings().clone(),
        at_work,
        interrupted_commit,
        unreadable,
        datasets,
    })
}

impl Status {
    /// Returns what is not complete up to `moment`, as dataset, bot and watermark.
    #[must_use]
    pub fn behind(&self, moment: Timestamp) -> Vec<(&str, &str, Option<Timestamp>)> {
        let all = self.datasets.iter().flat_map(|(dataset, bots)| {
            bots.iter()
                .map(move |(bot, status)| (dataset.as_str(), bot.as_str(), status.watermark))
        });
        all.filter(|(.., watermark)| watermark.is_none_or(|watermark| watermark < moment))
            .collect()
    }
}

impl DatasetStatus {
    fn of(state: &DatasetState, by: PartitionBy, now: Timestamp) -> Self {
        let learned = state.learned(now);
        let mut gaps = Windows::new();
        gaps.extend(state.complete.hull());
        gaps.subtract_all(&state.complete);
        Self {
            complete: ranges(&state.complete),
            holes: ranges(&gaps),
            watermark: state.watermark(),
            requests: state.requests,
            received: state.received,
            duplicates: state.duplicates,
            superseded: state.superseded,
            erased: state.erased,
            outside: state.outside,
            rejected: state.rejected,
            drift: state.drift.clone(),
            last_run: state.last_run.clone(),
            learned: Knowledge {
                limits: Limits::default(),
                ..learned
            },
            limits: learned.limits,
            periods: PartitionCount::new(by, 0),
            ..Self::default()
        }
    }

    fn add(&mut self, key: &PartitionKey, entry: &Entry) {
        self.periods += u64::from(key.date.first().is_some());
        self.rows += entry.rows;
        self.bytes += entry.bytes;
        self.first = [self.first, entry.first].into_iter().flatten().min();
        self.last = self.last.max(entry.last);
    }
}

fn ranges(windows: &Windows) -> Vec<TimeRange> {
    windows
        .iter()
        .filter_map(|window| TimeRange::of(*window))
        .collect()
}

impl TimeRange {
    fn of(window: Window) -> Option<Self> {
        Some(Self {
            start: Timestamp::from_second(window.start).ok()?,
            end: Timestamp::from_second(window.end).ok()?,
        })
    }

    /// Formats the range for `--start` and `--end`: as dates if both ends are midnights of the zone.
    #[must_use]
    pub fn as_flags(&self, zone: &Zone) -> (String, String) {
        match (zone.date_at_midnight(self.start), zone.date_at_midnight(self.end)) {
            (Some(start), Some(end)) => (start.to_string(), end.to_string()),
            _ => (self.start.to_string(), self.end.to_string()),
        }
    }
}
