//! Records that could not become rows: kept whole, once each.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::dataset::{Dataset, Rejected};
use crate::error::{Error, Result};
use crate::store;
use crate::table::{bot_folder, hex};

/// The rejected records of one dataset of one bot, a line of JSON each.
#[derive(Debug)]
pub struct RejectedRecords {
    path: PathBuf,
    known: HashSet<String>,
    met: HashSet<String>,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    sha256: String,
    reason: String,
    #[serde(borrow)]
    record: &'a RawValue,
}

impl RejectedRecords {
    /// Opens the file of these records below the exporter's own folder; it need not be there.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(own_folder: &Path, dataset: Dataset, bot: &str) -> Result<Self> {
        let path = own_folder
            .join("rejected")
            .join(dataset.name())
            .join(format!("{}.jsonl", bot_folder(bot)));
        let content = store::read_if_there(&path)?.unwrap_or_default();
        let whole = content
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        if whole < content.len() {
            // a crash tore the last line; its page is still in the spool and brings it again
            let torn = File::options().write(true).open(&path);
            torn.and_then(|file| file.set_len(whole as u64))
                .map_err(Error::io("mend", &path))?;
        }
        let lines = content[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let known = lines
            .filter_map(|line| serde_json::from_slice::<Line<'_>>(line).ok())
            .map(|line| line.sha256)
            .collect();
        Ok(Self {
            path,
            known,
            met: HashSet::new(),
        })
    }

    /// Keeps records, durably; those that are known already are not written again.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&mut self, records: &[Rejected]) -> Result<()> {
        let mut lines = Vec::new();
        for rejected in records {
            let sha256 = hex(&Sha256::digest(&rejected.raw));
            self.met.insert(sha256.clone());
            if !self.known.insert(sha256.clone()) {
                continue;
            }
            // a line break in JSON stands between tokens only, so a space says the same
            let raw = rejected.raw.replace(['\n', '\r'], " ");
            let record: &RawValue =
                serde_json::from_str(&raw).map_err(|error| Error::Internal(error.to_string()))?;
            let line = Line {
                sha256,
                reason: rejected.reason.to_string(),
                record,
            };
            serde_json::to_writer(&mut lines, &line).map_err(|error| Error::Internal(error.to_string()))?;
            lines.push(b'\n');
        }
        if lines.is_empty() {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            store::create_folder(folder)?;
        }
        File::options()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(&lines).and_then(|()| file.sync_all()))
            .map_err(Error::io("write", &self.path))
    }

    /// Distinct records that are kept, of all runs.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.known.len() as u64
    }

    /// Distinct records that this run met.
    #[must_use]
    pub fn met(&self) -> u64 {
        self.met.len() as u64
    }
}
