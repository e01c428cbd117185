//! Requests one page of the Export API, with retries and within the rate limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, LOCATION};
use tokio::time::{Instant, timeout};
use url::Url;

use super::body_memory::{BodyMemory, BodyReservation};
use super::response_meta::{ServerClock, message, retry_after, shortened};
use super::{
    ApiRequest, Attempt, Connection, Decision, Failure, RateLimiter, RequestError, RequestStats, SendTicket,
    decide, transport,
};

/// Maximum bytes that are read of an error response.
const ERROR_BYTES: u64 = 64 * 1024;
/// Maximum bytes that are allocated because of `Content-Length`.
const HINTED_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes that must arrive within the read timeout, unless the body ends. A server that sends less is as good as
/// silent, and a body without an end would be read forever.
const PROGRESS: usize = 16 * 1024;
/// A larger page is requested with fewer records, if possible, since a page is in memory completely.
const LARGE_PAGE_BYTES: u64 = 32 * 1024 * 1024;
/// Failed attempts in a row after which a page may be too large.
const LARGE_PAGE_ATTEMPTS: u32 = 3;

/// One page as received.
#[derive(Debug)]
pub struct Response {
    /// The body, decompressed. It counts towards the memory limit until the response is dropped.
    pub body: Vec<u8>,
    /// Time of the request: by the server's clock or by this machine's, whichever is behind. A clock that is ahead
    /// could make recent time look settled.
    pub requested_at: Timestamp,
    /// Time of the request by the server's clock; `None` if the response has no date.
    pub server_time: Option<Timestamp>,
    _reservation: BodyReservation,
}

/// An HTTP client for one API and one key. Connections are reused.
#[derive(Debug)]
pub struct HttpClient {
    http: reqwest::Client,
    connection: Connection,
    proxy: Option<String>,
    memory: Arc<BodyMemory>,
    clock: ServerClock,
    answered: AtomicBool,
}

impl HttpClient {
    /// Prepares connections, which reads the system's certificates. Sends nothing.
    ///
    /// # Errors
    /// If the TLS or proxy settings of the system cannot be used.
    pub fn new(connection: Connection) -> Result<Self, Failure> {
        let http = connection.open()?;
        Ok(Self {
            http,
            memory: BodyMemory::new(connection.max_buffered_bytes),
            proxy: connection.proxy(),
            clock: ServerClock::new(),
            connection,
            answered: AtomicBool::new(false),
        })
    }

    /// Requests a page until there is one that `read` accepts. The permit of the first attempt is already spent for
    /// `sent`; later attempts take theirs from `rate_limiter`. A refusal pauses all requests of the limiter. If
    /// `repeatable` is false, a request that may have been answered is not repeated. `read` runs on a blocking
    /// thread.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn page<T: Send + 'static>(
        &self,
        api_request: &ApiRequest,
        repeatable: bool,
        rate_limiter: &RateLimiter,
        mut sent: SendTicket,
        stats: &RequestStats,
        read: impl Fn(&[u8]) -> Result<T, String> + Clone + Send + 'static,
    ) -> Result<(Response, T), RequestError> {
        let begin = Instant::now();
        let (mut number, mut large_page_failures) = (1, 0);
        loop {
            stats.requests.fetch_add(1, Ordering::Relaxed);
            let (failure, cut_off) = match self.attempt(api_request, stats).await {
                Ok(response) => match read_body(response, read.clone()).await {
                    (response, Ok(page)) => {
                        self.answered.store(true, Ordering::Relaxed);
                        return Ok((response, page));
                    }
                    (response, Err(why)) => (self.bad_page(&why), is_cut_off(&response.body)),
                },
                Err(failure) => (failure, false),
            };
            if cut_off || failure.may_be_page_too_large() {
                large_page_failures += 1;
            } else if !failure.is_rate_limited() {
                large_page_failures = 0;
            }
            if api_request.may_shrink
                && (failure.is_page_too_large() || large_page_failures >= LARGE_PAGE_ATTEMPTS)
            {
                return Err(RequestError::PageTooLarge { failure });
            }
            let limit = self.connection.retry_policy.limit;
            let beyond = failure
                .retry_after()
                .filter(|wait| *wait > limit && failure.is_transient());
            if let Some(wait) = beyond {
                rate_limiter.suspend(wait, failure.clone());
            }
            if failure.is_rate_limited() {
                stats.rate_limited.fetch_add(1, Ordering::Relaxed);
                rate_limiter.refused(&sent, failure.retry_after());
            } else if api_request.cursor.is_some() && failure.may_be_expired_cursor() {
                return Err(RequestError::CursorExpired { failure });
            } else if !repeatable && failure.is_transient() {
                return Err(RequestError::ResponseLost { failure });
            }
            if beyond.is_some() {
                return Err(RequestError::MustWait { failure });
            }
            let attempt = Attempt {
                number,
                elapsed: begin.elapsed(),
                server_known: self.answered.load(Ordering::Relaxed),
            };
            match decide(&failure, attempt, self.connection.retry_policy, rand::random()) {
                Decision::Wait(wait) => {
                    tracing::info!(window = %api_request.window, attempt = number, ?wait, "{failure}; retrying");
                    stats.on_retry.notify(&failure, wait);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        error = rate_limiter.suspended() => return Err(error),
                    }
                }
                // some servers fail on a cursor that they do not know any more: restart the window
                Decision::GiveUp if api_request.cursor.is_some() && failure.is_server_error() => {
                    return Err(RequestError::CursorExpired { failure });
                }
                Decision::GiveUp => {
                    return Err(RequestError::GaveUp {
                        failure,
                        attempts: number,
                    });
                }
                // some servers report it with a status of success
                Decision::Fail if api_request.cursor.is_some() && matches!(failure, Failure::BadPage(_)) => {
                    return Err(RequestError::CursorExpired { failure });
                }
                Decision::Fail => return Err(RequestError::Failed { failure }),
            }
            // other requests may be refused meanwhile, and each refusal pauses all requests
            let left = limit.saturating_sub(begin.elapsed());
            let Ok(permit) = timeout(left, rate_limiter.permit()).await else {
                return Err(RequestError::GaveUp {
                    failure,
                    attempts: number,
                });
            };
            sent = permit?.spend();
            number += 1;
            stats.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests a page once. Does not check its contents.
    ///
    /// # Errors
    /// The failure of the attempt.
    pub async fn attempt(&self, api_request: &ApiRequest, stats: &RequestStats) -> Result<Response, Failure> {
        let (requested, asked_here) = (Instant::now(), Timestamp::now());
        let request = self
            .http
            .get(self.url(api_request))
            .header("x-api-key", self.connection.key.header())
            .header(ACCEPT, "application/json");
        let response = self
            .with_timeout(self.connection.read_timeout, request.send())
            .await?;
        let shown = self.clock.read(response.headers());
        // the date is that of the response
        let since = SignedDuration::try_from(requested.elapsed()).unwrap_or_default();
        let server_time = shown.map(|shown| shown.checked_sub(since).unwrap_or(shown));
        let requested_at = server_time.map_or(asked_here, |server| server.min(asked_here));
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(failure) = self.redirect(&response) {
            return Err(failure);
        }
        let reservation = self.memory.body();
        let most = self.connection.max_page_bytes;
        let most = if api_request.may_shrink {
            most.min(LARGE_PAGE_BYTES)
        } else {
            most
        };
        let body = self.body(response, &reservation, most).await?;
        let bytes = body.len() as u64;
        stats.bytes_received.fetch_add(bytes, Ordering::Relaxed);
        tracing::debug!(
            endpoint = api_request.endpoint,
            window = %api_request.window,
            goes_on = api_request.cursor.is_some(),
            status = status.as_u16(),
            bytes,
            elapsed = ?requested.elapsed(),
            "answered"
        );
        if !status.is_success() {
            return Err(Failure::Status {
                status: status.as_u16(),
                retry_after: retry_after(&headers, shown.unwrap_or_else(Timestamp::now)),
                excerpt: shortened(&self.connection.key.hidden_in(&message(&body))),
            });
        }
        if let Some(why) = no_page(status.as_u16()) {
            return Err(Failure::BadPage(why));
        }
        Ok(Response {
            body,
            requested_at,
            server_time,
            _reservation: reservation,
        })
    }

    /// Returns the failure if a response is a redirect that was not followed.
    fn redirect(&self, response: &reqwest::Response) -> Option<Failure> {
        let code = response.status().as_u16();
        let to = response.headers().get(LOCATION)?.to_str().ok()?;
        let same_origin = response.url().join(to).map(|to| to.origin()) == Ok(response.url().origin());
        let to = shortened(&self.connection.key.hidden_in(to));
        match code {
            300..=399 if !same_origin => Some(Failure::Redirect { to }),
            301 | 302 | 303 | 307 | 308 => Some(Failure::RedirectLoop { to }),
            _ => None,
        }
    }

    /// Creates the failure of a response that cannot be read as a page. The key is hidden before the text is
    /// shortened: a part of the key would not be found.
    pub fn bad_page(&self, why: &str) -> Failure {
        Failure::BadPage(shortened(&self.connection.key.hidden_in(why)))
    }

    /// Reads the body of a page, or the beginning of the body of an error.
    async fn body(
        &self,
        mut response: reqwest::Response,
        reservation: &BodyReservation,
        limit: u64,
    ) -> Result<Vec<u8>, Failure> {
        let success = response.status().is_success();
        let cap = if success { limit } else { limit.min(ERROR_BYTES) };
        // `Content-Length` is only a hint
        let length = response.content_length().unwrap_or_default().min(HINTED_BYTES);
        let mut body = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        // bytes and waiting time since the last progress
        let (mut came, mut waited) = (0, Duration::ZERO);
        loop {
            reservation.wait_for_room().await;
            let begin = Instant::now();
            let time_limit = self.connection.read_timeout.saturating_sub(waited);
            match self.with_timeout(time_limit, response.chunk()).await {
                Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 <= cap => {
                    reservation.grow(chunk.len());
                    body.extend_from_slice(&chunk);
                    (came, waited) = (came + chunk.len(), waited + begin.elapsed());
                    if came >= PROGRESS {
                        (came, waited) = (0, Duration::ZERO);
                    }
                }
                Ok(Some(_)) if success => return Err(Failure::TooLarge { limit }),
                // the beginning is enough for an error
                Err(failure) if success => return Err(failure),
                _ => return Ok(body),
            }
        }
    }

    /// Waits for the server up to a time limit.
    async fn with_timeout<T>(
        &self,
        time_limit: Duration,
        response: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout(time_limit, response).await {
            Ok(result) => result.map_err(|error| transport::failure(&error, self.proxy.as_deref())),
            Err(_) => Err(Failure::Timeout),
        }
    }

    fn url(&self, api_request: &ApiRequest) -> Url {
        let mut url = self.connection.base_url.clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), api_request.endpoint);
        url.set_path(&path);
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("start_time", &api_request.window.start.to_string())
                .append_pair("end_time", &api_request.window.end.to_string())
                .append_pair("bot_name", &api_request.bot)
                .append_pair("per_page", &api_request.per_page.to_string());
            if let Some(conversation) = &api_request.conversation {
                query.append_pair("conversation_id", conversation);
            }
            if let Some(cursor) = &api_request.cursor {
                query.append_pair("cursor", cursor);
            }
        }
        url
    }
}

/// Reads the body of a response on a blocking thread, since a large page would block a network thread too long.
pub(crate) async fn read_body<T: Send + 'static>(
    response: Response,
    read: impl Fn(&[u8]) -> Result<T, String> + Send + 'static,
) -> (Response, Result<T, String>) {
    let reading = tokio::task::spawn_blocking(move || {
        let page = read(&response.body);
        (response, page)
    });
    match reading.await {
        Ok(read) => read,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // the runtime has ended, so this task ends, too
            Err(_) => std::future::pending().await,
        },
    }
}

/// Returns why a response with a status of success is not a page. Only 200 is a complete response of the API itself.
/// 202 means that the result is not ready, 203 that a proxy changed it, 206 that it is partial. 204 and 205 have no
/// body, which does not prove that the window has no records. None of them ends a listing.
fn no_page(status: u16) -> Option<String> {
    let what = match status {
        200 => return None,
        202 => "the server has not completed the response",
        203 => "a proxy changed the response",
        204 | 205 => "it has no body, which does not prove that there are no records",
        206 => "it is a part of a response",
        _ => "only status 200 is a page",
    };
    Some(format!("status {status}: {what}"))
}

/// Whether a body begins like a page and has no end. A proxy with a size or time limit can end such a body without an
/// error.
fn is_cut_off(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"{") && !body.ends_with(b"}")
}

#[cfg(test)]
mod tests;
