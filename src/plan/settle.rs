//! What an answer changes: densities, listings, doubts, what is complete, and which chains are abandoned.

use std::collections::HashSet;

use super::chain::{Chain, CursorSign, State};
use super::density::as_f64;
use super::listing::{Doubt, Kind, Listing, Shown};
use super::sample::Sample;
use super::{CursorStyle, Direction, Field, Next, PageFacts, PlanError, Planner};
use crate::window::{Window, Windows};

/// A chain is abandoned where it is so many times longer than windows are planned to be.
const LONG: f64 = 2.0;
/// And it has read less than this share of them.
const READ: f64 = 0.5;
/// And where it would take this much longer than everything else.
const TOO_LONG: f64 = 1.0;
/// Beside a share of the whole job, and so many pages.
const SPARE: f64 = 0.08;
const FLAT: f64 = 2.0;
/// So many points of a sample make an estimate.
const ENOUGH_POINTS: f64 = 10.0;
/// Records of an abandoned chain that later listings are compared with.
const WITNESSES: usize = 100;
/// Listings without a record until it counts as deleted.
const MISSES: u32 = 2;
/// Records of a listing that the density takes together.
const CHUNK: usize = 256;
/// No server shortens ranges of an hour.
const SHORTEST_RANGE: i64 = 3_600;
/// So many records may be inserted into a window while it is read again.
const NEW: usize = 3;
/// Records of a page that make a sample.
const SAMPLE: usize = 20;

impl Planner {
    /// Takes in the next page of a chain.
    pub(super) fn absorb(&mut self, index: usize, page: &PageFacts) -> Result<(), PlanError> {
        self.cursor_field_seen |= page.next != Next::Absent;
        let chain = &mut self.chains[index];
        let is_first = chain.pages == 0;
        self.observations.observe(chain.asked, is_first, &page.records);
        let before = chain.records.len();
        match chain.absorb(page)? {
            CursorSign::Stayed => self.cursors = CursorStyle::Stays,
            CursorSign::Changed if self.cursors == CursorStyle::Unknown => {
                self.cursors = CursorStyle::Changes;
            }
            _ => {}
        }
        self.records += chain.records.len() - before;
        self.pages += 1;
        self.largest_page = self.largest_page.max(page.records.len());
        let ended = chain.state == State::Ended;
        // the first page that goes on shows how large pages are
        if !page.records.is_empty() && (!ended || page.records.len() > self.page_size) {
            let largest = if self.is_page_size_known {
                self.page_size
            } else {
                0
            };
            self.page_size = largest.max(page.records.len());
            self.is_page_size_known |= !ended;
        }
        self.shown.longest = self.shown.longest.max(self.chains[index].records.len());
        if let Some(field) = self.observations.likely_filter() {
            self.take_sample(index, is_first, field, page);
            self.compare(field, page);
            self.reach(index, field, page);
            self.observe_page(index, is_first, field, page);
        }
        if ended {
            self.list(index, page.next == Next::Absent);
        }
        Ok(())
    }

    /// Compares a page with the listings that are in doubt.
    fn compare(&mut self, field: Field, page: &PageFacts) {
        let records = page.records.iter();
        let mut records: Vec<(i64, u64)> = records
            .filter_map(|record| Some((field.second(record)?, record.id)))
            .collect();
        records.sort_unstable();
        for listing in self.listings.iter_mut().filter(|listing| listing.is_comparable()) {
            listing.compare(&records);
        }
    }

    /// Notes how far from the bounds of its window a page has records.
    fn reach(&mut self, index: usize, likely: Field, page: &PageFacts) {
        let asked = self.chains[index].asked;
        let mut fields = self.observations.possible_filters();
        if fields.is_empty() {
            fields.push(likely);
        }
        let [to, from] = &mut self.shown.reach;
        for record in &page.records {
            // whichever field is filtered
            let seconds = fields.iter().filter_map(|field| field.second(record));
            let (Some(first), Some(last)) = (seconds.clone().min(), seconds.max()) else {
                continue;
            };
            if asked.contains(first) {
                *to = (*to).max(first - asked.start);
            }
            if asked.contains(last) {
                *from = (*from).max(asked.end - last);
            }
        }
    }

    /// Adds to the density what a page of an ordered chain spans, and that nothing lies before its first page.
    fn observe_page(&mut self, index: usize, is_first: bool, field: Field, page: &PageFacts) {
        let chain = &self.chains[index];
        let Some(direction) = chain.direction(field) else {
            return;
        };
        let marks = chain.last_marks(field);
        let between = page.records.len() / marks.len().max(1);
        for pair in marks.windows(2) {
            self.density
                .observe(Window::new(pair[0].min(pair[1]), pair[0].max(pair[1])), between);
        }
        let seconds = page.records.iter().filter_map(|record| field.second(record));
        let before = match direction {
            Direction::Ascending => seconds.min().map(|first| Window::new(chain.covers.start, first)),
            Direction::Descending => seconds.max().map(|last| Window::new(last + 1, chain.covers.end)),
        };
        if let Some(before) = before.filter(|_| is_first) {
            self.density.observe(before, 0);
        }
    }

    /// A chain has met the null cursor.
    fn list(&mut self, index: usize, is_bare: bool) {
        let field = self.observations.likely_filter();
        let page_size = self.page_size;
        let chain = &mut self.chains[index];
        let mut listing = Listing::new(chain, page_size, is_bare);
        let seconds = field.map(|field| chain.seconds(field)).unwrap_or_default();
        chain.release();
        let covers = listing.covers;
        self.density.profile.learn(covers, &seconds);
        let mut seconds = &seconds[..];
        let mut from = covers.start;
        while let Some(first) = seconds.first() {
            // whole seconds, and the time without records before them
            let last = seconds[CHUNK.min(seconds.len()) - 1];
            let (chunk, rest) = seconds.split_at(seconds.partition_point(|second| *second <= last));
            let (first, to) = (
                (*first).clamp(from, covers.end),
                (last + 1).clamp(from, covers.end),
            );
            self.density.observe(Window::new(from, first), 0);
            self.density.observe(Window::new(first, to), chunk.len());
            (from, seconds) = (to, rest);
        }
        self.density.observe(
            Window::new(from, covers.end),
            if field.is_some() { 0 } else { listing.records },
        );
        if self.observations.learned().filter.is_some() {
            listing.misses = self.misses(&listing);
        }
        self.listings.push(listing);
    }

    /// Whether a listing lacks a record that an abandoned chain has read of its time.
    fn misses(&mut self, listing: &Listing) -> bool {
        // bounds are not known to the second
        let (from, to) = (listing.covers.start + 2, listing.covers.end - 2);
        if from >= to {
            return false;
        }
        let missing = self.witnesses.range_mut((from, 0)..(to, 0));
        let missing: Vec<_> = missing
            .filter(|((_, id), _)| !listing.ids.contains(id))
            .map(|(witness, misses)| {
                *misses += 1;
                (*witness, *misses)
            })
            .collect();
        for (witness, _) in missing.iter().filter(|(_, misses)| *misses >= MISSES) {
            self.witnesses.remove(witness);
        }
        missing.iter().any(|(_, misses)| *misses < MISSES)
    }

    /// Gives a chain up. Listings of its time have to have its records.
    pub(super) fn abandon(&mut self, at: usize) {
        let chain = &mut self.chains[at];
        if let Some(field) = self.observations.likely_filter() {
            let step = chain.records.len().div_ceil(WITNESSES).max(1);
            let records = chain.records.iter().step_by(step);
            let witnesses = records.filter_map(|(id, seconds)| Some(((seconds[field as usize]?, *id), 0)));
            self.witnesses.extend(witnesses);
        }
        chain.abandon();
    }

    /// Brings everything that is derived up to date, and abandons chains that are too long.
    pub(super) fn settle(&mut self) {
        while self.derive() {}
        self.update_scale();
        self.abandon_the_long();
    }

    /// Derives from the listings what is complete and what is in doubt. Returns whether that has shown something
    /// that changes it again.
    fn derive(&mut self) -> bool {
        let field = self.observations.likely_filter();
        self.listings.iter_mut().for_each(|listing| listing.place(field));
        let shown = self.show();
        self.shown = shown;
        self.complete = Windows::new();
        self.unlisted = self.ranges.clone();
        self.doubts.clear();
        let mut doubtful = Vec::new();
        for (at, listing) in self.listings.iter().enumerate() {
            self.unlisted.subtract(listing.covers);
            match listing.doubt(&shown) {
                None => self.complete.insert(listing.covers),
                Some(doubt) => {
                    let mut believed: Windows = std::iter::once(listing.covers).collect();
                    believed.subtract(doubt.part);
                    self.complete.extend(believed.iter().copied());
                    doubtful.push((at, doubt));
                }
            }
        }
        let mut changed = false;
        for (at, doubt) in doubtful {
            let is_read = self.complete.covers(doubt.part);
            let listing = &mut self.listings[at];
            if is_read && listing.unlisted == 0 {
                let is_new = doubt.kind != Kind::Stretch && !listing.is_checked && listing.is_comparable();
                listing.is_checked |= is_new;
                changed |= is_new;
                if is_new && doubt.kind != Kind::Content {
                    self.shown.checked = self.shown.checked.max(listing.records);
                }
            } else if listing.unlisted > 0 {
                changed |= self.confirm(at, doubt);
            }
            if !is_read {
                self.doubts.push(doubt);
            }
        }
        // only what may still be compared is kept: the longest listing may be doubted for the next one
        let longest = self.shown.longest;
        let is_doubted = |covers: Window| {
            let mut parts = self.doubts.iter().map(|doubt| doubt.part.intersect(covers));
            parts.any(|part| !part.is_empty())
        };
        for listing in self.listings.iter_mut().filter(|listing| !listing.ids.is_empty()) {
            if listing.records < longest && !is_doubted(listing.covers) {
                listing.ids = HashSet::new();
            }
        }
        changed
    }

    /// What all chains show together.
    fn show(&self) -> Shown {
        let mut shown = self.shown;
        let longest = shown.longest;
        let mut as_long = self.listings.iter().filter(|listing| listing.records == longest);
        // windows that share a second, or have one of their bounds in common, can share their records
        shown.as_long = as_long.next().map_or(0, |first| {
            let around = Window::new(first.asked.start - 2, first.asked.end + 2);
            1 + as_long
                .filter(|other| other.asked.intersect(around).is_empty())
                .count()
        });
        // a chain beyond the cap disproves it
        shown.cap = self.limits.listing_cap.filter(|cap| longest <= *cap);
        shown.longest_range = self.limits.longest_range;
        let read: i64 = self.listings.iter().map(|listing| listing.covers.seconds()).sum();
        let records: usize = self.listings.iter().map(|listing| listing.records).sum();
        shown.rate = as_f64(records) / as_f64(read.max(1));
        let gaps = self.listings.iter().map(Listing::gap);
        shown.gap = gaps.max().unwrap_or(0);
        shown
    }

    /// Records of a doubtful part came from elsewhere: its end was false. Returns whether a limit was learned.
    fn confirm(&mut self, at: usize, doubt: Doubt) -> bool {
        let listing = &mut self.listings[at];
        let records = listing.records;
        match doubt.kind {
            Kind::Length | Kind::Longest => {
                // a few may have been inserted meanwhile
                let is_cap = listing.unlisted > NEW + records / 50
                    && records >= self.shown.longest
                    && self.limits.listing_cap.is_none_or(|cap| records < cap);
                if is_cap {
                    self.limits.listing_cap = Some(records);
                }
                let is_new = doubt.kind == Kind::Longest && !listing.is_short;
                listing.is_short |= is_new;
                is_cap || is_new
            }
            Kind::Stretch => {
                let served = self.shown.reach[0].min(self.shown.reach[1]).max(1);
                let is_shorter = self.limits.longest_range.is_none_or(|known| served < known);
                let is_limit = listing.asked.seconds() > served && is_shorter && served >= SHORTEST_RANGE;
                if is_limit {
                    self.limits.longest_range = Some(served);
                }
                is_limit
            }
            Kind::Content => {
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

    /// What is left where everything else is done: a window whose end is doubtful and that cannot be split.
    pub(super) fn check_end(&self) -> Result<(), PlanError> {
        if self.in_flight > 0 || self.is_done() || self.wants() {
            return Ok(());
        }
        let Some(doubt) = self.doubts.iter().rfind(|doubt| doubt.is_final()) else {
            return Ok(());
        };
        let mut listings = self.listings.iter().rev();
        let Some(listing) = listings.find(|listing| listing.covers == doubt.part) else {
            return Ok(());
        };
        let window = listing.asked;
        Err(match listing.is_bare && !self.cursor_field_seen {
            true => PlanError::CursorMissing { window },
            false => PlanError::EndInDoubt {
                window,
                records: listing.records,
            },
        })
    }

    /// The first page of the first chain is a sample of its whole range where it comes in no order.
    fn take_sample(&mut self, index: usize, is_first: bool, field: Field, page: &PageFacts) {
        let seconds = page.records.iter().filter_map(|record| field.second(record));
        if index > 0 {
            if let Some(sample) = &mut self.density.sample {
                sample.compare(seconds);
            }
        } else if is_first && page.records.len() >= SAMPLE && self.chains[0].direction(field).is_none() {
            self.density.sample = Some(Sample::new(self.chains[0].covers, seconds.collect()));
        }
    }

    fn update_scale(&mut self) {
        let Some(sample) = &mut self.density.sample else {
            return;
        };
        let (mut records, mut drained, mut least) = (0.0, 0.0, 0.0_f64);
        for listing in &self.listings {
            records += as_f64(listing.records);
            drained += sample.points(listing.covers);
        }
        for chain in self
            .chains
            .iter()
            .filter(|chain| chain.is_open() && chain.pages > 0)
        {
            let points = sample.points(chain.covers);
            if points >= ENOUGH_POINTS {
                // twice as much again may be left
                least = least.max(3.0 * as_f64(chain.records.len()) / points);
            }
        }
        let known = drained >= ENOUGH_POINTS;
        sample.set_scale(if known { records / drained } else { least }, known);
    }

    /// Abandons what an earlier run had abandoned: windows only ever overlap where a later one replaced an earlier.
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

    /// A chain far longer than planned is abandoned, and its window split.
    fn abandon_the_long(&mut self) {
        if !self.options.splits {
            return;
        }
        let width = as_f64(self.width);
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
            let apart = (TOO_LONG * others + SPARE * all) / width + FLAT;
            let is_last = self.width > 1
                && left > apart + read / width
                && (!is_known || read < READ * left)
                && self.abandoned < 2 * self.width;
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
