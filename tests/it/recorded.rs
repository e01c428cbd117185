//! Compares the program's output with recorded texts in `tests/recorded/`.
//!
//! `CONVERSE_EXPORT_TEST_RECORD=write` writes them again; review the diff.

use std::fmt::Write as _;
use std::path::Path;

use crate::run::Run;

/// The output of one test.
pub(crate) struct Recording {
    name: &'static str,
    text: String,
    /// Texts that differ from run to run, and their placeholders.
    variable: Vec<(String, String)>,
}

impl Recording {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            text: String::new(),
            variable: Vec::new(),
        }
    }

    /// Replaces a text that differs from run to run by a placeholder.
    pub(crate) fn replacing(mut self, variable: impl Into<String>, word: &str) -> Self {
        self.variable.push((variable.into(), word.to_owned()));
        self
    }

    /// Adds the standard error and the exit code of a run.
    pub(crate) fn add_run(&mut self, command: &str, run: &Run) {
        // other tests compare the JSON summary
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

    /// Adds a text.
    pub(crate) fn add_text(&mut self, title: &str, text: &str) {
        let _ = writeln!(self.text, "$ {title}\n{}\n", text.trim_end());
    }

    /// Asserts that the output equals the recorded file.
    #[track_caller]
    pub(crate) fn check(self) {
        let mut text = self.text;
        for (from, to) in &self.variable {
            text = text.replace(from, to);
        }
        let text = ports_hidden(&text);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recorded/{}.txt", self.name));
        if std::env::var("CONVERSE_EXPORT_TEST_RECORD").as_deref() == Ok("write") {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            return;
        }
        let recorded = std::fs::read_to_string(&path).unwrap_or_default();
        let first = recorded
            .lines()
            .zip(text.lines())
            .position(|(recorded, actual)| recorded != actual);
        let line = first.unwrap_or_else(|| recorded.lines().count().min(text.lines().count()));
        assert!(
            recorded == text,
            "tests/recorded/{}.txt, line {}:\n  recorded {:?}\n  actual {:?}\n\
             to accept the new text: CONVERSE_EXPORT_TEST_RECORD=write cargo test --test it",
            self.name,
            line + 1,
            recorded.lines().nth(line),
            text.lines().nth(line),
        );
    }
}

/// Replaces ports, which test servers choose freely.
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
