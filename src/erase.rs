//! Conversations removed on request: from every partition, every kept page and the rejected records, for good.
//!
//! Tombstones are written first, so that no run brings them back from then on. Everything after that may be done twice:
//! an erasure that was interrupted is ended by the next export, sync or erasure, which knows the conversations by
//! their tombstones alone.

mod partitions;
mod rest;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::changes;
use crate::commit::Commit;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::rebuild;
use crate::spool::Spool;
use crate::table::{Lock, OWN_FOLDER, Table};
use crate::tombstones::Tombstones;

/// What an erasure removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Conversations that were asked for.
    pub conversations: u64,
    /// Rows that went, by dataset.
    pub rows: BTreeMap<&'static str, u64>,
    /// Partitions that were written anew.
    pub partitions_changed: u64,
    /// Partitions that had no other rows, and are gone.
    pub partitions_removed: u64,
    /// Records in pages that were answered and wait to become part of the table, or are kept beside it.
    pub records_in_pages: u64,
    /// Rejected records.
    pub rejected: u64,
    /// Files in `_export/damaged/`: nobody can tell what they hold.
    pub damaged_files: u64,
    /// The file that tells jobs what has changed.
    pub changes: Option<PathBuf>,
    /// Files that are none of the table's and hold one of the ids, from the table's folder on: they are left.
    pub left: Vec<PathBuf>,
}

/// Which conversations go.
struct Goes<'a> {
    tombstones: &'a Tombstones,
    /// Their ids, where these are known and nothing older has to be ended.
    ids: Option<HashSet<&'a str>>,
}

impl Goes<'_> {
    /// Whether this is the id of one of them.
    fn has(&self, id: &str) -> bool {
        match &self.ids {
            Some(ids) => ids.contains(id),
            None => self.tombstones.has(id),
        }
    }

    /// Whether one of the ids stands somewhere in these bytes, as far as ids are known.
    fn is_in(&self, bytes: &[u8]) -> bool {
        let mut ids = self.ids.iter().flatten();
        ids.any(|id| memchr::memmem::find(bytes, id.as_bytes()).is_some())
    }
}

/// Removes conversations with their messages from the table in `out`, and keeps tombstones of them.
///
/// # Errors
/// Where there is no table, or something of it cannot be read or written: the tombstones stand then, and the next run
/// goes on.
pub fn erase(out: &Path, ids: &[String]) -> Result<Erased> {
    if ids.is_empty() || ids.iter().any(|id| id.trim().is_empty()) {
        return Err(Error::Usage {
            what: "no conversation was named".into(),
            hint: "give --conversation ID, or --from a file with an id in each line".into(),
        });
    }
    Table::standing(out)?;
    let own = out.join(OWN_FOLDER);
    let _lock = Lock::take(out, &own)?;
    rebuild::finish(out)?;
    let table = Table::standing(out)?;
    let spool = Spool::open(&own.join("pages"))?;
    Commit::finish(&table, &spool)?;
    table.sweep()?;
    let mut ledger = Ledger::load(&Ledger::path(&own))?;
    spool.begin_at(ledger.next_sequence);
    let mut tombstones = match Tombstones::load(&own)? {
        Some(tombstones) => tombstones,
        None => Tombstones::new(&own)?,
    };
    let had_begun = tombstones.is_unfinished();
    tombstones.begin(ids.iter())?;
    let known = (!had_begun).then(|| ids.iter().map(String::as_str).collect());
    let mut erased = carry_out(&table, &spool, &mut ledger, &tombstones, known)?;
    if had_begun {
        let goes = Goes {
            tombstones: &tombstones,
            ids: Some(ids.iter().map(String::as_str).collect()),
        };
        erased.left = rest::left(&table, &goes)?;
    }
    tombstones.end()?;
    erased.conversations = ids.iter().collect::<HashSet<_>>().len() as u64;
    Ok(erased)
}

/// Ends an erasure that was interrupted, if one was; answers the tombstones, if there are any. Only for the holder of
/// the lock, after the last commit was carried through.
///
/// # Errors
/// Where something cannot be read or written.
pub(crate) fn finish(table: &Table, spool: &Spool, ledger: &mut Ledger) -> Result<Option<Tombstones>> {
    let Some(mut tombstones) = Tombstones::load(&table.own_folder())? else {
        return Ok(None);
    };
    if tombstones.is_unfinished() {
        tracing::warn!("an erasure was interrupted: it is ended now");
        carry_out(table, spool, ledger, &tombstones, None)?;
        tombstones.end()?;
    }
    Ok(Some(tombstones))
}

fn carry_out(
    table: &Table,
    spool: &Spool,
    ledger: &mut Ledger,
    tombstones: &Tombstones,
    ids: Option<HashSet<&str>>,
) -> Result<Erased> {
    let goes = Goes { tombstones, ids };
    let mut erased = Erased::default();
    // pages first: what a run builds from them must not bring anything back
    rest::pages(spool, &goes, &mut erased)?;
    rest::rejected(table, ledger, &goes, &mut erased)?;
    partitions::erase(table, spool, ledger, &goes, &mut erased)?;
    rest::damaged(table, &mut erased)?;
    erased.changes = changes::write(table, ledger, "erase")?;
    erased.left = rest::left(table, &goes)?;
    Ok(erased)
}
