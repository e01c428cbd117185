//! Builds new partitions from the rows of old ones.

use std::collections::BTreeMap;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use jiff::Timestamp;
use rayon::prelude::*;

use super::Rebuild;
use crate::dataset::{Dataset, TypeMismatches};
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::table::{Effect, Entry, PartitionDate, PartitionKey};

/// Maximum rows of partitions that are built at a time, unless one has more.
const GROUP_ROWS: u64 = 150_000;

/// A new partition.
pub(super) type RebuiltPartition = (PartitionDate, Entry, Effect, TypeMismatches);

/// Returns the second that contains a time.
pub(super) fn floor(time: Timestamp) -> i64 {
    time.as_microsecond().div_euclid(1_000_000)
}

impl Rebuild {
    /// Writes all new partitions, as many at a time as fit into memory.
    pub(super) fn rebuild_partitions(
        &self,
        dataset: Dataset,
        bot: &str,
        old: &BTreeMap<PartitionDate, Entry>,
        cancellation: &CancellationToken,
    ) -> Result<Vec<RebuiltPartition>> {
        let sources: Vec<(PartitionDate, Vec<&Entry>)> = self.sources(old).into_iter().collect();
        let mut rebuilt = Vec::new();
        let mut rest = &sources[..];
        while !rest.is_empty() {
            if cancellation.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let mut rows = 0;
            let fits = |(_, from): &&(PartitionDate, Vec<&Entry>)| {
                let before = rows;
                rows += from.iter().map(|entry| entry.rows).sum::<u64>();
                before == 0 || rows <= GROUP_ROWS
            };
            let (group, later) = rest.split_at(rest.iter().take_while(fits).count());
            let group = group.par_iter().map(|(date, from)| {
                let bot = bot.to_owned();
                let date = *date;
                self.rebuild_partition(&PartitionKey { dataset, bot, date }, from)
            });
            rebuilt.extend(group.collect::<Result<Vec<_>>>()?.into_iter().flatten());
            rest = later;
        }
        let rows: u64 = old.values().map(|entry| entry.rows).sum();
        let placed: u64 = rebuilt.iter().map(|(_, _, effect, _)| effect.records()).sum();
        if rows != placed {
            return Err(Error::Internal(format!(
                "{rows} rows of {dataset} of {bot} must be written, and {placed} were"
            )));
        }
        Ok(rebuilt)
    }

    /// Returns the old partitions that may contain rows of each new partition, by time.
    fn sources<'a>(
        &self,
        old: &'a BTreeMap<PartitionDate, Entry>,
    ) -> BTreeMap<PartitionDate, Vec<&'a Entry>> {
        let mut dates = self.zone.1.dates();
        let mut sources: BTreeMap<PartitionDate, Vec<&Entry>> = BTreeMap::new();
        for (old_period, entry) in old {
            // uses the times of rows: the rules of the time zone may have changed since
            let (Some(_), Some(first), Some(last)) = (old_period.first(), entry.first, entry.last) else {
                sources.entry(self.zone.1.timeless()).or_default().push(entry);
                continue;
            };
            let (mut second, end) = (floor(first), floor(last) + 1);
            while second < end {
                let date = dates.of(Some(second.saturating_mul(1_000_000)));
                sources.entry(date).or_default().push(entry);
                second = self.zone.1.window(date).map_or(end, |window| window.end);
            }
        }
        sources
    }

    /// Writes one new partition; `None` if it has no rows.
    fn rebuild_partition(&self, key: &PartitionKey, from: &[&Entry]) -> Result<Option<RebuiltPartition>> {
        let mut mismatches = TypeMismatches::default();
        let mut builder = self.new.builder(key);
        for batch in self.rows_of(key, from) {
            builder.add(self.convert(key, &batch?, &mut mismatches)?)?;
        }
        if builder.is_empty() {
            return Ok(None);
        }
        let staged = builder.finish()?;
        self.new.publish(&staged.key, &staged.entry)?;
        Ok(Some((key.date, staged.entry, staged.effect, mismatches)))
    }

    /// Converts rows to the new options, and applies the new privacy rules.
    fn convert(
        &self,
        key: &PartitionKey,
        batch: &RecordBatch,
        mismatches: &mut TypeMismatches,
    ) -> Result<RecordBatch> {
        let (old, new) = (self.old.table_options(), self.new.table_options());
        let (batch, unfit) = new
            .of(old, &self.privacy_filter, key.dataset, batch)
            .ok_or_else(|| Error::Internal(format!("rows of {} lack metadata", key.folder().display())))?;
        *mismatches += &TypeMismatches::of(new, &unfit);
        Ok(batch)
    }

    /// Returns the rows of a new partition from the old ones.
    fn rows_of(&self, key: &PartitionKey, from: &[&Entry]) -> impl Iterator<Item = Result<RecordBatch>> {
        let batches = from.iter().flat_map(|entry| {
            let (batches, error) = match self.old.batches(key.dataset, entry) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            batches.into_iter().flatten().chain(error)
        });
        let mut dates = self.zone.1.dates();
        batches.filter_map(move |batch| {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            let rows = match dates.rows_of(key.date, key.dataset, &batch) {
                Ok(rows) => UInt32Array::from_iter_values(rows),
                Err(error) => return Some(Err(error)),
            };
            let taken = || take_record_batch(&batch, &rows).map_err(Error::from);
            (!rows.is_empty()).then(taken)
        })
    }
}
