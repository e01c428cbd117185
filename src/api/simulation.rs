//! Tests the rate limiter against servers with a lower limit than requested, in virtual time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::{Attempt, Decision, Failure, RateLimiter, RetryPolicy, decide};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Counting {
    Bucket,
    Calendar,
    Sliding,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum RetryAfter {
    Seconds,
    Date,
    Missing,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    counting: Counting,
    retry_after: RetryAfter,
    /// Requests per second before and after a point in time.
    bears: (f64, f64, Duration),
    latency: Duration,
    refuses_at_once: bool,
    /// Offset of the server's start within a calendar second.
    phase: Duration,
    /// Every n-th request is refused for no reason; 0 means none.
    moody: u32,
}

struct Server {
    rule: Rule,
    begin: Instant,
    admitted: RefCell<VecDeque<Duration>>,
    tokens: Cell<(f64, Duration)>,
    requested: Cell<u32>,
}

impl Server {
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            begin: Instant::now(),
            admitted: RefCell::default(),
            tokens: Cell::new((f64::INFINITY, Duration::ZERO)),
            requested: Cell::new(0),
        }
    }

    /// Accepts a request, or returns the time to wait.
    fn take(&self) -> Result<(), Option<Duration>> {
        self.requested.set(self.requested.get() + 1);
        if self.rule.moody > 0 && self.requested.get().is_multiple_of(self.rule.moody) {
            return Err(Some(SECOND));
        }
        let (before, after, change) = self.rule.bears;
        let at = self.begin.elapsed();
        let bears = if at < change { before } else { after };
        let now = at + self.rule.phase;
        let mut admitted = self.admitted.borrow_mut();
        let wait = match self.rule.counting {
            Counting::Bucket => {
                let (tokens, since) = self.tokens.get();
                let tokens = (tokens + (now - since).as_secs_f64() * bears).min(bears);
                if tokens > 1.0 - 1e-6 {
                    self.tokens.set((tokens - 1.0, now));
                    return Ok(());
                }
                self.tokens.set((tokens, now));
                Duration::from_secs_f64((1.0 - tokens) / bears)
            }
            Counting::Calendar | Counting::Sliding => {
                let since = match self.rule.counting {
                    Counting::Calendar => Duration::from_secs(now.as_secs()),
                    _ => (now + Duration::from_nanos(1)).saturating_sub(SECOND),
                };
                while admitted.front().is_some_and(|at| *at < since) {
                    admitted.pop_front();
                }
                if (admitted.len() as f64) < bears {
                    admitted.push_back(now);
                    return Ok(());
                }
                let first = match self.rule.counting {
                    Counting::Calendar => since,
                    _ => admitted[0],
                };
                first + SECOND - now
            }
        };
        let whole = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        Err(match self.rule.retry_after {
            RetryAfter::Seconds => Some(whole),
            // a date has whole seconds: use the next one
            RetryAfter::Date => {
                let at = (now + whole).as_secs() + 1;
                Some(Duration::from_secs(at) - now)
            }
            RetryAfter::Missing => None,
        })
    }
}

struct Measured {
    requests: f64,
    refused: f64,
    wall: f64,
    pacing: f64,
}

/// Fetches `pages` pages at the rate `requested`, with as many requests in flight as the latency needs.
async fn export(rule: Rule, requested: f64, pages: u32) -> Measured {
    let rate_limiter = RateLimiter::new(requested);
    let server = Server::new(rule);
    let (left, requests, refused) = (Cell::new(pages), Cell::new(0.0), Cell::new(0.0));
    let worker = async |number: u64| {
        while let Some(rest) = left.get().checked_sub(1) {
            left.set(rest);
            let mut sent = rate_limiter.permit().await.unwrap().spend();
            let begin = Instant::now();
            for attempt in 1.. {
                requests.set(requests.get() + 1.0);
                let answer = server.take();
                if answer.is_ok() || !rule.refuses_at_once {
                    sleep(rule.latency).await;
                }
                let Err(retry_after) = answer else { break };
                refused.set(refused.get() + 1.0);
                rate_limiter.refused(&sent, retry_after);
                let failure = Failure::Status {
                    status: 429,
                    retry_after,
                    excerpt: String::new(),
                };
                let attempt = Attempt {
                    number: attempt,
                    elapsed: begin.elapsed(),
                    server_known: true,
                };
                let random = (number * 37 % 10) as f64 / 10.0;
                match decide(&failure, attempt, RetryPolicy::default(), random) {
                    Decision::Wait(wait) => sleep(wait).await,
                    other => panic!("{other:?}"),
                }
                let permit = rate_limiter.permit().await.unwrap();
                // the task runs late, as on a busy machine
                sleep(Duration::from_millis(number % 3)).await;
                sent = permit.spend();
            }
        }
    };
    let mut workers = vec![worker(0), worker(1)];
    while (workers.len() as f64) < requested * rule.latency.as_secs_f64() + 2.0 {
        workers.push(worker(workers.len() as u64));
    }
    join_all(workers).await;
    Measured {
        requests: requests.get(),
        refused: refused.get(),
        wall: server.begin.elapsed().as_secs_f64(),
        pacing: rate_limiter.per_second(),
    }
}

/// All ways to count, to send `Retry-After`, to respond to a refusal, and all offsets within a second.
fn rules(bears: f64, latency: Duration) -> Vec<Rule> {
    let mut rules = Vec::new();
    for counting in [Counting::Bucket, Counting::Calendar, Counting::Sliding] {
        for retry_after in [RetryAfter::Seconds, RetryAfter::Date, RetryAfter::Missing] {
            for refuses_at_once in [true, false] {
                for tenth in 0..10 {
                    rules.push(Rule {
                        counting,
                        retry_after,
                        bears: (bears, bears, Duration::MAX),
                        latency,
                        refuses_at_once,
                        phase: Duration::from_secs(1000) + tenth * SECOND / 10 + Duration::from_millis(7),
                        moody: 0,
                    });
                }
            }
        }
    }
    rules
}

async fn bears_less(requested: f64, bears: f64, latency: Duration, pages: u32, most: f64) {
    for rule in rules(bears, latency) {
        let measured = export(rule, requested, pages).await;
        let share = measured.refused / measured.requests;
        let ratio = measured.wall / (f64::from(pages) / bears + latency.as_secs_f64());
        assert!(share < 0.05, "{rule:?}: {share} of the requests were refused");
        assert!(ratio < most, "{rule:?}: {ratio} times the time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_bears_20_of_30() {
    bears_less(30.0, 20.0, Duration::from_millis(300), 200, 1.25).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_bears_20_of_30_for_long() {
    bears_less(30.0, 20.0, Duration::from_millis(300), 1000, 1.25).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_bears_2_of_3() {
    bears_less(3.0, 2.0, SECOND, 200, 1.25).await;
}

#[tokio::test(start_paused = true)]
async fn other_limits_are_found_too() {
    // close to the limit the first estimate, one third less, is farthest from the truth
    for (requested, bears, most) in [
        (30.0, 28.0, 1.35),
        (30.0, 25.0, 1.25),
        (30.0, 19.0, 1.25),
        (30.0, 15.0, 1.25),
        (30.0, 10.0, 1.25),
        (30.0, 5.0, 1.25),
        (3.0, 1.0, 1.25),
    ] {
        bears_less(requested, bears, Duration::from_millis(300), 1000, most).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_pace_comes_back_when_the_server_bears_more() {
    for rule in rules(20.0, Duration::from_millis(300)) {
        let rule = Rule {
            bears: (20.0, 30.0, Duration::from_secs(20)),
            ..rule
        };
        let measured = export(rule, 30.0, 3000).await;
        assert!(measured.pacing > 29.0, "{rule:?}: {} a second", measured.pacing);
        assert!(
            measured.wall < 3000.0 / 30.0 * 1.25,
            "{rule:?}: {}",
            measured.wall
        );
    }
}

#[tokio::test(start_paused = true)]
async fn invariant_9_no_way_of_counting_refuses_what_was_asked_right() {
    for (bears, latency) in [(3.0, 1000), (20.0, 300), (30.0, 300), (1.0, 300)] {
        for rule in rules(bears, Duration::from_millis(latency)) {
            let measured = export(rule, bears, 200).await;
            assert!(measured.refused < 1.0, "{rule:?}");
            let least = 200.0 / bears + rule.latency.as_secs_f64();
            assert!(measured.wall < least * 1.05, "{rule:?}: {} s", measured.wall);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_without_a_reason_do_not_bring_it_to_a_halt() {
    for (requested, moody) in [(30.0, 50), (3.0, 50), (0.0, 50), (0.0, 7)] {
        let rule = Rule {
            moody,
            ..rules(1000.0, Duration::from_millis(300))[0]
        };
        let measured = export(rule, requested, 1000).await;
        assert!(measured.pacing > 1.0, "{rule:?}: {} a second", measured.pacing);
    }
}
