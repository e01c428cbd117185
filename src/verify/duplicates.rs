//! Finds ids with several rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::AsArray;
use rayon::prelude::*;

use super::Verified;
use super::report::Remedy;
use crate::dataset::{Dataset, id_hash};
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::table::{Entry, PartitionKey};

/// Number of ids that a pair of partitions shares, and one of the ids.
type Shared = BTreeMap<(PartitionKey, PartitionKey), (u64, String)>;

impl Verified {
    /// Finds ids with rows of two dates. Equal hashes are only candidates; the ids are compared.
    ///
    /// A run that receives a record with another date removes the old row at its end, so a duplicate is not a problem
    /// while a run is active.
    pub(super) fn duplicates(&mut self, cancellation: &CancellationToken, is_changing: bool) -> Result<()> {
        let mut shared = Shared::new();
        for ((dataset, bot), ids) in &self.ids {
            let candidates: BTreeSet<u64> = ids
                .windows(2)
                .filter(|pair| pair[0] == pair[1])
                .map(|pair| pair[0])
                .collect();
            if !candidates.is_empty() {
                self.compare(*dataset, bot, &candidates, &mut shared, cancellation)?;
            }
        }
        for ((one, other), (count, example)) in shared {
            let what = if one == other {
                format!("{count} ids have two rows in it, such as {example}")
            } else {
                let other = other.folder();
                format!(
                    "{count} ids have rows in it and in {}, such as {example}",
                    other.display()
                )
            };
            if is_changing || !self.is_unchanged() {
                self.report.note(&one.folder(), what);
                self.report.changed(1);
                continue;
            }
            let remedy = if self.has_unchecked_rows(&one) {
                Remedy::Export
            } else {
                Remedy::Vendor
            };
            self.report
                .problem_of((one.dataset, &one.bot), &one.folder(), remedy, what);
        }
        Ok(())
    }

    /// Whether a run ended before it searched for records whose date changed. The next run does.
    fn has_unchecked_rows(&self, key: &PartitionKey) -> bool {
        let ledger = self.ledger.as_ref();
        let state = ledger.and_then(|ledger| ledger.state(key.dataset.name(), &key.bot));
        state.is_some_and(|state| state.unchecked_rows.is_some())
    }

    fn compare(
        &self,
        dataset: Dataset,
        bot: &str,
        candidates: &BTreeSet<u64>,
        shared: &mut Shared,
        cancellation: &CancellationToken,
    ) -> Result<()> {
        let found = self
            .readable()
            .filter(|(key, _)| key.dataset == dataset && key.bot == bot)
            .map(|(key, entry)| Ok((key, self.matching_ids(candidates, key, entry, cancellation)?)))
            .collect::<Result<Vec<_>>>()?;
        let mut first: HashMap<String, &PartitionKey> = HashMap::new();
        for (key, ids) in found {
            for id in ids {
                match first.get(&id) {
                    Some(earlier) => {
                        let pair = ((*earlier).clone(), key.clone());
                        let (count, _) = shared.entry(pair).or_insert_with(|| (0, id));
                        *count += 1;
                    }
                    None => {
                        first.insert(id, key);
                    }
                }
            }
        }
        Ok(())
    }
    /// Returns the ids of a partition that may be in others, too.
    fn matching_ids(
        &self,
        candidates: &BTreeSet<u64>,
        key: &PartitionKey,
        entry: &Entry,
        cancellation: &CancellationToken,
    ) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let Some(file) = self.table.open_current(key, entry)? else {
            return Ok(found);
        };
        for batch in file.batches(Some(&[key.dataset.id_column()]))? {
            if cancellation.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let batch = batch?;
            let ids = batch.column(0).as_string::<i32>().iter().flatten();
            found.extend(
                ids.filter(|id| candidates.contains(&id_hash(id)))
                    .map(str::to_owned),
            );
        }
        Ok(found)
    }
}
