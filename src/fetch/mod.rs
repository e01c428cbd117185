//! Fetches what is missing of one dataset of one bot: requests pages as the planner decides and the rate limit
//! allows, and spools each before anything else happens with it.

mod at_hand;
mod keep;
mod progress;
mod resume;
mod stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{AcquireError, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

pub use at_hand::AtHand;
pub use progress::FetchProgress;
pub use stop::{Stop, Stopper};

use crate::api::{Answer, Ask, AskError, Budget, Client, Failure, Sent, Tally};
use crate::dataset::{self, Dataset, Peek, PeekedRecord};
use crate::error::{Error, Result};
use crate::plan::{Knowledge, MAX_IN_FLIGHT, PageRequest, PlanError, Planner};
use crate::spool::{PageHeader, Spool};
use crate::table::Lock;
use crate::tombstones::Tombstones;
use crate::window::{Window, Windows};

/// Pages of time that has not settled count for this long.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// So long an answer is still awaited after the run was told to stop.
const LAST_ANSWERS: Duration = Duration::from_millis(1500);

/// What all fetches of one endpoint share.
#[derive(Debug)]
pub struct Endpoint {
    client: Arc<Client>,
    spool: Arc<Spool>,
    budget: Budget,
    in_flight: Semaphore,
    most_in_flight: usize,
    /// The spool failed: asking on would waste answers.
    broken: AtomicBool,
    /// What was erased is not even kept.
    erased: Option<Arc<Tombstones>>,
    at_hand: Arc<AtHand>,
    /// The table stays locked as long as a page may still be spooled.
    _lock: Option<Arc<Lock>>,
}

impl Endpoint {
    /// An endpoint that is asked at most so often, by so many at a time, and whose answers go to `spool`.
    #[must_use]
    pub fn new(
        client: Arc<Client>,
        spool: Arc<Spool>,
        requests_per_second: f64,
        concurrency: Option<usize>,
    ) -> Self {
        // without a budget nothing but the number of chains bounds what is asked for too much
        let fitting = if requests_per_second > 0.0 {
            MAX_IN_FLIGHT
        } else {
            UNLIMITED_IN_FLIGHT
        };
        let most_in_flight = concurrency.unwrap_or(fitting);
        Self {
            client,
            spool,
            budget: Budget::new(requests_per_second),
            in_flight: Semaphore::new(most_in_flight),
            most_in_flight,
            broken: AtomicBool::new(false),
            erased: None,
            at_hand: Arc::default(),
            _lock: None,
        }
    }

    /// The same, which keeps the table locked until its last page is spooled.
    #[must_use]
    pub fn locked(self, lock: Option<Arc<Lock>>) -> Self {
        Self { _lock: lock, ..self }
    }

    /// The same, which keeps nothing of what was erased.
    #[must_use]
    pub fn without(self, erased: Option<Arc<Tombstones>>) -> Self {
        Self { erased, ..self }
    }

    /// The same, which has rows of pages at hand for whoever builds partitions.
    #[must_use]
    pub fn with_rows(self, at_hand: Arc<AtHand>) -> Self {
        Self { at_hand, ..self }
    }
}

/// Requests in flight where no budget bounds them.
const UNLIMITED_IN_FLIGHT: usize = 8;

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Job {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot.
    pub bot: String,
    /// The range that the run was asked to export.
    pub range: Window,
    /// What of it is missing.
    pub missing: Windows,
    /// Only the messages of this conversation.
    pub conversation: Option<String>,
    /// Records wanted a page.
    pub per_page: u32,
    /// Names the run in the headers of pages.
    pub run: String,
    /// Pages that earlier runs kept, in the order in which they came.
    pub kept: Vec<PageHeader>,
    /// What of that is complete, and asked for anew.
    pub reread: Windows,
    /// Time to ask for anew, where pages with smaller numbers than these prove nothing.
    pub disregarded: Vec<(Windows, u64)>,
    /// What earlier runs learnt of the API.
    pub knowledge: Knowledge,
    /// Records over time, as far as earlier runs saw them.
    pub density: Vec<(Window, u64)>,
    /// What is younger than this when it is requested is not complete.
    pub settle: SignedDuration,
    /// What asking has cost so far.
    pub tally: Arc<Tally>,
}

impl Job {
    /// Whether a page was requested before its window had settled, and so long ago that the window may list more now.
    fn is_outdated(&self, page: &PageHeader) -> bool {
        let settled = page.asked_at.checked_sub(self.settle).map(Timestamp::as_second);
        let was_young = settled.is_ok_and(|settled| page.covers.end > settled);
        was_young && Timestamp::now().duration_since(page.asked_at) > FRESH
    }

    /// Whether a page says something about what is there now.
    #[must_use]
    pub fn regards(&self, page: &PageHeader) -> bool {
        let mut disregarded = self.disregarded.iter();
        let same_question = page.conversation == self.conversation;
        same_question
            && disregarded
                .all(|(ranges, since)| page.sequence >= *since || ranges.intersect(page.asked).is_empty())
    }
}

/// How far a job is, and the page that brought it there.
#[derive(Debug)]
pub struct Event {
    /// A page that is spooled now, and its records; the progress includes what was learned from it.
    pub page: Option<(PageHeader, Vec<PeekedRecord>)>,
    /// How far the job is.
    pub progress: FetchProgress,
}

/// Fetches what a job is missing; every page is in the spool before `report` gets it. Where `report` returns false,
/// the fetch stops.
///
/// # Errors
/// The first thing that keeps the job from being complete. What was answered is in the spool then.
pub async fn fetch(
    job: Job,
    endpoint: &Arc<Endpoint>,
    mut stop: Stop,
    mut report: impl AsyncFnMut(Event) -> bool,
) -> Result<()> {
    let mut fetch = Fetch::begin(job, endpoint).await?;
    report(fetch.progress()).await;
    loop {
        while fetch.is_wanted(&stop) {
            let fetched = tokio::select! {
                request = fetch.endpoint.next(&fetch.job, &mut fetch.planner), if fetch.planner.wants() => {
                    match request {
                        Ok(Some((request, sent))) => fetch.ask(request, sent),
                        Ok(None) => {}
                        Err(error) => fetch.fail(error),
                    }
                    continue;
                }
                Some(fetched) = fetch.flying.join_next() => fetched,
                () = stop.told() => break,
            };
            fetch.take(fetched, &mut report).await;
        }
        if stop.is_told() || !fetch.is_undone(&mut report).await {
            break;
        }
    }
    fetch.finish(&stop, &mut report).await
}

impl Endpoint {
    /// Requests a second that are allowed at the moment; infinite where there is no limit.
    #[must_use]
    pub fn allowed_per_second(&self) -> f64 {
        self.budget.per_second()
    }

    /// Asks for one page that is only looked at: nothing of it is kept.
    ///
    /// # Errors
    /// Where the API does not give it.
    pub async fn look(&self, dataset: Dataset, ask: &Ask, tally: &Tally) -> Result<(Answer, Peek)> {
        let not_fetched = |source| Error::Fetch {
            dataset: dataset.name(),
            bot: ask.bot.clone(),
            window: ask.window.to_string(),
            source,
        };
        let sent = self.budget.permit().await.map_err(not_fetched)?.spend();
        let read = |body: &[u8]| dataset::peek(dataset, body).map_err(|error| error.to_string());
        let page = self.client.page(ask, true, &self.budget, sent, tally, read).await;
        page.map_err(not_fetched)
    }

    /// Waits until a request may go, then lets the planner choose it.
    async fn next(&self, job: &Job, planner: &mut Planner) -> Result<Option<(PageRequest, Sent)>> {
        let closed = |_: AcquireError| Error::Internal("the endpoint was closed".into());
        let slot = self.in_flight.acquire().await.map_err(closed)?;
        let permit = self.budget.permit().await.map_err(|source| Error::Fetch {
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
}

/// A page that was answered and is kept.
struct Page {
    header: PageHeader,
    peek: Peek,
}

type Fetched = (PageRequest, Result<Page, NoPage>);

/// Why there is no page.
enum NoPage {
    /// The API gave none.
    Ask(AskError),
    /// It could not be kept.
    Keep(Error),
    /// It was no longer of use.
    Unneeded,
}

/// One job under way.
struct Fetch {
    job: Job,
    endpoint: Arc<Endpoint>,
    planner: Planner,
    /// Chains of earlier runs keep the names that their pages carry.
    names: Vec<(String, u32)>,
    flying: JoinSet<Fetched>,
    /// Told once no further answer is of use.
    enough: (Stopper, Stop),
    failed: Option<Error>,
    unwanted: bool,
    /// The first range that the server refused.
    refused: Option<(Window, Failure)>,
}

impl Fetch {
    async fn begin(job: Job, endpoint: &Arc<Endpoint>) -> Result<Self> {
        let answerer = Arc::clone(endpoint);
        let begun = tokio::task::spawn_blocking(move || {
            let (planner, names) = answerer.resume(&job)?;
            Ok((job, planner, names))
        });
        let (job, planner, names) = begun
            .await
            .unwrap_or_else(|error| Err(Error::Internal(format!("the schedule ended: {error}"))))?;
        Ok(Self {
            job,
            endpoint: Arc::clone(endpoint),
            planner,
            names,
            flying: JoinSet::new(),
            enough: Stopper::new(),
            failed: None,
            unwanted: false,
            refused: None,
        })
    }

    fn is_wanted(&self, stop: &Stop) -> bool {
        self.failed.is_none()
            && !self.unwanted
            && !stop.is_told()
            && !self.endpoint.broken.load(Ordering::Relaxed)
            && !self.planner.is_done()
            && (self.planner.wants() || !self.flying.is_empty())
    }

    fn progress(&self) -> Event {
        Event {
            page: None,
            progress: FetchProgress::of(&self.planner),
        }
    }

    /// Sends a request on its way.
    fn ask(&mut self, request: PageRequest, sent: Sent) {
        let number = request.chain.number();
        let resumed = usize::try_from(number)
            .ok()
            .and_then(|number| self.names.get(number));
        let (run, chain) = resumed.cloned().unwrap_or_else(|| (self.job.run.clone(), number));
        let ask = Ask {
            endpoint: self.job.dataset.endpoint(),
            bot: self.job.bot.clone(),
            window: request.asked,
            per_page: request.per_page,
            cursor: request.cursor.clone(),
            conversation: self.job.conversation.clone(),
            may_shrink: request.may_shrink,
        };
        let header = PageHeader {
            sequence: 0,
            dataset: self.job.dataset.name().to_owned(),
            bot: self.job.bot.clone(),
            run,
            chain,
            index: request.index,
            covers: request.covers,
            asked: request.asked,
            range: self.job.range,
            per_page: request.per_page,
            cursor: ask.cursor.clone(),
            conversation: self.job.conversation.clone(),
            erased: 0,
            asked_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let endpoint = Arc::clone(&self.endpoint);
        let (dataset, retryable) = (self.job.dataset, request.retryable);
        let tally = Arc::clone(&self.job.tally);
        let mut enough = self.enough.1.clone();
        self.flying.spawn(async move {
            let page = tokio::select! {
                answered = endpoint.answer(dataset, &ask, retryable, sent, &tally) => match answered {
                    // once answered it is kept, whatever happens
                    Ok((answer, read)) => endpoint.keep(dataset, header, answer, read).await,
                    Err(error) => Err(error),
                },
                () = enough.told() => Err(NoPage::Unneeded),
            };
            endpoint.in_flight.add_permits(1);
            (request, page)
        });
    }

    /// Takes in how a request ended.
    async fn take(
        &mut self,
        fetched: Result<Fetched, tokio::task::JoinError>,
        report: &mut impl AsyncFnMut(Event) -> bool,
    ) {
        let (request, fetched) = match fetched {
            Ok(fetched) => fetched,
            Err(error) => return self.fail(Error::Internal(format!("a request ended: {error}"))),
        };
        let mut page = None;
        let mut cause = String::new();
        let planned = match fetched {
            Ok(answered) => {
                let facts = resume::facts(&answered.peek);
                page = Some(answered);
                self.planner.answered(&request, &facts)
            }
            Err(NoPage::Unneeded) => self.planner.withdrawn(&request),
            Err(NoPage::Keep(error)) => {
                self.endpoint.broken.store(true, Ordering::Relaxed);
                return self.fail(error);
            }
            Err(NoPage::Ask(error)) => match self.adapt(&request, error, &mut cause) {
                Ok(planned) => planned,
                Err((window, source)) => {
                    return self.fail(Error::Fetch {
                        dataset: self.job.dataset.name(),
                        bot: self.job.bot.clone(),
                        window: window.to_string(),
                        source,
                    });
                }
            },
        };
        let event = Event {
            page: page.map(|page| (page.header, page.peek.records)),
            progress: FetchProgress::of(&self.planner),
        };
        if !report(event).await {
            self.unwanted = true;
        }
        if let Err(error) = planned {
            self.fail(chain_error(&self.job, format!("{error}{cause}")));
        }
    }

    /// Lets the planner adapt to a request that failed.
    ///
    /// # Errors
    /// The failure itself, where no other request can take its place.
    fn adapt(
        &mut self,
        request: &PageRequest,
        error: AskError,
        cause: &mut String,
    ) -> Result<Result<(), PlanError>, (Window, AskError)> {
        match error {
            AskError::CursorDied { failure } => {
                tracing::info!("{failure}; the window starts again");
                *cause = format!("; at last {failure}");
                Ok(self.planner.cursor_died(request))
            }
            AskError::Lost { failure } => {
                tracing::info!("{failure}; the window starts again");
                *cause = format!("; at last {failure}");
                Ok(self.planner.lost(request))
            }
            AskError::PageTooHeavy { failure } => {
                self.planner.page_too_heavy(request);
                match self.planner.limits().largest_page {
                    Some(size) => tracing::warn!("{failure}; continuing with pages of {size} records"),
                    None => tracing::info!("{failure}; requesting the page again"),
                }
                Ok(Ok(()))
            }
            AskError::Failed { failure } if failure.may_be_a_refused_range() => {
                let shorter = self.planner.range_refused(request);
                // where no range is served the first refusal says why
                let first = self
                    .refused
                    .get_or_insert_with(|| (request.asked, failure.clone()));
                if !shorter {
                    let (window, failure) = first.clone();
                    return Err((window, AskError::Failed { failure }));
                }
                tracing::info!(window = %request.asked, "{failure}; requesting shorter ranges");
                Ok(Ok(()))
            }
            error => Err((request.asked, error)),
        }
    }

    fn fail(&mut self, error: Error) {
        // the first one is the cause; what fails after it mostly follows from it
        self.failed.get_or_insert(error);
    }

    /// Takes in what is answered already of a job that seems done. Returns whether it is not, after all: an answer
    /// may show that a window ended too early.
    async fn is_undone(&mut self, report: &mut impl AsyncFnMut(Event) -> bool) -> bool {
        if !self.planner.is_done() {
            return false;
        }
        self.enough.0.stop();
        while let Some(fetched) = self.flying.join_next().await {
            self.take(fetched, report).await;
        }
        self.enough = Stopper::new();
        !self.planner.is_done() && self.failed.is_none()
    }

    /// Waits for what is still in flight, as far as it is of use, and returns how the job ended.
    async fn finish(mut self, stop: &Stop, report: &mut impl AsyncFnMut(Event) -> bool) -> Result<()> {
        if !self.planner.is_done() {
            let deadline = Instant::now() + LAST_ANSWERS;
            while let Ok(Some(fetched)) = timeout_at(deadline, self.flying.join_next()).await {
                self.take(fetched, report).await;
            }
        }
        self.enough.0.stop();
        while let Some(fetched) = self.flying.join_next().await {
            self.take(fetched, report).await;
        }
        match self.failed {
            // that the API cannot be trusted counts, however late it shows
            Some(error @ Error::Chain { .. }) => Err(error),
            _ if self.planner.is_done() => Ok(()),
            Some(error) => Err(error),
            None if stop.is_told() => Err(Error::Interrupted),
            None if self.unwanted || self.endpoint.broken.load(Ordering::Relaxed) => Err(Error::Interrupted),
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
