//! Which records a window selects, and in what order they are served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::bot::{Bot, View};
use super::choices::{Endpoint, Order, TimeFormat};
use super::clock::micros;
use super::id::Id;
use super::options::Options;
use super::random::mix;

/// Where a record stands in the order; no two records share one.
pub(super) type Key = (i64, u64);

/// What a request asks for, besides pages. Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Window {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Only the messages of this conversation.
    pub(super) conversation: Option<Id>,
}

/// How a time is compared with the bounds of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    start_inclusive: bool,
    end_inclusive: bool,
    times: TimeFormat,
}

impl Rule {
    pub(super) fn new(options: &Options) -> Self {
        let &Options {
            start_inclusive,
            end_inclusive,
            times,
            ..
        } = options;
        Self {
            start_inclusive,
            end_inclusive,
            times,
        }
    }

    fn before(self, window: &Window, us: i64) -> bool {
        let (known, start) = (self.times.known(us), micros(window.start));
        if self.start_inclusive {
            known < start
        } else {
            known <= start
        }
    }

    fn after(self, window: &Window, us: i64) -> bool {
        let (known, end) = (self.times.known(us), micros(window.end));
        if self.end_inclusive {
            known > end
        } else {
            known >= end
        }
    }
}

impl Bot {
    /// The records of a window in the order in which they are served.
    pub(super) fn select(&self, endpoint: Endpoint, window: &Window, view: View, rule: Rule) -> Vec<u32> {
        let sorted = self.by_filter(endpoint);
        let filter = |index: &u32| self.final_times(endpoint, *index).filter;
        let from = sorted.partition_point(|index| rule.before(window, filter(index)));
        let to = sorted.partition_point(|index| !rule.after(window, filter(index)));
        let unsettled = match endpoint {
            Endpoint::Conversations => self.unsettled(view),
            Endpoint::Messages => Vec::new(),
        };
        let selected = |index: &u32| {
            let us = self.times(endpoint, *index, view).filter;
            !rule.before(window, us)
                && !rule.after(window, us)
                && self.is_visible(endpoint, *index, view)
                && window
                    .conversation
                    .is_none_or(|wanted| self.is_of(endpoint, *index, wanted))
        };
        let candidates = sorted[from..to.max(from)].iter().copied().chain(unsettled);
        let mut picked: Vec<u32> = candidates.filter(selected).collect();
        picked.sort_unstable_by_key(|&index| self.key(endpoint, index, view));
        picked.dedup();
        picked
    }

    /// Where a record stands in the order of its endpoint.
    pub(super) fn key(&self, endpoint: Endpoint, index: u32, view: View) -> Key {
        let times = self.times(endpoint, index, view);
        let last = times.last_action.unwrap_or(times.time);
        let tie = u64::from(index);
        match self.order {
            Order::StartAscending => (times.time, tie),
            Order::StartDescending => (-times.time, tie),
            Order::LastActionAscending => (last, tie),
            Order::LastActionDescending => (-last, tie),
            Order::Unordered => (mix(self.seed ^ tie).cast_signed(), tie),
            Order::Id => {
                let id = self.id(endpoint, index);
                (i64::from(id.second), id.rest)
            }
            Order::Insertion => (self.inserted_place(endpoint, index), tie),
            Order::UnstableTies => (
                times.time - times.time.rem_euclid(micros(1)),
                mix(mix(view.shuffle) ^ tie),
            ),
            Order::Unstable => (mix(mix(self.seed ^ view.shuffle) ^ tie).cast_signed(), tie),
        }
    }

    fn is_of(&self, endpoint: Endpoint, index: u32, wanted: Id) -> bool {
        match endpoint {
            Endpoint::Conversations => true,
            Endpoint::Messages => self
                .conversation_of(index)
                .is_some_and(|(conversation, _)| self.id(Endpoint::Conversations, conversation) == wanted),
        }
    }
}

/// What makes two selections the same: the bot's number, and what was asked of it.
type Asked = (usize, Endpoint, Window, View);

/// Selections that were made already: a chain asks for the same one with every page.
#[derive(Default)]
pub(super) struct Selections(Mutex<HashMap<Asked, Arc<Vec<u32>>>>);

impl Selections {
    /// How many records all kept selections have at most; 4 bytes each.
    const MOST: usize = 8_000_000;

    /// The selection that was made for `asked`, or else the one that `make` makes.
    pub(super) fn get(&self, asked: Asked, make: impl FnOnce() -> Vec<u32>) -> Arc<Vec<u32>> {
        if let Some(made) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&asked) {
            return Arc::clone(made);
        }
        let made = Arc::new(make());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let records: usize = kept.values().map(|selection| selection.len() + 64).sum();
        if records + made.len() > Self::MOST {
            kept.clear();
        }
        kept.insert(asked, Arc::clone(&made));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::super::choices::{Filter, Growth, MessageFilter};
    use super::super::random::Random;
    use super::*;

    /// Every record held against the rule, one by one.
    fn plainly(bot: &Bot, endpoint: Endpoint, window: &Window, view: View) -> Vec<u32> {
        let selected = |&index: &u32| {
            let second = bot.times(endpoint, index, view).filter.div_euclid(1_000_000);
            bot.is_visible(endpoint, index, view) && (window.start..window.end).contains(&second)
        };
        let mut picked: Vec<u32> = (0..bot.len(endpoint)).filter(selected).collect();
        picked.sort_by_key(|&index| bot.key(endpoint, index, view));
        picked
    }

    #[test]
    fn windows_select_what_the_rule_says_at_every_moment() {
        let mut random = Random::new(1, 1);
        let growth = Growth {
            late_records: 60,
            updates: 60,
            ..Growth::default()
        };
        for filter in [Filter::Start, Filter::LastAction, Filter::Inserted] {
            for message_filter in [
                MessageFilter::Time,
                MessageFilter::ConversationStart,
                MessageFilter::Inserted,
            ] {
                let order = Order::LastActionDescending;
                let base = Options {
                    conversations: 300,
                    growth,
                    arrival_seconds: 100,
                    ..Options::default()
                };
                let options = Options {
                    filter,
                    message_filter,
                    order,
                    ..base
                };
                let bot = Bot::new("bot", &options);
                let mut any = |span: u32| i64::from(random.small(span));
                for revealed in [0, 30, u32::MAX] {
                    for _ in 0..50 {
                        let start = options.range.start + any(432_000);
                        let window = Window {
                            start,
                            end: start + any(90_000),
                            conversation: None,
                        };
                        let now_us = micros(options.range.start + any(432_000) + 43_200);
                        let view = View {
                            now_us,
                            revealed,
                            shuffle: 0,
                        };
                        for endpoint in [Endpoint::Conversations, Endpoint::Messages] {
                            let selected = bot.select(endpoint, &window, view, Rule::new(&options));
                            assert_eq!(
                                selected,
                                plainly(&bot, endpoint, &window, view),
                                "{window:?} {view:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn bounds_that_exclude_both_ends_may_leave_nothing() {
        let options = Options {
            start_inclusive: false,
            ..Options::default()
        };
        let bot = Bot::new("bot", &options);
        let second = options.range.start + 200_000;
        let window = Window {
            start: second,
            end: second,
            conversation: None,
        };
        let view = View {
            now_us: i64::MAX,
            revealed: u32::MAX,
            shuffle: 0,
        };
        assert_eq!(
            bot.select(Endpoint::Conversations, &window, view, Rule::new(&options)),
            [0_u32; 0]
        );
    }

    #[test]
    fn a_selection_is_made_once_for_each_view() {
        let selections = Selections::default();
        let window = Window {
            start: 0,
            end: 1,
            conversation: None,
        };
        let view = |revealed| View {
            now_us: 0,
            revealed,
            shuffle: 0,
        };
        let asked = |revealed| (0, Endpoint::Messages, window, view(revealed));
        assert_eq!(*selections.get(asked(0), || vec![1]), [1]);
        assert_eq!(*selections.get(asked(0), || vec![2]), [1]);
        assert_eq!(*selections.get(asked(1), || vec![3]), [3]);
    }
}
