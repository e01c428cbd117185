//! Adds a page to the state: densities, limits of the API, comparisons of listings, and new listings.

use super::chain::{ChainState, CursorChange};
use super::density::as_f64;
use super::listing::Listing;
use super::sample::Sample;
use super::{CursorStyle, Direction, Field, NextPage, PageFacts, PlanError, Planner};
use crate::window::Window;

/// Minimum points of a sample for an estimate.
const ENOUGH_POINTS: f64 = 10.0;
/// Number of listings without a record until it counts as deleted.
const MISSES: u32 = 2;
/// Records of a listing that the density adds at a time.
const CHUNK: usize = 256;
/// Minimum records of a page for a sample.
const SAMPLE: usize = 20;

impl Planner {
    /// Adds the next page of a chain.
    pub(super) fn add_page(&mut self, index: usize, page: &PageFacts) -> Result<(), PlanError> {
        self.cursor_field_seen |= page.next != NextPage::Absent;
        let chain = &mut self.chains[index];
        let is_first = chain.pages == 0;
        self.observations
            .observe(chain.requested, is_first, &page.records);
        let before = chain.records.len();
        match chain.add_page(page)? {
            CursorChange::Stayed => self.cursors = CursorStyle::Stays,
            CursorChange::Changed if self.cursors == CursorStyle::Unknown => {
                self.cursors = CursorStyle::Changes;
            }
            _ => {}
        }
        self.records += chain.records.len() - before;
        self.pages += 1;
        self.largest_page = self.largest_page.max(page.records.len());
        let ended = chain.state == ChainState::Ended;
        // the first page with a successor shows the page size
        if !page.records.is_empty() && (!ended || page.records.len() > self.page_size) {
            let largest = if self.is_page_size_known {
                self.page_size
            } else {
                0
            };
            self.page_size = largest.max(page.records.len());
            self.is_page_size_known |= !ended;
        }
        self.evidence.longest = self.evidence.longest.max(self.chains[index].records.len());
        if let Some(field) = self.observations.likely_filter() {
            self.take_sample(index, is_first, field, page);
            self.compare(field, page);
            self.reach(index, field, page);
            self.observe_page(index, is_first, field, page);
        }
        if ended {
            self.list(index, page.next == NextPage::Absent);
        }
        Ok(())
    }

    /// Compares a page with the listings whose ends are suspect.
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

    /// Updates the longest distances between the bounds of a window and its records.
    fn reach(&mut self, index: usize, likely: Field, page: &PageFacts) {
        let requested = self.chains[index].requested;
        let mut fields = self.observations.possible_filters();
        if fields.is_empty() {
            fields.push(likely);
        }
        let [to, from] = &mut self.evidence.reach;
        for record in &page.records {
            // any of the fields may be filtered
            let seconds = fields.iter().filter_map(|field| field.second(record));
            let (Some(first), Some(last)) = (seconds.clone().min(), seconds.max()) else {
                continue;
            };
            if requested.contains(first) {
                *to = (*to).max(first - requested.start);
            }
            if requested.contains(last) {
                *from = (*from).max(requested.end - last);
            }
        }
    }

    /// Adds to the density the records of a page of an ordered chain, and that there are none before its first page.
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

    /// Adds the listing of a chain that reached the null cursor.
    fn list(&mut self, index: usize, lacks_cursor_field: bool) {
        let field = self.observations.likely_filter();
        let page_size = self.page_size;
        let chain = &mut self.chains[index];
        let mut listing = Listing::new(chain, page_size, lacks_cursor_field);
        let seconds = field.map(|field| chain.seconds(field)).unwrap_or_default();
        chain.release();
        let covers = listing.covers;
        self.density.profile.learn(covers, &seconds);
        let mut seconds = &seconds[..];
        let mut from = covers.start;
        while let Some(first) = seconds.first() {
            // complete seconds, and the time without records before them
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

    /// Whether a listing lacks a record of an abandoned chain in its window.
    fn misses(&mut self, listing: &Listing) -> bool {
        // bounds are not exact to the second
        let (from, to) = (listing.covers.start + 2, listing.covers.end - 2);
        if from >= to {
            return false;
        }
        let missing = self.abandoned_records.range_mut((from, 0)..(to, 0));
        let missing: Vec<_> = missing
            .filter(|((_, id), _)| !listing.ids.contains(id))
            .map(|(record, misses)| {
                *misses += 1;
                (*record, *misses)
            })
            .collect();
        for (record, _) in missing.iter().filter(|(_, misses)| *misses >= MISSES) {
            self.abandoned_records.remove(record);
        }
        missing.iter().any(|(_, misses)| *misses < MISSES)
    }

    /// Uses the first page of the first chain as a sample of its range, if its records are unordered.
    fn take_sample(&mut self, index: usize, is_first: bool, field: Field, page: &PageFacts) {
        let seconds = page.records.iter().filter_map(|record| field.second(record));
        if index > 0 {
            if let Some(sample) = &mut self.density.sample {
                sample.compare(seconds);
            }
        } else if is_first
            && page.records.len() >= SAMPLE
            && !self.density.is_known_from_earlier(self.chains[0].covers)
            && self.chains[0].direction(field).is_none()
        {
            self.density.sample = Some(Sample::new(self.chains[0].covers, seconds.collect()));
        }
    }

    pub(super) fn update_scale(&mut self) {
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
                // assumes that twice as many are left
                least = least.max(3.0 * as_f64(chain.records.len()) / points);
            }
        }
        let known = drained >= ENOUGH_POINTS;
        sample.set_scale(if known { records / drained } else { least }, known);
    }
}
