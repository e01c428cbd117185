//! Damage done to a table from outside, and undone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use converse_export::internal::Ledger;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::duck::Reader;
use crate::lake::{Lake, files_below, without_checksum};
use crate::run::{Run, on};
use crate::world::BOT;

/// Every file of a lake with its content.
pub(crate) struct Snapshot(BTreeMap<PathBuf, Vec<u8>>);

impl Snapshot {
    pub(crate) fn of(lake: &Lake) -> Self {
        let files = files_below(&lake.0).into_iter();
        Self(
            files
                .map(|path| (path.clone(), fs::read(path).unwrap()))
                .collect(),
        )
    }

    /// Makes the lake what it was.
    pub(crate) fn restore(&self, lake: &Lake) {
        for path in files_below(&lake.0) {
            if !self.0.contains_key(&path) {
                fs::remove_file(path).unwrap();
            }
        }
        for (path, content) in &self.0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    #[track_caller]
    pub(crate) fn assert_same(&self, lake: &Lake) {
        assert!(Self::of(lake).0 == self.0, "the lake was changed");
    }
}

pub(crate) fn verify(lake: &Lake, args: &[&str]) -> Run {
    on(&lake.0, "verify", &[&["--json"], args].concat())
}

/// The problems of a proof, each as its path and what is wrong.
pub(crate) fn findings(run: &Run, kind: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let report = run.json();
    let findings = report[kind].as_array().unwrap().iter();
    findings
        .map(|finding| (text(&finding["path"]), text(&finding["what"])))
        .collect()
}

/// The proof fails, and names exactly this one thing.
#[track_caller]
pub(crate) fn assert_told(lake: &Lake, path: &str, what: &str) {
    let run = verify(lake, &[]).ended(1);
    assert_eq!(run.json()["ok"], false);
    let problems = findings(&run, "problems");
    let [(told_path, told_what)] = &problems[..] else {
        panic!("one problem was expected: {problems:?}");
    };
    assert_eq!(told_path, path);
    assert!(told_what.contains(what), "{told_what}");
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
}

/// The proof passes.
#[track_caller]
pub(crate) fn assert_sound(lake: &Lake) -> Run {
    let run = verify(lake, &[]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert_eq!(run.json()["ok"], true);
    run
}

/// What happens to a row.
#[derive(Clone, Copy)]
pub(crate) enum Change<'a> {
    LeaveOut,
    /// With the row behind it.
    Swap,
    DayLater,
    Id(&'a str),
}

/// A partition of the only bot, in a lake.
pub(crate) struct Partition<'a> {
    lake: &'a Lake,
    pub(crate) dataset: &'a str,
    pub(crate) date: String,
}

impl<'a> Partition<'a> {
    /// The dataset's partitions, earliest first.
    pub(crate) fn all(lake: &'a Lake, dataset: &'a str) -> Vec<Self> {
        let folder = lake.0.join(dataset).join(format!("bot={BOT}"));
        let mut dates: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.strip_prefix("date=").unwrap().to_owned())
            .collect();
        dates.sort();
        let of = |date| Self { lake, dataset, date };
        dates.into_iter().map(of).collect()
    }

    pub(crate) fn folder(&self) -> String {
        format!("{}/bot={BOT}/date={}", self.dataset, self.date)
    }

    /// Its file, from the lake's folder on.
    pub(crate) fn file(&self) -> String {
        self.entry()["path"].as_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.lake.0.join(self.file())
    }

    pub(crate) fn entry_path(&self) -> PathBuf {
        let folder = self.lake.0.join("_export/partitions");
        folder.join(format!("{}.json", self.folder()))
    }

    pub(crate) fn entry(&self) -> Value {
        without_checksum(&self.entry_path())
    }

    /// Writes its file anew with a change to a row, and the manifest to fit.
    pub(crate) fn rewrite(&self, row: usize, change: Change) {
        let path = self.path();
        let (change, id) = match change {
            Change::LeaveOut => ("leave out", ""),
            Change::Swap => ("change places", ""),
            Change::DayLater => ("a day later", ""),
            Change::Id(id) => ("id", id),
        };
        let task = json!({"task": "rewrite", "path": path, "row": row, "change": change, "id": id});
        let now = Reader::begin(&task).answer();
        let ids: Vec<&str> = now["ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap())
            .collect();
        let time = |time: Option<&Value>| {
            let micros = time.unwrap().as_i64().unwrap();
            jiff::Timestamp::from_microsecond(micros).unwrap().to_string()
        };
        let times = now["times"].as_array().unwrap();
        let content = fs::read(&path).unwrap();
        let sha256 = hex(&content);
        let name = format!("part-{}.parquet", &sha256[..32]);
        let entry = json!({
            "path": Path::new(&self.folder()).join(&name),
            "rows": ids.len(),
            "bytes": content.len(),
            "sha256": sha256,
            "ids_sha256": hex(ids.iter().map(|id| format!("{id}\n")).collect::<String>().as_bytes()),
            "first": time(times.first()),
            "last": time(times.last()),
        });
        fs::rename(&path, path.with_file_name(name)).unwrap();
        fs::write(self.entry_path(), entry.to_string()).unwrap();
    }

    /// Makes the ledger tell of it what the manifest does.
    pub(crate) fn bend_ledger(&self) {
        let entry = self.entry();
        bend_account(self.lake, self.dataset, |account| {
            let held = &mut account["partitions"][&self.date];
            let fewer = held["rows"].as_i64().unwrap() - entry["rows"].as_i64().unwrap();
            held["rows"] = entry["rows"].clone();
            held["ids_sha256"] = entry["ids_sha256"].clone();
            held["sha256"] = entry["sha256"].clone();
            for count in ["rows", "received"] {
                account[count] = (account[count].as_i64().unwrap() - fewer).into();
            }
        });
    }
}

/// Changes the account of a dataset in the ledger.
pub(crate) fn bend_account(lake: &Lake, dataset: &str, bend: impl FnOnce(&mut Value)) {
    let mut ledger = lake.ledger();
    bend(&mut ledger["datasets"][dataset][BOT]);
    let ledger: Ledger = serde_json::from_value(ledger).unwrap();
    ledger.save(&lake.0.join("_export")).unwrap();
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
