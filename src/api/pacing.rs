//! When the next request of one endpoint may go: a pure account, into which time comes as an argument.
//!
//! Requests go evenly, a hair under the limit that was asked for. A refusal eases the pace to what the server
//! has just shown to bear. From there it climbs again: after a while of peace, step by step, and each time
//! that a step is refused the next try is twice as far away.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How far the pace stays under the limit: a server that counts by the last second must not see one request
/// too many because two of them travelled unevenly.
pub(super) const HEADROOM: f64 = 1.025;
/// What servers count requests by.
const SECOND: Duration = Duration::from_secs(1);
/// The wait after a refusal that names none.
pub(super) const DEFAULT_PAUSE: Duration = SECOND;
/// No pause is longer, whatever a server says: there are numbers that no clock can reach.
const MAX_PAUSE: Duration = Duration::from_secs(365 * 24 * 3600);
/// A server that counts by the second, whichever second, refuses within this long or bears the pace.
const FAST_REFUSAL: Duration = Duration::from_millis(1500);
/// A timer that woke up so late, or a quarter of an interval, is made up for.
const TIMER_DELAY: Duration = Duration::from_millis(50);
/// A step up.
const STEP: f64 = 1.05;
/// How long a step must hold before the next one; at least ten requests.
const STEP_TIME: Duration = Duration::from_secs(2);
/// How long after a refusal the first step is tried, and the longest that this grows to.
const QUIET_TIME: Duration = Duration::from_secs(15);
const MAX_QUIET_TIME: Duration = Duration::from_secs(240);
/// So often the pace eases without a while of peace between. A server that goes on refusing has other reasons
/// than the pace: it gets its pauses only, and the pace is what it was before.
const MAX_SLOWDOWNS: u32 = 8;
/// Requests a second that a server without a limit is thought to bear at least when it refuses the first time.
const ASSUMED_RATE: f64 = 10.0;
/// However much is refused, a request goes this often.
const MAX_INTERVAL: Duration = Duration::from_secs(10);

/// A request that went, with what the pace knew at that moment.
#[derive(Clone, Copy, Debug)]
pub struct SendTicket {
    /// The moments of refusal before it.
    round: u32,
    interval: Duration,
    /// How long the server had been asked without a rest, and how often.
    busy: (Duration, u32),
    /// How often it had been asked within the last second of that.
    last_second: u32,
}

impl SendTicket {
    /// The interval that the server may be thought to bear, if it refused this one and none before it.
    ///
    /// Whoever counts by the second says so at once, having taken as many as it bears. Yet where calendar seconds
    /// count, the last second may have had a share of two of them: a third comes off at least, or less where the
    /// pace was eased just now. And others may have had a share of what it bears: more than half does not come
    /// off. Whoever says so later had a second's worth to spare at first (a token bucket), and that is spent.
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
            // no way of counting takes more than twice in one second what it bears
            steady.min(pacing / STEP).max(last_second / 2.0)
        };
        Duration::from_secs_f64(1.0 / sustainable_interval)
    }
}

/// How the pace changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// To what the server was thought to bear.
    Slowed,
    Raised,
    /// Back from a step that was refused.
    Reverted,
}

/// The pace of one endpoint.
#[derive(Debug)]
pub(super) struct RequestPacing {
    /// Between two requests; zero means no limit.
    interval: Duration,
    /// What `interval` may not go below: the limit that was asked for.
    floor: Duration,
    /// When the next request is due.
    due: Option<Instant>,
    paused_until: Option<Instant>,
    /// When the requests that still matter went, oldest first.
    sent: VecDeque<Instant>,
    /// Since when, and how often, the server is asked without a rest.
    busy: Option<(Instant, u32)>,
    /// Counts the moments of refusal.
    round: u32,
    /// When the interval changed last, and how.
    change: Option<(Instant, Change)>,
    /// How often the pace eased since the last step up or while of peace, and the interval before that.
    slowdowns: u32,
    interval_before: Duration,
    /// How long after a refusal the next step is tried.
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

    /// How many requests may go within how long: about a second's worth.
    fn window(&self) -> Option<(usize, Duration)> {
        if self.interval.is_zero() {
            return None;
        }
        let many = (1.0 / self.interval.as_secs_f64()).ceil().max(1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded by the flag's own range
        Some((many as usize, self.interval.mul_f64(many)))
    }

    /// When the next request may go, not before `now`.
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

    /// A request goes now. A timer that woke a little late does not slow the pace: the next request is due
    /// when it was, while the window over the last second keeps the limit itself.
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

    /// The server refused a request: everybody waits, and the pace eases.
    pub(super) fn refused(&mut self, sent: &SendTicket, now: Instant, pause: Duration) {
        let until = now + pause.min(MAX_PAUSE);
        self.paused_until = Some(self.paused_until.map_or(until, |paused| paused.max(until)));
        // requests that were under way when the pace was eased say nothing of the new pace
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

    /// Takes a step up where there was peace for long enough.
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
