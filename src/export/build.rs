//! Builds and commits the partitions of one dataset of one bot from spooled pages.

mod group;
mod ledger_update;
mod page_rows;
mod partition_change;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;

use super::page_contents::PageContents;
use crate::api;
use crate::changes::PartitionFile;
use crate::dataset::Dataset;
use crate::drift::Drift;
use crate::error::Result;
use crate::fetch::{FetchProgress, Job};
use crate::ledger::Ledger;
use crate::plan::{Field, Limits};
use crate::rejected::RejectedRecords;
use crate::spool::Spool;
use crate::table::{Effect, PartitionDate, PartitionKey, Table, Zone};
use crate::window::{Window, Windows};
pub(super) use page_rows::{PageFindings, is_outside};
pub(super) use partition_change::recover as recover_partition_changes;

/// A spooled page that is not completely in the table.
#[derive(Debug)]
struct PendingPage {
    requested: Window,
    /// The range that its run exports. Rows that are proven to be outside are dropped.
    range: Window,
    rejected: u64,
    erased: u64,
    /// Approximate bytes of its rows in memory.
    bytes: u64,
    /// Partitions that are not built from it yet.
    dates: BTreeSet<PartitionDate>,
}

/// Builds the partitions of one dataset of one bot.
pub(super) struct Build<'a> {
    job: &'a Job,
    dataset: Dataset,
    bot: String,
    table: &'a Table,
    spool: &'a Spool,
    zone: &'a Zone,
    settle: SignedDuration,
    keep_pages: bool,
    /// The ranges that this run requests.
    ranges: Windows,
    /// Counts of requests, and the number of those that the ledger already includes.
    request_stats: Arc<api::RequestStats>,
    recorded_requests: u64,
    progress: FetchProgress,
    /// The field by which rows outside the requested range are dropped, if all pages of the job prove it.
    outside_filter: Option<Field>,
    /// Time that had not settled when it was requested.
    unsettled_time: Windows,
    pending: BTreeMap<u64, PendingPage>,
    waiting: BTreeMap<PartitionDate, PartitionPages>,
    /// Pages with rows that may be outside the requested range, which only the complete job shows.
    deferred: BTreeMap<PartitionDate, PartitionPages>,
    rejected: RejectedRecords,
    /// Pages whose keys are counted.
    observed: BTreeSet<u64>,
    locations: partition_change::RecordLocations,
    pub(super) stats: BuildStats,
}

/// The pages of a partition.
#[derive(Debug, Default)]
struct PartitionPages {
    pages: BTreeSet<u64>,
    records: u64,
    /// Approximate bytes of their rows in memory.
    bytes: u64,
}

impl PartitionPages {
    fn add(&mut self, page: u64, records: u64, bytes: u64) {
        self.pages.insert(page);
        self.records += records;
        self.bytes += bytes;
    }
}

/// Counts of what was built.
#[derive(Debug, Default)]
pub(super) struct BuildStats {
    pub(super) effect: Effect,
    pub(super) findings: PageFindings,
    pub(super) drift: Drift,
    /// Rows that were removed because the dates of their records changed.
    pub(super) date_changes: u64,
    pub(super) received: u64,
    pub(super) erased: u64,
    pub(super) rejected_received: u64,
    pub(super) changed: BTreeMap<PartitionKey, PartitionFile>,
}

impl<'a> Build<'a> {
    pub(super) fn new(
        job: &'a Job,
        (table, spool, zone): (&'a Table, &'a Spool, &'a Zone),
        settle: SignedDuration,
        keep_pages: bool,
    ) -> Result<Self> {
        let (dataset, bot) = (job.dataset, &job.bot);
        Ok(Self {
            job,
            dataset,
            bot: bot.clone(),
            table,
            spool,
            zone,
            settle,
            keep_pages,
            ranges: job.missing.clone(),
            request_stats: Arc::clone(&job.stats),
            recorded_requests: 0,
            progress: FetchProgress::default(),
            outside_filter: None,
            unsettled_time: Windows::new(),
            pending: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deferred: BTreeMap::new(),
            rejected: RejectedRecords::open(
                &table.own_folder(),
                dataset,
                bot,
                !table.settings().privacy.is_empty(),
            )?,
            observed: BTreeSet::new(),
            locations: partition_change::RecordLocations::default(),
            stats: BuildStats::default(),
        })
    }

    /// Adds a spooled page.
    pub(super) fn add(&mut self, page: PageContents, ledger: &Ledger) {
        let PageContents {
            header,
            bytes,
            mut dates,
            rejected,
            locations,
        } = page;
        self.record_locations(&header, locations, ledger);
        if self.job.is_current(&header) {
            let settled = (header.requested_at - self.settle).as_second();
            self.unsettled_time.insert(header.requested.split_at(settled).1);
        }
        let records = dates.values().map(|share| share.records).sum::<u64>();
        let applied = ledger.state(self.dataset.name(), &self.bot);
        let applied = applied.and_then(|state| state.applied_partitions.get(&header.sequence));
        if let Some(applied) = applied {
            dates.retain(|date, _| !applied.contains(date));
        }
        self.stats.received += dates.values().map(|share| share.records).sum::<u64>() + rejected;
        self.stats.received += header.erased;
        self.stats.erased += header.erased;
        self.stats.rejected_received += rejected;
        if dates.is_empty() && rejected > 0 {
            // its rows are in the table, but not its rejected records
            let timeless = PartitionDate::timeless(self.table.settings().partition_by);
            dates.entry(timeless).or_default();
        }
        let pending = PendingPage {
            requested: header.requested,
            range: header.range,
            rejected,
            erased: header.erased,
            bytes,
            dates: dates.keys().copied().collect(),
        };
        for (date, share) in dates {
            let pages = match share.may_be_outside {
                true => &mut self.deferred,
                false => &mut self.waiting,
            };
            let bytes = bytes * share.records / records.max(1);
            pages
                .entry(date)
                .or_default()
                .add(header.sequence, share.records, bytes);
        }
        self.pending.insert(header.sequence, pending);
    }

    /// Updates the progress of fetching.
    ///
    /// # Errors
    /// If time is no longer complete, and the ledger cannot be saved.
    pub(super) fn advance(&mut self, progress: FetchProgress, ledger: &mut Ledger) -> Result<()> {
        let before = std::mem::replace(&mut self.progress, progress).covered;
        if before.iter().all(|window| self.progress.covered.covers(*window)) {
            return Ok(());
        }
        // a complete window turned out to end too early
        self.commit(&[], ledger, false)
    }

    /// Decides, after all pages of the job, whether rows outside the requested range are dropped.
    fn settle_filter(&mut self) {
        self.outside_filter = self.progress.settled_filter;
        for (date, pages) in std::mem::take(&mut self.deferred) {
            let waiting = self.waiting.entry(date).or_default();
            waiting.pages.extend(pages.pages);
            waiting.records += pages.records;
            waiting.bytes += pages.bytes;
        }
    }

    /// Whether everything that was missing is fetched.
    pub(super) fn has_all(&self) -> bool {
        let mut missing = self.ranges.clone();
        missing.subtract_all(&self.progress.covered);
        missing.is_empty()
    }

    /// Number of distinct rejected records.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected.distinct()
    }

    /// Returns the field that the API is proven to filter by.
    pub(super) fn filter(&self) -> Option<Field> {
        self.progress.learned.filter
    }

    /// Returns the known limits of the server.
    pub(super) fn limits(&self) -> Limits {
        self.progress.learned.limits
    }

    fn key(&self, date: PartitionDate) -> PartitionKey {
        PartitionKey {
            dataset: self.dataset,
            bot: self.bot.clone(),
            date,
        }
    }
}
