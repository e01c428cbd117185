//! What erased conversations left beside the table: pages, rejected records, damaged files.

use std::path::PathBuf;

use serde_json::Value;

use super::{Erased, Goes};
use crate::dataset::{Dataset, Next, peek, strip};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::rejected;
use crate::spool::{PageHeader, Spool};
use crate::store;
use crate::table::{OWN_FOLDER, Table};

/// Files that are none of the table's and are named one by one.
const NAMED: usize = 1_000;

/// Takes records out of pages, those that wait and those that are kept. What was never part of the table is not counted
/// as received either.
pub(super) fn pages(spool: &Spool, goes: &Goes<'_>, erased: &mut Erased) -> Result<()> {
    for is_kept in [false, true] {
        let (headers, damaged) = if is_kept {
            spool.list_kept()?
        } else {
            spool.list()?
        };
        // nobody can tell what they hold, and they count as never answered
        damaged.iter().try_for_each(|path| store::remove_file(path))?;
        for header in headers {
            page(spool, &header, is_kept, goes, erased)?;
        }
    }
    Ok(())
}

fn page(
    spool: &Spool,
    header: &PageHeader,
    is_kept: bool,
    goes: &Goes<'_>,
    erased: &mut Erased,
) -> Result<()> {
    let discard = || spool.discard(header.sequence, is_kept);
    let Ok(dataset) = header.dataset.parse::<Dataset>() else {
        return Ok(());
    };
    let read = if is_kept {
        spool.read_kept(header.sequence)
    } else {
        spool.read(header.sequence)
    };
    let body = match read {
        Err(Error::Damaged { .. }) => return discard(),
        body => body?,
    };
    // the whole page is about it
    let asked_for = header.conversation.as_deref().is_some_and(|id| goes.has(id));
    // a cursor that names it cannot be gone on with: the window is asked for again
    let cursor = match peek(dataset, &body).map(|page| page.cursor) {
        Ok(Next::Cursor(cursor)) => cursor,
        _ => String::new(),
    };
    let cursors = [header.cursor.as_deref().unwrap_or_default(), &cursor];
    let named = cursors.iter().any(|cursor| goes.is_in(cursor.as_bytes()));
    match strip(dataset, &body, |id| goes.has(id)) {
        Ok(Some((rest, gone))) => {
            erased.records_in_pages += gone;
            if !asked_for && !named {
                return spool.rewrite(header, &rest, is_kept);
            }
        }
        Ok(None) => {}
        // it is no page, and nothing can be made of it
        Err(_) => return discard(),
    }
    if asked_for || named {
        discard()?;
    }
    Ok(())
}

/// Takes rejected records out that name a conversation anywhere.
pub(super) fn rejected(
    table: &Table,
    ledger: &mut Ledger,
    goes: &Goes<'_>,
    erased: &mut Erased,
) -> Result<()> {
    let own = table.own_folder();
    let mut changed = false;
    for (dataset, bots) in &mut ledger.datasets {
        for (bot, account) in bots {
            let (gone, left) = rejected::remove(&own, dataset, bot, |record| names_one(record, goes))?;
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
fn names_one(record: &str, goes: &Goes<'_>) -> bool {
    goes.is_in(record.as_bytes()) || serde_json::from_str(record).is_ok_and(|record| holds_one(&record, goes))
}

fn holds_one(value: &Value, goes: &Goes<'_>) -> bool {
    match value {
        Value::String(text) => goes.has(text),
        Value::Number(number) => goes.has(&number.to_string()),
        Value::Array(values) => values.iter().any(|value| holds_one(value, goes)),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| goes.has(key) || holds_one(value, goes)),
        Value::Null | Value::Bool(_) => false,
    }
}

/// Removes what was set aside as damaged: nobody can tell what it holds.
pub(super) fn damaged(table: &Table, erased: &mut Erased) -> Result<()> {
    let folder = table.own_folder().join("damaged");
    erased.damaged_files += files(&folder)?.len() as u64;
    store::remove_folder(&folder)
}

/// Files that are none of the table's and hold one of the ids.
pub(super) fn left(table: &Table, goes: &Goes<'_>) -> Result<Vec<PathBuf>> {
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
            let content = std::fs::read(&path).map_err(Error::io("read", &path))?;
            if goes.is_in(&content) {
                left.push(name);
            }
        }
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
