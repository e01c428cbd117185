//! What an answer changes: beliefs, seams, what is given up, and what is proven.

use super::belief::{Mode, Order, Seen};
use super::chain::{Chain, Seam, State};
use super::density::as_f64;
use super::sample::Sample;
use super::{FREE_RESTARTS, FetchError, MOST_RESTARTS, Scheduler, seam};
use crate::window::Window;

/// A chain in no order is given up where it would take this much longer than everything else.
const TOO_LONG: f64 = 1.3;
/// An order counts as proven once chains were drained in it that held at least this part of the records that
/// chains cut short have read, and so many: what comes out of order would mostly have come at their ends.
const EVIDENCE: usize = 4;
const LEAST_EVIDENCE: usize = 40;
const ENOUGH_EVIDENCE: usize = 1_000;
/// So many points of a sample make an estimate.
const ENOUGH_POINTS: f64 = 10.0;

impl Scheduler {
    /// Brings everything that is derived up to date, and gives up what is no longer worth going on with.
    pub(super) fn settle(&mut self) {
        self.derive();
        match self.mode {
            Mode::Ordered(order) => {
                // Nothing is left to ask in this order, and yet not all is proven.
                if self.in_flight == 0 && !self.is_done() && self.plan().is_none() {
                    match self.nearest_evidence(order) {
                        Some(at) => self.chains[at].seam = Seam::Open,
                        None => self.order_falls(order),
                    }
                }
            }
            Mode::Unordered => self.give_up_the_too_long(),
            Mode::Unknown => {}
        }
    }

    /// Brings everything that is derived up to date.
    pub(super) fn derive(&mut self) {
        self.update_mode();
        match self.mode {
            Mode::Ordered(order) => {
                self.count_ordered(order);
                if !self.order_fell {
                    self.update_seams(order);
                }
            }
            Mode::Unordered => self.count_unordered(),
            Mode::Unknown => {}
        }
    }

    /// Gives up what an earlier run had given up: where records come in no order, windows are only ever shared
    /// out of what no chain claims, so a chain that began within another one took its place.
    pub(super) fn drop_the_given_up(&mut self) {
        if self.mode != Mode::Unordered || self.order_fell {
            return;
        }
        for at in 0..self.chains.len() {
            let covers = self.chains[at].covers;
            let mut later = self.chains[at + 1..].iter();
            if self.chains[at].is_open() && later.any(|chain| !chain.covers.intersect(covers).is_empty()) {
                self.chains[at].drop_it();
            }
        }
    }

    fn update_mode(&mut self) {
        let mode = if self.order_fell {
            Mode::Unordered
        } else {
            self.belief.mode()
        };
        match self.mode {
            Mode::Ordered(order) if self.relied_on_order && !self.order_fell && mode != self.mode => {
                self.order_falls(order);
            }
            _ => self.mode = mode,
        }
    }

    /// Every chain that was cut goes on to its null cursor, or its part is asked for anew where that is less.
    fn order_falls(&mut self, order: Order) {
        let again: Vec<usize> = (0..self.chains.len())
            .filter(|at| self.chains[*at].state == State::Dead || self.is_long_way(*at, order))
            .collect();
        again.into_iter().for_each(|at| self.chains[at].drop_it());
        self.chains.iter_mut().for_each(|chain| chain.seam = Seam::Open);
        self.order_fell = true;
        self.mode = Mode::Unordered;
        // what only the order spoke for is no longer proven
        self.proven = self.drained.clone();
    }

    /// Whether a chain is further from its null cursor than its part is long.
    fn is_long_way(&self, at: usize, order: Order) -> bool {
        let chain = &self.chains[at];
        let (from, to) = (chain.begin(order), seam::boundary(&self.chains, at, order));
        let to_go = Window::new(chain.reached(order), order.along(chain.covers).end);
        let part = self.pages_in(order.along(Window::new(from, to)));
        chain.is_open() && self.pages_in(order.along(to_go)) > 1.5 * part + 1.0
    }

    fn update_seams(&mut self, order: Order) {
        for at in 0..self.chains.len() {
            let chain = &self.chains[at];
            let stands = matches!(chain.state, State::Open | State::Dead) && !chain.is_probe;
            if !stands || matches!(chain.seam, Seam::Joined(next) if self.chains[next].counts()) {
                continue;
            }
            match seam::examine(&self.chains, at, order) {
                Ok(Seam::Open) if self.chains[at].state == State::Dead => {
                    if !self.successor_reads(at, order) {
                        self.chains[at].drop_it();
                    }
                }
                Ok(seam) => {
                    self.relied_on_order |= seam != Seam::Open;
                    self.chains[at].seam = seam;
                }
                Err(seam::Broken) => {
                    self.order_falls(order);
                    return;
                }
            }
        }
        self.update_proven(order);
    }

    /// Whether some chain is still to read what a dead one is to be compared with.
    fn successor_reads(&self, at: usize, order: Order) -> bool {
        let boundary = seam::boundary(&self.chains, at, order);
        self.chains
            .iter()
            .any(|other| other.begin(order) == boundary && other.head_grows())
    }

    /// Whether too little was drained to call an order proven.
    fn lacks_evidence(&self) -> bool {
        let records = |which: fn(&Chain) -> bool| -> usize {
            self.chains
                .iter()
                .filter(|chain| which(chain))
                .map(|chain| chain.records)
                .sum()
        };
        let drained = records(|chain| chain.state == State::Ended);
        let joined = records(|chain| matches!(chain.seam, Seam::Joined(_)));
        drained < (joined / EVIDENCE).clamp(LEAST_EVIDENCE, ENOUGH_EVIDENCE)
    }

    /// Where nothing but evidence lacks: the chain cut short that has the least way to its null cursor. To drain
    /// it costs less than to let the order fall, which would drain them all.
    fn nearest_evidence(&self, order: Order) -> Option<usize> {
        let way = |at: &usize| {
            let chain = &self.chains[*at];
            self.pages_in(order.along(Window::new(chain.reached(order), order.along(chain.covers).end)))
        };
        (0..self.chains.len())
            .filter(|at| self.chains[*at].is_open() && matches!(self.chains[*at].seam, Seam::Joined(_)))
            .min_by(|a, b| way(a).total_cmp(&way(b)))
            .filter(|_| self.lacks_evidence())
    }

    /// A chain that was cut is proven by a chain that is: back from those that met the null cursor.
    fn update_proven(&mut self, order: Order) {
        if !self.belief.filters(order.field) || self.lacks_evidence() {
            return;
        }
        let mut sound: Vec<bool> = self
            .chains
            .iter()
            .map(|chain| chain.state == State::Ended)
            .collect();
        loop {
            let mut changed = false;
            for (at, chain) in self.chains.iter().enumerate() {
                if let Seam::Joined(next) = chain.seam
                    && sound[next]
                    && !sound[at]
                    && self.gaps_are_empty(at)
                {
                    sound[at] = true;
                    changed = true;
                    let read = Window::new(chain.begin(order), chain.reached(order));
                    self.proven.insert(order.along(read));
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn count_ordered(&mut self, order: Order) {
        let filters = self.belief.filters(order.field);
        for at in 0..self.chains.len() {
            let chain = &self.chains[at];
            let reached = chain.reached(order);
            let from = chain.counted_to.unwrap_or(chain.begin(order));
            if reached <= from || !chain.counts() {
                continue;
            }
            let place = |seen: Option<&Seen>| seen.and_then(|seen| order.of(seen));
            let first = place(chain.tail.first()).unwrap_or(from).clamp(from, reached);
            let last = place(chain.last()).unwrap_or(reached).clamp(first, reached);
            let (before, rest) = Window::new(from, reached).split_at(first);
            let (page, after) = rest.split_at(last);
            let fresh = chain.records - chain.counted;
            self.density.observe(order.along(before), 0);
            self.density.observe(order.along(page), fresh);
            self.density.observe(order.along(after), 0);
            let chain = &mut self.chains[at];
            (chain.counted, chain.counted_to) = (chain.records, Some(reached));
            let agrees = self.note_gaps(at, from, order) && !self.gap_is_filled(at, order);
            if filters && !agrees {
                self.order_falls(order);
                return;
            }
        }
    }

    fn count_unordered(&mut self) {
        for chain in self.chains.iter_mut().filter(|chain| chain.state == State::Ended) {
            if chain.counted_to.is_none() {
                chain.counted_to = Some(chain.covers.end);
                self.density.observe(chain.covers, chain.records);
            }
        }
        self.take_sample();
        self.update_scale();
    }

    /// The first page of the first chain is a sample of the whole range.
    fn take_sample(&mut self) {
        let field = self.belief.likely_filter();
        let seconds = |chain: &Chain| {
            chain
                .head
                .iter()
                .filter_map(|seen| seen.second(field))
                .collect::<Vec<_>>()
        };
        if self.density.sample.is_none()
            && let [scout, others @ ..] = &self.chains[..]
            && !scout.head.is_empty()
        {
            let mut sample = Sample::new(scout.covers, seconds(scout));
            others
                .iter()
                .for_each(|chain| sample.compare(seconds(chain).into_iter()));
            self.density.sample = Some(sample);
        }
    }

    fn update_scale(&mut self) {
        let Some(sample) = &mut self.density.sample else {
            return;
        };
        let (mut records, mut drained, mut least) = (0.0, 0.0, 0.0_f64);
        for chain in self
            .chains
            .iter()
            .filter(|chain| chain.counts() && chain.pages > 0)
        {
            let (read, points) = (as_f64(chain.records), sample.points(chain.covers));
            if chain.state == State::Ended {
                records += read;
                drained += points;
            } else if points >= ENOUGH_POINTS {
                // Twice as much again may be left.
                least = least.max(3.0 * read / points);
            }
        }
        let known = drained >= ENOUGH_POINTS;
        sample.set_scale(if known { records / drained } else { least }, known);
    }

    /// Where records come in no order, a chain far longer than the rest is given up and its window shared out.
    fn give_up_the_too_long(&mut self) {
        let width = as_f64(self.width);
        if self.width < 2 || self.dropped > 2 * self.width {
            return;
        }
        for at in 0..self.chains.len() {
            let chain = &self.chains[at];
            if !chain.is_ready() || chain.pages == 0 || chain.covers.seconds() < 2 {
                continue;
            }
            if self
                .density
                .sample
                .as_ref()
                .is_some_and(|sample| sample.is_indivisible(chain.covers))
            {
                continue;
            }
            let (left, read) = (self.chain_left(at), f64::from(chain.pages));
            let mut missing: crate::window::Windows = std::iter::once(chain.covers).collect();
            missing.subtract_all(&self.drained);
            let needed: f64 = missing.iter().map(|window| self.pages_in(*window)).sum();
            let apart = TOO_LONG * (self.pages_left() + read) / width + 2.0;
            if left > apart || left > 2.0 * needed + 2.0 {
                self.chains[at].drop_it();
                self.dropped += 1;
            }
        }
    }

    /// A chain whose cursor is of no use any more.
    pub(super) fn restart(&mut self, at: usize) -> Result<(), FetchError> {
        self.restarted += 1;
        if self.restarted > FREE_RESTARTS + 2 * self.records / self.page_size.max(1) {
            return Err(died(&self.chains[at]));
        }
        let chain = &mut self.chains[at];
        if chain.cursor.is_none() {
            chain.restarts += 1;
            return if chain.restarts > MOST_RESTARTS {
                Err(died(chain))
            } else {
                Ok(())
            };
        }
        let mut again = vec![self.chains[at].covers];
        if let Mode::Ordered(order) = self.mode {
            let boundary = seam::boundary(&self.chains, at, order);
            let chain = &mut self.chains[at];
            if let Some(from) = last_whole_second(chain, order).filter(|from| *from > chain.begin(order)) {
                chain.state = State::Dead;
                self.relied_on_order = true;
                if from < boundary {
                    self.start(order.along(Window::new(from, boundary)), 0);
                }
                return Ok(());
            }
            again = vec![order.along(Window::new(chain.begin(order), boundary))];
        }
        let restarts = self.chains[at].restarts + 1;
        if restarts > MOST_RESTARTS {
            return Err(died(&self.chains[at]));
        }
        if restarts > 1 && again[0].seconds() > 1 {
            // Its cursors may not live long enough for so many pages.
            let (first, second) = again[0].split_at(again[0].start + again[0].seconds() / 2);
            again = vec![first, second];
        }
        self.chains[at].drop_it();
        for window in again {
            self.start(window, restarts);
        }
        Ok(())
    }
}

/// The last position with records that a chain has read completely.
pub(super) fn last_whole_second(chain: &Chain, order: Order) -> Option<i64> {
    let (from, reached) = (chain.tail_from(order)?, chain.reached(order));
    chain
        .tail
        .iter()
        .filter_map(|seen| order.of(seen))
        .filter(|at| (from..reached).contains(at))
        .max()
}

fn died(chain: &Chain) -> FetchError {
    FetchError::CursorDies {
        window: chain.asked,
        times: chain.restarts + 1,
    }
}
