//! How far a job has come.

use super::scheduler::{Knowledge, Scheduler};
use crate::window::{Window, Windows};

/// How far a job has come.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// What is proven to be fetched completely.
    pub covered: Windows,
    /// What is thought to be: more than what is proven, and more of use for deciding what to build next.
    pub read: Windows,
    /// What was learnt of the API.
    pub learnt: Knowledge,
    /// Pages answered, those of an earlier run included.
    pub pages: u64,
    /// Pages thought to be left; `None` as long as there is nothing to go by.
    pub pages_left: Option<f64>,
    /// The windows whose next page is awaited.
    pub awaited: Vec<Window>,
}

impl Reach {
    pub(super) fn of(scheduler: &Scheduler) -> Self {
        let progress = scheduler.progress();
        Self {
            covered: scheduler.covered(),
            read: scheduler.read(),
            learnt: scheduler.learnt(),
            pages: progress.pages,
            pages_left: progress.pages_left,
            awaited: scheduler.awaited(),
        }
    }
}
