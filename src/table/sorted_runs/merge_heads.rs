//! Reads sorted runs at the same time, and passes their rows on in order.

use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use hashbrown::HashMap;
use jiff::Timestamp;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::table::merge::{RowRef, same_row, time_bounds};

/// The time of the row that is kept of each id that has several times.
pub(super) type KeptTimes = HashMap<String, Option<i64>>;

/// Counts of a merge.
#[derive(Default)]
pub(super) struct MergeCounts {
    pub(super) rows: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) duplicates: u64,
    pub(super) superseded: u64,
    /// Whether the rows differ from those of the first run.
    pub(super) changed: bool,
}

/// Passes the rows of all runs to `write`, in order and with distinct ids.
pub(super) fn merge(
    dataset: Dataset,
    heads: &mut [Head],
    has_present: bool,
    kept: &KeptTimes,
    mut write: impl FnMut(&[RecordBatch], &[RowRef]) -> Result<()>,
) -> Result<MergeCounts> {
    let mut outcome = MergeCounts::default();
    let mut rows: Vec<RowRef> = Vec::new();
    let mut pass_on = |heads: &[Head], rows: &mut Vec<RowRef>, outcome: &mut MergeCounts| {
        let batches: Vec<RecordBatch> = heads.iter().map(|head| head.batch.clone()).collect();
        let (first, last) = time_bounds(dataset, &batches, rows);
        outcome.first = outcome.first.or(first);
        outcome.last = last.or(outcome.last);
        outcome.rows += rows.len() as u64;
        write(&batches, rows)?;
        rows.clear();
        Ok::<(), Error>(())
    };
    loop {
        let unread = (0..heads.len()).filter(|head| !heads[*head].is_done());
        let Some(first) = unread.min_by(|a, b| heads[*a].key().cmp(&heads[*b].key())) else {
            break;
        };
        let same = |head: &usize| !heads[*head].is_done() && heads[*head].key() == heads[first].key();
        let group: Vec<usize> = (first..heads.len()).filter(same).collect();
        let mut best = first;
        for other in group.iter().copied().skip(1) {
            let (a, b) = (&heads[best], &heads[other]);
            if same_row(&a.batch, a.row, &b.batch, b.row) {
                outcome.duplicates += 1;
                continue;
            }
            outcome.superseded += 1;
            if a.view.version(a.row) <= b.view.version(b.row) {
                best = other;
            }
        }
        let (time, id) = heads[first].key();
        let is_present = has_present && first == 0;
        if kept.get(id).is_some_and(|kept| *kept != time) {
            outcome.superseded += 1;
            outcome.changed |= is_present;
        } else {
            outcome.changed |= !(is_present && best == 0);
            rows.push(heads[best].place(best)?);
        }
        if group.iter().any(|head| heads[*head].is_last()) {
            pass_on(heads, &mut rows, &mut outcome)?;
        }
        for head in group {
            heads[head].step(dataset)?;
        }
    }
    pass_on(heads, &mut rows, &mut outcome)?;
    Ok(outcome)
}

/// The current position in a run.
pub(super) struct Head {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>>>,
    batch: RecordBatch,
    view: View,
    row: usize,
}

impl Head {
    pub(super) fn new(
        dataset: Dataset,
        mut batches: Box<dyn Iterator<Item = Result<RecordBatch>>>,
    ) -> Result<Self> {
        let first = batches.next().transpose()?;
        let batch = first.ok_or_else(|| Error::Internal("a sorted run has no rows".into()))?;
        Ok(Self {
            batches,
            view: View::of(dataset, &batch),
            batch,
            row: 0,
        })
    }

    fn is_done(&self) -> bool {
        self.row >= self.batch.num_rows()
    }

    /// Whether the row is the last one of its batch.
    fn is_last(&self) -> bool {
        self.row + 1 >= self.batch.num_rows()
    }

    fn key(&self) -> (Option<i64>, &str) {
        (self.view.time(self.row), self.view.ids.value(self.row))
    }

    fn place(&self, head: usize) -> Result<RowRef> {
        let number = |count: usize| u32::try_from(count).map_err(|error| Error::Internal(error.to_string()));
        Ok(RowRef {
            batch: number(head)?,
            row: number(self.row)?,
        })
    }

    fn step(&mut self, dataset: Dataset) -> Result<()> {
        self.row += 1;
        while self.is_done()
            && let Some(batch) = self.batches.next()
        {
            self.batch = batch?;
            self.view = View::of(dataset, &self.batch);
            self.row = 0;
        }
        if self.is_done() {
            // a finished run takes no memory
            self.batch = RecordBatch::new_empty(self.batch.schema());
            self.row = 0;
        }
        Ok(())
    }
}

/// The columns that order rows.
pub(super) struct View {
    pub(super) ids: StringArray,
    times: Option<TimestampMicrosecondArray>,
    versions: Option<TimestampMicrosecondArray>,
}

impl View {
    pub(super) fn of(dataset: Dataset, batch: &RecordBatch) -> Self {
        let times = |column: usize| batch.column(column).as_primitive_opt().cloned();
        Self {
            ids: batch.column(dataset.id_column()).as_string().clone(),
            times: times(dataset.time_column()),
            versions: dataset.version_column().and_then(times),
        }
    }

    pub(super) fn time(&self, row: usize) -> Option<i64> {
        value(self.times.as_ref(), row)
    }

    fn version(&self, row: usize) -> Option<i64> {
        value(self.versions.as_ref(), row)
    }
}

pub(super) fn value(times: Option<&TimestampMicrosecondArray>, row: usize) -> Option<i64> {
    times
        .filter(|times| times.is_valid(row))
        .map(|times| times.value(row))
}
