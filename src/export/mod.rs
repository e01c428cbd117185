//! An export from beginning to end: plan, fetch, spool, decode, build, commit.

mod build;
mod builder;
mod forecast;
mod jobs;
mod open;
mod options;
mod outcome;
mod page_contents;
mod preview;
mod probe;
mod progress;
mod receiver;
mod repair;
mod spooled_pages;
mod summary;
mod table_writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use jiff::SignedDuration;
use tokio::sync::mpsc;

pub use builder::Export;
pub use forecast::{Basis, Forecast, JobForecast, forecast};
pub use options::{
    DEFAULT_BASE_URL, DEFAULT_REQUESTS_PER_SECOND, DEFAULT_SETTLE, MAX_PER_PAGE, Options, check_base_url,
    check_request_options,
};
pub use outcome::{Failure, Outcome};
pub use preview::preview;
pub use progress::{Progress, ProgressSnapshot, Silent};
pub use repair::Damage;
pub use summary::{DatasetSummary, Failed, Summary};

use crate::api::HttpClient;
use crate::blocking;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::fetch::{self, CancellationToken, Endpoint, Job};
use crate::ledger::Ledger;
use crate::spool::Spool;
use crate::table::{Lock, Zone};
use crate::tombstones::Tombstones;
use jobs::plan_jobs;
use open::{Open, open};
use outcome::outcome;
use receiver::JobReceiver;
use table_writer::{JobEvent, TableWriter};

/// Events on their way to the thread that writes the table. More of them make fetching wait.
const EVENTS: usize = 1024;

/// Exports what the options ask for and the table does not have yet. Where the future is dropped, the table stays locked
/// until nothing is written to it any more.
///
/// # Errors
/// Where nothing of it could begin, or where the folder itself failed. A dataset that could not be fetched
/// is among the failures of the [`Outcome`].
pub async fn export(
    options: &Options,
    progress: Arc<dyn Progress>,
    cancellation: CancellationToken,
) -> Result<Outcome> {
    let begin = Instant::now();
    options.check()?;
    let opening = options.clone();
    let Open {
        client,
        lock,
        table,
        zone,
        spool,
        ledger,
        erased,
        spooled_pages,
        damaged,
    } = blocking::run("opening the table", move || open(&opening)).await?;
    let by = table.settings().partition_by;

    let spool = Arc::new(spool);
    let jobs = plan_jobs(options, &ledger, &spooled_pages, &zone);
    let endpoints = endpoints(options, &client, &spool, erased.as_ref(), Some(&lock));
    let (events, received) = mpsc::channel(EVENTS);
    let writer = TableWriter {
        table: Arc::new(table),
        spool,
        zone: zone.clone(),
        settle: SignedDuration::try_from(options.settle).unwrap_or(SignedDuration::MAX),
        keep_pages: options.keep_pages,
        command: match options.lookback {
            Some(_) => "sync",
            None => "export",
        },
        progress: Arc::clone(&progress),
    };
    let writing = {
        let jobs = jobs.clone();
        let (datasets, out) = (options.datasets.clone(), options.out.clone());
        tokio::task::spawn_blocking(move || {
            let _lock = lock;
            let (built, changes) = writer.run(&jobs, spooled_pages, ledger, received)?;
            let exported = datasets
                .into_iter()
                .find(|dataset| out.join(dataset.name()).is_dir());
            Ok((built, changes, exported))
        })
    };
    let fetched = fetch_all(jobs.clone(), &endpoints, &zone, &events, &progress, &cancellation).await;
    drop(events);
    let written = writing.await;
    for job in &jobs {
        progress.ends(job.dataset, &job.bot);
    }
    let written = written.map_err(|error| Error::Internal(format!("building ended: {error}")))?;
    let (built, changes, exported) = match written {
        Ok(written) => written,
        Err(error) => return Err(first_cause(fetched, error)),
    };
    let mut outcome = outcome(&jobs, fetched, built, begin);
    let summary = &mut outcome.summary;
    summary.damaged = damaged;
    summary.changes = changes;
    for dataset in summary.datasets.values_mut() {
        dataset.close(by, options.per_page, options.requests_per_second);
    }
    summary.duckdb = exported
        .map(|dataset| summary::duckdb(&options.out, dataset, by))
        .unwrap_or_default();
    Ok(outcome)
}

/// The error where building failed: a page that could not be spooled failed before, and mostly for the same reason.
fn first_cause(fetched: Vec<(Result<()>, Instant)>, building: Error) -> Error {
    let failures = fetched.into_iter().filter_map(|(fetched, _)| fetched.err());
    let mut unspooled = failures.filter(|error| matches!(error, Error::Io { .. }));
    unspooled.next().unwrap_or(building)
}

/// Whether the run may read something again that is complete.
fn looks_back(ledger: &Ledger) -> bool {
    let mut states = ledger.datasets.values().flat_map(BTreeMap::values);
    states.any(|state| state.refetches().any(|refetch| !refetch.ranges.is_empty()))
}

/// Records what is to be re-fetched, so that a later run continues where this one is interrupted.
fn reopen(options: &Options, ledger: &mut Ledger, spool: &Spool) {
    let next = spool.next_sequence();
    for dataset in &options.datasets {
        for bot in &options.bots {
            if options.refetch && ledger.state(dataset.name(), bot).is_some() {
                ledger.state_mut(dataset.name(), bot).refetch(options.range, next);
            }
            if let Some(lookback) = options.lookback {
                let lookback = i64::try_from(lookback.as_secs()).unwrap_or(i64::MAX);
                let state = ledger.state_mut(dataset.name(), bot);
                state.begin_sync(options.range, lookback, next);
            }
        }
    }
}

fn endpoints(
    options: &Options,
    client: &Arc<HttpClient>,
    spool: &Arc<Spool>,
    erased: Option<&Arc<Tombstones>>,
    lock: Option<&Arc<Lock>>,
) -> BTreeMap<Dataset, Arc<Endpoint>> {
    let endpoint = |dataset: &Dataset| {
        let (client, spool) = (Arc::clone(client), Arc::clone(spool));
        let endpoint = Endpoint::new(
            client,
            Some(spool),
            options.requests_per_second,
            options.concurrency,
        );
        let endpoint = endpoint.excluding(erased.cloned()).locked(lock.cloned());
        (*dataset, Arc::new(endpoint))
    };
    options.datasets.iter().map(endpoint).collect()
}

/// Fetches all jobs concurrently. Returns the outcome of each, and when it ended.
async fn fetch_all(
    jobs: Vec<Job>,
    endpoints: &BTreeMap<Dataset, Arc<Endpoint>>,
    zone: &Zone,
    events: &mpsc::Sender<JobEvent>,
    progress: &Arc<dyn Progress>,
    cancellation: &CancellationToken,
) -> Vec<(Result<()>, Instant)> {
    let fetches = jobs.into_iter().enumerate().map(|(number, job)| {
        let (dataset, bot) = (job.dataset, job.bot.clone());
        progress.begins(dataset, &bot, job.missing.seconds());
        let waiting = Arc::clone(progress);
        let waits = move |failure: &_, wait| waiting.waits(dataset, &bot, failure, wait);
        job.stats.on_retry.set(waits);
        let endpoint = &endpoints[&dataset];
        let mut receiver = JobReceiver {
            number,
            dataset,
            bot: job.bot.clone(),
            missing: job.missing.clone(),
            looks_back: !job.refetched.is_empty(),
            received: 0,
            stats: Arc::clone(&job.stats),
            endpoint: Arc::clone(endpoint),
            zone: zone.clone(),
            events: events.clone(),
            progress: Arc::clone(progress),
        };
        async move {
            let fetched = fetch::fetch(job, endpoint, cancellation, &mut receiver).await;
            (fetched, Instant::now())
        }
    });
    join_all(fetches).await
}
