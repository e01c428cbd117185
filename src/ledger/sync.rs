//! Refetches of complete ranges, and the state of `sync`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DatasetState;
use crate::window::{Window, Windows};

/// A refetch: complete ranges that are fetched again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refetch {
    /// All ranges.
    pub ranges: Windows,
    /// Only pages with this sequence number or a larger one count.
    pub since: u64,
    /// Ranges that were fetched again.
    pub read: Windows,
}

/// The state of `sync`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// Start of the table.
    pub since: Timestamp,
    /// Everything from `since` up to here is complete.
    pub watermark: Timestamp,
    /// The table shows the state of records at this time or later; the next run looks back from here. After an
    /// interrupted run it is before the watermark.
    pub as_of: Timestamp,
    /// The run that has not ended.
    #[serde(rename = "under_way")]
    pub current_run: Option<SyncRun>,
}

/// A run of `sync` that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRun {
    /// The new start of the table.
    pub since: Timestamp,
    /// The new [`SyncState::as_of`].
    pub as_of: Timestamp,
    /// The refetch before the watermark.
    pub behind: Refetch,
}

impl Refetch {
    fn new(ranges: Windows, since: u64) -> Self {
        let read = Windows::new();
        Self { ranges, since, read }
    }

    /// Ranges that are still to be fetched.
    #[must_use]
    pub fn unread(&self) -> Windows {
        let mut unread = self.ranges.clone();
        unread.subtract_all(&self.read);
        unread
    }

    /// Sets which part of the `requested` ranges is `fetched`.
    fn update(&mut self, requested: &Windows, fetched: &Windows) {
        self.read.subtract_all(requested);
        for window in &self.ranges {
            self.read.extend(fetched.intersect(*window).iter().copied());
        }
    }
}

impl DatasetState {
    /// Begins a refetch of `range` by pages from sequence number `since` on, or continues an interrupted one of the same
    /// range.
    pub fn refetch(&mut self, range: Window, since: u64) {
        let ranges: Windows = [range].into_iter().collect();
        let continues = |begun: &Refetch| begun.ranges == ranges && !begun.unread().is_empty();
        if !self.refetching.as_ref().is_some_and(continues) {
            self.refetching = Some(Refetch::new(ranges, since));
        }
    }

    /// Begins a run of `sync` up to the end of `range`, or continues an interrupted one. It refetches `lookback` seconds
    /// before the end of complete ranges, by pages from sequence number `since` on.
    pub fn begin_sync(&mut self, range: Window, lookback: i64, since: u64) {
        let behind = self.behind(range, lookback);
        let (start, end) = (moment(range.start), moment(range.end));
        let sync = self.sync.get_or_insert(SyncState {
            since: start,
            watermark: start,
            as_of: start,
            current_run: None,
        });
        let run = match sync.current_run.take() {
            None => SyncRun {
                since: start,
                as_of: end,
                behind: Refetch::new(behind, since),
            },
            Some(mut run) => {
                // ranges that the run itself has completed are not fetched again
                let up_to = Window::new(range.start, sync.watermark.as_second());
                run.behind.ranges.extend(behind.intersect(up_to).iter().copied());
                run.behind.ranges = run.behind.ranges.intersect(range);
                run.since = start;
                run
            }
        };
        sync.current_run = Some(run);
    }

    /// Returns the complete ranges to refetch: before the watermark, and before the end of ranges that exports have
    /// completed after it.
    fn behind(&self, range: Window, lookback: i64) -> Windows {
        let complete = self.complete.intersect(range);
        let behind = complete.iter().map(|complete| {
            let synced = self.sync.as_ref();
            let synced = synced.filter(|sync| complete.start < sync.watermark.as_second());
            let as_of = synced.map_or(complete.end, |sync| sync.as_of.as_second());
            let from = as_of.saturating_sub(lookback).max(complete.start);
            Window::new(from, complete.end)
        });
        behind.collect()
    }

    /// Whether there is a refetch.
    #[must_use]
    pub fn is_refetching(&self) -> bool {
        self.refetches().next().is_some()
    }

    /// Ends the refetches that a complete run over `range` has covered; returns whether there were any. Records that have
    /// not settled are left to later runs.
    pub fn end_refetches(&mut self, range: Window) -> bool {
        let lies_within = |refetch: &mut Refetch| {
            let ranges = refetch.ranges.hull();
            ranges.is_none_or(|ranges| ranges.intersect(range) == ranges)
        };
        let refetched = self.refetching.take_if(lies_within).is_some();
        self.end_sync() || refetched
    }

    /// Advances the watermark if the run of `sync` has refetched everything; returns whether there was such a run.
    fn end_sync(&mut self) -> bool {
        let Some(sync) = &mut self.sync else { return false };
        let is_fetched = |run: &mut SyncRun| run.behind.unread().is_empty();
        let Some(run) = sync.current_run.take_if(is_fetched) else {
            return false;
        };
        let since = run.since.as_second();
        let first = self.complete.iter().find(|window| window.contains(since));
        sync.since = run.since;
        sync.watermark = moment(first.map_or(since, |window| window.end));
        sync.as_of = run.as_of.min(sync.watermark);
        true
    }

    /// Everything before it is complete, from the start of `sync`, or else from the first complete second.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        match &self.sync {
            Some(sync) => Some(sync.watermark),
            None => self.complete.iter().next().map(|window| moment(window.end)),
        }
    }

    /// Returns all refetches.
    pub fn refetches(&self) -> impl Iterator<Item = &Refetch> {
        let run = self.sync.as_ref().and_then(|sync| sync.current_run.as_ref());
        self.refetching.iter().chain(run.map(|run| &run.behind))
    }

    /// Updates the complete ranges: of the `requested` ranges of a run, of which those in `refetched` were complete
    /// before, `fetched` are complete now.
    pub fn update_complete(&mut self, requested: &Windows, refetched: &Windows, fetched: &Windows) {
        let mut first_time = requested.clone();
        first_time.subtract_all(refetched);
        self.complete.subtract_all(&first_time);
        self.complete.extend(fetched.iter().copied());
        let run = self.sync.as_mut().and_then(|sync| sync.current_run.as_mut());
        let refetches = self.refetching.iter_mut().chain(run.map(|run| &mut run.behind));
        refetches.for_each(|refetch| refetch.update(requested, fetched));
    }
}

/// Converts Unix seconds, clamped to the supported range.
fn moment(second: i64) -> Timestamp {
    let bound = if second < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_second(second).unwrap_or(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(windows: &[(i64, i64)]) -> Windows {
        let windows = windows.iter();
        windows.map(|(start, end)| Window::new(*start, *end)).collect()
    }

    fn watermark(state: &DatasetState) -> i64 {
        state.watermark().unwrap().as_second()
    }

    fn unread(state: &DatasetState) -> Windows {
        let run = state.sync.as_ref().unwrap().current_run.as_ref();
        run.unwrap().behind.unread()
    }

    /// Fetches all that a run requests.
    fn fetch_all(state: &mut DatasetState, range: Window) {
        let mut requested = set(&[(range.start, range.end)]);
        requested.subtract_all(&state.complete);
        let refetched = unread(state);
        requested.extend(refetched.iter().copied());
        state.update_complete(&requested, &refetched, &requested.clone());
    }

    #[test]
    fn an_interrupted_refetch_continues() {
        let range = Window::new(0, 100);
        let mut state = DatasetState::default();
        state.complete.insert(Window::new(0, 200));
        state.refetch(range, 7);
        let unread = |state: &DatasetState| state.refetching.as_ref().unwrap().unread();
        assert_eq!(unread(&state), set(&[(0, 100)]));
        // interrupted
        let requested = set(&[(0, 100)]);
        state.update_complete(&requested, &requested, &set(&[(0, 50)]));
        state.refetch(range, 9);
        assert_eq!(unread(&state), set(&[(50, 100)]), "it continues");
        assert_eq!(state.refetching.as_ref().unwrap().since, 7);
        assert_eq!(state.complete, set(&[(0, 200)]), "complete ranges stay complete");
        // another range, or the same one after its end, begins a new refetch
        state.update_complete(&set(&[(50, 100)]), &requested, &set(&[(50, 100)]));
        state.refetch(range, 20);
        assert_eq!(unread(&state), requested);
        state.refetch(Window::new(0, 60), 30);
        assert_eq!(unread(&state), set(&[(0, 60)]));
    }

    #[test]
    fn each_sync_looks_back_from_the_watermark() {
        let mut state = DatasetState::default();
        for (end, behind) in [
            (1000, set(&[])),
            (1100, set(&[(900, 1000)])),
            (1110, set(&[(1000, 1100)])),
        ] {
            let range = Window::new(10, end);
            state.begin_sync(range, 100, 5);
            assert_eq!(unread(&state), behind);
            fetch_all(&mut state, range);
            assert!(state.end_sync());
            assert_eq!(watermark(&state), end);
        }
        assert!(!state.end_sync());
    }

    #[test]
    fn an_interrupted_sync_continues_and_the_next_one_looks_back_from_its_start() {
        let mut state = DatasetState::default();
        state.begin_sync(Window::new(0, 1000), 100, 0);
        fetch_all(&mut state, Window::new(0, 1000));
        state.end_sync();
        state.begin_sync(Window::new(0, 1060), 100, 7);
        let requested = set(&[(900, 1060)]);
        state.update_complete(
            &requested,
            &set(&[(900, 1000)]),
            &set(&[(900, 950), (1030, 1060)]),
        );
        assert!(!state.end_sync());
        assert_eq!(watermark(&state), 1000);
        // days later
        state.begin_sync(Window::new(0, 5000), 100, 9);
        assert_eq!(unread(&state), set(&[(950, 1000)]));
        assert_eq!(state.refetches().next().unwrap().since, 7);
        fetch_all(&mut state, Window::new(0, 5000));
        assert!(state.end_sync());
        assert_eq!(watermark(&state), 5000);
        // records that were fetched early may have changed since
        state.begin_sync(Window::new(0, 5010), 100, 11);
        assert_eq!(unread(&state), set(&[(960, 5000)]));
        fetch_all(&mut state, Window::new(0, 5010));
        state.end_sync();
        state.begin_sync(Window::new(0, 5020), 100, 12);
        assert_eq!(unread(&state), set(&[(4910, 5010)]));
    }

    #[test]
    fn sync_also_looks_back_into_ranges_of_exports() {
        let mut state = DatasetState {
            complete: set(&[(0, 500), (700, 900)]),
            ..DatasetState::default()
        };
        assert_eq!(watermark(&state), 500);
        state.begin_sync(Window::new(0, 2000), 100, 0);
        assert_eq!(unread(&state), set(&[(400, 500), (800, 900)]));
        fetch_all(&mut state, Window::new(0, 2000));
        state.end_sync();
        assert_eq!(watermark(&state), 2000);
        // a later update can remove a fetched range, but not one that was complete before
        state.begin_sync(Window::new(0, 2100), 100, 0);
        state.update_complete(
            &set(&[(1900, 2100)]),
            &set(&[(1900, 2000)]),
            &set(&[(1900, 2100)]),
        );
        state.update_complete(&set(&[(1900, 2100)]), &set(&[(1900, 2000)]), &set(&[]));
        assert_eq!(state.complete, set(&[(0, 2000)]));
        assert_eq!(unread(&state), set(&[(1900, 2000)]));
        assert!(!state.end_sync());
    }

    #[test]
    fn the_watermark_stays_before_unsettled_records() {
        let mut state = DatasetState::default();
        state.begin_sync(Window::new(0, 1000), 100, 0);
        state.update_complete(&set(&[(0, 1000)]), &set(&[]), &set(&[(0, 990)]));
        assert!(state.end_sync());
        assert_eq!(watermark(&state), 990);
        state.begin_sync(Window::new(0, 1000), 100, 0);
        assert_eq!(unread(&state), set(&[(890, 990)]));
        // an earlier start applies once everything from there is complete
        state.begin_sync(Window::new(-50, 1000), 100, 0);
        assert_eq!(watermark(&state), 990);
    }
}
