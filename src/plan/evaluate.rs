//! Evaluates all chains together: what is complete, which ends are suspect, and which chains to abandon.

use std::collections::HashSet;

use super::chain::Chain;
use super::density::as_f64;
use super::listing::{Listing, ListingEvidence, SuspectEnd, SuspectKind};
use super::{PlanError, Planner};
use crate::window::{Window, Windows};

/// A chain is abandoned if it is this many times longer than the planned maximum,
const LONG: f64 = 2.0;
/// and has read less than this share of the rest;
const READ: f64 = 0.5;
/// or if it would take this much longer than everything else,
const TOO_LONG: f64 = 1.0;
/// in addition to this share of the complete job, and this many pages.
const SPARE: f64 = 0.08;
const FLAT: f64 = 2.0;
/// Maximum records of an abandoned chain that later listings are compared with.
const MAX_ABANDONED_RECORDS: usize = 100;
/// No server shortens ranges of an hour.
const SHORTEST_RANGE: i64 = 3_600;
/// Number of records that may be inserted into a window between two listings.
const NEW: usize = 3;

impl Planner {
    /// Abandons a chain. Listings of its window are compared with its records.
    pub(super) fn abandon(&mut self, at: usize) {
        let chain = &mut self.chains[at];
        if let Some(field) = self.observations.likely_filter() {
            let step = chain.records.len().div_ceil(MAX_ABANDONED_RECORDS).max(1);
            let records = chain.records.iter().step_by(step);
            let abandoned_records =
                records.filter_map(|(id, seconds)| Some(((seconds[field as usize]?, *id), 0)));
            self.abandoned_records.extend(abandoned_records);
        }
        chain.abandon();
    }

    /// Updates everything that is derived from listings, and abandons chains that are too long.
    pub(super) fn evaluate(&mut self) {
        while self.derive() {}
        self.update_scale();
        self.abandon_the_long();
    }

    /// Derives the complete windows and suspect ends from the listings. Returns whether they must be derived again.
    fn derive(&mut self) -> bool {
        let field = self.observations.likely_filter();
        self.listings
            .iter_mut()
            .for_each(|listing| listing.use_field(field));
        let evidence = self.collect_evidence();
        self.evidence = evidence;
        self.complete = Windows::new();
        self.unlisted = self.ranges.clone();
        self.suspect_ends.clear();
        let mut suspects = Vec::new();
        for (at, listing) in self.listings.iter().enumerate() {
            self.unlisted.subtract(listing.covers);
            match listing.suspect_end(&evidence) {
                None => self.complete.insert(listing.covers),
                Some(suspect)
                    if suspect.kind == SuspectKind::Gap && self.density.is_known_empty(suspect.part) =>
                {
                    self.complete.insert(listing.covers);
                }
                Some(suspect) => {
                    let mut believed: Windows = std::iter::once(listing.covers).collect();
                    believed.subtract(suspect.part);
                    self.complete.extend(believed.iter().copied());
                    suspects.push((at, suspect));
                }
            }
        }
        let mut changed = false;
        for (at, suspect) in suspects {
            let is_read = self.complete.covers(suspect.part);
            let listing = &mut self.listings[at];
            if is_read && listing.unlisted == 0 {
                let is_new =
                    suspect.kind != SuspectKind::Gap && !listing.is_checked && listing.is_comparable();
                listing.is_checked |= is_new;
                changed |= is_new;
                if is_new && suspect.kind != SuspectKind::Content {
                    self.evidence.checked = self.evidence.checked.max(listing.records);
                }
            } else if listing.unlisted > 0 {
                changed |= self.confirm_suspect(at, suspect);
            }
            if !is_read {
                self.suspect_ends.push(suspect);
            }
        }
        // keep only ids that may be compared; the longest listing may become suspect because of the next one
        let longest = self.evidence.longest;
        let is_suspect = |covers: Window| {
            let mut parts = self
                .suspect_ends
                .iter()
                .map(|suspect| suspect.part.intersect(covers));
            parts.any(|part| !part.is_empty())
        };
        for listing in self.listings.iter_mut().filter(|listing| !listing.ids.is_empty()) {
            if listing.records < longest && !is_suspect(listing.covers) {
                listing.ids = HashSet::new();
            }
        }
        changed
    }

    /// Collects the evidence of all chains.
    fn collect_evidence(&self) -> ListingEvidence {
        let mut evidence = self.evidence;
        let longest = evidence.longest;
        let mut as_long = self.listings.iter().filter(|listing| listing.records == longest);
        // windows that overlap or are adjacent can have the same records
        evidence.as_long = as_long.next().map_or(0, |first| {
            let around = Window::new(first.requested.start - 2, first.requested.end + 2);
            1 + as_long
                .filter(|other| other.requested.intersect(around).is_empty())
                .count()
        });
        // a longer chain disproves the limit
        evidence.cap = self.limits.listing_cap.filter(|cap| longest <= *cap);
        evidence.longest_range = self.limits.longest_range;
        let read: i64 = self.listings.iter().map(|listing| listing.covers.seconds()).sum();
        let records: usize = self.listings.iter().map(|listing| listing.records).sum();
        evidence.rate = as_f64(records) / as_f64(read.max(1));
        let gaps = self.listings.iter().map(Listing::gap);
        evidence.gap = gaps.max().unwrap_or(0);
        evidence
    }

    /// Other windows have new records of a suspect part, so its end was wrong. Returns whether this reveals a limit.
    fn confirm_suspect(&mut self, at: usize, suspect: SuspectEnd) -> bool {
        let listing = &mut self.listings[at];
        let records = listing.records;
        match suspect.kind {
            SuspectKind::Length | SuspectKind::Longest => {
                // a few may have been inserted meanwhile
                let is_cap = listing.unlisted > NEW + records / 50
                    && records >= self.evidence.longest
                    && self.limits.listing_cap.is_none_or(|cap| records < cap);
                if is_cap {
                    self.limits.listing_cap = Some(records);
                }
                let is_new = suspect.kind == SuspectKind::Longest && !listing.is_short;
                listing.is_short |= is_new;
                is_cap || is_new
            }
            SuspectKind::Gap => {
                let served = self.evidence.reach[0].min(self.evidence.reach[1]).max(1);
                let is_shorter = self.limits.longest_range.is_none_or(|known| served < known);
                let is_limit = listing.requested.seconds() > served && is_shorter && served >= SHORTEST_RANGE;
                if is_limit {
                    self.limits.longest_range = Some(served);
                }
                is_limit
            }
            SuspectKind::Content => {
                let pages = if records > self.page_size {
                    0.6
                } else {
                    self.window_pages
                };
                self.window_pages = self.window_pages.min(pages);
                false
            }
        }
    }

    /// If nothing else is left, fails with a window whose end is suspect and that cannot be split.
    pub(super) fn check_end(&self) -> Result<(), PlanError> {
        if self.in_flight > 0 || self.is_done() || self.wants() {
            return Ok(());
        }
        let Some(suspect) = self
            .suspect_ends
            .iter()
            .rfind(|suspect| suspect.is_unsplittable())
        else {
            return Ok(());
        };
        let mut listings = self.listings.iter().rev();
        let Some(listing) = listings.find(|listing| listing.covers == suspect.part) else {
            return Ok(());
        };
        let window = listing.requested;
        Err(match listing.lacks_cursor_field && !self.cursor_field_seen {
            true => PlanError::CursorMissing { window },
            false => PlanError::UncertainEnd {
                window,
                records: listing.records,
            },
        })
    }

    /// Abandons the chains that an earlier run abandoned: windows overlap only if a later one replaced an earlier
    /// one.
    pub(super) fn abandon_the_replaced(&mut self) {
        for at in 0..self.chains.len() {
            let covers = self.chains[at].covers;
            let mut later = self.chains[at + 1..].iter();
            let is_replaced = |chain: &Chain| !chain.covers.intersect(covers).is_empty();
            if self.chains[at].is_open() && later.any(is_replaced) {
                self.abandon(at);
            }
        }
    }

    /// Abandons chains that are far longer than planned, which splits their windows.
    fn abandon_the_long(&mut self) {
        if !self.options.splits {
            return;
        }
        let concurrency = as_f64(self.concurrency);
        for at in 0..self.chains.len() {
            let chain = &self.chains[at];
            if !chain.is_ready() || chain.pages == 0 || chain.covers.seconds() < 2 {
                continue;
            }
            let sample = self.density.sample.as_ref();
            if sample.is_some_and(|sample| sample.is_indivisible(chain.covers)) {
                continue;
            }
            let (left, read) = (self.chain_left(at), f64::from(chain.pages));
            let is_known = self.density.is_known() || self.direction(at).is_some();
            let is_long = is_known && left + read > LONG * self.most_pages() && read < READ * left;
            let (others, all) = (self.pages_left() + read, self.pages_left() + self.pages as f64);
            let apart = (TOO_LONG * others + SPARE * all) / concurrency + FLAT;
            let is_last = self.concurrency > 1
                && left > apart + read / concurrency
                && (!is_known || read < READ * left)
                && self.abandoned < 2 * self.concurrency;
            if is_long || is_last {
                let covers = chain.covers;
                let end = self.too_long.entry(covers.start).or_insert(covers.end);
                *end = covers.end.min(*end);
                self.abandon(at);
                self.abandoned += 1;
            }
        }
    }
}
