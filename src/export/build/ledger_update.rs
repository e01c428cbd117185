//! Updates the ledger with what was built.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::Build;
use crate::changes::PartitionFile;
use crate::commit::Commit;
use crate::error::Result;
use crate::ledger::{DatasetState, LastRun, Ledger};
use crate::table::Staged;
use crate::window::Windows;

impl Build<'_> {
    /// Commits staged partitions, and updates the ledger. The last commit of a run removes all pages from the spool
    /// that are in the table, including those of unsettled time.
    pub(super) fn commit(&mut self, staged: &[Staged], ledger: &mut Ledger, last: bool) -> Result<()> {
        let answered = self.answered(ledger);
        let state = ledger.state_mut(self.dataset.name(), &self.bot);
        let finished: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, page)| page.dates.is_empty())
            .filter(|(_, page)| last || answered.covers(page.requested.intersect(page.range)))
            .map(|(sequence, _)| *sequence)
            .collect();
        let mut rejected = 0;
        for sequence in &finished {
            state.applied_partitions.remove(sequence);
            if let Some(page) = self.pending.remove(sequence) {
                rejected += page.rejected;
                state.received += page.erased;
                state.erased += page.erased;
                state.pages += 1;
            }
        }
        let fresh = rejected.min(self.rejected.stored().saturating_sub(state.rejected));
        state.received += rejected;
        state.rejected += fresh;
        state.duplicates += rejected - fresh;
        self.record_requests(ledger);
        ledger.next_sequence = self.spool.next_sequence();
        Commit::new(staged, finished, self.keep_pages).execute(self.table, self.spool, ledger)?;
        for staged in staged {
            self.stats.effect += staged.effect;
            if staged.replaces {
                self.stats
                    .changed
                    .insert(staged.key.clone(), PartitionFile::of(&staged.entry));
            }
        }
        Ok(())
    }

    /// Updates the complete ranges in the ledger. Returns the ranges whose pages are not needed any more: complete
    /// ones, apart from refetched ones without a response.
    pub(super) fn answered(&self, ledger: &mut Ledger) -> Windows {
        let mut complete = self.progress.covered.clone();
        complete.subtract_all(&self.unsettled_time);
        for page in self.pending.values().filter(|page| !page.dates.is_empty()) {
            complete.subtract(page.requested);
        }
        let state = ledger.state_mut(self.dataset.name(), &self.bot);
        if self.job.conversation.is_some() {
            // a single conversation makes no range complete
            return state.complete.clone();
        }
        state.update_complete(&self.ranges, &self.job.refetched, &complete);
        let mut answered = state.complete.clone();
        answered.subtract_all(&self.ranges);
        answered.extend(complete.iter().copied());
        answered
    }

    /// Adds the requests and the knowledge of this run to the ledger.
    pub(super) fn record_requests(&mut self, ledger: &mut Ledger) {
        let state = ledger.state_mut(self.dataset.name(), &self.bot);
        let requests = self.request_stats.requests.load(Ordering::Relaxed);
        state.requests += requests - self.recorded_requests;
        self.recorded_requests = requests;
        if self.job.conversation.is_none() && self.progress.pages > 0 {
            state.learn(self.progress.learned, Timestamp::now());
        }
    }

    /// Returns the requested ranges that are not complete.
    pub(in crate::export) fn unsettled(&self, ledger: &Ledger) -> Windows {
        if self.job.conversation.is_some() {
            return Windows::new();
        }
        let mut missing = self.ranges.clone();
        if let Some(state) = ledger.state(self.dataset.name(), &self.bot) {
            missing.subtract_all(&state.complete);
        }
        missing
    }

    /// Builds the remaining partitions at the end of a run, and records how the run ended.
    pub(in crate::export) fn close(&mut self, ledger: &mut Ledger, ended: Timestamp) -> Result<()> {
        let complete = self.has_all();
        let idle = self.ranges.is_empty() && self.pending.is_empty();
        if idle
            && !ledger
                .state(self.dataset.name(), &self.bot)
                .is_some_and(DatasetState::is_refetching)
        {
            return Ok(());
        }
        if complete {
            self.settle_filter();
            let dates: Vec<_> = self.waiting.keys().copied().collect();
            self.build(&dates, ledger)?;
            self.remove_outdated_rows(ledger)?;
            self.answered(ledger);
        }
        if complete && self.job.conversation.is_none() {
            let state = ledger.state_mut(self.dataset.name(), &self.bot);
            self.stats.drift = state.end_key_observation(self.dataset);
        }
        let rows = self.stats.effect.rows;
        let state = ledger.state_mut(self.dataset.name(), &self.bot);
        let ends = complete && self.job.conversation.is_none() && state.end_refetches(self.job.range);
        if complete && idle && !ends {
            return Ok(());
        }
        state.last_run = Some(LastRun {
            ended,
            rows,
            complete,
        });
        if complete {
            // removes all pages from the spool
            self.commit(&[], ledger, true)
        } else {
            self.record_requests(ledger);
            ledger.save(&self.table.own_folder())
        }
    }
}
