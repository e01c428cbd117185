//! Scans the records of pages for fields, formats of times, and order.

use serde_json::{Map, Value};

use super::{APART, DoctorReport};
use crate::dataset::{Column, Dataset, Kind, Peek, PeekedRecord};
use crate::plan::{Direction, Field, Order};

/// Upper bound of times in seconds; larger numbers are milliseconds or microseconds.
const SECONDS_BELOW: f64 = 1e11;
const MILLISECONDS_BELOW: f64 = 1e14;

/// Adds the fields of a page's records, and the formats of their times.
pub(super) fn fields(dataset: Dataset, body: &[u8], report: &mut DoctorReport) {
    let page: Value = serde_json::from_slice(body).unwrap_or_default();
    let records: Vec<&Map<String, Value>> = page["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect();
    if records.is_empty() {
        return;
    }
    for column in dataset.columns() {
        let values: Vec<&Value> = records
            .iter()
            .filter_map(|record| record.get(column.field))
            .collect();
        if values.is_empty() {
            report.absent_fields.insert(column.field);
        } else if is_time(column) {
            report
                .times
                .insert(column.field, values.into_iter().map(form).collect());
        }
    }
    let documented = |field: &&String| dataset.columns().iter().any(|column| column.field == **field);
    let new = records
        .iter()
        .flat_map(|record| record.keys())
        .filter(|field| !documented(field));
    report.new_fields.extend(new.cloned());
}

fn is_time(column: &Column) -> bool {
    column.kind == Kind::Time
}

/// Returns the format of a time.
fn form(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Number(number) if number.is_f64() => "seconds with fractions",
        Value::Number(number) => match number.as_f64().unwrap_or_default().abs() {
            size if size < SECONDS_BELOW => "whole seconds",
            size if size < MILLISECONDS_BELOW => "milliseconds",
            _ => "microseconds",
        },
        Value::String(text) if text.parse::<f64>().is_ok() => "a number as text",
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => "ISO 8601 text",
        Value::String(_) => "other text",
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => "no time at all",
    }
}

/// Returns the best record to find bounds with: its times are whole seconds and differ.
pub(super) fn telling(pages: &[Peek]) -> Option<PeekedRecord> {
    let exact = |time: Option<i64>| time.is_none_or(|micros| micros % 1_000_000 == 0);
    let apart = |record: &PeekedRecord| match (record.time, record.last_action) {
        (Some(time), Some(last)) => time.abs_diff(last) >= APART.unsigned_abs() * 1_000_000,
        _ => false,
    };
    let records = pages.iter().flat_map(|page| &page.records);
    records
        .filter(|record| !record.rejected && record.time.is_some())
        .max_by_key(|record| (apart(record), exact(record.time) && exact(record.last_action)))
        .copied()
}

/// Returns the order of consecutive pages, by the field that windows filter if it is known.
pub(super) fn order(pages: &[Peek], filter: Option<Field>) -> Option<Order> {
    let fields = [Field::Time, Field::LastAction];
    let directed = |field: Field| {
        let time = |record: &PeekedRecord| match field {
            Field::Time => record.time,
            Field::LastAction => record.last_action,
        };
        let times: Option<Vec<i64>> = pages.iter().flat_map(|page| &page.records).map(time).collect();
        let times = times.filter(|times| times.first() != times.last())?;
        let rising = times.is_sorted().then_some(Direction::Ascending);
        let direction =
            rising.or_else(|| times.is_sorted_by(|a, b| a >= b).then_some(Direction::Descending))?;
        Some(Order { field, direction })
    };
    let mut orders = fields.into_iter().filter_map(directed);
    match filter {
        Some(filter) => orders
            .clone()
            .find(|order| order.field == filter)
            .or_else(|| orders.next()),
        None => orders.next(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::window::Window;

    #[test]
    fn forms_of_times_are_told_apart() {
        let message = [
            (json!(1_744_750_665), "whole seconds"),
            (json!(1_744_750_665_123_u64), "milliseconds"),
            (json!(1_744_750_665_123_456_u64), "microseconds"),
            (json!(1_744_750_665.5), "seconds with fractions"),
            (json!("1744750665"), "a number as text"),
            (json!("2025-04-15T22:57:45.123+02:00"), "ISO 8601 text"),
            (json!("yesterday"), "other text"),
        ];
        for (value, expected) in message {
            assert_eq!(form(&value), expected, "{value}");
        }
    }

    #[test]
    fn fields_that_are_new_or_absent_are_told() {
        let mut report = DoctorReport::new(Dataset::Messages, Window::new(0, 1));
        let page = br#"{"data": [{"_id": "1", "time": 5, "mood": "good"}, {"_id": "2", "time": null}]}"#;
        fields(Dataset::Messages, page, &mut report);
        assert_eq!(report.new_fields.iter().collect::<Vec<_>>(), ["mood"]);
        assert!(report.absent_fields.contains("outMsg") && !report.absent_fields.contains("time"));
        assert_eq!(
            report.times["time"].iter().collect::<Vec<_>>(),
            [&"null", &"whole seconds"]
        );
    }
}
