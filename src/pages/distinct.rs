//! Which records of a page are new.

use std::collections::HashSet;

use bytes::Bytes;

use super::Page;
use crate::dataset::{Dataset, PeekedRecord};
use crate::fetch::FetchedPage;
use crate::plan::Field;
use crate::window::Window;

/// The records that a stream has seen.
pub(super) struct Distinct {
    dataset: Dataset,
    range: Window,
    /// Hashes of ids.
    seen: HashSet<u64>,
    /// Pages with records that may lie outside the range: only the complete job shows whether they do.
    deferred: Vec<(Page, Vec<PeekedRecord>)>,
}

impl Distinct {
    pub(super) fn new(dataset: Dataset, range: Window) -> Self {
        Self {
            dataset,
            range,
            seen: HashSet::new(),
            deferred: Vec::new(),
        }
    }

    /// The page with its new records, if any. `filters` are the fields that windows may filter by.
    pub(super) fn add(&mut self, page: FetchedPage, filters: &[Field]) -> Option<Page> {
        let body = Bytes::from(page.body?);
        let records = page.peek.records;
        let new: Vec<bool> = records.iter().map(|record| self.seen.insert(record.id)).collect();
        let inside =
            |record: &PeekedRecord| filters.iter().all(|field| is_inside(record, *field, self.range));
        let (now, later): (Vec<bool>, Vec<bool>) = records
            .iter()
            .zip(new)
            .map(|(record, new)| (new && inside(record), new && !inside(record)))
            .unzip();
        let part = |kept: Vec<bool>| {
            let page = Page {
                dataset: self.dataset,
                body: body.clone(),
                kept,
            };
            (page.records() > 0).then_some(page)
        };
        if let Some(page) = part(later) {
            self.deferred.push((page, records));
        }
        part(now)
    }

    /// The deferred records that belong to the range. `filter` is the field that the API is proven to filter by; without
    /// a proof all of them do.
    pub(super) fn rest(self, filter: Option<Field>) -> impl Iterator<Item = Page> {
        let range = self.range;
        self.deferred.into_iter().filter_map(move |(mut page, records)| {
            for (kept, record) in page.kept.iter_mut().zip(&records) {
                *kept &= filter.is_none_or(|field| is_inside(record, field, range));
            }
            (page.records() > 0).then_some(page)
        })
    }
}

/// Whether a record lies in the range by a field. Records without that time do.
fn is_inside(record: &PeekedRecord, field: Field, range: Window) -> bool {
    let time = match field {
        Field::Time => record.time,
        Field::LastAction => record.last_action,
    };
    time.is_none_or(|time| range.contains(time.div_euclid(1_000_000)))
}
