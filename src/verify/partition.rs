//! Checks one partition: its file against its entry, and its references to conversations.

use std::collections::BTreeMap;

use arrow::array::AsArray;

use crate::dataset::{Dataset, Kind, id_hash};
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::table::{Depth, Entry, PartitionKey, Table};

/// The context of checks.
pub(super) struct Check<'a> {
    pub(super) table: &'a Table,
    /// Sorted hashes of ids, including those of conversations once they are known.
    pub(super) conversations: &'a BTreeMap<(Dataset, String), Vec<u64>>,
    pub(super) cancellation: &'a CancellationToken,
}

/// The result of a check.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Hashes of ids, in the order of rows.
    pub(super) ids: Vec<u64>,
    /// Number of rows without a conversation in the table; `None` if there are no conversations.
    pub(super) missing_conversations: Option<u64>,
    /// Whether all rows could be read.
    pub(super) is_read: bool,
    /// A sentence for each defect.
    pub(super) findings: Vec<String>,
    /// Whether a run replaced the partition during each check.
    pub(super) is_changing: bool,
}

impl Check<'_> {
    /// Checks the file of a partition.
    ///
    /// # Errors
    /// Only if the check was cancelled.
    pub(super) fn partition(&self, key: &PartitionKey, entry: &Entry) -> Result<Checked> {
        let of_bot = (Dataset::Conversations, key.bot.clone());
        let is_reference = |column: &crate::dataset::Column| column.kind == Kind::Reference;
        let reference = key.dataset.columns().iter().position(is_reference);
        let conversations = reference.zip(self.conversations.get(&of_bot));
        let (mut ids, mut missing) = (Vec::new(), 0);
        let checked = self.table.check(key, entry, Depth::Contents, |batch| {
            if self.cancellation.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let of_rows = batch.column(key.dataset.id_column()).as_string::<i32>();
            ids.extend(of_rows.iter().flatten().map(id_hash));
            if let Some((column, there)) = conversations {
                let named = batch.column(column).as_string::<i32>().iter();
                let is_there = |id: &str| there.binary_search(&id_hash(id)).is_ok();
                missing += named.filter(|id| !id.is_some_and(is_there)).count() as u64;
            }
            Ok(())
        });
        let findings = match checked {
            Err(error @ Error::Interrupted) => return Err(error),
            Err(error) => vec![error.with_causes()],
            Ok(findings) => findings,
        };
        // a file that was read in part cannot be compared with others
        let is_read = ids.len() as u64 == entry.rows;
        if !is_read {
            ids.clear();
        }
        Ok(Checked {
            ids,
            missing_conversations: conversations.filter(|_| is_read).map(|_| missing),
            is_read,
            findings,
            is_changing: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::dataset::decode;
    use crate::display::hex;
    use crate::table::{PartitionBy, PartitionDate, RowRef, Settings, file_name};

    /// A published partition of some messages.
    fn published(out: &Path) -> (Table, PartitionKey, Entry) {
        let settings = Settings::new("https://api.example.com", "UTC");
        let table = Table::open_or_create(out, settings).unwrap();
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
            date: PartitionDate::of(PartitionBy::Day, "2023-10-01".parse().unwrap()),
        };
        let staged = table.stage(&key, &[batch], &rows).unwrap();
        table.publish(&key, &staged.entry).unwrap();
        (table, key, staged.entry)
    }

    #[test]
    fn a_file_that_was_bent_with_its_entry_does_not_bring_the_proof_down() {
        let folder = tempfile::tempdir().unwrap();
        let (table, key, entry) = published(folder.path());
        let cancellation = CancellationToken::new();
        let check = Check {
            table: &table,
            conversations: &BTreeMap::new(),
            cancellation: &cancellation,
        };
        assert_eq!(check.partition(&key, &entry).unwrap().findings, [""; 0]);
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
            noticed += usize::from(!check.partition(&key, &bent).unwrap().findings.is_empty());
            std::fs::remove_file(folder.path().join(&bent.path)).unwrap();
        }
        // a change of text is detected only by the checksum, which was changed, too
        assert!(noticed * 2 > whole.len(), "{noticed} of {}", whole.len());
    }
}
