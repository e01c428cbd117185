//! What exit code 0 promises, checked from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::duck;
use crate::run::Run;
use crate::world::World;

/// The table has each record of the range exactly once, by the time that the API filters, and nothing that the
/// archive does not have.
#[track_caller]
pub(crate) fn assert_complete(world: &World, lake: &str, datasets: &[&str], range: &Range<i64>, case: &str) {
    let mut found = ids_of_each(world, lake, datasets);
    for dataset in datasets {
        let found = found.remove(*dataset).unwrap_or_default();
        let missing = &world.ids_within(dataset, range) - &found;
        let unknown = &found - &world.truth(dataset).into_keys().collect();
        let expected = world.ids_within(dataset, range).len();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "{case}: {} of {expected} {dataset} are missing, {} are unknown",
            missing.len(),
            unknown.len()
        );
    }
}

/// The run ended with 0 and a complete table, or else with an error that names the window that is incomplete.
#[track_caller]
pub(crate) fn assert_honest(
    run: &Run,
    world: &World,
    lake: &str,
    datasets: &[&str],
    range: &Range<i64>,
    case: &str,
) {
    if run.code == Some(0) {
        return assert_complete(world, lake, datasets, range, case);
    }
    assert!(matches!(run.code, Some(1 | 3)), "{case}: {run:?}");
    let error = run.stderr.split_once("error: ").map_or("", |(_, error)| error);
    assert!(
        names_a_window(error),
        "{case}: the error names no window: {}",
        run.stderr
    );
}

/// The ids of each dataset in a table, which must be distinct.
#[track_caller]
fn ids_of_each(world: &World, lake: &str, datasets: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let lake = world.path(lake);
    let queries = datasets
        .iter()
        .filter(|dataset| lake.join(dataset).exists())
        .map(|dataset| format!("select '{dataset}', id from {dataset}"));
    let queries: Vec<String> = queries.collect();
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if queries.is_empty() {
        return ids;
    }
    for row in duck::rows(&lake, &queries.join(" union all ")) {
        let text = |nth: usize| row[nth].as_str().expect("text").to_owned();
        let is_new = ids.entry(text(0)).or_default().insert(text(1));
        assert!(is_new, "{} came twice in {}", text(1), text(0));
    }
    ids
}

/// Whether the text contains two moments: RFC 3339, or Unix seconds.
fn names_a_window(error: &str) -> bool {
    let is_moment = |word: &str| {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        digits == 10 || (digits == 4 && word[4..].starts_with('-') && word.len() >= 10)
    };
    let words = error.split(|at: char| !(at.is_ascii_alphanumeric() || matches!(at, '-' | ':')));
    words.filter(|word| is_moment(word)).count() >= 2
}

#[test]
fn windows_are_recognized_in_errors() {
    for text in [
        "cannot complete 2023-10-01T00:00:00Z/2023-10-02T00:00:00Z: the listing ends early",
        "messages from 1696118400 to 1696204800",
        "2023-10-01..2023-10-02",
    ] {
        assert!(names_a_window(text), "{text}");
    }
    for text in [
        "",
        "status 502",
        "page 1000 of 2023",
        "since 2023-10-01T00:00:00Z",
    ] {
        assert!(!names_a_window(text), "{text}");
    }
}
