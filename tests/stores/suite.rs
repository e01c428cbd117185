//! What every implementation of the port has to do.

use std::fs;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use converse_export::store::{Store, Version, Written, probe};

type Check = fn(&dyn Store, &str);

const CHECKS: [(&str, Check); 12] = [
    ("absent", absent_objects_are_none),
    ("written", what_is_written_is_read),
    ("keys", keys_are_used_byte_for_byte),
    ("listed", listings_are_sorted_and_complete),
    ("new", one_of_two_creations_succeeds),
    ("replaced", a_replacement_needs_the_present_version),
    ("race", one_of_many_writers_succeeds),
    ("ranges", ranges_belong_to_one_version),
    ("files", files_are_uploaded_and_downloaded),
    ("deleted", removed_objects_are_absent),
    ("invalid", invalid_keys_are_refused),
    ("threads", operations_work_on_every_thread),
];

/// Runs all checks in folders below `folder`, and the probe.
pub(crate) fn run(store: &Arc<dyn Store>, folder: &str) {
    for (name, check) in CHECKS {
        println!("{}: {name}", store.place());
        check(store.as_ref(), &format!("{folder}/{name}"));
    }
    probe(store.as_ref()).unwrap();
    assert!(
        store.list("_export/probe", None).unwrap().is_empty(),
        "the probe leaves nothing"
    );
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn keys(store: &dyn Store, folder: &str, after: Option<&str>) -> Vec<String> {
    let entries = store.list(folder, after).unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

fn content(store: &dyn Store, key: &str) -> Option<Bytes> {
    store.get(key).unwrap().map(|(bytes, _)| bytes)
}

fn absent_objects_are_none(store: &dyn Store, folder: &str) {
    let key = format!("{folder}/x/y");
    assert!(store.get(&key).unwrap().is_none());
    assert!(store.head(&key).unwrap().is_none());
    assert!(store.get_range(&key, 0..1, None).unwrap().is_none());
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("file");
    assert!(store.get_to_file(&key, &file).unwrap().is_none());
    assert!(!file.exists());
    assert!(keys(store, folder, None).is_empty());
    store.delete(&[&key]).unwrap();
    store.delete(&[]).unwrap();
    // a folder is no object, and an object is no folder
    store.put(&key, bytes("y")).unwrap();
    assert!(store.get(&format!("{folder}/x")).unwrap().is_none());
    assert!(store.head(&format!("{folder}/x")).unwrap().is_none());
    assert!(store.get(&format!("{key}/z")).unwrap().is_none());
    assert!(keys(store, &key, None).is_empty());
}

fn what_is_written_is_read(store: &dyn Store, folder: &str) {
    let key = format!("{folder}/object");
    let mut earlier: Vec<Version> = Vec::new();
    for text in ["one", "", "two", "one and more"] {
        let written = store.put(&key, bytes(text)).unwrap();
        let (read, version) = store.get(&key).unwrap().unwrap();
        assert_eq!(read, text);
        let head = store.head(&key).unwrap().unwrap();
        assert_eq!((head.key.as_str(), head.size), (key.as_str(), text.len() as u64));
        let listed = store.list(folder, None).unwrap().pop().unwrap();
        assert_eq!(
            (listed.key.as_str(), listed.size),
            (key.as_str(), text.len() as u64)
        );
        for other in [&version, &head.version, &listed.version] {
            assert!(written.is(other), "{written:?} {other:?}");
        }
        for before in &earlier {
            assert!(!written.is(before), "{written:?} {before:?}");
        }
        let stored = serde_json::to_string(&written).unwrap();
        assert!(written.is(&serde_json::from_str(&stored).unwrap()));
        earlier.push(written);
    }
}

fn keys_are_used_byte_for_byte(store: &dyn Store, folder: &str) {
    let names = [
        "bot=a b",
        "bot=a%20b",
        "bot=a%2520b",
        "bot=a+b",
        "bot=%C3%BC",
        "bot=\u{fc}",
        "bot=%2Fetc",
        "date=2023-10-01",
        "a&b='c',(d)!~@$;:",
        "_under.score-1",
        "%",
    ];
    let mut expected = Vec::new();
    for name in names {
        let key = format!("{folder}/{name}/part-0.parquet");
        store.put(&key, bytes(name)).unwrap();
        expected.push(key);
    }
    expected.sort();
    assert_eq!(keys(store, folder, None), expected);
    for name in names {
        let key = format!("{folder}/{name}/part-0.parquet");
        assert_eq!(content(store, &key).unwrap(), name);
        assert_eq!(keys(store, &format!("{folder}/{name}"), None), [key.as_str()]);
        assert!(store.head(&key).unwrap().is_some());
    }
    let all: Vec<&str> = expected.iter().map(String::as_str).collect();
    store.delete(&all).unwrap();
    assert!(keys(store, folder, None).is_empty());
}

fn listings_are_sorted_and_complete(store: &dyn Store, folder: &str) {
    let mut expected: Vec<String> = (0..120).map(|n| format!("{folder}/log/{n:020}.json")).collect();
    for other in [
        "log",
        "lo/x",
        "log-x/a",
        "log.x",
        "logs/a",
        "log/deep/er/a",
        "log/A",
    ] {
        let inner = if other == "log" { "log/z" } else { other };
        let key = format!("{folder}/{inner}");
        store.put(&key, bytes("other")).unwrap();
        if inner.starts_with("log/") {
            expected.push(key);
        }
    }
    for key in &expected {
        store.put(key, bytes("x")).unwrap();
    }
    expected.sort();
    let log = format!("{folder}/log");
    assert_eq!(keys(store, &log, None), expected);
    for at in [0, 49, 50, 51, 100, expected.len() - 1] {
        assert_eq!(
            keys(store, &log, Some(&expected[at])),
            expected[at + 1..],
            "after {at}"
        );
    }
    // a key that does not exist, before and within
    assert_eq!(keys(store, &log, Some(&format!("{folder}/log/!"))), expected);
    let between = format!("{folder}/log/{:020}.json-", 7);
    let rest: Vec<_> = expected.iter().filter(|key| **key > between).cloned().collect();
    assert_eq!(keys(store, &log, Some(&between)), rest);
    let all = keys(store, "", None);
    assert!(
        expected.iter().all(|key| all.contains(key)),
        "the root contains all"
    );
}

fn one_of_two_creations_succeeds(store: &dyn Store, folder: &str) {
    let key = format!("{folder}/00000000000000000001.json");
    let Written::Done(version) = store.put_new(&key, bytes("ours")).unwrap() else {
        panic!("the object is new");
    };
    assert!(version.is(&store.head(&key).unwrap().unwrap().version));
    assert!(matches!(
        store.put_new(&key, bytes("theirs")).unwrap(),
        Written::Lost
    ));
    assert!(matches!(
        store.put_new(&key, bytes("our")).unwrap(),
        Written::Lost
    ));
    // again, after a crash
    assert!(matches!(
        store.put_new(&key, bytes("ours")).unwrap(),
        Written::Done(_)
    ));
    assert_eq!(content(store, &key).unwrap(), "ours");
    assert_eq!(keys(store, folder, None), [key]);
}

fn a_replacement_needs_the_present_version(store: &dyn Store, folder: &str) {
    let key = format!("{folder}/part.parquet");
    let first = store.put(&key, bytes("1")).unwrap();
    let Written::Done(second) = store.replace(&key, bytes("2"), &first).unwrap() else {
        panic!("nobody else wrote");
    };
    assert!(matches!(
        store.replace(&key, bytes("3"), &first).unwrap(),
        Written::Lost
    ));
    assert_eq!(content(store, &key).unwrap(), "2");
    assert!(second.is(&store.head(&key).unwrap().unwrap().version));
    let head = store.head(&key).unwrap().unwrap();
    assert!(matches!(
        store.replace(&key, bytes("4"), &head.version).unwrap(),
        Written::Done(_)
    ));
    // the same content in between does not help who has another version
    let fourth = store.put(&key, bytes("5")).unwrap();
    store.put(&key, bytes("6")).unwrap();
    assert!(matches!(
        store.replace(&key, bytes("7"), &fourth).unwrap(),
        Written::Lost
    ));
    store.delete(&[&key]).unwrap();
    assert!(matches!(
        store.replace(&key, bytes("8"), &fourth).unwrap(),
        Written::Lost
    ));
    assert!(store.get(&key).unwrap().is_none());
}

fn one_of_many_writers_succeeds(store: &dyn Store, folder: &str) {
    for round in 0..5 {
        let key = format!("{folder}/{round}");
        let winner = race("created", &|own| store.put_new(&key, own).unwrap());
        let (found, version) = store.get(&key).unwrap().unwrap();
        assert_eq!(found, winner);
        let winner = race("replaced", &|own| store.replace(&key, own, &version).unwrap());
        assert_eq!(content(store, &key).unwrap(), winner);
    }
}

/// Has several threads write different bytes, also different from those that are there, and returns those of the only one that succeeded.
fn race(what: &str, write: &(dyn Fn(Bytes) -> Written + Sync)) -> Bytes {
    let start = std::sync::Barrier::new(6);
    let written: Vec<Bytes> = thread::scope(|scope| {
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                let (start, own) = (&start, bytes(&format!("{what} by {writer}")));
                scope.spawn(move || {
                    start.wait();
                    matches!(write(own.clone()), Written::Done(_)).then_some(own)
                })
            })
            .collect();
        writers
            .into_iter()
            .filter_map(|writer| writer.join().unwrap())
            .collect()
    });
    assert_eq!(written.len(), 1, "{written:?}");
    written.into_iter().next().unwrap()
}

fn ranges_belong_to_one_version(store: &dyn Store, folder: &str) {
    let key = format!("{folder}/object");
    let version = store.put(&key, bytes("0123456789")).unwrap();
    for (range, part) in [
        (0..3, "012"),
        (3..10, "3456789"),
        (9..10, "9"),
        (0..10, "0123456789"),
    ] {
        for expected in [None, Some(&version)] {
            assert_eq!(
                store.get_range(&key, range.clone(), expected).unwrap().unwrap(),
                part
            );
        }
    }
    for beyond in [0..11, 10..12, 12..13] {
        store.get_range(&key, beyond, None).unwrap_err();
    }
    store.put(&key, bytes("abcdefghij")).unwrap();
    let error = store.get_range(&key, 0..3, Some(&version)).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "), "{error}");
    assert_eq!(store.get_range(&key, 0..3, None).unwrap().unwrap(), "abc");
}

fn files_are_uploaded_and_downloaded(store: &dyn Store, folder: &str) {
    let temporary = tempfile::tempdir().unwrap();
    let (from, to) = (temporary.path().join("from"), temporary.path().join("to"));
    // nothing, one request, and several parts of which the last is shorter
    for size in [0, 100_000, 70 * 1_024 * 1_024] {
        let content: Vec<u8> = (0..size)
            .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        fs::write(&from, &content).unwrap();
        let key = format!("{folder}/{size}");
        let written = store.put_file(&key, &from).unwrap();
        fs::write(&to, "something longer that was there before").unwrap();
        let read = store.get_to_file(&key, &to).unwrap().unwrap();
        assert!(written.is(&read), "{written:?} {read:?}");
        assert!(fs::read(&to).unwrap() == content, "{size} bytes come back");
        assert_eq!(store.head(&key).unwrap().unwrap().size, u64::from(size));
        let tail = u64::from(size).saturating_sub(8)..u64::from(size);
        if size > 0 {
            let part = store.get_range(&key, tail, Some(&written)).unwrap().unwrap();
            assert_eq!(part, content[content.len() - 8..]);
        }
        store.delete(&[&key]).unwrap();
    }
    store
        .put_file(&format!("{folder}/none"), &temporary.path().join("none"))
        .unwrap_err();
}

fn removed_objects_are_absent(store: &dyn Store, folder: &str) {
    let all: Vec<String> = (0..30).map(|n| format!("{folder}/{n:02}")).collect();
    for key in &all {
        store.put(key, bytes("x")).unwrap();
    }
    let mut some: Vec<&str> = all.iter().skip(1).map(String::as_str).collect();
    let missing = format!("{folder}/missing/too");
    some.push(&missing);
    store.delete(&some).unwrap();
    assert_eq!(keys(store, folder, None), [all[0].as_str()]);
    store.delete(&some).unwrap();
    store.delete(&[&all[0]]).unwrap();
    assert!(store.get(&all[0]).unwrap().is_none());
}

fn invalid_keys_are_refused(store: &dyn Store, folder: &str) {
    for key in ["", "/x", "x/", "../x", "x//y", "x/./y", "x\0y", ".x.tmp"] {
        store.put(key, bytes("x")).unwrap_err();
        store.put_new(key, bytes("x")).unwrap_err();
        store.get(key).unwrap_err();
        store.delete(&[key]).unwrap_err();
    }
    store.list("../x", None).unwrap_err();
    store.list("/", None).unwrap_err();
    assert!(keys(store, folder, None).is_empty());
}

fn operations_work_on_every_thread(store: &dyn Store, folder: &str) {
    thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for n in 0..3 {
                    let key = format!("{folder}/{thread}/{n}");
                    store.put(&key, bytes(&key)).unwrap();
                    assert_eq!(content(store, &key).unwrap(), key);
                }
            });
        }
    });
    assert_eq!(keys(store, folder, None).len(), 24);
    // in a runtime with one thread, as an embedder may have
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let key = format!("{folder}/0/0");
    let read = runtime.block_on(async { content(store, &key) });
    assert_eq!(read.unwrap(), key);
}
