//! The contents of a spooled page as needed before it is decoded, which take less memory than its records.

use std::collections::BTreeMap;

use crate::dataset::PeekedRecord;
use crate::plan::Field;
use crate::spool::PageHeader;
use crate::table::{PartitionDate, Zone};

/// Microseconds per second.
const SECOND: i64 = 1_000_000;
/// Approximate bytes of a row in memory, in addition to its values.
const ROW_BYTES: u64 = 200;

/// A spooled page.
#[derive(Debug)]
pub(super) struct PageContents {
    pub(super) header: PageHeader,
    /// Approximate bytes of its rows in memory.
    pub(super) bytes: u64,
    /// Its records by partition.
    pub(super) dates: BTreeMap<PartitionDate, PartitionShare>,
    /// Number of rejected records.
    pub(super) rejected: u64,
    /// The hash of each id with its partition, for runs that may receive records whose date changed.
    pub(super) locations: Vec<(u64, PartitionDate)>,
}

/// The records of a page that belong to a partition.
#[derive(Debug, Default)]
pub(super) struct PartitionShare {
    pub(super) records: u64,
    /// Whether a record is outside the requested range by a time that windows may filter.
    pub(super) may_be_outside: bool,
}

impl PageContents {
    /// Creates the contents from peeked records. `body_bytes` is the length of the body, and `filters` are the times
    /// that windows may filter.
    pub(super) fn new(
        header: PageHeader,
        body_bytes: u64,
        records: &[PeekedRecord],
        zone: &Zone,
        looks_back: bool,
        filters: &[Field],
    ) -> Self {
        let is_outside = |record: &PeekedRecord| {
            let times = filters.iter().filter_map(|field| match field {
                Field::Time => record.time,
                Field::LastAction => record.last_action,
            });
            times
                .map(|time| time.div_euclid(SECOND))
                .any(|second| !header.range.contains(second))
        };
        let mut dates = zone.dates();
        let mut shares: BTreeMap<PartitionDate, PartitionShare> = BTreeMap::new();
        let mut locations = Vec::new();
        for record in records.iter().filter(|record| !record.rejected) {
            let date = dates.of(record.time);
            let share = shares.entry(date).or_default();
            share.records += 1;
            share.may_be_outside |= is_outside(record);
            if looks_back {
                locations.push((record.id, date));
            }
        }
        Self {
            header,
            bytes: body_bytes + ROW_BYTES * records.len() as u64,
            dates: shares,
            rejected: records.iter().filter(|record| record.rejected).count() as u64,
            locations,
        }
    }

    /// Number of records.
    pub(super) fn records(&self) -> u64 {
        self.rejected + self.dates.values().map(|share| share.records).sum::<u64>()
    }
}
