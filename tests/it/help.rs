//! What the binary tells of itself: help, completions, man pages, its version.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::run::converse;

/// Every command, by what `--help` lists.
fn commands() -> Vec<String> {
    let help = converse(&["--help"]).ok().stdout;
    let list = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    // a name stands two columns in, what is told of it further
    let names = list
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<String> = names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 8, "{help}");
    names
}

#[test]
fn the_list_of_commands_fits_a_screen_or_nearly() {
    let short = converse(&["-h"]).ok().stdout;
    assert!(short.lines().count() <= 26, "{short}");
    assert!(
        short.contains("\n  export ") && !short.contains("\n  completions "),
        "{short}"
    );
    let long = converse(&["--help"]).ok().stdout;
    assert!(long.contains("\n  completions "), "{long}");
}

#[test]
fn the_short_help_fits_a_screen() {
    for command in commands() {
        let mut short = Command::new(env!("CARGO_BIN_EXE_converse-export"));
        let help = short
            .args([&command, "-h"])
            .env("COLUMNS", "80")
            .output()
            .unwrap()
            .stdout;
        let help = String::from_utf8(help).unwrap();
        assert!(
            help.lines().count() <= 24,
            "{} lines:\n{help}",
            help.lines().count()
        );
        let too_wide = |line: &&str| line.chars().count() > 80 && !line.starts_with("Usage: ");
        assert_eq!(help.lines().find(too_wide), None, "{command}");
    }
}

#[test]
fn who_types_only_the_name_is_shown_what_there_is() {
    let run = converse(&[]).ended(2);
    assert!(
        run.stderr.contains("Commands:\n") && run.stdout.is_empty(),
        "{}",
        run.stderr
    );
}

#[test]
fn the_long_help_has_two_examples() {
    for command in commands() {
        let help = converse(&[&command, "--help"]).ok().stdout;
        let examples = help
            .split("\nExamples:\n")
            .nth(1)
            .unwrap_or_else(|| panic!("{help}"));
        assert!(examples.matches("  # ").count() >= 2, "{examples}");
    }
}

#[test]
fn completions_are_scripts() {
    for command in commands() {
        let bash = converse(&["completions", "bash"]).ok().stdout;
        assert!(
            bash.contains(&format!("converse__subcmd__export__subcmd__{command}")),
            "{command}"
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = converse(&["completions", shell]).ok().stdout;
        assert!(script.contains("requests-per-second"), "{shell}");
        let folder = tempdir().unwrap();
        let file = folder.path().join("script");
        fs::write(&file, script).unwrap();
        // what is not installed here cannot be asked
        let check = Command::new(shell)
            .arg("-n")
            .arg(&file)
            .stdin(Stdio::null())
            .output();
        if let Ok(check) = check {
            assert!(
                check.status.success(),
                "{}",
                String::from_utf8_lossy(&check.stderr)
            );
        }
    }
}

#[test]
fn every_command_has_its_man_page() {
    let folder = tempdir().unwrap();
    let pages = folder.path().join("made/man1");
    converse(&["man", pages.to_str().unwrap()]).ok();
    for command in commands() {
        let page = fs::read_to_string(pages.join(format!("converse-export-{command}.1"))).unwrap();
        assert!(
            page.contains(".TH ") && page.contains("EXAMPLES") || page.contains("Examples:"),
            "{page}"
        );
    }
    assert!(pages.join("converse-export.1").exists());
}

#[test]
fn the_version_is_told() {
    let told = converse(&["--version"]).ok().stdout;
    assert!(
        told.starts_with(&format!("converse-export {}", env!("CARGO_PKG_VERSION"))),
        "{told}"
    );
}

/// What the build script says of a source tree, besides what it looks at.
fn commit_of(script: &Path, root: &Path, said: Option<&str>) -> Option<String> {
    let mut command = Command::new(script);
    command.env("CARGO_MANIFEST_DIR", root).env("PROFILE", "release");
    command
        .env_remove("CONVERSE_EXPORT_COMMIT")
        .envs(said.map(|said| ("CONVERSE_EXPORT_COMMIT", said)));
    let output = command.output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| {
        Some(
            line.strip_prefix("cargo::rustc-env=CONVERSE_EXPORT_COMMIT=")?
                .to_owned(),
        )
    })
}

#[test]
fn the_commit_is_known_with_git_in_an_archive_or_not_at_all() {
    let folder = tempdir().unwrap();
    let script = folder.path().join("build-script");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "-o"])
        .arg(&script)
        .arg(source)
        .status();
    assert!(compiled.unwrap().success());
    let root = folder.path().join("project");
    fs::create_dir_all(&root).unwrap();
    assert_eq!(commit_of(&script, &root, None), None);
    assert_eq!(
        commit_of(&script, &root, Some("0123456789abcdef")),
        Some("012345678".into())
    );
    assert_eq!(commit_of(&script, &root, Some("dirty \"words\"")), None);

    // as it stands in a checkout, then as `git archive` writes it
    fs::write(root.join(".commit"), "$Format:%H$\n").unwrap();
    assert_eq!(commit_of(&script, &root, None), None);
    fs::write(root.join(".commit"), "89abcdef0123456789abcdef0123456789abcdef\n").unwrap();
    assert_eq!(commit_of(&script, &root, None), Some("89abcdef0".into()));
    fs::remove_file(root.join(".commit")).unwrap();
    let info = "{\n  \"git\": {\n    \"sha1\": \"fedcba9876543210fedcba9876543210fedcba98\"\n  },\n  \"path_in_vcs\": \"\"\n}";
    fs::write(root.join(".cargo_vcs_info.json"), info).unwrap();
    assert_eq!(commit_of(&script, &root, None), Some("fedcba987".into()));
    fs::remove_file(root.join(".cargo_vcs_info.json")).unwrap();

    let git = |at: &Path, args: &[&str]| {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(at)
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"]);
        let output = command.args(args).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&root, &["init", "-q"]);
    fs::write(root.join("file"), "").unwrap();
    git(&root, &["add", "."]);
    git(&root, &["commit", "-q", "-m", "first"]);
    let head = git(&root, &["rev-parse", "HEAD"]);
    assert_eq!(commit_of(&script, &root, None), Some(head[..9].to_owned()));
    // an archive that lies in another project's repository
    let inner = root.join("vendor/project");
    fs::create_dir_all(&inner).unwrap();
    assert_eq!(commit_of(&script, &inner, None), None);
}
