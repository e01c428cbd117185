//! The thread that writes the table while pages are fetched.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::build::{self, Build};
use super::page_contents::PageContents;
use super::progress::Progress;
use super::spooled_pages::SpooledPages;
use crate::changes;
use crate::error::Result;
use crate::fetch::{FetchProgress, Job};
use crate::ledger::Ledger;
use crate::plan::{Field, Limits};
use crate::spool::Spool;
use crate::table::{Table, Zone};
use crate::window::Windows;

/// Progress of a job, and the page that caused it.
pub(super) struct JobEvent {
    /// Index of the job.
    pub(super) job: usize,
    pub(super) page: Option<PageContents>,
    pub(super) progress: FetchProgress,
}

/// Builds and commits partitions from spooled pages.
pub(super) struct TableWriter {
    pub(super) table: Arc<Table>,
    pub(super) spool: Arc<Spool>,
    pub(super) zone: Zone,
    pub(super) settle: SignedDuration,
    pub(super) keep_pages: bool,
    /// The command in the list of changes.
    pub(super) command: &'static str,
    pub(super) progress: Arc<dyn Progress>,
}

/// The result of one job.
pub(super) struct BuildResult {
    pub(super) stats: build::BuildStats,
    pub(super) rejected: u64,
    pub(super) filter: Option<Field>,
    pub(super) limits: Limits,
    pub(super) unsettled: Windows,
}

impl TableWriter {
    /// Builds partitions when their time is complete, and the others after all pages of a job.
    pub(super) fn run(
        &self,
        jobs: &[Job],
        mut spooled_pages: SpooledPages,
        mut ledger: Ledger,
        mut events: mpsc::Receiver<JobEvent>,
    ) -> Result<(Vec<BuildResult>, Option<PathBuf>)> {
        let build = |job| {
            let at = (&*self.table, &*self.spool, &self.zone);
            Build::new(job, at, self.settle, self.keep_pages)
        };
        let mut builds = jobs.iter().map(build).collect::<Result<Vec<_>>>()?;
        for (job, build) in jobs.iter().zip(&mut builds) {
            let pages = spooled_pages.remove(&(job.dataset, job.bot.clone()));
            for page in pages.into_iter().flatten() {
                build.add(page, &ledger);
            }
        }
        drop(spooled_pages);
        while let Some(JobEvent { job, page, progress }) = events.blocking_recv() {
            let build = &mut builds[job];
            if let Some(page) = page {
                self.table.save_settings()?;
                build.add(page, &ledger);
            }
            build.advance(progress, &mut ledger)?;
            self.commit(&jobs[job], build, |build| build.build_ready(&mut ledger))?;
        }
        let ended = Timestamp::now();
        for (job, build) in jobs.iter().zip(&mut builds) {
            self.commit(job, build, |build| build.close(&mut ledger, ended))?;
        }
        let changes = changes::write(&self.table, &mut ledger, self.command)?;
        let built = builds.into_iter().map(|build| BuildResult {
            unsettled: build.unsettled(&ledger),
            rejected: build.rejected(),
            filter: build.filter(),
            limits: build.limits(),
            stats: build.stats,
        });
        Ok((built.collect(), changes))
    }

    /// Builds some partitions of a job, and reports those that changed.
    fn commit<'a>(
        &self,
        job: &Job,
        build: &mut Build<'a>,
        commit: impl FnOnce(&mut Build<'a>) -> Result<()>,
    ) -> Result<()> {
        let before = build.stats.changed.len();
        commit(build)?;
        let changed = (build.stats.changed.len() - before) as u64;
        if changed > 0 {
            self.progress.committed(job.dataset, &job.bot, changed);
        }
        Ok(())
    }
}
