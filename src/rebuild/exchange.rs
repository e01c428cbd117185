//! Exchanges two tables: the current one and the rebuilt one.
//!
//! The intent is written first. All steps are idempotent.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::store;
use crate::table::{OWN_FOLDER, Settings};

/// Marks a new folder until the exchange is complete.
const MARK: &str = "_new";

/// The intent of an exchange.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TableExchange {
    settings: Settings,
    ledger: Ledger,
}

type Step<'a> = Box<dyn Fn() -> Result<()> + 'a>;

/// Returns the folder of the new table.
pub(super) fn place(out: &Path) -> PathBuf {
    out.join(OWN_FOLDER).join("rebuild")
}

fn intent(out: &Path) -> PathBuf {
    out.join(OWN_FOLDER).join("rebuild.json")
}

/// Returns the folders to exchange, relative to both tables.
fn folders() -> impl Iterator<Item = PathBuf> {
    let datasets = Dataset::ALL.into_iter().map(|dataset| dataset.name().into());
    datasets.chain([Path::new(OWN_FOLDER).join("partitions")])
}

/// Completes an interrupted exchange, or removes an unfinished table. Only for the process that has the lock. Returns
/// whether there was an exchange.
///
/// # Errors
/// If a file operation fails.
pub(super) fn finish(out: &Path) -> Result<bool> {
    let Some(exchange) = TableExchange::interrupted(out)? else {
        store::remove_folder(&place(out))?;
        return Ok(false);
    };
    tracing::info!("finishing an interrupted rebuild");
    exchange.apply(out)?;
    Ok(true)
}

/// Returns the settings after an interrupted exchange; `None` if there is none.
///
/// # Errors
/// If the intent cannot be read.
pub(super) fn interrupted(out: &Path) -> Result<Option<Settings>> {
    Ok(TableExchange::interrupted(out)?.map(|exchange| exchange.settings))
}

/// Removes an unfinished table.
pub(super) fn remove_unfinished(out: &Path) -> Result<()> {
    if intent(out).exists() {
        return Ok(());
    }
    store::remove_folder(&place(out))
}

/// Links the files that are not the exporter's into the new table.
pub(super) fn link_other_files(out: &Path, own_files: &BTreeSet<PathBuf>) -> Result<()> {
    let mut rest: Vec<PathBuf> = Dataset::ALL.map(|dataset| dataset.name().into()).into();
    while let Some(folder) = rest.pop() {
        for name in store::names(&out.join(&folder))? {
            let path = folder.join(name);
            let from = out.join(&path);
            if from.is_dir() {
                rest.push(path);
            } else if !own_files.contains(&path) {
                let to = place(out).join(&path);
                if to.exists() {
                    continue;
                }
                store::create_folder(to.parent().unwrap_or(&to))?;
                fs::hard_link(&from, &to)
                    .or_else(|_| fs::copy(&from, &to).map(|_| ()))
                    .map_err(Error::io("write", &to))?;
            }
        }
    }
    Ok(())
}

impl TableExchange {
    pub(super) fn new(settings: Settings, ledger: Ledger) -> Self {
        Self { settings, ledger }
    }

    fn interrupted(out: &Path) -> Result<Option<Self>> {
        let path = intent(out);
        let Some(content) = store::read_if_there(&path)? else {
            return Ok(None);
        };
        let exchange = store::unseal(&content).and_then(|content| content.read());
        exchange.map(Some).map_err(|what| Error::Damaged { path, what })
    }

    pub(super) fn execute(&self, out: &Path) -> Result<()> {
        self.write_intent(out)?;
        self.apply(out)
    }

    fn write_intent(&self, out: &Path) -> Result<()> {
        for folder in folders() {
            // a folder without rows replaces the old one, too
            store::write_atomically(&place(out).join(folder).join(MARK), b"")?;
        }
        store::write_atomically(&intent(out), &store::seal(self)?)
    }

    fn apply(&self, out: &Path) -> Result<()> {
        self.steps(out).iter().try_for_each(|step| step())
    }

    fn steps<'a>(&'a self, out: &'a Path) -> Vec<Step<'a>> {
        let own = out.join(OWN_FOLDER);
        let own_again = own.clone();
        // first, so that no run continues with the old settings
        let mut steps: Vec<Step<'_>> = vec![Box::new(move || self.settings.save(&own))];
        for folder in folders() {
            let (new, live) = (place(out).join(&folder), out.join(&folder));
            steps.push(Box::new(move || {
                if new.join(MARK).exists() {
                    store::exchange_trees(&new, &live)?;
                    store::sync_names([&live])?;
                }
                Ok(())
            }));
        }
        steps.push(Box::new(move || self.ledger.save(&own_again)));
        for folder in folders() {
            let live = out.join(folder);
            steps.push(Box::new(move || {
                store::remove_file(&live.join(MARK))?;
                // remove the folder if it is empty
                let _ = fs::remove_dir(&live);
                Ok(())
            }));
        }
        steps.push(Box::new(move || store::remove_folder(&place(out))));
        steps.push(Box::new(move || store::remove_file(&intent(out))));
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{MetadataMode, Promoted, TableOptions};

    const OLD: &str = "conversations/bot=b/date=2023-10-01/part-old.parquet";
    const NEW: &str = "conversations/bot=b/date=2023-10-02/part-new.parquet";
    const MINE: &str = "conversations/bot=b/mine.txt";

    fn settings(timezone: &str) -> Settings {
        Settings {
            schema_version: 1,
            base_url: "https://example.org".into(),
            timezone: timezone.into(),
            timezone_rules: None,
            partition_by: Default::default(),
            row_groups: Default::default(),
            privacy: Default::default(),
            table_options: TableOptions {
                metadata: MetadataMode::Both,
                promote: Promoted::list(&[timezone]).unwrap(),
            },
        }
    }

    /// Creates an old table and a new one.
    fn tables(out: &Path) -> TableExchange {
        let own = out.join(OWN_FOLDER);
        settings("UTC").save(&own).unwrap();
        Ledger::new().save(&own).unwrap();
        for (table, file) in [(out, OLD), (&place(out), NEW), (out, MINE)] {
            store::write_atomically(&table.join(file), file.as_bytes()).unwrap();
            let entry = table.join(OWN_FOLDER).join("partitions").join(file);
            store::write_atomically(&entry, file.as_bytes()).unwrap();
        }
        link_other_files(out, &BTreeSet::from([OLD.into()])).unwrap();
        let mut ledger = Ledger::new();
        ledger.state_mut("conversations", "b").rows = 7;
        TableExchange::new(settings("Europe/Berlin"), ledger)
    }

    #[test]
    fn invariant_2_a_crash_before_any_step_leaves_the_old_table_or_ends_with_the_new_one() {
        let steps = {
            let folder = tempfile::tempdir().unwrap();
            tables(folder.path()).steps(folder.path()).len()
        };
        for done in 0..=steps {
            // the step may have been executed before the crash
            for twice in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                let out = folder.path();
                let exchange = tables(out);
                exchange.write_intent(out).unwrap();
                for step in exchange.steps(out).iter().take(done) {
                    step().unwrap();
                    if twice {
                        step().unwrap();
                    }
                }
                let finished = finish(out).unwrap();
                assert_eq!(finished, done < steps);
                assert!(!finish(out).unwrap());
                assert!(!out.join(OLD).exists() && out.join(NEW).exists(), "after {done}");
                assert!(out.join(OWN_FOLDER).join("partitions").join(NEW).exists());
                assert_eq!(fs::read_to_string(out.join(MINE)).unwrap(), MINE);
                let own = out.join(OWN_FOLDER);
                assert_eq!(Settings::load(&own).unwrap(), Some(settings("Europe/Berlin")));
                assert_eq!(Ledger::load(&own).unwrap(), exchange.ledger);
                assert!(!place(out).exists() && !out.join("conversations").join(MARK).exists());
                assert!(!out.join("messages").exists(), "there are no messages");
            }
        }
    }

    #[test]
    fn what_was_not_written_down_never_happened() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        tables(out);
        assert!(!finish(out).unwrap());
        assert!(out.join(OLD).exists() && !out.join(NEW).exists() && !place(out).exists());
    }
}
