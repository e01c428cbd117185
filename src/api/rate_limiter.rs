//! The rate limiter of an endpoint, shared by all its requests.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::pacing::{DEFAULT_PAUSE, RequestPacing, SendTicket};
use super::{Failure, RequestError};

/// Limits the requests of one key to one endpoint. Each request needs a [`Permit`].
#[derive(Debug)]
pub struct RateLimiter {
    pacing: Mutex<RequestPacing>,
    /// A queue, so that permits are given in the order of their requests.
    line: tokio::sync::Mutex<()>,
    suspension: Mutex<Option<Suspension>>,
    /// Notified when the limiter is suspended.
    suspended_now: Notify,
}

/// A pause that requests do not wait for.
#[derive(Debug)]
struct Suspension {
    until: Option<Instant>,
    failure: Failure,
}

impl RateLimiter {
    /// Creates a limiter of `per_second` requests, evenly spaced and slightly below the limit; 0 means no limit.
    #[must_use]
    pub fn new(per_second: f64) -> Self {
        Self {
            pacing: Mutex::new(RequestPacing::new(per_second)),
            line: tokio::sync::Mutex::new(()),
            suspension: Mutex::default(),
            suspended_now: Notify::new(),
        }
    }

    /// Waits until a request may be sent. Only a spent permit counts.
    ///
    /// # Errors
    /// [`RequestError::MustWait`] after [`RateLimiter::suspend`], immediately.
    pub async fn permit(&self) -> Result<Permit<'_>, RequestError> {
        tokio::select! {
            biased;
            error = self.suspended() => Err(error),
            permit = self.turn() => Ok(permit),
        }
    }

    async fn turn(&self) -> Permit<'_> {
        let turn = self.line.lock().await;
        loop {
            let now = Instant::now();
            let slot = self.pacing().slot(now);
            if slot <= now {
                return Permit {
                    rate_limiter: self,
                    _turn: turn,
                };
            }
            sleep_until(slot).await;
        }
    }

    /// Suspends all requests for the wait that the server demands. Requests fail instead of waiting.
    pub fn suspend(&self, wait: Duration, failure: Failure) {
        let until = Instant::now().checked_add(wait);
        *self.suspension() = Some(Suspension { until, failure });
        self.suspended_now.notify_waiters();
    }

    /// Waits until the limiter is suspended.
    pub(super) async fn suspended(&self) -> RequestError {
        loop {
            let suspended_now = self.suspended_now.notified();
            tokio::pin!(suspended_now);
            // registered before the check, so that no change is missed
            suspended_now.as_mut().enable();
            let now = Instant::now();
            if let Some(suspension) = &*self.suspension()
                && suspension.until.is_none_or(|until| until > now)
            {
                return RequestError::MustWait {
                    failure: suspension.failure.clone(),
                };
            }
            suspended_now.await;
        }
    }

    fn suspension(&self) -> std::sync::MutexGuard<'_, Option<Suspension>> {
        self.suspension
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Reports that a request was refused because of the rate. All requests pause for `retry_after`, or for a second
    /// by default, and the rate is reduced.
    pub fn refused(&self, sent: &SendTicket, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(DEFAULT_PAUSE);
        self.pacing().refused(sent, Instant::now(), pause);
    }

    /// Returns the current rate in requests per second; infinite if there is no limit.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        let interval = self.pacing().interval().as_secs_f64();
        if interval > 0.0 {
            1.0 / interval
        } else {
            f64::INFINITY
        }
    }

    fn pacing(&self) -> std::sync::MutexGuard<'_, RequestPacing> {
        self.pacing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The right to send one request now. It does not count if it is dropped without [`Permit::spend`].
#[derive(Debug)]
pub struct Permit<'a> {
    rate_limiter: &'a RateLimiter,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Permit<'_> {
    /// Uses the permit for a request.
    #[must_use]
    pub fn spend(self) -> SendTicket {
        self.rate_limiter.pacing().sent(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::super::pacing::HEADROOM;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn invariant_9_never_more_than_the_limit_in_any_second() {
        for rate in [1.0, 3.0, 7.5, 30.0] {
            let rate_limiter = RateLimiter::new(rate);
            let mut sent = Vec::new();
            for round in 0..200_u64 {
                let permit = rate_limiter.permit().await.unwrap();
                if round % 7 == 3 {
                    // the task runs late, as on a busy machine
                    tokio::time::sleep(Duration::from_millis(round % 90)).await;
                }
                let _ = permit.spend();
                sent.push(Instant::now());
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
    async fn the_pace_is_the_limit_when_timers_are_late() {
        // requests per second, delay of timers in ms, delay of one timer in fifty, tolerated loss
        for (rate, late, stall, loss) in [
            (30.0, 4, 0, 1.005),
            (30.0, 4, 40, 1.015),
            (3.0, 20, 60, 1.02),
            (100.0, 2, 40, 1.02),
        ] {
            let rate_limiter = RateLimiter::new(rate);
            let begin = Instant::now();
            let mut many = 0.0;
            for round in 1..=1000_u64 {
                let permit = rate_limiter.permit().await.unwrap();
                let stalled = if round % 53 == 0 { stall } else { 0 };
                tokio::time::sleep(Duration::from_millis(round * 7 % (late + 1) + stalled)).await;
                let _ = permit.spend();
                many += 1.0;
            }
            let ratio = begin.elapsed().as_secs_f64() / (many / rate * HEADROOM);
            assert!(ratio < loss, "{ratio} times the time at {rate} a second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_is_not_spent_costs_nothing() {
        let rate_limiter = RateLimiter::new(3.0);
        drop(rate_limiter.permit().await);
        let begin = Instant::now();
        let _ = rate_limiter.permit().await.unwrap().spend();
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_pauses_everybody_as_long_as_the_server_says() {
        for rate in [0.0, 1000.0] {
            let rate_limiter = RateLimiter::new(rate);
            let sent = rate_limiter.permit().await.unwrap().spend();
            rate_limiter.refused(&sent, Some(Duration::from_secs(4)));
            let begin = Instant::now();
            let _ = rate_limiter.permit().await.unwrap().spend();
            assert_eq!(begin.elapsed().as_secs(), 4);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_budget_gives_no_permit_and_nothing_waits_for_one() {
        let refusal = |wait| Failure::Status {
            status: 429,
            retry_after: Some(wait),
            excerpt: String::new(),
        };
        let hour = Duration::from_secs(3600);
        let rate_limiter = RateLimiter::new(0.5);
        let _ = rate_limiter.permit().await.unwrap().spend();
        let begin = Instant::now();
        // one waits for its time, one behind it
        let (first, second, ()) = tokio::join!(rate_limiter.permit(), rate_limiter.permit(), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            rate_limiter.suspend(hour, refusal(hour));
        });
        for permit in [first, second, rate_limiter.permit().await] {
            let error = permit.unwrap_err();
            assert_eq!(
                error.to_string(),
                "the server demands a wait of 1h before the next request"
            );
        }
        assert_eq!(begin.elapsed(), Duration::from_millis(10));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(rate_limiter.permit().await.is_ok());
        rate_limiter.suspend(Duration::MAX, refusal(Duration::MAX));
        let error = rate_limiter.permit().await.unwrap_err();
        assert!(error.to_string().contains("longer than a year"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_is_too_long_for_the_clock() {
        let rate_limiter = RateLimiter::new(3.0);
        let sent = rate_limiter.permit().await.unwrap().spend();
        let year = Duration::from_secs(366 * 24 * 3600);
        for secs in [i64::MAX as u64, 18_000_000_000_000_000_000, u64::MAX] {
            rate_limiter.refused(&sent, Some(Duration::from_secs(secs)));
        }
        assert!(tokio::time::timeout(year, rate_limiter.permit()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_eases_once_for_refusals_of_one_moment_and_comes_back() {
        let rate_limiter = RateLimiter::new(30.0);
        let full = rate_limiter.per_second();
        let mut sent = Vec::new();
        for _ in 0..25 {
            sent.push(rate_limiter.permit().await.unwrap().spend());
        }
        for sent in &sent[20..] {
            rate_limiter.refused(sent, None);
        }
        let eased = rate_limiter.per_second();
        assert!((full / eased - 1.5).abs() < 0.02, "{full} {eased}");
        let begin = Instant::now();
        while rate_limiter.per_second() < full {
            let _ = rate_limiter.permit().await.unwrap().spend();
        }
        let taken = begin.elapsed();
        assert!(taken < Duration::from_secs(60), "{taken:?}");
    }
}
