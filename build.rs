//! Tells the program which commit it is built from: by git, by what `cargo package` or `git archive` left in a source
//! archive, or not at all.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CONVERSE_EXPORT_COMMIT");
    // what is built to be tried out need not be built anew with every commit
    if std::env::var("PROFILE").as_deref() == Ok("debug") {
        return;
    }
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".into());
    let root = Path::new(&root);
    if let Some(commit) = said()
        .or_else(|| packaged(root))
        .or_else(|| archived(root))
        .or_else(|| checked_out(root))
    {
        println!("cargo::rustc-env=CONVERSE_EXPORT_COMMIT={commit}");
    }
}

/// Whoever builds it may know.
fn said() -> Option<String> {
    std::env::var("CONVERSE_EXPORT_COMMIT")
        .ok()
        .and_then(|commit| hash(&commit))
}

/// `cargo package` writes `{"git": {"sha1": "…"}}`.
fn packaged(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    hash(text.split("\"sha1\"").nth(1)?.split('"').nth(1)?)
}

/// `git archive` writes the commit into a file that asks for it.
fn archived(root: &Path) -> Option<String> {
    hash(&std::fs::read_to_string(root.join(".commit")).ok()?)
}

fn checked_out(root: &Path) -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success()).then(|| text.trim().to_owned())
    };
    // a source archive may lie in another project's repository
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    for file in ["HEAD", "logs/HEAD"] {
        println!(
            "cargo::rerun-if-changed={}",
            root.join(git(&["rev-parse", "--git-path", file])?).display()
        );
    }
    hash(&git(&["rev-parse", "HEAD"])?)
}

/// The first digits of a commit; nothing where it is none.
fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    let is_hash = text.len() >= 7 && text.chars().all(|digit| digit.is_ascii_hexdigit());
    is_hash.then(|| text.chars().take(9).collect())
}
