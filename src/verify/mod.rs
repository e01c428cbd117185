//! Verifies a table: files against the manifest, the manifest against the ledger, the ledger against itself, and on
//! request the table against the API. Changes nothing.
//!
//! Memory is bounded by the current batches, plus a hash of 8 bytes per id, which exists twice for a short time.

mod duplicates;
mod ledger;
mod live;
mod partition;
mod report;
mod requests;
mod sample;
mod snapshot;
mod strays;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;

pub use live::LiveOptions;
pub use report::{Finding, VerifyReport};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::ledger::Ledger;
use crate::log::ObjectDamage;
use crate::spool::{PageHeader, Spool};
use crate::table::{Entry, Lock, OWN_FOLDER, PartitionKey, Table, TableVersion, Zone};
use report::Remedy;
use snapshot::Snapshot;

/// Note for a folder of another user.
const NOT_READABLE: &str = "permission denied: its contents were not checked";

/// Partitions that are checked at a time. Progress is reported after each group.
const SIDE_BY_SIDE: usize = 64;

/// A verification, and the state for a comparison with the API.
#[derive(Debug)]
pub struct Verified {
    /// The report.
    pub report: VerifyReport,
    table: Table,
    zone: Zone,
    ledger: Option<Ledger>,
    entries: BTreeMap<PartitionKey, Entry>,
    /// Partitions whose rows cannot be read.
    unreadable: BTreeSet<PartitionKey>,
    /// The sorted hashes of ids.
    ids: BTreeMap<(Dataset, String), Vec<u64>>,
    /// The version of the table when its small files were read.
    version: TableVersion,
    /// Whether a commit was appended and not yet published when the small files were read.
    was_publishing: bool,
}

/// Verifies the table in `out`. Calls `progress` with the number of checked and of all partitions.
///
/// A run may change the table at the same time. A finding is then checked again in the current version, and is a
/// problem only if it remains. See [`VerifyReport::changed_meanwhile`] for partitions that change too often.
///
/// # Errors
/// If there is no table, or it cannot be read. Problems of the table are in the [`VerifyReport`].
pub fn verify(
    out: &Path,
    cancellation: &CancellationToken,
    progress: &dyn Fn(usize, usize),
) -> Result<Verified> {
    let begin = Instant::now();
    let mut report = VerifyReport::new();
    let Snapshot {
        version,
        mut holder,
        table,
        commit,
        manifest,
        ledger,
        log_damages,
        pending_pages,
    } = Snapshot::take(out)?;
    let own = table.own_folder();
    for (path, what) in manifest.unreadable {
        report.problem(&path, Remedy::Export, what);
    }
    for ObjectDamage { key, what } in &log_damages {
        report.problem(Path::new(key), Remedy::Export, what);
    }
    let entries = manifest.entries;
    let may_be_missing = commit.is_some() || entries.is_empty();
    let ledger = match ledger {
        Ok(None) if !may_be_missing => {
            report.problem(&own_path("log"), Remedy::Export, "it is missing");
            None
        }
        Ok(ledger) => ledger,
        Err(error) => {
            if log_damages.is_empty() {
                report.problem(&own_path("log"), Remedy::Export, error.with_causes());
            }
            None
        }
    };
    let mut verified = Verified {
        report,
        zone: table.zone()?,
        table,
        ledger,
        entries,
        unreadable: BTreeSet::new(),
        ids: BTreeMap::new(),
        version,
        was_publishing: commit.is_some(),
    };
    verified.check_ledger(commit.as_ref(), &pending_pages, holder.is_some())?;
    verified.pages()?;
    verified.partitions(cancellation, progress)?;
    // a run may have started or ended meanwhile
    let is_same = verified.has_same_version();
    if holder.is_none() {
        holder = Lock::holder(&own)?;
    }
    let is_changing = holder.is_some() || !is_same;
    verified.strays(commit.as_ref(), is_changing)?;
    verified.duplicates(cancellation, is_changing)?;
    let report = &mut verified.report;
    if let Some(holder) = holder {
        let what = format!("a run is active ({holder}): findings may be temporary");
        report.note(&own_path("lock"), what);
    } else if commit.is_some() && is_same {
        let what = "a commit was interrupted: run the export again, it carries it through";
        report.note(&own_path("log"), what);
    }
    report.elapsed_seconds = begin.elapsed().as_secs_f64();
    Ok(verified)
}

fn own_path(name: &str) -> PathBuf {
    Path::new(OWN_FOLDER).join(name)
}

impl Verified {
    /// Returns the partitions that could be read completely.
    fn readable(&self) -> impl ParallelIterator<Item = (&PartitionKey, &Entry)> {
        let is_readable = |(key, _): &(&PartitionKey, &Entry)| !self.unreadable.contains(*key);
        self.entries.par_iter().filter(is_readable)
    }

    /// Checks the pages.
    fn pages(&mut self) -> Result<()> {
        let spool = Spool::open_to_read(&self.table.own_folder().join("pages"))?;
        type Read = fn(&Spool, u64) -> Result<Vec<u8>>;
        let torn = |headers: &[PageHeader], read: Read| -> Vec<PathBuf> {
            let torn = |header: &PageHeader| match read(&spool, header.sequence) {
                Err(Error::Damaged { path, .. }) => Some(path),
                _ => None,
            };
            headers.par_iter().filter_map(torn).collect()
        };
        let below = |path: &Path| path.strip_prefix(self.table.out()).unwrap_or(path).to_owned();
        for folder in spool.unreadable() {
            self.report.note(&below(folder), NOT_READABLE);
        }
        let (headers, mut damaged) = spool.list()?;
        damaged.extend(torn(&headers, Spool::read));
        for path in damaged {
            let what = "the page is damaged: the next run requests it again";
            self.report.problem(&below(&path), Remedy::Export, what);
        }
        let (kept, mut damaged) = spool.list_retained()?;
        damaged.extend(torn(&kept, Spool::read_retained));
        for path in damaged {
            // the table does not depend on it
            let what = "the retained page is damaged, and cannot be used for a repair: remove it";
            self.report.note(&below(&path), what);
        }
        Ok(())
    }

    /// Checks all partitions against their entries: conversations first, since messages refer to them.
    fn partitions(
        &mut self,
        cancellation: &CancellationToken,
        progress: &dyn Fn(usize, usize),
    ) -> Result<()> {
        let mut done = 0;
        for dataset in Dataset::ALL {
            let entries: Vec<(PartitionKey, Entry)> = self
                .entries
                .iter()
                .filter(|(key, _)| key.dataset == dataset)
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect();
            let mut found: BTreeMap<String, Vec<Vec<u64>>> = BTreeMap::new();
            for some in entries.chunks(SIDE_BY_SIDE) {
                let check = partition::Check {
                    table: &self.table,
                    conversations: &self.ids,
                    cancellation,
                };
                let checked = some
                    .par_iter()
                    .map(|(key, entry)| self.check(&check, key, entry))
                    .collect::<Result<Vec<_>>>()?;
                for ((key, _), (entry, checked)) in some.iter().zip(checked) {
                    let Some(entry) = entry else {
                        // a run removed it
                        self.entries.remove(key);
                        continue;
                    };
                    self.report.changed(u64::from(checked.is_changing));
                    self.entries.insert(key.clone(), entry.clone());
                    let dataset_report = self.report.of(dataset, &key.bot);
                    dataset_report.partitions += 1;
                    dataset_report.rows += checked.ids.len() as u64;
                    dataset_report.bytes += entry.bytes;
                    if let Some(missing) = checked.missing_conversations {
                        *dataset_report.missing_conversations.get_or_insert(0) += missing;
                    }
                    if !checked.is_read {
                        self.unreadable.insert(key.clone());
                    }
                    if !checked.findings.is_empty() {
                        let what = checked.findings.join("; ");
                        self.report
                            .problem_of((dataset, &key.bot), &entry.path, Remedy::Export, what);
                    }
                    found.entry(key.bot.clone()).or_default().push(checked.ids);
                }
                done += some.len();
                progress(done, self.entries.len());
            }
            for (bot, pieces) in found {
                let mut ids = Vec::with_capacity(pieces.iter().map(Vec::len).sum());
                pieces.into_iter().for_each(|piece| ids.extend(piece));
                ids.par_sort_unstable();
                self.ids.insert((dataset, bot), ids);
            }
        }
        // conversations in unreadable files are not missing
        for key in &self.unreadable {
            let messages = self.report.datasets.get_mut(Dataset::Messages.name());
            if key.dataset == Dataset::Conversations
                && let Some(dataset_report) = messages.and_then(|bots| bots.get_mut(&key.bot))
            {
                dataset_report.missing_conversations = None;
            }
        }
        Ok(())
    }
}
