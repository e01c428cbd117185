//! What erased conversations left beside the table: pages, rejected records, damaged files.

use std::path::PathBuf;

use super::{EraseSummary, Targets};
use crate::dataset::{Dataset, Next, PageError, names_any, peek, strip_with};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::rejected;
use crate::spool::{PageHeader, Spool};
use crate::store;
use crate::table::{OWN_FOLDER, Table};

/// Files that are none of the table's and are named one by one.
const NAMED: usize = 1_000;

/// Takes records out of pages, those that wait and those that are kept.
pub(super) fn pages(spool: &Spool, targets: &Targets<'_>, erased: &mut EraseSummary) -> Result<()> {
    for is_kept in [false, true] {
        let (headers, damaged) = if is_kept {
            spool.list_kept()?
        } else {
            spool.list()?
        };
        // nobody can tell what they hold, and they count as never answered
        damaged.iter().try_for_each(|path| store::remove_file(path))?;
        for header in headers {
            if page(spool, &header, is_kept, targets, erased)?.is_none() {
                spool.discard(header.sequence, is_kept)?;
            }
        }
    }
    // a page that comes back after a power cut would bring its records back
    spool.sync()
}

/// Takes records out of the pages that wait. Damaged ones are left to the run that finds them.
pub(super) fn waiting_pages(spool: &Spool, targets: &Targets<'_>, erased: &mut EraseSummary) -> Result<()> {
    for header in spool.list()?.0 {
        page(spool, &header, false, targets, erased)?;
    }
    spool.sync()
}

/// Takes records out of a page; `None` where it is damaged.
fn page(
    spool: &Spool,
    header: &PageHeader,
    is_kept: bool,
    targets: &Targets<'_>,
    erased: &mut EraseSummary,
) -> Result<Option<()>> {
    let discard = || spool.discard(header.sequence, is_kept).map(Some);
    let Ok(dataset) = header.dataset.parse::<Dataset>() else {
        return Ok(Some(()));
    };
    let read = if is_kept {
        spool.read_kept(header.sequence)
    } else {
        spool.read(header.sequence)
    };
    let body = match read {
        Err(Error::Damaged { .. }) => return Ok(None),
        body => body?,
    };
    // the whole page is about it
    let asked_for = header.conversation.as_deref().is_some_and(|id| targets.has(id));
    // a cursor that names it cannot be gone on with: the window is asked for again
    let cursor = match peek(dataset, &body).map(|page| page.cursor) {
        Ok(Next::Cursor(cursor)) => cursor,
        _ => String::new(),
    };
    let cursors = [header.cursor.as_deref().unwrap_or_default(), &cursor];
    let named = cursors.iter().any(|cursor| targets.is_in(cursor.as_bytes()));
    match stripped(dataset, &body, targets) {
        Ok(Some((rest, gone))) => {
            erased.records_in_pages += gone;
            if !asked_for && !named {
                // counted with the page, so that what was received adds up
                let header = PageHeader {
                    erased: header.erased + gone,
                    ..header.clone()
                };
                return spool.rewrite(&header, &rest, is_kept).map(Some);
            }
        }
        Ok(None) => {}
        // it is no page, and nothing can be made of it
        Err(_) => return Ok(None),
    }
    if asked_for || named {
        discard()?;
    }
    Ok(Some(()))
}

/// A page without the records of the conversations, and how many these are; `None` where it has none.
pub(super) fn stripped(
    dataset: Dataset,
    body: &[u8],
    targets: &Targets<'_>,
) -> std::result::Result<Option<(Vec<u8>, u64)>, PageError> {
    strip_with(
        dataset,
        body,
        |id| targets.has(id),
        |record| names_one(record, targets),
    )
}

/// Takes rejected records out that name a conversation anywhere.
pub(super) fn rejected(
    table: &Table,
    ledger: &mut Ledger,
    targets: &Targets<'_>,
    erased: &mut EraseSummary,
) -> Result<()> {
    let own = table.own_folder();
    let mut changed = false;
    for (dataset, bots) in &mut ledger.datasets {
        for (bot, account) in bots {
            let (gone, left) = rejected::remove(&own, dataset, bot, |record| names_one(record, targets))?;
            erased.rejected += gone;
            // by what is left, so that it is right however often this is done
            let counted = account.rejected.saturating_sub(left);
            account.rejected -= counted;
            account.erased += counted;
            changed |= counted > 0;
        }
    }
    if changed { ledger.save(&own) } else { Ok(()) }
}

/// Whether a record in JSON names one of the conversations, anywhere.
pub(super) fn names_one(record: &str, targets: &Targets<'_>) -> bool {
    targets.is_in(record.as_bytes()) || names_any(record, |id| targets.has(id))
}

/// Removes what was set aside as damaged: nobody can tell what it holds.
pub(super) fn damaged(table: &Table, erased: &mut EraseSummary) -> Result<()> {
    erased.damaged_files += damaged_files(table)?;
    store::remove_folder(&table.own_folder().join("damaged"))?;
    store::sync_folder(&table.own_folder())
}

/// How many files were set aside as damaged.
pub(super) fn damaged_files(table: &Table) -> Result<u64> {
    Ok(files(&table.own_folder().join("damaged"))?.len() as u64)
}

/// Files that are none of the table's and hold one of the ids.
pub(super) fn left(table: &Table, targets: &Targets<'_>) -> Result<Vec<PathBuf>> {
    let manifest = table.manifest()?;
    let known: std::collections::HashSet<_> =
        manifest.entries.into_values().map(|entry| entry.path).collect();
    let mut left = Vec::new();
    for path in files(table.out())? {
        let name = path.strip_prefix(table.out()).unwrap_or(&path).to_owned();
        let is_page = ["pages", "kept"]
            .iter()
            .any(|folder| name.starts_with(format!("{OWN_FOLDER}/{folder}")));
        if !known.contains(&name) && !is_page && left.len() < NAMED {
            let content = match std::fs::read(&path) {
                // a run that a dry run only looks at has removed it
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                content => content.map_err(Error::io("read", &path))?,
            };
            if targets.is_in(&content) {
                left.push(name);
            }
        }
    }
    if !left.is_empty() {
        // a run that a dry run only looks at may have written them meanwhile
        let now = table.manifest()?.entries;
        let is_known = |name: &PathBuf| now.values().any(|entry| entry.path == *name);
        left.retain(|name| !is_known(name) && table.out().join(name).exists());
    }
    Ok(left)
}

/// All files below a folder.
fn files(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for name in store::names(&folder)? {
            let path = folder.join(name);
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    Ok(files)
}
