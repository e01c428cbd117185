//! One partition: its file against its entry of the manifest.

use std::collections::BTreeMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::dataset::{Dataset, Kind, Shape, id_hash};
use crate::display::hex;
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::table::{Entry, PartitionKey, Periods, Scan, Zone, file_name, moment};

/// What it takes to look at partitions.
pub(super) struct Look<'a> {
    pub(super) out: &'a Path,
    pub(super) zone: &'a Zone,
    pub(super) shape: &'a Shape,
    /// Sorted hashes of ids, conversations among them once they are known.
    pub(super) conversations: &'a BTreeMap<(Dataset, String), Vec<u64>>,
    pub(super) stop: &'a CancellationToken,
}

/// What a look at a partition brought.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// A hash of each id, in the order of rows.
    pub(super) ids: Vec<u64>,
    /// Rows that name a conversation which is not there, or none; not counted where there are no conversations.
    pub(super) missing_conversations: Option<u64>,
    /// Whether all rows could be read.
    pub(super) is_read: bool,
    /// What is wrong.
    pub(super) findings: Vec<String>,
    /// Whether a run replaced it each time that it was checked.
    pub(super) is_changing: bool,
}

impl Look<'_> {
    /// Checks a partition's file.
    ///
    /// # Errors
    /// Only where it was told to stop.
    pub(super) fn check(&self, key: &PartitionKey, entry: &Entry) -> Result<Checked> {
        let mut checked = Checked::default();
        if entry.path != key.folder().join(file_name(&entry.sha256)) {
            let what = format!("the manifest names it for {}", key.folder().display());
            checked.findings.push(what);
            return Ok(checked);
        }
        // where file and manifest were bent alike, a reader may meet what it holds impossible
        let file = AssertUnwindSafe(|| self.file(key, entry, &mut checked));
        let looked = panic::catch_unwind(file).unwrap_or_else(|_| {
            let what = format!("{} makes its reader break off", entry.path.display());
            Err(Error::Internal(what))
        });
        match looked {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                checked.findings.push("it is missing".into());
                Ok(checked)
            }
            Err(error) => {
                checked.findings.push(error.with_causes());
                Ok(checked)
            }
            Ok(()) => Ok(checked),
        }
    }

    fn file(&self, key: &PartitionKey, entry: &Entry, checked: &mut Checked) -> Result<()> {
        let scan = Scan::open(&self.out.join(&entry.path))?;
        if scan.bytes != entry.bytes {
            let what = format!("it has {} bytes instead of {}", scan.bytes, entry.bytes);
            checked.findings.push(what);
        } else if scan.sha256 != entry.sha256 {
            checked
                .findings
                .push("its content was changed: its SHA-256 is not the manifest's".into());
        }
        let footer = scan.footer()?;
        if footer.rows() != entry.rows {
            let what = format!("it has {} rows instead of {}", footer.rows(), entry.rows);
            checked.findings.push(what);
        }
        if !footer.has_schema_of(key, self.shape) {
            checked
                .findings
                .push(format!("its columns are not those of {}", key.dataset));
        }
        checked.findings.extend(footer.differing_labels(key, self.shape));
        if !checked.findings.is_empty() {
            // bytes that nobody knows are not worth to be decoded
            return Ok(());
        }
        let of_bot = (Dataset::Conversations, key.bot.clone());
        let is_reference = |column: &crate::dataset::Column| column.kind == Kind::Reference;
        let reference = key.dataset.columns().iter().position(is_reference);
        let mut rows = Rows {
            key,
            periods: self.zone.periods(),
            conversations: reference.zip(self.conversations.get(&of_bot).map(Vec::as_slice)),
            ids: Vec::with_capacity(usize::try_from(entry.rows).unwrap_or(0)),
            missing_conversations: 0,
            digest: Sha256::new(),
            before: None,
            first: None,
            disordered: 0,
            misplaced: 0,
        };
        for batch in footer.batches(None)? {
            if self.stop.is_cancelled() {
                return Err(Error::Interrupted);
            }
            rows.take(&batch?)?;
        }
        rows.end(entry, checked);
        Ok(())
    }
}

/// The rows of a file, as they pass.
struct Rows<'a> {
    key: &'a PartitionKey,
    periods: Periods<'a>,
    /// The column that names a conversation, and what conversations there are.
    conversations: Option<(usize, &'a [u64])>,
    ids: Vec<u64>,
    missing_conversations: u64,
    digest: Sha256,
    /// The row before: its time and id.
    before: Option<(Option<i64>, String)>,
    first: Option<i64>,
    disordered: u64,
    misplaced: u64,
}

impl Rows<'_> {
    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let dataset = self.key.dataset;
        let ids = batch.column(dataset.id_column()).as_string_opt::<i32>();
        let times = batch
            .column(dataset.time_column())
            .as_primitive_opt::<TimestampMicrosecondType>();
        let (Some(ids), Some(times)) = (ids, times) else {
            return Err(Error::Internal(format!("{dataset} has neither ids nor times")));
        };
        let earlier = self.before.take();
        let mut before = earlier.as_ref().map(|(time, id)| (*time, id.as_str()));
        for row in 0..batch.num_rows() {
            let (id, time) = (ids.value(row), times.is_valid(row).then(|| times.value(row)));
            self.digest.update(id);
            self.digest.update("\n");
            self.ids.push(id_hash(id));
            let now = Some((time, id));
            self.disordered += u64::from(before >= now);
            self.misplaced += u64::from(self.periods.of(time) != self.key.period);
            self.first = self.first.or(time);
            before = now;
        }
        self.before = before.map(|(time, id)| (time, id.to_owned()));
        if let Some((column, there)) = self.conversations {
            let named = batch.column(column).as_string::<i32>().iter();
            let is_there = |id: &str| there.binary_search(&id_hash(id)).is_ok();
            self.missing_conversations += named.filter(|id| !id.is_some_and(is_there)).count() as u64;
        }
        Ok(())
    }

    fn end(self, entry: &Entry, checked: &mut Checked) {
        let findings = &mut checked.findings;
        if self.ids.len() as u64 != entry.rows {
            findings.push(format!(
                "it gives {} rows instead of {}",
                self.ids.len(),
                entry.rows
            ));
        }
        if self.disordered > 0 {
            findings.push(format!(
                "{} rows are not in the order of time, then id",
                self.disordered
            ));
        }
        if self.misplaced > 0 {
            let key = self.key.period.by().key();
            findings.push(format!("{} rows do not belong to its {key}", self.misplaced));
        }
        if hex(&self.digest.finalize()) != entry.ids_sha256 {
            findings.push("its ids are not those of the manifest".into());
        }
        let last = self.before.and_then(|(time, _)| time);
        let micros = |time: Timestamp| time.as_microsecond();
        let told = [entry.first, entry.last].map(|time| time.map(micros));
        if [self.first, last].map(|time| time.map(moment).map(micros)) != told {
            findings.push("its first or last time is not the manifest's".into());
        }
        checked.ids = self.ids;
        checked.is_read = true;
        checked.missing_conversations = self.conversations.map(|_| self.missing_conversations);
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;
    use crate::dataset::decode;
    use crate::fetch::CancellationToken;
    use crate::table::{PartitionBy, Period, RowRef, Settings, Table};

    /// A published partition of some messages.
    fn published(out: &Path) -> (PartitionKey, Entry) {
        let settings = Settings::new("https://api.example.com", "UTC");
        let table = Table::open(out, settings).unwrap();
        let records: Vec<String> = (0..300)
            .map(|n| {
                format!(
                    r#"{{"_id":"m{n}","time":{},"conversationId":"c{}","userInput":"{}","x":[{n}]}}"#,
                    1_696_118_400 + n,
                    n / 7,
                    "text ".repeat(5)
                )
            })
            .collect();
        let page = format!(r#"{{"data":[{}],"cursor":null}}"#, records.join(","));
        let batch = decode(Dataset::Messages, page.as_bytes()).unwrap().batch;
        let rows: Vec<RowRef> = (0..300).map(|row| RowRef { batch: 0, row }).collect();
        let key = PartitionKey {
            dataset: Dataset::Messages,
            bot: "r3".into(),
            period: Period::of(PartitionBy::Day, "2023-10-01".parse().unwrap()),
        };
        let staged = table.stage(&key, &[batch], &rows).unwrap();
        table.publish(&key, &staged.entry).unwrap();
        (key, staged.entry)
    }

    #[test]
    fn a_file_that_was_bent_with_its_entry_does_not_bring_the_proof_down() {
        let folder = tempfile::tempdir().unwrap();
        let (key, entry) = published(folder.path());
        let stop = CancellationToken::new();
        let look = Look {
            out: folder.path(),
            zone: &Zone::named("UTC").unwrap(),
            shape: &Shape::default(),
            conversations: &BTreeMap::new(),
            stop: &stop,
        };
        assert_eq!(look.check(&key, &entry).unwrap().findings, [""; 0]);
        let path = folder.path().join(&entry.path);
        let whole = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut noticed = 0;
        for place in 0..whole.len() {
            let mut bent = whole.clone();
            bent[place] ^= [0x01, 0x80][place % 2];
            let sha256 = hex(&Sha256::digest(&bent));
            let path = key.folder().join(file_name(&sha256));
            std::fs::write(folder.path().join(&path), &bent).unwrap();
            let bent = Entry {
                sha256,
                path,
                ..entry.clone()
            };
            noticed += usize::from(!look.check(&key, &bent).unwrap().findings.is_empty());
            std::fs::remove_file(folder.path().join(&bent.path)).unwrap();
        }
        // texts may change without anybody noticing, but for the checksum that was bent with them
        assert!(noticed * 2 > whole.len(), "{noticed} of {}", whole.len());
    }
}
