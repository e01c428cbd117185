//! The server's clock, which tests can set and move.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// The time that the simulated server believes it is: its `Date` header says so, and records later than it
/// are not visible. Clones share one clock, so a test keeps a clone to move it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<Mode>>);

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// Microseconds ahead of this machine's clock.
    Ahead(i64),
    /// Unix microseconds.
    Fixed(i64),
}

impl Default for Clock {
    fn default() -> Self {
        Self::ahead(0)
    }
}

impl Clock {
    /// Runs `seconds` ahead of this machine's clock, behind it where negative.
    #[must_use]
    pub fn ahead(seconds: i64) -> Self {
        Self(Arc::new(Mutex::new(Mode::Ahead(micros(seconds)))))
    }

    /// Stands still at `seconds` (Unix) until it is moved.
    #[must_use]
    pub fn fixed(seconds: i64) -> Self {
        Self(Arc::new(Mutex::new(Mode::Fixed(micros(seconds)))))
    }

    /// Stands still at `seconds` (Unix) from now on, whatever it did before.
    pub fn set(&self, seconds: i64) {
        self.change(|_| Mode::Fixed(micros(seconds)));
    }

    /// Moves on by `seconds`; a standing clock stands still again after that.
    pub fn advance(&self, seconds: i64) {
        self.change(|mode| match mode {
            Mode::Ahead(by) => Mode::Ahead(by.saturating_add(micros(seconds))),
            Mode::Fixed(at) => Mode::Fixed(at.saturating_add(micros(seconds))),
        });
    }

    /// The time now, in Unix microseconds.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Mode::Ahead(by) => machine_us().saturating_add(by),
            Mode::Fixed(at) => at,
        }
    }

    fn change(&self, moved: impl FnOnce(Mode) -> Mode) {
        let mut mode = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *mode = moved(*mode);
    }
}

/// As HTTP writes it: `Sun, 01 Oct 2023 00:00:00 GMT`.
pub(super) fn http_date(us: i64) -> String {
    let at = Timestamp::from_microsecond(us).unwrap_or_default();
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .unwrap_or_default()
}

/// The machine's own time, in microseconds.
pub(super) fn machine_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

pub(super) fn micros(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_clock() {
        let clock = Clock::fixed(100);
        let seen = clock.clone();
        clock.advance(20);
        assert_eq!(seen.now_us(), 120_000_000);
        seen.set(5);
        assert_eq!(clock.now_us(), 5_000_000);
    }

    #[test]
    fn a_running_clock_keeps_its_distance() {
        let clock = Clock::ahead(-86_400);
        let before = machine_us() - 86_400_000_000;
        let now = clock.now_us();
        let after = machine_us() - 86_400_000_000;
        assert!((before..=after).contains(&now));
    }

    #[test]
    fn dates_are_written_as_http_wants_them() {
        assert_eq!(http_date(1_696_118_400_000_000), "Sun, 01 Oct 2023 00:00:00 GMT");
    }
}
