//! Chooses random windows of complete time, each with about one page.

use rand::{Rng, RngExt};

use crate::ledger::DatasetState;
use crate::table::Zone;
use crate::window::{Window, Windows};

/// Number of rows before each moment, estimated from the counts of partitions.
struct RowDistribution {
    /// Disjoint spans, each with the number of rows before it and in it.
    spans: Vec<(Window, f64, f64)>,
}

impl RowDistribution {
    #[allow(clippy::cast_precision_loss)] // an estimate
    fn new(state: &DatasetState, zone: &Zone) -> Self {
        let mut before = 0.0;
        let mut spans = Vec::new();
        for (date, metadata) in &state.partitions {
            let Some(window) = zone.window(*date) else {
                continue;
            };
            let span = state.complete.intersect(window).hull().unwrap_or(window);
            let rows = metadata.rows as f64;
            spans.push((span, before, rows));
            before += rows;
        }
        Self { spans }
    }

    #[allow(clippy::cast_precision_loss)]
    fn before(&self, second: i64) -> f64 {
        let at = self.spans.partition_point(|(span, ..)| span.start <= second);
        let Some((span, before, rows)) = at.checked_sub(1).and_then(|at| self.spans.get(at)) else {
            return 0.0;
        };
        let part = (second - span.start) as f64 / span.seconds() as f64;
        before + rows * part.min(1.0)
    }

    /// Returns the last second in `from..=to` with at most so many rows before it.
    fn latest(&self, rows: f64, from: i64, to: i64) -> i64 {
        let (mut low, mut high) = (from, to);
        while low < high {
            let middle = low + (high - low + 1) / 2;
            if self.before(middle) <= rows {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }
}

/// Returns a window around a random moment of complete time, with about so many rows; `None` if nothing is complete.
pub(super) fn choose(state: &DatasetState, zone: &Zone, rows: f64, random: &mut impl Rng) -> Option<Window> {
    let (moment, range) = any_moment(&state.complete, random)?;
    let density = RowDistribution::new(state, zone);
    let earlier = rows * random.random::<f64>();
    let mut start = density.latest(density.before(moment) - earlier, range.start, moment);
    let end = density
        .latest(density.before(start) + rows, moment, range.end)
        .max(moment + 1);
    if end == range.end {
        // there were not enough rows after the moment
        start = density.latest(density.before(end) - rows, range.start, start);
    }
    Some(Window::new(start, end))
}

/// Returns a random second and its range.
fn any_moment(complete: &Windows, random: &mut impl Rng) -> Option<(i64, Window)> {
    if complete.is_empty() {
        return None;
    }
    let mut left = random.random_range(0..complete.seconds());
    for range in complete {
        if left < range.seconds() {
            return Some((range.start + left, *range));
        }
        left -= range.seconds();
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::ledger::PartitionMetadata;
    use crate::table::{PartitionBy, PartitionDate};

    const DAY: i64 = 86_400;

    /// Creates a state with so many rows on each day from 1970 on.
    fn with_rows(days: &[u64]) -> DatasetState {
        let mut state = DatasetState::default();
        for (number, rows) in (0..).zip(days) {
            let begin = jiff::Timestamp::from_second(number * DAY).unwrap();
            let date = begin.to_zoned(jiff::tz::TimeZone::UTC).date();
            state
                .complete
                .insert(Window::new(number * DAY, (number + 1) * DAY));
            if *rows > 0 {
                let metadata = PartitionMetadata {
                    rows: *rows,
                    ids_sha256: String::new(),
                    sha256: String::new(),
                };
                state
                    .partitions
                    .insert(PartitionDate::of(PartitionBy::Day, date), metadata);
            }
        }
        state
    }

    #[test]
    fn windows_are_complete_hold_about_a_page_and_reach_everywhere() {
        let zone = Zone::named("UTC").unwrap();
        let mut state = with_rows(&[20_000, 0, 0, 100, 100_000, 0]);
        state.complete.subtract(Window::new(DAY / 2, DAY / 2 + 60));
        let density = RowDistribution::new(&state, &zone);
        let mut random = StdRng::seed_from_u64(5);
        let mut reached = Windows::new();
        for _ in 0..2000 {
            let window = choose(&state, &zone, 800.0, &mut random).unwrap();
            assert!(!window.is_empty() && state.complete.covers(window), "{window}");
            let rows = density.before(window.end) - density.before(window.start);
            assert!((795.0..805.0).contains(&rows), "{rows} rows in {window}");
            reached.insert(window);
        }
        assert!(reached.seconds() * 100 > state.complete.seconds() * 95);
        let (first, last) = (Window::new(0, 60), Window::new(6 * DAY - 60, 6 * DAY));
        assert!(reached.covers(last) && !reached.intersect(first).is_empty());
    }

    #[test]
    fn few_rows_are_asked_for_as_a_whole() {
        let zone = Zone::named("UTC").unwrap();
        let mut random = StdRng::seed_from_u64(5);
        assert_eq!(choose(&with_rows(&[]), &zone, 800.0, &mut random), None);
        let few = with_rows(&[10, 0, 700]);
        for _ in 0..50 {
            let window = choose(&few, &zone, 800.0, &mut random).unwrap();
            assert_eq!(window, Window::new(0, 3 * DAY));
        }
    }
}
