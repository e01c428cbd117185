//! Keeps the directions of dependencies between modules, and where external crates are used.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The modules that each module may depend on, besides itself.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("window", &[]),
    ("display", &[]),
    ("dataset", &["display"]),
    ("api", &["window", "display"]),
    ("plan", &["window"]),
    ("error", &["api", "dataset"]),
    ("blocking", &["error"]),
    ("store", &["error", "display"]),
    ("log", &["display", "error", "store"]),
    ("spool", &["error", "store", "window"]),
    ("table", &["dataset", "error", "store", "window", "display"]),
    (
        "rejected",
        &["dataset", "error", "store", "table", "tombstones", "display"],
    ),
    ("drift", &["dataset"]),
    (
        "ledger",
        &[
            "log", "dataset", "drift", "error", "plan", "store", "table", "window",
        ],
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
            "blocking",
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
            "api", "blocking", "dataset", "error", "ledger", "plan", "table", "window",
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
            "log",
            "api",
            "blocking",
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
    (
        "pages",
        &["api", "dataset", "error", "export", "fetch", "plan", "window"],
    ),
    ("sink", &["changes", "error", "table"]),
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
        &["dataset", "error", "keys", "status", "store", "table", "window"],
    ),
    (
        "verify",
        &[
            "log",
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
            "api", "dataset", "doctor", "erase", "error", "export", "fetch", "keys", "plan", "rebuild",
            "report", "schema", "status", "table", "verify", "window", "display",
        ],
    ),
];

/// The modules that know all stages of an export. Nothing but these and the command line depends on them.
const OPERATIONS: &[&str] = &[
    "doctor", "erase", "export", "keys", "pages", "rebuild", "report", "schema", "sink", "status", "verify",
];

/// Crates that only certain modules use.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("reqwest", &["api", "store"]),
    ("hyper_util", &["api"]),
    ("rustls", &["api", "store"]),
    ("object_store", &["log", "store"]),
    (
        "rayon",
        &["erase", "export", "fetch", "rebuild", "table", "verify"],
    ),
    ("parquet", &["error", "table"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
    ("converse_export_simulator", &["cli"]),
    ("indicatif", &["cli"]),
    ("maud", &["cli"]),
    ("toml", &["cli"]),
    ("tracing_subscriber", &["cli"]),
];

/// Packages that the library without the feature `cli` must not need, directly or indirectly.
const OF_THE_PROGRAM: &[&str] = &[
    "axum",
    "clap",
    "clap_complete",
    "clap_mangen",
    "comfy-table",
    "converse-export-simulator",
    "indicatif",
    "maud",
    "strsim",
    "terminal_size",
    "tikv-jemallocator",
    "toml",
    "tracing-subscriber",
];

/// Names of what changes the process as a whole, or needs a runtime of several threads. A library must do neither.
const OF_THE_PROCESS: &[&str] = &[
    "block_in_place",
    "build_global",
    "ctrl_c",
    "global_allocator",
    "install_default",
    "remove_var",
    "set_current_dir",
    "set_global_default",
    "set_hook",
    "set_var",
    "tokio::signal",
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

/// Every source file with its module; `lib.rs` and `main.rs` belong to none.
fn files() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let module = name.split(['/', '.']).next().unwrap().to_owned();
            (module, name, fs::read_to_string(&path).unwrap())
        })
        .filter(|(module, ..)| !["lib", "main"].contains(&module.as_str()))
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
fn modules_depend_only_on_what_they_may() {
    let files = files();
    assert!(files.len() > 40, "the sources were not found");
    for (module, name, text) in &files {
        let (_, may_depend_on) = MAY_DEPEND_ON
            .iter()
            .find(|(known, _)| known == module)
            .unwrap_or_else(|| panic!("{name}: list in tests/architecture.rs what {module} may depend on"));
        for known in words_after(text, "crate::") {
            assert!(
                known == module || may_depend_on.contains(&known),
                "{name}: {module} must not depend on {known}"
            );
        }
    }
}

#[test]
fn nothing_else_depends_on_an_operation_or_on_the_command_line() {
    for (module, may_depend_on) in MAY_DEPEND_ON {
        assert!(!may_depend_on.contains(&"cli"), "{module}");
        let is_above = *module == "cli" || OPERATIONS.contains(module);
        for operation in OPERATIONS {
            assert!(
                is_above || !may_depend_on.contains(operation),
                "{module} must not depend on {operation}"
            );
        }
    }
}

#[test]
fn crates_are_used_where_they_belong() {
    for (module, name, text) in &files() {
        for (dependency, modules) in ONLY_IN {
            let path = format!("{dependency}::");
            assert!(
                !code_lines(text).any(|line| line.contains(&path)) || modules.contains(&module.as_str()),
                "{name}: {dependency} does not belong in {module}"
            );
        }
    }
}

#[test]
fn the_library_does_not_change_its_process() {
    for (module, name, text) in &files() {
        for of_the_process in OF_THE_PROCESS {
            assert!(
                module == "cli" || !code_lines(text).any(|line| line.contains(of_the_process)),
                "{name}: {of_the_process} is for the program alone"
            );
        }
    }
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The packages that the root package is built from on this machine. Cargo resolves them from the lock file and from what
/// it has downloaded for these tests, so that indirect dependencies and features of dependencies count, too.
fn packages(features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--package",
            env!("CARGO_PKG_NAME"),
        ])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = String::from_utf8(output.stdout).unwrap();
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_library_alone_needs_nothing_of_the_program() {
    let library = packages(&["--no-default-features"]);
    assert!(library.iter().any(|name| name == "parquet"), "{library:?}");
    for package in OF_THE_PROGRAM {
        assert!(
            !library.iter().any(|name| name == package),
            "the library needs {package}"
        );
    }
    // the list names packages that there are
    let program = packages(&[]);
    for package in OF_THE_PROGRAM {
        assert!(
            program.iter().any(|name| name == package),
            "nothing needs {package}: it is misspelt or superfluous"
        );
    }
}
