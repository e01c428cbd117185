//! The table made again from its own rows, without a request: in another zone or form, whole or not at all.
//!
//! Every partition is written anew into `_export/rebuild/`, a table of its own beside the one that readers see.
//! Only when all rows are there, the two change places. A crash before that leaves the table as it
//! was; one after it is mended by the next run.

mod check;
mod options;
mod recover;
mod switch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use jiff::Timestamp;
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
use crate::table::{
    Effect, Entry, Lock, OWN_FOLDER, PartitionBy, PartitionKey, Period, Settings, Table, Zone,
};
pub use options::Changes;
pub use recover::{finish, settings};
use switch::Switch;

/// Rows of the partitions that are built side by side, unless one has more.
const GROUP_ROWS: u64 = 150_000;

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
    let old = Table::open(out, settings)?;
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

/// The whole second in which a time lies.
fn floor(time: Timestamp) -> i64 {
    time.as_microsecond().div_euclid(1_000_000)
}

struct Rebuild {
    old: Table,
    new: Table,
    zone: (Zone, Zone),
    settings: Settings,
    /// Takes out of the rows what the new rules say and the old did not.
    cleaner: Cleaner,
}

/// A partition that was made.
type Made = (Period, Entry, Effect, Misfits);

impl Rebuild {
    fn new(old: Table, settings: Settings, cleaner: Cleaner) -> Result<Self> {
        let place = switch::place(old.out());
        store::create_folder(&place)?;
        let new = Table::open(&place, settings.clone())?;
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
        changes::write(&Table::open(out, self.settings.clone())?, &mut ledger, "rebuild")?;
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

    /// Writes all new partitions, as many side by side as fit into memory.
    fn make(
        &self,
        dataset: Dataset,
        bot: &str,
        old: &BTreeMap<Period, Entry>,
        stop: &CancellationToken,
    ) -> Result<Vec<Made>> {
        let sources: Vec<(Period, Vec<&Entry>)> = self.sources(old).into_iter().collect();
        let mut made = Vec::new();
        let mut rest = &sources[..];
        while !rest.is_empty() {
            if stop.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let mut rows = 0;
            let fits = |(_, from): &&(Period, Vec<&Entry>)| {
                let before = rows;
                rows += from.iter().map(|entry| entry.rows).sum::<u64>();
                before == 0 || rows <= GROUP_ROWS
            };
            let (group, later) = rest.split_at(rest.iter().take_while(fits).count());
            let group = group.par_iter().map(|(period, from)| {
                let bot = bot.to_owned();
                let period = *period;
                self.make_one(&PartitionKey { dataset, bot, period }, from)
            });
            made.extend(group.collect::<Result<Vec<_>>>()?.into_iter().flatten());
            rest = later;
        }
        let rows: u64 = old.values().map(|entry| entry.rows).sum();
        let placed: u64 = made.iter().map(|(_, _, effect, _)| effect.records()).sum();
        if rows != placed {
            return Err(Error::Internal(format!(
                "{rows} rows of {dataset} of {bot} were to be placed, and {placed} were"
            )));
        }
        Ok(made)
    }

    /// Which old partitions hold the rows of each new partition: those whose rows' time it shares.
    fn sources<'a>(&self, old: &'a BTreeMap<Period, Entry>) -> BTreeMap<Period, Vec<&'a Entry>> {
        let mut periods = self.zone.1.periods();
        let mut sources: BTreeMap<Period, Vec<&Entry>> = BTreeMap::new();
        for (old_period, entry) in old {
            // by the rows themselves: the zone's rules may have changed since the partition was written
            let (Some(_), Some(first), Some(last)) = (old_period.first(), entry.first, entry.last) else {
                sources.entry(self.zone.1.timeless()).or_default().push(entry);
                continue;
            };
            let (mut second, end) = (floor(first), floor(last) + 1);
            while second < end {
                let period = periods.of(Some(second.saturating_mul(1_000_000)));
                sources.entry(period).or_default().push(entry);
                second = self.zone.1.window(period).map_or(end, |window| window.end);
            }
        }
        sources
    }

    /// Writes one new partition; none where no row belongs to it.
    fn make_one(&self, key: &PartitionKey, from: &[&Entry]) -> Result<Option<Made>> {
        let mut misfits = Misfits::default();
        let mut builder = self.new.builder(key);
        for batch in self.rows_of(key, from) {
            builder.add(self.formed(key, &batch?, &mut misfits)?)?;
        }
        if builder.is_empty() {
            return Ok(None);
        }
        let staged = builder.finish()?;
        self.new.publish(&staged.key, &staged.entry)?;
        Ok(Some((key.period, staged.entry, staged.effect, misfits)))
    }

    /// Rows in the new form, without what new rules take out.
    fn formed(&self, key: &PartitionKey, batch: &RecordBatch, misfits: &mut Misfits) -> Result<RecordBatch> {
        let (old, new) = (self.old.shape(), self.new.shape());
        let (batch, unfit) = new
            .of(old, &self.cleaner, key.dataset, batch)
            .ok_or_else(|| Error::Internal(format!("rows of {} lack metadata", key.folder().display())))?;
        *misfits += &Misfits::of(new, &unfit);
        Ok(batch)
    }

    /// The rows of a new partition, as they stand in the old ones.
    fn rows_of(&self, key: &PartitionKey, from: &[&Entry]) -> impl Iterator<Item = Result<RecordBatch>> {
        let batches = from.iter().flat_map(|entry| {
            let (batches, error) = match self.old.batches(key.dataset, entry) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            batches.into_iter().flatten().chain(error)
        });
        let mut periods = self.zone.1.periods();
        batches.filter_map(move |batch| {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            let times = batch.column(key.dataset.time_column());
            let periods = periods.of_column(times.as_primitive::<TimestampMicrosecondType>());
            let places = (0..).zip(periods).filter(|(_, period)| *period == key.period);
            let places: UInt32Array = places.map(|(place, _)| place).collect::<Vec<u32>>().into();
            let taken = || take_record_batch(&batch, &places).map_err(Error::from);
            (!places.is_empty()).then(taken)
        })
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
