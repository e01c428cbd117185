//! The requests that one endpoint allows, shared by everything that asks it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How far the pace stays under the limit: a server that counts by the last second must not see one request
/// too many because two of them travelled unevenly.
const HAIR: f64 = 1.025;
/// After a refusal the pace eases by this factor, once for all refusals of the same moment.
const EASE: f64 = 1.15;
/// Every so many requests without a refusal, a pace that was eased recovers a little.
const RECOVER_AFTER: u32 = 50;
const RECOVER: f64 = 0.98;
/// The wait after a refusal that names none.
const SILENT_PAUSE: Duration = Duration::from_secs(1);

/// The pace of one endpoint: a pure account of when the next request may go.
#[derive(Debug)]
struct Pace {
    /// Between two requests; zero means no limit.
    interval: Duration,
    /// What `interval` may not go below: the limit that was asked for.
    floor: Duration,
    next: Option<Instant>,
    paused_until: Option<Instant>,
    /// When the requests of the last second went, oldest first.
    sent: VecDeque<Instant>,
    /// How many requests a second's window may hold, and how long that window is.
    window: (usize, Duration),
    eased_at: Option<Instant>,
    since_refusal: u32,
}

impl Pace {
    fn new(per_second: f64) -> Self {
        let interval = if per_second > 0.0 {
            Duration::from_secs_f64(HAIR / per_second)
        } else {
            Duration::ZERO
        };
        let many = if per_second > 0.0 {
            per_second.ceil().max(1.0)
        } else {
            0.0
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded by the flag's own range
        let window = (many as usize, interval.mul_f64(many));
        Self {
            interval,
            floor: interval,
            next: None,
            paused_until: None,
            sent: VecDeque::new(),
            window,
            eased_at: None,
            since_refusal: 0,
        }
    }

    /// When the next request may go, not before `now`.
    fn slot(&self, now: Instant) -> Instant {
        let mut slot = now;
        if let Some(next) = self.next {
            slot = slot.max(next);
        }
        if let Some(paused) = self.paused_until {
            slot = slot.max(paused);
        }
        let (many, span) = self.window;
        if many > 0 && self.sent.len() >= many {
            slot = slot.max(self.sent[self.sent.len() - many] + span);
        }
        slot
    }

    /// A request goes now. A timer that woke a little late does not slow the pace: the next slot is counted
    /// from the one that was due, while the window over the last second keeps the limit itself.
    fn sent(&mut self, now: Instant) {
        if self.interval.is_zero() {
            return;
        }
        let late = self.interval / 4;
        let due = self
            .next
            .map_or(now, |next| next.max(now.checked_sub(late).unwrap_or(now)));
        self.next = Some(due + self.interval);
        self.sent.push_back(now);
        while self.sent.len() > self.window.0 {
            self.sent.pop_front();
        }
        self.since_refusal += 1;
        if self.since_refusal >= RECOVER_AFTER && self.interval > self.floor {
            self.since_refusal = 0;
            self.set_interval(self.interval.mul_f64(RECOVER).max(self.floor));
        }
    }

    /// The server refused a request that went at `sent`: everybody waits, and the pace eases.
    fn refused(&mut self, sent: Instant, now: Instant, retry_after: Option<Duration>) {
        let until = now + retry_after.unwrap_or(SILENT_PAUSE);
        self.paused_until = Some(self.paused_until.map_or(until, |paused| paused.max(until)));
        self.since_refusal = 0;
        // requests that were under way when the pace was eased say nothing of the new pace
        if self.eased_at.is_none_or(|eased| sent > eased) {
            self.eased_at = Some(now);
            let slowest = Duration::from_secs(10);
            self.set_interval(
                self.interval
                    .max(Duration::from_millis(1))
                    .mul_f64(EASE)
                    .min(slowest),
            );
        }
    }

    fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
        self.window.1 = interval.mul_f64(f64::from(u32::try_from(self.window.0).unwrap_or(u32::MAX)));
    }
}

/// Requests allowed on one endpoint with one key. Whoever asks the endpoint takes a [`Permit`] first.
#[derive(Debug)]
pub struct Budget {
    pace: Mutex<Pace>,
    /// Who waits stands in line here, so that permits are given in the order in which they were asked for.
    line: tokio::sync::Mutex<()>,
}

impl Budget {
    /// `per_second` requests, evenly spaced and a hair under the limit; 0 means no limit.
    #[must_use]
    pub fn new(per_second: f64) -> Self {
        Self {
            pace: Mutex::new(Pace::new(per_second)),
            line: tokio::sync::Mutex::new(()),
        }
    }

    /// Waits until a request may go. The permit counts only once it is spent.
    pub async fn permit(&self) -> Permit<'_> {
        let turn = self.line.lock().await;
        loop {
            let now = Instant::now();
            let slot = self.pace().slot(now);
            if slot <= now {
                return Permit {
                    budget: self,
                    _turn: turn,
                };
            }
            sleep_until(slot).await;
        }
    }

    /// Tells that a request sent at `sent` was refused for coming too soon: all that share the budget wait.
    pub fn refused(&self, sent: Instant, retry_after: Option<Duration>) {
        self.pace().refused(sent, Instant::now(), retry_after);
    }

    /// Requests a second that the budget now allows; infinite where there is no limit.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        let interval = self.pace().interval.as_secs_f64();
        if interval > 0.0 {
            1.0 / interval
        } else {
            f64::INFINITY
        }
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The right to send one request now. Dropped without [`Permit::spend`], it costs nothing.
#[derive(Debug)]
pub struct Permit<'a> {
    budget: &'a Budget,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Permit<'_> {
    /// Takes the request from the budget; returns the moment it counts from.
    #[must_use]
    pub fn spend(self) -> Instant {
        let now = Instant::now();
        self.budget.pace().sent(now);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn invariant_9_never_more_than_the_limit_in_any_second() {
        for rate in [1.0, 3.0, 7.5, 30.0] {
            let budget = Budget::new(rate);
            let mut sent = Vec::new();
            for round in 0..200_u64 {
                let permit = budget.permit().await;
                if round % 7 == 3 {
                    // the task got its turn late, as on a busy machine
                    tokio::time::sleep(Duration::from_millis(round % 40)).await;
                }
                sent.push(permit.spend());
            }
            for (index, first) in sent.iter().enumerate() {
                let within = sent[index..]
                    .iter()
                    .take_while(|at| **at - *first < Duration::from_secs(1))
                    .count();
                #[allow(clippy::cast_precision_loss)]
                let within = within as f64;
                assert!(
                    within <= rate.ceil(),
                    "{within} requests in one second at {rate} a second"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_stays_near_the_limit_when_timers_are_late() {
        let budget = Budget::new(30.0);
        let begin = Instant::now();
        for round in 0..300_u64 {
            let permit = budget.permit().await;
            tokio::time::sleep(Duration::from_millis(round % 4)).await;
            let _ = permit.spend();
        }
        let taken = begin.elapsed().as_secs_f64();
        assert!(
            taken < 10.0 * HAIR * 1.03,
            "{taken} s for 300 requests at 30 a second"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_is_not_spent_costs_nothing() {
        let budget = Budget::new(3.0);
        drop(budget.permit().await);
        let begin = Instant::now();
        let _ = budget.permit().await.spend();
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_pauses_everybody_as_long_as_the_server_says() {
        let budget = Budget::new(0.0);
        let sent = budget.permit().await.spend();
        budget.refused(sent, Some(Duration::from_secs(4)));
        let begin = Instant::now();
        let _ = budget.permit().await.spend();
        assert_eq!(begin.elapsed().as_secs(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_eases_once_for_refusals_of_one_moment_and_recovers() {
        let budget = Budget::new(30.0);
        let full = budget.per_second();
        let sent = budget.permit().await.spend();
        for _ in 0..5 {
            budget.refused(sent, None);
        }
        let eased = budget.per_second();
        assert!((full / eased - EASE).abs() < 0.01, "{full} {eased}");
        for _ in 0..2000 {
            let _ = budget.permit().await.spend();
        }
        assert!((budget.per_second() - full).abs() < 0.01);
    }
}
