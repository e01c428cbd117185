//! Kept pages as the scheduler takes them: chains of an earlier run, to go on from.

use std::collections::BTreeMap;

use super::scheduler::{KeptChain, Next, PageFacts, RecordFacts};
use crate::dataset::{self, Peek};
use crate::spool::PageHeader;
use crate::window::Windows;

/// The chains that kept pages form, with the names that the pages carry. Chains that cover nothing of what is
/// missing, or that were asked in other portions than now, cannot be gone on with.
pub(super) fn chains(
    kept: Vec<(PageHeader, Peek)>,
    per_page: u32,
    missing: &Windows,
) -> (Vec<(String, u32)>, Vec<KeptChain>) {
    let mut chains: BTreeMap<(String, u32), KeptChain> = BTreeMap::new();
    for (header, peek) in kept {
        if header.per_page != per_page || missing.intersect(header.covers).is_empty() {
            continue;
        }
        let chain = chains
            .entry((header.run, header.chain))
            .or_insert_with(|| KeptChain {
                covers: header.covers,
                asked: header.asked,
                pages: Vec::new(),
            });
        // a page behind one that is damaged or was never kept leads nowhere
        if usize::try_from(header.index).is_ok_and(|index| index == chain.pages.len()) {
            chain.pages.push(facts(&peek));
        }
    }
    chains.into_iter().unzip()
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
