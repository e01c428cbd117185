//! Checks whether a table can be rebuilt with other settings.

use std::path::Path;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::store;
use crate::table::{QUARANTINE_FOLDERS, Settings, Table};

/// Checks that the rows contain what the new table options need.
pub(super) fn columns(old: &Table, new: &Settings) -> Result<()> {
    if new.table_options.can_be_made_from(old.table_options()) {
        return Ok(());
    }
    for dataset in Dataset::ALL
        .into_iter()
        .filter(|dataset| dataset.metadata_column().is_some())
    {
        if !old.bots(dataset)?.is_empty() {
            let mode = new.table_options.metadata;
            return Err(Error::Usage {
                what: format!(
                    "cannot change metadata to {mode}: the map in the rows of {} does not distinguish 5 and \"5\"",
                    old.out().display()
                ),
                hint: format!("export again with metadata as {mode}, into another folder"),
            });
        }
    }
    Ok(())
}

/// Checks that the privacy rules can be added: hashes are computed from original values, so no rule may have changed
/// them before.
pub(super) fn rules(old: &Settings, new: &Settings) -> Result<()> {
    let lacking = new.privacy.beyond(&old.privacy);
    if lacking.hash_keys.is_empty() || old.privacy.is_empty() {
        return Ok(());
    }
    Err(Error::Usage {
        what: "cannot add keys to hash: the table has privacy rules, so hashes of its rows would differ from those of new records".into(),
        hint: "export again with all rules, into another folder".into(),
    })
}

/// Checks that no other folder contains values that the new rules remove.
pub(super) fn other_copies(own: &Path) -> Result<()> {
    for folder in ["kept"]
        .into_iter()
        .chain(QUARANTINE_FOLDERS)
        .map(|name| own.join(name))
    {
        if !store::names(&folder)?.is_empty() {
            return Err(Error::Usage {
                what: format!("{} contains values that the new rules remove", folder.display()),
                hint: format!("remove it: rm -r '{}'", folder.display()),
            });
        }
    }
    Ok(())
}
