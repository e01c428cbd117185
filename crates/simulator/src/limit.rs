//! Counting requests against a limit, in three of the ways that servers do it.

use std::collections::VecDeque;
use std::time::Duration;

use super::choices::Counting;

/// The limit of one endpoint.
#[derive(Debug)]
pub(super) struct Limit {
    counting: Counting,
    /// How many requests a full span has.
    capacity: u32,
    /// How long `capacity` requests last.
    span: Duration,
    /// When the requests that still matter were admitted.
    admitted: VecDeque<Duration>,
    /// The bucket, as the moment at which it is full again.
    full_at: Duration,
}

impl Limit {
    /// `None` where `per_second` is 0: no limit. A rate below 1 is one request in so many seconds.
    pub(super) fn new(per_second: f64, counting: Counting) -> Option<Self> {
        if per_second <= 0.0 {
            return None;
        }
        let (mut capacity, mut whole) = (0_u32, 0.0);
        while whole < per_second {
            capacity += 1;
            whole += 1.0;
        }
        let span = Duration::from_secs_f64(whole / per_second);
        Some(Self {
            counting,
            capacity,
            span,
            admitted: VecDeque::new(),
            full_at: Duration::ZERO,
        })
    }

    /// Admits a request at `now` (since any fixed moment, for calendar seconds a whole second), or says how
    /// long it must wait. A refused request does not count.
    pub(super) fn admit(&mut self, now: Duration) -> Result<(), Duration> {
        match self.counting {
            Counting::TokenBucket => {
                let one = self.span / self.capacity;
                let full_at = self.full_at.max(now) + one;
                let over = full_at.saturating_sub(now + self.span);
                // A nanosecond of rounding for each request must not refuse one.
                if over > Duration::from_micros(1) {
                    return Err(over);
                }
                self.full_at = full_at;
                Ok(())
            }
            Counting::CalendarSecond => {
                let into = Duration::from_nanos_u128(now.as_nanos() % self.span.as_nanos());
                self.admit_since(now, now - into)
            }
            Counting::SlidingSecond => {
                let since = (now + Duration::from_nanos(1)).saturating_sub(self.span);
                self.admit_since(now, since)
            }
        }
    }

    fn admit_since(&mut self, now: Duration, since: Duration) -> Result<(), Duration> {
        while self.admitted.front().is_some_and(|at| *at < since) {
            self.admitted.pop_front();
        }
        if self.admitted.len() < self.capacity as usize {
            self.admitted.push_back(now);
            return Ok(());
        }
        let free_at = match self.counting {
            Counting::SlidingSecond => self.admitted.front().map_or(now, |first| *first + self.span),
            Counting::CalendarSecond | Counting::TokenBucket => since + self.span,
        };
        Err(free_at.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(per_second: f64, counting: Counting) -> Limit {
        Limit::new(per_second, counting).unwrap()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_bucket_holds_one_second_and_fills_evenly() {
        let mut bucket = limit(3.0, Counting::TokenBucket);
        let burst: Vec<bool> = (0..5).map(|_| bucket.admit(ms(10_000)).is_ok()).collect();
        assert_eq!(burst, [true, true, true, false, false]);
        let wait = bucket.admit(ms(10_000)).unwrap_err();
        assert!(wait > ms(333) && wait < ms(334), "{wait:?}");
        assert_eq!(bucket.admit(ms(10_334)), Ok(()));
        assert!(bucket.admit(ms(10_340)).is_err());
        // After a pause there is one second's worth again, and no more.
        assert_eq!((0..9).filter(|_| bucket.admit(ms(60_000)).is_ok()).count(), 3);
    }

    #[test]
    fn calendar_seconds_allow_two_bursts_at_their_seam() {
        let mut calendar = limit(3.0, Counting::CalendarSecond);
        assert_eq!((0..4).filter(|_| calendar.admit(ms(1_990)).is_ok()).count(), 3);
        assert_eq!(calendar.admit(ms(1_995)), Err(ms(5)));
        assert_eq!((0..4).filter(|_| calendar.admit(ms(2_000)).is_ok()).count(), 3);
    }

    #[test]
    fn a_sliding_second_allows_no_burst_at_any_seam() {
        let mut sliding = limit(3.0, Counting::SlidingSecond);
        assert_eq!((0..4).filter(|_| sliding.admit(ms(1_990)).is_ok()).count(), 3);
        assert_eq!(sliding.admit(ms(2_000)), Err(ms(990)));
        assert!(sliding.admit(ms(2_989)).is_err());
        assert_eq!(sliding.admit(ms(2_990)), Ok(()));
    }

    #[test]
    fn slow_rates_and_no_limit() {
        for counting in [
            Counting::TokenBucket,
            Counting::CalendarSecond,
            Counting::SlidingSecond,
        ] {
            let mut slow = limit(0.5, counting);
            assert_eq!(slow.admit(ms(4_000)), Ok(()));
            assert_eq!(slow.admit(ms(5_000)), Err(ms(1_000)), "{counting:?}");
            assert_eq!(slow.admit(ms(6_000)), Ok(()));
        }
        assert!(Limit::new(0.0, Counting::TokenBucket).is_none());
    }
}
