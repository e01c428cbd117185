//! Plans the jobs of a run: what is requested and not in the table yet.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Options;
use super::spooled_pages::SpooledPages;
use crate::fetch::Job;
use crate::ledger::{DatasetState, Ledger, Refetch};
use crate::table::Zone;
use crate::window::{Window, Windows};

/// Returns a job for each dataset of each bot.
pub(super) fn plan_jobs(
    options: &Options,
    ledger: &Ledger,
    spooled_pages: &SpooledPages,
    zone: &Zone,
) -> Vec<Job> {
    let now = Timestamp::now();
    let run = format!("{}-{}", now.as_millisecond(), std::process::id());
    let mut jobs = Vec::new();
    for dataset in &options.datasets {
        for bot in &options.bots {
            let state = ledger.state(dataset.name(), bot);
            let (missing, refetched) = missing(options, state);
            jobs.push(Job {
                dataset: *dataset,
                bot: bot.clone(),
                range: options.range,
                missing,
                conversation: options.conversation.clone(),
                per_page: options.per_page,
                run: run.clone(),
                spooled: spooled_pages
                    .get(&(*dataset, bot.clone()))
                    .map(|pages| pages.iter().map(|page| page.header.clone()).collect())
                    .unwrap_or_default(),
                knowledge: ledger.learned(dataset.name(), bot, now),
                density: state.map(|state| density(state, zone)).unwrap_or_default(),
                refetched,
                settle: SignedDuration::try_from(options.settle).unwrap_or(SignedDuration::MAX),
                refetches: state
                    .iter()
                    .flat_map(|state| state.refetches())
                    .map(|refetch| (refetch.ranges.clone(), refetch.since))
                    .collect(),
                stats: Arc::default(),
            });
        }
    }
    jobs
}

/// Returns the missing ranges, and the complete ones among them that are refetched.
fn missing(options: &Options, state: Option<&DatasetState>) -> (Windows, Windows) {
    let mut missing: Windows = [options.range].into_iter().collect();
    let mut refetched = Windows::new();
    // a single conversation is always requested
    if let Some(state) = state.filter(|_| options.conversation.is_none()) {
        missing.subtract_all(&state.complete);
        // only `sync` continues its own refetches
        let behind = state.sync.as_ref().filter(|_| options.lookback.is_some());
        let behind = behind.and_then(|sync| sync.current_run.as_ref());
        let refetches = state.refetching.iter().chain(behind.map(|run| &run.behind));
        for unread in refetches.map(Refetch::unread) {
            refetched.extend(unread.intersect(options.range).iter().copied());
        }
        missing.extend(refetched.iter().copied());
    }
    (missing, refetched)
}

/// Returns the rows of each partition, and its complete time range, which may be a part of a month. Complete time
/// without a partition has no rows.
fn density(state: &DatasetState, zone: &Zone) -> Vec<(Window, u64)> {
    let dates = state.partitions.iter();
    let mut empty = state.complete.clone();
    let partitions = dates.filter_map(|(date, metadata)| {
        let window = zone.window(*date)?;
        let complete = state.complete.intersect(window).hull();
        Some((complete.unwrap_or(window), metadata.rows))
    });
    let mut density: Vec<(Window, u64)> = partitions.collect();
    for (window, _) in &density {
        empty.subtract(*window);
    }
    density.extend(empty.iter().map(|window| (*window, 0)));
    density
}
