//! What building needs of a page.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;

use super::Build;
use crate::dataset::{Dataset, Decoded, Misfits, Observed, Rejected};
use crate::error::{Error, Result};
use crate::plan::Field;
use crate::table::Period;
use crate::window::Window;

/// What a group needs of one page.
pub(super) struct DecodedPage {
    pub(super) batch: RecordBatch,
    /// Places in the batch, by partition.
    pub(super) rows: BTreeMap<Period, Vec<u32>>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) met: Met,
}

/// What building met in records, beside rows.
#[derive(Clone, Debug, Default)]
pub(in crate::export) struct Met {
    /// Records that lie outside the range.
    pub(in crate::export) outside: u64,
    /// Values that did not fit, by promoted column.
    pub(in crate::export) misfits: Misfits,
    /// The keys of pages that were not looked at before.
    pub(in crate::export) observed: Observed,
}

impl AddAssign for Met {
    fn add_assign(&mut self, other: Self) {
        self.outside += other.outside;
        self.misfits += &other.misfits;
        self.observed.add(&other.observed);
    }
}

impl Build<'_> {
    /// Decodes the rows of a page that belong to the partitions wanted.
    pub(super) fn decode(
        &self,
        sequence: u64,
        wanted: &BTreeMap<Period, BTreeSet<u64>>,
    ) -> Result<DecodedPage> {
        let Decoded {
            batch,
            rejected,
            misfits,
            observed,
            ..
        } = match self.at_hand.get(sequence) {
            Some(rows) => rows,
            None => self.table.decode(self.dataset, &self.spool.read(sequence)?)?,
        };
        let times = batch
            .column(self.dataset.time_column())
            .as_primitive::<TimestampMicrosecondType>();
        let wanted = wanted.iter().filter(|(_, pages)| pages.contains(&sequence));
        let mut rows: BTreeMap<Period, Vec<u32>> = wanted.map(|(period, _)| (*period, Vec::new())).collect();
        let mut count = 0;
        let mut met = Met::default();
        if !self.observed.contains(&sequence) {
            met.observed = observed;
        }
        let ever = Window::new(i64::MIN, i64::MAX);
        let range = self.pending.get(&sequence).map_or(ever, |page| page.range);
        for ((row, period), is_outside) in (0..).zip(self.zone.periods().of_column(times)).zip(is_outside(
            self.dataset,
            self.leaves_out,
            range,
            &batch,
        )) {
            match rows.get_mut(&period) {
                Some(_) if is_outside => met.outside += 1,
                Some(rows) => {
                    rows.push(row);
                    count += 1;
                }
                None => {}
            }
        }
        if !misfits.is_empty() {
            let taken: BTreeSet<usize> = rows.values().flatten().map(|row| *row as usize).collect();
            let misfits = misfits.iter().filter(|misfit| taken.contains(&misfit.row));
            met.misfits = Misfits::of(self.table.shape(), misfits);
        }
        if count * 2 >= batch.num_rows() {
            return Ok(DecodedPage {
                batch,
                rows,
                rejected,
                met,
            });
        }
        // most of the page belongs to other partitions: let go of it
        let mut places = Vec::with_capacity(count);
        for rows in rows.values_mut() {
            for row in rows {
                let place =
                    u32::try_from(places.len()).map_err(|error| Error::Internal(error.to_string()))?;
                places.push(*row);
                *row = place;
            }
        }
        let batch = take_record_batch(&batch, &UInt32Array::from(places))?;
        Ok(DecodedPage {
            batch,
            rows,
            rejected,
            met,
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
