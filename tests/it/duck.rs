//! The outside reader: DuckDB and pyarrow in a Python process, never the exporter's own code.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// Rows as DuckDB gives them, each a list of values.
pub(crate) type Rows = Vec<Vec<Value>>;

/// The rows of a query in which `conversations` and `messages` are the lake's datasets, with the columns `bot` and
/// `date` of its folders, and `file`.
pub(crate) fn rows(lake: &Path, sql: &str) -> Rows {
    rows_of_each(&[lake], sql).remove(0)
}

/// The same query in many lakes, by one process.
pub(crate) fn rows_of_each(lakes: &[impl AsRef<Path>], sql: &str) -> Vec<Rows> {
    let lakes: Vec<_> = lakes.iter().map(AsRef::as_ref).collect();
    let answers = Reader::begin(&json!({"task": "sql", "lakes": lakes, "sql": sql})).answer();
    serde_json::from_value(answers).expect("a list of rows for each lake")
}

/// What pyarrow sees of every file of a dataset: `path`, `arrow`, `parquet` (schemas) and `rows`, times as integers.
pub(crate) fn arrow(lake: &Path, dataset: &str) -> Vec<Value> {
    let seen = Reader::begin(&json!({"task": "arrow", "lake": lake, "dataset": dataset})).answer();
    serde_json::from_value(seen).expect("a list of files")
}

/// A reader at work.
pub(crate) struct Reader(Child);

impl Reader {
    /// Gives a reader its task.
    pub(crate) fn begin(task: &Value) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/duck.py");
        let mut child = Command::new(python())
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be started");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin
            .write_all(task.to_string().as_bytes())
            .expect("the reader takes its task");
        Self(child)
    }

    /// Waits for what it found.
    pub(crate) fn answer(self) -> Value {
        let output = self.0.wait_with_output().expect("the reader ends");
        assert!(output.status.success(), "the reader failed, see its words above");
        serde_json::from_slice(&output.stdout).expect("the reader answers JSON")
    }
}

pub(crate) fn python() -> PathBuf {
    let given = std::env::var_os("CONVERSE_EXPORT_TEST_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"));
    assert!(
        python.exists(),
        "{} is not there: `make venv` makes it, or set CONVERSE_EXPORT_TEST_PYTHON to a Python with the packages of \
         tests/requirements.txt",
        python.display()
    );
    python
}
