//! A table's life: random operations, kills and damage, against a small model of what the table must contain.
//!
//! A failing seed is shrunk: operations are left out one at a time while it still fails.

mod life;
mod model;
mod operation;
mod reader;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use converse_export_simulator::Options;

use crate::chance::{Chance, number_from};
use life::Life;
use operation::{Operation, archive, operations};
pub(crate) use reader::Reader;

/// Where this is set, so many lives instead of the gate's.
const SEEDS: &str = "CONVERSE_EXPORT_TEST_LIFE_SEEDS";
/// Most of the time of a life is other processes'.
const SIDE_BY_SIDE: usize = 4;
/// So many failing seeds are enough to look at.
const MOST_FAILURES: usize = 5;

/// Lives the operations through; says what went wrong at which of them.
fn live(seed: u64, operations: &[Operation], reader: &mut Reader) -> Result<(), String> {
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let mut life = Life::new(seed, reader);
        for (nth, operation) in operations.iter().enumerate() {
            life.carry_out(operation)
                .map_err(|what| format!("operation {nth}: {what}"))?;
        }
        life.end().map_err(|what| format!("at the end: {what}"))
    }));
    lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        // the reader may have been left between a question and its answer
        *reader = Reader::start();
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Leaves operations out one at a time while the rest still fails; each rest gets two tries, since not all is decided by
/// the seed.
fn shrink(seed: u64, operations: &[Operation], reader: &mut Reader) -> Option<(Vec<Operation>, String)> {
    let mut fails = |operations: &[Operation]| (0..2).find_map(|_| live(seed, operations, reader).err());
    let mut left = operations.to_vec();
    let mut what = fails(&left)?;
    let mut nth = 0;
    while nth < left.len() {
        let mut without = left.clone();
        without.remove(nth);
        match fails(&without) {
            Some(error) => (left, what) = (without, error),
            None => nth += 1,
        }
    }
    Some((left, what))
}

#[test]
fn a_table_has_what_it_must_have_whatever_happens_to_it() {
    let first = Chance::seed();
    let lives: u64 = number_from(SEEDS, 200);
    let next = AtomicU64::new(0);
    let failures: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let work = || {
        let mut reader = Reader::start();
        loop {
            let seed = first + next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + lives || failures.lock().unwrap().len() >= MOST_FAILURES {
                return;
            }
            let operations = operations(seed);
            let Err(what) = live(seed, &operations, &mut reader) else {
                continue;
            };
            println!("seed {seed} fails: {what}");
            let shrunk = shrink(seed, &operations, &mut reader);
            let (left, last) = shrunk.unwrap_or_else(|| (operations, "not again".to_owned()));
            let Options {
                order,
                filter,
                cursor,
                ..
            } = archive(seed);
            let failure = format!(
                "CONVERSE_EXPORT_TEST_SEED={seed} {SEEDS}=1 ({order:?}, {filter:?}, {cursor:?}): {what}\n  shrunk: \
                 {last}\n  {left:#?}"
            );
            println!("{failure}");
            failures.lock().unwrap().push(failure);
        }
    };
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
