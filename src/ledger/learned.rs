//! What runs learned of the API, and the expiry of its limits.

use jiff::{SignedDuration, Timestamp};

use super::{DatasetState, Ledger};
use crate::plan::{Knowledge, Limits};

/// Limits expire after this long. The next run finds them again if they still exist.
const LIMITS_EXPIRE_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

impl DatasetState {
    /// Returns what earlier runs learned of the API, without limits that were found more than 30 days before `now` or at
    /// an unknown time. The planner finds them again, so no record is lost.
    #[must_use]
    pub fn learned(&self, now: Timestamp) -> Knowledge {
        let limits = match self.limits_are_recent(now) {
            true => self.learned.limits,
            false => Limits::default(),
        };
        Knowledge {
            limits,
            ..self.learned
        }
    }

    /// Stores what a run has learned.
    pub fn learn(&mut self, learned: Knowledge, now: Timestamp) {
        self.limits_since = match learned.limits.is_empty() {
            true => None,
            false => self
                .limits_since
                .filter(|_| self.limits_are_recent(now))
                .or(Some(now)),
        };
        self.learned = learned;
    }

    fn limits_are_recent(&self, now: Timestamp) -> bool {
        self.limits_since
            .is_some_and(|since| now.duration_since(since) <= LIMITS_EXPIRE_AFTER)
    }
}

impl Ledger {
    /// Returns what earlier runs learned of the API for a dataset, from this bot or, if it is new, from another one.
    #[must_use]
    pub fn learned(&self, dataset: &str, bot: &str, now: Timestamp) -> Knowledge {
        let any = || self.datasets.get(dataset)?.values().next();
        let state = self.state(dataset, bot).or_else(any);
        state.map(|state| state.learned(now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_expire_after_30_days() {
        let day = |days: i64| Timestamp::from_second(1_700_000_000 + days * 86_400).unwrap();
        let capped = Knowledge {
            longest_listing: 10_000,
            limits: Limits {
                listing_cap: Some(10_000),
                ..Limits::default()
            },
            ..Knowledge::default()
        };
        let mut ledger = Ledger::default();
        let state = ledger.state_mut("messages", "r3");
        state.learn(capped, day(0));
        // later runs that know the limit do not extend it
        state.learn(capped, day(20));
        assert_eq!(state.learned(day(30)), capped);
        let expired = state.learned(day(31));
        assert!(expired.limits.is_empty());
        assert_eq!(expired.longest_listing, 10_000);
        // the run that starts without it finds it again, or does not
        state.learn(capped, day(31));
        assert_eq!(state.learned(day(60)), capped);
        state.learn(expired, day(62));
        assert_eq!((state.limits_since, state.learned(day(62))), (None, expired));
        // another bot uses it; an earlier version has not stored when it was found
        ledger.state_mut("messages", "r3").learn(capped, day(70));
        assert_eq!(ledger.learned("messages", "r4", day(71)), capped);
        ledger.state_mut("messages", "r3").limits_since = None;
        assert!(ledger.learned("messages", "r4", day(71)).limits.is_empty());
    }
}
