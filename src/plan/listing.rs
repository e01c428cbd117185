//! A listing: a chain that was read to its null cursor. Its window is complete unless the end is suspect.
//!
//! An API can end a listing too early without an error: after a number of records, at a maximum range, after a full
//! page, or because a cursor expired. Ends that look like one of these are suspect: other windows request the suspect
//! part again.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use super::chain::Chain;
use super::observed::{Direction, Field};
use crate::window::Window;

/// Minimum page size at which a full last page is suspect.
const LARGE_PAGE: usize = 10;
/// Part of a page at the end of the longest listing that is requested again.
const TAIL: f64 = 0.5;
/// Minimum length at which listings of equal length are suspect.
const TELLING_LENGTH: usize = 20;
/// Minimum length at which a round number is suspect.
const ROUND_FROM: usize = 100;
/// An end is suspect if the range may have been shortened and this many records are expected in the rest.
const EXPECTED_BEYOND_RANGE: f64 = 3.0;
/// An end is suspect if this many records are expected in the rest, and the rest is longer than all other gaps by
/// this factor.
const EXPECTED_IN_GAP: f64 = 20.0;
const LONGER_THAN_GAPS: i64 = 2;
/// An empty window is split if it is longer than this share of the range, and than this many seconds.
const EMPTY_SHARE: i64 = 32;
const EMPTY_SECONDS: i64 = 86_400;
/// Pages per window after repeated records: less than one, so that no page follows another.
const PART_OF_PAGE: f64 = 0.6;

/// A chain that reached the null cursor.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) covers: Window,
    pub(super) requested: Window,
    /// Number of distinct records.
    pub(super) records: usize,
    /// Their distribution by each field that windows may filter, and by the most likely one.
    by_field: [RecordSpan; 2],
    record_span: RecordSpan,
    page_size: usize,
    ends_full: bool,
    repeats: bool,
    /// Whether it lacks records of other chains.
    pub(super) misses: bool,
    /// Whether its last page had no cursor field.
    pub(super) lacks_cursor_field: bool,
    /// Ids of its records, as long as they may be compared.
    pub(super) ids: HashSet<u64>,
    /// Number of records that only later chains listed for its window.
    pub(super) unlisted: usize,
    /// Whether its window was read again without a new record.
    pub(super) is_checked: bool,
    /// Whether its end was read again with a new record.
    pub(super) is_short: bool,
}

/// Distribution of a listing's records by one of their times.
#[derive(Debug, Clone, Copy)]
struct RecordSpan {
    /// Number of records within the window, and the seconds of the first and the last one.
    inside: usize,
    span: Option<(i64, i64)>,
    /// The part that would lack records if the listing was cut off; `None` for a single page.
    tail: Option<Window>,
    /// The second of the median record, where the window is split.
    middle: i64,
    /// Longest time between two records.
    gap: i64,
    /// Order of the records.
    direction: Option<Direction>,
}

impl RecordSpan {
    fn new(chain: &Chain, field: Field, page_size: usize) -> Self {
        let covers = chain.covers;
        let mut seconds = chain.seconds(field);
        // a second next to the window may have more records than the window
        let middle = seconds.get(seconds.len() / 2).copied();
        let middle = middle.unwrap_or(covers.start + covers.seconds() / 2);
        seconds.retain(|second| covers.contains(*second));
        let gaps = seconds.windows(2).map(|pair| pair[1] - pair[0]);
        Self {
            inside: seconds.len(),
            span: seconds.first().copied().zip(seconds.last().copied()),
            tail: tail(chain, field, &seconds, page_size),
            middle: split(middle, covers),
            gap: gaps.max().unwrap_or(0),
            direction: chain.direction(field),
        }
    }
}

/// Why, and in which part of its window, the end of a listing is suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SuspectEnd {
    pub(super) kind: SuspectKind,
    pub(super) part: Window,
    /// Windows that read the part again end at this second, and have at most this many seconds.
    pub(super) split: i64,
    pub(super) longest: i64,
}

impl SuspectEnd {
    /// Whether other responses may resolve it.
    pub(super) fn may_resolve(&self) -> bool {
        matches!(self.kind, SuspectKind::Gap | SuspectKind::Longest)
    }

    /// Whether its window cannot be split, so that it cannot be read in another way.
    pub(super) fn is_unsplittable(&self) -> bool {
        matches!(self.kind, SuspectKind::Length | SuspectKind::Content) && self.part.seconds() <= 1
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SuspectKind {
    /// The listing may be cut off at a number of records.
    Length,
    /// The listing is the longest of all, so it may be cut off.
    Longest,
    /// The listing lacks known records, or repeats some.
    Content,
    /// There is no record near one end: the range may have been shortened, or the listing ended early.
    Gap,
}

/// Evidence from all chains.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ListingEvidence {
    /// Known number of records at which listings end.
    pub(super) cap: Option<usize>,
    /// Maximum records of a chain, and the number of listings with exactly as many.
    pub(super) longest: usize,
    pub(super) as_long: usize,
    /// Maximum records of a listing that was checked successfully.
    pub(super) checked: usize,
    /// Longest distances from the start of a window to a record, and from a record to the end.
    pub(super) reach: [i64; 2],
    /// Known maximum range in seconds.
    pub(super) longest_range: Option<i64>,
    /// Longest time without a record.
    pub(super) gap: i64,
    /// Records per second of all listings.
    pub(super) rate: f64,
    /// Whether a range is read, not a single conversation.
    pub(super) is_range: bool,
    /// Seconds from the start to the end of the requested range.
    pub(super) seconds: i64,
}

impl Listing {
    /// Creates the listing of a chain that ended.
    pub(super) fn new(chain: &Chain, page_size: usize, lacks_cursor_field: bool) -> Self {
        let by_field = [Field::Time, Field::LastAction].map(|field| RecordSpan::new(chain, field, page_size));
        Self {
            covers: chain.covers,
            requested: chain.requested,
            records: chain.records.len(),
            by_field,
            record_span: by_field[0],
            page_size,
            ends_full: chain.last_page >= page_size.min(chain.per_page as usize),
            repeats: chain.repeats > 0 && chain.pages > 1,
            misses: false,
            lacks_cursor_field,
            ids: chain.records.keys().copied().collect(),
            unlisted: 0,
            is_checked: false,
            is_short: false,
        }
    }

    /// Uses the distribution by the field that windows probably filter; `None` if it is unknown.
    pub(super) fn use_field(&mut self, field: Option<Field>) {
        self.record_span = match field {
            Some(field) => self.by_field[field as usize],
            None => RecordSpan {
                inside: self.records,
                span: None,
                tail: None,
                ..self.record_span
            },
        };
    }

    /// Returns the longest time between two records, or without any.
    pub(super) fn gap(&self) -> i64 {
        match self.records {
            0 => self.covers.seconds(),
            _ => self.record_span.gap,
        }
    }

    /// Returns whether and where its end is suspect.
    pub(super) fn suspect_end(&self, evidence: &ListingEvidence) -> Option<SuspectEnd> {
        let suspect_window = |kind, longest: i64| SuspectEnd {
            kind,
            part: self.covers,
            split: self.record_span.middle,
            longest: longest.max(1),
        };
        if self.may_be_cut(evidence) {
            return Some(suspect_window(SuspectKind::Length, i64::MAX));
        }
        if !self.is_checked && self.repeats {
            let pages = self.records as f64 / (PART_OF_PAGE * self.page_size as f64);
            let longest = self.covers.seconds() as f64 / pages.max(2.0);
            return Some(suspect_window(
                SuspectKind::Content,
                super::density::rounded(longest),
            ));
        }
        if !self.is_checked && self.misses {
            return Some(suspect_window(SuspectKind::Content, i64::MAX));
        }
        if !evidence.is_range {
            return None;
        }
        if !self.is_checked
            && self.is_longest(evidence)
            && let Some(part) = self.record_span.tail
        {
            return Some(SuspectEnd {
                kind: SuspectKind::Longest,
                part,
                split: part.end,
                longest: i64::MAX,
            });
        }
        match self.record_span.inside {
            0 => self.empty_window(evidence),
            _ => self.gap_at_end(evidence),
        }
    }

    fn is_longest(&self, evidence: &ListingEvidence) -> bool {
        self.records >= evidence.longest && self.records > evidence.checked
    }

    /// Whether it may be cut off at a number of records.
    fn may_be_cut(&self, evidence: &ListingEvidence) -> bool {
        if evidence.cap.is_some_and(|cap| self.records >= cap) {
            return true;
        }
        if self.is_short {
            return true;
        }
        if self.is_checked || self.records == 0 {
            return false;
        }
        let is_longest = self.is_longest(evidence);
        let is_divisible = self.covers.seconds() > 1;
        let is_full = self.ends_full && is_divisible && (self.page_size >= LARGE_PAGE || is_longest);
        let has_equals =
            self.records >= TELLING_LENGTH && self.records >= evidence.longest && evidence.as_long > 1;
        is_full || has_equals || (is_longest && is_round(self.records))
    }

    /// Returns the part after the last or before the first record, if it is unlikely to be empty.
    fn gap_at_end(&self, evidence: &ListingEvidence) -> Option<SuspectEnd> {
        let (first, last) = self.record_span.span?;
        let Window { start, end } = self.covers;
        let records = self.record_span.inside as f64;
        // after the last record, and before the first one
        let minute = last + 1 - (last + 1).rem_euclid(60);
        let rest = if minute > start { minute } else { last + 1 };
        let behind = (last - start, end - last, Window::new(rest, end));
        let before = (end - first, first - start, Window::new(start, first));
        let direction = self.record_span.direction;
        [
            (
                behind,
                evidence.reach[0],
                direction != Some(Direction::Descending),
            ),
            (before, evidence.reach[1], direction != Some(Direction::Ascending)),
        ]
        .into_iter()
        .filter_map(|((filled, rest, part), reach, is_end)| {
            let rate = records / (filled + 1) as f64;
            let beyond = self.covers.seconds() - reach.max(filled);
            let is_too_long = evidence
                .longest_range
                .is_some_and(|range| self.covers.seconds() > range);
            let may_be_shortened =
                rate * beyond as f64 >= EXPECTED_BEYOND_RANGE || (is_too_long && beyond > 0);
            let breaks_off = is_end
                && records >= EXPECTED_IN_GAP
                && rate.min(evidence.rate) * rest as f64 >= EXPECTED_IN_GAP
                && rest > LONGER_THAN_GAPS * evidence.gap;
            let is_suspect = (may_be_shortened || breaks_off) && !part.is_empty();
            is_suspect.then_some((rest, part))
        })
        .max_by_key(|(rest, _)| *rest)
        .map(|(_, part)| SuspectEnd {
            kind: SuspectKind::Gap,
            part,
            split: part.end,
            longest: i64::MAX,
        })
    }

    /// Checks a long window without records.
    fn empty_window(&self, evidence: &ListingEvidence) -> Option<SuspectEnd> {
        let served = evidence.reach[0].min(evidence.reach[1]);
        let longest = match evidence.longest_range {
            Some(range) => range,
            None => served.max(evidence.seconds / EMPTY_SHARE).max(EMPTY_SECONDS),
        };
        (self.covers.seconds() > longest.max(served)).then_some(SuspectEnd {
            kind: SuspectKind::Gap,
            part: self.covers,
            split: self.covers.end,
            longest,
        })
    }

    /// Whether its ids are available.
    pub(super) fn is_comparable(&self) -> bool {
        !self.ids.is_empty() || self.records == 0
    }

    /// Counts the records of another chain, sorted by second, that are in its window but not in this listing.
    pub(super) fn compare(&mut self, records: &[(i64, u64)]) {
        // bounds are not exact to the second
        let (from, to) = (self.covers.start + 1, self.covers.end - 1);
        let before = |bound: i64| records.partition_point(|(second, _)| *second < bound);
        let inner = &records[before(from)..before(to).max(before(from))];
        self.unlisted += inner.iter().filter(|(_, id)| !self.ids.contains(id)).count();
    }
}

/// Returns where to split a window near `middle`: at a whole minute if possible.
fn split(middle: i64, covers: Window) -> i64 {
    let minute = middle - middle.rem_euclid(60);
    match minute > covers.start {
        true if minute < covers.end && covers.seconds() > 120 => minute,
        _ => middle.min(covers.end - 1).max(covers.start + 1),
    }
}

/// Returns where a listing would lack records if it was cut off, by the order of its records.
fn tail(chain: &Chain, field: Field, seconds: &[i64], page_size: usize) -> Option<Window> {
    let records = super::density::rounded(page_size as f64 * TAIL);
    let records = usize::try_from(records).ok().filter(|_| chain.pages > 1)?;
    let covers = chain.covers;
    let part = match chain.direction(field) {
        Some(Direction::Descending) => Window::new(covers.start, *seconds.get(records)? + 1),
        Some(Direction::Ascending) => {
            Window::new(*seconds.get(seconds.len().checked_sub(records + 1)?)?, covers.end)
        }
        None => {
            // around its end
            let last = chain.last_marks(field).last()?;
            let at = seconds.partition_point(|second| second < last);
            let (from, to) = (
                at.saturating_sub(records),
                (at + records).min(seconds.len().checked_sub(1)?),
            );
            Window::new(*seconds.get(from)?, seconds.get(to)? + 1)
        }
    };
    let part = part.intersect(covers);
    (part != covers && !part.is_empty()).then_some(part)
}

/// Whether a number is a typical limit.
fn is_round(records: usize) -> bool {
    let near = |step: usize| (records + 1) % step <= 2;
    match records {
        0..ROUND_FROM => false,
        _ if records.is_power_of_two() => true,
        ROUND_FROM..1_000 => records.is_multiple_of(100),
        _ => records.is_multiple_of(500) || near(1_000),
    }
}
