//! A commit: partitions replaced, ledger advanced, pages forgotten; all of it, also across a crash.
//!
//! What shall happen is written down durably first. A crash after that is mended by the next run, which
//! carries the same commit out again; every step of it may be done twice.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::spool::Spool;
use crate::store;
use crate::table::{Entry, PartitionKey, Staged, Table};

/// What a commit will do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Commit {
    partitions: Vec<(PartitionKey, Entry)>,
    /// Partitions that have no rows any more.
    #[serde(default)]
    withdrawn: Vec<PartitionKey>,
    ledger: Ledger,
    pages: Vec<u64>,
    /// Whether the pages are kept beside the spool.
    #[serde(default)]
    keeps_pages: bool,
}

impl Commit {
    /// A commit of staged partitions, of the ledger that is true once they are published, and of the pages
    /// that are no longer needed then, which are kept beside the spool or not.
    #[must_use]
    pub fn new(staged: &[Staged], ledger: Ledger, pages: Vec<u64>, keeps_pages: bool) -> Self {
        let partitions = staged
            .iter()
            .filter(|staged| staged.replaces)
            .map(|staged| (staged.key.clone(), staged.entry.clone()))
            .collect();
        Self {
            partitions,
            withdrawn: Vec::new(),
            ledger,
            pages,
            keeps_pages,
        }
    }

    /// The same, which takes partitions out of the table, too.
    #[must_use]
    pub fn withdrawing(self, withdrawn: Vec<PartitionKey>) -> Self {
        Self { withdrawn, ..self }
    }

    /// Carries the commit out; everything is durable when this returns.
    ///
    /// # Errors
    /// Where the system refuses; a later [`Commit::recover`] goes on from there.
    pub fn execute(&self, table: &Table, spool: &Spool) -> Result<()> {
        if !self.partitions.is_empty() {
            table.sync_staged()?;
        }
        let intent = path(&table.own_folder());
        store::write_atomically(&intent, &store::seal(self)?)?;
        store::step("intent-written");
        table.publish_all(&self.partitions)?;
        self.apply(table, spool, &intent)
    }

    /// What a crash interrupted, if anything; nothing of it is carried out.
    ///
    /// # Errors
    /// Where the intent cannot be read, or is not as it was written.
    pub fn interrupted(own_folder: &Path) -> Result<Option<Self>> {
        let intent = path(own_folder);
        let Some(content) = store::read_if_there(&intent)? else {
            return Ok(None);
        };
        let commit = store::unseal(&content).and_then(|content| content.read::<Self>());
        let mut commit = commit.map_err(|what| Error::Damaged { path: intent, what })?;
        for (key, entry) in &mut commit.partitions {
            // an earlier version named the folders of Januaries without their month
            entry.path = key.folder().join(entry.path.file_name().unwrap_or_default());
        }
        Ok(Some(commit))
    }

    /// Carries out what a crash interrupted, if anything.
    ///
    /// # Errors
    /// Where the system refuses, or the intent is not as it was written.
    pub fn recover(table: &Table, spool: &Spool) -> Result<()> {
        let own_folder = table.own_folder();
        let Some(commit) = Self::interrupted(&own_folder)? else {
            return Ok(());
        };
        tracing::info!(
            partitions = commit.partitions.len(),
            "finishing an interrupted commit"
        );
        table.publish_again(&commit.partitions)?;
        commit.apply(table, spool, &path(&own_folder))
    }

    /// The partitions that get another version, with what will be known of them.
    #[must_use]
    pub fn partitions(&self) -> &[(PartitionKey, Entry)] {
        &self.partitions
    }

    /// The partitions that are taken out of the table.
    #[must_use]
    pub fn withdrawn(&self) -> &[PartitionKey] {
        &self.withdrawn
    }

    /// The ledger as it will be.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What follows once the partitions are published.
    fn apply(&self, table: &Table, spool: &Spool, intent: &Path) -> Result<()> {
        for key in &self.withdrawn {
            table.withdraw(key)?;
        }
        store::step("partitions-published");
        self.ledger.save(&table.own_folder())?;
        store::step("ledger-saved");
        let pages = self.pages.iter().copied();
        if self.keeps_pages {
            spool.keep(pages)?;
        } else {
            spool.remove(pages)?;
        }
        store::step("pages-removed");
        store::remove_file(intent)?;
        store::step("intent-removed");
        Ok(())
    }
}

fn path(own_folder: &Path) -> PathBuf {
    own_folder.join("commit.json")
}
