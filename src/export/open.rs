//! The beginning of an export, before anything is fetched: the table is locked, repaired, and read.

use std::sync::Arc;

use super::build;
use super::looks_back;
use super::options::Options;
use super::repair::{self, Damage};
use super::spooled_pages::{self, SpooledPages};
use crate::api::HttpClient;
use crate::erase;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::rebuild;
use crate::spool::Spool;
use crate::table::{Lock, Table, Zone};
use crate::tombstones::Tombstones;

/// A locked table, and what earlier runs left of it.
pub(super) struct Open {
    pub(super) client: Arc<HttpClient>,
    /// All that writes has a share of the lock.
    pub(super) lock: Arc<Lock>,
    pub(super) table: Table,
    pub(super) zone: Zone,
    pub(super) spool: Spool,
    pub(super) ledger: Ledger,
    pub(super) erased: Option<Arc<Tombstones>>,
    pub(super) spooled_pages: SpooledPages,
    pub(super) damaged: Vec<Damage>,
}

/// Opens the table that the options name. It reads files, and may write many.
///
/// # Errors
/// Where the options make no sense, the table is locked, or its folder can't be read or written.
pub(super) fn open(options: &Options) -> Result<Open> {
    let table = options.table()?;
    let client = Arc::new(HttpClient::new(options.connection.clone()).map_err(Error::Connection)?);
    let lock = Arc::new(Lock::acquire(table.out(), &table.own_folder())?);
    rebuild::finish(&options.out)?;
    // until now its settings might have become others
    let table = options.table()?.with_secret(options.privacy.secret.clone())?;
    let zone = table.zone()?;
    let (spool, mut ledger, mut damaged) = repair::open_folder(&table, &zone, options)?;
    let erased = erase::recover(&table, &spool, &mut ledger)?.map(Arc::new);
    build::recover_partition_changes((&table, &spool, &zone), &mut ledger, options)?;
    let (spooled_pages, damaged_pages) = spooled_pages::read(&spool, &zone, looks_back(&ledger))?;
    damaged.extend(spooled_pages::quarantine(&table, damaged_pages)?);
    Ok(Open {
        client,
        lock,
        table,
        zone,
        spool,
        ledger,
        erased,
        spooled_pages,
        damaged,
    })
}
