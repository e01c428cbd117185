//! What was asked and answered, for tests to look at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What an endpoint has seen since the start.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Requests that arrived, of every outcome.
    pub requests: u64,
    /// Pages that were answered, right and whole.
    pub answered: u64,
    /// Requests that the limit refused.
    pub refused_429: u64,
    /// Requests that met a fault.
    pub faults: u64,
    /// Records in the pages that were answered, those that came twice included.
    pub records_served: u64,
    /// The most requests that arrived within any one second.
    pub most_in_one_second: usize,
    /// The most requests that waited for their answers at the same time.
    pub most_in_flight: usize,
    /// Every request, in the order of arrival.
    pub log: Vec<RequestLog>,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestLog {
    /// When it arrived, in milliseconds since the simulator started.
    pub at: u64,
    /// `start_time`; 0 where it is missing or no number.
    pub start_time: i64,
    /// `end_time`; 0 where it is missing or no number.
    pub end_time: i64,
    /// `bot_name`; empty where it is missing.
    pub bot: String,
    /// `per_page`; 0 where it is missing or no number.
    pub per_page: u32,
    /// `cursor`
    pub cursor: Option<String>,
    /// The status that was answered; 0 where none was, or not yet.
    pub status: u16,
    /// The number of records in the answer.
    pub records: usize,
}

/// Keeps the statistics of one endpoint.
#[derive(Debug)]
pub(super) struct Recorder {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stats: Stats,
    in_flight: usize,
    /// The arrivals of the last second.
    recent: VecDeque<Duration>,
}

impl Recorder {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            state: Mutex::default(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.with(|state| state.stats.clone())
    }

    /// Notes the arrival of a request. It is in flight as long as the entry lives.
    pub(super) fn arrive(self: &Arc<Self>, request: RequestLog) -> Entry {
        let number = self.with(|state| {
            let now = self.started.elapsed();
            state.recent.push_back(now);
            while state
                .recent
                .front()
                .is_some_and(|at| now.saturating_sub(*at) >= Duration::from_secs(1))
            {
                state.recent.pop_front();
            }
            state.in_flight += 1;
            let stats = &mut state.stats;
            stats.requests += 1;
            stats.most_in_one_second = stats.most_in_one_second.max(state.recent.len());
            stats.most_in_flight = stats.most_in_flight.max(state.in_flight);
            let at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            stats.log.push(RequestLog { at, ..request });
            stats.log.len() - 1
        });
        Entry {
            recorder: Arc::clone(self),
            number,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request in flight.
pub(super) struct Entry {
    recorder: Arc<Recorder>,
    number: usize,
}

impl Entry {
    pub(super) fn refused(&self) {
        self.recorder.with(|state| state.stats.refused_429 += 1);
    }

    pub(super) fn faulty(&self) {
        self.recorder.with(|state| state.stats.faults += 1);
    }

    /// A right and whole page of so many records.
    pub(super) fn page(&self, records: usize) {
        self.recorder.with(|state| {
            state.stats.answered += 1;
            state.stats.records_served += records as u64;
            state.stats.log[self.number].records = records;
        });
    }

    pub(super) fn status(&self, status: u16) {
        self.recorder
            .with(|state| state.stats.log[self.number].status = status);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.recorder.with(|state| state.in_flight -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_happens() {
        let recorder = Arc::new(Recorder::new(Instant::now()));
        let first = recorder.arrive(RequestLog {
            bot: "a".to_owned(),
            ..RequestLog::default()
        });
        let second = recorder.arrive(RequestLog::default());
        first.page(10);
        first.status(200);
        second.refused();
        second.status(429);
        drop((first, second));
        drop(recorder.arrive(RequestLog::default()));
        let stats = recorder.stats();
        assert_eq!(
            (
                stats.requests,
                stats.answered,
                stats.refused_429,
                stats.records_served
            ),
            (3, 1, 1, 10)
        );
        assert_eq!((stats.most_in_flight, stats.log[0].bot.as_str()), (2, "a"));
        let outcomes: Vec<_> = stats
            .log
            .iter()
            .map(|entry| (entry.status, entry.records))
            .collect();
        assert_eq!(outcomes, [(200, 10), (429, 0), (0, 0)]);
    }
}
