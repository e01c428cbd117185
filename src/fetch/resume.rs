//! Continues the chains of spooled pages of earlier runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rayon::prelude::*;

use super::job::is_stale;
use super::{Endpoint, Job, chain_error};
use crate::dataset::{self, Peek};
use crate::error::{Error, Result};
use crate::plan::{NextPage, PageFacts, PlanOptions, Planner, RecordFacts, SpooledChain};
use crate::spool::PageHeader;
use crate::window::Windows;

/// Pages that are read at a time, to bound the memory.
const AT_A_TIME: usize = 32;

impl Endpoint {
    /// Creates a planner that continues after the spooled pages of a job, and its first chains.
    ///
    /// # Errors
    /// If a page cannot be read, and as [`Planner::answered`].
    pub(super) fn resume(&self, job: &Job) -> Result<(Planner, ResumedChains)> {
        let options = PlanOptions {
            per_page: job.per_page,
            max_in_flight: self.most_in_flight,
            // most conversations fit into one page
            splits: job.conversation.is_none(),
            knowledge: job.knowledge,
            density: job.density.clone(),
        };
        let counts = |page: &&PageHeader| job.is_current(page) && !job.is_outdated(page);
        let pages = job.spooled.iter().filter(counts);
        let chains = Chains::of(pages.clone(), &job.missing);
        let continued: Vec<(usize, u64)> = chains
            .chain_of
            .iter()
            .zip(pages)
            .filter_map(|(chain, page)| Some(((*chain)?, page.sequence)))
            .collect();
        let mut unreadable = None;
        let facts = continued
            .chunks(AT_A_TIME)
            .map_while(|pages| {
                let preview =
                    |(chain, page): &(usize, u64)| Ok((*chain, facts(&self.peek_spooled(job, *page)?)));
                let looks: Result<Vec<_>> = pages.par_iter().map(preview).collect();
                looks.map_err(|error| unreadable = Some(error)).ok()
            })
            .flatten();
        let ranges = job.missing.iter().copied().collect();
        let planner = Planner::resume(ranges, options, &chains.chains, facts);
        if let Some(error) = unreadable {
            return Err(error);
        }
        let planner = planner.map_err(|error| chain_error(job, error.to_string()))?;
        let resumed = ResumedChains {
            names: chains.names,
            requested_at: chains.requested_at,
        };
        Ok((planner, resumed))
    }

    fn peek_spooled(&self, job: &Job, page: u64) -> Result<Peek> {
        let spool = self
            .spool
            .as_ref()
            .ok_or_else(|| Error::Internal("a page without a spool".into()))?;
        dataset::peek(job.dataset, &spool.read(page)?)
            .map_err(|error| Error::Internal(format!("page {page}: {error}")))
    }
}

/// Chains of earlier runs, by their numbers in the planner.
#[derive(Debug)]
pub(super) struct ResumedChains {
    /// Run and chain number in the headers of their pages.
    pub(super) names: Vec<(String, u32)>,
    /// When their last page was requested, by the server's clock.
    pub(super) requested_at: Vec<Option<Timestamp>>,
}

/// The chains of spooled pages.
struct Chains {
    /// Run and chain number of each chain.
    names: Vec<(String, u32)>,
    /// The chains in the order in which they began.
    chains: Vec<SpooledChain>,
    /// When the last page of each chain was requested.
    requested_at: Vec<Option<Timestamp>>,
    /// Index of each page's chain; `None` if no chain continues with the page.
    chain_of: Vec<Option<usize>>,
}

impl Chains {
    /// Assigns pages, in the order in which they were received, to chains. Chains that cover nothing of `missing` are
    /// skipped.
    fn of<'a>(pages: impl Iterator<Item = &'a PageHeader> + Clone, missing: &Windows) -> Self {
        let name = |page: &PageHeader| (page.run.clone(), page.chain);
        let of_use = |page: &&PageHeader| !missing.intersect(page.covers).is_empty();
        let chains: BTreeMap<_, _> = pages
            .clone()
            .filter(of_use)
            .map(|page| {
                let (covers, requested, per_page) = (page.covers, page.requested, page.per_page);
                let chain = SpooledChain {
                    covers,
                    requested,
                    per_page,
                };
                (name(page), chain)
            })
            .collect();
        let (names, chains): (Vec<_>, Vec<_>) = chains.into_iter().unzip();
        let mut lengths = vec![0; chains.len()];
        let mut requested_at = vec![None; chains.len()];
        let chain_of = pages
            .map(|page| {
                let chain = names.binary_search(&name(page)).ok()?;
                // a page after a damaged or missing one cannot be used
                let is_too_late =
                    requested_at[chain].is_some_and(|before| is_stale(before, page.requested_at));
                let follows = of_use(&page) && page.index == lengths[chain] && !is_too_late;
                if follows {
                    lengths[chain] += 1;
                    requested_at[chain] = Some(page.requested_at);
                }
                follows.then_some(chain)
            })
            .collect();
        Self {
            names,
            chains,
            requested_at,
            chain_of,
        }
    }
}

/// Converts a page for the planner.
pub(super) fn facts(peek: &Peek) -> PageFacts {
    let record = |record: &dataset::PeekedRecord| RecordFacts {
        id: record.id,
        time: record.time,
        last_action: record.last_action,
    };
    let next = match &peek.cursor {
        dataset::Next::Cursor(cursor) => NextPage::Cursor(cursor.clone()),
        dataset::Next::End => NextPage::End,
        dataset::Next::Absent => NextPage::Absent,
    };
    PageFacts {
        records: peek.records.iter().map(record).collect(),
        next,
    }
}
