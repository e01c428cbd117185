//! Ids that stand in more than one row of a dataset of a bot.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::AsArray;
use rayon::prelude::*;

use super::Verified;
use super::report::Mend;
use crate::dataset::{Dataset, id_hash};
use crate::error::{Error, Result};
use crate::fetch::Stop;
use crate::table::{Footer, PartitionKey};

/// How often each pair of partitions shares an id, with one of the ids.
type Shared = BTreeMap<(PartitionKey, PartitionKey), (u64, String)>;

impl Verified {
    /// Looks for ids that stand under two dates. Equal hashes are only candidates; the ids decide.
    pub(super) fn twice(&mut self, stop: &Stop) -> Result<()> {
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
            self.report
                .problem_of((one.dataset, &one.bot), &one.folder(), Mend::Export, what);
        }
        Ok(())
    }

    fn compare(
        &self,
        dataset: Dataset,
        bot: &str,
        candidates: &BTreeSet<u64>,
        shared: &mut Shared,
        stop: &Stop,
    ) -> Result<()> {
        let entries: Vec<_> = self
            .entries
            .iter()
            .filter(|(key, _)| key.dataset == dataset && key.bot == bot)
            .collect();
        let found = entries
            .par_iter()
            .map(|(_, entry)| {
                let mut found = Vec::new();
                // a file that cannot be read is told of already
                let Ok(footer) = Footer::open(&self.table.out().join(&entry.path)) else {
                    return Ok(found);
                };
                let Ok(batches) = footer.batches(Some(&[dataset.id_column()])) else {
                    return Ok(found);
                };
                for batch in batches.map_while(Result::ok) {
                    if stop.is_told() {
                        return Err(Error::Interrupted);
                    }
                    let Some(ids) = batch.columns().first().and_then(|ids| ids.as_string_opt::<i32>()) else {
                        return Ok(found);
                    };
                    let among = |id: &&str| candidates.contains(&id_hash(id));
                    found.extend(ids.iter().flatten().filter(among).map(str::to_owned));
                }
                Ok(found)
            })
            .collect::<Result<Vec<Vec<String>>>>()?;
        let mut first: HashMap<String, &PartitionKey> = HashMap::new();
        for ((key, _), ids) in entries.into_iter().zip(found) {
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
}
