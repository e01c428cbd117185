//! The rows of a page, by partition.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;

use super::{Build, PeriodPages};
use crate::dataset::{Dataset, Decoded, Misfits, Observed, Rejected};
use crate::error::Result;
use crate::plan::Field;
use crate::table::Period;
use crate::window::Window;

/// What a group of partitions needs of one page.
pub(super) struct PageRows {
    pub(super) rows: BTreeMap<Period, RecordBatch>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) findings: PageFindings,
}

/// What building found in records, beside rows.
#[derive(Clone, Debug, Default)]
pub(in crate::export) struct PageFindings {
    /// Records that lie outside the range.
    pub(in crate::export) outside: u64,
    /// Values that did not fit, by promoted column.
    pub(in crate::export) misfits: Misfits,
    /// The keys of pages that were not looked at before.
    pub(in crate::export) observed: Observed,
}

impl AddAssign for PageFindings {
    fn add_assign(&mut self, other: Self) {
        self.outside += other.outside;
        self.misfits += &other.misfits;
        self.observed.add(&other.observed);
    }
}

impl Build<'_> {
    /// Decodes a page, and takes the rows that belong to a group of partitions.
    pub(super) fn decode(&self, sequence: u64, group: &BTreeMap<Period, PeriodPages>) -> Result<PageRows> {
        let Decoded {
            batch,
            rejected,
            misfits,
            observed,
            ..
        } = self.table.decode(self.dataset, &self.spool.read(sequence)?)?;
        let periods = self.zone.periods().of_rows(self.dataset, &batch)?;
        let wanted = group.iter().filter(|(_, pages)| pages.pages.contains(&sequence));
        let mut places: BTreeMap<Period, Vec<u32>> =
            wanted.map(|(period, _)| (*period, Vec::new())).collect();
        let mut findings = PageFindings::default();
        if !self.observed.contains(&sequence) {
            findings.observed = observed;
        }
        let ever = Window::new(i64::MIN, i64::MAX);
        let range = self.pending.get(&sequence).map_or(ever, |page| page.range);
        let is_outside = is_outside(self.dataset, self.leaves_out, range, &batch);
        for ((row, period), is_outside) in (0..).zip(periods).zip(is_outside) {
            match places.get_mut(&period) {
                Some(_) if is_outside => findings.outside += 1,
                Some(rows) => rows.push(row),
                None => {}
            }
        }
        if !misfits.is_empty() {
            let taken: BTreeSet<usize> = places.values().flatten().map(|row| *row as usize).collect();
            let misfits = misfits.iter().filter(|misfit| taken.contains(&misfit.row));
            findings.misfits = Misfits::of(self.table.shape(), misfits);
        }
        places.retain(|_, rows| !rows.is_empty());
        let rows = places.into_iter().map(|(period, rows)| {
            let rows = match rows.len() == batch.num_rows() {
                true => batch.clone(),
                false => take_record_batch(&batch, &UInt32Array::from(rows))?,
            };
            Ok((period, rows))
        });
        let rows = rows.collect::<Result<_>>()?;
        Ok(PageRows {
            rows,
            rejected,
            findings,
        })
    }
}

/// Which rows lie outside the range asked for, on the field that the API is proven to filter by. Nothing is outside
/// as long as that is not proven.
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
