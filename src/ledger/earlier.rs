//! The files in which earlier versions of this program kept the ledger: `ledger.json` and its copy.

use std::path::Path;

use super::{Ledger, VERSION};
use crate::error::{Error, Result};
use crate::store;
use serde::Deserialize;

const FILES: [&str; 2] = ["ledger.json", "ledger.copy.json"];

/// The field that every version of the ledger has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

pub(super) fn exists(own_folder: &Path) -> bool {
    FILES.iter().any(|file| own_folder.join(file).exists())
}

pub(super) fn remove(own_folder: &Path) -> Result<()> {
    // the copy first: alone it would be taken for the rest of a damaged ledger
    FILES
        .iter()
        .rev()
        .try_for_each(|file| store::remove_file(&own_folder.join(file)))
}

/// Reads the ledger, or its copy if the ledger is damaged or missing. `None` if there is neither.
///
/// # Errors
/// [`Error::Damaged`] if both are damaged, [`Error::Usage`] if they are of a newer version.
pub(super) fn load(own_folder: &Path) -> Result<Option<Ledger>> {
    let [ledger, copy] = FILES.map(|file| own_folder.join(file));
    match read(&ledger) {
        Err(damage @ Error::Damaged { .. }) => match read(&copy) {
            Ok(Some(ledger)) => Ok(Some(ledger)),
            _ => Err(damage),
        },
        Ok(None) => read(&copy),
        ledger => ledger,
    }
}

fn read(path: &Path) -> Result<Option<Ledger>> {
    let Some(content) = store::read_if_there(path)? else {
        return Ok(None);
    };
    let damaged = |what: String| Error::Damaged {
        path: path.to_owned(),
        what,
    };
    let content = store::unseal(&content).map_err(damaged)?;
    // read the version first: a newer format is not damage
    let Versioned { version } = content.fields().map_err(damaged)?;
    if version > VERSION {
        return Err(Error::Usage {
            what: format!(
                "cannot read {}: it has version {version}, and this program supports {VERSION}",
                path.display()
            ),
            hint: "update converse-export".into(),
        });
    }
    let mut ledger: Ledger = content.read().map_err(damaged)?;
    // earlier versions of this program saved them
    ledger.remove_empty_states();
    Ok(Some(ledger))
}
