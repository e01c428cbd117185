//! Rebuilds a table from its own rows with other settings, without requests.
//!
//! All partitions are written to `_export/rebuild/`, a second table. When it is complete, both tables are exchanged.
//! A crash before that leaves the table unchanged. After a crash during the exchange, the next run completes it.

mod check;
mod exchange;
mod options;
mod partitions;
mod recover;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::changes;
use crate::commit;
use crate::dataset::{Dataset, MetadataMode, PrivacyFilter, Promoted, TypeMismatches};
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::ledger::{DatasetState, Ledger, NewRows};
use crate::rejected::RejectedRecords;
use crate::spool::Spool;
use crate::store;
use crate::table::{
    Entry, Lock, OWN_FOLDER, PartitionBy, PartitionDate, PartitionKey, Settings, Table, Zone,
};
use exchange::TableExchange;
pub use options::RebuildOptions;
use partitions::RebuiltPartition;
pub use recover::{finish, settings};

/// The table after a rebuild.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RebuildSummary {
    /// Number of partitions.
    pub partitions: u64,
    /// Number of rows.
    pub rows: u64,
    /// Base URL of the API.
    pub base_url: String,
    /// Time zone of the dates.
    pub timezone: String,
    /// Whether partitions are days or months.
    pub partition_by: PartitionBy,
    /// How metadata is stored.
    pub metadata: MetadataMode,
    /// Metadata keys with columns of their own.
    pub promote: Vec<Promoted>,
    /// Values that do not fit new promoted columns, by column. The rows have null there.
    pub promoted_misfits: TypeMismatches,
}

/// Rebuilds the table in `out` with the given changes.
///
/// # Errors
/// If there is no table, if it is damaged, if its rows do not contain what the changes need, or if the new table
/// cannot be written. The old table is unchanged then.
pub fn rebuild(
    out: &Path,
    changes: &RebuildOptions,
    cancellation: &CancellationToken,
) -> Result<RebuildSummary> {
    let own = out.join(OWN_FOLDER);
    let no_table = || Error::Usage {
        what: format!("cannot rebuild {}: there is no table", out.display()),
        hint: "give the folder that an export wrote to".into(),
    };
    Settings::load(&own)?.ok_or_else(no_table)?;
    let _lock = Lock::acquire(out, &own)?;
    let was_interrupted = recover::finish_rebuild(out)?;
    let settings = Settings::load(&own)?.ok_or_else(no_table)?;
    if changes.is_address_alone() {
        return change_address(&own, settings, changes);
    }
    rebuild_locked(out, settings, changes, cancellation, was_interrupted)
}

/// Changes only the base URL.
fn change_address(own: &Path, settings: Settings, changes: &RebuildOptions) -> Result<RebuildSummary> {
    let base_url = changes.base_url.clone().unwrap_or(settings.base_url);
    let settings = Settings { base_url, ..settings };
    settings.save(own)?;
    Ok(RebuildSummary::of(&Ledger::load_to_write(own)?, settings))
}

/// Rebuilds a table whose lock the caller has.
fn rebuild_locked(
    out: &Path,
    settings: Settings,
    changes: &RebuildOptions,
    cancellation: &CancellationToken,
    was_interrupted: bool,
) -> Result<RebuildSummary> {
    let own = out.join(OWN_FOLDER);
    let new_settings = changes.of(&settings)?;
    let old = Table::open_or_create(out, settings)?;
    let spool = Spool::open(&own.join("pages"))?;
    commit::recover_earlier(&old, &spool)?;
    let ledger = Ledger::load_to_write(&own)?;
    commit::recover(&old, &spool, &ledger)?;
    old.remove_leftovers()?;
    if was_interrupted && *old.settings() == new_settings {
        return Ok(RebuildSummary::of(&ledger, new_settings));
    }
    check::columns(&old, &new_settings)?;
    check::rules(old.settings(), &new_settings)?;
    if ledger.is_new() && has_rows(&old)? {
        return Err(Error::Damaged {
            path: own.join("log"),
            what: "it is missing".into(),
        });
    }
    let privacy_filter = PrivacyFilter::after(
        &new_settings.privacy,
        &old.settings().privacy,
        changes.privacy.secret.clone(),
    )?;
    if !privacy_filter.is_empty() {
        check::other_copies(&own)?;
    }
    let rebuilt =
        Rebuild::new(old, new_settings, privacy_filter).and_then(|rebuild| rebuild.run(ledger, cancellation));
    if rebuilt.is_err() {
        // the next run completes an exchange that has begun
        exchange::remove_unfinished(out)?;
    }
    rebuilt
}

fn has_rows(table: &Table) -> Result<bool> {
    let mut bots = BTreeSet::new();
    for dataset in Dataset::ALL {
        bots.extend(table.bots(dataset)?);
    }
    Ok(!bots.is_empty())
}

impl RebuildSummary {
    fn of(ledger: &Ledger, settings: Settings) -> Self {
        let states = || ledger.datasets.values().flat_map(BTreeMap::values);
        Self {
            partitions: states().map(|state| state.partitions.len() as u64).sum(),
            rows: states().map(|state| state.rows).sum(),
            base_url: settings.base_url,
            timezone: settings.timezone,
            metadata: settings.table_options.metadata,
            promote: settings.table_options.promote,
            promoted_misfits: TypeMismatches::default(),
            partition_by: settings.partition_by,
        }
    }
}

struct Rebuild {
    old: Table,
    new: Table,
    zone: (Zone, Zone),
    settings: Settings,
    /// Applies the privacy rules that are new.
    privacy_filter: PrivacyFilter,
}

impl Rebuild {
    fn new(old: Table, settings: Settings, privacy_filter: PrivacyFilter) -> Result<Self> {
        let place = exchange::place(old.out());
        store::create_folder(&place)?;
        let new = Table::open_or_create(&place, settings.clone())?;
        Ok(Self {
            zone: (old.zone()?, new.zone()?),
            old,
            new,
            settings,
            privacy_filter,
        })
    }

    fn run(&self, mut ledger: Ledger, cancellation: &CancellationToken) -> Result<RebuildSummary> {
        let mut own_files = BTreeSet::new();
        let mut mismatches = TypeMismatches::default();
        for (dataset, bots) in &mut ledger.datasets {
            let dataset: Dataset = dataset
                .parse()
                .map_err(|error| Error::Internal(format!("the ledger contains an {error}")))?;
            for (bot, state) in bots {
                let old = self.check_entries(dataset, bot, state)?;
                let rebuilt = self.rebuild_partitions(dataset, bot, &old, cancellation)?;
                rebuilt.iter().for_each(|(.., unfit)| mismatches += unfit);
                self.update_state(state, &rebuilt)?;
                own_files.extend(old.into_values().map(|entry| entry.path));
            }
        }
        exchange::link_other_files(self.old.out(), &own_files)?;
        let mut rebuilt = RebuildSummary::of(&ledger, self.settings.clone());
        rebuilt.promoted_misfits = mismatches;
        let out = self.old.out();
        TableExchange::new(self.settings.clone(), ledger.clone()).execute(out)?;
        changes::write(
            &Table::open_or_create(out, self.settings.clone())?,
            &mut ledger,
            "rebuild",
        )?;
        if !self.settings.privacy.is_empty() {
            for (dataset, bots) in &ledger.datasets {
                for bot in bots.keys() {
                    let dataset = dataset
                        .parse()
                        .map_err(|error| Error::Internal(format!("{error}")))?;
                    // removes the records from the file
                    RejectedRecords::open(&out.join(OWN_FOLDER), dataset, bot, true)?;
                }
            }
        }
        Ok(rebuilt)
    }

    /// Returns the entries of a bot's partitions after a check of their bytes: a damaged file would become a new file
    /// that looks intact.
    fn check_entries(
        &self,
        dataset: Dataset,
        bot: &str,
        state: &DatasetState,
    ) -> Result<BTreeMap<PartitionDate, Entry>> {
        let mut dates = self.old.dates(dataset, bot)?;
        dates.extend(state.partitions.keys());
        let check_entries = |date: PartitionDate| {
            let bot = bot.to_owned();
            let key = PartitionKey { dataset, bot, date };
            match state.verify_partition(&self.old, &key)? {
                Some(_) if !state.partitions.contains_key(&date) => Err(Error::Damaged {
                    path: self.old.out().join(key.folder()),
                    what: "it is not in the ledger".into(),
                }),
                entry => Ok(entry.map(|entry| (date, entry))),
            }
        };
        let proven = dates.into_par_iter().map(check_entries);
        Ok(proven
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Updates the state in the ledger for the new partitions. Rows with the same id in two old partitions may be one
    /// row now.
    fn update_state(&self, state: &mut DatasetState, rebuilt: &[RebuiltPartition]) -> Result<()> {
        // all files change, and some dates may disappear
        state.changed.extend(state.partitions.keys());
        state.partitions.clear();
        state.rows = 0;
        for (date, entry, effect, _) in rebuilt {
            state.record_partition(*date, entry);
            state.duplicates += effect.duplicates;
            state.superseded += effect.superseded;
        }
        if self.zone.0 != self.zone.1 {
            // the old dates are not valid any more: the pages are merged again without effect
            state.applied_partitions.clear();
            if let Some(unchecked_rows) = &mut state.unchecked_rows {
                let all = rebuilt.iter().map(|(date, ..)| (*date, NewRows::All));
                unchecked_rows.new_rows = all.collect();
            }
        }
        Ok(())
    }
}
