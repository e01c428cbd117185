//! From spooled pages to committed partitions of one dataset of one bot.

mod account;
mod group;
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
use crate::table::{Effect, PartitionKey, Period, Table, Zone};
use crate::window::{Window, Windows};
pub(super) use page_rows::{PageFindings, is_outside};
pub(super) use partition_change::recover as recover_moved;

/// A spooled page that the table does not contain completely.
#[derive(Debug)]
struct Pending {
    asked: Window,
    /// What its run exported: rows beyond it are left out where they are proven to lie beyond it.
    range: Window,
    rejected: u64,
    erased: u64,
    /// Bytes that its rows take in memory, about.
    bytes: u64,
    /// Partitions whose rows are not built yet.
    periods: BTreeSet<Period>,
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
    asked: Arc<api::RequestStats>,
    booked: u64,
    progress: FetchProgress,
    /// The field that rows outside the requested range are left out by, once all pages of the job have settled it.
    leaves_out: Option<Field>,
    /// Time that had not settled yet when a page of it was requested.
    young: Windows,
    pending: BTreeMap<u64, Pending>,
    waiting: BTreeMap<Period, PeriodPages>,
    /// Pages with rows that may lie outside the requested range: only the complete job shows whether they do.
    deferred: BTreeMap<Period, PeriodPages>,
    rejected: RejectedRecords,
    /// Pages whose keys are counted.
    observed: BTreeSet<u64>,
    seen: partition_change::Seen,
    pub(super) stats: BuildStats,
}

/// The pages that a partition is built from.
#[derive(Debug, Default)]
struct PeriodPages {
    pages: BTreeSet<u64>,
    records: u64,
    /// Bytes that their rows take in memory, about.
    bytes: u64,
}

impl PeriodPages {
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
    pub(super) moved: u64,
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
            asked: Arc::clone(&job.stats),
            booked: 0,
            progress: FetchProgress::default(),
            leaves_out: None,
            young: Windows::new(),
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
            seen: partition_change::Seen::default(),
            stats: BuildStats::default(),
        })
    }

    /// Adds a spooled page to those that the partitions of its records are built from.
    pub(super) fn add(&mut self, page: PageContents, ledger: &Ledger) {
        let PageContents {
            header,
            bytes,
            mut periods,
            rejected,
            places,
        } = page;
        self.see(&header, places, ledger);
        if self.job.regards(&header) {
            let settled = (header.asked_at - self.settle).as_second();
            self.young.insert(header.asked.split_at(settled).1);
        }
        let records = periods.values().map(|share| share.records).sum::<u64>();
        let applied = ledger.known(self.dataset.name(), &self.bot);
        let applied = applied.and_then(|account| account.under_way.get(&header.sequence));
        if let Some(applied) = applied {
            periods.retain(|period, _| !applied.contains(period));
        }
        self.stats.received += periods.values().map(|share| share.records).sum::<u64>() + rejected;
        self.stats.received += header.erased;
        self.stats.erased += header.erased;
        self.stats.rejected_received += rejected;
        if periods.is_empty() && rejected > 0 {
            // no row of it is needed, but its rejected records are
            let timeless = Period::timeless(self.table.settings().partition_by);
            periods.entry(timeless).or_default();
        }
        let pending = Pending {
            asked: header.asked,
            range: header.range,
            rejected,
            erased: header.erased,
            bytes,
            periods: periods.keys().copied().collect(),
        };
        for (period, share) in periods {
            let pages = match share.may_be_outside {
                true => &mut self.deferred,
                false => &mut self.waiting,
            };
            let bytes = bytes * share.records / records.max(1);
            pages
                .entry(period)
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
        self.leaves_out = self.progress.settled_filter;
        for (period, pages) in std::mem::take(&mut self.deferred) {
            let waiting = self.waiting.entry(period).or_default();
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
        self.rejected.seen()
    }

    /// The field that the API is proven to filter by.
    pub(super) fn filter(&self) -> Option<Field> {
        self.progress.learned.filter
    }

    /// What the server cannot do, as far as this run or an earlier one has met it.
    pub(super) fn limits(&self) -> Limits {
        self.progress.learned.limits
    }

    fn key(&self, period: Period) -> PartitionKey {
        PartitionKey {
            dataset: self.dataset,
            bot: self.bot.clone(),
            period,
        }
    }
}
