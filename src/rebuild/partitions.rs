//! New partitions, made of the rows of old ones.

use std::collections::BTreeMap;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use jiff::Timestamp;
use rayon::prelude::*;

use super::Rebuild;
use crate::dataset::{Dataset, Misfits};
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::table::{Effect, Entry, PartitionKey, Period};

/// Rows of the partitions that are built side by side, unless one has more.
const GROUP_ROWS: u64 = 150_000;

/// A new partition.
pub(super) type Made = (Period, Entry, Effect, Misfits);

/// The second that contains a time.
pub(super) fn floor(time: Timestamp) -> i64 {
    time.as_microsecond().div_euclid(1_000_000)
}

impl Rebuild {
    /// Writes all new partitions, as many side by side as fit into memory.
    pub(super) fn make(
        &self,
        dataset: Dataset,
        bot: &str,
        old: &BTreeMap<Period, Entry>,
        stop: &CancellationToken,
    ) -> Result<Vec<Made>> {
        let sources: Vec<(Period, Vec<&Entry>)> = self.sources(old).into_iter().collect();
        let mut made = Vec::new();
        let mut rest = &sources[..];
        while !rest.is_empty() {
            if stop.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let mut rows = 0;
            let fits = |(_, from): &&(Period, Vec<&Entry>)| {
                let before = rows;
                rows += from.iter().map(|entry| entry.rows).sum::<u64>();
                before == 0 || rows <= GROUP_ROWS
            };
            let (group, later) = rest.split_at(rest.iter().take_while(fits).count());
            let group = group.par_iter().map(|(period, from)| {
                let bot = bot.to_owned();
                let period = *period;
                self.make_one(&PartitionKey { dataset, bot, period }, from)
            });
            made.extend(group.collect::<Result<Vec<_>>>()?.into_iter().flatten());
            rest = later;
        }
        let rows: u64 = old.values().map(|entry| entry.rows).sum();
        let placed: u64 = made.iter().map(|(_, _, effect, _)| effect.records()).sum();
        if rows != placed {
            return Err(Error::Internal(format!(
                "{rows} rows of {dataset} of {bot} were to be placed, and {placed} were"
            )));
        }
        Ok(made)
    }

    /// Which old partitions hold the rows of each new partition: those whose rows' time it shares.
    fn sources<'a>(&self, old: &'a BTreeMap<Period, Entry>) -> BTreeMap<Period, Vec<&'a Entry>> {
        let mut periods = self.zone.1.periods();
        let mut sources: BTreeMap<Period, Vec<&Entry>> = BTreeMap::new();
        for (old_period, entry) in old {
            // by the rows themselves: the zone's rules may have changed since the partition was written
            let (Some(_), Some(first), Some(last)) = (old_period.first(), entry.first, entry.last) else {
                sources.entry(self.zone.1.timeless()).or_default().push(entry);
                continue;
            };
            let (mut second, end) = (floor(first), floor(last) + 1);
            while second < end {
                let period = periods.of(Some(second.saturating_mul(1_000_000)));
                sources.entry(period).or_default().push(entry);
                second = self.zone.1.window(period).map_or(end, |window| window.end);
            }
        }
        sources
    }

    /// Writes one new partition; none where no row belongs to it.
    fn make_one(&self, key: &PartitionKey, from: &[&Entry]) -> Result<Option<Made>> {
        let mut misfits = Misfits::default();
        let mut builder = self.new.builder(key);
        for batch in self.rows_of(key, from) {
            builder.add(self.formed(key, &batch?, &mut misfits)?)?;
        }
        if builder.is_empty() {
            return Ok(None);
        }
        let staged = builder.finish()?;
        self.new.publish(&staged.key, &staged.entry)?;
        Ok(Some((key.period, staged.entry, staged.effect, misfits)))
    }

    /// Rows in the new form, without what new rules take out.
    fn formed(&self, key: &PartitionKey, batch: &RecordBatch, misfits: &mut Misfits) -> Result<RecordBatch> {
        let (old, new) = (self.old.shape(), self.new.shape());
        let (batch, unfit) = new
            .of(old, &self.cleaner, key.dataset, batch)
            .ok_or_else(|| Error::Internal(format!("rows of {} lack metadata", key.folder().display())))?;
        *misfits += &Misfits::of(new, &unfit);
        Ok(batch)
    }

    /// The rows of a new partition, as the old ones have them.
    fn rows_of(&self, key: &PartitionKey, from: &[&Entry]) -> impl Iterator<Item = Result<RecordBatch>> {
        let batches = from.iter().flat_map(|entry| {
            let (batches, error) = match self.old.batches(key.dataset, entry) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            batches.into_iter().flatten().chain(error)
        });
        let mut periods = self.zone.1.periods();
        batches.filter_map(move |batch| {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            let rows = match periods.rows_of(key.period, key.dataset, &batch) {
                Ok(rows) => UInt32Array::from_iter_values(rows),
                Err(error) => return Some(Err(error)),
            };
            let taken = || take_record_batch(&batch, &rows).map_err(Error::from);
            (!rows.is_empty()).then(taken)
        })
    }
}
