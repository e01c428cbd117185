//! Requests one window again, page by page, and compares the records with the ids of the table.

use std::collections::{BTreeMap, HashSet};

use arrow::array::AsArray;

use super::Verified;
use super::live::Chosen;
use crate::api::{ApiRequest, Budget, HttpClient, RequestError, RequestStats};
use crate::dataset::{Dataset, Next, PageError, Peek, PeekedRecord, decode, id_hash, peek, strip};
use crate::error::{Error, Result};
use crate::tombstones::Tombstones;
use crate::window::Window;

/// A window is started again so often after its cursor died.
const STARTS: u32 = 3;
/// So many pages in a row may bring nothing new.
const QUIET_PAGES: u32 = 20;

/// What the API answered of one window.
#[derive(Default)]
pub(super) struct Answered {
    pub(super) ids: HashSet<u64>,
    /// Those of them that lie surely within the window.
    pub(super) within: HashSet<u64>,
    /// Those of these that the table lacks.
    pub(super) missing: HashSet<u64>,
    /// The id of one of them.
    pub(super) example: Option<String>,
}

/// What all questions share.
pub(super) struct Desk<'a> {
    pub(super) client: HttpClient,
    pub(super) budgets: BTreeMap<Dataset, Budget>,
    pub(super) stats: RequestStats,
    pub(super) per_page: u32,
    pub(super) verified: &'a Verified,
    /// What must not be in the table, though the API may have it.
    pub(super) erased: Option<Tombstones>,
}

impl Desk<'_> {
    /// Asks for a window until its cursor is null.
    pub(super) async fn window(&self, chosen: &Chosen) -> Result<Answered> {
        for _ in 1..STARTS {
            match self.chain(chosen).await {
                Err(Error::Fetch {
                    source: RequestError::CursorDied { .. } | RequestError::Lost { .. },
                    ..
                }) => {}
                ended => return ended,
            }
        }
        self.chain(chosen).await
    }

    async fn chain(&self, chosen: &Chosen) -> Result<Answered> {
        // a second more at both ends, whose records are not compared: the bounds may be inclusive or exclusive
        let window = Window::new((chosen.window.start - 1).max(0), chosen.window.end + 1);
        let mut ask = ApiRequest {
            endpoint: chosen.dataset.endpoint(),
            bot: chosen.bot.clone(),
            window,
            per_page: self.per_page,
            cursor: None,
            conversation: None,
            may_shrink: false,
        };
        let mut answered = Answered::default();
        let (mut moves, mut quiet) = (true, 0);
        loop {
            let not_fetched = |source| Error::Fetch {
                dataset: chosen.dataset.name(),
                bot: chosen.bot.clone(),
                window: window.to_string(),
                source,
            };
            let budget = &self.budgets[&chosen.dataset];
            let sent = budget.permit().await.map_err(not_fetched)?.spend();
            let dataset = chosen.dataset;
            let read = move |body: &[u8]| peek(dataset, body).map_err(|error| error.to_string());
            // where the cursor stays the same, the server moves on at each request
            let page = self
                .client
                .page(&ask, moves, budget, sent, &self.stats, read)
                .await;
            let (answer, page) = page.map_err(not_fetched)?;
            let before = answered.ids.len();
            match self.stripped(chosen.dataset, &answer.body)? {
                Some((body, rest)) => self.take(chosen, &rest.records, &body, &mut answered)?,
                None => self.take(chosen, &page.records, &answer.body, &mut answered)?,
            }
            quiet = if answered.ids.len() > before { 0 } else { quiet + 1 };
            let failed = |what: &str| {
                Err(Error::Chain {
                    dataset: chosen.dataset.name(),
                    bot: chosen.bot.clone(),
                    what: format!("window {window} {what}"),
                })
            };
            match page.cursor {
                Next::End => return Ok(answered),
                Next::Absent if page.records.len() < self.per_page as usize => return Ok(answered),
                Next::Absent => return failed("answered a full page without a cursor"),
                Next::Cursor(_) if quiet > QUIET_PAGES => {
                    return failed("goes on and on without a new record");
                }
                Next::Cursor(next) => {
                    moves = ask.cursor.as_deref() != Some(next.as_str());
                    ask.cursor = Some(next);
                }
            }
        }
    }

    /// A page without what was erased; `None` where nothing of it was.
    fn stripped(&self, dataset: Dataset, body: &[u8]) -> Result<Option<(Vec<u8>, Peek)>> {
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

    /// Takes a page in.
    fn take(
        &self,
        chosen: &Chosen,
        records: &[PeekedRecord],
        body: &[u8],
        answered: &mut Answered,
    ) -> Result<()> {
        let ids = self.verified.ids.get(&(chosen.dataset, chosen.bot.clone()));
        let is_there = |id: u64| ids.is_some_and(|ids| ids.binary_search(&id).is_ok());
        for record in records.iter().filter(|record| !record.rejected) {
            answered.ids.insert(record.id);
            if chosen.holds((record.time, record.last_action)) {
                answered.within.insert(record.id);
                if !is_there(record.id) {
                    answered.missing.insert(record.id);
                }
            }
        }
        if answered.example.is_none() && !answered.missing.is_empty() {
            let decoded = decode(chosen.dataset, body).map_err(|error| Error::Internal(error.to_string()))?;
            let ids = decoded
                .batch
                .column(chosen.dataset.id_column())
                .as_string::<i32>();
            let missing = |id: &&str| answered.missing.contains(&id_hash(id));
            answered.example = ids.iter().flatten().find(missing).map(str::to_owned);
        }
        Ok(())
    }
}
