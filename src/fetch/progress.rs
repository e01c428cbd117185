//! How far a job is.

use crate::plan::{Field, Knowledge, Planner};
use crate::window::{Window, Windows};

/// How far a job is, and what it has learned.
#[derive(Clone, Debug, Default)]
pub struct FetchProgress {
    /// What is fetched completely.
    pub covered: Windows,
    /// What was learned of the API.
    pub learned: Knowledge,
    /// Fields that windows may filter.
    pub possible_filters: Vec<Field>,
    /// The field that rows outside the requested range may be left out by; `None` where it is not settled.
    pub settled_filter: Option<Field>,
    /// Pages answered, those of an earlier run included.
    pub pages: u64,
    /// Pages estimated to be left; `None` as long as there is nothing to estimate from.
    pub pages_left: Option<f64>,
    /// The windows whose next page is awaited.
    pub awaited: Vec<Window>,
}

impl FetchProgress {
    pub(super) fn of(planner: &Planner) -> Self {
        let progress = planner.progress();
        Self {
            covered: planner.covered(),
            learned: planner.learned(),
            possible_filters: planner.possible_filters(),
            settled_filter: planner.settled_filter(),
            pages: progress.pages,
            pages_left: progress.pages_left,
            awaited: planner.awaited(),
        }
    }
}
