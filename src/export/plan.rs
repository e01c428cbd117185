//! What is to be fetched: what is asked for, and the table does not have yet.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Options;
use super::backlog::Backlog;
use crate::fetch::Job;
use crate::ledger::{Account, Ledger, Refetch};
use crate::table::Zone;
use crate::window::{Window, Windows};

/// What is to be fetched, for each dataset of each bot.
pub(super) fn plan(options: &Options, ledger: &Ledger, backlog: &Backlog, zone: &Zone) -> Vec<Job> {
    let now = Timestamp::now();
    let run = format!("{}-{}", now.as_millisecond(), std::process::id());
    let mut jobs = Vec::new();
    for dataset in &options.datasets {
        for bot in &options.bots {
            let account = ledger.known(dataset.name(), bot);
            let (missing, reread) = missing(options, account);
            jobs.push(Job {
                dataset: *dataset,
                bot: bot.clone(),
                range: options.range,
                missing,
                conversation: options.conversation.clone(),
                per_page: options.per_page,
                run: run.clone(),
                spooled: backlog
                    .get(&(*dataset, bot.clone()))
                    .map(|pages| pages.iter().map(|page| page.header.clone()).collect())
                    .unwrap_or_default(),
                knowledge: ledger.learned(dataset.name(), bot, now),
                density: account.map(|account| density(account, zone)).unwrap_or_default(),
                reread,
                settle: SignedDuration::try_from(options.settle).unwrap_or(SignedDuration::MAX),
                disregarded: account
                    .iter()
                    .flat_map(|account| account.refetches())
                    .map(|refetch| (refetch.ranges.clone(), refetch.since))
                    .collect(),
                stats: Arc::default(),
            });
        }
    }
    jobs
}

/// What is to be fetched of an account, and what of that is complete and re-fetched.
fn missing(options: &Options, account: Option<&Account>) -> (Windows, Windows) {
    let mut missing: Windows = [options.range].into_iter().collect();
    let mut reread = Windows::new();
    // one conversation is asked for whatever is complete
    if let Some(account) = account.filter(|_| options.conversation.is_none()) {
        missing.subtract_all(&account.complete);
        // what `sync` reads again is its own affair
        let behind = account.sync.as_ref().filter(|_| options.lookback.is_some());
        let behind = behind.and_then(|sync| sync.under_way.as_ref());
        let refetches = account.refetching.iter().chain(behind.map(|run| &run.behind));
        for unread in refetches.map(Refetch::unread) {
            reread.extend(unread.intersect(options.range).iter().copied());
        }
        missing.extend(reread.iter().copied());
    }
    (missing, reread)
}

/// Rows of each partition that the table has, and the time that they come from: of a month that is not over, or was not
/// requested as a whole, only that part. Complete time without a partition has no rows.
fn density(account: &Account, zone: &Zone) -> Vec<(Window, u64)> {
    let periods = account.partitions.iter();
    let mut empty = account.complete.clone();
    let partitions = periods.filter_map(|(period, held)| {
        let window = zone.window(*period)?;
        let complete = account.complete.intersect(window).hull();
        Some((complete.unwrap_or(window), held.rows))
    });
    let mut density: Vec<(Window, u64)> = partitions.collect();
    for (window, _) in &density {
        empty.subtract(*window);
    }
    density.extend(empty.iter().map(|window| (*window, 0)));
    density
}
