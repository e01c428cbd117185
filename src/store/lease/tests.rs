use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::store::RemoteStore;
use crate::store::fault::{FaultStore, Faults};

const KEY: &str = "_export/lease";

fn memory() -> Arc<dyn Store> {
    let inner = object_store::memory::InMemory::new();
    Arc::new(RemoteStore::new(Arc::new(inner), "", "memory:"))
}

fn found(store: &dyn Store) -> Option<(Lease, Version)> {
    let (bytes, version) = store.get(KEY).unwrap()?;
    Some((serde_json::from_slice(&bytes).unwrap(), version))
}

/// A process of the model. It writes numbered commits while it believes that it may.
struct Process {
    claim: Claim,
    held: Option<Held>,
    /// The number of its next commit.
    number: usize,
    /// Whether a commit of its own epoch is in the log.
    has_fenced: bool,
    is_over: bool,
}

impl Process {
    fn new(name: usize) -> Self {
        Self {
            claim: Claim::new(&name.to_string(), "a test"),
            held: None,
            number: 0,
            has_fenced: false,
            is_over: false,
        }
    }

    /// What it does when it runs: one step of the claim, or a commit and a renewal. `log` has the epoch of each commit.
    fn run(&mut self, now: Duration, faulty: &dyn Store, inner: &dyn Store, log: &mut Vec<u64>) {
        if self.is_over {
            return;
        }
        let Some(held) = &mut self.held else {
            let Step::Write(lease, condition) = self.claim.step(now, found(inner).as_ref()) else {
                return;
            };
            let bytes = content(&lease).unwrap();
            let written = match condition {
                Condition::Absent => faulty.put_new(KEY, bytes),
                Condition::Is(version) => faulty.replace(KEY, bytes, &version),
            };
            if let Ok(Written::Done(version)) = written {
                self.held = Some(Held {
                    lease,
                    version,
                    since: now,
                });
                self.number = log.len();
            }
            return;
        };
        if self.number == log.len() {
            log.push(held.epoch());
            self.has_fenced = true;
            self.number += 1;
        } else if self.has_fenced {
            // the number is taken: another process has taken over
            self.is_over = true;
            return;
        } else {
            // the old holder committed before the fence: read the log again
            self.number = log.len();
        }
        if held.is_due(now) && matches!(renew(faulty, KEY, held, &|| now), Ok(false)) {
            self.is_over = true;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Processes stall at random, and the store loses answers. Epochs in the log only grow, and each is of one process.
    #[test]
    fn invariant_13_epochs_in_the_log_only_grow(
        seed in any::<u64>(),
        steps in prop::collection::vec((0..3_usize, 1..30_u64), 1..120),
    ) {
        let inner = memory();
        let faults = Faults { lost: 0.06, conflict: 0.02, ..Faults::default() };
        let faulty = FaultStore::new(Arc::clone(&inner), faults, seed);
        let mut processes: Vec<Process> = (0..3).map(Process::new).collect();
        let (mut log, mut now) = (Vec::new(), 0);
        let mut writers: Vec<(u64, usize)> = Vec::new();
        for (who, seconds) in steps {
            now += seconds;
            processes[who].run(Duration::from_secs(now), &faulty, inner.as_ref(), &mut log);
            if let Some(epoch) = log.get(writers.len()) {
                writers.push((*epoch, who));
            }
        }
        for pair in writers.windows(2) {
            prop_assert!(pair[0].0 < pair[1].0 || pair[0] == pair[1], "{writers:?}");
        }
    }
}

#[test]
fn a_lease_that_is_renewed_is_not_taken_over_and_one_that_is_not_is() {
    let store = memory();
    let mut claim = Claim::new("b", "process 2");
    let seconds = |now: u64| Duration::from_secs(now);
    let now = Cell::new(0);
    let clock = || seconds(now.get());
    let no_wait = |_: &Lease, _: Duration| panic!("it is free");
    let mut held = acquire(store.as_ref(), KEY, Claim::new("a", "process 1"), &clock, no_wait).unwrap();
    assert_eq!(held.epoch(), 1);
    for second in (0..600).step_by(5) {
        now.set(second);
        if held.is_due(clock()) {
            assert!(renew(store.as_ref(), KEY, &mut held, &clock).unwrap());
        }
        let step = claim.step(clock(), found(store.as_ref()).as_ref());
        assert!(matches!(step, Step::Look(_)), "at {second}");
        assert!(!held.is_expired(clock()));
    }
    // the holder dies; the other one watches
    let mut waited = Duration::ZERO;
    let taken = acquire(
        store.as_ref(),
        KEY,
        Claim::new("b", "process 2"),
        &clock,
        |lease, pause| {
            assert_eq!(lease.holder, "process 1");
            waited += pause;
            now.set(now.get() + pause.as_secs());
            Ok(())
        },
    );
    let taken = taken.unwrap();
    assert_eq!((taken.epoch(), waited), (2, EXPIRY));
    // the first one wakes: it is too late
    assert!(held.is_expired(clock()));
    assert!(!renew(store.as_ref(), KEY, &mut held, &clock).unwrap());
    release(store.as_ref(), KEY, held).unwrap();
    assert_eq!(
        found(store.as_ref()).unwrap().0.owner.as_deref(),
        Some("b"),
        "it stays with its holder"
    );
    // a lease that was given back is free at once, with a greater epoch
    release(store.as_ref(), KEY, taken).unwrap();
    let third = acquire(store.as_ref(), KEY, Claim::new("c", "process 3"), &clock, no_wait).unwrap();
    assert_eq!(third.epoch(), 3);
}

#[test]
fn waiting_can_be_given_up() {
    let store = memory();
    let clock = || Duration::ZERO;
    acquire(
        store.as_ref(),
        KEY,
        Claim::new("a", "process 1"),
        &clock,
        |_, _| Ok(()),
    )
    .unwrap();
    let given_up = acquire(
        store.as_ref(),
        KEY,
        Claim::new("b", "process 2"),
        &clock,
        |_, _| Err(Error::Interrupted),
    );
    assert!(matches!(given_up, Err(Error::Interrupted)));
}
