//! Atomic commits: append to the commit log, then publish partitions and remove the spooled pages that are in the table.
//!
//! The append is the point of no return. After a crash the next run does the rest again: every step is idempotent.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ledger::{Ledger, Publication};
use crate::spool::Spool;
use crate::store;
use crate::table::{Entry, PartitionKey, Staged, Table};

/// A commit that was not appended yet.
#[derive(Debug)]
pub struct Commit {
    publication: Publication,
}

impl Commit {
    /// Creates a commit of staged partitions, and of the pages that are in the table then.
    #[must_use]
    pub fn new(staged: &[Staged], pages: Vec<u64>, keeps_pages: bool) -> Self {
        let partitions = staged
            .iter()
            .filter(|staged| staged.replaces)
            .map(|staged| (staged.key.clone(), staged.entry.clone()))
            .collect();
        Self {
            publication: Publication {
                partitions,
                removed: Vec::new(),
                pages,
                keeps_pages,
            },
        }
    }

    /// Adds partitions to remove.
    #[must_use]
    pub fn removing(mut self, removed: Vec<PartitionKey>) -> Self {
        self.publication.removed = removed;
        self
    }

    /// Executes the commit with the ledger after it; everything is durable when this returns.
    ///
    /// # Errors
    /// If a file operation fails; [`recover`] completes the commit later, if it was appended.
    pub fn execute(self, table: &Table, spool: &Spool, ledger: &Ledger) -> Result<()> {
        let publication = self.publication;
        if !publication.partitions.is_empty() {
            table.sync_staged()?;
        }
        ledger.commit(&table.own_folder(), publication.clone())?;
        store::step("commit-appended");
        table.publish_all(&publication.partitions)?;
        finish(&publication, table, spool)
    }
}

/// Executes the steps after the publication of partitions.
fn finish(publication: &Publication, table: &Table, spool: &Spool) -> Result<()> {
    for key in &publication.removed {
        table.remove_partition(key)?;
    }
    store::step("partitions-published");
    let pages = publication.pages.iter().copied();
    if publication.keeps_pages {
        spool.retain(pages)?;
    } else {
        spool.remove(pages)?;
    }
    store::step("pages-removed");
    Ok(())
}

/// Completes the last commit if a crash interrupted it.
///
/// # Errors
/// If a file operation fails.
pub fn recover(table: &Table, spool: &Spool, ledger: &Ledger) -> Result<()> {
    let Some(publication) = unfinished(table, spool, ledger)? else {
        return Ok(());
    };
    tracing::info!(
        partitions = publication.partitions.len(),
        "completing an interrupted commit"
    );
    table.publish_again(&publication.partitions)?;
    finish(&publication, table, spool)
}

/// The publication of the last commit, unless everything of it is done.
///
/// # Errors
/// If a folder cannot be read.
pub fn unfinished(table: &Table, spool: &Spool, ledger: &Ledger) -> Result<Option<Publication>> {
    let Some(publication) = ledger.last_publication() else {
        return Ok(None);
    };
    let mut is_done = publication.removed.iter().all(|key| table.is_removed(key))
        && publication.pages.iter().all(|page| !spool.path(*page).exists());
    for (key, entry) in &publication.partitions {
        is_done &= table.is_published(key, entry)?;
    }
    Ok((!is_done).then_some(publication))
}

/// Whether a commit was interrupted, one of an earlier version of this program included.
///
/// # Errors
/// As [`unfinished`].
pub fn is_interrupted(table: &Table, spool: &Spool, ledger: &Ledger) -> Result<bool> {
    Ok(earlier(&table.own_folder()).exists() || unfinished(table, spool, ledger)?.is_some())
}

/// A commit as earlier versions of this program wrote it before its execution.
#[derive(Serialize, Deserialize)]
struct EarlierCommit {
    partitions: Vec<(PartitionKey, Entry)>,
    #[serde(default)]
    withdrawn: Vec<PartitionKey>,
    ledger: Ledger,
    pages: Vec<u64>,
    #[serde(default)]
    keeps_pages: bool,
}

/// Completes an interrupted commit of an earlier version of this program, if there is one.
///
/// # Errors
/// If a file operation fails, or the file of the commit is damaged.
pub fn recover_earlier(table: &Table, spool: &Spool) -> Result<()> {
    let own_folder = table.own_folder();
    let path = earlier(&own_folder);
    let Some(content) = store::read_if_there(&path)? else {
        return Ok(());
    };
    let commit = store::unseal(&content).and_then(|content| content.read::<EarlierCommit>());
    let mut commit = commit.map_err(|what| Error::Damaged {
        path: path.clone(),
        what,
    })?;
    for (key, entry) in &mut commit.partitions {
        // it may use other folder names for partitions of January
        entry.path = key.folder().join(entry.path.file_name().unwrap_or_default());
    }
    let publication = Publication {
        partitions: commit.partitions,
        removed: commit.withdrawn,
        pages: commit.pages,
        keeps_pages: commit.keeps_pages,
    };
    table.publish_again(&publication.partitions)?;
    commit.ledger.commit(&own_folder, publication.clone())?;
    finish(&publication, table, spool)?;
    store::remove_file(&path)
}

fn earlier(own_folder: &Path) -> PathBuf {
    own_folder.join("commit.json")
}
