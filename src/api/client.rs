//! Asks the Export API for one page, as often as it takes and as the budget allows.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, LOCATION};
use tokio::time::{Instant, timeout};
use url::Url;

use super::body_memory::{BodyMemory, BodyReservation};
use super::response_meta::{ServerClock, message, retry_after, shortened};
use super::{
    ApiRequest, Attempt, Budget, Connection, Decision, Failure, RequestError, Sent, decide, transport,
};

/// Bytes read of an answer that is an error.
const ERROR_BYTES: u64 = 64 * 1024;
/// Bytes that room is made for at most, on a server's word that so many will come.
const HINTED_BYTES: u64 = 8 * 1024 * 1024;
/// So many bytes of a page must come within the silence that is borne, or its end: a server that drips is as
/// good as silent, and a body without an end would be read for ever.
const PROGRESS: usize = 16 * 1024;
/// A page with more bytes is requested with fewer records, where it can be: it is in memory as a whole.
const HEAVY_BYTES: u64 = 32 * 1024 * 1024;
/// Attempts in a row that a page too large may explain, before the caller makes it smaller.
const HEAVY_ATTEMPTS: u32 = 3;

/// One page as it came.
#[derive(Debug)]
pub struct Answer {
    /// The body, decompressed. It counts among the bytes held at a time until the answer is dropped.
    pub body: Vec<u8>,
    /// When the page was requested: by the server's clock or by this machine's, whichever shows the earlier time. A clock
    /// that runs ahead can't make young time seem old, whichever of the two it is.
    pub asked_at: Timestamp,
    /// When the page was requested by the server's clock alone; `None` where the answer has no date.
    pub server_time: Option<Timestamp>,
    _held: BodyReservation,
}

/// What asking has cost so far.
#[derive(Debug, Default)]
pub struct RequestStats {
    /// Requests sent, retries included.
    pub requests: AtomicU64,
    /// Requests that repeated a failed one.
    pub retries: AtomicU64,
    /// Requests that the server refused with 429.
    pub rate_limited: AtomicU64,
    /// Bytes of bodies, after decompression.
    pub bytes_received: AtomicU64,
    /// Hears of every request that is made again, why, and how long that takes.
    pub waits: Listener,
}

/// Somebody who may want to hear of failures that are waited out.
#[derive(Default)]
pub struct Listener(OnceLock<Heard>);

type Heard = Box<dyn Fn(&Failure, Duration) + Send + Sync>;

impl Listener {
    /// Has `heard` called from now on; the first one stays.
    pub fn set(&self, heard: impl Fn(&Failure, Duration) + Send + Sync + 'static) {
        self.0.get_or_init(|| Box::new(heard));
    }

    fn tell(&self, failure: &Failure, wait: Duration) {
        if let Some(heard) = self.0.get() {
            heard(failure, wait);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// Talks to one API with one key; connections are kept and reused.
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
    /// Prepares connections, for which it reads the system's certificates; nothing is sent yet.
    ///
    /// # Errors
    /// Where the system's TLS or proxy settings cannot be used.
    pub fn new(connection: Connection) -> Result<Self, Failure> {
        let http = connection.open()?;
        Ok(Self {
            http,
            memory: BodyMemory::new(connection.max_held_bytes),
            proxy: connection.proxy(),
            clock: ServerClock::new(),
            connection,
            answered: AtomicBool::new(false),
        })
    }

    /// Asks until there is a page that `read` accepts. The first attempt's permit was spent for `sent`, later
    /// ones take theirs from `budget`; a refusal pauses all that share it. Where `repeatable` is false nothing is asked twice.
    /// `read` runs on a blocking thread.
    ///
    /// # Errors
    /// See [`RequestError`]: by what the caller can do.
    pub async fn page<T: Send + 'static>(
        &self,
        ask: &ApiRequest,
        repeatable: bool,
        budget: &Budget,
        mut sent: Sent,
        stats: &RequestStats,
        read: impl Fn(&[u8]) -> Result<T, String> + Clone + Send + 'static,
    ) -> Result<(Answer, T), RequestError> {
        let begin = Instant::now();
        let (mut number, mut heavy) = (1, 0);
        loop {
            stats.requests.fetch_add(1, Ordering::Relaxed);
            let (failure, cut_off) = match self.attempt(ask, stats).await {
                Ok(answer) => match read_body(answer, read.clone()).await {
                    (answer, Ok(page)) => {
                        self.answered.store(true, Ordering::Relaxed);
                        return Ok((answer, page));
                    }
                    (answer, Err(why)) => (self.bad_page(&why), is_cut_off(&answer.body)),
                },
                Err(failure) => (failure, false),
            };
            if cut_off || failure.may_be_a_heavy_page() {
                heavy += 1;
            } else if !failure.is_refusal() {
                heavy = 0;
            }
            if ask.may_shrink && (failure.is_a_heavy_page() || heavy >= HEAVY_ATTEMPTS) {
                return Err(RequestError::PageTooHeavy { failure });
            }
            let limit = self.connection.retry_policy.limit;
            let beyond = failure
                .retry_after()
                .filter(|wait| *wait > limit && failure.may_heal());
            if let Some(wait) = beyond {
                budget.close(wait, failure.clone());
            }
            if failure.is_refusal() {
                stats.rate_limited.fetch_add(1, Ordering::Relaxed);
                budget.refused(&sent, failure.retry_after());
            } else if ask.cursor.is_some() && failure.may_be_a_dead_cursor() {
                return Err(RequestError::CursorDied { failure });
            } else if !repeatable && failure.may_heal() {
                return Err(RequestError::Lost { failure });
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
                    tracing::info!(window = %ask.window, attempt = number, ?wait, "{failure}; asking again");
                    stats.waits.tell(&failure, wait);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        error = budget.is_closed() => return Err(error),
                    }
                }
                // some servers break over a cursor that they no longer know: the window, requested again, shows it
                Decision::GiveUp if ask.cursor.is_some() && failure.is_a_servers() => {
                    return Err(RequestError::CursorDied { failure });
                }
                Decision::GiveUp => {
                    return Err(RequestError::GaveUp {
                        failure,
                        attempts: number,
                    });
                }
                // a server may say so with a success that is none
                Decision::Fail if ask.cursor.is_some() && matches!(failure, Failure::BadPage(_)) => {
                    return Err(RequestError::CursorDied { failure });
                }
                Decision::Fail => return Err(RequestError::Failed { failure }),
            }
            // others may be refused meanwhile, and each refusal pauses everybody
            let left = limit.saturating_sub(begin.elapsed());
            let Ok(permit) = timeout(left, budget.permit()).await else {
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

    /// Asks once, whatever comes of it; the body is not looked at.
    ///
    /// # Errors
    /// What went wrong with the attempt.
    pub async fn attempt(&self, ask: &ApiRequest, stats: &RequestStats) -> Result<Answer, Failure> {
        let (asked, asked_here) = (Instant::now(), Timestamp::now());
        let request = self
            .http
            .get(self.url(ask))
            .header("x-api-key", self.connection.key.header())
            .header(ACCEPT, "application/json");
        let response = self.heard(self.connection.silence, request.send()).await?;
        let shown = self.clock.read(response.headers());
        // the date is of the moment when the answer came
        let since = SignedDuration::try_from(asked.elapsed()).unwrap_or_default();
        let server_time = shown.map(|shown| shown.checked_sub(since).unwrap_or(shown));
        let asked_at = server_time.map_or(asked_here, |server| server.min(asked_here));
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(failure) = self.redirect(&response) {
            return Err(failure);
        }
        let held = self.memory.body();
        let most = self.connection.max_page_bytes;
        let most = if ask.may_shrink {
            most.min(HEAVY_BYTES)
        } else {
            most
        };
        let body = self.body(response, &held, most).await?;
        let bytes = body.len() as u64;
        stats.bytes_received.fetch_add(bytes, Ordering::Relaxed);
        tracing::debug!(
            endpoint = ask.endpoint,
            window = %ask.window,
            goes_on = ask.cursor.is_some(),
            status = status.as_u16(),
            bytes,
            elapsed = ?asked.elapsed(),
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
        Ok(Answer {
            body,
            asked_at,
            server_time,
            _held: held,
        })
    }

    /// Where an answer points elsewhere and was not followed.
    fn redirect(&self, response: &reqwest::Response) -> Option<Failure> {
        let code = response.status().as_u16();
        let to = response.headers().get(LOCATION)?.to_str().ok()?;
        let same_origin = response.url().join(to).map(|to| to.origin()) == Ok(response.url().origin());
        let to = shortened(&self.connection.key.hidden_in(to));
        match code {
            300..=399 if !same_origin => Some(Failure::Redirect { to }),
            301 | 302 | 303 | 307 | 308 => Some(Failure::Circles { to }),
            _ => None,
        }
    }

    /// An answer that cannot be read as a page, and why. The key is hidden before the text is cut short, since a
    /// part of it would not be found.
    pub fn bad_page(&self, why: &str) -> Failure {
        Failure::BadPage(shortened(&self.connection.key.hidden_in(why)))
    }

    /// Reads the body of a page; of an error, as much as tells it.
    async fn body(
        &self,
        mut response: reqwest::Response,
        held: &BodyReservation,
        limit: u64,
    ) -> Result<Vec<u8>, Failure> {
        let success = response.status().is_success();
        let cap = if success { limit } else { limit.min(ERROR_BYTES) };
        // what the server says of the length is a hint, not more
        let length = response.content_length().unwrap_or_default().min(HINTED_BYTES);
        let mut body = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        // since there was progress last: the bytes that came, and how long they were waited for
        let (mut came, mut waited) = (0, Duration::ZERO);
        loop {
            held.room().await;
            let begin = Instant::now();
            let time_limit = self.connection.silence.saturating_sub(waited);
            match self.heard(time_limit, response.chunk()).await {
                Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 <= cap => {
                    held.grow(chunk.len());
                    body.extend_from_slice(&chunk);
                    (came, waited) = (came + chunk.len(), waited + begin.elapsed());
                    if came >= PROGRESS {
                        (came, waited) = (0, Duration::ZERO);
                    }
                }
                Ok(Some(_)) if success => return Err(Failure::TooLarge { limit }),
                // of an error's body, what came is enough
                Err(failure) if success => return Err(failure),
                _ => return Ok(body),
            }
        }
    }

    /// Waits for the server, but not for ever.
    async fn heard<T>(
        &self,
        time_limit: Duration,
        answer: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout(time_limit, answer).await {
            Ok(heard) => heard.map_err(|error| transport::failure(&error, self.proxy.as_deref())),
            Err(_) => Err(Failure::Timeout),
        }
    }

    fn url(&self, ask: &ApiRequest) -> Url {
        let mut url = self.connection.base_url.clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), ask.endpoint);
        url.set_path(&path);
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("start_time", &ask.window.start.to_string())
                .append_pair("end_time", &ask.window.end.to_string())
                .append_pair("bot_name", &ask.bot)
                .append_pair("per_page", &ask.per_page.to_string());
            if let Some(conversation) = &ask.conversation {
                query.append_pair("conversation_id", conversation);
            }
            if let Some(cursor) = &ask.cursor {
                query.append_pair("cursor", cursor);
            }
        }
        url
    }
}

/// Reads the body of an answer on a blocking thread: a large page takes too long for a thread of the network.
pub(crate) async fn read_body<T: Send + 'static>(
    answer: Answer,
    read: impl Fn(&[u8]) -> Result<T, String> + Send + 'static,
) -> (Answer, Result<T, String>) {
    let reading = tokio::task::spawn_blocking(move || {
        let page = read(&answer.body);
        (answer, page)
    });
    match reading.await {
        Ok(read) => read,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // the runtime has ended, and so does this task
            Err(_) => std::future::pending().await,
        },
    }
}

/// Why an answer with a status of success is not a page. Only 200 is the whole answer of the API itself: 202 is an answer
/// that is not made yet, 203 one that a proxy changed, 206 a part of one. 204 and 205 have no body: whether the window is
/// empty, or something on the way dropped the answer, cannot be known, so they never end a listing.
fn no_page(status: u16) -> Option<String> {
    let what = match status {
        200 => return None,
        202 => "the server has not finished the answer",
        203 => "a proxy changed the answer",
        204 | 205 => "it has no body, which does not prove that there are no records",
        206 => "it is only a part of the answer",
        _ => "only status 200 is a page",
    };
    Some(format!("status {status}: {what}"))
}

/// Whether a body begins as a page does and has no end. The connection can end such a body in a regular way, where a
/// proxy has a limit of bytes or of time.
fn is_cut_off(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"{") && !body.ends_with(b"}")
}

#[cfg(test)]
mod tests;
