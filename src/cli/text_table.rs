//! Lays out rows as a text table that fits the terminal.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use super::output::shortened;
use crate::error::Result;

/// Minimum width of a cell.
const MIN_WIDTH: usize = 6;
/// In narrower terminals times are shown without year and seconds.
const NARROW: usize = 100;

/// Formats rows as a table of at most `width` characters. Columns without a value are left out.
pub(super) fn rows(batch: &RecordBatch, width: usize) -> Result<String> {
    let schema = batch.schema();
    let filled: Vec<(&String, ArrayRef)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(_, column)| column.null_count() < column.len())
        .map(|(field, column)| (field.name(), without_zone(column)))
        .collect();
    let times = if width < NARROW {
        "%m-%d %H:%M"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    let format = FormatOptions::default().with_timestamp_format(Some(times));
    let mut columns = Vec::new();
    for (name, column) in &filled {
        let formatter = ArrayFormatter::try_new(column, &format)?;
        let cells = (0..batch.num_rows()).map(|row| formatter.value(row).to_string());
        columns.push((*name, cells.collect::<Vec<_>>()));
    }
    let wanted = columns.iter().map(|(name, cells)| {
        let longest = cells.iter().map(|cell| cell.chars().count()).max();
        longest.unwrap_or(0).max(name.chars().count())
    });
    // a truncated time is useless
    let minimum = filled.iter().map(|(_, column)| match column.data_type() {
        DataType::Timestamp(..) => {
            if width < NARROW {
                11
            } else {
                19
            }
        }
        _ => MIN_WIDTH,
    });
    let wanted: Vec<(usize, usize)> = wanted.zip(minimum).collect();
    let widths = fitting(&wanted, width);
    let shown = || columns.iter().zip(&widths);
    let mut table = framed(shown().map(|((name, _), wide)| shortened(name, *wide)));
    for row in 0..batch.num_rows() {
        table.add_row(shown().map(|((_, cells), wide)| shortened(&cells[row], *wide)));
    }
    Ok(table.to_string())
}

/// Creates a table with a border, whose columns are as wide as their contents.
pub(super) fn framed<T: Into<Cell>>(header: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.into_iter().collect::<Vec<T>>());
    table
}

/// Aligns columns of numbers to the right.
pub(super) fn align_right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in table.column_iter_mut().skip(columns.start).take(columns.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Computes the widths of columns, each `(wanted, minimum)`, that fit `width` if possible. Wide columns share the space
/// that narrow ones leave.
fn fitting(columns: &[(usize, usize)], width: usize) -> Vec<usize> {
    // each column has a border and a space on either side
    let mut left = width.saturating_sub(columns.len() * 3 + 1);
    let mut order: Vec<usize> = (0..columns.len()).collect();
    // the columns with the least to give up come first
    let spare = |at: &usize| columns[*at].0.saturating_sub(columns[*at].1);
    order.sort_by_key(|at| (spare(at), columns[*at].0));
    let mut widths = vec![0; columns.len()];
    for (done, at) in order.into_iter().enumerate() {
        let (wanted, minimum) = columns[at];
        let share = left / (columns.len() - done);
        widths[at] = wanted.min(share.max(minimum));
        left = left.saturating_sub(widths[at]);
    }
    widths
}

/// Removes the zone of a time column, which is always UTC, so that it is not printed.
fn without_zone(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) => Arc::new(times.clone().with_timezone_opt(None::<&str>)),
        None => Arc::clone(column),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn wide_columns_share_the_space_that_narrow_ones_leave() {
        let fitting = |wanted: &[usize], width| {
            let columns: Vec<(usize, usize)> = wanted.iter().map(|wanted| (*wanted, 8)).collect();
            super::fitting(&columns, width)
        };
        assert_eq!(fitting(&[5, 100, 20], 80), [5, 45, 20]);
        assert_eq!(fitting(&[5, 100, 100], 80), [5, 32, 33]);
        assert_eq!(fitting(&[5, 6], 80), [5, 6]);
        assert_eq!(fitting(&[100, 100, 100], 20), [8, 8, 8]);
        // times keep their width
        assert_eq!(super::fitting(&[(90, 8), (19, 19), (90, 8)], 60), [15, 19, 16]);
    }
}
