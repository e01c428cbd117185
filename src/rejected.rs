//! Rejected records: those that cannot become rows, stored once each as lines of JSON.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::dataset::{Dataset, Rejected, names_any};
use crate::display::hex;
use crate::error::{Error, Result};
use crate::store;
use crate::table::bot_folder;
use crate::tombstones::Tombstones;

/// Name of the folder of rejected records.
const FOLDER: &str = "rejected";

/// The rejected records of a dataset of a bot.
#[derive(Debug)]
pub struct RejectedRecords {
    path: PathBuf,
    /// Whether only hash and reason are stored, not the record.
    bare: bool,
    known: HashSet<String>,
    seen: HashSet<String>,
    /// Erased conversations, whose records are not stored.
    erased: Option<Tombstones>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct RejectedLine<'a> {
    sha256: String,
    reason: String,
    /// `None` if the table has privacy rules.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
}

impl RejectedRecords {
    /// Opens the file of rejected records, if it exists. With `bare`, only hash and reason are stored, and records that the
    /// file contains are removed from it.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn open(own_folder: &Path, dataset: Dataset, bot: &str, bare: bool) -> Result<Self> {
        let path = path(own_folder, dataset.name(), bot);
        if bare {
            make_bare(&path)?;
        }
        let content = store::read_if_there(&path)?.unwrap_or_default();
        let complete = content
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        if complete < content.len() {
            // a crash truncated the last line; its page is still spooled and adds it again
            let file = File::options().write(true).open(&path);
            file.and_then(|file| file.set_len(complete as u64))
                .map_err(Error::io("truncate", &path))?;
        }
        let lines = content[..complete]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let known = lines
            .filter_map(|line| serde_json::from_slice::<RejectedLine<'_>>(line).ok())
            .map(|line| line.sha256)
            .collect();
        Ok(Self {
            path,
            bare,
            known,
            seen: HashSet::new(),
            erased: Tombstones::load(own_folder)?,
        })
    }

    /// Stores records durably. Known records are not written again, and records that name an erased conversation are
    /// skipped.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, records: &[Rejected]) -> Result<()> {
        let mut lines = Vec::new();
        let erased = self.erased.as_ref();
        let is_erased = |raw: &str| erased.is_some_and(|erased| names_any(raw, |id| erased.contains(id)));
        for rejected in records.iter().filter(|rejected| !is_erased(&rejected.raw)) {
            let sha256 = hex(&Sha256::digest(&rejected.raw));
            self.seen.insert(sha256.clone());
            if !self.known.insert(sha256.clone()) {
                continue;
            }
            // in JSON a raw line break can only be between tokens, where a space is equivalent
            let raw = rejected.raw.replace(['\n', '\r'], " ");
            let record: &RawValue =
                serde_json::from_str(&raw).map_err(|error| Error::Internal(error.to_string()))?;
            let line = RejectedLine {
                sha256,
                reason: rejected.reason.to_string(),
                record: (!self.bare).then_some(record),
            };
            serde_json::to_writer(&mut lines, &line).map_err(|error| Error::Internal(error.to_string()))?;
            lines.push(b'\n');
        }
        if lines.is_empty() {
            return Ok(());
        }
        if let (Some(folder), Some(own_folder)) = (self.path.parent(), self.path.ancestors().nth(3)) {
            store::create_private_folder(own_folder, folder)?;
        }
        store::private_file()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(&lines).and_then(|()| file.sync_all()))
            .map_err(Error::io("write", &self.path))?;
        store::step("rejected-kept");
        Ok(())
    }

    /// Number of distinct records in the file, of all runs.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.known.len() as u64
    }

    /// Number of distinct records that this run rejected.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.seen.len() as u64
    }
}

/// Removes the rejected records whose JSON matches `is_target`; returns how many were removed and how many remain.
///
/// # Errors
/// If the file cannot be read or written.
pub(crate) fn remove(
    own_folder: &Path,
    dataset: &str,
    bot: &str,
    is_target: impl Fn(&str) -> bool,
) -> Result<(u64, u64)> {
    let path = path(own_folder, dataset, bot);
    let content = store::read_if_there(&path)?.unwrap_or_default();
    let (mut rest, mut removed) = (Vec::with_capacity(content.len()), 0);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if matches(line, &is_target) {
            removed += 1;
        } else {
            rest.extend_from_slice(line);
        }
    }
    if rest.is_empty() {
        store::remove_file(&path)?;
        if removed > 0 {
            // it must not reappear after a power failure
            store::sync_folder(path.parent().unwrap_or(own_folder))?;
        }
    } else if removed > 0 {
        store::write_private(&path, &rest)?;
    }
    Ok((removed, RejectedSummary::read(own_folder, dataset, bot)?.distinct))
}

/// Counts the rejected records whose JSON matches `is_target`.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn count(
    own_folder: &Path,
    dataset: &str,
    bot: &str,
    is_target: impl Fn(&str) -> bool,
) -> Result<u64> {
    let content = store::read_if_there(&path(own_folder, dataset, bot))?.unwrap_or_default();
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    let matching = lines.filter(|line| matches(line, &is_target));
    Ok(matching.count() as u64)
}

/// Whether the record of a line matches `is_target`.
fn matches(line: &[u8], is_target: impl Fn(&str) -> bool) -> bool {
    match serde_json::from_slice::<RejectedLine<'_>>(line) {
        Ok(read) => read.record.is_some_and(|record| is_target(record.get())),
        // truncated by a crash
        Err(_) => is_target(&String::from_utf8_lossy(line)),
    }
}

/// Removes the records from a file, which leaves their hashes and reasons.
fn make_bare(path: &Path) -> Result<()> {
    let content = store::read_if_there(path)?.unwrap_or_default();
    let (mut bare, mut has_records) = (Vec::new(), false);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        // a truncated line is dropped: its page adds it again
        if let Ok(read) = serde_json::from_slice::<RejectedLine<'_>>(line) {
            has_records |= read.record.is_some();
            let line = RejectedLine { record: None, ..read };
            serde_json::to_writer(&mut bare, &line).map_err(|error| Error::Internal(error.to_string()))?;
            bare.push(b'\n');
        }
    }
    match has_records {
        true => store::write_private(path, &bare),
        false => Ok(()),
    }
}

/// Counts of a file of rejected records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedSummary {
    /// Distinct records.
    pub distinct: u64,
    /// Distinct records by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Damaged lines.
    pub unreadable: u64,
    /// Whether a crash truncated the last line. The next run repairs it.
    pub torn: bool,
}

impl RejectedSummary {
    /// Counts the rejected records of a dataset of a bot, without a change of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(own_folder: &Path, dataset: &str, bot: &str) -> Result<Self> {
        let path = path(own_folder, dataset, bot);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let (mut file, mut line) = (BufReader::new(file), Vec::new());
        let (mut summary, mut known) = (Self::default(), HashSet::new());
        while file
            .read_until(b'\n', &mut line)
            .map_err(Error::io("read", &path))?
            > 0
        {
            if line.ends_with(b"\n") {
                match serde_json::from_slice::<RejectedLine<'_>>(&line) {
                    Ok(line) => {
                        if known.insert(line.sha256) {
                            *summary.reasons.entry(line.reason).or_default() += 1;
                        }
                    }
                    Err(_) => summary.unreadable += 1,
                }
            } else {
                summary.torn = true;
            }
            line.clear();
        }
        summary.distinct = known.len() as u64;
        Ok(summary)
    }
}

/// Path of the file of rejected records of a dataset of a bot.
pub(crate) fn path(own_folder: &Path, dataset: &str, bot: &str) -> PathBuf {
    let name = format!("{}.jsonl", bot_folder(bot));
    own_folder.join(FOLDER).join(dataset).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Reason;

    #[test]
    fn rejected_records_are_counted_by_reason() {
        let folder = tempfile::tempdir().unwrap();
        let summary = || RejectedSummary::read(folder.path(), "messages", "r3").unwrap();
        assert_eq!(summary(), RejectedSummary::default());
        let record = |raw: &str, reason| Rejected {
            index: 0,
            reason,
            raw: raw.into(),
        };
        let records = [
            record("5", Reason::NotAnObject),
            record("{\n}", Reason::NoId),
            record("5", Reason::NotAnObject),
            record("[6]", Reason::NotAnObject),
        ];
        let mut rejected = RejectedRecords::open(folder.path(), Dataset::Messages, "r3", false).unwrap();
        rejected.append(&records).unwrap();
        let reasons = [(String::from("no usable _id"), 1), ("not an object".into(), 2)];
        let mut expected = RejectedSummary {
            distinct: 3,
            reasons: reasons.into(),
            ..RejectedSummary::default()
        };
        assert_eq!(summary(), expected);
        let path = path(folder.path(), "messages", "r3");
        let mut content = std::fs::read(&path).unwrap();
        content.extend_from_slice(b"?\n{\"sha");
        std::fs::write(&path, &content).unwrap();
        (expected.unreadable, expected.torn) = (1, true);
        assert_eq!(summary(), expected);
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}
