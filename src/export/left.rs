//! The pages that earlier runs left in the spool.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::mend::Damage;
use crate::dataset::{Dataset, Peek, peek};
use crate::error::{Error, Result};
use crate::spool::{PageHeader, Spool};
use crate::table::{OWN_FOLDER, Table};

/// By dataset and bot, in the order in which they came.
pub(super) type KeptPages = BTreeMap<(String, String), Vec<(PageHeader, Peek)>>;

/// The pages that earlier runs left in the spool, by dataset and bot, and the files of those that are damaged, which
/// count as never answered.
pub(super) fn kept_pages(spool: &Spool) -> Result<(KeptPages, Vec<PathBuf>)> {
    let (headers, mut damaged) = spool.list()?;
    let mut kept = KeptPages::new();
    for header in headers {
        let Ok(dataset) = header.dataset.parse::<Dataset>() else {
            continue;
        };
        match spool.read(header.sequence).map(|body| peek(dataset, &body)) {
            Ok(Ok(page)) => {
                let of = (header.dataset.clone(), header.bot.clone());
                kept.entry(of).or_default().push((header, page));
            }
            Ok(Err(_)) | Err(Error::Damaged { .. }) => damaged.push(spool.path(header.sequence)),
            Err(error) => return Err(error),
        }
    }
    Ok((kept, damaged))
}

/// Moves damaged pages aside, and names them.
pub(super) fn set_aside(table: &Table, pages: Vec<PathBuf>) -> Result<Vec<Damage>> {
    let told = |path: PathBuf| {
        let path = path.strip_prefix(table.out()).unwrap_or(&path).to_owned();
        tracing::warn!(
            "{} is damaged: it is moved to {OWN_FOLDER}/damaged and asked for again",
            path.display()
        );
        table.set_aside(&path)?;
        Ok(Damage {
            path,
            what: "is no whole page".into(),
        })
    };
    pages.into_iter().map(told).collect()
}
