//! The pages that earlier runs left in the spool.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::arrived::Arrived;
use super::mend::Damage;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::fetch::AtHand;
use crate::plan::Field;
use crate::spool::{PageHeader, Spool};
use crate::store;
use crate::table::{OWN_FOLDER, Table, Zone};

/// By dataset and bot, in the order in which they came.
pub(super) type KeptPages = BTreeMap<(Dataset, String), Vec<Arrived>>;

/// The pages that earlier runs left in the spool, by dataset and bot, and the files of those that are damaged, which
/// count as never answered.
pub(super) fn kept_pages(
    (spool, at_hand): (&Spool, &AtHand),
    zone: &Zone,
    looks_back: bool,
) -> Result<(KeptPages, Vec<PathBuf>)> {
    let (headers, mut damaged) = spool.list()?;
    let look = |header: PageHeader| {
        let dataset = header.dataset.parse::<Dataset>().ok()?;
        let (sequence, path) = (header.sequence, spool.path(header.sequence));
        let body = match spool.read(sequence) {
            // a run that this one only looks at has removed it
            Err(error) if error.is_not_found() => return None,
            body => body,
        };
        Some(match body.map(|body| at_hand.read(dataset, &body)) {
            Ok(Ok(page)) => {
                let page = at_hand.hold(sequence, page);
                Ok(Ok((
                    dataset,
                    Arrived::new(
                        header,
                        &page.records,
                        zone,
                        looks_back,
                        &[Field::Time, Field::LastAction],
                    ),
                )))
            }
            Ok(Err(_)) | Err(Error::Damaged { .. }) => Ok(Err(path)),
            Err(error) => Err(error),
        })
    };
    let looks: Vec<_> = headers.into_par_iter().filter_map(look).collect::<Result<_>>()?;
    let mut kept = KeptPages::new();
    for look in looks {
        match look {
            Ok((dataset, page)) => {
                let of = (dataset, page.header.bot.clone());
                kept.entry(of).or_default().push(page);
            }
            Err(path) => damaged.push(path),
        }
    }
    Ok((kept, damaged))
}

/// Moves damaged pages aside, and names them.
pub(super) fn set_aside(table: &Table, pages: Vec<PathBuf>) -> Result<Vec<Damage>> {
    let told = |path: PathBuf| {
        let path = path.strip_prefix(table.out()).unwrap_or(&path).to_owned();
        if table.settings().privacy.is_empty() {
            tracing::warn!(
                "{} is damaged: it is moved to {OWN_FOLDER}/damaged and asked for again",
                path.display()
            );
            table.set_aside(&path)?;
        } else {
            // it holds what the table's rules take out
            tracing::warn!("{} is damaged: it is removed and asked for again", path.display());
            store::remove_file(&table.out().join(&path))?;
        }
        Ok(Damage {
            path,
            what: "is no whole page".into(),
        })
    };
    pages.into_iter().map(told).collect()
}
