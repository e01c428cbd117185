//! The programs in `examples/` run, and print what they are for.

use crate::cargo;

#[track_caller]
fn run(example: &str) -> String {
    let run = cargo()
        .args(["run", "--locked", "--quiet", "--example", example])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn the_example_of_an_export_runs() {
    let printed = run("export");
    assert!(
        printed.contains("conversations: ") && printed.contains("a batch of "),
        "{printed}"
    );
}

#[test]
fn the_example_of_pages_runs() {
    let printed = run("pages");
    assert!(
        printed.contains("messages in all") && printed.lines().count() > 2,
        "{printed}"
    );
}

#[test]
fn the_example_of_a_sink_runs() {
    let printed = run("sink");
    assert!(
        printed.contains("delivery 1: ") && printed.contains("delivery 2: "),
        "{printed}"
    );
}
