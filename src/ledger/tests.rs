use super::*;
use crate::error::Error;
use crate::store;
use crate::table::{PartitionBy, PartitionKey};
use crate::window::Window;

fn entry(rows: u64) -> Entry {
    Entry {
        path: "part.parquet".into(),
        rows,
        bytes: 1,
        sha256: format!("{rows:x}"),
        ids_sha256: "ids".into(),
        first: None,
        last: None,
    }
}

fn day(day: i8) -> PartitionDate {
    PartitionDate::of(PartitionBy::Day, jiff::civil::date(2023, 10, day))
}

#[test]
fn a_ledger_is_read_back_from_its_commits() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("_export");
    let mut ledger = Ledger::load(&own).unwrap();
    assert!(ledger.is_new() && !own.exists(), "reading writes nothing");
    for number in 1..=120 {
        let state = ledger.state_mut("messages", &format!("bot {}", number % 3));
        state
            .complete
            .insert(Window::new(number * 100, number * 100 + 50));
        let date = day(i8::try_from(number % 28).unwrap() + 1);
        if number % 5 == 0 {
            state.remove_partition(date);
        } else {
            state.record_partition(date, &entry(number.unsigned_abs()));
        }
        if number == 70 {
            ledger.datasets.get_mut("messages").unwrap().remove("bot 2");
        }
        ledger.next_sequence += 1;
        let key = PartitionKey {
            dataset: Dataset::Messages,
            bot: "bot 1".into(),
            date,
        };
        let publication = Publication {
            removed: vec![key],
            ..Publication::default()
        };
        ledger.commit(&own, publication.clone()).unwrap();
        let read = Ledger::load(&own).unwrap();
        assert_eq!(read, ledger);
        assert_eq!(read.last_publication(), Some(publication));
    }
    let objects = || std::fs::read_dir(own.join("log")).unwrap().count();
    let before = objects();
    ledger.save(&own).unwrap();
    assert_eq!(objects(), before, "nothing has changed");
    // a state without a response is not saved
    ledger.state_mut("messages", "mistyped").requests = 3;
    ledger.save(&own).unwrap();
    assert_eq!(Ledger::load(&own).unwrap().state("messages", "mistyped"), None);
}

#[test]
fn a_ledger_of_an_earlier_version_is_converted() {
    let mut expected = Ledger::new();
    let state = expected.state_mut("messages", "r3");
    state.record_partition(day(1), &entry(7));
    expected.next_sequence = 5;
    let json = store::seal(&expected).unwrap();
    let damaged = String::from_utf8(json.clone())
        .unwrap()
        .replace("\"next_sequence\": 5", "\"next_sequence\": 6");
    let newer = br#"{"version": 2, "datasets": "moved"}"#;
    let write = |files: [Option<&[u8]>; 2]| {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("_export");
        for (name, content) in ["ledger.json", "ledger.copy.json"].into_iter().zip(files) {
            if let Some(content) = content {
                store::write_atomically(&own.join(name), content).unwrap();
            }
        }
        (folder, own)
    };
    for files in [
        [Some(&*json), Some(&*json)],
        [Some(damaged.as_bytes()), Some(&*json)],
        [Some(&json[..90]), Some(&*json)],
        [None, Some(&*json)],
        [Some(&*json), None],
    ] {
        let (_folder, own) = write(files);
        assert_eq!(Ledger::load(&own).unwrap(), expected);
        assert_eq!(Ledger::load_to_write(&own).unwrap(), expected);
        assert!(!own.join("ledger.json").exists() && !own.join("ledger.copy.json").exists());
        assert_eq!(Ledger::load(&own).unwrap(), expected);
    }
    // a crash before the old files are removed, or between them
    for left in [["ledger.json", "ledger.copy.json"].as_slice(), &["ledger.json"]] {
        let (_folder, own) = write([Some(&*json), Some(&*json)]);
        let mut newer = Ledger::load_to_write(&own).unwrap();
        newer.next_sequence = 9;
        newer.save(&own).unwrap();
        for name in left {
            store::write_atomically(&own.join(name), &json).unwrap();
        }
        assert_eq!(Ledger::load(&own).unwrap(), newer);
        assert_eq!(Ledger::load_to_write(&own).unwrap(), newer);
        assert!(!own.join("ledger.json").exists());
    }
    let (_folder, own) = write([Some(damaged.as_bytes()), Some(damaged.as_bytes())]);
    assert!(matches!(Ledger::load_to_write(&own), Err(Error::Damaged { .. })));
    let (_folder, own) = write([Some(newer), None]);
    assert!(matches!(Ledger::load_to_write(&own), Err(Error::Usage { .. })));
}

#[test]
fn invariant_12_a_commit_writes_as_much_in_a_large_table_as_in_a_small_one() {
    let written = |bots: i64| {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("_export");
        let mut ledger = Ledger::load(&own).unwrap();
        let first = jiff::civil::date(2013, 1, 1);
        for bot in 0..bots {
            let state = ledger.state_mut("messages", &format!("bot {bot}"));
            state.complete.insert(Window::new(0, 86_400 * 3_650));
            for day in 0..3_650 {
                let date = first
                    .checked_add(jiff::SignedDuration::from_hours(24 * day))
                    .unwrap();
                state.record_partition(PartitionDate::of(PartitionBy::Day, date), &entry(7));
            }
            state.changed.clear();
        }
        ledger.save(&own).unwrap();
        let size = || -> u64 {
            let objects = std::fs::read_dir(own.join("log")).unwrap();
            objects
                .map(|object| object.unwrap().metadata().unwrap().len())
                .sum()
        };
        let before = size();
        for number in 1..=20 {
            let state = ledger.state_mut("messages", "bot 0");
            state.record_partition(day(i8::try_from(number % 28).unwrap() + 1), &entry(number));
            ledger.save(&own).unwrap();
        }
        size() - before
    };
    let [small, large] = [1, 10].map(written);
    assert!(large < small * 3 / 2, "{small} and {large} bytes");
}
