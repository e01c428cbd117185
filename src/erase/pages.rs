//! Removes records of erased conversations from spooled and kept pages.

use super::{EraseSummary, Targets};
use crate::dataset::{Dataset, Next, PageError, peek, strip_with};
use crate::error::{Error, Result};
use crate::spool::{PageHeader, Spool};
use crate::store;

/// Removes records from all pages. Damaged pages are removed, since their contents are unknown.
pub(super) fn erase(spool: &Spool, targets: &Targets<'_>, summary: &mut EraseSummary) -> Result<()> {
    for is_retained in [false, true] {
        let (headers, damaged) = match is_retained {
            true => spool.list_retained()?,
            false => spool.list()?,
        };
        damaged.iter().try_for_each(|path| store::remove_file(path))?;
        for header in headers {
            if !erase_in_page(spool, &header, is_retained, targets, summary)? {
                spool.discard(header.sequence, is_retained)?;
            }
        }
    }
    // a page that reappears after a power failure would restore its records
    spool.sync()
}

/// Removes records from spooled pages. Damaged pages are left to the run that finds them.
pub(super) fn erase_spooled(spool: &Spool, targets: &Targets<'_>, summary: &mut EraseSummary) -> Result<()> {
    for header in spool.list()?.0 {
        erase_in_page(spool, &header, false, targets, summary)?;
    }
    spool.sync()
}

/// Removes records from a page; returns false if the page is damaged.
fn erase_in_page(
    spool: &Spool,
    header: &PageHeader,
    is_retained: bool,
    targets: &Targets<'_>,
    summary: &mut EraseSummary,
) -> Result<bool> {
    let Ok(dataset) = header.dataset.parse::<Dataset>() else {
        return Ok(true);
    };
    let body = match read(spool, header, is_retained) {
        Err(Error::Damaged { .. }) => return Ok(false),
        body => body?,
    };
    // a page of one conversation is removed as a whole
    let is_of_target = header
        .conversation
        .as_deref()
        .is_some_and(|id| targets.contains(id));
    // a cursor that names a target cannot be used again: the window is fetched from its start
    let next = match peek(dataset, &body).map(|page| page.cursor) {
        Ok(Next::Cursor(cursor)) => cursor,
        _ => String::new(),
    };
    let cursors = [header.cursor.as_deref().unwrap_or_default(), &next];
    let is_in_cursor = cursors.iter().any(|cursor| targets.is_in(cursor.as_bytes()));
    let Ok(stripped) = strip(dataset, &body, targets) else {
        return Ok(false);
    };
    summary.records_in_pages += stripped.as_ref().map_or(0, |(_, removed)| *removed);
    if is_of_target || is_in_cursor {
        spool.discard(header.sequence, is_retained)?;
    } else if let Some((rest, removed)) = stripped {
        // the header counts removed records, so that the ledger's counts stay consistent
        let header = PageHeader {
            erased: header.erased + removed,
            ..header.clone()
        };
        spool.rewrite(&header, &rest, is_retained)?;
    }
    Ok(true)
}

/// Reads the body of a spooled or kept page.
pub(super) fn read(spool: &Spool, header: &PageHeader, is_retained: bool) -> Result<Vec<u8>> {
    match is_retained {
        true => spool.read_retained(header.sequence),
        false => spool.read(header.sequence),
    }
}

/// Returns a page without the records of targets, and their number; `None` if it has none.
pub(super) fn strip(
    dataset: Dataset,
    body: &[u8],
    targets: &Targets<'_>,
) -> std::result::Result<Option<(Vec<u8>, u64)>, PageError> {
    let is_target = |id: &str| targets.contains(id);
    strip_with(dataset, body, is_target, |record| targets.is_named_in(record))
}
