//! What an export would do, without fetching its data: from what the table holds or, where that says too
//! little, from a few sample requests.

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

/// What the table holds says enough of the rest where it spans so many seconds, or this part of what is missing.
const ENOUGH_SECONDS: i64 = 28 * 86_400;
const ENOUGH_PART: i64 = 4;
/// Chains that it takes to hide the latency cost about so many requests each beyond the fewest possible.
const BEYOND: f64 = 1.5;
/// Thought of the latency where nothing was asked.
const USUAL_LATENCY: Duration = Duration::from_millis(500);
/// Manifest entries that are looked at for the size of a row.
const ENTRIES: usize = 50;

/// What an export would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Forecast {
    /// For each dataset of each bot.
    pub jobs: Vec<JobForecast>,
    /// How long all of it would take, datasets side by side; none where there is no limit to reckon with.
    pub seconds: Option<f64>,
}

/// What an export would do for a dataset of a bot. Records and all that follows from them are estimates.
#[derive(Clone, Debug, Serialize)]
pub struct JobForecast {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot.
    pub bot: String,
    /// What was asked for.
    pub range: Window,
    /// What of it is complete already.
    pub complete: Windows,
    /// What of it would be asked for.
    pub missing: Windows,
    /// Pages that an interrupted run kept, which are not asked for again.
    #[serde(rename = "kept_pages")]
    pub retained_pages: u64,
    /// What the estimates rest on.
    pub basis: Basis,
    /// Requests that were made to tell this.
    pub probes: u64,
    /// Records still to come.
    pub records: u64,
    /// Requests that they take.
    pub requests: u64,
    /// Windows that would be open at a time.
    pub windows: u64,
    /// Partitions, each a file, that would be written.
    pub files: u64,
    /// Their size together.
    pub bytes: u64,
}

/// What an estimate rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Nothing is missing.
    Nothing,
    /// Days that the table holds already.
    Table,
    /// Probing requests.
    Probes,
}

/// Tells what [`export`](super::export) would do with the same options. Nothing is written.
///
/// # Errors
/// Where the options make no sense or the folder cannot be read. A dataset that could not be probed is among the
/// failures.
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

/// What the table holds, as it is.
fn read(options: &Options) -> Result<(Table, Zone, Spool, Ledger, SpooledPages)> {
    let table = options.table_to_read()?;
    let (zone, own) = (table.zone()?, table.own_folder());
    let spool = Spool::open_to_read(&own.join("pages"))?;
    let mut ledger = Ledger::load(&Ledger::path(&own))?;
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
    // even an empty range is asked for once
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

/// Seconds and rows of the partitions that the table holds.
fn known(job: &Job) -> (i64, u64) {
    let dates = job.density.iter();
    dates.fold((0, 0), |(seconds, rows), (date, known)| {
        (seconds + date.seconds(), rows + known)
    })
}

/// How many partitions windows touch.
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
