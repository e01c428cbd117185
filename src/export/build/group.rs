//! Builds partitions with complete time in groups that fit into memory.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::page_rows::PageRows;
use super::{Build, PageFindings, PartitionPages};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::plan::Field;
use crate::table::{PartitionDate, Staged};
use crate::window::Window;

/// Maximum bytes of rows in a group. A larger partition is alone, and is merged on disk.
const GROUP_BYTES: u64 = 32 * 1024 * 1024;
/// Maximum bytes of pages that are decoded at a time, unless one page is larger.
const DECODED_BYTES: u64 = 16 * 1024 * 1024;
/// Minimum bytes of rows for a commit while more pages are fetched.
const COMMIT_BYTES: u64 = 8 * 1024 * 1024;

impl Build<'_> {
    /// Builds and commits the partitions with complete time, if they have enough rows.
    pub(in crate::export) fn build_ready(&mut self, ledger: &mut Ledger) -> Result<()> {
        if self.ready().map(|(_, bytes)| bytes).sum::<u64>() < COMMIT_BYTES {
            return Ok(());
        }
        let dates: Vec<_> = self.ready().map(|(date, _)| date).collect();
        self.build(&dates, ledger)
    }

    /// Returns the partitions with complete time, and their bytes. A partition that gets a row later, from a record
    /// whose times differ much, is merged again.
    fn ready(&self) -> impl Iterator<Item = (PartitionDate, u64)> {
        // most conversations end within a day after their start
        let late = match self.progress.learned.filter {
            Some(Field::LastAction) => 86_400,
            _ => 0,
        };
        self.waiting.iter().filter_map(move |(date, waiting)| {
            let window = self.zone.window(*date)?;
            // windows are requested with an extra second at their bounds
            let window = Window::new(window.start - 1, window.end + late + 1);
            let mut missing = self.ranges.intersect(window);
            missing.subtract_all(&self.progress.covered);
            missing.is_empty().then_some((*date, waiting.bytes))
        })
    }

    /// Builds partitions in groups that fit into memory.
    pub(super) fn build(&mut self, dates: &[PartitionDate], ledger: &mut Ledger) -> Result<()> {
        let mut rest = dates;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |date: &&PartitionDate| {
                bytes += self.waiting.get(date).map_or(0, |pages| pages.bytes);
                bytes <= GROUP_BYTES
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (group, later) = rest.split_at(count);
            let waiting = group.iter().filter_map(|date| self.waiting.remove_entry(date));
            let group: BTreeMap<PartitionDate, PartitionPages> = waiting.collect();
            self.build_group(&group, ledger)?;
            rest = later;
        }
        Ok(())
    }

    fn build_group(
        &mut self,
        group: &BTreeMap<PartitionDate, PartitionPages>,
        ledger: &mut Ledger,
    ) -> Result<()> {
        let (staged, mut findings) = self.stage(group)?;
        let (outside, observed) = (findings.outside, std::mem::take(&mut findings.observed));
        self.observed
            .extend(group.values().flat_map(|pages| &pages.pages));
        self.stats.findings += findings;

        let expected: u64 = group.values().map(|pages| pages.records).sum();
        let placed = staged.iter().map(|staged| staged.effect.records()).sum::<u64>();
        if placed + outside != expected {
            // invariant 5: fail before the publication instead of losing a record
            return Err(Error::Internal(format!(
                "{expected} records must become rows: {placed} did, and {outside} are outside the range"
            )));
        }
        self.record_new_rows(&staged, ledger)?;
        let state = ledger.state_mut(self.dataset.name(), &self.bot);
        state.current_keys.add(&observed);
        state.received += placed;
        state.outside += outside;
        for staged in &staged {
            state.duplicates += staged.effect.duplicates;
            state.superseded += staged.effect.superseded;
            state.record_partition(staged.key.date, &staged.entry);
        }
        for (date, pages) in group {
            for page in &pages.pages {
                state.applied_partitions.entry(*page).or_default().insert(*date);
                if let Some(pending) = self.pending.get_mut(page) {
                    pending.dates.remove(date);
                }
            }
        }
        self.commit(&staged, ledger, false)
    }

    /// Stages the next versions of partitions. Each page is decoded once.
    fn stage(
        &mut self,
        group: &BTreeMap<PartitionDate, PartitionPages>,
    ) -> Result<(Vec<Staged>, PageFindings)> {
        let pages: BTreeSet<u64> = group
            .values()
            .flat_map(|pages| pages.pages.iter().copied())
            .collect();
        let pages: Vec<u64> = pages.into_iter().collect();
        let keys = group.keys().map(|date| (*date, self.key(*date)));
        let keys: BTreeMap<PartitionDate, _> = keys.collect();
        let table = self.table;
        let mut builders: BTreeMap<PartitionDate, _> = keys
            .iter()
            .map(|(date, key)| (*date, table.builder(key)))
            .collect();
        let mut findings = PageFindings::default();
        let mut rest = &pages[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |page: &&u64| {
                bytes += self.pending.get(page).map_or(0, |pending| pending.bytes);
                bytes <= DECODED_BYTES
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (now, later) = rest.split_at(count);
            let decoded = now.par_iter().map(|page| self.decode(*page, group));
            for page in decoded.collect::<Result<Vec<PageRows>>>()? {
                self.rejected.append(&page.rejected)?;
                findings += page.findings;
                for (date, rows) in page.rows {
                    if let Some(builder) = builders.get_mut(&date) {
                        builder.add(rows)?;
                    }
                }
            }
            rest = later;
        }
        let filled = builders.into_values().filter(|builder| !builder.is_empty());
        let staged = filled.map(|builder| builder.finish()).collect::<Result<_>>()?;
        Ok((staged, findings))
    }
}
