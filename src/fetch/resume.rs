//! Kept pages as the scheduler takes them: chains of an earlier run, to go on from.

use std::collections::BTreeMap;

use super::scheduler::{KeptChain, Next, PageFacts, RecordFacts};
use crate::dataset::{self, Peek};
use crate::spool::PageHeader;
use crate::window::Windows;

/// What kept pages are of.
pub(super) struct Kept {
    /// The names that the chains' pages carry: their run, and their number in it.
    pub(super) names: Vec<(String, u32)>,
    /// The chains in the order in which they began.
    pub(super) chains: Vec<KeptChain>,
    /// The chain of each page, by its index; none where no chain can go on with the page.
    chain_of: Vec<Option<usize>>,
}

impl Kept {
    /// Sorts pages, which come in the order in which they were answered. Chains that cover nothing of what is
    /// missing, or that were asked in other portions than now, cannot be gone on with.
    pub(super) fn of<'a>(
        pages: impl Iterator<Item = &'a PageHeader> + Clone,
        per_page: u32,
        missing: &Windows,
    ) -> Self {
        let name = |page: &PageHeader| (page.run.clone(), page.chain);
        let of_use =
            |page: &&PageHeader| page.per_page == per_page && !missing.intersect(page.covers).is_empty();
        let chains: BTreeMap<_, _> = pages
            .clone()
            .filter(of_use)
            .map(|page| {
                let (covers, asked) = (page.covers, page.asked);
                (name(page), KeptChain { covers, asked })
            })
            .collect();
        let (names, chains): (Vec<_>, Vec<_>) = chains.into_iter().unzip();
        let mut lengths = vec![0; chains.len()];
        let chain_of = pages
            .map(|page| {
                let chain = names.binary_search(&name(page)).ok()?;
                // a page behind one that is damaged or was never kept leads nowhere
                let follows = of_use(&page) && page.index == lengths[chain];
                lengths[chain] += u32::from(follows);
                follows.then_some(chain)
            })
            .collect();
        Self {
            names,
            chains,
            chain_of,
        }
    }

    /// The pages that chains go on with, each with the index of its chain.
    pub(super) fn pages<'a>(
        &'a self,
        pages: impl Iterator<Item = &'a Peek> + 'a,
    ) -> impl Iterator<Item = (usize, PageFacts)> + 'a {
        let pages = self.chain_of.iter().zip(pages);
        pages.filter_map(|(chain, peek)| Some(((*chain)?, facts(peek))))
    }
}

/// A page as far as the scheduler cares.
pub(super) fn facts(peek: &Peek) -> PageFacts {
    let record = |record: &dataset::PeekedRecord| RecordFacts {
        id: record.id,
        time: record.time,
        last_action: record.last_action,
    };
    let next = match &peek.cursor {
        dataset::Next::Cursor(cursor) => Next::Cursor(cursor.clone()),
        dataset::Next::End => Next::End,
        dataset::Next::Absent => Next::Absent,
    };
    PageFacts {
        records: peek.records.iter().map(record).collect(),
        next,
    }
}
