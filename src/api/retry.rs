//! Decides whether and when to retry a failed attempt. It is pure.

use std::time::Duration;

use super::Failure;

/// How long to retry one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Maximum time from the first attempt, for failures that may be transient: refusals, timeouts, server errors.
    pub limit: Duration,
    /// Maximum delay between two attempts, unless the server demands more.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(300),
            longest_wait: Duration::from_secs(30),
        }
    }
}

/// What to do about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Retry after this delay.
    Wait(Duration),
    /// The failure may be transient, but the retry limit is reached: run again later.
    GiveUp,
    /// A retry cannot succeed: the user must act.
    Fail,
}

/// The state of the attempts for a page.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Number of attempts, at least 1.
    pub number: u32,
    /// Time since the first attempt began.
    pub elapsed: Duration,
    /// Whether this server has returned a page in this run. If not, the address is probably wrong, and the user is
    /// waiting.
    pub server_known: bool,
}

/// Retry limit for a server that has never returned a page.
const STRANGER_LIMIT: Duration = Duration::from_secs(20);
/// Maximum number of unreadable pages from a server that has never returned a page.
const STRANGER_BAD_PAGES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Decides by the failure, the attempt and a random number in `0.0..1.0`.
#[must_use]
pub fn decide(failure: &Failure, attempt: Attempt, retry_policy: RetryPolicy, random: f64) -> Decision {
    if !failure.is_transient() {
        return Decision::Fail;
    }
    let bad_page = matches!(failure, Failure::BadPage(_));
    if bad_page && !attempt.server_known && attempt.number >= STRANGER_BAD_PAGES {
        return Decision::Fail;
    }
    let unreachable = bad_page || failure.is_unreachable();
    let limit = if unreachable && !attempt.server_known {
        retry_policy.limit.min(STRANGER_LIMIT)
    } else {
        retry_policy.limit
    };
    let wait = match failure.retry_after() {
        // respect the server's wait, but repeated waits of 0 would be a busy loop
        Some(requested) => {
            requested.max(backoff(attempt.number, retry_policy.longest_wait, random).min(FIRST_WAIT))
        }
        None => backoff(attempt.number, retry_policy.longest_wait, random),
    };
    if attempt.elapsed.saturating_add(wait) > limit {
        if bad_page {
            Decision::Fail
        } else {
            Decision::GiveUp
        }
    } else {
        Decision::Wait(wait)
    }
}

/// Returns the delay: it doubles from half a second up to a maximum, with jitter in its upper half so that chains do
/// not retry at the same time.
fn backoff(attempt: u32, longest: Duration, random: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled.min(longest).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::super::TlsError;
    use super::*;

    const PATIENCE: RetryPolicy = RetryPolicy {
        limit: Duration::from_secs(300),
        longest_wait: Duration::from_secs(30),
    };

    fn known(number: u32, elapsed: u64) -> Attempt {
        Attempt {
            number,
            elapsed: Duration::from_secs(elapsed),
            server_known: true,
        }
    }

    fn status(status: u16) -> Failure {
        Failure::Status {
            status,
            retry_after: None,
            excerpt: String::new(),
        }
    }

    #[test]
    fn every_status_is_listed() {
        let retried: Vec<u16> = (300..600)
            .filter(|&s| matches!(decide(&status(s), known(1, 0), PATIENCE, 0.5), Decision::Wait(_)))
            .collect();
        let mut expected = vec![408, 425, 429];
        expected.extend((500..600).filter(|s| ![501, 505].contains(s)));
        assert_eq!(retried, expected);
        for refused in [
            400, 401, 403, 404, 405, 410, 413, 414, 422, 501, 505, 301, 302, 307,
        ] {
            assert_eq!(
                decide(&status(refused), known(1, 0), PATIENCE, 0.5),
                Decision::Fail,
                "{refused}"
            );
        }
    }

    #[test]
    fn every_failure_is_listed() {
        let healing = [
            Failure::Connect("refused".into()),
            Failure::Timeout,
            Failure::ConnectionLost("reset".into()),
            Failure::BadPage("truncated".into()),
        ];
        for failure in healing {
            assert!(
                matches!(decide(&failure, known(1, 0), PATIENCE, 0.5), Decision::Wait(_)),
                "{failure}"
            );
        }
        let lasting = [
            Failure::TooLarge { limit: 1 },
            Failure::Redirect {
                to: "elsewhere".into(),
            },
            Failure::Tls(TlsError::UnknownIssuer),
        ];
        for failure in lasting {
            assert_eq!(
                decide(&failure, known(1, 0), PATIENCE, 0.5),
                Decision::Fail,
                "{failure}"
            );
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_are_jittered() {
        let wait = |number, random| match decide(&Failure::Timeout, known(number, 0), PATIENCE, random) {
            Decision::Wait(wait) => wait.as_millis(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [wait(1, 1.0), wait(2, 1.0), wait(3, 1.0), wait(9, 1.0)],
            [500, 1000, 2000, 30_000]
        );
        assert_eq!([wait(1, 0.0), wait(9, 0.0), wait(60, 0.0)], [250, 15_000, 15_000]);
    }

    #[test]
    fn the_servers_word_counts_but_at_once_is_no_hot_loop() {
        let requested = |secs| Failure::Status {
            status: 429,
            retry_after: Some(Duration::from_secs(secs)),
            excerpt: String::new(),
        };
        assert_eq!(
            decide(&requested(7), known(1, 0), PATIENCE, 0.5),
            Decision::Wait(Duration::from_secs(7))
        );
        assert!(
            matches!(decide(&requested(0), known(1, 0), PATIENCE, 0.5), Decision::Wait(w) if w.as_millis() >= 250)
        );
        for long in [301, 4000, u64::MAX] {
            assert_eq!(
                decide(&requested(long), known(1, 1), PATIENCE, 0.5),
                Decision::GiveUp
            );
        }
    }

    #[test]
    fn limits_are_in_time_not_in_tries() {
        assert!(matches!(
            decide(&Failure::Timeout, known(50, 200), PATIENCE, 0.5),
            Decision::Wait(_)
        ));
        assert_eq!(
            decide(&Failure::Timeout, known(2, 300), PATIENCE, 0.5),
            Decision::GiveUp
        );
        assert_eq!(
            decide(&Failure::BadPage("x".into()), known(9, 300), PATIENCE, 0.5),
            Decision::Fail
        );
    }

    #[test]
    fn a_server_that_never_answered_is_given_up_sooner() {
        let stranger = |number, elapsed| Attempt {
            server_known: false,
            ..known(number, elapsed)
        };
        assert_eq!(
            decide(&Failure::BadPage("<html>".into()), stranger(3, 2), PATIENCE, 0.5),
            Decision::Fail
        );
        assert_eq!(
            decide(
                &Failure::Connect("refused".into()),
                stranger(9, 20),
                PATIENCE,
                0.5
            ),
            Decision::GiveUp
        );
        assert!(matches!(
            decide(&status(503), stranger(9, 60), PATIENCE, 0.5),
            Decision::Wait(_)
        ));
    }
}
