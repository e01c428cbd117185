//! What was built goes into the ledger.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::Build;
use crate::changes::PartitionFile;
use crate::commit::Commit;
use crate::error::Result;
use crate::ledger::{Account, LastRun, Ledger};
use crate::table::Staged;
use crate::window::Windows;

impl Build<'_> {
    /// Commits what is staged, with all that it completes. The last commit of a run removes every page from the spool that
    /// is part of the table, also those whose window was too young to be called complete.
    pub(super) fn commit(&mut self, staged: &[Staged], ledger: &mut Ledger, last: bool) -> Result<()> {
        let answered = self.answered(ledger);
        let account = ledger.account(self.dataset.name(), &self.bot);
        let finished: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, page)| page.periods.is_empty())
            .filter(|(_, page)| last || answered.covers(page.asked.intersect(page.range)))
            .map(|(sequence, _)| *sequence)
            .collect();
        let mut rejected = 0;
        for sequence in &finished {
            account.under_way.remove(sequence);
            if let Some(page) = self.pending.remove(sequence) {
                rejected += page.rejected;
                account.received += page.erased;
                account.erased += page.erased;
                account.pages += 1;
            }
        }
        let fresh = rejected.min(self.rejected.stored().saturating_sub(account.rejected));
        account.received += rejected;
        account.rejected += fresh;
        account.duplicates += rejected - fresh;
        self.book(ledger);
        ledger.next_sequence = self.spool.next_sequence();
        Commit::new(staged, ledger.clone(), finished, self.keep_pages).execute(self.table, self.spool)?;
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

    /// Takes into the ledger what is answered and part of the table, and says what pages are not needed for any more:
    /// what is complete, except what is re-fetched and not answered yet.
    pub(super) fn answered(&self, ledger: &mut Ledger) -> Windows {
        let mut complete = self.progress.covered.clone();
        complete.subtract_all(&self.young);
        for page in self.pending.values().filter(|page| !page.periods.is_empty()) {
            complete.subtract(page.asked);
        }
        let account = ledger.account(self.dataset.name(), &self.bot);
        if self.job.conversation.is_some() {
            // one conversation says nothing of a range
            return account.complete.clone();
        }
        account.update_complete(&self.ranges, &self.job.reread, &complete);
        let mut answered = account.complete.clone();
        answered.subtract_all(&self.ranges);
        answered.extend(complete.iter().copied());
        answered
    }

    /// Takes into the ledger what the run has cost and learnt so far.
    pub(super) fn book(&mut self, ledger: &mut Ledger) {
        let account = ledger.account(self.dataset.name(), &self.bot);
        let requests = self.asked.requests.load(Ordering::Relaxed);
        account.requests += requests - self.booked;
        self.booked = requests;
        if self.job.conversation.is_none() && self.progress.pages > 0 {
            account.learn(self.progress.learned, Timestamp::now());
        }
    }

    /// Requested ranges that are not called complete.
    pub(in crate::export) fn unsettled(&self, ledger: &Ledger) -> Windows {
        if self.job.conversation.is_some() {
            return Windows::new();
        }
        let mut missing = self.ranges.clone();
        if let Some(account) = ledger.known(self.dataset.name(), &self.bot) {
            missing.subtract_all(&account.complete);
        }
        missing
    }

    /// Builds what can be built of a run that has ended, and records how it ended.
    pub(in crate::export) fn close(&mut self, ledger: &mut Ledger, ended: Timestamp) -> Result<()> {
        let whole = self.has_all();
        let idle = self.ranges.is_empty() && self.pending.is_empty();
        if idle
            && !ledger
                .known(self.dataset.name(), &self.bot)
                .is_some_and(Account::is_refetching)
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
            self.stats.drift = account.end_observing(self.dataset);
        }
        let rows = self.stats.effect.rows;
        let account = ledger.account(self.dataset.name(), &self.bot);
        let ends = whole && self.job.conversation.is_none() && account.end_refetches(self.job.range);
        if whole && idle && !ends {
            return Ok(());
        }
        account.last_run = Some(LastRun { ended, rows, whole });
        if whole {
            // removes every page from the spool
            self.commit(&[], ledger, true)
        } else {
            self.book(ledger);
            ledger.save(&self.table.own_folder())
        }
    }
}
