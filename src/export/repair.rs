//! Repairs a table at the beginning of a run. Damaged files are reported and moved to `_export/quarantine/`. Their
//! partitions are built again from retained pages. If the result differs from the ledger, the time of the partition
//! is no longer complete, so that a run fetches it.
//!
//! Files are moved first. After a kill, the next run finds them missing and repairs the same.

mod retained_pages;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::{Options, reopen};
use crate::commit::{self, Commit};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::ledger::{DatasetState, Ledger, PartitionMetadata};
use crate::log::ObjectDamage;
use crate::plan::Field;
use crate::spool::Spool;
use crate::store;
use crate::table::{
    Defect, Depth, Entry, Inspection, OWN_FOLDER, PartitionDate, PartitionKey, QUARANTINE, Staged, Table,
    Zone,
};
use crate::window::{Window, Windows};

const EVER: Window = Window {
    start: i64::MIN,
    end: i64::MAX,
};
/// Maximum number of damages that are logged individually.
const LOGGED: usize = 20;

/// A damaged file or folder, which was moved to `_export/quarantine/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file or folder, relative to the table's folder.
    pub path: PathBuf,
    /// A sentence that describes the damage.
    pub what: String,
}

/// Opens the spool and the ledger, after recovery from a crash and repair of damage.
pub(super) fn open_folder(
    table: &Table,
    zone: &Zone,
    options: &Options,
) -> Result<(Spool, Ledger, Vec<Damage>)> {
    let own = table.own_folder();
    let spool = Spool::open(&own.join("pages"))?;
    let mut repair = Repair {
        table,
        zone,
        spool: &spool,
        damages: Vec::new(),
        staged: Vec::new(),
    };
    if let Err(error) = commit::recover_earlier(table, &spool) {
        repair.quarantine_file(error)?;
    }
    let loaded = repair.load_ledger(&own)?;
    if let Some(ledger) = &loaded {
        commit::recover(table, &spool, ledger)?;
    }
    table.remove_leftovers()?;
    let mut ledger = loaded.clone().unwrap_or_else(Ledger::new);
    spool.begin_at(ledger.next_sequence);

    let mut of: BTreeSet<(Dataset, String)> = BTreeSet::new();
    for dataset in Dataset::ALL {
        if loaded.is_none() {
            of.extend(table.bots(dataset)?.into_iter().map(|bot| (dataset, bot)));
        }
        if options.datasets.contains(&dataset) {
            of.extend(options.bots.iter().map(|bot| (dataset, bot.clone())));
        }
    }
    for (dataset, bot) in of {
        let known = ledger.state(dataset.name(), &bot).cloned().unwrap_or_default();
        let mut state = known.clone();
        let requested = options.datasets.contains(&dataset) && options.bots.contains(&bot);
        let reopened = repair.repair(dataset, &bot, &mut state)?;
        log_reopened(dataset, &bot, reopened, requested.then_some(options.range));
        state
            .applied_partitions
            .retain(|page, _| spool.path(*page).exists());
        if state != known {
            *ledger.state_mut(dataset.name(), &bot) = state;
        }
    }
    repair.log();
    let states = ledger.datasets.values().flat_map(|bots| bots.values());
    if states.into_iter().any(|state| !state.partitions.is_empty()) {
        // lost settings are restored from the files
        table.save_settings()?;
    }
    reopen(options, &mut ledger, &spool);
    let Repair { damages, staged, .. } = repair;
    if ledger != loaded.unwrap_or_else(Ledger::new) || !staged.is_empty() {
        ledger.next_sequence = spool.next_sequence();
        Commit::new(&staged, Vec::new(), false).execute(table, &spool, &ledger)?;
    }
    Ok((spool, ledger, damages))
}

struct Repair<'a> {
    table: &'a Table,
    zone: &'a Zone,
    spool: &'a Spool,
    damages: Vec<Damage>,
    /// Partitions that were built from retained pages.
    staged: Vec<Staged>,
}

impl Repair<'_> {
    /// Quarantines a damaged file below `_export/`. Returns any other error.
    fn quarantine_file(&mut self, error: Error) -> Result<()> {
        let Error::Damaged { path, what } = error else {
            return Err(error);
        };
        let path = path.strip_prefix(self.table.out()).unwrap_or(&path).to_owned();
        self.table.quarantine(&path)?;
        self.damages.push(Damage { path, what });
        Ok(())
    }

    /// The ledger; `None` if it is damaged without a substitute.
    fn load_ledger(&mut self, own: &Path) -> Result<Option<Ledger>> {
        let ledger = match Ledger::load_to_write(own) {
            Err(error @ Error::Damaged { .. }) => {
                self.quarantine_file(error)?;
                // what is left of a log of which a part is missing says nothing
                for name in store::names(&own.join("log"))? {
                    self.table
                        .quarantine(&Path::new(OWN_FOLDER).join("log").join(name))?;
                }
                return Ok(None);
            }
            ledger => ledger?,
        };
        for ObjectDamage { key, what } in ledger.log_damages() {
            let path = PathBuf::from(key);
            self.damages.push(Damage { path, what });
        }
        Ok(Some(ledger))
    }

    /// Inspects the partitions of a bot, and quarantines defective files. Returns the time that is no longer
    /// complete.
    fn repair(&mut self, dataset: Dataset, bot: &str, state: &mut DatasetState) -> Result<Windows> {
        let mut dates = self.table.dates(dataset, bot)?;
        dates.extend(state.partitions.keys());
        let (table, zone) = (self.table, self.zone);
        let known = &*state;
        let inspections = dates
            .into_par_iter()
            .map(|date| {
                let bot = bot.to_owned();
                let key = PartitionKey { dataset, bot, date };
                let window = zone.window(date).unwrap_or(EVER);
                let is_in_period = |entry: &Entry| {
                    let mut bounds = [entry.first, entry.last].into_iter().flatten();
                    bounds.all(|time| window.contains(time.as_second()))
                };
                let inspection = known.inspect(table, &key, Depth::Listing, is_in_period)?;
                Ok(inspection.map(|inspection| (key, inspection)))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut lost = Vec::new();
        for (key, Inspection { found, strays }) in inspections.into_iter().flatten() {
            strays.iter().try_for_each(|path| self.table.quarantine(path))?;
            match found {
                Ok(entry) => {
                    self.damages.extend(strays.into_iter().map(|path| Damage {
                        path,
                        what: "it does not belong there".into(),
                    }));
                    if !state.partitions.contains_key(&key.date) {
                        // it is intact, and only missing in the ledger
                        state.adopt_partition(key.date, &entry);
                    }
                }
                Err(Defect { path, what }) => {
                    self.damages.push(Damage { path, what });
                    lost.push(key);
                }
            }
        }
        self.rebuild_from_pages(&lost, state)
    }

    /// Builds lost partitions from retained pages. A partition that is byte for byte the same is repaired. Any other
    /// one has the rows that were found, and its time is no longer complete.
    fn rebuild_from_pages(&mut self, lost: &[PartitionKey], state: &mut DatasetState) -> Result<Windows> {
        let time_of = |date: PartitionDate, state: &DatasetState| {
            // windows that filter by another time do not match partitions
            let by_time = state.learned.filter == Some(Field::Time);
            self.zone.window(date).filter(|_| by_time).unwrap_or(EVER)
        };
        let times = lost.iter().map(|key| time_of(key.date, state)).collect();
        let found = retained_pages::stage(
            self.table,
            self.zone,
            self.spool,
            lost,
            &times,
            state.learned.filter,
        )?;
        let mut reopened = Windows::new();
        for (key, staged) in lost.iter().zip(found) {
            let metadata = state.partitions.get(&key.date);
            let is_whole = staged.as_ref().is_some_and(|staged| {
                metadata.is_some_and(|metadata| *metadata == PartitionMetadata::of(&staged.entry))
            });
            if !is_whole {
                state.remove_lost_partition(key.date);
                staged
                    .iter()
                    .for_each(|staged| state.adopt_partition(key.date, &staged.entry));
                let time = time_of(key.date, state);
                reopened.extend(state.complete.intersect(time).iter().copied());
                state.complete.subtract(time);
            }
            self.staged.extend(staged);
        }
        Ok(reopened)
    }

    fn log(&self) {
        for damage in self.damages.iter().take(LOGGED) {
            tracing::warn!("{}: {}", damage.path.display(), damage.what);
        }
        if self.damages.len() > LOGGED {
            tracing::warn!("and {} more", self.damages.len() - LOGGED);
        }
        if !self.damages.is_empty() && self.table.own_folder().join(QUARANTINE).exists() {
            tracing::warn!("quarantined files are in {OWN_FOLDER}/{QUARANTINE}");
        }
    }
}

/// Logs the time that is no longer complete and that this run does not request.
fn log_reopened(dataset: Dataset, bot: &str, mut reopened: Windows, requested: Option<Window>) {
    if let Some(requested) = requested {
        reopened.subtract(requested);
    }
    if !reopened.is_empty() {
        let windows: Vec<String> = reopened.iter().map(Window::to_string).collect();
        tracing::warn!("export {dataset} of {bot} again: {}", windows.join(", "));
    }
}
