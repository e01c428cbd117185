//! Finds files that do not belong to the table, and unfinished files.

use std::path::{Path, PathBuf};

use super::report::Remedy;
use super::{NOT_READABLE, Verified, own_path};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::ledger::Publication;
use crate::store;
use crate::table::{PartitionKey, QUARANTINE_FOLDERS, bot_of, date_of_folder, unnamed_january};
use crate::tombstones::Tombstones;

impl Verified {
    /// Looks for strays below the datasets' folders and for leftovers in the exporter's own.
    pub(super) fn strays(&mut self, commit: Option<&Publication>, is_changing: bool) -> Result<()> {
        for dataset in Dataset::ALL {
            let folder = PathBuf::from(dataset.name());
            let path = self.table.out().join(&folder);
            if path.exists() && !path.is_dir() {
                self.stray(&folder, "it is not a folder");
                continue;
            }
            for name in store::names(&path)? {
                let folder = folder.join(&name);
                match bot_of(&name).filter(|_| self.is_folder(&folder)) {
                    Some(bot) => self.bot(dataset, &bot, &folder)?,
                    None => self.stray(&folder, "it is not a folder of a bot"),
                }
            }
        }
        self.leftovers(commit, is_changing)
    }

    fn bot(&mut self, dataset: Dataset, bot: &str, folder: &Path) -> Result<()> {
        let names = store::names(&self.table.out().join(folder))?;
        if names.is_empty() {
            self.report.note(folder, "the folder is empty");
        }
        let by = self.table.settings().partition_by;
        for name in names {
            let folder = folder.join(&name);
            let Some(date) = date_of_folder(&name, by).filter(|_| self.is_folder(&folder)) else {
                if !self.table.out().join(&folder).exists() {
                    // a run removed it
                    self.report.changed(1);
                } else if let Some(january) = unnamed_january(&name) {
                    let what = format!("its name lacks the month of {january}: the next run renames it");
                    self.report.problem(&folder, Remedy::Export, what);
                } else {
                    self.stray(&folder, &format!("it is not a folder of a {}", by.key()));
                }
                continue;
            };
            let bot = bot.to_owned();
            let key = PartitionKey { dataset, bot, date };
            let entry = self.entries.get(&key);
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
                let path = folder.join(name);
                match self.is_stray(&key, &path)? {
                    Some(true) => self.stray(&path, "it is not in the manifest"),
                    Some(false) => {}
                    None => self.report.changed(1),
                }
            }
        }
        Ok(())
    }

    /// Whether a file in a partition's folder that is not in its entry is foreign. It is not if a run has published
    /// it meanwhile. `None` if a run changes the table too often.
    fn is_stray(&self, key: &PartitionKey, path: &Path) -> Result<Option<bool>> {
        if self.is_unchanged() {
            return Ok(Some(true));
        }
        let Some(now) = self.current(key)? else {
            return Ok(None);
        };
        let is_there = self.table.out().join(path).exists();
        let is_next_to_come = now.is_changing;
        Ok(Some(
            is_there && !is_next_to_come && now.entry.is_none_or(|entry| entry.path != path),
        ))
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.table.out().join(path).is_dir()
    }

    /// Readers ignore names that begin with a dot or an underscore.
    fn stray(&mut self, path: &Path, what: &str) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['.', '_']) {
            let what = format!("it does not belong to the table, {what}; readers ignore it");
            self.report.note(path, what);
        } else {
            let what = format!("it does not belong to the table: {what}");
            self.report.problem(path, Remedy::Remove, what);
        }
    }

    fn leftovers(&mut self, commit: Option<&Publication>, is_changing: bool) -> Result<()> {
        let own = self.table.own_folder();
        let staged = self.names("staging")?.len();
        if staged > 0 && commit.is_none() && !is_changing {
            let what = format!("{staged} partitions are unfinished: the next run removes them");
            self.report.note(&own_path("staging"), what);
        }
        if !is_changing && !self.names("rebuild")?.is_empty() {
            self.report.note(&own_path("rebuild"), "a rebuild is unfinished");
        }
        let erased = own_path("erased.json");
        match Tombstones::load(&own) {
            Ok(Some(tombstones)) if tombstones.is_unfinished() && !is_changing => {
                let what = "an erasure was interrupted: the next export, sync or erase completes it";
                self.report.note(&erased, what);
            }
            Ok(_) => {}
            Err(error) if error.is_denied() => self.report.note(&erased, NOT_READABLE),
            Err(error) => {
                let what = format!("{}: {}", error.with_causes(), error.hint());
                self.report.problem(&erased, Remedy::None, what);
            }
        }
        for folder in QUARANTINE_FOLDERS {
            let files = self.names(folder)?.len();
            if files > 0 {
                let what = format!("{files} damaged files are quarantined: remove them after an examination");
                self.report.note(&own_path(folder), what);
            }
        }
        // an active run writes such files
        for folder in ["", "pages"].iter().filter(|_| !is_changing) {
            for name in self.names(folder)? {
                if name.starts_with('.') {
                    let path = own_path(folder).join(name);
                    self.report
                        .note(&path, "it is unfinished because of a crash, and is not used");
                }
            }
        }
        Ok(())
    }

    /// Lists the names in a folder below `_export/`. If this user may not read it, adds a note and returns none.
    fn names(&mut self, folder: &str) -> Result<Vec<String>> {
        match store::names(&self.table.own_folder().join(folder)) {
            Err(error) if error.is_denied() => {
                let path = own_path(folder);
                let path = path.display().to_string();
                if !self.report.notes.iter().any(|note| note.path == path) {
                    self.report.note(Path::new(&path), NOT_READABLE);
                }
                Ok(Vec::new())
            }
            names => names,
        }
    }
}
