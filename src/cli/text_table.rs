//! Grids: rows of a table, as wide as the terminal.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, ContentArrangement, Table as Grid};

use super::output::shortened;
use crate::error::Result;

/// Columns that no cell goes below.
const LEAST: usize = 6;
/// Below so many columns times are told without year and seconds.
const NARROW: usize = 100;

/// Rows as a grid of at most `width` columns, without those that hold nothing.
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
    // a time that is cut tells nothing
    let least = filled.iter().map(|(_, column)| match column.data_type() {
        DataType::Timestamp(..) => {
            if width < NARROW {
                11
            } else {
                19
            }
        }
        _ => LEAST,
    });
    let wanted: Vec<(usize, usize)> = wanted.zip(least).collect();
    let widths = fitting(&wanted, width);
    let shown = || columns.iter().zip(&widths);
    let mut grid = framed(shown().map(|((name, _), wide)| shortened(name, *wide)));
    for row in 0..batch.num_rows() {
        grid.add_row(shown().map(|((_, cells), wide)| shortened(&cells[row], *wide)));
    }
    Ok(grid.to_string())
}

/// A grid with lines around it, whose columns are as wide as what stands in them.
pub(super) fn framed<T: Into<Cell>>(header: impl IntoIterator<Item = T>) -> Grid {
    let mut grid = Grid::new();
    grid.load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.into_iter().collect::<Vec<T>>());
    grid
}

/// Widths of columns, each `(wanted, least)`, that together fit `width` as far as they can: what a narrow column leaves
/// the wide ones share.
fn fitting(columns: &[(usize, usize)], width: usize) -> Vec<usize> {
    // each column has a border and a space on either side
    let mut room = width.saturating_sub(columns.len() * 3 + 1);
    let mut order: Vec<usize> = (0..columns.len()).collect();
    // what can give least is served first
    let spare = |at: &usize| columns[*at].0.saturating_sub(columns[*at].1);
    order.sort_by_key(|at| (spare(at), columns[*at].0));
    let mut widths = vec![0; columns.len()];
    for (done, at) in order.into_iter().enumerate() {
        let (wanted, least) = columns[at];
        let share = room / (columns.len() - done);
        widths[at] = wanted.min(share.max(least));
        room = room.saturating_sub(widths[at]);
    }
    widths
}

/// Times print without their zone, which is UTC throughout.
fn without_zone(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) => Arc::new(times.clone().with_timezone_opt(None::<&str>)),
        None => Arc::clone(column),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_narrow_columns_leave_the_wide_ones_share() {
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
