//! Checks the ledger against the manifest, the rejected records, and itself.

use std::path::Path;

use super::report::Remedy;
use super::snapshot::{PendingPages, metadata};
use super::{NOT_READABLE, Verified, own_path};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::ledger::{DatasetState, Ledger, PartitionMetadata, Publication};
use crate::rejected::{self, RejectedSummary};
use crate::table::{Entry, OWN_FOLDER, PartitionKey};

impl Verified {
    /// Checks the ledger. A partition that an interrupted commit changes may be its version of before.
    pub(super) fn check_ledger(
        &mut self,
        commit: Option<&Publication>,
        pending_pages: &PendingPages,
        run_is_active: bool,
    ) -> Result<()> {
        for ((dataset, bot), pages) in pending_pages {
            let what =
                format!("{pages} pages of {dataset} of {bot} are not in the table yet: run the export again");
            self.report.note(&own_path("pages"), what);
        }
        let ledger = self.ledger.take();
        if let Some(ledger) = &ledger {
            self.check_entries(ledger, commit)?;
            self.check_missing_entries(ledger, commit)?;
            for (name, bots) in &ledger.datasets {
                let Ok(dataset) = name.parse::<Dataset>() else {
                    let what = format!("it contains the dataset {name}, which this program does not know");
                    self.report.problem(&own_path("log"), Remedy::Export, what);
                    continue;
                };
                for (bot, state) in bots {
                    let pages = pending_pages.get(&(name.clone(), bot.clone())).copied();
                    let may_contain_more = run_is_active || pages.is_some_and(|pages| pages > 0);
                    self.check_counts(dataset, bot, state, may_contain_more)?;
                }
            }
        }
        self.ledger = ledger;
        Ok(())
    }

    /// Checks that each entry agrees with the ledger.
    fn check_entries(&mut self, ledger: &Ledger, commit: Option<&Publication>) -> Result<()> {
        let mut wrong = Vec::new();
        for (key, entry) in &self.entries {
            let metadata = metadata(ledger, key);
            let is_changing = commit.is_some_and(|commit| commit.concerns(key));
            if is_changing || metadata.is_some_and(|metadata| fits(entry, metadata)) {
                continue;
            }
            if self.is_unchanged() {
                wrong.push((
                    key.clone(),
                    Some((entry.path.clone(), differing(entry, metadata))),
                ));
                continue;
            }
            let Some(now) = self.current(key)? else {
                wrong.push((key.clone(), None));
                continue;
            };
            if let Some(entry) = now.entry.filter(|entry| {
                !now.is_changing
                    && !now
                        .metadata
                        .as_ref()
                        .is_some_and(|metadata| fits(entry, metadata))
            }) {
                let what = differing(&entry, now.metadata.as_ref());
                wrong.push((key.clone(), Some((entry.path, what))));
            }
        }
        for (key, wrong) in wrong {
            match wrong {
                Some((path, what)) => {
                    let of = (key.dataset, key.bot.as_str());
                    self.report.problem_of(of, &path, Remedy::Export, what);
                }
                None => self.report.changed(1),
            }
        }
        Ok(())
    }

    /// Every partition of the ledger must have an entry.
    fn check_missing_entries(&mut self, ledger: &Ledger, commit: Option<&Publication>) -> Result<()> {
        let is_changing = |key: &PartitionKey| commit.is_some_and(|commit| commit.concerns(key));
        for (name, bots) in &ledger.datasets {
            let Ok(dataset) = name.parse::<Dataset>() else {
                continue;
            };
            for (bot, state) in bots {
                for (date, metadata) in &state.partitions {
                    let (bot, date) = (bot.clone(), *date);
                    let key = PartitionKey { dataset, bot, date };
                    if !self.entries.contains_key(&key) && !is_changing(&key) {
                        if !self.is_unchanged() {
                            match self.current(&key)? {
                                // it was published or removed meanwhile
                                Some(now)
                                    if now.entry.is_some() || now.is_changing || now.metadata.is_none() =>
                                {
                                    continue;
                                }
                                Some(_) => {}
                                None => {
                                    self.report.changed(1);
                                    continue;
                                }
                            }
                        }
                        let what = format!(
                            "it has {} rows in the ledger, and no entry in the manifest",
                            metadata.rows
                        );
                        let of = (dataset, key.bot.as_str());
                        self.report.problem_of(of, &key.folder(), Remedy::Export, what);
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks the counts of a dataset of a bot.
    fn check_counts(
        &mut self,
        dataset: Dataset,
        bot: &str,
        state: &DatasetState,
        may_contain_more: bool,
    ) -> Result<()> {
        let dataset_report = self.report.of(dataset, bot);
        dataset_report.received = state.received;
        dataset_report.duplicates = state.duplicates;
        dataset_report.superseded = state.superseded;
        dataset_report.rejected = state.rejected;
        let mut wrong = Vec::new();
        let metadata: u128 = sum(state.partitions.values().map(|metadata| metadata.rows));
        if metadata != u128::from(state.rows) {
            wrong.push(format!(
                "{dataset} of {bot}: {} rows in total, but {metadata} in its partitions",
                state.rows
            ));
        }
        let accounted = [
            state.rows,
            state.duplicates,
            state.superseded,
            state.rejected,
            state.erased,
        ];
        if sum(accounted) != u128::from(state.received) {
            let [rows, duplicates, superseded, rejected, erased] = accounted;
            wrong.push(format!(
                "{dataset} of {bot}: {} records received, but {rows} rows + {duplicates} duplicates + {superseded} \
                 superseded + {rejected} rejected + {erased} erased",
                state.received
            ));
        }
        for what in wrong {
            self.report
                .problem_of((dataset, bot), &own_path("log"), Remedy::Export, what);
        }
        self.check_rejected(dataset, bot, state.rejected, may_contain_more)
    }

    fn check_rejected(
        &mut self,
        dataset: Dataset,
        bot: &str,
        counted: u64,
        may_contain_more: bool,
    ) -> Result<()> {
        let path = rejected::path(Path::new(OWN_FOLDER), dataset.name(), bot);
        let kept = match RejectedSummary::read(&self.table.own_folder(), dataset.name(), bot) {
            Err(error) if error.is_denied() => {
                self.report.note(&path, NOT_READABLE);
                return Ok(());
            }
            kept => kept?,
        };
        if kept.torn {
            self.report
                .note(&path, "its last line is truncated: the next run repairs it");
        }
        let mut wrong = Vec::new();
        if kept.unreadable > 0 {
            wrong.push(format!("{} lines cannot be read", kept.unreadable));
        }
        // rejected records of a spooled page are stored already, and counted later
        let is_erased_meanwhile = || kept.distinct < counted && !self.is_unchanged();
        if (kept.distinct < counted || (kept.distinct > counted && !may_contain_more))
            && !is_erased_meanwhile()
        {
            wrong.push(format!(
                "it has {} records, and {counted} in the ledger",
                kept.distinct
            ));
        }
        if !wrong.is_empty() {
            self.report
                .problem_of((dataset, bot), &path, Remedy::Export, wrong.join("; "));
        }
        Ok(())
    }
}

/// Describes how an entry differs from the ledger.
fn differing(entry: &Entry, metadata: Option<&PartitionMetadata>) -> String {
    match metadata {
        None => "it is not in the ledger".into(),
        Some(metadata) if metadata.rows != entry.rows => format!(
            "it has {} rows in the manifest, and {} in the ledger",
            entry.rows, metadata.rows
        ),
        Some(_) => "its ids are not those in the ledger".into(),
    }
}

fn fits(entry: &Entry, metadata: &PartitionMetadata) -> bool {
    PartitionMetadata::of(entry) == *metadata
}

/// Adds counts of a damaged file without overflow.
fn sum(counts: impl IntoIterator<Item = u64>) -> u128 {
    counts.into_iter().map(u128::from).sum()
}
