//! Computes when the next request of an endpoint may be sent. It is pure: time is an argument.
//!
//! Requests are evenly spaced, slightly below the requested rate. A refusal reduces the rate to what the server has
//! just accepted. After some time without a refusal, the rate increases in small steps. Each step that is refused
//! doubles the time until the next one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Factor between the rate limit and the actual rate. A server that counts the last second must not see an extra
/// request because of varying latency.
pub(super) const HEADROOM: f64 = 1.025;
/// Time in which servers count requests.
const SECOND: Duration = Duration::from_secs(1);
/// Pause after a refusal without `Retry-After`.
pub(super) const DEFAULT_PAUSE: Duration = SECOND;
/// Maximum pause. Larger values of a server would overflow the clock.
const MAX_PAUSE: Duration = Duration::from_secs(365 * 24 * 3600);
/// A server that counts requests per second refuses within this time, or accepts the rate.
const FAST_REFUSAL: Duration = Duration::from_millis(1500);
/// Delay of a timer that is compensated for; at least a quarter of an interval.
const TIMER_DELAY: Duration = Duration::from_millis(50);
/// Factor of a step of the rate.
const STEP: f64 = 1.05;
/// Minimum time of a step before the next one; at least ten requests.
const STEP_TIME: Duration = Duration::from_secs(2);
/// Time from a refusal to the first step up, and its maximum.
const QUIET_TIME: Duration = Duration::from_secs(15);
const MAX_QUIET_TIME: Duration = Duration::from_secs(240);
/// Maximum number of slowdowns without a quiet time between them. A server that continues to refuse has other reasons
/// than the rate: only its pauses are respected then, and the rate is restored.
const MAX_SLOWDOWNS: u32 = 8;
/// Requests per second that a server without a limit is assumed to accept, at the first refusal.
const ASSUMED_RATE: f64 = 10.0;
/// Maximum interval between requests, regardless of refusals.
const MAX_INTERVAL: Duration = Duration::from_secs(10);

/// A sent request, with the state of the pacing at that time.
#[derive(Clone, Copy, Debug)]
pub struct SendTicket {
    /// Number of refusal rounds before it.
    round: u32,
    interval: Duration,
    /// How long requests were sent without a break, and how many.
    busy: (Duration, u32),
    /// How many of them were sent within the last second.
    last_second: u32,
}

impl SendTicket {
    /// Returns the interval that the server accepts, if it refused this request and none before it.
    ///
    /// A server that counts per second refuses as soon as its limit is reached. If it counts calendar seconds, the
    /// last second may overlap two of them, so at least a third is subtracted (less if the rate was reduced
    /// recently). Other clients may have used a part of the limit, so at most half is subtracted. A later refusal
    /// comes from a token bucket that is empty now.
    fn sustainable_interval(&self, again: bool) -> Duration {
        let last_second = f64::from(self.last_second);
        let pacing = if self.interval.is_zero() {
            last_second.max(ASSUMED_RATE) * 1.5
        } else {
            1.0 / self.interval.as_secs_f64()
        };
        let sustainable_interval = if self.busy.0 < FAST_REFUSAL {
            let most = if again { pacing / 1.15 } else { pacing / 1.5 };
            (last_second / HEADROOM).clamp(pacing / 2.0, most)
        } else {
            let steady = f64::from(self.busy.1) / (self.busy.0 + SECOND).as_secs_f64();
            // no way of counting accepts more than twice its limit within one second
            steady.min(pacing / STEP).max(last_second / 2.0)
        };
        Duration::from_secs_f64(1.0 / sustainable_interval)
    }
}

/// The last change of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Reduced to the estimated limit of the server.
    Slowed,
    Raised,
    /// Restored after a refused step.
    Reverted,
}

/// The pacing of one endpoint.
#[derive(Debug)]
pub(super) struct RequestPacing {
    /// Time between two requests; zero means no limit.
    interval: Duration,
    /// Minimum of `interval`, from the requested rate.
    floor: Duration,
    /// Time of the next request.
    due: Option<Instant>,
    paused_until: Option<Instant>,
    /// Times of recent requests, oldest first.
    sent: VecDeque<Instant>,
    /// Start and number of requests that were sent without a break.
    busy: Option<(Instant, u32)>,
    /// Number of refusal rounds.
    round: u32,
    /// Time and kind of the last change of the interval.
    change: Option<(Instant, Change)>,
    /// Number of slowdowns since the last step up or quiet time, and the interval before them.
    slowdowns: u32,
    interval_before: Duration,
    /// Time from a refusal to the next step up.
    quiet_time: Duration,
}

impl RequestPacing {
    pub(super) fn new(per_second: f64) -> Self {
        let interval = if per_second > 0.0 {
            Duration::from_secs_f64(HEADROOM / per_second)
        } else {
            Duration::ZERO
        };
        Self {
            interval,
            floor: interval,
            due: None,
            paused_until: None,
            sent: VecDeque::new(),
            busy: None,
            round: 0,
            change: None,
            slowdowns: 0,
            interval_before: interval,
            quiet_time: QUIET_TIME,
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns how many requests may be sent in which time: about one second.
    fn window(&self) -> Option<(usize, Duration)> {
        if self.interval.is_zero() {
            return None;
        }
        let many = (1.0 / self.interval.as_secs_f64()).ceil().max(1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded by the flag's own range
        Some((many as usize, self.interval.mul_f64(many)))
    }

    /// Returns when the next request may be sent, not before `now`.
    pub(super) fn slot(&self, now: Instant) -> Instant {
        let spaced = self.sent.back().map(|last| *last + self.interval / 2);
        let within = self.window().and_then(|(many, span)| {
            let first = self.sent.len().checked_sub(many)?;
            Some(self.sent[first] + span)
        });
        [self.due, self.paused_until, spaced, within]
            .into_iter()
            .flatten()
            .fold(now, Instant::max)
    }

    /// Records a request that is sent now. A slightly late timer does not reduce the rate: the next request is due at
    /// its original time, while the window of the last second enforces the limit.
    pub(super) fn sent(&mut self, now: Instant) -> SendTicket {
        self.speed_up(now);
        let earliest = now.checked_sub(TIMER_DELAY.max(self.interval / 4)).unwrap_or(now);
        let due = self.due.map_or(now, |due| due.max(earliest));
        self.due = Some(due + self.interval);
        let rested = self
            .sent
            .back()
            .is_some_and(|last| now - *last > SECOND + self.interval);
        let (since, count) = self.busy.filter(|_| !rested).unwrap_or((now, 0));
        self.busy = Some((since, count.saturating_add(1)));
        let matters = self.window().map_or(SECOND, |(_, span)| span.max(SECOND));
        while self.sent.front().is_some_and(|at| now - *at > matters) {
            self.sent.pop_front();
        }
        let last_second = self.sent.iter().rev().copied();
        let last_second = last_second.take_while(|at| *at >= since && now - *at < SECOND);
        let last_second = u32::try_from(last_second.count()).unwrap_or(u32::MAX);
        self.sent.push_back(now);
        SendTicket {
            round: self.round,
            interval: self.interval,
            busy: (now - since, count),
            last_second,
        }
    }

    /// Records a refusal: all requests pause, and the rate is reduced.
    pub(super) fn refused(&mut self, sent: &SendTicket, now: Instant, pause: Duration) {
        let until = now + pause.min(MAX_PAUSE);
        self.paused_until = Some(self.paused_until.map_or(until, |paused| paused.max(until)));
        // requests in flight at the last reduction do not show whether the new rate is accepted
        if sent.round != self.round {
            return;
        }
        self.round = self.round.wrapping_add(1);
        self.busy = None;
        let last = self.change.filter(|(at, _)| now - *at < self.quiet_time);
        let (slower, change) = match last {
            Some((_, Change::Raised)) => {
                self.quiet_time = (self.quiet_time * 2).min(MAX_QUIET_TIME);
                (sent.interval.mul_f64(STEP), Change::Reverted)
            }
            Some((_, Change::Reverted)) => (sent.interval.mul_f64(STEP), Change::Reverted),
            Some((_, Change::Slowed)) => (sent.sustainable_interval(true), Change::Slowed),
            None => {
                self.quiet_time = QUIET_TIME;
                (sent.sustainable_interval(false), Change::Slowed)
            }
        };
        self.slowdowns = match last {
            Some((_, Change::Slowed | Change::Reverted)) => self.slowdowns.saturating_add(1),
            Some((_, Change::Raised)) | None => 1,
        };
        if self.slowdowns == 1 {
            self.interval_before = self.interval;
        }
        self.interval = match self.slowdowns <= MAX_SLOWDOWNS {
            true => slower.min(MAX_INTERVAL).max(self.floor),
            false => self.interval_before,
        };
        self.due = Some(now + self.interval);
        self.change = Some((now, change));
    }

    /// Increases the rate by a step after enough time without a refusal.
    fn speed_up(&mut self, now: Instant) {
        let Some((at, change)) = self.change else { return };
        let hold = if change == Change::Raised {
            STEP_TIME.max(self.interval * 10)
        } else {
            self.quiet_time
        };
        if self.interval > self.floor && now - at >= hold {
            self.interval = self.interval.div_f64(STEP).max(self.floor);
            self.change = Some((now, Change::Raised));
        }
    }
}
