//! How far a scheduler is, and what it has learnt.

use super::Scheduler;
use super::belief::Mode;
use super::facts::Knowledge;
use crate::window::{Window, Windows};

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Pages thought to be left; `None` as long as there is nothing to go by.
    pub pages_left: Option<f64>,
    /// Pages answered, those of an earlier run included.
    pub pages: u64,
    /// Requests in flight.
    pub in_flight: usize,
    /// Chains started so far.
    pub chains: usize,
}

impl Scheduler {
    /// Whether every range is proven complete. Requests still in flight are of no use then.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ranges.iter().all(|range| self.proven.covers(*range))
    }

    /// What is proven complete so far, in half-open seconds. It grows, but for the moment at which the order that
    /// was believed in falls: what only that had proven is not proven then.
    #[must_use]
    pub fn covered(&self) -> Windows {
        self.ranges
            .iter()
            .flat_map(|range| self.proven.intersect(*range).iter().copied().collect::<Vec<_>>())
            .collect()
    }

    /// What was read so far and will hardly be met again: complete as far as the order that is believed in holds,
    /// which is not proven yet, and asked for by no request that is still to be made or answered.
    #[must_use]
    pub fn read(&self) -> Windows {
        let mut read = self.drained.clone();
        if let Mode::Ordered(order) = self.mode {
            let chains = self.chains.iter().filter(|chain| chain.counts());
            read.extend(
                chains.map(|chain| order.along(Window::new(chain.begin(order), chain.reached(order)))),
            );
            for at in 0..self.chains.len() {
                if let Some(page) = self.next_page(order, at) {
                    read.subtract(page);
                }
            }
        }
        let mut unread = self.ranges.clone();
        unread.subtract_all(&read);
        for window in &unread {
            // windows ask for a second more than they cover
            read.subtract(Window::new(window.start - 1, window.end + 1));
        }
        read
    }

    /// How far the export is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            pages_left: (self.pages > 0).then(|| self.pages_left()),
            pages: self.pages,
            in_flight: self.in_flight,
            chains: self.chains.len(),
        }
    }

    /// The windows whose next page is awaited, as they were asked.
    #[must_use]
    pub fn awaited(&self) -> Vec<Window> {
        let flying = self.chains.iter().filter(|chain| chain.flight.is_some());
        flying.map(|chain| chain.asked).collect()
    }

    /// What this run has learnt, for a later one to begin with.
    #[must_use]
    pub fn learnt(&self) -> Knowledge {
        Knowledge {
            order: match self.mode {
                Mode::Ordered(order) if !self.order_fell => Some(order),
                _ => None,
            },
            filter: self.belief.filter().or_else(|| {
                let earlier = self.options.knowledge.filter;
                earlier.filter(|field| self.belief.may_filter(*field))
            }),
            includes_first_second: self.belief.includes_first_second(),
            in_flight: (self.pages > 0).then_some(self.width),
        }
    }
}
