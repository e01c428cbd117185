//! What stands in the table's folders and does not belong there, and what was left unfinished.

use std::path::{Path, PathBuf};

use super::report::Mend;
use super::{Verified, own_path};
use crate::commit::Commit;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::store;
use crate::table::{PartitionKey, bot_of, period_of, unnamed_january};
use crate::tombstones::Tombstones;

impl Verified {
    /// Looks for strays below the datasets' folders and for leftovers in the exporter's own.
    pub(super) fn strays(&mut self, commit: Option<&Commit>) -> Result<()> {
        for dataset in Dataset::ALL {
            let folder = PathBuf::from(dataset.name());
            let path = self.table.out().join(&folder);
            if path.exists() && !path.is_dir() {
                self.stray(&folder, "it is no folder");
                continue;
            }
            for name in store::names(&path)? {
                let folder = folder.join(&name);
                match bot_of(&name).filter(|_| self.is_folder(&folder)) {
                    Some(bot) => self.bot(dataset, &bot, &folder)?,
                    None => self.stray(&folder, "it is no folder of a bot"),
                }
            }
        }
        self.leftovers(commit)
    }

    fn bot(&mut self, dataset: Dataset, bot: &str, folder: &Path) -> Result<()> {
        let names = store::names(&self.table.out().join(folder))?;
        if names.is_empty() {
            self.report.note(folder, "the folder is empty");
        }
        let by = self.table.settings().partition_by;
        for name in names {
            let folder = folder.join(&name);
            let Some(period) = period_of(&name, by).filter(|_| self.is_folder(&folder)) else {
                if let Some(january) = unnamed_january(&name) {
                    let what = format!("its name lacks the month of {january}: the next run renames it");
                    self.report.problem(&folder, Mend::Export, what);
                } else {
                    self.stray(&folder, &format!("it is no folder of a {}", by.key()));
                }
                continue;
            };
            let bot = bot.to_owned();
            let entry = self.entries.get(&PartitionKey { dataset, bot, period });
            let expected = entry
                .and_then(|entry| entry.path.file_name())
                .map(ToOwned::to_owned);
            let names = store::names(&self.table.out().join(&folder))?;
            if names.is_empty() && expected.is_none() {
                self.report.note(&folder, "the folder is empty");
            }
            for name in names
                .iter()
                .filter(|name| expected.as_deref() != Some(name.as_ref()))
            {
                self.stray(&folder.join(name), "the manifest does not know it");
            }
        }
        Ok(())
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.table.out().join(path).is_dir()
    }

    /// Readers pass over what begins with a dot or an underscore.
    fn stray(&mut self, path: &Path, what: &str) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['.', '_']) {
            let what = format!("it does not belong to the table, {what}; readers pass over it");
            self.report.note(path, what);
        } else {
            let what = format!("it does not belong to the table: {what}");
            self.report.problem(path, Mend::Remove, what);
        }
    }

    fn leftovers(&mut self, commit: Option<&Commit>) -> Result<()> {
        let own = self.table.own_folder();
        let staged = store::names(&own.join("staging"))?.len();
        if staged > 0 && commit.is_none() {
            let what = format!("{staged} partitions were left unfinished: the next run sweeps them");
            self.report.note(&own_path("staging"), what);
        }
        if !store::names(&own.join("rebuild"))?.is_empty() {
            self.report
                .note(&own_path("rebuild"), "a rebuild was left unfinished");
        }
        let erased = own_path("erased.json");
        match Tombstones::load(&own) {
            Ok(Some(tombstones)) if tombstones.is_unfinished() => {
                let what = "an erasure was interrupted: the next export, sync or erase ends it";
                self.report.note(&erased, what);
            }
            Ok(_) => {}
            Err(error) => {
                let what = format!("{}: {}", error.with_causes(), error.hint());
                self.report.problem(&erased, Mend::None, what);
            }
        }
        let damaged = store::names(&own.join("damaged"))?.len();
        if damaged > 0 {
            let what =
                format!("{damaged} damaged files were moved here: remove them when you have seen them");
            self.report.note(&own_path("damaged"), what);
        }
        for folder in ["", "pages"] {
            for name in store::names(&own.join(folder))? {
                if name.starts_with('.') {
                    let path = own_path(folder).join(name);
                    self.report
                        .note(&path, "it was left unfinished by a crash, and is not used");
                }
            }
        }
        Ok(())
    }
}
