//! What a folder holds, by its ledger and manifest: quick, and without looking into a single data file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::commit::Commit;
use crate::drift::Drift;
use crate::error::Result;
use crate::ledger::{Account, LastRun, Ledger};
use crate::plan::{Knowledge, Limits};
use crate::rejected::RejectedSummary;
use crate::spool::Spool;
use crate::table::{Entry, Lock, PartitionBy, PartitionKey, PeriodCount, Settings, Table, Zone};
use crate::window::{Window, Windows};

/// What a folder holds.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What every file of the table depends on.
    pub settings: Settings,
    /// Who works on the table, if a run does.
    pub at_work: Option<String>,
    /// Whether a commit was interrupted, which the next run carries through.
    pub interrupted_commit: bool,
    /// Folders of the exporter's own that this user may not read: what they hold is not counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<PathBuf>,
    /// By dataset, then by bot.
    pub datasets: BTreeMap<String, BTreeMap<String, DatasetStatus>>,
}

/// What a folder holds of a dataset of a bot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DatasetStatus {
    /// Ranges that are complete, of the time that the API filters by.
    pub complete: Vec<TimeRange>,
    /// What lies between them.
    pub holes: Vec<TimeRange>,
    /// Everything before it is complete: from where `sync` begins, or else from the first second that is.
    pub watermark: Option<Timestamp>,
    /// Partitions with a time.
    #[serde(flatten)]
    pub periods: PeriodCount,
    /// Rows in them, and in the one without a date.
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
    /// Records that came again as they were.
    pub duplicates: u64,
    /// Records that gave way to another version.
    pub superseded: u64,
    /// Records that went, or were not kept, since their conversations were erased.
    pub erased: u64,
    /// Records that lay outside the range asked for.
    pub outside: u64,
    /// Distinct records that could not become rows.
    pub rejected: u64,
    /// How many of them there are for each reason.
    pub rejected_reasons: BTreeMap<String, u64>,
    /// Pages that are answered and not yet wholly part of the table.
    pub pages_waiting: u64,
    /// What the last run that brought records saw otherwise than those before it.
    pub drift: Drift,
    /// How the last run that did something ended.
    pub last_run: Option<LastRun>,
    /// What earlier runs learned of the API, but for its limits.
    pub learnt: Knowledge,
    /// What the server cannot do, as the next run knows it: limits are remembered for 30 days.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// A half-open range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TimeRange {
    /// The first moment.
    pub start: Timestamp,
    /// The moment after the last one.
    pub end: Timestamp,
}

/// Tells what the table in `table` holds, by its ledger and manifest alone.
///
/// # Errors
/// Where the folder, its ledger or an entry of its manifest cannot be read.
pub fn status(table: &Table) -> Result<Status> {
    status_with(table, &table.manifest()?.whole(table.out())?)
}

/// The same where the manifest's entries are known already.
///
/// # Errors
/// As [`status`].
pub(crate) fn status_with(table: &Table, entries: &BTreeMap<PartitionKey, Entry>) -> Result<Status> {
    let own = table.own_folder();
    let ledger = Ledger::load(&Ledger::path(&own))?;
    let by = table.settings().partition_by;
    let now = Timestamp::now();
    let mut datasets: BTreeMap<String, BTreeMap<String, DatasetStatus>> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for (dataset, bots) in &ledger.datasets {
        for (bot, account) in bots {
            let mut holding = DatasetStatus::of(account, by, now);
            if account.rejected > 0 {
                match RejectedSummary::read(&own, dataset, bot) {
                    Err(error) if error.is_denied() => unreadable.push(own.join("rejected")),
                    kept => holding.rejected_reasons = kept?.reasons,
                }
            }
            datasets
                .entry(dataset.clone())
                .or_default()
                .insert(bot.clone(), holding);
        }
    }
    let mut of = |dataset: &str, bot: &str, add: &dyn Fn(&mut DatasetStatus)| {
        let bots = datasets.entry(dataset.to_owned()).or_default();
        add(bots
            .entry(bot.to_owned())
            .or_insert_with(|| DatasetStatus::of(&Account::default(), by, now)));
    };
    for (key, entry) in entries {
        of(key.dataset.name(), &key.bot, &|holding| holding.add(key, entry));
    }
    let spool = Spool::open_to_read(&own.join("pages"))?;
    unreadable.extend_from_slice(spool.unreadable());
    unreadable.dedup();
    for header in spool.list()?.0 {
        of(&header.dataset, &header.bot, &|holding| {
            holding.pages_waiting += 1
        });
    }
    let at_work = Lock::holder(&own)?;
    // a commit of a run at work is not interrupted
    let interrupted_commit =
        at_work.is_none() && Commit::interrupted(&own)?.is_some() && Lock::holder(&own)?.is_none();
    Ok(Status {
        settings: table.settings().clone(),
        at_work,
        interrupted_commit,
        unreadable,
        datasets,
    })
}

impl Status {
    /// What does not reach up to `moment`, each as its dataset, its bot and its watermark.
    #[must_use]
    pub fn behind(&self, moment: Timestamp) -> Vec<(&str, &str, Option<Timestamp>)> {
        let all = self.datasets.iter().flat_map(|(dataset, bots)| {
            let holding = bots.iter();
            holding.map(move |(bot, holding)| (dataset.as_str(), bot.as_str(), holding.watermark))
        });
        all.filter(|(.., watermark)| watermark.is_none_or(|watermark| watermark < moment))
            .collect()
    }
}

impl DatasetStatus {
    fn of(account: &Account, by: PartitionBy, now: Timestamp) -> Self {
        let learned = account.learned(now);
        let mut holes = Windows::new();
        holes.extend(account.complete.hull());
        holes.subtract_all(&account.complete);
        Self {
            complete: ranges(&account.complete),
            holes: ranges(&holes),
            watermark: account.watermark(),
            requests: account.requests,
            received: account.received,
            duplicates: account.duplicates,
            superseded: account.superseded,
            erased: account.erased,
            outside: account.outside,
            rejected: account.rejected,
            drift: account.drift.clone(),
            last_run: account.last_run.clone(),
            learnt: Knowledge {
                limits: Limits::default(),
                ..learned
            },
            limits: learned.limits,
            periods: PeriodCount::new(by, 0),
            ..Self::default()
        }
    }

    fn add(&mut self, key: &PartitionKey, entry: &Entry) {
        self.periods += u64::from(key.period.first().is_some());
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

    /// As the flags `--start` and `--end` are typed: dates where both ends are midnights of the zone.
    #[must_use]
    pub fn as_flags(&self, zone: &Zone) -> (String, String) {
        match (zone.date_at_midnight(self.start), zone.date_at_midnight(self.end)) {
            (Some(start), Some(end)) => (start.to_string(), end.to_string()),
            _ => (self.start.to_string(), self.end.to_string()),
        }
    }
}
