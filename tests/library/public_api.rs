//! The public API of the library is the recorded one, small, and documented.
//!
//! It is taken from the pages that `cargo doc` writes. After an intended change:
//! `CONVERSE_EXPORT_TEST_RECORD=write cargo test --test library public_api`

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo;

/// Items, without their methods.
const MOST_ITEMS: usize = 80;
const RECORDED: &str = "tests/recorded/public_api.txt";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the library's documentation, which is made here.
fn documentation() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let made = cargo()
        .args([
            "doc",
            "--locked",
            "--quiet",
            "--no-deps",
            "--lib",
            "--no-default-features",
            "--package",
        ])
        .arg(env!("CARGO_PKG_NAME"))
        .arg("--target-dir")
        .arg(target)
        .env("RUSTDOCFLAGS", "-D warnings")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    target.join("doc/converse_export")
}

/// What follows each `before` in a text, up to `after`.
fn between<'t>(text: &'t str, before: &'t str, after: char) -> impl Iterator<Item = &'t str> {
    let parts = text.split(before).skip(1);
    parts.filter_map(move |part| part.split(after).next())
}

/// The kinds of public parts of an item, as rustdoc names them in anchors.
const PARTS: [&str; 5] = [
    "variant",
    "structfield",
    "tymethod",
    "method",
    "associatedconstant",
];

fn parts(page: &str) -> BTreeSet<String> {
    // methods of foreign traits are not ours
    let own = page.split("id=\"trait-implementations\"").next().unwrap();
    let parts = PARTS.iter().flat_map(|kind| {
        let anchor = format!("id=\"{kind}.");
        let names: Vec<String> = between(own, &anchor, '"')
            .map(|name| format!("{kind} {name}"))
            .collect();
        names
    });
    // fields of variants have anchors of their own kind
    parts.filter(|part| !part.contains(".field")).collect()
}

#[test]
fn the_public_api_is_the_recorded_one_and_has_few_items() {
    let documentation = documentation();
    let index = fs::read_to_string(documentation.join("all.html")).unwrap();
    let pages: BTreeSet<&str> = between(&index, "<a href=\"", '"')
        .filter(|link| link.ends_with(".html") && !link.contains("/"))
        .filter(|link| link.split('.').count() == 3)
        .collect();
    assert!(pages.len() <= MOST_ITEMS, "{} public items", pages.len());
    let mut api = String::new();
    for page in pages {
        let [kind, name, _] = page.split('.').collect::<Vec<_>>()[..] else {
            panic!("{page}");
        };
        let (kind, name) = (kind.to_owned(), name.to_owned());
        api += &format!("{kind} {name}\n");
        let page = fs::read_to_string(documentation.join(page)).unwrap();
        for part in parts(&page) {
            api += &format!("{name}: {part}\n");
        }
    }
    let path = root().join(RECORDED);
    if std::env::var("CONVERSE_EXPORT_TEST_RECORD").is_ok_and(|how| how == "write") {
        fs::write(&path, &api).unwrap();
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    let (api, recorded): (BTreeSet<&str>, BTreeSet<&str>) =
        (api.lines().collect(), recorded.lines().collect());
    let new: Vec<_> = api.difference(&recorded).collect();
    let gone: Vec<_> = recorded.difference(&api).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "new: {new:#?}, gone: {gone:#?}"
    );
}
