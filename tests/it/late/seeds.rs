//! Each kind with many seeds, several at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::kinds::Kind;
use crate::chance::{Chance, number_from};
use crate::lifecycle::Reader;

/// If set, so many seeds of each kind instead of one.
const SEEDS: &str = "CONVERSE_EXPORT_TEST_LATE_SEEDS";
/// If set, so many conversations in each archive instead of the gate's.
const CONVERSATIONS: &str = "CONVERSE_EXPORT_TEST_LATE_CONVERSATIONS";
/// Most of the time a run waits for answers.
const SIDE_BY_SIDE: usize = 4;

/// What came of the seeds of one kind.
#[derive(Default)]
struct Outcome {
    requests: Vec<u64>,
    lost: usize,
    failed: usize,
}

/// Tries each kind with each seed. Prints the seeds that fail, and a line for each kind.
pub(super) fn try_each(kinds: &[Kind]) {
    let first = Chance::seed();
    let (seeds, conversations) = (number_from(SEEDS, 1), number_from(CONVERSATIONS, 4_000));
    let begin = Instant::now();
    let next = AtomicUsize::new(0);
    let outcomes: Vec<Mutex<Outcome>> = kinds.iter().map(|_| Mutex::default()).collect();
    let work = || {
        let mut reader = Reader::start();
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let (kind, seed) = (nth % kinds.len(), first + (nth / kinds.len()) as u64);
            if seed >= first + seeds {
                return;
            }
            let tried = kinds[kind].try_seed(seed, conversations, &mut reader);
            let mut outcome = outcomes[kind].lock().unwrap();
            match tried {
                Ok(requests) => outcome.requests.push(requests),
                Err(what) => {
                    println!(
                        "{}: CONVERSE_EXPORT_TEST_SEED={seed} fails: {what}",
                        kinds[kind].name
                    );
                    outcome.lost += usize::from(what.contains("LOST"));
                    outcome.failed += 1;
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(work);
        }
    });
    println!("{:60} seeds  lost failed median  most  requests", "kind");
    let mut failed = 0;
    for (kind, outcome) in kinds.iter().zip(outcomes) {
        let Outcome {
            mut requests,
            lost,
            failed: failures,
        } = outcome.into_inner().unwrap();
        requests.sort_unstable();
        let median = requests.get(requests.len() / 2).copied().unwrap_or(0);
        let most = requests.last().copied().unwrap_or(0);
        println!(
            "{:60} {seeds:5} {lost:5} {failures:6} {median:6} {most:5}",
            kind.name
        );
        failed += failures;
    }
    println!("{:.0} s", begin.elapsed().as_secs_f64());
    assert_eq!(failed, 0, "seeds that fail are named above");
}
