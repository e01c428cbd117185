//! The whole way of an export: plan, fetch, spool, decode, build, commit.

mod arrived;
mod build;
mod forecast;
mod left;
mod mend;
mod options;
mod plan;
mod preview;
mod probe;
mod progress;
mod summary;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

pub use crate::changes::Changed;
pub use forecast::{Basis, Forecast, JobForecast, forecast};
pub use mend::Damage;
pub use options::{
    DEFAULT_BASE_URL, DEFAULT_REQUESTS_PER_SECOND, DEFAULT_SETTLE, MAX_PER_PAGE, Options, check_asking,
    check_base_url,
};
pub use preview::{Preview, preview};
pub use progress::{Progress, Silent, Standing};
pub use summary::{DatasetSummary, Failed, Summary};

use crate::api::Client;
use crate::changes;
use crate::dataset::Dataset;
use crate::erase;
use crate::error::{Error, Result};
use crate::fetch::{self, AtHand, Endpoint, FetchProgress, Job, Stop};
use crate::ledger::Ledger;
use crate::plan::{Field, Limits};
use crate::rebuild;
use crate::spool::Spool;
use crate::table::{Lock, Table, Zone};
use crate::tombstones::Tombstones;
use crate::window::Windows;
use arrived::Arrived;
use build::Build;
use left::KeptPages;
use plan::plan;

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was done, also where not all of it was.
    pub summary: Summary,
    /// What was not done.
    pub failures: Vec<Failure>,
}

/// A dataset of a bot that could not be exported whole. What was fetched of it is kept.
#[derive(Debug)]
pub struct Failure {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot.
    pub bot: String,
    /// Why.
    pub error: Error,
}

/// What the building thread gets of a job: how far it is, and the page that brought it there.
struct News {
    page: Option<Arrived>,
    progress: FetchProgress,
}

/// News of all jobs on their way to the building thread, each with the number of its job.
type AllNews = mpsc::Sender<(usize, News)>;
/// News under way at most; more of them make fetching wait for building.
const NEWS_UNDER_WAY: usize = 1024;
/// The same where nothing else bounds how often is asked: rows of what comes are still at hand when they are built.
const NEWS_WITHOUT_LIMIT: usize = 16;

/// Exports what the options ask for and the table does not have yet.
///
/// # Errors
/// Where nothing of it could be begun, or where the folder itself failed. A dataset that could not be fetched
/// is told in the [`Outcome`].
pub async fn export(options: &Options, progress: Arc<dyn Progress>, stop: Stop) -> Result<Outcome> {
    let begin = Instant::now();
    options.check()?;
    let table = options.table()?;
    let client = Arc::new(Client::new(options.connection.clone()).map_err(Error::Connection)?);
    // whatever still writes keeps the table locked, even where this future is dropped
    let lock = Arc::new(Lock::take(table.out(), &table.own_folder())?);
    rebuild::finish(&options.out)?;
    // until now its settings might have become others
    let table = options.table()?.with_secret(options.privacy.secret.clone())?;
    let table = Arc::new(table);
    let (by, zone) = (table.settings().partition_by, table.zone()?);
    let (spool, mut ledger, mut damaged) = mend::open_folder(&table, &zone, options)?;
    let erased = erase::finish(&table, &spool, &mut ledger)?.map(Arc::new);
    let spool = Arc::new(spool);
    let shared = Shared {
        erased,
        at_hand: rows_at_hand(&table),
        lock: Some(Arc::clone(&lock)),
    };
    build::recover_moved((&table, &spool, &zone), &mut ledger, options)?;
    let looks_back = looks_back(&ledger);
    let (kept, damaged_pages) = left::kept_pages((&spool, &shared.at_hand), &zone, looks_back)?;
    damaged.extend(left::set_aside(&table, damaged_pages)?);

    let jobs = plan(options, &ledger, &kept, &zone);
    let endpoints = endpoints(options, &client, &spool, &shared);
    let (news, received) = mpsc::channel(match options.requests_per_second > 0.0 {
        true => NEWS_UNDER_WAY,
        false => NEWS_WITHOUT_LIMIT,
    });
    let building = {
        let settle = SignedDuration::try_from(options.settle).unwrap_or(SignedDuration::MAX);
        let site = Site {
            table,
            spool,
            at_hand: shared.at_hand,
            zone: zone.clone(),
            settle,
            keep_pages: options.keep_pages,
            command: if options.lookback.is_some() {
                "sync"
            } else {
                "export"
            },
            progress: Arc::clone(&progress),
        };
        let jobs = jobs.clone();
        tokio::task::spawn_blocking(move || {
            let _lock = lock;
            site.build(&jobs, kept, ledger, received)
        })
    };
    let fetched = fetch_all(jobs.clone(), &endpoints, &zone, &news, &progress, &stop).await;
    drop(news);
    let built = building.await;
    for job in &jobs {
        progress.ends(job.dataset, &job.bot);
    }
    let built = built.map_err(|error| Error::Internal(format!("building ended: {error}")))?;
    let built = match built {
        Ok(built) => built,
        Err(error) => return Err(first_cause(fetched, error)),
    };
    let (built, changes) = built;
    let mut outcome = outcome(&jobs, fetched, built, begin);
    let summary = &mut outcome.summary;
    summary.damaged = damaged;
    summary.changes = changes;
    for dataset in summary.datasets.values_mut() {
        dataset.close(by, options.per_page, options.requests_per_second);
    }
    let exported = options
        .datasets
        .iter()
        .find(|dataset| options.out.join(dataset.name()).is_dir());
    summary.duckdb = exported
        .map(|dataset| summary::duckdb(&options.out, *dataset, by))
        .unwrap_or_default();
    Ok(outcome)
}

/// Where building failed: a page that could not be kept failed before, and mostly for the same reason.
fn first_cause(fetched: Vec<(Result<()>, Instant)>, building: Error) -> Error {
    let failures = fetched.into_iter().filter_map(|(fetched, _)| fetched.err());
    let mut unkept = failures.filter(|error| matches!(error, Error::Io { .. }));
    unkept.next().unwrap_or(building)
}

/// Whether the run may read something again that is complete.
fn looks_back(ledger: &Ledger) -> bool {
    let mut accounts = ledger.datasets.values().flat_map(BTreeMap::values);
    accounts.any(|account| account.anew().any(|anew| !anew.ranges.is_empty()))
}

/// Writes down what is to be asked for anew, so that a run that is interrupted can be gone on with.
fn reopen(options: &Options, ledger: &mut Ledger, spool: &Spool) {
    let next = spool.next_sequence();
    for dataset in &options.datasets {
        for bot in &options.bots {
            if options.refetch && ledger.known(dataset.name(), bot).is_some() {
                ledger.account(dataset.name(), bot).refetch(options.range, next);
            }
            if let Some(lookback) = options.lookback {
                let lookback = i64::try_from(lookback.as_secs()).unwrap_or(i64::MAX);
                let account = ledger.account(dataset.name(), bot);
                account.begin_sync(options.range, lookback, next);
            }
        }
    }
}

/// What all endpoints of a run share.
#[derive(Default)]
struct Shared {
    erased: Option<Arc<Tombstones>>,
    at_hand: Arc<AtHand>,
    lock: Option<Arc<Lock>>,
}

/// Makes rows of pages when they come, as the table wants them.
fn rows_at_hand(table: &Arc<Table>) -> Arc<AtHand> {
    let table = Arc::clone(table);
    Arc::new(AtHand::new(move |dataset, body| table.decode(dataset, body).ok()))
}

fn endpoints(
    options: &Options,
    client: &Arc<Client>,
    spool: &Arc<Spool>,
    shared: &Shared,
) -> BTreeMap<Dataset, Arc<Endpoint>> {
    let endpoint = |dataset: &Dataset| {
        let (client, spool) = (Arc::clone(client), Arc::clone(spool));
        let endpoint = Endpoint::new(client, spool, options.requests_per_second, options.concurrency);
        let endpoint = endpoint
            .without(shared.erased.clone())
            .with_rows(Arc::clone(&shared.at_hand))
            .locked(shared.lock.clone());
        (*dataset, Arc::new(endpoint))
    };
    options.datasets.iter().map(endpoint).collect()
}

/// Fetches all jobs side by side; the outcome of each, and when it ended.
async fn fetch_all(
    jobs: Vec<Job>,
    endpoints: &BTreeMap<Dataset, Arc<Endpoint>>,
    zone: &Zone,
    news: &AllNews,
    progress: &Arc<dyn Progress>,
    stop: &Stop,
) -> Vec<(Result<()>, Instant)> {
    let fetches = jobs.into_iter().enumerate().map(async |(number, job)| {
        let (dataset, bot, missing) = (job.dataset, job.bot.clone(), job.missing.clone());
        progress.begins(dataset, &bot, missing.seconds());
        let (endpoint, tally) = (&endpoints[&dataset], Arc::clone(&job.tally));
        {
            let (progress, bot) = (Arc::clone(progress), bot.clone());
            let waits = move |failure: &_, wait| progress.waits(dataset, &bot, failure, wait);
            tally.waits.set(waits);
        }
        let (mut received, looks_back) = (0, !job.reread.is_empty());
        let fetched = fetch::fetch(job, endpoint, stop.clone(), async |event| {
            let progress_of_job = event.progress;
            let page = event.page.map(|(header, records)| {
                received += records.len() as u64;
                let filters = &progress_of_job.possible_filters;
                Arrived::new(header, &records, zone, looks_back, filters)
            });
            let event = News {
                page,
                progress: progress_of_job,
            };
            let standing = Standing::of(&missing, &event.progress, received, &tally, endpoint);
            progress.reached(dataset, &bot, &standing);
            news.send((number, event)).await.is_ok()
        })
        .await;
        (fetched, Instant::now())
    });
    join_all(fetches).await
}

/// Where building happens.
struct Site {
    table: Arc<Table>,
    spool: Arc<Spool>,
    at_hand: Arc<AtHand>,
    zone: Zone,
    settle: SignedDuration,
    keep_pages: bool,
    /// What it is told as by whoever reads what has changed.
    command: &'static str,
    progress: Arc<dyn Progress>,
}

/// What building made of one job.
struct Built {
    tally: build::Tally,
    rejected: u64,
    filter: Option<Field>,
    limits: Limits,
    unsettled: Windows,
}

impl Site {
    /// Builds partitions as their pages come; what is left, once all pages of a job are there.
    fn build(
        &self,
        jobs: &[Job],
        mut kept: KeptPages,
        mut ledger: Ledger,
        mut news: mpsc::Receiver<(usize, News)>,
    ) -> Result<(Vec<Built>, Option<PathBuf>)> {
        let mut builds = jobs
            .iter()
            .map(|job| {
                let at = (&*self.table, &*self.spool, &*self.at_hand, &self.zone);
                Build::new(job, at, self.settle, self.keep_pages)
            })
            .collect::<Result<Vec<_>>>()?;
        for (job, build) in jobs.iter().zip(&mut builds) {
            let kept = kept.remove(&(job.dataset, job.bot.clone()));
            for page in kept.into_iter().flatten() {
                build.page(page, &ledger);
            }
        }
        // those that no job of this run is about
        for page in kept.into_values().flatten() {
            self.at_hand.forget(page.header.sequence);
        }
        while let Some((number, News { page, progress })) = news.blocking_recv() {
            let build = &mut builds[number];
            if let Some(page) = page {
                self.table.establish()?;
                build.page(page, &ledger);
            }
            build.advance(progress, &mut ledger)?;
            if build.is_worth_building(news.is_empty()) {
                self.commit(&jobs[number], build, |build| build.build_ready(&mut ledger))?;
            }
        }
        let ended = Timestamp::now();
        for (job, build) in jobs.iter().zip(&mut builds) {
            self.commit(job, build, |build| build.close(&mut ledger, ended))?;
        }
        let changes = changes::write(&self.table, &mut ledger, self.command)?;
        let built = builds
            .into_iter()
            .map(|build| Built {
                unsettled: build.unsettled(&ledger),
                rejected: build.rejected(),
                filter: build.filter(),
                limits: build.limits(),
                tally: build.tally,
            })
            .collect();
        Ok((built, changes))
    }

    fn commit<'a>(
        &self,
        job: &Job,
        build: &mut Build<'a>,
        commit: impl FnOnce(&mut Build<'a>) -> Result<()>,
    ) -> Result<()> {
        let before = build.tally.changed.len();
        commit(build)?;
        self.progress
            .committed(job.dataset, &job.bot, (build.tally.changed.len() - before) as u64);
        Ok(())
    }
}

fn outcome(jobs: &[Job], fetched: Vec<(Result<()>, Instant)>, built: Vec<Built>, begin: Instant) -> Outcome {
    let mut summary = Summary::default();
    let mut failures = Vec::new();
    for ((job, (fetched, ended)), built) in jobs.iter().zip(fetched).zip(built) {
        let entry = summary.datasets.entry(job.dataset.name());
        let told = entry.or_insert_with(|| DatasetSummary {
            was_complete: true,
            ..DatasetSummary::default()
        });
        let again = built.tally.rejected_received - built.rejected;
        told.rows += built.tally.effect.rows;
        told.received += built.tally.received - built.tally.met.outside;
        told.duplicates += built.tally.effect.duplicates + again;
        told.superseded += built.tally.effect.superseded;
        told.moved += built.tally.moved;
        told.rejected += built.rejected;
        told.erased += built.tally.erased;
        told.outside += built.tally.met.outside;
        told.promoted_misfits += &built.tally.met.misfits;
        told.drift.add(built.tally.drift);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        told.requests += count(&job.tally.requests);
        told.retries += count(&job.tally.retries);
        told.rate_limited += count(&job.tally.rate_limited);
        told.bytes_received += count(&job.tally.bytes_received);
        told.elapsed_seconds = told.elapsed_seconds.max((ended - begin).as_secs_f64());
        told.was_complete &= job.missing.is_empty();
        report_limits(job, built.limits);
        told.limits = told.limits.and(built.limits);
        told.filtered_by = built.filter.and_then(|field| column_of(job.dataset, field));
        told.partitions.extend(built.tally.changed.into_values());
        if fetched.is_ok() {
            told.unsettled.extend(built.unsettled.iter().filter_map(|window| {
                Some((
                    Timestamp::from_second(window.start).ok()?,
                    Timestamp::from_second(window.end).ok()?,
                ))
            }));
        }
        if let Err(error) = fetched {
            summary.failed.push(Failed {
                dataset: job.dataset.name(),
                bot: job.bot.clone(),
                what: error.with_causes(),
                hint: error.hint(),
            });
            failures.push(Failure {
                dataset: job.dataset,
                bot: job.bot.clone(),
                error,
            });
        }
    }
    summary.elapsed_seconds = begin.elapsed().as_secs_f64();
    Outcome { summary, failures }
}

/// Logs what the server cannot do.
fn report_limits(job: &Job, limits: Limits) {
    let (dataset, bot) = (job.dataset, &job.bot);
    if let Some(records) = limits.listing_cap {
        tracing::warn!(
            "the server ends listings of {dataset} of {bot} after {records} records: windows are smaller"
        );
    }
    if let Some(seconds) = limits.longest_range {
        tracing::warn!(
            "the server refuses or shortens ranges of {dataset} of {bot} beyond {seconds} seconds: windows are shorter"
        );
    }
    if let Some(records) = limits.largest_page {
        tracing::warn!(
            "the server fails on larger pages of {dataset} of {bot}: {records} records are requested at a time"
        );
    }
}

/// The name of the column that a field becomes.
fn column_of(dataset: Dataset, field: Field) -> Option<&'static str> {
    let column = match field {
        Field::Time => dataset.time_column(),
        Field::LastAction => dataset.version_column()?,
    };
    Some(dataset.columns()[column].name)
}
