//! The table made again from its own rows, without a request: in another zone or form, whole or not at all.
//!
//! Every partition is written again into `_export/rebuild/`, a table of its own beside the one that readers see.
//! Only when all rows are there, the two change places. A crash before that leaves the table as it
//! was; one after it is mended by the next run.

mod check;
mod options;
mod partitions;
mod recover;
mod switch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::changes;
use crate::commit::Commit;
use crate::dataset::{Cleaner, Dataset, MetadataMode, Misfits, Promoted};
use crate::error::{Error, Result};
use crate::fetch::CancellationToken;
use crate::ledger::{Account, Ledger, NewRows};
use crate::rejected::RejectedRecords;
use crate::spool::Spool;
use crate::store;
use crate::table::{Entry, Lock, OWN_FOLDER, PartitionBy, PartitionKey, Period, Settings, Table, Zone};
pub use options::Changes;
use partitions::Made;
pub use recover::{finish, settings};
use switch::Switch;

/// What a table is after it was made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Its partitions.
    pub partitions: u64,
    /// Their rows.
    pub rows: u64,
    /// The API's address, which new records come from.
    pub base_url: String,
    /// The zone of their dates.
    pub timezone: String,
    /// Whether they are days or months.
    pub partition_by: PartitionBy,
    /// How metadata stands in them.
    pub metadata: MetadataMode,
    /// The metadata keys that have columns of their own.
    pub promote: Vec<Promoted>,
    /// Values that did not fit new promoted columns, by column; the rows have null there.
    pub promoted_misfits: Misfits,
}

/// Makes the table in `out` again, with what shall be otherwise.
///
/// # Errors
/// Where there is no table, where something of it is damaged, where its rows do not hold what is asked for, or where
/// the new one cannot be written; the old one is as it was then.
pub fn rebuild(out: &Path, changes: &Changes, stop: &CancellationToken) -> Result<Rebuilt> {
    let own = out.join(OWN_FOLDER);
    let no_table = || Error::Usage {
        what: format!("--out {} holds no table", out.display()),
        hint: "give the folder that an export wrote to".into(),
    };
    Settings::load(&own)?.ok_or_else(no_table)?;
    let _lock = Lock::take(out, &own)?;
    let had_begun = recover::finish_rebuild(out)?;
    let settings = Settings::load(&own)?.ok_or_else(no_table)?;
    if changes.is_address_alone() {
        return change_address(&own, settings, changes);
    }
    rebuild_locked(out, settings, changes, stop, had_begun)
}

/// Changes the API's address in one step.
fn change_address(own: &Path, settings: Settings, changes: &Changes) -> Result<Rebuilt> {
    let base_url = changes.base_url.clone().unwrap_or(settings.base_url);
    let settings = Settings { base_url, ..settings };
    settings.save(own)?;
    Ok(Rebuilt::of(&Ledger::load_or_restore(own)?, settings))
}

/// Makes a table again whose lock the caller has.
fn rebuild_locked(
    out: &Path,
    settings: Settings,
    changes: &Changes,
    stop: &CancellationToken,
    had_begun: bool,
) -> Result<Rebuilt> {
    let own = out.join(OWN_FOLDER);
    let new_settings = changes.of(&settings)?;
    let old = Table::open_or_create(out, settings)?;
    Commit::recover(&old, &Spool::open(&own.join("pages"))?)?;
    old.sweep()?;
    let ledger = Ledger::load_or_restore(&own)?;
    if had_begun && *old.settings() == new_settings {
        return Ok(Rebuilt::of(&ledger, new_settings));
    }
    check::form(&old, &new_settings)?;
    check::rules(old.settings(), &new_settings)?;
    if !Ledger::path(&own).exists() && holds_something(&old)? {
        return Err(Error::Damaged {
            path: Ledger::path(&own),
            what: "it is missing".into(),
        });
    }
    let cleaner = Cleaner::after(
        &new_settings.privacy,
        &old.settings().privacy,
        changes.privacy.secret.clone(),
    )?;
    if !cleaner.is_idle() {
        check::rest(&own)?;
    }
    let made = Rebuild::new(old, new_settings, cleaner).and_then(|rebuild| rebuild.run(ledger, stop));
    if made.is_err() {
        // a switch that was written down is the next run's to finish
        switch::sweep(out)?;
    }
    made
}

fn holds_something(table: &Table) -> Result<bool> {
    let mut bots = BTreeSet::new();
    for dataset in Dataset::ALL {
        bots.extend(table.bots(dataset)?);
    }
    Ok(!bots.is_empty())
}

impl Rebuilt {
    fn of(ledger: &Ledger, settings: Settings) -> Self {
        let accounts = || ledger.datasets.values().flat_map(BTreeMap::values);
        Self {
            partitions: accounts().map(|account| account.partitions.len() as u64).sum(),
            rows: accounts().map(|account| account.rows).sum(),
            base_url: settings.base_url,
            timezone: settings.timezone,
            metadata: settings.shape.metadata,
            promote: settings.shape.promote,
            promoted_misfits: Misfits::default(),
            partition_by: settings.partition_by,
        }
    }
}

struct Rebuild {
    old: Table,
    new: Table,
    zone: (Zone, Zone),
    settings: Settings,
    /// Takes out of the rows what the new rules say and the old did not.
    cleaner: Cleaner,
}

impl Rebuild {
    fn new(old: Table, settings: Settings, cleaner: Cleaner) -> Result<Self> {
        let place = switch::place(old.out());
        store::create_folder(&place)?;
        let new = Table::open_or_create(&place, settings.clone())?;
        Ok(Self {
            zone: (old.zone()?, new.zone()?),
            old,
            new,
            settings,
            cleaner,
        })
    }

    fn run(&self, mut ledger: Ledger, stop: &CancellationToken) -> Result<Rebuilt> {
        let mut own_files = BTreeSet::new();
        let mut misfits = Misfits::default();
        for (dataset, bots) in &mut ledger.datasets {
            let dataset: Dataset = dataset
                .parse()
                .map_err(|error| Error::Internal(format!("the ledger holds an {error}")))?;
            for (bot, account) in bots {
                let old = self.prove(dataset, bot, account)?;
                let made = self.make(dataset, bot, &old, stop)?;
                made.iter().for_each(|(.., unfit)| misfits += unfit);
                self.account_for(account, &made)?;
                own_files.extend(old.into_values().map(|entry| entry.path));
            }
        }
        switch::carry_over(self.old.out(), &own_files)?;
        let mut rebuilt = Rebuilt::of(&ledger, self.settings.clone());
        rebuilt.promoted_misfits = misfits;
        let out = self.old.out();
        Switch::new(self.settings.clone(), ledger.clone()).carry_out(out)?;
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
                    // lets go of what records held
                    RejectedRecords::open(&out.join(OWN_FOLDER), dataset, bot, true)?;
                }
            }
        }
        Ok(rebuilt)
    }

    /// The entries of an account's partitions, each of which holds, byte for byte, what was written: a damaged one
    /// would make a new file that looks sound.
    fn prove(&self, dataset: Dataset, bot: &str, account: &Account) -> Result<BTreeMap<Period, Entry>> {
        let mut periods = self.old.periods(dataset, bot)?;
        periods.extend(account.partitions.keys());
        let prove = |period: Period| {
            let bot = bot.to_owned();
            let key = PartitionKey { dataset, bot, period };
            match account.verify_partition(&self.old, &key)? {
                Some(_) if !account.partitions.contains_key(&period) => Err(Error::Damaged {
                    path: self.old.out().join(key.folder()),
                    what: "it is not in the ledger".into(),
                }),
                entry => Ok(entry.map(|entry| (period, entry))),
            }
        };
        let proven = periods.into_par_iter().map(prove);
        Ok(proven
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// What is known of the account once the new table stands. Where two old partitions held one id, a new one may hold
    /// it once.
    fn account_for(&self, account: &mut Account, made: &[Made]) -> Result<()> {
        // every file is another one now, and dates may be gone
        account.changed.extend(account.partitions.keys());
        account.partitions.clear();
        account.rows = 0;
        for (period, entry, effect, _) in made {
            account.record_partition(*period, entry);
            account.duplicates += effect.duplicates;
            account.superseded += effect.superseded;
        }
        if self.zone.0 != self.zone.1 {
            // what were partitions say nothing now: such pages are merged once more, and change nothing
            account.under_way.clear();
            if let Some(moves) = &mut account.moves {
                let all = made.iter().map(|(period, ..)| (*period, NewRows::All));
                moves.arrivals = all.collect();
            }
        }
        Ok(())
    }
}
