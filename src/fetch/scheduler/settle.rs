//! What an answer changes: beliefs, seams, what is given up, and what is proven.

use super::belief::{Mode, Order, Seen};
use super::chain::{Chain, Seam, State};
use super::density::as_f64;
use super::{FetchError, MOST_RESTARTS, Scheduler, seam};
use crate::window::Window;

/// A chain in no order is given up where it would take this much longer than everything else.
const TOO_LONG: f64 = 1.3;
/// So many points of a sample make an estimate.
const ENOUGH_POINTS: f64 = 10.0;

impl Scheduler {
    /// Brings everything that is derived up to date.
    pub(super) fn settle(&mut self) {
        self.update_mode();
        match self.mode {
            Mode::Ordered(order) => {
                self.count_ordered(order);
                self.update_seams(order);
            }
            Mode::Unordered => {
                self.count_unordered();
                self.give_up_the_too_long();
            }
            Mode::Unknown => {}
        }
    }

    fn update_mode(&mut self) {
        let mode = if self.order_fell {
            Mode::Unordered
        } else {
            self.belief.mode()
        };
        let was = std::mem::replace(&mut self.mode, mode);
        if self.relied_on_order && was != mode {
            self.order_falls();
        }
    }

    /// Every chain that was cut goes on to its null cursor, where it still can.
    fn order_falls(&mut self) {
        self.order_fell = true;
        self.mode = Mode::Unordered;
        for chain in &mut self.chains {
            chain.seam = Seam::Open;
            if chain.state == State::Dead {
                chain.drop_it();
            }
        }
    }

    fn update_seams(&mut self, order: Order) {
        for at in 0..self.chains.len() {
            let chain = &self.chains[at];
            let stands = matches!(chain.state, State::Ready | State::Dead);
            if !stands || matches!(chain.seam, Seam::Joined(_)) {
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
                    self.order_falls();
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

    /// A chain that was cut is proven by a chain that is: back from those that met the null cursor.
    fn update_proven(&mut self, order: Order) {
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
        for chain in &mut self.chains {
            let reached = chain.reached(order);
            let from = chain.counted_to.unwrap_or(chain.begin(order));
            if reached > from && chain.counts() {
                let read = order.along(Window::new(from, reached));
                self.density.observe(read, chain.records - chain.counted);
                (chain.counted, chain.counted_to) = (chain.records, Some(reached));
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
        self.update_sample();
        if self.density.has_sample() {
            self.update_scale();
        }
    }

    /// The first page of the first chain is a sample of the whole range, if it is a fair one.
    fn update_sample(&mut self) {
        let field = self.belief.likely_filter();
        if !self.density.has_sample()
            && !self.sample_was_unfair
            && let Some(scout) = self.chains.first().filter(|c| c.state != State::Ended)
        {
            self.density
                .sample(scout.head.iter().filter_map(|seen| seen.second(field)).collect());
        }
        let (Some(span), Some(scout)) = (self.density.sample_span(), self.chains.first()) else {
            return;
        };
        let others = self.chains.iter().skip(1).flat_map(|chain| &chain.head);
        let seconds: Vec<i64> = others.filter_map(|seen: &Seen| seen.second(field)).collect();
        let outside = seconds.iter().filter(|second| !span.contains(**second)).count();
        let wide = span.seconds() * 2 > scout.covers.seconds();
        if outside * 20 > seconds.len() || (seconds.len() < 20 && !wide) {
            self.density.forget_sample();
            self.sample_was_unfair = outside > 0;
        }
    }

    fn update_scale(&mut self) {
        let points = |chain: &Chain| self.density.points(chain.covers);
        let (mut records, mut drained) = (0.0, 0.0);
        let mut least = 0.0_f64;
        for chain in self
            .chains
            .iter()
            .filter(|chain| chain.counts() && chain.pages > 0)
        {
            let read = as_f64(chain.records);
            if chain.state == State::Ended {
                records += read;
                drained += points(chain);
            } else if points(chain) >= ENOUGH_POINTS {
                least = least.max((read + as_f64(self.page_size) / 2.0) / points(chain));
            }
        }
        self.density.set_scale(if drained >= ENOUGH_POINTS {
            records / drained
        } else {
            least
        });
    }

    /// Where records come in no order, a chain far longer than the rest is given up and its window shared out.
    fn give_up_the_too_long(&mut self) {
        let width = as_f64(self.width);
        if self.width < 2 || self.dropped >= 2 * self.options.max_in_flight {
            return;
        }
        for at in 0..self.chains.len() {
            let chain = &self.chains[at];
            if chain.state != State::Ready || chain.pages == 0 || chain.covers.seconds() < 2 {
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
fn last_whole_second(chain: &Chain, order: Order) -> Option<i64> {
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
