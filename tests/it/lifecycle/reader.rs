//! A DuckDB process that reads one table after another.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::duck::python;

/// A row, as far as the model looks at it. Times are Unix microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) time_us: i64,
    /// Of conversations.
    pub(crate) last_action_us: Option<i64>,
    /// Of messages.
    pub(crate) conversation: Option<String>,
    /// The name of the partition's folder, such as `date=2023-10-01`.
    pub(crate) partition: String,
}

/// The rows of a dataset by id.
pub(crate) type Rows = BTreeMap<String, Row>;

pub(crate) struct Reader {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reader {
    pub(crate) fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/lifecycle/reader.py");
        let mut child = Command::new(python())
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The rows of both datasets; an error where a file can't be read or an id comes twice.
    pub(crate) fn read(&mut self, lake: &Path) -> Result<BTreeMap<&'static str, Rows>, String> {
        let answer = self.ask(&json!(lake))?;
        let mut tables = BTreeMap::new();
        for dataset in ["conversations", "messages"] {
            let mut rows = Rows::new();
            for row in answer[dataset].as_array().unwrap() {
                let id = row[0].as_str().unwrap().to_owned();
                let file = Path::new(row[4].as_str().unwrap());
                let folder = file.parent().and_then(Path::file_name).unwrap();
                let read = Row {
                    time_us: row[1].as_i64().unwrap(),
                    last_action_us: row[2].as_i64(),
                    conversation: row[3].as_str().map(str::to_owned),
                    partition: folder.to_str().unwrap().to_owned(),
                };
                if let Some(other) = rows.insert(id.clone(), read.clone()) {
                    return Err(format!("{dataset}: {id} comes twice: {other:?} and {read:?}"));
                }
            }
            tables.insert(dataset, rows);
        }
        Ok(tables)
    }

    /// The ids of a dataset, as often as the table has them.
    pub(crate) fn ids(&mut self, lake: &Path, dataset: &str) -> Result<Vec<String>, String> {
        let mut answer = self.ask(&json!([lake, dataset]))?;
        Ok(serde_json::from_value(answer["ids"].take()).unwrap())
    }

    fn ask(&mut self, task: &Value) -> Result<Value, String> {
        writeln!(self.input, "{task}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        match answer["error"].as_str() {
            Some(error) => Err(format!("DuckDB can't read the table: {error}")),
            None => Ok(answer),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // it ends by itself when its input does, but that is not waited for
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
