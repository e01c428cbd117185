//! Estimates an export without fetching its data: from the existing table, or from a few sample requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::page_contents::PageContents;
use super::probe::{ProbeResult, probe};
use super::spooled_pages::{self, SpooledPages};
use super::{Failure, Options, endpoints, plan_jobs, reopen};
use crate::api::HttpClient;
use crate::blocking;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::fetch::{Endpoint, Job};
use crate::ledger::Ledger;
use crate::spool::Spool;
use crate::table::{Table, Zone};
use crate::window::{Window, Windows};

/// The table is sufficient for an estimate if it has this many seconds, or this part of what is missing.
const ENOUGH_SECONDS: i64 = 28 * 86_400;
const ENOUGH_PART: i64 = 4;
/// Extra requests per chain that is needed to hide the latency.
const BEYOND: f64 = 1.5;
/// Assumed latency without sample requests.
const USUAL_LATENCY: Duration = Duration::from_millis(500);
/// Number of manifest entries for the mean size of a row.
const ENTRIES: usize = 50;

/// The estimate of an export.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Forecast {
    /// One per dataset and bot.
    pub jobs: Vec<JobForecast>,
    /// Total time, with datasets in parallel; `None` without a rate limit.
    pub seconds: Option<f64>,
}

/// The estimate for a dataset of a bot. Records, and everything that depends on them, are estimates.
#[derive(Clone, Debug, Serialize)]
pub struct JobForecast {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot.
    pub bot: String,
    /// The requested range.
    pub range: Window,
    /// Its complete part.
    pub complete: Windows,
    /// The part to request.
    pub missing: Windows,
    /// Spooled pages of an interrupted run, which are not requested again.
    #[serde(rename = "kept_pages")]
    pub retained_pages: u64,
    /// The basis of the estimate.
    pub basis: Basis,
    /// Sample requests of the estimate.
    pub probes: u64,
    /// Records to receive.
    pub records: u64,
    /// Requests to send.
    pub requests: u64,
    /// Windows at a time.
    pub windows: u64,
    /// Partitions to write, one file each.
    pub files: u64,
    /// Total size of the files.
    pub bytes: u64,
}

/// The basis of an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Nothing is missing.
    Nothing,
    /// Partitions of the table.
    Table,
    /// Sample requests.
    Probes,
}

/// Estimates [`export`](super::export) with the same options. Writes nothing.
///
/// # Errors
/// If the options are invalid or the folder cannot be read. Datasets without a sample are among the failures.
pub async fn forecast(options: &Options) -> Result<(Forecast, Vec<Failure>)> {
    options.check()?;
    let reading = options.clone();
    let read = blocking::run("reading", move || {
        let table = Table::read_again(&reading.out, || read(&reading))?;
        let client = HttpClient::new(reading.connection).map_err(Error::Connection)?;
        Ok((table, Arc::new(client)))
    });
    let ((table, zone, spool, ledger, spooled_pages), client) = read.await?;
    if !spool.unreadable().is_empty() {
        tracing::warn!(
            "cannot read the pages of an interrupted run: permission denied; they are not counted"
        );
    }
    let spool = Arc::new(spool);
    let endpoints = endpoints(options, &client, &spool, None, None);

    let (mut forecast, mut failures) = (Forecast::default(), Vec::new());
    let mut seconds: BTreeMap<Dataset, f64> = BTreeMap::new();
    for job in plan_jobs(options, &ledger, &spooled_pages, &zone) {
        let spooled = spooled_pages.get(&(job.dataset, job.bot.clone()));
        let spooled = spooled.map_or(0, |pages| pages.iter().map(PageContents::records).sum());
        match forecast_job(&job, spooled, &table, &zone, &endpoints[&job.dataset], options).await {
            Ok((forecast_of_job, latency)) => {
                if options.requests_per_second > 0.0 && forecast_of_job.requests > 0 {
                    *seconds.entry(job.dataset).or_insert(latency) +=
                        forecast_of_job.requests as f64 / options.requests_per_second;
                }
                forecast.jobs.push(forecast_of_job);
            }
            Err(error) => failures.push(Failure {
                dataset: job.dataset,
                bot: job.bot,
                error,
            }),
        }
    }
    forecast.seconds = (options.requests_per_second > 0.0).then(|| seconds.into_values().fold(0.0, f64::max));
    Ok((forecast, failures))
}

/// Reads the current state of the table.
fn read(options: &Options) -> Result<(Table, Zone, Spool, Ledger, SpooledPages)> {
    let table = options.table_to_read()?;
    let (zone, own) = (table.zone()?, table.own_folder());
    let spool = Spool::open_to_read(&own.join("pages"))?;
    let mut ledger = Ledger::load(&own)?;
    reopen(options, &mut ledger, &spool);
    let (spooled_pages, _) = spooled_pages::read(&spool, &zone, false)?;
    Ok((table, zone, spool, ledger, spooled_pages))
}

async fn forecast_job(
    job: &Job,
    spooled: u64,
    table: &Table,
    zone: &Zone,
    endpoint: &Endpoint,
    options: &Options,
) -> Result<(JobForecast, f64)> {
    let mut complete: Windows = std::iter::once(job.range).collect();
    complete.subtract_all(&job.missing);
    let (known_seconds, known_rows) = known(job);
    let (basis, probed) = if job.missing.is_empty() {
        (Basis::Nothing, ProbeResult::default())
    } else if known_seconds >= ENOUGH_SECONDS || known_seconds * ENOUGH_PART >= job.missing.seconds() {
        let (table, dataset, bot) = (table.clone(), job.dataset, job.bot.clone());
        let row_bytes = blocking::run("reading", move || table.row_bytes(dataset, &bot, ENTRIES));
        let forecast_of_job = ProbeResult {
            records: known_rows as f64 / known_seconds as f64 * job.missing.seconds() as f64,
            row_bytes: row_bytes.await?,
            ..ProbeResult::default()
        };
        (Basis::Table, forecast_of_job)
    } else {
        (Basis::Probes, probe(job, endpoint, table.settings()).await?)
    };
    let left = (probed.records - spooled as f64).max(0.0);
    let latency = probed.latency.unwrap_or(USUAL_LATENCY).as_secs_f64();
    let pages = (left / f64::from(job.per_page)).ceil();
    let windows = ((options.requests_per_second * latency).ceil() + 1.0).min(pages);
    let beyond = if windows > 1.0 {
        (BEYOND * windows).floor()
    } else {
        0.0
    };
    // an empty range needs a request, too
    let least = u64::from(basis != Basis::Nothing);
    let forecast_of_job = JobForecast {
        dataset: job.dataset,
        bot: job.bot.clone(),
        range: job.range,
        complete,
        missing: job.missing.clone(),
        retained_pages: job.spooled.len() as u64,
        basis,
        probes: probed.requests,
        records: rounded(left),
        requests: rounded(pages + beyond).max(least),
        windows: rounded(windows).max(least),
        files: dates(&job.missing, zone).min(rounded(probed.records.ceil())),
        bytes: rounded(probed.records * probed.row_bytes),
    };
    Ok((forecast_of_job, latency))
}

/// Returns the seconds and rows of existing partitions.
fn known(job: &Job) -> (i64, u64) {
    let dates = job.density.iter();
    dates.fold((0, 0), |(seconds, rows), (date, known)| {
        (seconds + date.seconds(), rows + known)
    })
}

/// Returns the number of partitions that windows overlap.
fn dates(windows: &Windows, zone: &Zone) -> u64 {
    let mut dates = zone.dates();
    let mut date = |second: i64| dates.of(Some(second.saturating_mul(1_000_000)));
    let (mut count, mut before) = (0, None);
    for window in windows {
        let (first, last) = (date(window.start), date(window.end - 1));
        count += first.up_to(last) - u64::from(before == Some(first));
        before = Some(last);
    }
    count
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, never negative"
)]
fn rounded(estimate: f64) -> u64 {
    estimate.round() as u64
}
