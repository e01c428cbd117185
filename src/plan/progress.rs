//! Progress of a planner, and what it learned.

use super::{Field, Knowledge, Planner};
use crate::window::{Window, Windows};

/// Listings with fewer records are too short to be cut off.
const TELLING_LENGTH: usize = 100;

/// Progress of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanProgress {
    /// Estimated pages that are left; `None` if there is no estimate yet.
    pub pages_left: Option<f64>,
    /// Pages received, including those of earlier runs.
    pub pages: u64,
    /// Requests in flight.
    pub in_flight: usize,
    /// Chains started so far.
    pub chains: usize,
}

impl Planner {
    /// Whether all ranges are complete. Requests in flight are not needed then.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ranges.iter().all(|range| self.complete.covers(*range))
    }

    /// Returns what is complete so far. While the job runs, this excludes the longest listing: another one of the
    /// same length would show that both are cut off.
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

    /// Returns the progress.
    #[must_use]
    pub fn progress(&self) -> PlanProgress {
        PlanProgress {
            pages_left: (self.pages > 0).then(|| self.pages_left()),
            pages: self.pages,
            in_flight: self.in_flight,
            chains: self.chains.len(),
        }
    }

    /// Returns the requested windows of requests in flight.
    #[must_use]
    pub fn awaited(&self) -> Vec<Window> {
        let flying = self.chains.iter().filter(|chain| chain.flight.is_some());
        flying.map(|chain| chain.requested).collect()
    }

    /// Returns the fields that windows may filter.
    #[must_use]
    pub fn possible_filters(&self) -> Vec<Field> {
        self.observations.possible_filters()
    }

    /// Returns the field by which rows outside the requested range may be dropped; `None` if it is not settled.
    #[must_use]
    pub fn settled_filter(&self) -> Option<Field> {
        self.observations.settled_filter()
    }

    /// Returns what this run learned, for later runs.
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
