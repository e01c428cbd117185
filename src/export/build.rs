//! From spooled pages to committed partitions of one dataset of one bot.

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

/// A spooled page that the table does not contain completely.
#[derive(Debug)]
struct PendingPage {
    requested: Window,
    /// What its run exported: rows beyond it are left out where they are proven to lie beyond it.
    range: Window,
    rejected: u64,
    erased: u64,
    /// Bytes that its rows take in memory, about.
    bytes: u64,
    /// Partitions whose rows are not built yet.
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
    /// What this run requests and the ledger did not have.
    ranges: Windows,
    /// What requests have cost, and those of them that the ledger counts already.
    requested: Arc<api::RequestStats>,
    recorded_requests: u64,
    progress: FetchProgress,
    /// The field that rows outside the requested range are left out by, once all pages of the job have settled it.
    outside_filter: Option<Field>,
    /// Time that had not settled yet when a page of it was requested.
    unsettled_time: Windows,
    pending: BTreeMap<u64, PendingPage>,
    waiting: BTreeMap<PartitionDate, PartitionPages>,
    /// Pages with rows that may lie outside the requested range: only the complete job shows whether they do.
    deferred: BTreeMap<PartitionDate, PartitionPages>,
    rejected: RejectedRecords,
    /// Pages whose keys are counted.
    observed: BTreeSet<u64>,
    locations: partition_change::RecordLocations,
    pub(super) stats: BuildStats,
}

/// The pages that a partition is built from.
#[derive(Debug, Default)]
struct PartitionPages {
    pages: BTreeSet<u64>,
    records: u64,
    /// Bytes that their rows take in memory, about.
    bytes: u64,
}

impl PartitionPages {
    fn add(&mut self, page: u64, records: u64, bytes: u64) {
        self.pages.insert(page);
        self.records += records;
        self.bytes += bytes;
    }
}

/// What building has done so far.
#[derive(Debug, Default)]
pub(super) struct BuildStats {
    pub(super) effect: Effect,
    pub(super) findings: PageFindings,
    pub(super) drift: Drift,
    /// Rows that were removed since their records have another date now.
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
            requested: Arc::clone(&job.stats),
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

    /// Adds a spooled page to those that the partitions of its records are built from.
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
            // no row of it is needed, but its rejected records are
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

    /// Takes over how far fetching is.
    ///
    /// # Errors
    /// Where the ledger cannot be corrected that called complete what is not.
    pub(super) fn advance(&mut self, progress: FetchProgress, ledger: &mut Ledger) -> Result<()> {
        let before = std::mem::replace(&mut self.progress, progress).covered;
        if before.iter().all(|window| self.progress.covered.covers(*window)) {
            return Ok(());
        }
        // a window that was complete turned out to have a false end
        self.commit(&[], ledger, false)
    }

    /// All pages of the job are there: rows outside the requested range are left out where the filter is settled.
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

    /// Distinct records that could not become rows.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected.distinct()
    }

    /// The field that the API is proven to filter by.
    pub(super) fn filter(&self) -> Option<Field> {
        self.progress.learned.filter
    }

    /// What the server cannot do, as far as this run or an earlier one has met it.
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
