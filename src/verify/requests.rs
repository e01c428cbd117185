//! Requests one window again, and compares its records with the table's ids.

use std::collections::{BTreeMap, HashSet};

use arrow::array::AsArray;

use super::Verified;
use super::live::SampledWindow;
use crate::api::{ApiRequest, HttpClient, RateLimiter, RequestError, RequestStats};
use crate::dataset::{Dataset, Next, PageError, Peek, PeekedRecord, decode, id_hash, peek, strip};
use crate::error::{Error, Result};
use crate::tombstones::Tombstones;
use crate::window::Window;

/// Maximum number of starts of a window after invalid cursors.
const STARTS: u32 = 3;
/// Maximum number of pages in a row without a new record.
const QUIET_PAGES: u32 = 20;

/// The records of a window from the API.
#[derive(Default)]
pub(super) struct WindowContents {
    pub(super) ids: HashSet<u64>,
    /// Ids that are certainly within the window.
    pub(super) within: HashSet<u64>,
    /// Ids within the window that the table lacks.
    pub(super) missing: HashSet<u64>,
    /// One of these ids as text.
    pub(super) example: Option<String>,
}

/// The context of all requests.
pub(super) struct WindowRequests<'a> {
    pub(super) client: HttpClient,
    pub(super) rate_limiters: BTreeMap<Dataset, RateLimiter>,
    pub(super) stats: RequestStats,
    pub(super) per_page: u32,
    pub(super) verified: &'a Verified,
    /// Erased conversations, which the API may still have.
    pub(super) erased: Option<Tombstones>,
}

impl WindowRequests<'_> {
    /// Requests a window until its cursor is null.
    pub(super) async fn window(&self, sampled: &SampledWindow) -> Result<WindowContents> {
        for _ in 1..STARTS {
            match self.chain(sampled).await {
                Err(Error::Fetch {
                    source: RequestError::CursorExpired { .. } | RequestError::ResponseLost { .. },
                    ..
                }) => {}
                ended => return ended,
            }
        }
        self.chain(sampled).await
    }

    async fn chain(&self, sampled: &SampledWindow) -> Result<WindowContents> {
        // one more second at both ends, whose records are not compared, since bounds may be inclusive or exclusive
        let window = Window::new((sampled.window.start - 1).max(0), sampled.window.end + 1);
        let mut api_request = ApiRequest {
            endpoint: sampled.dataset.endpoint(),
            bot: sampled.bot.clone(),
            window,
            per_page: self.per_page,
            cursor: None,
            conversation: None,
            may_shrink: false,
        };
        let mut answered = WindowContents::default();
        let (mut repeatable, mut quiet) = (true, 0);
        loop {
            let not_fetched = |source| Error::Fetch {
                dataset: sampled.dataset.name(),
                bot: sampled.bot.clone(),
                window: window.to_string(),
                source,
            };
            let rate_limiter = &self.rate_limiters[&sampled.dataset];
            let sent = rate_limiter.permit().await.map_err(not_fetched)?.spend();
            let dataset = sampled.dataset;
            let read = move |body: &[u8]| peek(dataset, body).map_err(|error| error.to_string());
            // if the cursor stays the same, the server advances it with each request
            let page = self
                .client
                .page(&api_request, repeatable, rate_limiter, sent, &self.stats, read)
                .await;
            let (response, page) = page.map_err(not_fetched)?;
            let before = answered.ids.len();
            match self.without_erased(sampled.dataset, &response.body)? {
                Some((body, rest)) => self.add_page(sampled, &rest.records, &body, &mut answered)?,
                None => self.add_page(sampled, &page.records, &response.body, &mut answered)?,
            }
            quiet = if answered.ids.len() > before { 0 } else { quiet + 1 };
            let failed = |what: &str| {
                Err(Error::Chain {
                    dataset: sampled.dataset.name(),
                    bot: sampled.bot.clone(),
                    what: format!("window {window} {what}"),
                })
            };
            match page.cursor {
                Next::End => return Ok(answered),
                Next::Absent if page.records.len() < self.per_page as usize => return Ok(answered),
                Next::Absent => return failed("has a full page without a cursor"),
                Next::Cursor(_) if quiet > QUIET_PAGES => {
                    return failed("does not end, and has no new record");
                }
                Next::Cursor(next) => {
                    repeatable = api_request.cursor.as_deref() != Some(next.as_str());
                    api_request.cursor = Some(next);
                }
            }
        }
    }

    /// Removes erased records from a page; `None` if there are none.
    fn without_erased(&self, dataset: Dataset, body: &[u8]) -> Result<Option<(Vec<u8>, Peek)>> {
        let Some(erased) = &self.erased else {
            return Ok(None);
        };
        let twice = |error: PageError| Error::Internal(error.to_string());
        let Some((body, _)) = strip(dataset, body, |id| erased.contains(id)).map_err(twice)? else {
            return Ok(None);
        };
        let rest = peek(dataset, &body).map_err(twice)?;
        Ok(Some((body, rest)))
    }

    /// Adds a page.
    fn add_page(
        &self,
        sampled: &SampledWindow,
        records: &[PeekedRecord],
        body: &[u8],
        answered: &mut WindowContents,
    ) -> Result<()> {
        let ids = self.verified.ids.get(&(sampled.dataset, sampled.bot.clone()));
        let is_there = |id: u64| ids.is_some_and(|ids| ids.binary_search(&id).is_ok());
        for record in records.iter().filter(|record| !record.rejected) {
            answered.ids.insert(record.id);
            if sampled.contains((record.time, record.last_action)) {
                answered.within.insert(record.id);
                if !is_there(record.id) {
                    answered.missing.insert(record.id);
                }
            }
        }
        if answered.example.is_none() && !answered.missing.is_empty() {
            let decoded =
                decode(sampled.dataset, body).map_err(|error| Error::Internal(error.to_string()))?;
            let ids = decoded
                .batch
                .column(sampled.dataset.id_column())
                .as_string::<i32>();
            let missing = |id: &&str| answered.missing.contains(&id_hash(id));
            answered.example = ids.iter().flatten().find(missing).map(str::to_owned);
        }
        Ok(())
    }
}
