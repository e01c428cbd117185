//! What an export would do, told without fetching its data: from what the table holds or, where that says too
//! little, from a few sample requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::backlog::{self, Backlog};
use super::page_contents::PageContents;
use super::probe::{Probed, probe};
use super::{Failure, Options, endpoints, plan, reopen};
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
    pub kept_pages: u64,
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
    let ((table, zone, spool, ledger, backlog), client) = read.await?;
    if !spool.unreadable().is_empty() {
        tracing::warn!(
            "cannot read the pages of an interrupted run: permission denied; they are not counted"
        );
    }
    let spool = Arc::new(spool);
    let endpoints = endpoints(options, &client, &spool, None, None);

    let (mut forecast, mut failures) = (Forecast::default(), Vec::new());
    let mut seconds: BTreeMap<Dataset, f64> = BTreeMap::new();
    for job in plan(options, &ledger, &backlog, &zone) {
        let spooled = backlog.get(&(job.dataset, job.bot.clone()));
        let spooled = spooled.map_or(0, |pages| pages.iter().map(PageContents::records).sum());
        match foresee(&job, spooled, &table, &zone, &endpoints[&job.dataset], options).await {
            Ok((told, latency)) => {
                if options.requests_per_second > 0.0 && told.requests > 0 {
                    *seconds.entry(job.dataset).or_insert(latency) +=
                        told.requests as f64 / options.requests_per_second;
                }
                forecast.jobs.push(told);
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
fn read(options: &Options) -> Result<(Table, Zone, Spool, Ledger, Backlog)> {
    let table = options.table_to_read()?;
    let (zone, own) = (table.zone()?, table.own_folder());
    let spool = Spool::open_to_read(&own.join("pages"))?;
    let mut ledger = Ledger::load(&Ledger::path(&own))?;
    reopen(options, &mut ledger, &spool);
    let (backlog, _) = backlog::read(&spool, &zone, false)?;
    Ok((table, zone, spool, ledger, backlog))
}

async fn foresee(
    job: &Job,
    spooled: u64,
    table: &Table,
    zone: &Zone,
    endpoint: &Endpoint,
    options: &Options,
) -> Result<(JobForecast, f64)> {
    let mut complete: Windows = std::iter::once(job.range).collect();
    complete.subtract_all(&job.missing);
    let (held_seconds, held_rows) = held(job);
    let (basis, probed) = if job.missing.is_empty() {
        (Basis::Nothing, Probed::default())
    } else if held_seconds >= ENOUGH_SECONDS || held_seconds * ENOUGH_PART >= job.missing.seconds() {
        let (table, dataset, bot) = (table.clone(), job.dataset, job.bot.clone());
        let row_bytes = blocking::run("reading", move || table.row_bytes(dataset, &bot, ENTRIES));
        let told = Probed {
            records: held_rows as f64 / held_seconds as f64 * job.missing.seconds() as f64,
            row_bytes: row_bytes.await?,
            ..Probed::default()
        };
        (Basis::Table, told)
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
    let told = JobForecast {
        dataset: job.dataset,
        bot: job.bot.clone(),
        range: job.range,
        complete,
        missing: job.missing.clone(),
        kept_pages: job.spooled.len() as u64,
        basis,
        probes: probed.requests,
        records: whole(left),
        requests: whole(pages + beyond).max(least),
        windows: whole(windows).max(least),
        files: periods(&job.missing, zone).min(whole(probed.records.ceil())),
        bytes: whole(probed.records * probed.row_bytes),
    };
    Ok((told, latency))
}

/// Seconds and rows of the partitions that the table holds.
fn held(job: &Job) -> (i64, u64) {
    let periods = job.density.iter();
    periods.fold((0, 0), |(seconds, rows), (period, held)| {
        (seconds + period.seconds(), rows + held)
    })
}

/// How many partitions windows touch.
fn periods(windows: &Windows, zone: &Zone) -> u64 {
    let mut periods = zone.periods();
    let mut period = |second: i64| periods.of(Some(second.saturating_mul(1_000_000)));
    let (mut count, mut before) = (0, None);
    for window in windows {
        let (first, last) = (period(window.start), period(window.end - 1));
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
fn whole(estimate: f64) -> u64 {
    estimate.round() as u64
}
