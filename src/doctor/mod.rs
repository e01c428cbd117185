//! Finds out what the API's documentation leaves open, with about 25 requests per endpoint, and a few more if the
//! server refuses pages or ranges.
//!
//! Exports are correct without this knowledge. It saves them requests, and shows the user the properties of the API.

mod findings;
mod limits;
mod record_scan;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

pub use findings::{
    Bounds, Cursors, DoctorReport, InvalidCursor, ListingLimit, PageLimit, RangeLimit, Refusal,
};
use record_scan::{order, telling};

use crate::api::{
    ApiRequest, Connection, Failure, HttpClient, RateLimiter, RequestError, RequestStats, Response, read_body,
};
use crate::blocking;
use crate::dataset::{self, Dataset, Next, Peek};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::plan::{Field, Limits};
use crate::table::{Lock, OWN_FOLDER, Settings};
use crate::window::Window;

/// Documented maximum of records per page.
const MOST_PER_PAGE: u32 = 1000;
/// Distance in seconds of a window in the future.
const AHEAD: i64 = 86_400;
/// Requests at once beyond a small rate limit.
const BURST_BEYOND: usize = 3;
const LARGEST_BURST: usize = 40;
/// Minimum seconds between the two times of a record that shows which of them windows filter.
const APART: i64 = 3;

/// Options of the doctor.
#[derive(Clone, Debug)]
pub struct DoctorOptions {
    /// How to reach the API.
    pub connection: Connection,
    /// Requests per second on each endpoint; 0 means no limit.
    pub requests_per_second: f64,
    /// The bot.
    pub bot: String,
    /// The range of the records.
    pub range: Window,
}

/// Examines a dataset.
///
/// # Errors
/// If the API refuses the key or the bot, or returns no page.
pub async fn examine(options: &DoctorOptions, dataset: Dataset) -> Result<DoctorReport> {
    let connection = options.connection.clone();
    let client = blocking::run("the preparation", || {
        HttpClient::new(connection).map_err(Error::Connection)
    });
    let client = client.await?;
    let mut examination = Examination {
        client: &client,
        rate_limiter: RateLimiter::new(options.requests_per_second),
        options,
        dataset,
        range: options.range,
        limits: Limits::default(),
        stats: Arc::default(),
        latencies: Vec::new(),
    };
    examination.run().await
}

/// Stores the knowledge in the ledger of a table, so that exports begin with it.
///
/// # Errors
/// If the folder contains a table of another API, a run is active, or a file cannot be written.
pub fn remember(out: &std::path::Path, options: &DoctorOptions, reports: &[DoctorReport]) -> Result<()> {
    let own = out.join(OWN_FOLDER);
    let base_url = options.connection.base_url.as_str().trim_end_matches('/');
    if let Some(settings) = Settings::load(&own)?
        && settings.base_url != base_url
    {
        return Err(Error::OtherSettings {
            path: out.to_owned(),
            differences: vec![format!("base URL {}, not {base_url}", settings.base_url)],
        });
    }
    let _lock = Lock::acquire(out, &own)?;
    let mut ledger = Ledger::load_to_write(&own)?;
    for report in reports {
        let state = ledger.state_mut(report.dataset.name(), &options.bot);
        state.learn(report.knowledge(), Timestamp::now());
    }
    ledger.save(&own)
}

/// The state of an examination.
struct Examination<'a> {
    client: &'a HttpClient,
    rate_limiter: RateLimiter,
    options: &'a DoctorOptions,
    dataset: Dataset,
    /// The part of the given range that the server serves in one request.
    range: Window,
    /// Known limits of the server.
    limits: Limits,
    stats: Arc<RequestStats>,
    latencies: Vec<Duration>,
}

impl Examination<'_> {
    async fn run(&mut self) -> Result<DoctorReport> {
        let mut report = DoctorReport::new(self.dataset, self.range);
        let now = Timestamp::now();
        let (response, first) = self.first_page().await?;
        report.range = self.range;
        let server = response.server_time.unwrap_or(now);
        let ahead = server.duration_since(now).as_secs_f64();
        report.clock_ahead_seconds = ahead;
        report.records = first.records.len();
        record_scan::fields(self.dataset, &response.body, &mut report);

        let mut pages = vec![first];
        report.cursors = self.cursors(&mut pages).await?;
        self.bounds(&pages, &mut report).await?;
        report.order = order(&pages, report.bounds.filter);
        report.page_limit = self.page_limit(&pages).await;
        report.listing_limit = self.listing_limit(&mut pages, &report).await;
        report.range_limit = self.range_limit(&pages).await;
        report.limits = self.limits;
        let empty = self.future(ahead);
        let (_, page) = self.page(self.api_request(empty, None)).await?;
        report.future_records = page.records.len();
        report.dead_cursor = self.dead_cursor().await;
        report.refusal = self.burst(empty).await;

        self.latencies.sort_unstable();
        report.latency_seconds = self.latencies[self.latencies.len() / 2].as_secs_f64();
        report.in_flight = (self.options.requests_per_second * report.latency_seconds).ceil() + 1.0;
        report.requests = self.stats.requests.load(std::sync::atomic::Ordering::Relaxed);
        Ok(report)
    }

    fn api_request(&self, window: Window, cursor: Option<String>) -> ApiRequest {
        ApiRequest {
            endpoint: self.dataset.endpoint(),
            bot: self.options.bot.clone(),
            window,
            per_page: self.limits.largest_page.unwrap_or(MOST_PER_PAGE),
            cursor,
            conversation: None,
            may_shrink: false,
        }
    }

    /// Requests a page that is required.
    async fn page(&mut self, api_request: ApiRequest) -> Result<(Response, Peek)> {
        let page = self.try_page(&api_request).await;
        page.map_err(|source| self.not_fetched(api_request, source))
    }

    /// Requests a page with retries.
    async fn try_page(
        &mut self,
        api_request: &ApiRequest,
    ) -> std::result::Result<(Response, Peek), RequestError> {
        let begin = Instant::now();
        let dataset = self.dataset;
        let read = move |body: &[u8]| dataset::peek(dataset, body).map_err(|error| error.to_string());
        let sent = self.rate_limiter.permit().await?.spend();
        let page = self
            .client
            .page(api_request, true, &self.rate_limiter, sent, &self.stats, read)
            .await;
        self.latencies.push(begin.elapsed());
        page
    }

    fn not_fetched(&self, api_request: ApiRequest, source: RequestError) -> Error {
        Error::Fetch {
            dataset: self.dataset.name(),
            bot: api_request.bot,
            window: api_request.window.to_string(),
            source,
        }
    }

    /// Requests a page once.
    async fn attempt(&self, api_request: &ApiRequest) -> std::result::Result<Peek, Failure> {
        match self.rate_limiter.permit().await {
            Ok(permit) => _ = permit.spend(),
            Err(RequestError::MustWait { failure }) => return Err(failure),
            Err(error) => return Err(Failure::ConnectionLost(error.to_string())),
        }
        self.stats
            .requests
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let response = self.client.attempt(api_request, &self.stats).await?;
        let dataset = self.dataset;
        let read = move |body: &[u8]| dataset::peek(dataset, body).map_err(|error| error.to_string());
        let (_, page) = read_body(response, read).await;
        page.map_err(|why| self.client.bad_page(&why))
    }

    /// Requests the second page twice.
    async fn cursors(&mut self, pages: &mut Vec<Peek>) -> Result<Cursors> {
        let Next::Cursor(cursor) = pages[0].cursor.clone() else {
            return Ok(Cursors::NotNeeded);
        };
        let (_, second) = self
            .page(self.api_request(self.range, Some(cursor.clone())))
            .await?;
        let next = second.cursor.clone();
        pages.push(second);
        if next == Next::Cursor(cursor.clone()) {
            return Ok(Cursors::Stays);
        }
        let ids = |page: &Peek| page.records.iter().map(|record| record.id).collect::<Vec<_>>();
        Ok(
            match self.attempt(&self.api_request(self.range, Some(cursor))).await {
                Ok(again) => Cursors::Changes {
                    repeatable: ids(&again) == ids(&pages[1]),
                },
                Err(failure) if failure.may_be_expired_cursor() => Cursors::Once,
                Err(_) => Cursors::Changes { repeatable: false },
            },
        )
    }

    /// Finds which time a window filters, and whether it includes its bounds, with windows around a record.
    async fn bounds(&mut self, pages: &[Peek], report: &mut DoctorReport) -> Result<()> {
        let Some(record) = telling(pages) else {
            return Ok(());
        };
        let fields = [
            (Field::Time, record.time),
            (Field::LastAction, record.last_action),
        ];
        let fields: Vec<(Field, i64)> = fields
            .into_iter()
            .filter_map(|(field, micros)| Some((field, micros?.div_euclid(1_000_000))))
            .collect();
        let apart = match fields[..] {
            [(_, time), (_, last)] => time.abs_diff(last) >= APART.unsigned_abs(),
            _ => true,
        };
        // a window of one second that begins with the record's second, then one that begins before it
        'found: for before in [0, 1] {
            for (field, second) in &fields {
                let window = Window::new(second - before, second + 1);
                if self.holds(window, record.id).await? == Some(true) {
                    let exact = [record.time, record.last_action][*field as usize]
                        .is_some_and(|at| at % 1_000_000 == 0);
                    report.bounds.filter = apart.then_some(*field);
                    report.bounds.includes_start = exact.then_some(before == 0);
                    if exact && apart {
                        report.bounds.includes_end =
                            self.holds(Window::new(second - 1, *second), record.id).await?;
                    }
                    break 'found;
                }
            }
        }
        Ok(())
    }

    /// Whether a window contains a record; `None` if its first page does not show it.
    async fn holds(&mut self, window: Window, id: u64) -> Result<Option<bool>> {
        let (_, page) = self.page(self.api_request(window, None)).await?;
        let found = page.records.iter().any(|record| record.id == id);
        let whole = !matches!(page.cursor, Next::Cursor(_));
        Ok((found || whole).then_some(found))
    }

    async fn page_limit(&self, pages: &[Peek]) -> PageLimit {
        let api_request = ApiRequest {
            per_page: MOST_PER_PAGE + 1,
            ..self.api_request(self.range, None)
        };
        match self.attempt(&api_request).await {
            Err(Failure::Status { status, excerpt, .. }) => PageLimit::Refused {
                status,
                shown: excerpt,
            },
            Err(failure) => PageLimit::Unclear {
                why: failure.to_string(),
            },
            Ok(page) if matches!(pages[0].cursor, Next::Cursor(_)) => PageLimit::Gives {
                records: page.records.len(),
            },
            Ok(_) => PageLimit::Unclear {
                why: "the range has at most one page".into(),
            },
        }
    }

    /// Returns a window in the future of the server's clock.
    fn future(&self, ahead: f64) -> Window {
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds are enough")]
        let now = Timestamp::now().as_second() + ahead as i64;
        Window::new(now + AHEAD, now + 2 * AHEAD)
    }

    async fn dead_cursor(&self) -> InvalidCursor {
        let api_request = self.api_request(self.range, Some("not-a-cursor".into()));
        match self.attempt(&api_request).await {
            Ok(page) => InvalidCursor::Answered {
                records: page.records.len(),
            },
            Err(Failure::Status { status, excerpt, .. }) => InvalidCursor::Refused {
                status,
                shown: excerpt,
            },
            Err(failure) => InvalidCursor::Unclear {
                why: failure.to_string(),
            },
        }
    }

    /// Sends more requests at once than the limit allows, for an almost empty window.
    async fn burst(&self, window: Window) -> Option<Refusal> {
        let rate = self.options.requests_per_second;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number, never negative"
        )]
        let many = rate.ceil() as usize + BURST_BEYOND;
        if rate <= 0.0 || many > LARGEST_BURST {
            return None;
        }
        // earlier requests must not count
        sleep(Duration::from_secs(1)).await;
        let api_request = ApiRequest {
            per_page: 1,
            ..self.api_request(window, None)
        };
        let answers = join_all((0..many).map(|_| {
            self.stats
                .requests
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.client.attempt(&api_request, &self.stats)
        }))
        .await;
        let refused: Vec<&Failure> = answers
            .iter()
            .filter_map(|response| response.as_ref().err())
            .filter(|failure| failure.is_rate_limited())
            .collect();
        let retry_after = refused.first().and_then(|failure| failure.retry_after());
        let wait = retry_after
            .unwrap_or(Duration::from_secs(1))
            .min(Duration::from_secs(10));
        sleep(wait).await;
        Some(Refusal {
            asked: many,
            refused: refused.len(),
            retry_after_seconds: retry_after.map(|wait| wait.as_secs_f64()),
        })
    }
}
