//! What to fetch of one dataset of one bot.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::api::{ApiRequest, RequestStats};
use crate::dataset::Dataset;
use crate::plan::{Knowledge, PageRequest};
use crate::spool::PageHeader;
use crate::window::{Window, Windows};

/// Pages of time that has not settled count for this long.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// A chain is not continued after so long.
const STALE: SignedDuration = SignedDuration::from_mins(15);

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Job {
    /// The dataset.
    pub dataset: Dataset,
    /// The bot.
    pub bot: String,
    /// The range that the run exports.
    pub range: Window,
    /// What of it is missing.
    pub missing: Windows,
    /// Only the messages of this conversation.
    pub conversation: Option<String>,
    /// Records to request in a page.
    pub per_page: u32,
    /// Names the run in the headers of pages.
    pub run: String,
    /// Pages that earlier runs spooled, in the order in which they were answered.
    pub spooled: Vec<PageHeader>,
    /// What of that is complete and re-fetched.
    pub refetched: Windows,
    /// Time to re-fetch, where pages with smaller numbers than these prove nothing.
    pub refetches: Vec<(Windows, u64)>,
    /// What earlier runs learned of the API.
    pub knowledge: Knowledge,
    /// Records over time, as far as earlier runs saw them.
    pub density: Vec<(Window, u64)>,
    /// What is younger than this when it is requested is not complete.
    pub settle: SignedDuration,
    /// What requests have cost so far.
    pub stats: Arc<RequestStats>,
}

/// Whether the second of two pages of a chain was requested so long after the first that it may not follow it: where a
/// cursor is a number of records to skip, records that were deleted meanwhile would be skipped.
pub(super) fn is_stale(before: Timestamp, after: Timestamp) -> bool {
    after.duration_since(before) > STALE
}

impl Job {
    /// Whether a page was requested before its window had settled, and so long ago that the window may list more now.
    pub(super) fn is_outdated(&self, page: &PageHeader) -> bool {
        let settled = page
            .requested_at
            .checked_sub(self.settle)
            .map(Timestamp::as_second);
        let was_young = settled.is_ok_and(|settled| page.covers.end > settled);
        was_young && Timestamp::now().duration_since(page.requested_at) > FRESH
    }

    /// Whether a page says something about what is there now.
    #[must_use]
    pub fn is_current(&self, page: &PageHeader) -> bool {
        let mut refetches = self.refetches.iter();
        let same_question = page.conversation == self.conversation;
        same_question
            && refetches
                .all(|(ranges, since)| page.sequence >= *since || ranges.intersect(page.requested).is_empty())
    }

    /// The request of a page, and the header that its page gets. Chains of an earlier run continue under the names in
    /// `names`: their run, and their number in it.
    pub(super) fn request(&self, request: &PageRequest, names: &[(String, u32)]) -> (ApiRequest, PageHeader) {
        let number = request.chain.number();
        let resumed = usize::try_from(number).ok().and_then(|number| names.get(number));
        let (run, chain) = resumed.cloned().unwrap_or_else(|| (self.run.clone(), number));
        let api_request = ApiRequest {
            endpoint: self.dataset.endpoint(),
            bot: self.bot.clone(),
            window: request.requested,
            per_page: request.per_page,
            cursor: request.cursor.clone(),
            conversation: self.conversation.clone(),
            may_shrink: request.may_shrink,
        };
        let header = PageHeader {
            sequence: 0,
            dataset: self.dataset.name().to_owned(),
            bot: self.bot.clone(),
            run,
            chain,
            index: request.index,
            covers: request.covers,
            requested: request.requested,
            range: self.range,
            per_page: request.per_page,
            cursor: request.cursor.clone(),
            conversation: self.conversation.clone(),
            erased: 0,
            requested_at: Timestamp::UNIX_EPOCH,
        };
        (api_request, header)
    }
}
