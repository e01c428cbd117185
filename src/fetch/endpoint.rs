//! An endpoint: requests its pages within the rate limit, and spools them if there is a spool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{AcquireError, Semaphore};

use super::Job;
use crate::api::{ApiRequest, HttpClient, RateLimiter, RequestError, RequestStats, Response, SendTicket};
use crate::blocking;
use crate::dataset::{self, Dataset, Peek};
use crate::error::{Error, Result};
use crate::plan::{MAX_IN_FLIGHT, PageRequest, Planner};
use crate::spool::{PageHeader, Spool};
use crate::table::Lock;
use crate::tombstones::Tombstones;

/// Requests in flight where no budget bounds them.
const UNLIMITED_IN_FLIGHT: usize = 8;

/// What all fetches of one endpoint share.
#[derive(Debug)]
pub struct Endpoint {
    client: Arc<HttpClient>,
    /// `None`: pages are handed over with their bodies.
    pub(super) spool: Option<Arc<Spool>>,
    rate_limiter: RateLimiter,
    in_flight: Semaphore,
    pub(super) most_in_flight: usize,
    /// Whether a page could not be spooled: answers to more requests would be lost.
    is_broken: AtomicBool,
    /// Conversations that were erased: their records are not spooled.
    erased: Option<Arc<Tombstones>>,
    /// The table stays locked as long as a page may still be spooled.
    _lock: Option<Arc<Lock>>,
}

/// A page that was answered, and is in the spool if there is one.
#[derive(Debug)]
pub struct FetchedPage {
    /// Where it belongs.
    pub header: PageHeader,
    /// Bytes of its body.
    pub bytes: u64,
    /// The body, if there is no spool.
    pub body: Option<Vec<u8>>,
    /// Its records, and where its chain continues.
    pub peek: Peek,
}

/// Why there is no page.
pub(super) enum PageFailure {
    /// The API gave none.
    Request(RequestError),
    /// It could not be spooled.
    Spool(Error),
    /// It was no longer of use.
    Unneeded,
}

impl Endpoint {
    /// An endpoint that gets at most so many requests per second and at a time. Pages go to `spool`, or, without one, to
    /// the receiver of the events.
    #[must_use]
    pub fn new(
        client: Arc<HttpClient>,
        spool: Option<Arc<Spool>>,
        requests_per_second: f64,
        concurrency: Option<usize>,
    ) -> Self {
        // without a budget only the number of chains bounds what is requested in vain
        let fitting = if requests_per_second > 0.0 {
            MAX_IN_FLIGHT
        } else {
            UNLIMITED_IN_FLIGHT
        };
        let most_in_flight = concurrency.unwrap_or(fitting);
        Self {
            client,
            spool,
            rate_limiter: RateLimiter::new(requests_per_second),
            in_flight: Semaphore::new(most_in_flight),
            most_in_flight,
            is_broken: AtomicBool::new(false),
            erased: None,
            _lock: None,
        }
    }

    /// The same, which keeps the table locked until its last page is spooled.
    #[must_use]
    pub fn locked(self, lock: Option<Arc<Lock>>) -> Self {
        Self { _lock: lock, ..self }
    }

    /// The same, which spools no record of what was erased.
    #[must_use]
    pub fn excluding(self, erased: Option<Arc<Tombstones>>) -> Self {
        Self { erased, ..self }
    }

    /// Requests a second that are allowed at the moment; infinite where there is no limit.
    #[must_use]
    pub fn allowed_per_second(&self) -> f64 {
        self.rate_limiter.per_second()
    }

    /// Whether a page could not be spooled.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Waits until a request may go, then lets the planner choose it.
    pub(super) async fn next(
        &self,
        job: &Job,
        planner: &mut Planner,
    ) -> Result<Option<(PageRequest, SendTicket)>> {
        let closed = |_: AcquireError| Error::Internal("the endpoint was closed".into());
        let slot = self.in_flight.acquire().await.map_err(closed)?;
        let permit = self.rate_limiter.permit().await.map_err(|source| Error::Fetch {
            dataset: job.dataset.name(),
            bot: job.bot.clone(),
            window: job.range.to_string(),
            source,
        })?;
        Ok(planner.next().map(|request| {
            slot.forget();
            (request, permit.spend())
        }))
    }

    /// Ends a request that [`Endpoint::next`] gave.
    pub(super) fn end_request(&self) {
        self.in_flight.add_permits(1);
    }

    /// Requests one page that is not spooled.
    ///
    /// # Errors
    /// Where the API does not give it.
    pub async fn preview(
        &self,
        dataset: Dataset,
        api_request: &ApiRequest,
        stats: &RequestStats,
    ) -> Result<(Response, Peek)> {
        let failed = |source| Error::Fetch {
            dataset: dataset.name(),
            bot: api_request.bot.clone(),
            window: api_request.window.to_string(),
            source,
        };
        let sent = self.rate_limiter.permit().await.map_err(failed)?.spend();
        self.request(dataset, api_request, true, sent, stats)
            .await
            .map_err(failed)
    }

    /// Requests a page, and checks it.
    pub(super) async fn request(
        &self,
        dataset: Dataset,
        api_request: &ApiRequest,
        retryable: bool,
        sent: SendTicket,
        stats: &RequestStats,
    ) -> Result<(Response, Peek), RequestError> {
        let read = move |body: &[u8]| dataset::peek(dataset, body).map_err(|error| error.to_string());
        self.client
            .page(api_request, retryable, &self.rate_limiter, sent, stats, read)
            .await
    }

    /// Spools a page without what was erased; it is durable when this returns. Without a spool, keeps its body.
    pub(super) async fn spool(
        self: &Arc<Self>,
        dataset: Dataset,
        mut header: PageHeader,
        response: Response,
        mut peek: Peek,
    ) -> Result<FetchedPage, PageFailure> {
        header.requested_at = response.requested_at;
        let Some(spool) = self.spool.clone() else {
            let bytes = response.body.len() as u64;
            let body = Some(response.body);
            return Ok(FetchedPage {
                header,
                bytes,
                body,
                peek,
            });
        };
        let endpoint = Arc::clone(self);
        let spooled = blocking::run("the spool", move || {
            let mut body = &response.body;
            let unreadable = |error| Error::Internal(format!("a page cannot be read twice: {error}"));
            let stripped = match &endpoint.erased {
                Some(erased) => {
                    dataset::strip(dataset, body, |id| erased.contains(id)).map_err(unreadable)?
                }
                None => None,
            };
            if let Some((rest, erased)) = &stripped {
                peek = dataset::peek(dataset, rest).map_err(unreadable)?;
                (header.erased, body) = (*erased, rest);
            }
            let header = spool.append(header, body)?;
            let bytes = body.len() as u64;
            Ok(FetchedPage {
                header,
                bytes,
                body: None,
                peek,
            })
        });
        spooled.await.map_err(|error| {
            self.is_broken.store(true, Ordering::Relaxed);
            PageFailure::Spool(error)
        })
    }
}
