//! Records that could not become rows: kept whole, once each.

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

/// The folder of rejected records in the exporter's own.
const FOLDER: &str = "rejected";

/// The rejected records of one dataset of one bot, a line of JSON each.
#[derive(Debug)]
pub struct RejectedRecords {
    path: PathBuf,
    /// Whether only hash and reason are kept.
    bare: bool,
    known: HashSet<String>,
    met: HashSet<String>,
    /// Conversations that were erased: a record that names one is not kept.
    erased: Option<Tombstones>,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    sha256: String,
    reason: String,
    /// Not there where rules take something out of rows.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
}

impl RejectedRecords {
    /// Opens the file of these records below the exporter's own folder; it need not be there. Of `bare` records only hash
    /// and reason are kept, also of those that are there.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(own_folder: &Path, dataset: Dataset, bot: &str, bare: bool) -> Result<Self> {
        let path = path(own_folder, dataset.name(), bot);
        if bare {
            make_bare(&path)?;
        }
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
            bare,
            known,
            met: HashSet::new(),
            erased: Tombstones::load(own_folder)?,
        })
    }

    /// Keeps records, durably; those that are known already are not written again, and those that name a conversation
    /// that was erased are not kept.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&mut self, records: &[Rejected]) -> Result<()> {
        let mut lines = Vec::new();
        let erased = self.erased.as_ref();
        let is_erased = |raw: &str| erased.is_some_and(|erased| names_any(raw, |id| erased.has(id)));
        for rejected in records.iter().filter(|rejected| !is_erased(&rejected.raw)) {
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

/// Removes the rejected records of a dataset of a bot that `goes` tells of, as they stand in JSON; answers how many are
/// removed, and how many are left.
///
/// # Errors
/// Where the file cannot be read or written.
pub(crate) fn remove(
    own_folder: &Path,
    dataset: &str,
    bot: &str,
    goes: impl Fn(&str) -> bool,
) -> Result<(u64, u64)> {
    let path = path(own_folder, dataset, bot);
    let content = store::read_if_there(&path)?.unwrap_or_default();
    let (mut rest, mut gone) = (Vec::with_capacity(content.len()), 0);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if names(line, &goes) {
            gone += 1;
        } else {
            rest.extend_from_slice(line);
        }
    }
    if rest.is_empty() {
        store::remove_file(&path)?;
        if gone > 0 {
            // it must not come back after a power cut
            store::sync_folder(path.parent().unwrap_or(own_folder))?;
        }
    } else if gone > 0 {
        store::write_private(&path, &rest)?;
    }
    Ok((gone, RejectedSummary::read(own_folder, dataset, bot)?.distinct))
}

/// How many rejected records of a dataset of a bot `goes` names, as they are in JSON.
///
/// # Errors
/// Where the file cannot be read.
pub(crate) fn count(own_folder: &Path, dataset: &str, bot: &str, goes: impl Fn(&str) -> bool) -> Result<u64> {
    let content = store::read_if_there(&path(own_folder, dataset, bot))?.unwrap_or_default();
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    let going = lines.filter(|line| names(line, &goes));
    Ok(going.count() as u64)
}

/// Whether `goes` names the record of a line.
fn names(line: &[u8], goes: impl Fn(&str) -> bool) -> bool {
    match serde_json::from_slice::<Line<'_>>(line) {
        Ok(read) => read.record.is_some_and(|record| goes(record.get())),
        // torn by a crash, its page brings it again
        Err(_) => goes(&String::from_utf8_lossy(line)),
    }
}

/// Lets the rejected records of a file tell no more than that they are there, and why.
fn make_bare(path: &Path) -> Result<()> {
    let content = store::read_if_there(path)?.unwrap_or_default();
    let (mut bare, mut has_records) = (Vec::new(), false);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        // a line that is torn is left out: its page brings it again
        if let Ok(read) = serde_json::from_slice::<Line<'_>>(line) {
            has_records |= read.record.is_some();
            let line = Line { record: None, ..read };
            serde_json::to_writer(&mut bare, &line).map_err(|error| Error::Internal(error.to_string()))?;
            bare.push(b'\n');
        }
    }
    match has_records {
        true => store::write_private(path, &bare),
        false => Ok(()),
    }
}

/// What a file of rejected records holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedSummary {
    /// Distinct records.
    pub distinct: u64,
    /// How many there are for each reason.
    pub reasons: BTreeMap<String, u64>,
    /// Lines that are not as they were written.
    pub unreadable: u64,
    /// Whether a crash tore the last line. The next run mends it.
    pub torn: bool,
}

impl RejectedSummary {
    /// Looks at the rejected records of a dataset of a bot; nothing is mended.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(own_folder: &Path, dataset: &str, bot: &str) -> Result<Self> {
        let path = path(own_folder, dataset, bot);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let (mut file, mut line) = (BufReader::new(file), Vec::new());
        let (mut kept, mut known) = (Self::default(), HashSet::new());
        while file
            .read_until(b'\n', &mut line)
            .map_err(Error::io("read", &path))?
            > 0
        {
            if line.ends_with(b"\n") {
                match serde_json::from_slice::<Line<'_>>(&line) {
                    Ok(line) => {
                        if known.insert(line.sha256) {
                            *kept.reasons.entry(line.reason).or_default() += 1;
                        }
                    }
                    Err(_) => kept.unreadable += 1,
                }
            } else {
                kept.torn = true;
            }
            line.clear();
        }
        kept.distinct = known.len() as u64;
        Ok(kept)
    }
}

/// The file of the rejected records of a dataset of a bot.
pub(crate) fn path(own_folder: &Path, dataset: &str, bot: &str) -> PathBuf {
    let name = format!("{}.jsonl", bot_folder(bot));
    own_folder.join(FOLDER).join(dataset).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Reason;

    #[test]
    fn what_is_kept_is_counted_by_reason_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let look = || RejectedSummary::read(folder.path(), "messages", "r3").unwrap();
        assert_eq!(look(), RejectedSummary::default());
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
        rejected.keep(&records).unwrap();
        let reasons = [(String::from("no usable _id"), 1), ("not an object".into(), 2)];
        let mut expected = RejectedSummary {
            distinct: 3,
            reasons: reasons.into(),
            ..RejectedSummary::default()
        };
        assert_eq!(look(), expected);
        let path = path(folder.path(), "messages", "r3");
        let mut content = std::fs::read(&path).unwrap();
        content.extend_from_slice(b"?\n{\"sha");
        std::fs::write(&path, &content).unwrap();
        (expected.unreadable, expected.torn) = (1, true);
        assert_eq!(look(), expected);
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}
