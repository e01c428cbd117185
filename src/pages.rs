//! A stream of pages without a table: concurrent windows, within the rate limit, distinct and complete.
//!
//! ```no_run
//! use converse_export::{ApiKey, Client, Connection, Dataset, TableOptions, Window};
//! use futures_util::StreamExt;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Connection::new("https://api.converseapps.com".parse()?, ApiKey::new("…")?);
//! let october = Window::new(1_696_118_400, 1_698_796_800);
//! let mut pages = Client::new(connection)?.pages(Dataset::Messages, "r3-218210", october);
//! while let Some(page) = pages.next().await {
//!     let decoded = page?.decode(&TableOptions::default())?;
//!     println!("{} messages", decoded.batch.num_rows());
//! }
//! # Ok(())
//! # }
//! ```

mod distinct;
mod page;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

pub use page::Page;

use crate::api::{Connection, HttpClient};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::export::{DEFAULT_REQUESTS_PER_SECOND, MAX_PER_PAGE, check_request_options};
use crate::fetch::{self, CancellationToken, Endpoint, Event, Job, Receiver};
use crate::plan::{Field, Knowledge};
use crate::window::Window;
use distinct::Distinct;

/// Pages that wait for the consumer. More of them make fetching wait.
const WAITING_PAGES: usize = 2;

/// Requests pages of one API with one key. All streams of a client share its rate limits.
#[derive(Clone, Debug)]
pub struct Client {
    http: Arc<HttpClient>,
    connection: Connection,
    requests_per_second: f64,
    concurrency: Option<usize>,
    per_page: u32,
    endpoints: BTreeMap<Dataset, Arc<Endpoint>>,
}

impl Client {
    /// A client with the vendor's limits: 3 requests per second on each endpoint, 1,000 records per page. Nothing is sent
    /// yet. It reads the certificates of the system, which blocks for some milliseconds.
    ///
    /// # Errors
    /// [`Error::Usage`] if the key would be sent without encryption, [`Error::Connection`] if the TLS or proxy settings of
    /// the system cannot be used.
    pub fn new(connection: Connection) -> Result<Self> {
        let http = HttpClient::new(connection.clone()).map_err(Error::Connection)?;
        let client = Self {
            http: Arc::new(http),
            connection,
            requests_per_second: DEFAULT_REQUESTS_PER_SECOND,
            concurrency: None,
            per_page: MAX_PER_PAGE,
            endpoints: BTreeMap::new(),
        };
        client.with_endpoints()
    }

    /// Sets the requests per second on each endpoint, at most 10,000; 0 means no limit. The default is 3.
    ///
    /// # Errors
    /// [`Error::Usage`] if the number is out of range.
    pub fn requests_per_second(mut self, requests_per_second: f64) -> Result<Self> {
        self.requests_per_second = requests_per_second;
        self.with_endpoints()
    }

    /// Sets the maximum of requests in flight on each endpoint, at least 1. By default only the rate limits them.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is 0.
    pub fn concurrency(mut self, requests: usize) -> Result<Self> {
        self.concurrency = Some(requests);
        self.with_endpoints()
    }

    /// Sets the records to request per page, 1 to 1,000. The default is 1,000.
    ///
    /// # Errors
    /// [`Error::Usage`] if the number is out of range.
    pub fn per_page(mut self, records: u32) -> Result<Self> {
        self.per_page = records;
        self.with_endpoints()
    }

    fn with_endpoints(self) -> Result<Self> {
        let (rate, concurrency) = (self.requests_per_second, self.concurrency);
        check_request_options(&self.connection, rate, concurrency, self.per_page)?;
        let endpoint = |dataset| {
            let endpoint = Endpoint::new(Arc::clone(&self.http), None, rate, concurrency);
            (dataset, Arc::new(endpoint))
        };
        let endpoints = Dataset::ALL.into_iter().map(endpoint).collect();
        Ok(Self { endpoints, ..self })
    }

    /// The records of one dataset of one bot in a half-open range of Unix seconds, as a stream of pages. Fetching begins
    /// when the stream is first polled. An empty bot or range, and a range that starts before 1970, are an
    /// [`Error::Usage`] of the stream.
    #[must_use]
    pub fn pages(&self, dataset: Dataset, bot: &str, range: Window) -> PageStream {
        let now = Timestamp::now();
        let job = Job {
            dataset,
            bot: bot.to_owned(),
            range,
            missing: [range].into_iter().collect(),
            conversation: None,
            per_page: self.per_page,
            run: format!("{}-{}", now.as_millisecond(), std::process::id()),
            spooled: Vec::new(),
            refetched: Default::default(),
            refetches: Vec::new(),
            knowledge: Knowledge::default(),
            density: Vec::new(),
            settle: SignedDuration::ZERO,
            stats: Arc::default(),
        };
        let endpoint = Arc::clone(&self.endpoints[&dataset]);
        PageStream {
            state: State::Idle(Some(Box::new((job, endpoint)))),
            cancellation: CancellationToken::new(),
        }
    }
}

/// The pages of a dataset of a bot, in the order in which they were answered.
///
/// - Each record is in exactly one page. If the API returns several versions of a record during the run, the first one
///   counts.
/// - The stream ends without an error only after the API has ended each listing itself. After an error it ends.
/// - At most 2 pages wait for the consumer, and then requests stop; what was in flight is kept. A chain of pages that
///   rests for more than 15 minutes begins again.
/// - It keeps hashes of all ids to recognize records that come again: memory grows by some tens of bytes per record. Records at the very ends of the range may
///   come last, after all pages show by which time the API filters.
/// - Dropping the stream stops its requests.
///
/// It must be polled within a Tokio runtime that has time and I/O enabled; the runtime may have one thread.
#[derive(Debug)]
pub struct PageStream {
    state: State,
    cancellation: CancellationToken,
}

#[derive(Debug)]
enum State {
    Idle(Option<Box<(Job, Arc<Endpoint>)>>),
    Running(mpsc::Receiver<Result<Page>>),
}

impl Stream for PageStream {
    type Item = Result<Page>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let State::Idle(job) = &mut self.state {
            let Some(job) = job.take() else {
                return Poll::Ready(None);
            };
            let (sender, receiver) = mpsc::channel(WAITING_PAGES);
            tokio::spawn(fetch_pages(job.0, job.1, self.cancellation.clone(), sender));
            self.state = State::Running(receiver);
        }
        match &mut self.state {
            State::Running(receiver) => receiver.poll_recv(context),
            State::Idle(_) => Poll::Ready(None),
        }
    }
}

impl Drop for PageStream {
    fn drop(&mut self) {
        self.cancellation.cancel();
    }
}

/// Sends the pages of a job, then what held it up.
async fn fetch_pages(
    job: Job,
    endpoint: Arc<Endpoint>,
    cancellation: CancellationToken,
    pages: mpsc::Sender<Result<Page>>,
) {
    let mut consumer = Consumer {
        distinct: Distinct::new(job.dataset, job.range),
        filter: None,
        pages,
    };
    let fetched = match check(&job) {
        Ok(()) => fetch::fetch(job, &endpoint, &cancellation, &mut consumer).await,
        Err(error) => Err(error),
    };
    let Consumer {
        distinct,
        filter,
        pages,
    } = consumer;
    let rest = match fetched {
        Ok(()) => distinct.rest(filter).map(Ok).collect(),
        Err(error) => vec![Err(error)],
    };
    for page in rest {
        if pages.send(page).await.is_err() {
            return;
        }
    }
}

/// Checks what an API would answer with an error, or with nothing.
fn check(job: &Job) -> Result<()> {
    let usage = |what: &str, hint: &str| {
        Err(Error::Usage {
            what: what.into(),
            hint: hint.into(),
        })
    };
    if job.bot.trim().is_empty() {
        return usage("the bot is empty", "use the bot's name or id, such as r3-218210");
    }
    if job.range.is_empty() {
        return usage(
            "the range is empty",
            "use an end after the start; the end itself is not included",
        );
    }
    if job.range.start < 0 {
        return usage("the range starts before 1970", "use a start from 1970 on");
    }
    Ok(())
}

/// Passes pages on to the stream.
struct Consumer {
    distinct: Distinct,
    /// The field that the API is proven to filter by.
    filter: Option<Field>,
    pages: mpsc::Sender<Result<Page>>,
}

impl Receiver for Consumer {
    async fn receive(&mut self, event: Event) -> bool {
        self.filter = event.progress.settled_filter;
        let page = event.page;
        let page = page.and_then(|page| self.distinct.add(page, &event.progress.possible_filters));
        match page {
            Some(page) => self.pages.send(Ok(page)).await.is_ok(),
            None => !self.pages.is_closed(),
        }
    }
}
