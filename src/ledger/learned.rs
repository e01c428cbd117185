//! What runs learned of the API, and how long its limits are remembered.

use jiff::{SignedDuration, Timestamp};

use super::{Account, Ledger};
use crate::plan::{Knowledge, Limits};

/// A limit is remembered for so long. Then a run starts without it, and finds it again where it still exists.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);

impl Account {
    /// What earlier runs learned of the API, as a run that starts `now` uses it: limits that were found more than 30
    /// days ago, or at an unknown time, are left out. That loses no record, since the planner finds them again.
    #[must_use]
    pub fn learned(&self, now: Timestamp) -> Knowledge {
        let limits = match self.limits_are_recent(now) {
            true => self.learnt.limits,
            false => Limits::default(),
        };
        Knowledge {
            limits,
            ..self.learnt
        }
    }

    /// Remembers what a run has learned by `now`.
    pub fn learn(&mut self, learned: Knowledge, now: Timestamp) {
        self.limits_since = match learned.limits.is_empty() {
            true => None,
            false => self
                .limits_since
                .filter(|_| self.limits_are_recent(now))
                .or(Some(now)),
        };
        self.learnt = learned;
    }

    fn limits_are_recent(&self, now: Timestamp) -> bool {
        self.limits_since
            .is_some_and(|since| now.duration_since(since) <= REMEMBERED)
    }
}

impl Ledger {
    /// What is known of the API for a dataset, as a run that starts `now` uses it: from this bot or, where it is new,
    /// from another one.
    #[must_use]
    pub fn learned(&self, dataset: &str, bot: &str, now: Timestamp) -> Knowledge {
        let any = || self.datasets.get(dataset)?.values().next();
        let account = self.known(dataset, bot).or_else(any);
        account.map(|account| account.learned(now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_remembered_for_30_days() {
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
        let account = ledger.account("messages", "r3");
        account.learn(capped, day(0));
        // further runs that know the limit do not make it last longer
        account.learn(capped, day(20));
        assert_eq!(account.learned(day(30)), capped);
        let expired = account.learned(day(31));
        assert!(expired.limits.is_empty());
        assert_eq!(expired.longest_listing, 10_000);
        // the run that starts without it finds it again, or does not
        account.learn(capped, day(31));
        assert_eq!(account.learned(day(60)), capped);
        account.learn(expired, day(62));
        assert_eq!((account.limits_since, account.learned(day(62))), (None, expired));
        // another bot begins with it; an earlier version has not recorded when it was found
        ledger.account("messages", "r3").learn(capped, day(70));
        assert_eq!(ledger.learned("messages", "r4", day(71)), capped);
        ledger.account("messages", "r3").limits_since = None;
        assert!(ledger.learned("messages", "r4", day(71)).limits.is_empty());
    }
}
