//! Splits the rows of a page by partition.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;

use super::{Build, PartitionPages};
use crate::dataset::{Dataset, Decoded, ObservedKeys, Rejected, TypeMismatches};
use crate::error::Result;
use crate::plan::Field;
use crate::table::PartitionDate;
use crate::window::Window;

/// The parts of a page for a group of partitions.
pub(super) struct PageRows {
    pub(super) rows: BTreeMap<PartitionDate, RecordBatch>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) findings: PageFindings,
}

/// What was found in records, in addition to rows.
#[derive(Clone, Debug, Default)]
pub(in crate::export) struct PageFindings {
    /// Records outside the range.
    pub(in crate::export) outside: u64,
    /// Values that do not fit their promoted columns.
    pub(in crate::export) mismatches: TypeMismatches,
    /// Keys of pages that were not counted before.
    pub(in crate::export) observed: ObservedKeys,
}

impl AddAssign for PageFindings {
    fn add_assign(&mut self, other: Self) {
        self.outside += other.outside;
        self.mismatches += &other.mismatches;
        self.observed.add(&other.observed);
    }
}

impl Build<'_> {
    /// Decodes a page, and selects the rows of a group of partitions.
    pub(super) fn decode(
        &self,
        sequence: u64,
        group: &BTreeMap<PartitionDate, PartitionPages>,
    ) -> Result<PageRows> {
        let Decoded {
            batch,
            rejected,
            mismatches,
            observed,
            ..
        } = self.table.decode(self.dataset, &self.spool.read(sequence)?)?;
        let dates = self.zone.dates().of_rows(self.dataset, &batch)?;
        let wanted = group.iter().filter(|(_, pages)| pages.pages.contains(&sequence));
        let mut places: BTreeMap<PartitionDate, Vec<u32>> =
            wanted.map(|(date, _)| (*date, Vec::new())).collect();
        let mut findings = PageFindings::default();
        if !self.observed.contains(&sequence) {
            findings.observed = observed;
        }
        let ever = Window::new(i64::MIN, i64::MAX);
        let range = self.pending.get(&sequence).map_or(ever, |page| page.range);
        let is_outside = is_outside(self.dataset, self.outside_filter, range, &batch);
        for ((row, date), is_outside) in (0..).zip(dates).zip(is_outside) {
            match places.get_mut(&date) {
                Some(_) if is_outside => findings.outside += 1,
                Some(rows) => rows.push(row),
                None => {}
            }
        }
        if !mismatches.is_empty() {
            let taken: BTreeSet<usize> = places.values().flatten().map(|row| *row as usize).collect();
            let mismatches = mismatches.iter().filter(|mismatch| taken.contains(&mismatch.row));
            findings.mismatches = TypeMismatches::of(self.table.table_options(), mismatches);
        }
        places.retain(|_, rows| !rows.is_empty());
        let rows = places.into_iter().map(|(date, rows)| {
            let rows = match rows.len() == batch.num_rows() {
                true => batch.clone(),
                false => take_record_batch(&batch, &UInt32Array::from(rows))?,
            };
            Ok((date, rows))
        });
        let rows = rows.collect::<Result<_>>()?;
        Ok(PageRows {
            rows,
            rejected,
            findings,
        })
    }
}

/// Returns for each row whether it is outside the requested range, by the field that the API is proven to filter by.
/// Without a proof, no row is outside.
pub(in crate::export) fn is_outside(
    dataset: Dataset,
    filter: Option<Field>,
    range: Window,
    batch: &RecordBatch,
) -> impl Iterator<Item = bool> {
    let column = match filter {
        Some(Field::Time) => Some(dataset.time_column()),
        Some(Field::LastAction) => dataset.version_column(),
        None => None,
    };
    let times = column.map(|column| {
        batch
            .column(column)
            .as_primitive::<TimestampMicrosecondType>()
            .clone()
    });
    (0..batch.num_rows()).map(move |row| {
        times.as_ref().is_some_and(|times| {
            times.is_valid(row) && !range.contains(times.value(row).div_euclid(1_000_000))
        })
    })
}
