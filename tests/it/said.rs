//! What the program says, word for word: kept in plain files under `tests/said/`.
//!
//! `CONVERSE_EXPORT_TEST_SAID=write` writes them anew; the change is then read in the diff.

use std::fmt::Write as _;
use std::path::Path;

use crate::run::Run;

/// What was said in one test, put together.
pub(crate) struct Said {
    name: &'static str,
    text: String,
    /// What differs from run to run, and what stands in its place.
    variable: Vec<(String, String)>,
}

impl Said {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            text: String::new(),
            variable: Vec::new(),
        }
    }

    /// Puts a word in the place of what differs from run to run.
    pub(crate) fn but(mut self, variable: impl Into<String>, word: &str) -> Self {
        self.variable.push((variable.into(), word.to_owned()));
        self
    }

    /// What a command, in short, said on standard error, and its exit code.
    pub(crate) fn heard(&mut self, command: &str, run: &Run) {
        // a summary is data, and told by other tests
        assert!(
            run.stdout.is_empty() || run.stdout.starts_with('{'),
            "{command}: {}",
            run.stdout
        );
        let code = run
            .code
            .map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let _ = writeln!(self.text, "$ {command}\n{}[{code}]\n", run.stderr);
    }

    /// Text by itself.
    pub(crate) fn text(&mut self, title: &str, text: &str) {
        let _ = writeln!(self.text, "$ {title}\n{}\n", text.trim_end());
    }

    /// It is what the file holds.
    #[track_caller]
    pub(crate) fn check(self) {
        let mut text = self.text;
        for (from, to) in &self.variable {
            text = text.replace(from, to);
        }
        let text = ports_hidden(&text);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/said/{}.txt", self.name));
        if std::env::var("CONVERSE_EXPORT_TEST_SAID").as_deref() == Ok("write") {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            return;
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let first = kept
            .lines()
            .zip(text.lines())
            .position(|(kept, said)| kept != said);
        let line = first.unwrap_or_else(|| kept.lines().count().min(text.lines().count()));
        assert!(
            kept == text,
            "tests/said/{}.txt, line {}:\n  kept {:?}\n  said {:?}\n\
             where the new words are better: CONVERSE_EXPORT_TEST_SAID=write cargo test --test it",
            self.name,
            line + 1,
            kept.lines().nth(line),
            text.lines().nth(line),
        );
    }
}

/// Servers of tests listen where there is room.
fn ports_hidden(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let mut hidden = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|digit: char| digit.is_ascii_digit());
        hidden.push_str("127.0.0.1:");
        hidden.push_str(if rest.len() < part.len() { "<port>" } else { "" });
        hidden.push_str(rest);
    }
    hidden
}
