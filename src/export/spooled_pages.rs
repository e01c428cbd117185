//! Reads the spooled pages of earlier runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::page_contents::PageContents;
use super::repair::Damage;
use crate::dataset::{Dataset, peek};
use crate::error::{Error, Result};
use crate::plan::Field;
use crate::spool::{PageHeader, Spool};
use crate::store;
use crate::table::{OWN_FOLDER, QUARANTINE, Table, Zone};

/// Pages by dataset and bot, in the order in which they were received.
pub(super) type SpooledPages = BTreeMap<(Dataset, String), Vec<PageContents>>;

/// Reads the spooled pages of earlier runs by dataset and bot. Returns the files of damaged pages, too, which are
/// requested again.
pub(super) fn read(spool: &Spool, zone: &Zone, looks_back: bool) -> Result<(SpooledPages, Vec<PathBuf>)> {
    let (headers, mut damaged) = spool.list()?;
    let read = |header: PageHeader| {
        let dataset = header.dataset.parse::<Dataset>().ok()?;
        let path = spool.path(header.sequence);
        let body = match spool.read(header.sequence) {
            // a concurrent run removed it, and this one only reads
            Err(error) if error.is_not_found() => return None,
            Err(Error::Damaged { .. }) => return Some(Ok(Err(path))),
            Err(error) => return Some(Err(error)),
            Ok(body) => body,
        };
        let Ok(page) = peek(dataset, &body) else {
            return Some(Ok(Err(path)));
        };
        let (bytes, filters) = (body.len() as u64, [Field::Time, Field::LastAction]);
        let page = PageContents::new(header, bytes, &page.records, zone, looks_back, &filters);
        Some(Ok(Ok((dataset, page))))
    };
    let pages: Vec<_> = headers.into_par_iter().filter_map(read).collect::<Result<_>>()?;
    let mut spooled_pages = SpooledPages::new();
    for page in pages {
        match page {
            Ok((dataset, page)) => {
                let of = (dataset, page.header.bot.clone());
                spooled_pages.entry(of).or_default().push(page);
            }
            Err(path) => damaged.push(path),
        }
    }
    Ok((spooled_pages, damaged))
}

/// Quarantines damaged pages, and returns them.
pub(super) fn quarantine(table: &Table, pages: Vec<PathBuf>) -> Result<Vec<Damage>> {
    let quarantine = |path: PathBuf| {
        let path = path.strip_prefix(table.out()).unwrap_or(&path).to_owned();
        if table.settings().privacy.is_empty() {
            tracing::warn!(
                "{} is damaged: it is moved to {OWN_FOLDER}/{QUARANTINE} and requested again",
                path.display()
            );
            table.quarantine(&path)?;
        } else {
            // it contains values that the privacy rules remove
            tracing::warn!("{} is damaged: it is removed and requested again", path.display());
            store::remove_file(&table.out().join(&path))?;
        }
        Ok(Damage {
            path,
            what: "it is not a complete page".into(),
        })
    };
    pages.into_iter().map(quarantine).collect()
}
