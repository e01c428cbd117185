//! Builds partitions from retained pages.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use rayon::prelude::*;

use crate::dataset::{Dataset, peek, strip};
use crate::error::{Error, Result};
use crate::export::build::is_outside;
use crate::plan::Field;
use crate::spool::{PageHeader, Spool};
use crate::table::{PartitionDate, PartitionKey, Staged, Table, Zone};
use crate::tombstones::Tombstones;
use crate::window::Windows;

/// Pages that are decoded at a time, to bound the memory.
const AT_A_TIME: usize = 4;

/// Stages the rows of retained pages for lost partitions of one dataset of one bot; `None` for a partition without
/// rows. Only pages whose window overlaps `times` are read.
pub(super) fn stage(
    table: &Table,
    zone: &Zone,
    spool: &Spool,
    lost: &[PartitionKey],
    times: &Windows,
    filter: Option<Field>,
) -> Result<Vec<Option<Staged>>> {
    let Some(PartitionKey { dataset, bot, .. }) = lost.first() else {
        return Ok(Vec::new());
    };
    let erased = Tombstones::load(&table.own_folder())?;
    let erased = erased.as_ref();
    let dates: BTreeSet<PartitionDate> = lost.iter().map(|key| key.date).collect();
    let (headers, damaged) = spool.list_retained()?;
    for path in damaged {
        tracing::warn!("{} is damaged, and cannot be used", path.display());
    }
    let may_hold_rows = |page: &PageHeader| {
        page.dataset == dataset.name() && page.bot == *bot && !times.intersect(page.requested).is_empty()
    };
    let pages: Vec<_> = headers.into_iter().filter(may_hold_rows).collect();
    let seen = pages
        .par_iter()
        .map(|page| dates_of(spool, zone, *dataset, page, erased))
        .collect::<Result<Vec<_>>>()?;
    let mut of_period: BTreeMap<PartitionDate, Vec<&PageHeader>> = BTreeMap::new();
    for (page, seen) in pages.iter().zip(seen) {
        for date in seen.intersection(&dates) {
            of_period.entry(*date).or_default().push(page);
        }
    }
    let stage = |key: &PartitionKey| {
        let pages = of_period.get(&key.date).map_or(&[][..], Vec::as_slice);
        let mut builder = table.builder(key);
        for pages in pages.chunks(AT_A_TIME) {
            let batches = pages
                .par_iter()
                .map(|page| rows_of(spool, (zone, table), key, page, filter, erased))
                .collect::<Result<Vec<_>>>()?;
            batches.into_iter().try_for_each(|batch| builder.add(batch))?;
        }
        (!builder.is_empty()).then(|| builder.finish()).transpose()
    };
    lost.iter().map(stage).collect()
}

/// Reads the body of a retained page. If it contains erased records, since a crash restored the page, they are
/// removed again.
fn read(spool: &Spool, dataset: Dataset, page: &PageHeader, erased: Option<&Tombstones>) -> Result<Vec<u8>> {
    let body = spool.read_retained(page.sequence)?;
    let stripped = erased.map(|erased| strip(dataset, &body, |id| erased.contains(id)));
    match stripped {
        Some(Ok(Some((rest, gone)))) => {
            let header = PageHeader {
                erased: page.erased + gone,
                ..page.clone()
            };
            spool.rewrite(&header, &rest, true)?;
            Ok(rest)
        }
        _ => Ok(body),
    }
}

/// Returns the partition dates of a retained page's rows; none if it is damaged.
fn dates_of(
    spool: &Spool,
    zone: &Zone,
    dataset: Dataset,
    page: &PageHeader,
    erased: Option<&Tombstones>,
) -> Result<BTreeSet<PartitionDate>> {
    let body = match read(spool, dataset, page, erased) {
        Err(Error::Damaged { path, what }) => {
            tracing::warn!("{} is damaged, and cannot be used: {what}", path.display());
            return Ok(BTreeSet::new());
        }
        body => body?,
    };
    let Ok(page) = peek(dataset, &body) else {
        return Ok(BTreeSet::new());
    };
    let mut dates = zone.dates();
    let rows = page.records.iter().filter(|record| !record.rejected);
    Ok(rows.map(|record| dates.of(record.time)).collect())
}

/// Returns the rows of a page in a partition, as building selects them.
fn rows_of(
    spool: &Spool,
    (zone, table): (&Zone, &Table),
    key: &PartitionKey,
    page: &PageHeader,
    filter: Option<Field>,
    erased: Option<&Tombstones>,
) -> Result<RecordBatch> {
    let body = read(spool, key.dataset, page, erased)?;
    let batch = table.decode(key.dataset, &body)?.batch;
    let is_outside: Vec<bool> = is_outside(key.dataset, filter, page.range, &batch).collect();
    let rows = zone.dates().rows_of(key.date, key.dataset, &batch)?;
    let rows = rows.filter(|row| !is_outside[*row as usize]);
    Ok(take_record_batch(&batch, &UInt32Array::from_iter_values(rows))?)
}
