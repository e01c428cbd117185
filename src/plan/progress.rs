//! How far a planner is, and what it has learned.

use super::{Field, Knowledge, Planner};
use crate::window::{Window, Windows};

/// Listings of fewer records are too short to be cut off.
const TELLING_LENGTH: usize = 100;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanProgress {
    /// Pages estimated to be left; `None` as long as there is nothing to estimate from.
    pub pages_left: Option<f64>,
    /// Pages answered, those of an earlier run included.
    pub pages: u64,
    /// Requests in flight.
    pub in_flight: usize,
    /// Chains started so far.
    pub chains: usize,
}

impl Planner {
    /// Whether every range is complete. Requests still in flight are of no use then.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ranges.iter().all(|range| self.complete.covers(*range))
    }

    /// What is complete so far, in half-open seconds. While the job runs, the longest listing is not part of it:
    /// a listing of the same length would show that both are cut off.
    #[must_use]
    pub fn covered(&self) -> Windows {
        let mut complete = self.complete.clone();
        if !self.is_done() {
            let longest = self.evidence.longest;
            let is_longest = |records: usize| {
                records == longest && records >= TELLING_LENGTH && records > self.evidence.checked
            };
            for listing in self
                .listings
                .iter()
                .filter(|listing| is_longest(listing.records) && !listing.is_checked)
            {
                complete.subtract(listing.covers);
            }
        }
        let ranges = self.ranges.iter();
        ranges
            .flat_map(|range| complete.intersect(*range).iter().copied().collect::<Vec<_>>())
            .collect()
    }

    /// How far the job is.
    #[must_use]
    pub fn progress(&self) -> PlanProgress {
        PlanProgress {
            pages_left: (self.pages > 0).then(|| self.pages_left()),
            pages: self.pages,
            in_flight: self.in_flight,
            chains: self.chains.len(),
        }
    }

    /// The windows whose next page is awaited, as they were requested.
    #[must_use]
    pub fn awaited(&self) -> Vec<Window> {
        let flying = self.chains.iter().filter(|chain| chain.flight.is_some());
        flying.map(|chain| chain.requested).collect()
    }

    /// Fields that windows may filter, as far as this job shows.
    #[must_use]
    pub fn possible_filters(&self) -> Vec<Field> {
        self.observations.possible_filters()
    }

    /// The field that rows outside the requested range may be left out by; `None` where it is not settled.
    #[must_use]
    pub fn settled_filter(&self) -> Option<Field> {
        self.observations.settled_filter()
    }

    /// What this run has learned, for later ones to begin with.
    #[must_use]
    pub fn learned(&self) -> Knowledge {
        let mut limits = self.limits;
        limits.listing_cap = self.evidence.cap;
        if self.pages == 0 {
            // a server that refuses everything shows no limit
            limits = self.options.knowledge.limits;
        }
        Knowledge {
            in_flight: (self.pages > 0).then_some(self.concurrency),
            limits,
            longest_listing: self.evidence.longest,
            longest_reach: self.evidence.reach,
            hours: self.density.profile.learned(),
            ..self.observations.learned()
        }
    }
}
