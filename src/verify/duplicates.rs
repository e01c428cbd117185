//! Ids of more than one row of a dataset of a bot.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::AsArray;
use rayon::prelude::*;

use super::Verified;
use super::report::Mend;
use crate::dataset::{Dataset, id_hash};
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::table::{Entry, PartitionKey};

/// How often each pair of partitions shares an id, with one of the ids.
type Shared = BTreeMap<(PartitionKey, PartitionKey), (u64, String)>;

impl Verified {
    /// Finds ids that have rows under two dates. Equal hashes are only candidates; the ids decide.
    ///
    /// A run that sees a record under another date takes the row under the old date out at its end. So an id that is twice
    /// while a run is at work is no problem yet.
    pub(super) fn duplicates(&mut self, stop: &CancellationToken, is_changing: bool) -> Result<()> {
        let mut shared = Shared::new();
        for ((dataset, bot), ids) in &self.ids {
            let candidates: BTreeSet<u64> = ids
                .windows(2)
                .filter(|pair| pair[0] == pair[1])
                .map(|pair| pair[0])
                .collect();
            if !candidates.is_empty() {
                self.compare(*dataset, bot, &candidates, &mut shared, stop)?;
            }
        }
        for ((one, other), (count, example)) in shared {
            let what = if one == other {
                format!("{count} ids stand in it twice, such as {example}")
            } else {
                let other = other.folder();
                format!(
                    "{count} ids stand in it and in {} too, such as {example}",
                    other.display()
                )
            };
            if is_changing || !self.is_as_it_was() {
                self.report.note(&one.folder(), what);
                self.report.changed(1);
                continue;
            }
            let mend = if self.is_to_be_mended(&one) {
                Mend::Export
            } else {
                Mend::Vendor
            };
            self.report
                .problem_of((one.dataset, &one.bot), &one.folder(), mend, what);
        }
        Ok(())
    }

    /// Whether a run has ended before it looked for records whose date changed: the next one does.
    fn is_to_be_mended(&self, key: &PartitionKey) -> bool {
        let ledger = self.ledger.as_ref();
        let account = ledger.and_then(|ledger| ledger.known(key.dataset.name(), &key.bot));
        account.is_some_and(|account| account.moves.is_some())
    }

    fn compare(
        &self,
        dataset: Dataset,
        bot: &str,
        candidates: &BTreeSet<u64>,
        shared: &mut Shared,
        stop: &CancellationToken,
    ) -> Result<()> {
        let found = self
            .readable()
            .filter(|(key, _)| key.dataset == dataset && key.bot == bot)
            .map(|(key, entry)| Ok((key, self.among(candidates, key, entry, stop)?)))
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
    /// The ids of a partition that may stand elsewhere too.
    fn among(
        &self,
        candidates: &BTreeSet<u64>,
        key: &PartitionKey,
        entry: &Entry,
        stop: &CancellationToken,
    ) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let Some(file) = self.table.open_current(key, entry)? else {
            return Ok(found);
        };
        for batch in file.batches(Some(&[key.dataset.id_column()]))? {
            if stop.is_cancelled() {
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
