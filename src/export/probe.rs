//! Estimates the records of a range from a few small windows.

use std::time::Duration;

use tokio::time::Instant;

use crate::api::ApiRequest;
use crate::blocking;
use crate::dataset::{Next, Peek, PeekedRecord, decode_as};
use crate::error::{Error, Result};
use crate::fetch::{Endpoint, Job};
use crate::table::{PartitionDate, PartitionKey, Settings, file_size};
use crate::window::{Window, Windows};

/// Number of equal parts of the range, with one window each.
const PARTS: i64 = 6;
/// Maximum seconds of the first window.
const FIRST: i64 = 6 * 3600;
/// Later windows are planned for this part of a page.
const PORTION: f64 = 0.6;
/// A window with too many records is requested again, shorter by this factor, at most so many times in total.
const SHORTER: i64 = 16;
const AGAIN: u64 = 3;
/// The golden ratio, for windows at different hours of the day.
const GOLDEN: f64 = 0.618_034;

/// The result of sample requests.
#[derive(Debug, Default)]
pub(super) struct ProbeResult {
    pub(super) records: f64,
    /// Mean size of a row in a file; 0 without records.
    pub(super) row_bytes: f64,
    /// The median latency.
    pub(super) latency: Option<Duration>,
    pub(super) requests: u64,
}

/// Requests a small window in each part of the missing range.
pub(super) async fn probe(job: &Job, endpoint: &Endpoint, settings: &Settings) -> Result<ProbeResult> {
    let mut latencies = Vec::new();
    let (mut probed, mut again) = (ProbeResult::default(), 0);
    let mut all = SampleCount::default();
    let part = (job.missing.seconds() / PARTS).max(1);
    let parts = job.missing.seconds().min(PARTS);
    for number in 0..parts {
        let mut length = all.seconds_of(PORTION * f64::from(job.per_page)).unwrap_or(FIRST);
        let counted = loop {
            length = length.clamp(1, part);
            let place = (GOLDEN * (number + 1) as f64).fract() * (part - length) as f64;
            let window = within(&job.missing, number * part + rounded(place), length);
            let begin = Instant::now();
            let (body, page) = request_sample(job, endpoint, window).await?;
            latencies.push(begin.elapsed());
            if !page.records.is_empty() {
                probed.row_bytes = row_bytes(job, settings, body).await?;
            }
            match counted(&page, window) {
                Some(counted) => break counted,
                None if again < AGAIN && length > 1 => {
                    again += 1;
                    length = window.seconds() / SHORTER;
                }
                // a lower bound
                None => break SampleCount::new(window.seconds(), &page),
            }
        };
        all.seconds += counted.seconds;
        all.records += counted.records;
        probed.records += counted.records / counted.seconds * job.missing.seconds() as f64 / parts as f64;
    }
    probed.requests = latencies.len() as u64;
    latencies.sort_unstable();
    probed.latency = latencies.get(latencies.len() / 2).copied();
    Ok(probed)
}

/// The number of records in a number of seconds.
#[derive(Clone, Copy, Default)]
struct SampleCount {
    seconds: f64,
    records: f64,
}

impl SampleCount {
    fn new(seconds: i64, page: &Peek) -> Self {
        Self {
            seconds: seconds.max(1) as f64,
            records: page.records.len() as f64,
        }
    }

    /// Returns the seconds with so many records.
    fn seconds_of(&self, records: f64) -> Option<i64> {
        (self.records > 0.0).then(|| rounded(records * self.seconds / self.records))
    }
}

/// Returns the count of a page; `None` if the page lists no part of its window completely.
fn counted(page: &Peek, window: Window) -> Option<SampleCount> {
    if !matches!(page.cursor, Next::Cursor(_)) {
        return Some(SampleCount::new(window.seconds(), page));
    }
    let second = |record: &PeekedRecord| record.time.map(|time| time.div_euclid(1_000_000));
    let times: Option<Vec<i64>> = page.records.iter().map(second).collect();
    let times = times.filter(|times| times.iter().all(|time| window.contains(*time)))?;
    let (first, last) = (*times.first()?, *times.last()?);
    let seconds = if times.is_sorted() {
        last - window.start
    } else if times.is_sorted_by(|a, b| a >= b) {
        window.end - last
    } else {
        return None;
    };
    (first != last).then(|| SampleCount::new(seconds, page))
}

/// Returns the window at `offset` seconds into a set, cut at the end of a gap-free part.
fn within(windows: &Windows, mut offset: i64, length: i64) -> Window {
    for window in windows {
        if offset < window.seconds() {
            let start = window.start + offset;
            return Window::new(start, (start + length).min(window.end));
        }
        offset -= window.seconds();
    }
    windows.hull().unwrap_or(Window::new(0, 0))
}

async fn request_sample(job: &Job, endpoint: &Endpoint, window: Window) -> Result<(Vec<u8>, Peek)> {
    let api_request = ApiRequest {
        endpoint: job.dataset.endpoint(),
        bot: job.bot.clone(),
        window,
        per_page: job.per_page,
        cursor: None,
        conversation: None,
        may_shrink: false,
    };
    let (response, page) = endpoint.preview(job.dataset, &api_request, &job.stats).await?;
    Ok((response.body, page))
}

async fn row_bytes(job: &Job, settings: &Settings, body: Vec<u8>) -> Result<f64> {
    let settings = settings.clone();
    let key = PartitionKey {
        dataset: job.dataset,
        bot: job.bot.clone(),
        date: PartitionDate::timeless(settings.partition_by),
    };
    let sizes = move || {
        let decoded = decode_as(key.dataset, &settings.table_options, None, &body)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let rows = decoded.batch.num_rows();
        let (bytes, empty) = (
            file_size(&key, &settings, &decoded.batch)?,
            file_size(&key, &settings, &decoded.batch.slice(0, 0))?,
        );
        Ok(if rows > 0 {
            (bytes - empty) as f64 / rows as f64
        } else {
            0.0
        })
    };
    blocking::run("the estimate", sizes).await
}

#[expect(clippy::cast_possible_truncation, reason = "an estimate")]
fn rounded(estimate: f64) -> i64 {
    estimate.round() as i64
}
