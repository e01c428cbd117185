//! From kept pages to committed partitions: which partitions can be built, from which pages, and what that completes.

mod decode;
mod ledger;
mod moved;
mod slices;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;

use super::arrived::{Arrived, PeriodShare, Span};
use crate::api;
use crate::changes::Changed;
use crate::dataset::Dataset;
use crate::drift::Drift;
use crate::error::{Error, Result};
use crate::fetch::{AtHand, FetchProgress, Job};
use crate::ledger::{Account, LastRun, Ledger};
use crate::plan::{Field, Limits};
use crate::rejected::RejectedRecords;
use crate::spool::Spool;
use crate::table::{Effect, PartitionKey, Period, RowRef, Staged, Table, Zone};
use crate::window::{Window, Windows};
use decode::DecodedPage;
pub(super) use decode::{Met, is_outside};
pub(super) use moved::recover as recover_moved;
use slices::Begun;

/// Records in memory at a time: a group of partitions holds no more, and a partition that does is built in slices.
const GROUP_RECORDS: u64 = 20_000;

/// So many are built as soon as there is nothing else to do, or as they are the next of a partition that has more, so
/// that little is left for the end.
const FEW_RECORDS: u64 = 5_000;

/// A kept page that the table does not hold whole yet.
#[derive(Debug)]
struct Pending {
    asked: Window,
    /// What its run was asked for: rows beyond it are left out where they are proven to lie beyond it.
    range: Window,
    rejected: u64,
    erased: u64,
    /// Days whose rows are still to come.
    periods: BTreeSet<Period>,
}

/// Builds the partitions of one dataset of one bot.
pub(super) struct Build<'a> {
    job: &'a Job,
    dataset: Dataset,
    bot: String,
    table: &'a Table,
    spool: &'a Spool,
    at_hand: &'a AtHand,
    zone: &'a Zone,
    settle: SignedDuration,
    keep_pages: bool,
    /// What this run asks for and the ledger did not have.
    ranges: Windows,
    /// What asking has cost, and the requests of it that the ledger knows of.
    asked: Arc<api::Tally>,
    booked: u64,
    progress: FetchProgress,
    /// The field that rows outside the requested range are left out by, once all pages of the job have settled it.
    leaves_out: Option<Field>,
    /// Time that had not settled yet when a page of it was asked for.
    young: Windows,
    pending: BTreeMap<u64, Pending>,
    waiting: BTreeMap<Period, PeriodPages>,
    /// Pages with rows that may lie outside the requested range: only the whole job shows whether they do.
    deferred: BTreeMap<Period, PeriodPages>,
    /// The large partition that is built while its rest is fetched.
    begun: Option<Begun<'a>>,
    /// Whether partitions are begun early: no longer once a record came that an early part of one lacked.
    grows: bool,
    rejected: RejectedRecords,
    /// Pages whose keys are taken note of.
    observed: BTreeSet<u64>,
    seen: moved::Seen,
    pub(super) tally: Tally,
}

#[derive(Debug, Default)]
struct PeriodPages {
    /// Which part of the partition each page holds; none where its records have no time.
    pages: BTreeMap<u64, Option<Span>>,
    records: u64,
    /// How many of them each quarter of an hour has.
    quarters: BTreeMap<i64, u64>,
}

impl PeriodPages {
    fn add(&mut self, page: u64, share: PeriodShare) {
        self.pages.insert(page, share.span);
        self.records += share.records;
        for (quarter, records) in share.quarters {
            *self.quarters.entry(quarter).or_default() += records;
        }
    }

    fn extend(&mut self, other: Self) {
        self.pages.extend(other.pages);
        self.records += other.records;
        for (quarter, records) in other.quarters {
            *self.quarters.entry(quarter).or_default() += records;
        }
    }
}

/// What building has done so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) effect: Effect,
    pub(super) met: Met,
    pub(super) drift: Drift,
    /// Rows that went since their records have another date now.
    pub(super) moved: u64,
    pub(super) received: u64,
    pub(super) erased: u64,
    pub(super) rejected_received: u64,
    pub(super) changed: BTreeMap<PartitionKey, Changed>,
}

impl<'a> Build<'a> {
    pub(super) fn new(
        job: &'a Job,
        (table, spool, at_hand, zone): (&'a Table, &'a Spool, &'a AtHand, &'a Zone),
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
            at_hand,
            zone,
            settle,
            keep_pages,
            ranges: job.missing.clone(),
            asked: Arc::clone(&job.tally),
            booked: 0,
            progress: FetchProgress::default(),
            leaves_out: None,
            young: Windows::new(),
            pending: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deferred: BTreeMap::new(),
            begun: None,
            grows: true,
            rejected: RejectedRecords::open(
                &table.own_folder(),
                dataset,
                bot,
                !table.settings().privacy.is_empty(),
            )?,
            observed: BTreeSet::new(),
            seen: moved::Seen::default(),
            tally: Tally::default(),
        })
    }

    /// Distinct records met that could not become rows.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected.met()
    }

    /// Takes note of a page that the spool keeps.
    pub(super) fn page(&mut self, page: Arrived, ledger: &Ledger) {
        let Arrived {
            header,
            mut periods,
            rejected,
            places,
        } = page;
        self.see(&header, places, ledger);
        if self.job.regards(&header) {
            let settled = (header.asked_at - self.settle).as_second();
            self.young.insert(header.asked.split_at(settled).1);
        }
        let applied = ledger.known(self.dataset.name(), &self.bot);
        let applied = applied.and_then(|account| account.under_way.get(&header.sequence));
        if let Some(applied) = applied {
            periods.retain(|period, _| !applied.contains(period));
        }
        self.tally.received += periods.values().map(|share| share.records).sum::<u64>() + rejected;
        self.tally.received += header.erased;
        self.tally.erased += header.erased;
        self.tally.rejected_received += rejected;
        if periods.is_empty() && rejected > 0 {
            // no row of it is wanted, but its rejected records are
            periods.insert(
                Period::timeless(self.table.settings().partition_by),
                PeriodShare::default(),
            );
        }
        let pending = Pending {
            asked: header.asked,
            range: header.range,
            rejected,
            erased: header.erased,
            periods: periods.keys().copied().collect(),
        };
        for (period, share) in periods {
            if share.may_be_outside {
                self.deferred
                    .entry(period)
                    .or_default()
                    .add(header.sequence, share);
            } else {
                self.wait(period, header.sequence, share);
            }
        }
        if pending.periods.is_empty() {
            self.at_hand.forget(header.sequence);
        }
        self.pending.insert(header.sequence, pending);
    }

    /// Adds a page to those that a partition is built from.
    fn wait(&mut self, period: Period, page: u64, share: PeriodShare) {
        let is_late = |begun: &mut Begun<'_>| {
            begun.period == period && share.span.is_some_and(|span| span.first < begun.end)
        };
        if self.begun.take_if(is_late).is_some() {
            tracing::debug!(%period, "a record came late, the partition is started again");
            self.grows = false;
        }
        self.waiting.entry(period).or_default().add(page, share);
    }

    /// Takes note of how far fetching is.
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
            if self.is_begun(period) {
                self.begun = None;
            }
            self.waiting.entry(period).or_default().extend(pages);
        }
    }

    /// Whether everything that was missing is fetched.
    pub(super) fn has_all(&self) -> bool {
        let mut missing = self.ranges.clone();
        missing.subtract_all(&self.progress.covered);
        missing.is_empty()
    }

    /// The field that the API is proven to filter by.
    pub(super) fn filter(&self) -> Option<Field> {
        self.progress.learned.filter
    }

    /// What the server cannot do, as far as this run or an earlier one has met it.
    pub(super) fn limits(&self) -> Limits {
        self.progress.learned.limits
    }

    /// Ranges asked for that are not called complete.
    pub(super) fn unsettled(&self, ledger: &Ledger) -> Windows {
        if self.job.conversation.is_some() {
            return Windows::new();
        }
        let mut missing = self.ranges.clone();
        if let Some(account) = ledger.known(self.dataset.name(), &self.bot) {
            missing.subtract_all(&account.complete);
        }
        missing
    }

    /// Whether enough partitions wait that will hardly get more pages: less is enough while nothing else is to be done.
    pub(super) fn is_worth_building(&self, idle: bool) -> bool {
        let enough = if idle { FEW_RECORDS } else { GROUP_RECORDS };
        self.ready().map(|(_, records)| records).sum::<u64>() >= enough || self.growing().is_some()
    }

    /// Partitions that seem to be read whole. A partition that gets rows later is merged again, which costs but loses nothing.
    fn ready(&self) -> impl Iterator<Item = (Period, u64)> {
        // most conversations end within a day of their start
        let late = match self.progress.learned.filter {
            Some(Field::LastAction) => 86_400,
            _ => 0,
        };
        self.waiting.iter().filter_map(move |(period, waiting)| {
            let day_itself = self.zone.window(*period)?;
            let window = Window::new(day_itself.start, day_itself.end + late);
            let mut missing = self.ranges.intersect(window);
            missing.subtract_all(&self.progress.read);
            missing.is_empty().then_some((*period, waiting.records))
        })
    }

    /// Builds and commits the partitions that are ready.
    pub(super) fn build_ready(&mut self, ledger: &mut Ledger) -> Result<()> {
        let periods: Vec<_> = self.ready().map(|(period, _)| period).collect();
        self.build(&periods, ledger)?;
        self.grow_begun()
    }

    /// Builds partitions in groups that fit into memory.
    fn build(&mut self, periods: &[Period], ledger: &mut Ledger) -> Result<()> {
        let mut rest = periods;
        while !rest.is_empty() {
            let mut records = 0;
            let fits = |period: &&Period| {
                records += self.weight(**period, ledger);
                records <= GROUP_RECORDS && !self.is_begun(**period)
            };
            // a large one is alone
            let count = rest.iter().take_while(fits).count().max(1);
            let (group, later) = rest.split_at(count);
            self.build_group(group, ledger)?;
            rest = later;
        }
        Ok(())
    }

    /// Records that building a partition takes into memory: those that wait and those that its partition holds.
    fn weight(&self, period: Period, ledger: &Ledger) -> u64 {
        let account = ledger.known(self.dataset.name(), &self.bot);
        let held = account.and_then(|account| account.partitions.get(&period));
        let waiting = self.waiting.get(&period);
        held.map_or(0, |held| held.rows) + waiting.map_or(0, |waiting| waiting.records)
    }

    fn build_group(&mut self, periods: &[Period], ledger: &mut Ledger) -> Result<()> {
        let is_large =
            |period: &Period| self.is_begun(*period) || self.weight(*period, ledger) > GROUP_RECORDS;
        let large = matches!(periods, [period] if is_large(period));
        let mut waiting = BTreeMap::new();
        for period in periods {
            waiting.extend(self.waiting.remove(period).map(|pages| (*period, pages)));
        }
        let expected: u64 = waiting.values().map(|waiting| waiting.records).sum();
        let in_slices = match waiting.first_key_value() {
            Some((period, pages)) if large => self.stage_in_slices(*period, pages)?,
            _ => None,
        };
        let pages = |(period, waiting): (Period, PeriodPages)| (period, waiting.pages.into_keys().collect());
        let wanted: BTreeMap<Period, BTreeSet<u64>> = waiting.into_iter().map(pages).collect();
        let (staged, mut met) = match in_slices {
            Some((staged, met)) => (vec![staged], met),
            None => self.stage(&wanted)?,
        };
        let outside = met.outside;
        let observed = std::mem::take(&mut met.observed);
        self.observed.extend(wanted.values().flatten());
        self.tally.met += met;

        let placed = staged.iter().map(|staged| staged.effect.records()).sum::<u64>();
        if placed + outside != expected {
            // invariant 5, before anything is published: better no table than one that lacks a record
            return Err(Error::Internal(format!(
                "{expected} records were to be placed, {placed} were, and {outside} lay outside the range"
            )));
        }
        self.note_arrivals(&staged, ledger)?;
        let account = ledger.account(self.dataset.name(), &self.bot);
        account.observing.add(&observed);
        account.received += placed;
        account.outside += outside;
        for staged in &staged {
            account.duplicates += staged.effect.duplicates;
            account.superseded += staged.effect.superseded;
            account.hold(staged.key.period, &staged.entry);
        }
        for (period, pages) in &wanted {
            for page in pages {
                account.under_way.entry(*page).or_default().insert(*period);
                if let Some(pending) = self.pending.get_mut(page) {
                    pending.periods.remove(period);
                    if pending.periods.is_empty() {
                        self.at_hand.forget(*page);
                    }
                }
            }
        }
        self.commit(&staged, ledger, false)
    }

    /// Stages the next versions of partitions, all at once; says, too, what was met in their records.
    fn stage(&mut self, wanted: &BTreeMap<Period, BTreeSet<u64>>) -> Result<(Vec<Staged>, Met)> {
        let pages: BTreeSet<u64> = wanted.values().flatten().copied().collect();
        let pages: Vec<u64> = pages.into_iter().collect();
        let mut decoded = pages
            .par_iter()
            .map(|page| self.decode(*page, wanted))
            .collect::<Result<Vec<DecodedPage>>>()?;
        let mut met = Met::default();
        for page in &mut decoded {
            self.rejected.keep(&page.rejected)?;
            met += std::mem::take(&mut page.met);
        }
        let batches: Vec<RecordBatch> = decoded.iter().map(|page| page.batch.clone()).collect();
        let staged = wanted
            .par_iter()
            .filter_map(|(period, _)| {
                let rows: Vec<RowRef> = (0..)
                    .zip(&decoded)
                    .flat_map(|(batch, page)| {
                        let rows = page.rows.get(period).map_or(&[][..], Vec::as_slice);
                        rows.iter().map(move |row| RowRef { batch, row: *row })
                    })
                    .collect();
                let key = self.key(*period);
                (!rows.is_empty()).then(|| self.table.stage(&key, &batches, &rows))
            })
            .collect::<Result<Vec<Staged>>>()?;
        Ok((staged, met))
    }

    fn key(&self, period: Period) -> PartitionKey {
        PartitionKey {
            dataset: self.dataset,
            bot: self.bot.clone(),
            period,
        }
    }

    /// Builds what can be built of a run that has ended, and writes down how it ended.
    pub(super) fn close(&mut self, ledger: &mut Ledger, ended: Timestamp) -> Result<()> {
        let whole = self.has_all();
        let idle = self.ranges.is_empty() && self.pending.is_empty();
        if idle
            && !ledger
                .known(self.dataset.name(), &self.bot)
                .is_some_and(Account::is_anew)
        {
            return Ok(());
        }
        if whole {
            self.settle_filter();
            let periods: Vec<_> = self.waiting.keys().copied().collect();
            self.build(&periods, ledger)?;
            self.mend_moved(ledger)?;
            self.answered(ledger);
        }
        if whole && self.job.conversation.is_none() {
            let account = ledger.account(self.dataset.name(), &self.bot);
            self.tally.drift = account.end_observing(self.dataset);
        }
        let rows = self.tally.effect.rows;
        let account = ledger.account(self.dataset.name(), &self.bot);
        let ends = whole && self.job.conversation.is_none() && account.end_anew(self.job.range);
        if whole && idle && !ends {
            return Ok(());
        }
        account.last_run = Some(LastRun { ended, rows, whole });
        if whole {
            // lets go of every page
            self.commit(&[], ledger, true)
        } else {
            self.book(ledger);
            ledger.save(&self.table.own_folder())
        }
    }
}
