use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::store::fault::{FaultStore, Faults};
use crate::store::{LocalStore, RemoteStore};

/// Numbers by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Numbers(BTreeMap<String, u64>);

impl State for Numbers {
    type Change = (String, u64);

    fn apply(&mut self, (name, number): Self::Change) {
        self.0.insert(name, number);
    }
}

fn open(store: &Arc<dyn Store>, copies: bool) -> Opened<Numbers> {
    Log::open(store, copies).unwrap()
}

/// Appends so many commits.
fn append(opened: &mut Opened<Numbers>, commits: u64) {
    for _ in 0..commits {
        let number = opened.log.number() + 1;
        let change = (format!("n{}", number % 7), number);
        opened.state.apply(change.clone());
        opened.log.append(&change, &opened.state).unwrap();
        opened.last = Some(change);
    }
}

fn memory() -> Arc<dyn Store> {
    let memory = object_store::memory::InMemory::new();
    Arc::new(RemoteStore::new(Arc::new(memory), "lake", "memory:lake"))
}

fn keys(store: &Arc<dyn Store>) -> Vec<String> {
    let objects = store.list(FOLDER, None).unwrap();
    objects.into_iter().map(|object| object.key).collect()
}

#[test]
fn a_log_is_read_back_whatever_checkpoints_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let local: Arc<dyn Store> = Arc::new(LocalStore::new(folder.path()));
    for (store, copies) in [(memory(), false), (local, true)] {
        let mut opened = open(&store, copies);
        assert!(opened.log.is_empty() && opened.last.is_none());
        assert!(keys(&store).is_empty(), "opening a log writes nothing");
        for commits in [1, 48, 1, 1, 49, 60, 1] {
            append(&mut opened, commits);
            let again = open(&store, copies);
            assert_eq!(
                (again.state, again.log.number()),
                (opened.state.clone(), opened.log.number())
            );
            assert_eq!(again.last, opened.last);
        }
        // two checkpoints, and the commits after the older one
        let left = keys(&store);
        let checkpoints = left.iter().filter(|key| key.contains(".state.")).count();
        let commits = left.len() - checkpoints;
        assert_eq!(
            (checkpoints, commits),
            (2 * (1 + usize::from(copies)), 61 * (1 + usize::from(copies))),
            "{left:?}"
        );
    }
}

#[test]
fn a_damaged_or_missing_object_is_replaced_by_what_repeats_it() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(folder.path()));
    append(&mut open(&store, true), 113);
    let expected = open(&store, true).state;
    for key in keys(&store) {
        let path = folder.path().join(&key);
        let intact = std::fs::read(&path).unwrap();
        let mut damages = vec![Vec::new(), intact[..intact.len() - 1].to_vec()];
        damages.extend((0..intact.len()).map(|at| {
            let mut damaged = intact.clone();
            damaged[at] ^= 1 << (at % 8);
            damaged
        }));
        for damaged in damages {
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(open(&store, true).state, expected, "{key}");
        }
        std::fs::remove_file(&path).unwrap();
        let read = Log::<Numbers>::open(&store, true);
        // without its newest checkpoint, or its last commit and the copy, nothing shows that there was one
        assert_eq!(read.unwrap().state, expected, "{key}");
        std::fs::write(&path, &intact).unwrap();
    }
    // a commit and its copy
    for name in [
        "00000000000000000101.json.zst",
        "00000000000000000101.copy.json.zst",
    ] {
        std::fs::write(folder.path().join(FOLDER).join(name), "{").unwrap();
    }
    assert!(matches!(
        Log::<Numbers>::open(&store, true),
        Err(Error::Damaged { .. })
    ));
}

#[test]
fn a_log_of_a_newer_version_is_refused() {
    let store = memory();
    append(&mut open(&store, false), 1);
    let header = Header {
        version: VERSION + 1,
        number: 2,
        epoch: 1,
        attempt: String::new(),
        written: Timestamp::now(),
    };
    let key = Name {
        number: 2,
        kind: Kind::Commit,
    }
    .key();
    store.put(&key, object::encode(&header).unwrap()).unwrap();
    assert!(matches!(
        Log::<Numbers>::open(&store, false),
        Err(Error::Usage { .. })
    ));
}

#[test]
fn invariant_13_of_two_writers_the_stalled_one_stops() {
    let store = memory();
    let mut stalled = open(&store, false);
    append(&mut stalled, 3);
    let mut next = open(&store, false);
    append(&mut next, 1);
    let change = ("late".to_owned(), 1);
    let refused = stalled.log.append(&change, &stalled.state);
    assert!(matches!(refused, Err(Error::Overtaken { .. })), "{refused:?}");
    append(&mut next, 2 * COMMITS);
    // the commit of the next number was removed since, so that the number seems free
    let refused = stalled.log.append(&change, &stalled.state);
    assert!(matches!(refused, Err(Error::Overtaken { .. })), "{refused:?}");
    assert_eq!(open(&store, false).state, next.state);
}

/// Any operation may fail or its answer may be lost, and the process may end after any operation.
#[test]
fn invariant_13_a_log_equals_its_model_whatever_the_store_does() {
    for seed in 0..10 {
        let mut random = StdRng::seed_from_u64(seed);
        let inner = memory();
        let faults = Faults {
            refused: 0.1,
            lost: 0.1,
            conflict: 0.1,
            ..Faults::default()
        };
        let store: Arc<dyn Store> = Arc::new(FaultStore::new(Arc::clone(&inner), faults, seed));
        let mut model = Numbers::default();
        let mut opened: Option<Opened<Numbers>> = None;
        for step in 0..150 {
            let Some(now) = opened.as_mut().filter(|_| random.random_range(0..20) > 0) else {
                // a new process
                opened = Log::open(&store, false).ok();
                if let Some(opened) = &opened {
                    assert_eq!(opened.state, model, "seed {seed}, step {step}");
                }
                continue;
            };
            let change = (format!("n{}", random.random_range(0..9)), step);
            let mut after = now.state.clone();
            after.apply(change.clone());
            let appended = now.log.append(&change, &after);
            // after an error the outcome is what the store has
            let truth = open(&inner, false).state;
            assert!(truth == model || truth == after, "seed {seed}, step {step}");
            if appended.is_ok() {
                assert_eq!(truth, after, "seed {seed}, step {step}");
                now.state = after;
            } else {
                opened = None;
            }
            model = truth;
        }
    }
}

#[test]
fn invariant_12_the_cost_of_a_commit_does_not_grow_with_the_state() {
    let cost = |names: u64| {
        let store = Arc::new(FaultStore::new(memory(), Faults::default(), 0));
        let shared: Arc<dyn Store> = Arc::clone(&store) as _;
        let mut opened = open(&shared, false);
        opened
            .state
            .0
            .extend((0..names).map(|name| (format!("name {name}"), name)));
        let before = store.counts();
        append(&mut opened, COMMITS - 1);
        let after = store.counts();
        (
            after.objects_written - before.objects_written,
            after.bytes_written - before.bytes_written,
        )
    };
    let [(few, few_bytes), (many, many_bytes)] = [100, 36_500].map(cost);
    assert_eq!(few, many);
    assert!(
        many_bytes < few_bytes * 3 / 2,
        "{few_bytes} and {many_bytes} bytes"
    );
}
