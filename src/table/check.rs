//! Checks the file of a partition against its entry. Runs, `erase`, `rebuild` and `verify` all use this check.
//!
//! The caller also compares the entry with the ledger (see `DatasetState::inspect`).

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

use super::contents::Contents;
use super::reader::{DataFile, checksum};
use super::{Entry, PartitionKey, Table, file};
use crate::error::{Error, Result};
use crate::store;

/// How much of a file is read. Each depth includes the previous ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// The file has the path and the size of its entry.
    Listing,
    /// Its bytes have the SHA-256 of its entry.
    Checksum,
    /// Its columns and labels are those of the partition, and every row can be decoded, is in order, and belongs to the
    /// partition; number, ids and times are those of the entry.
    Contents,
}

/// What is wrong with a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Defect {
    /// The file or folder, relative to the table's folder.
    pub(crate) path: PathBuf,
    /// A sentence that describes the defect.
    pub(crate) what: String,
}

impl Table {
    /// Checks the file of a partition. Returns a sentence for each defect, and none if the file is intact. Changes
    /// nothing.
    ///
    /// `batch` is called with each decoded batch of rows, at [`Depth::Contents`] only.
    ///
    /// # Errors
    /// If the file cannot be read, and errors of `batch`. At [`Depth::Contents`] only [`Error::Interrupted`] from
    /// `batch` is an error; any other one becomes a finding.
    pub(crate) fn check(
        &self,
        key: &PartitionKey,
        entry: &Entry,
        depth: Depth,
        batch: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<Vec<String>> {
        if !is_named_for(entry, &key.folder()) {
            return Ok(vec![format!(
                "the manifest names it for {}",
                key.folder().display()
            )]);
        }
        let mut findings = Vec::new();
        let checked = self.check_file(key, entry, depth, batch, &mut findings);
        match checked {
            Err(error) if error.is_not_found() => findings.push("it is missing".into()),
            Err(error) if depth == Depth::Contents && !matches!(error, Error::Interrupted) => {
                findings.push(error.with_causes());
            }
            checked => checked?,
        }
        Ok(findings)
    }

    fn check_file(
        &self,
        key: &PartitionKey,
        entry: &Entry,
        depth: Depth,
        batch: impl FnMut(&RecordBatch) -> Result<()>,
        findings: &mut Vec<String>,
    ) -> Result<()> {
        let path = self.out.join(&entry.path);
        let bytes = fs::metadata(&path).map_err(Error::io("read", &path))?.len();
        if bytes != entry.bytes {
            findings.push(format!("it has {bytes} bytes instead of {}", entry.bytes));
        } else if depth >= Depth::Checksum && checksum(&path)? != entry.sha256 {
            let what = "it is not what was written: its SHA-256 is not that in the manifest";
            findings.push(what.into());
        }
        if depth < Depth::Contents {
            return Ok(());
        }
        let file = DataFile::open(&path)?;
        if file.rows() != entry.rows {
            findings.push(format!("it has {} rows instead of {}", file.rows(), entry.rows));
        }
        if !file.has_schema_of(key, self.table_options()) {
            findings.push(format!("its columns are not those of {}", key.dataset));
        }
        findings.extend(file.differing_labels(key, self.table_options()));
        // do not decode bytes that are not the written ones
        if findings.is_empty() {
            let contents = Contents::read(file, key, &self.zone()?, batch)?;
            findings.extend(contents.differences(key, entry));
        }
        Ok(())
    }

    /// Whether the file of a partition is byte for byte what was written. If not, the next run reads it completely,
    /// even if its times are unchanged. Only for the process that has the lock.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn is_as_written(&self, key: &PartitionKey, entry: &Entry) -> Result<bool> {
        Ok(self.find_defect(key, entry)?.is_none())
    }

    /// Returns the defect of a file with other bytes than were written; see [`Table::is_as_written`].
    pub(super) fn find_defect(&self, key: &PartitionKey, entry: &Entry) -> Result<Option<Defect>> {
        let findings = self.check(key, entry, Depth::Checksum, |_| Ok(()))?;
        let wrong = findings.into_iter().next().map(|what| Defect {
            path: entry.path.clone(),
            what,
        });
        if wrong.is_some() {
            store::touch(&self.out.join(&entry.path));
        }
        Ok(wrong)
    }
}

/// Whether the entry's file is in its partition's folder and named after its content.
pub(super) fn is_named_for(entry: &Entry, folder: &Path) -> bool {
    entry.path == folder.join(file::name(&entry.sha256))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, decode};
    use crate::table::{PartitionBy, PartitionDate, RowRef, Settings};

    #[test]
    fn each_depth_finds_what_those_before_it_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let table =
            Table::open_or_create(folder.path(), Settings::new("https://api.example.com", "UTC")).unwrap();
        let page = br#"{"data":[{"_id":"a","time":1696118400},{"_id":"b","time":1696118401}],"cursor":null}"#;
        let batch = decode(Dataset::Messages, page).unwrap().batch;
        let key = PartitionKey {
            dataset: Dataset::Messages,
            bot: "r3".into(),
            date: PartitionDate::of(PartitionBy::Day, jiff::civil::date(2023, 10, 1)),
        };
        let rows = [0, 1].map(|row| RowRef { batch: 0, row });
        let entry = table.stage(&key, &[batch], &rows).unwrap().entry;
        table.publish(&key, &entry).unwrap();
        let findings = |entry: &Entry| {
            [Depth::Listing, Depth::Checksum, Depth::Contents].map(|depth| {
                let findings = table.check(&key, entry, depth, |_| Ok(())).unwrap();
                findings.join("; ")
            })
        };
        assert_eq!(findings(&entry), ["", "", ""]);
        let inspect = |is_expected: bool| {
            let inspection = table.inspect(&key, Depth::Listing, |_| is_expected).unwrap();
            inspection.unwrap().found.map_err(|wrong| wrong.what)
        };
        assert_eq!(inspect(true), Ok(entry.clone()));
        assert!(
            inspect(false)
                .unwrap_err()
                .contains("not those that were written")
        );

        let other = Entry {
            first: None,
            ..entry.clone()
        };
        let [listing, checksum, contents] = findings(&other);
        assert!(listing.is_empty() && checksum.is_empty() && contents.contains("first or last time"));
        fs::remove_file(table.entry_path(&key)).unwrap();
        assert_eq!(inspect(true), Ok(entry.clone()), "it is made again from the file");

        let path = folder.path().join(&entry.path);
        let mut bytes = fs::read(&path).unwrap();
        bytes[100] ^= 1;
        // a change is detected by its time, and file system clocks have coarse ticks
        std::thread::sleep(std::time::Duration::from_millis(50));
        fs::write(&path, &bytes).unwrap();
        let [listing, checksum, contents] = findings(&entry);
        assert!(listing.is_empty() && checksum.contains("SHA-256") && contents.contains("SHA-256"));
        assert!(inspect(true).is_err() && table.intact_file(&key).is_err());

        fs::write(&path, &bytes[1..]).unwrap();
        assert!(
            findings(&entry)
                .iter()
                .all(|what| what.contains("bytes instead of"))
        );
        fs::remove_file(&path).unwrap();
        assert_eq!(findings(&entry), ["it is missing"; 3]);
    }
}
