//! Keeps the directions of the house: which module may know which other, and which crate is used where.

use std::fs;
use std::path::{Path, PathBuf};

/// What each room may know, beside itself.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("window", &[]),
    ("display", &[]),
    ("simulator", &[]),
    ("dataset", &["display"]),
    ("api", &["window", "display"]),
    ("plan", &["window"]),
    ("error", &["api", "dataset"]),
    ("store", &["error", "display"]),
    ("spool", &["error", "store", "window"]),
    ("table", &["dataset", "error", "store", "window", "display"]),
    (
        "rejected",
        &["dataset", "error", "store", "table", "tombstones", "display"],
    ),
    ("drift", &["dataset"]),
    (
        "ledger",
        &["dataset", "drift", "error", "plan", "store", "table", "window"],
    ),
    ("changes", &["dataset", "error", "ledger", "store", "table"]),
    ("commit", &["error", "ledger", "spool", "store", "table"]),
    ("tombstones", &["dataset", "error", "store", "display"]),
    (
        "erase",
        &[
            "changes",
            "commit",
            "dataset",
            "error",
            "ledger",
            "rebuild",
            "rejected",
            "spool",
            "store",
            "table",
            "tombstones",
        ],
    ),
    (
        "fetch",
        &[
            "api",
            "dataset",
            "error",
            "plan",
            "spool",
            "table",
            "tombstones",
            "window",
        ],
    ),
    (
        "doctor",
        &[
            "api", "dataset", "error", "fetch", "ledger", "plan", "table", "window",
        ],
    ),
    (
        "rebuild",
        &[
            "changes", "commit", "dataset", "error", "fetch", "ledger", "rejected", "spool", "store", "table",
        ],
    ),
    (
        "export",
        &[
            "api",
            "changes",
            "commit",
            "dataset",
            "drift",
            "erase",
            "error",
            "fetch",
            "ledger",
            "plan",
            "rebuild",
            "tombstones",
            "rejected",
            "spool",
            "store",
            "table",
            "window",
        ],
    ),
    ("schema", &["dataset", "error", "table"]),
    ("keys", &["dataset", "error", "table", "window"]),
    (
        "status",
        &[
            "commit", "drift", "error", "ledger", "plan", "rejected", "spool", "table", "window",
        ],
    ),
    (
        "report",
        &[
            "dataset", "error", "keys", "status", "store", "table", "window", "display",
        ],
    ),
    (
        "verify",
        &[
            "api",
            "commit",
            "dataset",
            "error",
            "fetch",
            "ledger",
            "plan",
            "rejected",
            "spool",
            "store",
            "table",
            "tombstones",
            "window",
            "display",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "dataset",
            "doctor",
            "erase",
            "error",
            "export",
            "fetch",
            "keys",
            "ledger",
            "plan",
            "rebuild",
            "report",
            "schema",
            "simulator",
            "spool",
            "status",
            "table",
            "verify",
            "window",
            "display",
        ],
    ),
];

/// Crates that only certain rooms use.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("reqwest", &["api"]),
    ("hyper_util", &["api"]),
    (
        "rayon",
        &["erase", "export", "fetch", "rebuild", "table", "verify"],
    ),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("axum", &["simulator"]),
    ("maud", &["report"]),
    ("parquet", &["error", "table"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its room; `lib.rs`, `main.rs` and this file belong to none.
fn files() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let room = name.split(['/', '.']).next().unwrap().to_owned();
            (room, name, fs::read_to_string(&path).unwrap())
        })
        .filter(|(room, ..)| !["lib", "main", "rooms"].contains(&room.as_str()))
        .collect()
}

/// The words that follow `before` in the code, without comments and tests.
fn words_after<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(move |line| {
            line.match_indices(before).map(move |(at, _)| {
                let rest = &line[at + before.len()..];
                &rest[..rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len())]
            })
        })
}

#[test]
fn rooms_know_only_what_they_may() {
    let files = files();
    assert!(files.len() > 40, "the sources were not found");
    for (room, name, text) in &files {
        let (_, may_know) = MAY_KNOW
            .iter()
            .find(|(known, _)| known == room)
            .unwrap_or_else(|| panic!("{name}: say in src/rooms.rs what the room {room} may know"));
        for known in words_after(text, "crate::") {
            assert!(
                known == room || may_know.contains(&known),
                "{name}: {room} must not know {known}"
            );
        }
    }
}

#[test]
fn crates_are_used_where_they_belong() {
    for (room, name, text) in &files() {
        for (dependency, rooms) in ONLY_IN {
            let used = text.lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//") && line.contains(&format!("{dependency}::"))
            });
            assert!(
                !used || rooms.contains(&room.as_str()),
                "{name}: {dependency} does not belong in {room}"
            );
        }
    }
}
