//! What the archive holds, told to tests directly: the truth that an export is compared with.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::bot::{Bot, View};
use super::choices::{Endpoint, Growth, Order, TimeFormat};
use super::clock::Clock;
use super::options::Options;
use super::render;
use super::select::{Rule, Window};

/// The contents of all bots.
pub struct Archive {
    bots: Vec<Bot>,
    rule: Rule,
    times: TimeFormat,
    clock: Clock,
    growth: Growth,
    order: Order,
    /// Pages served, per endpoint.
    served: [AtomicU64; 2],
    all_shown: AtomicBool,
    last_moment_us: i64,
}

/// A record as the archive knows it. Times are Unix microseconds, without the digits that the time format does
/// not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// `_id`; empty for an injected record that has no string or number there.
    pub id: String,
    /// A conversation's start, a message's time.
    pub time_us: i64,
    /// Of conversations.
    pub last_action_us: Option<i64>,
    /// The `_id` of a message's conversation; of messages that are not injected.
    pub conversation: Option<String>,
    /// The time that windows filter.
    pub filter_us: i64,
    /// Whether growth hid the record at first.
    pub late: bool,
}

impl Archive {
    pub(super) fn new(options: &Options) -> Self {
        let bots: Vec<Bot> = options.bots.iter().map(|name| Bot::new(name, options)).collect();
        Self {
            last_moment_us: bots.iter().map(Bot::last_moment_us).max().unwrap_or(0),
            bots,
            rule: Rule::new(options),
            times: options.times,
            clock: options.clock.clone(),
            growth: options.growth,
            order: options.order,
            served: [AtomicU64::new(0), AtomicU64::new(0)],
            all_shown: AtomicBool::new(false),
        }
    }

    /// The conversations of a bot that are visible now, as they are now; none for an unknown bot.
    pub fn conversations(&self, bot: &str) -> impl Iterator<Item = Truth> + '_ {
        self.truths(bot, Endpoint::Conversations)
    }

    /// The messages of a bot that are visible now; none for an unknown bot.
    pub fn messages(&self, bot: &str) -> impl Iterator<Item = Truth> + '_ {
        self.truths(bot, Endpoint::Messages)
    }

    /// The ids of what a request with these `start_time` and `end_time` selects now, in the order in which
    /// they are served, as if there were no caps, rounding or false ends.
    #[must_use]
    pub fn selected(&self, bot: &str, endpoint: Endpoint, start: i64, end: i64) -> Vec<String> {
        let window = Window {
            start,
            end,
            conversation: None,
        };
        let view = self.view(endpoint);
        let Some((_, bot)) = self.bot(bot) else {
            return Vec::new();
        };
        let selected = bot.select(endpoint, &window, view, self.rule);
        selected
            .into_iter()
            .map(|index| self.truth(bot, endpoint, index, view).id)
            .collect()
    }

    /// Ends growth: from now on all late records are visible and all updates have happened. The clock is not
    /// touched.
    pub fn show_everything(&self) {
        self.all_shown.store(true, Ordering::Relaxed);
    }

    pub(super) fn rule(&self) -> Rule {
        self.rule
    }

    /// A bot and its number.
    pub(super) fn bot(&self, name: &str) -> Option<(usize, &Bot)> {
        self.bots.iter().enumerate().find(|(_, bot)| bot.name == name)
    }

    pub(super) fn bot_at(&self, number: usize) -> &Bot {
        &self.bots[number]
    }

    /// What an endpoint shows now.
    pub(super) fn view(&self, endpoint: Endpoint) -> View {
        self.view_after(self.served[endpoint as usize].load(Ordering::Relaxed))
    }

    /// What an endpoint shows to a request that is now answered, which counts.
    pub(super) fn serve(&self, endpoint: Endpoint) -> View {
        self.view_after(self.served[endpoint as usize].fetch_add(1, Ordering::Relaxed))
    }

    fn view_after(&self, requests: u64) -> View {
        let Growth {
            after_requests,
            per_request,
            ..
        } = self.growth;
        let revealed = match requests.checked_sub(after_requests) {
            _ if self.all_shown.load(Ordering::Relaxed) => u32::MAX,
            None => 0,
            Some(_) if per_request == 0 => u32::MAX,
            Some(further) => u32::try_from(further * u64::from(per_request)).unwrap_or(u32::MAX),
        };
        // Whole seconds, and none beyond the last record, so that views stay equal and can be remembered.
        let now_us = self.clock.now_us().min(self.last_moment_us);
        let now_us = if now_us < self.last_moment_us {
            now_us - now_us.rem_euclid(1_000_000)
        } else {
            now_us
        };
        let shuffle = match self.order {
            Order::Unstable | Order::UnstableTies => requests,
            _ => 0,
        };
        View {
            now_us,
            revealed,
            shuffle,
        }
    }

    fn truths(&self, bot: &str, endpoint: Endpoint) -> impl Iterator<Item = Truth> + '_ {
        let view = self.view(endpoint);
        self.bot(bot).into_iter().flat_map(move |(_, bot)| {
            (0..bot.len(endpoint))
                .filter(move |&index| bot.is_visible(endpoint, index, view))
                .map(move |index| self.truth(bot, endpoint, index, view))
        })
    }

    fn truth(&self, bot: &Bot, endpoint: Endpoint, index: u32, view: View) -> Truth {
        let times = bot.times(endpoint, index, view);
        Truth {
            id: render::id_text(bot, endpoint, index),
            time_us: self.times.known(times.time),
            last_action_us: times.last_action.map(|us| self.times.known(us)),
            conversation: match endpoint {
                Endpoint::Conversations => None,
                Endpoint::Messages => bot
                    .conversation_of(index)
                    .map(|(of, _)| render::id_text(bot, Endpoint::Conversations, of)),
            },
            filter_us: self.times.known(times.filter),
            late: bot.is_ever_late(endpoint, index),
        }
    }
}
