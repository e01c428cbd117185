//! At the beginning of a run: what is damaged is noticed, named, and moved aside. What kept pages hold of it is built
//! again from them; of what they cannot prove to be whole the time is no longer called complete, so that the
//! ordinary way (plan, fetch, build, commit) brings it.
//!
//! Files go aside first. Killed after that, the next run finds them missing and mends the same.

mod again;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::{Options, reopen};
use crate::commit::Commit;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::ledger::{Account, Ledger, PartitionMetadata};
use crate::plan::Field;
use crate::spool::Spool;
use crate::table::{Look, OWN_FOLDER, PartitionKey, Period, Staged, Table, Wrong, Zone};
use crate::window::{Window, Windows};

const EVER: Window = Window {
    start: i64::MIN,
    end: i64::MAX,
};
/// So many damages are told one by one.
const TOLD: usize = 20;

/// Something that was damaged, and is now in `_export/damaged/` as far as there was something left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file or folder, from the table's folder on.
    pub path: PathBuf,
    /// What was wrong with it.
    pub what: String,
}

/// Opens what the folder holds beside the table, after whatever a crash left, or a bad disk, has been put right as
/// far as it can be without the API.
pub(super) fn open_folder(
    table: &Table,
    zone: &Zone,
    options: &Options,
) -> Result<(Spool, Ledger, Vec<Damage>)> {
    let own = table.own_folder();
    let spool = Spool::open(&own.join("pages"))?;
    let mut mending = Mending {
        table,
        zone,
        spool: &spool,
        damages: Vec::new(),
        staged: Vec::new(),
    };
    if let Err(error) = Commit::recover(table, &spool) {
        mending.own_file(error)?;
    }
    table.sweep()?;
    let loaded = mending.load_ledger(&own)?;
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
        let known = ledger.known(dataset.name(), &bot).cloned().unwrap_or_default();
        let mut account = known.clone();
        let asked = options.datasets.contains(&dataset) && options.bots.contains(&bot);
        let reopened = mending.mend(dataset, &bot, &mut account)?;
        tell_reopened(dataset, &bot, reopened, asked.then_some(options.range));
        account.under_way.retain(|page, _| spool.path(*page).exists());
        if account != known {
            *ledger.account(dataset.name(), &bot) = account;
        }
    }
    mending.tell();
    let accounts = ledger.datasets.values().flat_map(|bots| bots.values());
    if accounts.into_iter().any(|account| !account.partitions.is_empty()) {
        // lost settings are those that the files have
        table.establish()?;
    }
    reopen(options, &mut ledger, &spool);
    let Mending { damages, staged, .. } = mending;
    if ledger != loaded.unwrap_or_else(Ledger::new) || !staged.is_empty() {
        ledger.next_sequence = spool.next_sequence();
        Commit::new(&staged, ledger.clone(), Vec::new(), false).execute(table, &spool)?;
    }
    Ok((spool, ledger, damages))
}

struct Mending<'a> {
    table: &'a Table,
    zone: &'a Zone,
    spool: &'a Spool,
    damages: Vec<Damage>,
    /// Partitions that were built again from kept pages.
    staged: Vec<Staged>,
}

impl Mending<'_> {
    /// Moves a damaged file of the exporter's own aside; any other error is none of ours.
    fn own_file(&mut self, error: Error) -> Result<()> {
        let Error::Damaged { path, what } = error else {
            return Err(error);
        };
        let path = path.strip_prefix(self.table.out()).unwrap_or(&path).to_owned();
        self.table.set_aside(&path)?;
        self.damages.push(Damage { path, what });
        Ok(())
    }

    /// The ledger, or its copy where it is damaged or gone; `None` where both are.
    fn load_ledger(&mut self, own: &Path) -> Result<Option<Ledger>> {
        let (path, copy) = (Ledger::path(own), Ledger::copy_path(own));
        if path.exists() {
            match Ledger::load(&path) {
                Err(error) => self.own_file(error)?,
                ledger => {
                    let ledger = ledger?;
                    Ledger::restore_copy(own)?;
                    return Ok(Some(ledger));
                }
            }
        }
        if !copy.exists() {
            return Ok(None);
        }
        if self.damages.is_empty() {
            let path = path.strip_prefix(self.table.out()).unwrap_or(&path).to_owned();
            let what = "is missing".into();
            self.damages.push(Damage { path, what });
        }
        match Ledger::load(&copy) {
            Err(error) => self.own_file(error).map(|()| None),
            ledger => {
                let ledger = ledger?;
                ledger.save(own)?;
                Ok(Some(ledger))
            }
        }
    }

    /// Compares the partitions of an account with what is known of them, and lets go of those that are not as they
    /// were written. What was called complete and is no longer.
    fn mend(&mut self, dataset: Dataset, bot: &str, account: &mut Account) -> Result<Windows> {
        let mut periods = self.table.periods(dataset, bot)?;
        periods.extend(account.partitions.keys());
        let table = self.table;
        let looks = periods
            .into_par_iter()
            .map(|period| {
                let bot = bot.to_owned();
                let key = PartitionKey { dataset, bot, period };
                let look = table.look_at(&key)?;
                Ok((key, look))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut lost = Vec::new();
        for (key, look) in looks {
            if let Some(look) = look {
                let held = account.partitions.get(&key.period);
                if let Some(wrong) = self.judge(&key, look, held)? {
                    self.told(wrong);
                    lost.push(key);
                } else if held.is_none() {
                    // it stands there, whole, and only the ledger does not know of it
                    let entry = self.table.entry(&key)?;
                    entry
                        .iter()
                        .for_each(|entry| account.adopt_partition(key.period, entry));
                }
            } else if account.partitions.contains_key(&key.period) {
                self.told(Wrong {
                    path: key.folder(),
                    what: "has no file".into(),
                });
                lost.push(key);
            }
        }
        self.bring_again(&lost, account)
    }

    fn told(&mut self, Wrong { path, what }: Wrong) {
        self.damages.push(Damage { path, what });
    }

    /// What is wrong with a partition, if anything; what does not belong there goes aside.
    fn judge(
        &mut self,
        key: &PartitionKey,
        look: Look,
        held: Option<&PartitionMetadata>,
    ) -> Result<Option<Wrong>> {
        let mut aside = look.strays;
        let wrong = match look.found {
            Err(wrong) => Some(wrong),
            Ok(entry) => {
                let lies_in_its_period = || {
                    let bounds = [entry.first, entry.last];
                    let period = self.zone.window(key.period).unwrap_or(EVER);
                    bounds
                        .iter()
                        .flatten()
                        .all(|time| period.contains(time.as_second()))
                };
                let mut is_right =
                    held.map_or_else(lies_in_its_period, |held| *held == PartitionMetadata::of(&entry));
                if let (false, Some(held)) = (is_right, held) {
                    // the entry may be what is wrong
                    let again = self.table.find(key)?.and_then(|look| look.found.ok());
                    is_right = again.is_some_and(|again| *held == PartitionMetadata::of(&again));
                }
                if is_right {
                    self.damages.extend(aside.iter().map(|stray| Damage {
                        path: stray.clone(),
                        what: "does not belong there".into(),
                    }));
                    None
                } else {
                    aside = self.table.all_files(key)?;
                    Some(Wrong {
                        path: entry.path,
                        what: "holds other rows than were written".into(),
                    })
                }
            }
        };
        aside.iter().try_for_each(|path| self.table.set_aside(path))?;
        Ok(wrong)
    }

    /// Builds lost partitions again from kept pages. One that is, to the byte, what it was, is mended; of any other
    /// the rows that were found are taken, and its time is to be asked for.
    fn bring_again(&mut self, lost: &[PartitionKey], account: &mut Account) -> Result<Windows> {
        let time_of = |period: Period, account: &Account| {
            // partitions say nothing of windows that filter by another time
            let by_time = account.learnt.filter == Some(Field::Time);
            self.zone.window(period).filter(|_| by_time).unwrap_or(EVER)
        };
        let times = lost.iter().map(|key| time_of(key.period, account)).collect();
        let found = again::from_kept_pages(
            self.table,
            self.zone,
            self.spool,
            lost,
            &times,
            account.learnt.filter,
        )?;
        let mut reopened = Windows::new();
        for (key, staged) in lost.iter().zip(found) {
            let held = account.partitions.get(&key.period);
            let is_whole = staged
                .as_ref()
                .is_some_and(|staged| held.is_some_and(|held| *held == PartitionMetadata::of(&staged.entry)));
            if !is_whole {
                account.remove_lost_partition(key.period);
                staged
                    .iter()
                    .for_each(|staged| account.adopt_partition(key.period, &staged.entry));
                let time = time_of(key.period, account);
                reopened.extend(account.complete.intersect(time).iter().copied());
                account.complete.subtract(time);
            }
            self.staged.extend(staged);
        }
        Ok(reopened)
    }

    fn tell(&self) {
        for damage in self.damages.iter().take(TOLD) {
            tracing::warn!("{} {}", damage.path.display(), damage.what);
        }
        if self.damages.len() > TOLD {
            tracing::warn!("and {} more", self.damages.len() - TOLD);
        }
        if !self.damages.is_empty() && self.table.own_folder().join("damaged").exists() {
            tracing::warn!("what is left of the damaged is in {OWN_FOLDER}/damaged");
        }
    }
}

/// Tells what was complete, is not so any more, and is not asked for by this run.
fn tell_reopened(dataset: Dataset, bot: &str, mut reopened: Windows, asked: Option<Window>) {
    if let Some(asked) = asked {
        reopened.subtract(asked);
    }
    if !reopened.is_empty() {
        let windows: Vec<String> = reopened.iter().map(Window::to_string).collect();
        tracing::warn!("export {dataset} of {bot} again: {}", windows.join(", "));
    }
}
