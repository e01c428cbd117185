//! Finds limits of the server: page size, length of listings, length of ranges.
//!
//! If the first page is refused, requests adapt to it by the planner's rules. So the limits are those that an export
//! would find.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::record_scan::order;
use super::{DoctorReport, Examination, ListingLimit, MOST_PER_PAGE, RangeLimit};
use crate::api::{ApiRequest, RequestError, Response};
use crate::dataset::{Next, Peek, PeekedRecord};
use crate::error::{Error, Result};
use crate::plan::{self, Direction, Field, Planner, RANGES};
use crate::window::Window;

/// Maximum pages of a listing that are read: more than 10,000 records, after which many servers end a listing.
const LISTING_PAGES: usize = 11;
/// Listings with fewer records are too short to be cut off.
const SHORTEST_LISTING: usize = 100;
/// Records, and share of a page, that may be inserted into a window between two requests.
const NEW: usize = 3;
const SHARE: usize = 50;
/// Younger time may still get records.
const SETTLE: SignedDuration = SignedDuration::from_mins(15);
/// Maximum range. APIs of this kind have no records from 10 years ago or from the future, so a range that reaches as
/// far without records was shortened.
const LONGEST_RANGE: i64 = 3_650 * 86_400;

/// How a range with a known record was served.
enum Served {
    /// Completely, for at least this many seconds.
    For(i64),
    /// It was refused.
    Refused,
    /// Without the record.
    Shortened,
    /// Unknown, for this reason.
    Unclear(String),
}

impl Examination<'_> {
    /// Requests the first page of the range, with smaller pages or a shorter range if the server refuses it.
    pub(super) async fn first_page(&mut self) -> Result<(Response, Peek)> {
        let options = plan::PlanOptions {
            per_page: MOST_PER_PAGE,
            max_in_flight: 1,
            ..plan::PlanOptions::default()
        };
        let mut planner = Planner::new(vec![self.range], options);
        let mut refused = None;
        while let Some(request) = planner.next() {
            let api_request = ApiRequest {
                per_page: request.per_page,
                may_shrink: request.may_shrink,
                ..self.api_request(request.covers, None)
            };
            match self.try_page(&api_request).await {
                Ok(page) => {
                    (self.range, self.limits) = (request.covers, planner.limits());
                    return Ok(page);
                }
                Err(RequestError::PageTooLarge { failure }) => {
                    planner.page_too_large(&request, failure.is_page_too_large());
                }
                Err(RequestError::Failed { failure }) if failure.may_be_refused_range() => {
                    // if no range is served, the first refusal shows the reason
                    let (api_request, failure) = refused.get_or_insert((api_request, failure)).clone();
                    if !planner.range_refused(&request) {
                        return Err(self.not_fetched(api_request, RequestError::Failed { failure }));
                    }
                }
                Err(error) => return Err(self.not_fetched(api_request, error)),
            }
        }
        Err(Error::Internal("the planner has no first request".into()))
    }

    /// Finds where listings end: reads the listing that begins with `pages`, and then the window after its last
    /// record.
    pub(super) async fn listing_limit(
        &mut self,
        pages: &mut Vec<Peek>,
        report: &DoctorReport,
    ) -> ListingLimit {
        while let Some(Next::Cursor(cursor)) = pages.last().map(|page| page.cursor.clone())
            && pages.len() < LISTING_PAGES
        {
            match self.try_page(&self.api_request(self.range, Some(cursor))).await {
                Ok((_, page)) => pages.push(page),
                Err(error) => {
                    return ListingLimit::Unclear {
                        why: error.to_string(),
                    };
                }
            }
        }
        let records: Vec<&PeekedRecord> = pages.iter().flat_map(|page| &page.records).collect();
        let ids: HashSet<u64> = records.iter().map(|record| record.id).collect();
        let listed = ids.len();
        let goes_on = pages
            .last()
            .is_some_and(|page| matches!(page.cursor, Next::Cursor(_)));
        if goes_on || listed < SHORTEST_LISTING {
            return ListingLimit::NotMet { listed };
        }
        let field = report.bounds.filter.unwrap_or(Field::Time);
        let Some(unread) = self.unread(pages, &records, field) else {
            return ListingLimit::NotMet { listed };
        };
        match self.try_page(&self.api_request(unread, None)).await {
            Err(error) => ListingLimit::Unclear {
                why: error.to_string(),
            },
            Ok((_, page)) => {
                let new = page
                    .records
                    .iter()
                    .filter(|record| !ids.contains(&record.id))
                    .count();
                if new > NEW + page.records.len() / SHARE {
                    self.limits.listing_cap = Some(listed);
                    ListingLimit::EndsAt { records: listed }
                } else {
                    ListingLimit::NotMet { listed }
                }
            }
        }
    }

    /// Returns the part that a listing lacks if it was cut off: after its last record or, if records are unordered,
    /// its end with about half a page of known records. `None` if no such time has settled.
    fn unread(&self, pages: &[Peek], records: &[&PeekedRecord], field: Field) -> Option<Window> {
        let mut seconds: Vec<i64> = records
            .iter()
            .filter_map(|record| second(record, field))
            .collect();
        seconds.sort_unstable();
        let (first, last) = (*seconds.first()?, *seconds.last()?);
        let settled = (Timestamp::now() - SETTLE).as_second();
        let part = match order(pages, Some(field)).filter(|order| order.field == field) {
            Some(order) if order.direction == Direction::Descending => Window::new(self.range.start, first),
            Some(_) => Window::new(last + 1, self.range.end),
            None => {
                // the missing records may be the last ones of each window, so the complete window must fit into one
                // page
                let page = self.limits.largest_page.unwrap_or(MOST_PER_PAGE) as usize;
                let at = seconds.len().saturating_sub(page * 6 / 10);
                Window::new(seconds[at.min(seconds.len() - 1)], self.range.end)
            }
        };
        let part = part.intersect(Window::new(self.range.start, settled.max(self.range.start)));
        (!part.is_empty()).then_some(part)
    }

    /// Finds the longest range: ranges that end or begin with a record must list it.
    pub(super) async fn range_limit(&mut self, pages: &[Peek]) -> RangeLimit {
        if let Some(longest) = self.limits.longest_range {
            // the range itself was refused
            let longest_seconds = Some(longest);
            return RangeLimit::Refused { longest_seconds };
        }
        let records = pages.iter().flat_map(|page| &page.records);
        let records = records.filter(|record| !record.rejected && record.time.is_some());
        let [first, last] = [
            records.clone().min_by_key(|record| record.time),
            records.max_by_key(|record| record.time),
        ];
        let (Some(first), Some(last)) = (first, last) else {
            let why = "there is no record to look for".into();
            return RangeLimit::Unclear { why };
        };
        let mut served_seconds = LONGEST_RANGE;
        // few other records are before the first one, and after the last one
        for (record, is_back) in [(first, true), (last, false)] {
            let mut limit = None;
            for seconds in [LONGEST_RANGE].into_iter().chain(RANGES) {
                match self.serves(record, seconds, is_back).await {
                    Served::Unclear(why) => return RangeLimit::Unclear { why },
                    Served::Refused if is_back => limit = Some(true),
                    Served::Refused => {
                        // the server may refuse any range in the future
                        let why = "a range that reaches into the future is refused".into();
                        return RangeLimit::Unclear { why };
                    }
                    Served::Shortened => limit = limit.or(Some(false)),
                    Served::For(served) => {
                        let Some(is_refused) = limit else {
                            served_seconds = served_seconds.min(served);
                            break;
                        };
                        let is_exact = is_refused || served >= seconds;
                        let longest_seconds = is_exact.then_some(seconds);
                        self.limits.longest_range = longest_seconds;
                        return match is_refused {
                            true => RangeLimit::Refused { longest_seconds },
                            false => RangeLimit::Shortened { longest_seconds },
                        };
                    }
                }
            }
            if limit.is_some() {
                let why = "not even the hour around a record lists it".into();
                return RangeLimit::Unclear { why };
            }
        }
        RangeLimit::NotMet { served_seconds }
    }

    /// Tests a range of so many seconds that ends with a record (`is_back`) or begins with it.
    async fn serves(&self, record: &PeekedRecord, seconds: i64, is_back: bool) -> Served {
        // any of its times may be filtered, and bounds may not be exact
        let times = [Field::Time, Field::LastAction].map(|field| second(record, field));
        let times = times.into_iter().flatten();
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
            return Served::Unclear("the record has no time".into());
        };
        let window = match is_back {
            true => Window::new((last + 2 - seconds).max(0), last + 2),
            false => Window::new(first - 1, first - 1 + seconds),
        };
        let page = match self.attempt(&self.api_request(window, None)).await {
            Err(failure) if failure.may_be_refused_range() => return Served::Refused,
            Err(failure) => return Served::Unclear(failure.to_string()),
            Ok(page) => page,
        };
        if page.records.iter().any(|listed| listed.id == record.id) {
            return Served::For(seconds);
        }
        if !matches!(page.cursor, Next::Cursor(_)) {
            return Served::Shortened;
        }
        // the record may be on a later page: check the distance of this page's records from the bound
        let listed = page
            .records
            .iter()
            .filter_map(|record| second(record, Field::Time));
        let distance = match is_back {
            true => listed.max().map(|last| last - window.start),
            false => listed.min().map(|first| window.end - first),
        };
        Served::For(distance.unwrap_or(0).clamp(0, seconds))
    }
}

fn second(record: &PeekedRecord, field: Field) -> Option<i64> {
    let micros = match field {
        Field::Time => record.time,
        Field::LastAction => record.last_action,
    };
    micros.map(|micros| micros.div_euclid(1_000_000))
}
