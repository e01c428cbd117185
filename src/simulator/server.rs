//! From a request to its answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::sleep;

use super::archive::Archive;
use super::choices::{Endpoint, RetryAfter};
use super::clock::{http_date, micros};
use super::connection::Cut;
use super::cursor::{Age, Cursors, Unusable};
use super::fault::Fault;
use super::limit::Limit;
use super::options::Options;
use super::page::{self, Page};
use super::random::Random;
use super::request::{Query, Refusal};
use super::restriction::PageAnswer;
use super::select::Selections;
use super::stats::{Entry, Recorder, Stats};

/// All that the requests share.
pub(super) struct App {
    pub(super) options: Options,
    pub(super) archive: Arc<Archive>,
    pub(super) cursors: Cursors,
    pub(super) selections: Selections,
    gates: [Gate; 2],
    started: Instant,
}

/// Where the requests of one endpoint come in.
struct Gate {
    recorder: Arc<Recorder>,
    limit: Option<Mutex<Limit>>,
    /// How many requests the key and the limit have let in.
    admitted: AtomicU64,
}

impl App {
    pub(super) fn new(options: Options) -> Self {
        let started = Instant::now();
        let gate = || Gate {
            recorder: Arc::new(Recorder::new(started)),
            limit: Limit::new(options.requests_per_second, options.counting).map(Mutex::new),
            admitted: AtomicU64::new(0),
        };
        Self {
            archive: Arc::new(Archive::new(&options)),
            cursors: Cursors::new(&options),
            selections: Selections::default(),
            gates: [gate(), gate()],
            started,
            options,
        }
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(answer).with_state(self)
    }

    pub(super) fn stats(&self, endpoint: Endpoint) -> Stats {
        self.gates[endpoint as usize].recorder.stats()
    }

    /// Lets a request in and gives it its number, from 1.
    fn admit(&self, endpoint: Endpoint, headers: &HeaderMap, entry: &Entry) -> Result<u64, Refusal> {
        let key = headers.get("x-api-key").and_then(|key| key.to_str().ok());
        if key == Some(self.options.viewer_key.as_str()) {
            return Err(Refusal::new(403, "forbidden", "this key has no right to export"));
        }
        if key != Some(self.options.key.as_str()) {
            return Err(Refusal::new(
                401,
                "unauthorized",
                "the header x-api-key is missing or wrong",
            ));
        }
        let gate = &self.gates[endpoint as usize];
        if let Some(limit) = &gate.limit {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let admitted = limit.lock().unwrap_or_else(PoisonError::into_inner).admit(now);
            admitted.map_err(|wait| {
                entry.refused();
                Refusal::new(429, "rate_limited", "too many requests").retry_after(self.retry_after(wait))
            })?;
        }
        Ok(gate.admitted.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn retry_after(&self, wait: Duration) -> Option<String> {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        match self.options.retry_after {
            RetryAfter::Nothing => None,
            RetryAfter::Seconds => Some(seconds.to_string()),
            // A date has whole seconds only: the next one after the wait.
            RetryAfter::HttpDate => {
                let at = self
                    .options
                    .clock
                    .now_us()
                    .saturating_add_unsigned(seconds * 1_000_000);
                Some(http_date(at.saturating_add(micros(1) - 1)))
            }
        }
    }

    /// The answer to a request that was let in; `None` = the connection is closed without one.
    async fn outcome(&self, call: Call<'_>) -> Option<Response> {
        let Call { endpoint, nth, .. } = call;
        let fault = self.options.faults.draw(self.options.seed, endpoint, nth);
        if fault.is_some() {
            call.entry.faulty();
        }
        match fault {
            Some(Fault::Refused) => None,
            Some(Fault::Held(time)) => {
                sleep(time).await;
                None
            }
            Some(Fault::Status { code, retry_after }) => {
                let refusal = Refusal::new(code, "out_of_turn", "something went wrong");
                Some(
                    refusal
                        .retry_after(retry_after.map(|seconds| seconds.to_string()))
                        .into_response(),
                )
            }
            Some(Fault::Html) => {
                let body = "<!doctype html><title>Maintenance</title><h1>We are back soon</h1>";
                Some(with_header(
                    body.into_response(),
                    header::CONTENT_TYPE,
                    "text/html",
                ))
            }
            Some(Fault::Redirect { code, to }) => {
                let status = StatusCode::from_u16(code).unwrap_or(StatusCode::FOUND);
                Some(with_header(status.into_response(), header::LOCATION, &to))
            }
            fault => match self.page(&call, fault.as_ref()) {
                Err(NoPage::Refused(refusal)) => Some(refusal.into_response()),
                Err(NoPage::Silence(time)) => {
                    sleep(time).await;
                    None
                }
                Ok((page, latency)) => self.deliver(call, fault, page, latency).await,
            },
        }
    }

    /// Makes the page, and says how long that would have taken.
    fn page(&self, call: &Call<'_>, fault: Option<&Fault>) -> Result<(Page, Duration), NoPage> {
        let &Call {
            endpoint, nth, query, ..
        } = call;
        let asked = query.asked(endpoint, &self.options, &self.archive)?;
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = Age { requests: nth, ms };
        let turn = match self.cursors.read(asked, query.get("cursor"), now) {
            Ok(turn) => turn,
            Err(Unusable::Invalid) => {
                let message = "the cursor is not one of this window";
                return Err(Refusal::new(400, "invalid_cursor", message).into());
            }
            Err(Unusable::Dead) => match self.options.dead_cursor {
                200 => return Ok((Page::empty(), Duration::ZERO)),
                status => {
                    let message = "the cursor is no longer known";
                    return Err(Refusal::new(status, "expired_cursor", message).into());
                }
            },
        };
        let mut random = Random::new(self.options.seed ^ (9 + endpoint as u64), nth);
        let latency = self
            .options
            .latency
            .draw(&mut random, turn.position.skip / u64::from(asked.per_page));
        let repeated = query
            .get("cursor")
            .filter(|_| fault == Some(&Fault::RepeatedCursor));
        let page = tokio::task::block_in_place(|| page::make(self, turn, now, repeated))?;
        Ok((page, latency))
    }

    /// Gives the page out, as whole as the fault allows.
    async fn deliver(
        &self,
        call: Call<'_>,
        fault: Option<Fault>,
        mut page: Page,
        latency: Duration,
    ) -> Option<Response> {
        let late = if let Some(Fault::Slow(time)) = fault {
            time
        } else {
            Duration::ZERO
        };
        // The timer rounds up to a millisecond, which is long beside the making of a page.
        if latency + late > Duration::ZERO {
            sleep(latency + late).await;
        }
        if fault == Some(Fault::TruncatedJson) {
            page.body.truncate(page.body.len() / 2);
        }
        let (body, encoding) = page::packed(page.body, self.options.compression, call.headers);
        match fault {
            Some(Fault::AnswerLost) => return None,
            Some(Fault::BrokenBody) => call.cut.within_body(body.len() / 2),
            Some(Fault::TruncatedJson) => {}
            _ => call.entry.page(page.records),
        }
        let response = with_header(
            Body::from(body).into_response(),
            header::CONTENT_TYPE,
            "application/json",
        );
        Some(match encoding {
            Some(encoding) => with_header(response, header::CONTENT_ENCODING, encoding),
            None => response,
        })
    }
}

/// Why there is no page.
enum NoPage {
    Refused(Refusal),
    /// Nothing is sent for so long; then the connection is closed.
    Silence(Duration),
}

impl From<Refusal> for NoPage {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<PageAnswer> for NoPage {
    fn from(answer: PageAnswer) -> Self {
        match answer {
            PageAnswer::Status(code) => {
                Refusal::new(code, "page_too_large", "the page is too large to be made").into()
            }
            PageAnswer::Silence(time) => Self::Silence(time),
        }
    }
}

/// A request on its way through.
struct Call<'a> {
    endpoint: Endpoint,
    nth: u64,
    query: &'a Query,
    headers: &'a HeaderMap,
    cut: &'a Cut,
    entry: &'a Entry,
}

async fn answer(
    State(app): State<Arc<App>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let response = match Endpoint::of_path(request.uri().path()) {
        None => Refusal::new(404, "not_found", "there is nothing at this path").into_response(),
        Some(_) if request.method() != Method::GET => {
            Refusal::new(405, "method_not_allowed", "only GET is allowed").into_response()
        }
        Some(endpoint) => {
            let query = &Query::of(request.uri());
            let entry = &app.gates[endpoint as usize].recorder.arrive(query.log());
            let headers = request.headers();
            let outcome = match app.admit(endpoint, headers, entry) {
                Err(refusal) => Some(refusal.into_response()),
                Ok(nth) => {
                    app.outcome(Call {
                        endpoint,
                        nth,
                        query,
                        headers,
                        cut: &cut,
                        entry,
                    })
                    .await
                }
            };
            outcome
                .inspect(|response| entry.status(response.status().as_u16()))
                .unwrap_or_else(|| {
                    cut.now();
                    StatusCode::NO_CONTENT.into_response()
                })
        }
    };
    with_header(response, header::DATE, &http_date(app.options.clock.now_us()))
}

fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}
