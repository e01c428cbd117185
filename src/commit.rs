//! Atomic commits: publish partitions, save the ledger, and remove the spooled pages that are in the table.
//!
//! The commit is first written to `commit.json`. After a crash the next run executes it again: every step is idempotent.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::spool::Spool;
use crate::store;
use crate::table::{Entry, PartitionKey, Staged, Table};

/// The steps of a commit.
#[derive(Debug, Serialize, Deserialize)]
pub struct Commit {
    partitions: Vec<(PartitionKey, Entry)>,
    /// Partitions without rows, which are removed.
    #[serde(default, rename = "withdrawn")]
    removed_partitions: Vec<PartitionKey>,
    ledger: Ledger,
    pages: Vec<u64>,
    /// Whether the pages are moved to `_export/kept/` instead of being removed.
    #[serde(default)]
    keeps_pages: bool,
}

impl Commit {
    /// Creates a commit of staged partitions, of the ledger after it, and of the pages that are in the table then.
    #[must_use]
    pub fn new(staged: &[Staged], ledger: Ledger, pages: Vec<u64>, keeps_pages: bool) -> Self {
        let partitions = staged
            .iter()
            .filter(|staged| staged.replaces)
            .map(|staged| (staged.key.clone(), staged.entry.clone()))
            .collect();
        Self {
            partitions,
            removed_partitions: Vec::new(),
            ledger,
            pages,
            keeps_pages,
        }
    }

    /// Adds partitions to remove.
    #[must_use]
    pub fn removing(self, removed_partitions: Vec<PartitionKey>) -> Self {
        Self {
            removed_partitions,
            ..self
        }
    }

    /// Executes the commit; everything is durable when this returns.
    ///
    /// # Errors
    /// If a file operation fails; [`Commit::recover`] completes the commit later.
    pub fn execute(&self, table: &Table, spool: &Spool) -> Result<()> {
        if !self.partitions.is_empty() {
            table.sync_staged()?;
        }
        let intent = path(&table.own_folder());
        store::write_atomically(&intent, &store::seal(self)?)?;
        store::step("intent-written");
        table.publish_all(&self.partitions)?;
        self.finish(table, spool, &intent)
    }

    /// Reads the interrupted commit, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn interrupted(own_folder: &Path) -> Result<Option<Self>> {
        let intent = path(own_folder);
        let Some(content) = store::read_if_there(&intent)? else {
            return Ok(None);
        };
        let commit = store::unseal(&content).and_then(|content| content.read::<Self>());
        let mut commit = commit.map_err(|what| Error::Damaged { path: intent, what })?;
        for (key, entry) in &mut commit.partitions {
            // an earlier version used other folder names for partitions of January
            entry.path = key.folder().join(entry.path.file_name().unwrap_or_default());
        }
        Ok(Some(commit))
    }

    /// Executes the interrupted commit, if there is one.
    ///
    /// # Errors
    /// If a file operation fails, or the file of the commit is damaged.
    pub fn recover(table: &Table, spool: &Spool) -> Result<()> {
        let own_folder = table.own_folder();
        let Some(commit) = Self::interrupted(&own_folder)? else {
            return Ok(());
        };
        tracing::info!(
            partitions = commit.partitions.len(),
            "completing an interrupted commit"
        );
        table.publish_again(&commit.partitions)?;
        commit.finish(table, spool, &path(&own_folder))
    }

    /// The partitions to publish, with their entries.
    #[must_use]
    pub fn partitions(&self) -> &[(PartitionKey, Entry)] {
        &self.partitions
    }

    /// The partitions to remove.
    #[must_use]
    pub fn removed(&self) -> &[PartitionKey] {
        &self.removed_partitions
    }

    /// The ledger after the commit.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Executes the steps after the publication of partitions.
    fn finish(&self, table: &Table, spool: &Spool, intent: &Path) -> Result<()> {
        for key in &self.removed_partitions {
            table.remove_partition(key)?;
        }
        store::step("partitions-published");
        self.ledger.save(&table.own_folder())?;
        store::step("ledger-saved");
        let pages = self.pages.iter().copied();
        if self.keeps_pages {
            spool.retain(pages)?;
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
