//! Conditional writes through a store with faults: the outcome is always the truth.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use converse_export::store::fault::{Counts, FaultStore, Faults};
use converse_export::store::{LocalStore, RemoteStore, Store, Written};

fn stores() -> (tempfile::TempDir, [Arc<dyn Store>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let disk = LocalStore::new(folder.path());
    let memory = RemoteStore::new(Arc::new(object_store::memory::InMemory::new()), "", "memory:");
    (folder, [Arc::new(disk), Arc::new(memory)])
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[test]
fn invariant_13_the_outcome_of_a_conditional_write_is_the_truth() {
    let faults = Faults {
        refused: 0.1,
        lost: 0.1,
        delayed: 0.05,
        conflict: 0.1,
        delay: Duration::from_millis(1),
    };
    let (_folder, stores) = stores();
    for inner in stores {
        let writers: Vec<_> = (0..2)
            .map(|seed| FaultStore::new(Arc::clone(&inner), faults, seed))
            .collect();
        let mut unknown = 0;
        for number in 0..60 {
            let key = format!("log/{number:020}");
            // alternately one of them is first, and both want the number
            for own in [number % 2, 1 - number % 2] {
                let before = inner.get(&key).unwrap();
                let written = writers[own].put_new(&key, bytes(&format!("{number} by {own}")));
                let (found, version) = match inner.get(&key).unwrap() {
                    Some(found) => found,
                    None => {
                        assert!(written.is_err(), "nothing was written");
                        unknown += 1;
                        continue;
                    }
                };
                let is_ours = found == format!("{number} by {own}");
                match written {
                    Ok(Written::Done(returned)) => assert!(is_ours && returned.is(&version)),
                    Ok(Written::Lost) => assert!(!is_ours),
                    Err(_) => unknown += 1,
                }
                assert!(
                    before.is_none_or(|(before, _)| before == found),
                    "nothing is overwritten"
                );
            }
            let (_, version) = inner.get(&key).unwrap().unwrap();
            let replaced = writers[0].replace(&key, bytes("replaced"), &version);
            let found = inner.get(&key).unwrap().unwrap();
            match replaced {
                Ok(Written::Done(returned)) => assert!(found.0 == "replaced" && returned.is(&found.1)),
                Ok(Written::Lost) => panic!("nobody else wrote"),
                Err(_) => unknown += 1,
            }
            let stale = writers[1].replace(&key, bytes("stale"), &version);
            assert!(!matches!(stale, Ok(Written::Done(_))), "the version is gone");
            assert_eq!(inner.get(&key).unwrap().unwrap().0, found.0);
        }
        let faults: u64 = writers.iter().map(|writer| writer.counts().faults).sum();
        println!("{}: {faults} faults, {unknown} unknown outcomes", inner.place());
        assert!(faults > 50 && unknown < 10, "{faults} faults, {unknown} unknown");
    }
}

#[test]
fn a_conflict_is_not_a_lost_race() {
    let (_folder, stores) = stores();
    for inner in stores {
        let faults = Faults {
            conflict: 1.0,
            ..Faults::default()
        };
        let store = FaultStore::new(Arc::clone(&inner), faults, 1);
        store.put_new("x", bytes("x")).unwrap_err();
        assert!(inner.get("x").unwrap().is_none());
        assert_eq!(store.counts().objects_written, 0);
    }
}

#[test]
fn a_lost_answer_of_a_write_that_was_done_is_a_success() {
    let (_folder, stores) = stores();
    for inner in stores {
        // with this seed the first write is lost, and the read after it is not
        let faults = Faults {
            lost: 0.5,
            ..Faults::default()
        };
        let outcome = (0..100).find_map(|seed| {
            let store = FaultStore::new(Arc::clone(&inner), faults, seed);
            let key = format!("{seed}");
            let written = store.put_new(&key, bytes("ours")).unwrap();
            let Counts {
                faults,
                objects_written,
                ..
            } = store.counts();
            assert_eq!(objects_written, 1, "it is written once");
            (faults > 0).then_some(written)
        });
        assert!(matches!(outcome, Some(Written::Done(_))));
    }
}

#[test]
fn everything_that_is_written_counts() {
    let (_folder, stores) = stores();
    for inner in stores {
        let store = FaultStore::new(inner, Faults::default(), 1);
        let version = store.put("a", bytes("12345")).unwrap();
        let _ = store.put_new("b", bytes("123")).unwrap();
        let _ = store.replace("a", bytes("1"), &version).unwrap();
        store.get("a").unwrap();
        store.list("", None).unwrap();
        store.delete(&["a", "b"]).unwrap();
        assert_eq!(
            store.counts(),
            Counts {
                operations: 6,
                objects_written: 3,
                bytes_written: 9,
                bytes_read: 1,
                removals: 2,
                faults: 0,
            }
        );
    }
}
