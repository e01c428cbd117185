//! Windows with the number of their records.

use super::density::as_f64;
use crate::window::{Window, Windows};

/// Maximum number of windows. More are merged in pairs.
const MAX_WINDOWS: usize = 8192;

/// Windows with their numbers of records, sorted and disjoint.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordCounts {
    pub(super) windows: Vec<(Window, f64)>,
}

impl RecordCounts {
    /// Adds a window, apart from parts that were added before.
    pub(super) fn add(&mut self, window: Window, records: f64) {
        let from = self
            .windows
            .partition_point(|(known, _)| known.end <= window.start);
        let mut fresh: Windows = std::iter::once(window).collect();
        let known = self.windows[from..].iter();
        for (known, _) in known.take_while(|(known, _)| known.start < window.end) {
            fresh.subtract(*known);
        }
        for part in &fresh {
            let at = self.windows.partition_point(|(known, _)| known.end <= part.start);
            let share = as_f64(part.seconds()) / as_f64(window.seconds());
            self.windows.insert(at, (*part, records * share));
        }
        if self.windows.len() > MAX_WINDOWS {
            let pairs = self.windows.chunks(2).flat_map(|pair| match pair {
                [(a, x), (b, y)] if a.end == b.start => vec![(Window::new(a.start, b.end), x + y)],
                apart => apart.to_vec(),
            });
            self.windows = pairs.collect();
        }
    }

    /// Whether the complete `window` is counted.
    pub(super) fn covers(&self, window: Window) -> bool {
        self.within(window).iter().all(|(_, records)| records.is_some())
    }

    /// Returns the counted window that contains a part.
    pub(super) fn around(&self, part: Window) -> (Window, f64) {
        let at = self.windows.partition_point(|(known, _)| known.end <= part.start);
        self.windows[at]
    }

    /// Splits `window` into parts, with the number of records of those that are counted.
    pub(super) fn within(&self, window: Window) -> Vec<(Window, Option<f64>)> {
        let from = self
            .windows
            .partition_point(|(known, _)| known.end <= window.start);
        let mut parts = Vec::new();
        let mut start = window.start;
        for (known, records) in self.windows[from..]
            .iter()
            .take_while(|(known, _)| known.start < window.end)
        {
            let inside = known.intersect(window);
            if start < inside.start {
                parts.push((Window::new(start, inside.start), None));
            }
            let share = as_f64(inside.seconds()) / as_f64(known.seconds());
            parts.push((inside, Some(records * share)));
            start = inside.end;
        }
        if start < window.end {
            parts.push((Window::new(start, window.end), None));
        }
        parts
    }
}
