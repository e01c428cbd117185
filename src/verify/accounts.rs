//! The ledger: against the manifest, against the rejected records, and against itself.

use std::path::Path;

use super::report::Mend;
use super::snapshot::{Waiting, held};
use super::{NOT_READABLE, Verified, own_path};
use crate::commit::Commit;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::ledger::{Account, Ledger, PartitionMetadata};
use crate::rejected::{self, RejectedSummary};
use crate::table::{Entry, OWN_FOLDER, PartitionKey};

impl Verified {
    /// Checks what the ledger tells. Where a commit was interrupted, a partition may be what either ledger tells.
    pub(super) fn accounts(
        &mut self,
        commit: Option<&Commit>,
        waiting: &Waiting,
        is_at_work: bool,
    ) -> Result<()> {
        for ((dataset, bot), pages) in waiting {
            let what = format!("{pages} pages of {dataset} of {bot} wait: run the export again");
            self.report.note(&own_path("pages"), what);
        }
        let ledger = self.ledger.take();
        let told: Vec<&Ledger> = ledger.iter().chain(commit.map(Commit::ledger)).collect();
        if !told.is_empty() {
            self.held(&told)?;
        }
        if let Some(ledger) = &ledger {
            self.unheld(ledger, commit)?;
            for (name, bots) in &ledger.datasets {
                let Ok(dataset) = name.parse::<Dataset>() else {
                    let what = format!("it tells of a dataset {name}, which this program does not know");
                    self.report.problem(&own_path("ledger.json"), Mend::Export, what);
                    continue;
                };
                for (bot, account) in bots {
                    let pages = waiting.get(&(name.clone(), bot.clone())).copied();
                    let may_hold_more = is_at_work || pages.is_some_and(|pages| pages > 0);
                    self.account(dataset, bot, account, may_hold_more)?;
                }
            }
        }
        self.ledger = ledger;
        Ok(())
    }

    /// Every entry must hold what a ledger tells of its partition.
    fn held(&mut self, told: &[&Ledger]) -> Result<()> {
        let mut wrong = Vec::new();
        for (key, entry) in &self.entries {
            let held: Vec<&PartitionMetadata> = told.iter().filter_map(|ledger| held(ledger, key)).collect();
            if held.iter().any(|held| fits(entry, held)) {
                continue;
            }
            if self.is_as_it_was() {
                wrong.push((
                    key.clone(),
                    Some((entry.path.clone(), differing(entry, held.first().copied()))),
                ));
                continue;
            }
            let Some(now) = self.current(key)? else {
                wrong.push((key.clone(), None));
                continue;
            };
            if let Some(entry) = now
                .entry
                .filter(|entry| !now.held.iter().any(|held| fits(entry, held)))
            {
                let what = differing(&entry, now.held.first());
                wrong.push((key.clone(), Some((entry.path, what))));
            }
        }
        for (key, wrong) in wrong {
            match wrong {
                Some((path, what)) => {
                    let of = (key.dataset, key.bot.as_str());
                    self.report.problem_of(of, &path, Mend::Export, what);
                }
                None => self.report.changed(1),
            }
        }
        Ok(())
    }

    /// Every partition of the ledger must have an entry.
    fn unheld(&mut self, ledger: &Ledger, commit: Option<&Commit>) -> Result<()> {
        let under_way = |key: &PartitionKey| {
            commit.is_some_and(|commit| {
                let mut next = commit
                    .partitions()
                    .iter()
                    .map(|(next, _)| next)
                    .chain(commit.removed());
                next.any(|next| next == key)
            })
        };
        for (name, bots) in &ledger.datasets {
            let Ok(dataset) = name.parse::<Dataset>() else {
                continue;
            };
            for (bot, account) in bots {
                for (period, held) in &account.partitions {
                    let (bot, period) = (bot.clone(), *period);
                    let key = PartitionKey { dataset, bot, period };
                    if !self.entries.contains_key(&key) && !under_way(&key) {
                        if !self.is_as_it_was() {
                            match self.current(&key)? {
                                // it was published meanwhile, or taken out
                                Some(now)
                                    if now.entry.is_some() || now.is_changing || now.held.is_empty() =>
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
                        let what = format!("the ledger tells {} rows of it, the manifest nothing", held.rows);
                        let of = (dataset, key.bot.as_str());
                        self.report.problem_of(of, &key.folder(), Mend::Export, what);
                    }
                }
            }
        }
        Ok(())
    }

    /// The counts of one account.
    fn account(&mut self, dataset: Dataset, bot: &str, account: &Account, may_hold_more: bool) -> Result<()> {
        let proven = self.report.of(dataset, bot);
        proven.received = account.received;
        proven.duplicates = account.duplicates;
        proven.superseded = account.superseded;
        proven.rejected = account.rejected;
        let mut wrong = Vec::new();
        let held: u128 = sum(account.partitions.values().map(|held| held.rows));
        if held != u128::from(account.rows) {
            wrong.push(format!(
                "{dataset} of {bot}: {} rows by its count, {held} by its partitions",
                account.rows
            ));
        }
        let accounted = [
            account.rows,
            account.duplicates,
            account.superseded,
            account.rejected,
            account.erased,
        ];
        if sum(accounted) != u128::from(account.received) {
            let [rows, duplicates, superseded, rejected, erased] = accounted;
            wrong.push(format!(
                "{dataset} of {bot}: {} records received, but {rows} rows + {duplicates} duplicates + {superseded} \
                 superseded + {rejected} rejected + {erased} erased",
                account.received
            ));
        }
        for what in wrong {
            self.report
                .problem_of((dataset, bot), &own_path("ledger.json"), Mend::Export, what);
        }
        self.rejected(dataset, bot, account.rejected, may_hold_more)
    }

    fn rejected(&mut self, dataset: Dataset, bot: &str, counted: u64, may_hold_more: bool) -> Result<()> {
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
                .note(&path, "its last line is torn: the next run mends it");
        }
        let mut wrong = Vec::new();
        if kept.unreadable > 0 {
            wrong.push(format!("{} lines cannot be read", kept.unreadable));
        }
        // those of a page that waits are kept already and counted with the page
        let is_erased_meanwhile = || kept.distinct < counted && !self.is_as_it_was();
        if (kept.distinct < counted || (kept.distinct > counted && !may_hold_more)) && !is_erased_meanwhile()
        {
            wrong.push(format!(
                "it holds {} records, the ledger tells {counted}",
                kept.distinct
            ));
        }
        if !wrong.is_empty() {
            self.report
                .problem_of((dataset, bot), &path, Mend::Export, wrong.join("; "));
        }
        Ok(())
    }
}

/// How an entry differs from what the ledger says of its partition.
fn differing(entry: &Entry, held: Option<&PartitionMetadata>) -> String {
    match held {
        None => "the ledger knows nothing of it".into(),
        Some(held) if held.rows != entry.rows => format!(
            "the manifest tells {} rows of it, the ledger {}",
            entry.rows, held.rows
        ),
        Some(_) => "its ids are not those that the ledger tells".into(),
    }
}

fn fits(entry: &Entry, held: &PartitionMetadata) -> bool {
    PartitionMetadata::of(entry) == *held
}

/// Counts from a file may be anything, so they are added where they cannot overflow.
fn sum(counts: impl IntoIterator<Item = u64>) -> u128 {
    counts.into_iter().map(u128::from).sum()
}
