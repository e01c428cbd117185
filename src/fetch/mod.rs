//! Fetches what is missing of one dataset of one bot: requests pages as the planner decides and the rate limit
//! allows, and spools each before anything else happens with it.

mod adapt;
mod cancellation;
mod endpoint;
mod job;
mod progress;
mod resume;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

pub use cancellation::CancellationToken;
pub use endpoint::{Endpoint, FetchedPage};
pub use job::Job;
pub use progress::FetchProgress;

use crate::api::{Failure, SendTicket};
use crate::blocking;
use crate::error::{Error, Result};
use crate::plan::{PageRequest, Planner};
use crate::window::Window;
use endpoint::PageFailure;
use job::is_stale;
use resume::ResumedChains;

/// How long answers are awaited after the run was cancelled.
const LAST_ANSWERS: Duration = Duration::from_millis(1500);

/// How far a job is, and the page that brought it there.
#[derive(Debug)]
pub struct Event {
    /// A new page; the progress includes what was learned from it.
    pub page: Option<FetchedPage>,
    /// How far the job is.
    pub progress: FetchProgress,
}

/// Receives the events of a job, one after another.
pub trait Receiver: Send {
    /// Takes an event. Returns false if no more events are wanted: the fetch stops then.
    fn receive(&mut self, event: Event) -> impl Future<Output = bool> + Send;
}

/// Fetches what a job is missing. If the endpoint has a spool, every page is in it before `receiver` gets it.
///
/// # Errors
/// The first failure that keeps the job from being complete. What was answered has been reported then.
pub async fn fetch(
    job: Job,
    endpoint: &Arc<Endpoint>,
    cancellation: &CancellationToken,
    receiver: &mut impl Receiver,
) -> Result<()> {
    let mut fetch = Fetch::begin(job, endpoint).await?;
    receiver.receive(fetch.event(None)).await;
    loop {
        while fetch.should_continue(cancellation) {
            let answered = tokio::select! {
                request = fetch.endpoint.next(&fetch.job, &mut fetch.planner), if fetch.planner.wants() => {
                    match request {
                        Ok(Some((request, sent))) => fetch.send(request, sent),
                        Ok(None) => {}
                        Err(error) => fetch.record_failure(error),
                    }
                    continue;
                }
                Some(answered) = fetch.in_flight.join_next() => answered,
                () = cancellation.cancelled() => break,
            };
            fetch.handle_response(answered, receiver).await;
        }
        if cancellation.is_cancelled() || !fetch.needs_more_after_drain(receiver).await {
            break;
        }
    }
    fetch.finish(cancellation, receiver).await
}

type RequestOutcome = (PageRequest, Result<FetchedPage, PageFailure>);

/// One job under way.
struct Fetch {
    job: Job,
    endpoint: Arc<Endpoint>,
    planner: Planner,
    /// Chains of earlier runs, which keep the names that their pages carry.
    resumed: ResumedChains,
    /// When the last page of each chain was requested, by the server's clock.
    requested_at: HashMap<u32, Timestamp>,
    in_flight: JoinSet<RequestOutcome>,
    /// Cancelled once no further answer is of use.
    discard_rest: CancellationToken,
    failed: Option<Error>,
    /// Whether nobody takes events any more.
    receiver_is_gone: bool,
    /// The first range that the server refused.
    refused: Option<(Window, Failure)>,
}

impl Fetch {
    async fn begin(job: Job, endpoint: &Arc<Endpoint>) -> Result<Self> {
        let resuming = Arc::clone(endpoint);
        let begun = blocking::run("the schedule", move || {
            let (planner, resumed) = resuming.resume(&job)?;
            Ok((job, planner, resumed))
        });
        let (job, planner, resumed) = begun.await?;
        let requested_at = (0..).zip(&resumed.requested_at);
        let requested_at = requested_at
            .filter_map(|(chain, at)| Some((chain, (*at)?)))
            .collect();
        Ok(Self {
            job,
            endpoint: Arc::clone(endpoint),
            planner,
            resumed,
            requested_at,
            in_flight: JoinSet::new(),
            discard_rest: CancellationToken::new(),
            failed: None,
            receiver_is_gone: false,
            refused: None,
        })
    }

    fn should_continue(&self, cancellation: &CancellationToken) -> bool {
        self.failed.is_none()
            && !self.receiver_is_gone
            && !cancellation.is_cancelled()
            && !self.endpoint.is_broken()
            && !self.planner.is_done()
            && (self.planner.wants() || !self.in_flight.is_empty())
    }

    fn event(&self, page: Option<FetchedPage>) -> Event {
        Event {
            page,
            progress: FetchProgress::of(&self.planner),
        }
    }

    /// Sends a request, and spools its page.
    fn send(&mut self, request: PageRequest, sent: SendTicket) {
        let (api_request, header) = self.job.request(&request, &self.resumed.names);
        let endpoint = Arc::clone(&self.endpoint);
        let (dataset, retryable) = (self.job.dataset, request.retryable);
        let (stats, discard_rest) = (Arc::clone(&self.job.stats), self.discard_rest.clone());
        self.in_flight.spawn(async move {
            let page = tokio::select! {
                answered = endpoint.request(dataset, &api_request, retryable, sent, &stats) => match answered {
                    // a page that was answered is spooled, whatever happens
                    Ok((response, peek)) => endpoint.spool(dataset, header, response, peek).await,
                    Err(error) => Err(PageFailure::Request(error)),
                },
                () = discard_rest.cancelled() => Err(PageFailure::Unneeded),
            };
            endpoint.end_request();
            (request, page)
        });
    }

    /// Takes the end of a request: the planner learns from its page, and `receiver` gets it.
    async fn handle_response(
        &mut self,
        answered: Result<RequestOutcome, JoinError>,
        receiver: &mut impl Receiver,
    ) {
        let (request, answered) = match answered {
            Ok(answered) => answered,
            Err(error) => return self.record_failure(Error::Internal(format!("a request ended: {error}"))),
        };
        let (mut page, mut cause) = (None, String::new());
        let planned = match answered {
            Ok(answered) => {
                let facts = resume::facts(&answered.peek);
                let requested_at = answered.header.requested_at;
                page = Some(answered);
                let before = self.requested_at.insert(request.chain.number(), requested_at);
                if request.index > 0 && before.is_some_and(|before| is_stale(before, requested_at)) {
                    tracing::info!(window = %request.requested, "the page before was requested long ago; the window starts again");
                    self.planner.response_lost(&request)
                } else {
                    self.planner.answered(&request, &facts)
                }
            }
            Err(PageFailure::Unneeded) => self.planner.request_cancelled(&request),
            Err(PageFailure::Spool(error)) => return self.record_failure(error),
            Err(PageFailure::Request(error)) => match self.adapt(&request, error, &mut cause) {
                Ok(planned) => planned,
                Err((window, source)) => {
                    return self.record_failure(Error::Fetch {
                        dataset: self.job.dataset.name(),
                        bot: self.job.bot.clone(),
                        window: window.to_string(),
                        source,
                    });
                }
            },
        };
        if !receiver.receive(self.event(page)).await {
            self.receiver_is_gone = true;
        }
        if let Err(error) = planned {
            self.record_failure(chain_error(&self.job, format!("{error}{cause}")));
        }
    }

    fn record_failure(&mut self, error: Error) {
        // the first one is the cause; what fails after it mostly follows from it
        self.failed.get_or_insert(error);
    }

    /// Takes the answers of a job that seems done. Returns whether it is not done, after all: an answer
    /// may show that a window ended too early.
    async fn needs_more_after_drain(&mut self, receiver: &mut impl Receiver) -> bool {
        if !self.planner.is_done() {
            return false;
        }
        self.drain(receiver).await;
        self.discard_rest = CancellationToken::new();
        !self.planner.is_done() && self.failed.is_none()
    }

    /// Cancels requests that are not answered yet, and takes the others.
    async fn drain(&mut self, receiver: &mut impl Receiver) {
        self.discard_rest.cancel();
        while let Some(answered) = self.in_flight.join_next().await {
            self.handle_response(answered, receiver).await;
        }
    }

    /// Waits for the answers that are of use, and returns how the job ended.
    async fn finish(mut self, cancellation: &CancellationToken, receiver: &mut impl Receiver) -> Result<()> {
        if !self.planner.is_done() {
            let deadline = Instant::now() + LAST_ANSWERS;
            while let Ok(Some(answered)) = timeout_at(deadline, self.in_flight.join_next()).await {
                self.handle_response(answered, receiver).await;
            }
        }
        self.drain(receiver).await;
        match self.failed {
            // that the API cannot be trusted counts, however late it shows
            Some(error @ Error::Chain { .. }) => Err(error),
            _ if self.planner.is_done() => Ok(()),
            Some(error) => Err(error),
            None if cancellation.is_cancelled() || self.receiver_is_gone || self.endpoint.is_broken() => {
                Err(Error::Interrupted)
            }
            None => Err(Error::Internal(
                "the planner has no more requests and is not done".into(),
            )),
        }
    }
}

fn chain_error(job: &Job, what: String) -> Error {
    let (dataset, bot) = (job.dataset.name(), job.bot.clone());
    Error::Chain { dataset, bot, what }
}
