//! Merges rows in memory: distinct by id, and sorted.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use hashbrown::HashMap;
use jiff::Timestamp;

use super::Effect;
use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// A row, by the index of its batch and its index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowRef {
    pub(crate) batch: u32,
    pub(crate) row: u32,
}

/// The result of a merge.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Distinct by id, sorted by time, then id.
    pub(crate) rows: Vec<RowRef>,
    /// Rows that came again unchanged.
    pub(crate) duplicates: u64,
    /// Rows that were replaced by another version of the same record.
    pub(crate) superseded: u64,
    /// Whether the result differs from the existing rows.
    pub(crate) changed: bool,
}

impl Merged {
    /// What the new rows change, if there were `existing` rows before.
    pub(crate) fn effect(&self, existing: usize) -> Effect {
        Effect {
            rows: (self.rows.len() - existing) as u64,
            duplicates: self.duplicates,
            superseded: self.superseded,
        }
    }
}

/// Appends new rows to the existing ones in `batches`. Returns all rows, and how many of them existed before.
pub(crate) fn append_rows(
    batches: &mut Vec<RecordBatch>,
    new: &[RecordBatch],
    rows: &[RowRef],
) -> Result<(Vec<RowRef>, usize)> {
    let number = |count: usize| u32::try_from(count).map_err(|error| Error::Internal(error.to_string()));
    let mut all = Vec::with_capacity(rows.len());
    for (batch, existing) in (0..).zip(&*batches) {
        all.extend((0..number(existing.num_rows())?).map(|row| RowRef { batch, row }));
    }
    let (existing, shift) = (all.len(), number(batches.len())?);
    batches.extend_from_slice(new);
    all.extend(rows.iter().map(|at| RowRef {
        batch: at.batch + shift,
        row: at.row,
    }));
    Ok((all, existing))
}

/// Merges rows, in the order in which they came. Of rows with the same id, the one with the later version wins; on a
/// tie, the later row wins. The first `existing` rows are those of the partition.
pub(crate) fn merge(
    dataset: Dataset,
    batches: &[RecordBatch],
    rows: &[RowRef],
    existing: usize,
) -> Result<Merged> {
    let views = batches
        .iter()
        .map(|batch| MergeColumns::new(dataset, batch))
        .collect::<Result<Vec<_>>>()?;
    let view = |at: RowRef| (&views[at.batch as usize], at.row as usize);
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(rows.len());
    let mut merged = Merged::default();
    let mut kept: Vec<RowRef> = Vec::with_capacity(rows.len());
    for (number, &new) in rows.iter().enumerate() {
        let (new_view, new_row) = view(new);
        let id = new_view.ids.value(new_row);
        let Some(&place) = places.get(id) else {
            places.insert(id, kept.len());
            kept.push(new);
            merged.changed |= number >= existing;
            continue;
        };
        let (old_view, old_row) = view(kept[place]);
        if same_row(
            &batches[kept[place].batch as usize],
            old_row,
            &batches[new.batch as usize],
            new_row,
        ) {
            merged.duplicates += 1;
            continue;
        }
        merged.superseded += 1;
        if old_view.version(old_row) <= new_view.version(new_row) {
            kept[place] = new;
            merged.changed = true;
        }
    }
    let mut keyed: Vec<(Option<i64>, RowRef)> = kept
        .into_iter()
        .map(|at| {
            let (view, row) = view(at);
            (view.times.is_valid(row).then(|| view.times.value(row)), at)
        })
        .collect();
    keyed.sort_unstable_by(|(a_time, a), (b_time, b)| match a_time.cmp(b_time) {
        Ordering::Equal => {
            let ((a_view, a_row), (b_view, b_row)) = (view(*a), view(*b));
            a_view.ids.value(a_row).cmp(b_view.ids.value(b_row))
        }
        order => order,
    });
    merged.rows = keyed.into_iter().map(|(_, at)| at).collect();
    Ok(merged)
}

/// Converts microseconds, clamped to the range of [`Timestamp`], which ends a day before the end of 9999.
pub(crate) fn moment(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// Returns the times of the first and the last row that have one. The rows are sorted by time.
pub(crate) fn time_bounds(
    dataset: Dataset,
    batches: &[RecordBatch],
    rows: &[RowRef],
) -> (Option<Timestamp>, Option<Timestamp>) {
    let time = |at: &RowRef| {
        let times = batches[at.batch as usize].column(dataset.time_column());
        let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
        let row = at.row as usize;
        times.is_valid(row).then(|| moment(times.value(row)))
    };
    (rows.iter().find_map(time), rows.iter().rev().find_map(time))
}

/// The columns that a merge reads.
struct MergeColumns<'a> {
    ids: &'a StringArray,
    times: &'a TimestampMicrosecondArray,
    versions: Option<&'a TimestampMicrosecondArray>,
}

impl<'a> MergeColumns<'a> {
    fn new(dataset: Dataset, batch: &'a RecordBatch) -> Result<Self> {
        let times = |column: usize| {
            batch
                .column(column)
                .as_primitive_opt::<TimestampMicrosecondType>()
                .ok_or_else(|| Error::Internal(format!("column {column} of {dataset} has no times")))
        };
        let ids = batch.column(0).as_string_opt::<i32>();
        Ok(Self {
            ids: ids.ok_or_else(|| Error::Internal(format!("the first column of {dataset} has no ids")))?,
            times: times(dataset.time_column())?,
            versions: dataset.version_column().map(times).transpose()?,
        })
    }

    fn version(&self, row: usize) -> Option<i64> {
        self.versions
            .filter(|versions| versions.is_valid(row))
            .map(|versions| versions.value(row))
    }
}

/// Whether two rows have the same values. Numbers are compared bit by bit.
pub(super) fn same_row(a: &RecordBatch, a_row: usize, b: &RecordBatch, b_row: usize) -> bool {
    a.slice(a_row, 1).columns() == b.slice(b_row, 1).columns()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::decode;

    fn batch(dataset: Dataset, records: &[&str]) -> RecordBatch {
        let body = format!("{{\"data\":[{}],\"cursor\":null}}", records.join(","));
        decode(dataset, body.as_bytes()).unwrap().batch
    }

    fn all(batches: &[RecordBatch]) -> Vec<RowRef> {
        let rows = |(batch, records): (usize, &RecordBatch)| {
            let batch = u32::try_from(batch).unwrap();
            (0..u32::try_from(records.num_rows()).unwrap()).map(move |row| RowRef { batch, row })
        };
        batches.iter().enumerate().flat_map(rows).collect()
    }

    #[test]
    fn invariant_4_the_later_last_action_wins_on_a_tie_the_later_fetched() {
        let batches = [
            batch(
                Dataset::Conversations,
                &[
                    r#"{"_id":"a","startTime":5,"lastActionAt":20,"locale":"new"}"#,
                    r#"{"_id":"b","startTime":4,"lastActionAt":10,"locale":"first"}"#,
                    r#"{"_id":"c","startTime":4,"lastActionAt":null,"locale":"none"}"#,
                ],
            ),
            batch(
                Dataset::Conversations,
                &[
                    r#"{"_id":"a","startTime":5,"lastActionAt":19,"locale":"old"}"#,
                    r#"{"_id":"b","startTime":4,"lastActionAt":10,"locale":"second"}"#,
                    r#"{"_id":"c","startTime":4,"lastActionAt":1,"locale":"some"}"#,
                ],
            ),
        ];
        let merged = merge(Dataset::Conversations, &batches, &all(&batches), 3).unwrap();
        let at = |batch, row| RowRef { batch, row };
        assert_eq!(merged.rows, [at(1, 1), at(1, 2), at(0, 0)]);
        assert_eq!(
            (merged.duplicates, merged.superseded, merged.changed),
            (0, 3, true)
        );
    }

    #[test]
    fn rows_that_come_again_change_nothing() {
        let record = r#"{"_id":"a","time":5,"type":"UserInput","userInput":"x","more":{"k":null}}"#;
        let batches = [
            batch(Dataset::Messages, &[record]),
            batch(Dataset::Messages, &[record, record]),
        ];
        let merged = merge(Dataset::Messages, &batches, &all(&batches), 1).unwrap();
        assert_eq!(
            (merged.rows.len(), merged.duplicates, merged.changed),
            (1, 2, false)
        );
        let merged = merge(Dataset::Messages, &batches, &all(&batches), 0).unwrap();
        assert!(merged.changed);
    }

    #[test]
    fn a_message_that_changed_is_the_one_fetched_later() {
        let record = |text: &str| format!(r#"{{"_id":"a","time":5,"userInput":{text}}}"#);
        let batches = [
            batch(Dataset::Messages, &[&record("\"one\"")]),
            batch(Dataset::Messages, &[&record("\"two\"")]),
        ];
        let merged = merge(Dataset::Messages, &batches, &all(&batches), 1).unwrap();
        assert_eq!(merged.rows, [RowRef { batch: 1, row: 0 }]);
        assert_eq!((merged.superseded, merged.changed), (1, true));
    }
}
