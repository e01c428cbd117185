//! Prints the summary of a run: a table, remarks, and a query to start with.

use std::path::Path;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Map;

use super::log;
use super::output::{self, bytes};
use super::text_table::align_right;
use crate::dataset::TypeMismatches;
use crate::display::grouped;
use crate::export::{DatasetSummary, Summary};
use crate::table::PartitionCount;

/// Prints the summary of a run.
pub(super) fn print(summary: &Summary, out: &Path) {
    if log::is_json() {
        let mut fields = Map::new();
        fields.extend(
            serde_json::to_value(summary)
                .ok()
                .map(|summary| ("summary".to_owned(), summary)),
        );
        let message = if summary.failed.is_empty() {
            "done"
        } else {
            "incomplete"
        };
        output::line_with(message, fields);
        return;
    }
    for line in lines(summary, out) {
        output::line(&line);
    }
}

/// Prints what a failed run received, if anything.
pub(super) fn print_unfinished(summary: &Summary) {
    let has_received = summary.datasets.values().any(|dataset| dataset.received > 0);
    if has_received && !log::is_json() {
        table(summary).trim_fmt().lines().for_each(output::line);
    }
}

fn lines(summary: &Summary, out: &Path) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if summary.datasets.values().any(|dataset| !dataset.was_complete) {
        lines.extend(table(summary).trim_fmt().lines().map(str::to_owned));
    }
    for (name, dataset) in &summary.datasets {
        let remarks = remarks(dataset).into_iter();
        lines.extend(remarks.map(|remark| format!("{name}: {remark}")));
    }
    for failed in &summary.failed {
        lines.push(format!("incomplete: {} of {}", failed.dataset, failed.bot));
    }
    if let Some(changes) = &summary.changes {
        lines.push(format!("changed partitions: {}", changes.display()));
    }
    lines.push(format!(
        "{} {:.1} s, into {}",
        if summary.failed.is_empty() {
            "done in"
        } else {
            "incomplete after"
        },
        summary.elapsed_seconds,
        out.display()
    ));
    if !summary.duckdb.is_empty() {
        lines.push(format!("\nin DuckDB:\n{}", summary.duckdb));
    }
    lines
}

/// A column: its name, its cell, and whether it is shown for a dataset.
type Column = (
    &'static str,
    fn(&DatasetSummary) -> String,
    fn(&DatasetSummary) -> bool,
);

const COLUMNS: [Column; 14] = [
    ("new rows", |dataset| grouped(dataset.rows), |_| true),
    (
        "superseded",
        |dataset| grouped(dataset.superseded),
        |dataset| dataset.superseded > 0,
    ),
    (
        "days",
        |dataset| grouped(dataset.periods.count()),
        |dataset| matches!(dataset.periods, PartitionCount::Days(_)),
    ),
    (
        "months",
        |dataset| grouped(dataset.periods.count()),
        |dataset| matches!(dataset.periods, PartitionCount::Months(_)),
    ),
    (
        "files",
        |dataset| grouped(dataset.partitions.len() as u64),
        |_| true,
    ),
    ("size", |dataset| bytes(dataset.bytes_written), |_| true),
    ("requests", |dataset| grouped(dataset.requests), |_| true),
    (
        "minimum",
        |dataset| grouped(dataset.fewest_requests),
        |dataset| !dataset.was_complete,
    ),
    ("budget", budget, |dataset| dataset.budget_used.is_some()),
    (
        "retries",
        |dataset| grouped(dataset.retries),
        |dataset| dataset.retries > 0,
    ),
    (
        "refused",
        |dataset| grouped(dataset.rate_limited),
        |dataset| dataset.rate_limited > 0,
    ),
    (
        "date changed",
        |dataset| grouped(dataset.moved),
        |dataset| dataset.moved > 0,
    ),
    (
        "drift",
        |dataset| grouped(dataset.drift.count() as u64),
        |dataset| !dataset.drift.is_empty(),
    ),
    (
        "rejected",
        |dataset| grouped(dataset.rejected),
        |dataset| dataset.rejected > 0,
    ),
];

fn table(summary: &Summary) -> Table {
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|(_, _, is_shown)| summary.datasets.values().any(is_shown))
        .collect();
    let mut table = Table::new();
    let header = columns.iter().map(|(name, ..)| *name);
    table
        .load_style(NOTHING)
        .set_header([""].into_iter().chain(header));
    for (name, dataset) in &summary.datasets {
        let cells = columns.iter().map(|(_, cell, _)| cell(dataset));
        table.add_row([(*name).to_owned()].into_iter().chain(cells));
    }
    align_right(&mut table, 1..usize::MAX);
    if let Some(names) = table.column_mut(0) {
        names.set_padding((0, 1));
    }
    table
}

fn budget(dataset: &DatasetSummary) -> String {
    dataset
        .budget_used
        .map_or_else(|| "–".to_owned(), |share| format!("{:.0}%", share * 100.0))
}

/// Describes the values that did not fit promoted columns.
pub(super) fn misfits(misfits: &TypeMismatches) -> impl Iterator<Item = String> {
    misfits.iter().map(|(column, count)| {
        let values = if count == 1 { "value does" } else { "values do" };
        let count = grouped(count);
        format!("{count} {values} not fit the column {column}, which has null there; metadata has them")
    })
}

/// Describes what else the user should know.
fn remarks(dataset: &DatasetSummary) -> Vec<String> {
    let mut remarks = Vec::new();
    if dataset.was_complete {
        remarks.push("already complete, no request was made".to_owned());
    } else if dataset.received + dataset.outside == 0 && dataset.rejected == 0 {
        remarks.push("no records: if there should be some, check --bot, --start and --end".to_owned());
    }
    if dataset.rejected > 0 {
        remarks.push("rejected records are in _export/rejected/".to_owned());
    }
    remarks.extend(dataset.drift.describe());
    if dataset.erased > 0 {
        remarks.push(format!(
            "{} records of erased conversations were skipped",
            grouped(dataset.erased)
        ));
    }
    remarks.extend(misfits(&dataset.promoted_misfits));
    if !dataset.unsettled.is_empty() {
        remarks.push(
            "records younger than --settle are not called complete: export them again later".to_owned(),
        );
    }
    if let Some(field @ "last_action_at") = dataset.filtered_by {
        remarks.push(format!("the API filters by {field}"));
    }
    remarks.extend(output::limits(dataset.limits).map(|limits| format!("limits: {limits}")));
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Limits;

    fn dataset() -> DatasetSummary {
        DatasetSummary {
            rows: 1_234_567,
            received: 1_234_567,
            periods: PartitionCount::Days(365),
            bytes_written: 123_456_789,
            requests: 1_240,
            fewest_requests: 1_235,
            budget_used: Some(0.987),
            ..DatasetSummary::default()
        }
    }

    fn summary(datasets: impl IntoIterator<Item = (&'static str, DatasetSummary)>) -> Summary {
        Summary {
            datasets: datasets.into_iter().collect(),
            elapsed_seconds: 417.0,
            duckdb: "SELECT 1;".into(),
            ..Summary::default()
        }
    }

    #[test]
    fn the_table_fits_eighty_columns_and_shows_what_went_wrong() {
        let good = summary([("conversations", dataset()), ("messages", dataset())]);
        let lines = lines(&good, Path::new("lake"));
        assert!(
            !lines[0].contains("retries") && !lines[0].contains("rejected"),
            "{}",
            lines[0]
        );
        for line in &lines {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let bad = DatasetSummary {
            retries: 3,
            rejected: 1,
            ..dataset()
        };
        let lines = super::lines(&summary([("conversations", bad)]), Path::new("lake"));
        assert!(
            lines[0].contains("retries") && lines[0].contains("rejected"),
            "{}",
            lines[0]
        );
    }

    #[test]
    fn limits_of_the_server_are_on_one_line() {
        let limited = DatasetSummary {
            limits: Limits {
                listing_cap: Some(10_000),
                longest_range: Some(31 * 86_400),
                largest_page: None,
            },
            ..dataset()
        };
        let lines = lines(
            &summary([("conversations", dataset()), ("messages", limited)]),
            Path::new("lake"),
        );
        let shown: Vec<&String> = lines.iter().filter(|line| line.contains("limits")).collect();
        assert_eq!(
            shown,
            ["messages: limits: listings end at 10,000 records; ranges up to 31 days"]
        );
    }

    #[test]
    fn a_complete_dataset_has_no_table() {
        let complete = DatasetSummary {
            was_complete: true,
            ..DatasetSummary::default()
        };
        let lines = lines(&summary([("messages", complete)]), Path::new("lake"));
        assert_eq!(lines[0], "messages: already complete, no request was made");
        let nothing = lines_of_nothing();
        assert!(
            nothing.iter().any(|line| line.contains("check --bot")),
            "{nothing:?}"
        );
    }

    fn lines_of_nothing() -> Vec<String> {
        lines(
            &summary([("messages", DatasetSummary::default())]),
            Path::new("lake"),
        )
    }
}
