//! One bot's archive, as a few integers for each record; everything else is derived when it is rendered.

use std::sync::OnceLock;

use super::choices::{Endpoint, Filter, Growth, Injected, MessageFilter, Order};
use super::clock::micros;
use super::growth::Turns;
use super::id::Id;
use super::options::Options;
use super::random::{mix, seed_of};
use super::tables::{Conversations, Messages, count};

/// What an endpoint shows at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    /// Nothing later is there yet.
    pub(super) now_us: i64,
    /// How many of the late records have appeared, and of the updates have happened.
    pub(super) revealed: u32,
    /// What the unstable orders depend on; 0 in the others.
    pub(super) shuffle: u64,
}

/// The true times of a record, in Unix microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// A conversation's start, a message's time.
    pub(super) time: i64,
    pub(super) last_action: Option<i64>,
    /// The one that windows filter.
    pub(super) filter: i64,
}

pub(super) struct Bot {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) order: Order,
    filter: Filter,
    message_filter: MessageFilter,
    /// How many conversations are generated; injected ones come after them.
    generated: u32,
    conversations: Conversations,
    messages: OnceLock<Messages>,
    /// Whether late records appear by requests, and not by the clock.
    late_by_requests: bool,
    updates: Turns,
    deleted: Turns,
    /// Microseconds after the last action.
    deleted_us: i64,
    extra_conversations: Vec<Injected>,
    extra_messages: Vec<Injected>,
}

impl Bot {
    pub(super) fn new(name: &str, options: &Options) -> Self {
        let seed = seed_of(name, options.seed);
        let extra = |endpoint| {
            options
                .extra
                .iter()
                .filter(move |extra| extra.endpoint == endpoint)
                .cloned()
        };
        let extra_conversations: Vec<Injected> = extra(Endpoint::Conversations).collect();
        let Growth {
            updates,
            deleted,
            late_seconds,
            deleted_seconds,
            ..
        } = options.growth;
        let generated = options.conversations;
        Self {
            name: name.to_owned(),
            seed,
            order: options.order,
            filter: options.filter,
            message_filter: options.message_filter,
            generated,
            conversations: Conversations::new(options, seed, &extra_conversations),
            messages: OnceLock::new(),
            late_by_requests: late_seconds == 0,
            updates: Turns::draw(seed ^ 2, 0..generated, updates),
            deleted: Turns::draw(seed ^ 6, 0..generated, deleted),
            deleted_us: micros(deleted_seconds.into()),
            extra_conversations,
            extra_messages: extra(Endpoint::Messages).collect(),
        }
    }

    pub(super) fn len(&self, endpoint: Endpoint) -> u32 {
        count(self.by_filter(endpoint).len())
    }

    /// All records by the time that windows filter, as it is when everything has happened.
    pub(super) fn by_filter(&self, endpoint: Endpoint) -> &[u32] {
        match endpoint {
            Endpoint::Conversations => &self.conversations.by_filter,
            Endpoint::Messages => &self.messages().by_filter,
        }
    }

    /// The times of a record, as they are when everything has happened.
    pub(super) fn final_times(&self, endpoint: Endpoint, index: u32) -> Times {
        let at = index as usize;
        match endpoint {
            Endpoint::Conversations => {
                self.conversation_times(index, self.conversations.start[at], self.conversations.last[at])
            }
            Endpoint::Messages => {
                let time = self.messages().time[at];
                let filter = match (self.message_filter, self.messages().conversation.get(at)) {
                    (MessageFilter::ConversationStart, Some(&of)) => self.conversations.start[of as usize],
                    (MessageFilter::Inserted, of) => {
                        self.conversations.message_inserted(index, time, of.copied())
                    }
                    _ => time,
                };
                Times {
                    time,
                    last_action: None,
                    filter,
                }
            }
        }
    }

    /// The times of a record, as `view` shows them.
    pub(super) fn times(&self, endpoint: Endpoint, index: u32, view: View) -> Times {
        let times = self.final_times(endpoint, index);
        match endpoint {
            Endpoint::Conversations if self.is_early(index, view) => {
                self.conversation_times(index, times.time, times.time)
            }
            _ => times,
        }
    }

    fn conversation_times(&self, index: u32, start: i64, last: i64) -> Times {
        let filter = match self.filter {
            Filter::Start => start,
            Filter::LastAction => last,
            Filter::Inserted => self.conversations.inserted(index),
        };
        Times {
            time: start,
            last_action: Some(last),
            filter,
        }
    }

    /// Whether a conversation still is as it was when it began.
    pub(super) fn is_early(&self, index: u32, view: View) -> bool {
        self.conversations.last[index as usize] > view.now_us || self.updates.pending(index, view.revealed)
    }

    pub(super) fn is_visible(&self, endpoint: Endpoint, index: u32, view: View) -> bool {
        !self.is_late(endpoint, index, view) && !self.is_deleted(endpoint, index, view)
    }

    /// When a record is inserted, in Unix microseconds: never before its own time.
    pub(super) fn inserted(&self, endpoint: Endpoint, index: u32) -> i64 {
        match endpoint {
            Endpoint::Conversations => self.conversations.inserted(index),
            Endpoint::Messages => {
                let time = self.messages().time[index as usize];
                self.conversations
                    .message_inserted(index, time, self.of(endpoint, index))
            }
        }
    }

    /// The place of a record in order of insertion: at its insertion, or after all others if it appears by requests.
    pub(super) fn inserted_place(&self, endpoint: Endpoint, index: u32) -> i64 {
        let turn = self
            .of(endpoint, index)
            .filter(|_| self.late_by_requests)
            .and_then(|of| self.conversations.late.turn(of));
        match turn {
            Some(turn) => i64::MAX - i64::from(u32::MAX - turn),
            None => self.inserted(endpoint, index),
        }
    }

    /// Whether a record was there and is not there any more.
    pub(super) fn is_deleted(&self, endpoint: Endpoint, index: u32, view: View) -> bool {
        let is_over =
            |of: u32| self.conversations.last[of as usize].saturating_add(self.deleted_us) <= view.now_us;
        self.of(endpoint, index)
            .is_some_and(|of| self.deleted.has(of) && is_over(of))
    }

    /// Whether growth hides a record at first.
    pub(super) fn is_ever_late(&self, endpoint: Endpoint, index: u32) -> bool {
        self.of(endpoint, index)
            .is_some_and(|of| self.conversations.late.has(of))
    }

    /// Whether a record is not inserted yet.
    pub(super) fn is_late(&self, endpoint: Endpoint, index: u32, view: View) -> bool {
        let pending = |of: u32| self.conversations.late.pending(of, view.revealed);
        self.inserted(endpoint, index) > view.now_us
            || (self.late_by_requests && self.of(endpoint, index).is_some_and(pending))
    }

    /// The number of a conversation, or of a message's; `None` for an injected message.
    fn of(&self, endpoint: Endpoint, index: u32) -> Option<u32> {
        match endpoint {
            Endpoint::Conversations => Some(index),
            Endpoint::Messages => self.messages().conversation.get(index as usize).copied(),
        }
    }

    /// The conversations whose filtered time can differ from the final one in `view`.
    pub(super) fn unsettled(&self, view: View) -> Vec<u32> {
        if self.filter != Filter::LastAction {
            return Vec::new();
        }
        let Conversations { last, by_filter, .. } = &self.conversations;
        let over = by_filter.partition_point(|&index| last[index as usize] <= view.now_us);
        by_filter[over..]
            .iter()
            .copied()
            .chain(self.updates.all())
            .collect()
    }

    pub(super) fn id(&self, endpoint: Endpoint, index: u32) -> Id {
        let second = self.final_times(endpoint, index).time.div_euclid(1_000_000);
        let part = (u64::from(endpoint == Endpoint::Messages) << 32) | u64::from(index);
        Id {
            second: (second.cast_unsigned() & 0xffff_ffff) as u32,
            rest: mix(self.seed ^ part),
        }
    }

    /// The conversation of a message and the message's number in it; `None` for an injected one.
    pub(super) fn conversation_of(&self, message: u32) -> Option<(u32, u32)> {
        let messages = self.messages();
        let of = *messages.conversation.get(message as usize)?;
        Some((of, message - messages.first[of as usize]))
    }

    /// The text of an injected record.
    pub(super) fn injected(&self, endpoint: Endpoint, index: u32) -> Option<&str> {
        let (extra, before) = match endpoint {
            Endpoint::Conversations => (&self.extra_conversations, self.generated as usize),
            Endpoint::Messages => (&self.extra_messages, self.messages().conversation.len()),
        };
        let nth = (index as usize).checked_sub(before)?;
        extra.get(nth).map(|extra| extra.raw_json.as_str())
    }

    /// The latest time of any conversation: once it is past, the clock changes nothing any more.
    pub(super) fn last_moment_us(&self) -> i64 {
        let extra = self.extra_messages.iter().map(|extra| micros(extra.time_seconds));
        let (inserted, arrival) = self.conversations.insertion.latest();
        let last = self.conversations.last.iter().copied().chain(extra).max();
        let last = last.unwrap_or(0).saturating_add(self.deleted_us);
        last.max(inserted.unwrap_or(last)).saturating_add(arrival)
    }

    /// Made when the endpoint is used for the first time.
    fn messages(&self) -> &Messages {
        self.messages.get_or_init(|| {
            let Self {
                conversations,
                generated,
                message_filter,
                seed,
                extra_messages,
                ..
            } = self;
            Messages::new(conversations, *generated, *message_filter, *seed, extra_messages)
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::HashSet;

    pub(crate) const ALL: View = View {
        now_us: i64::MAX,
        revealed: u32::MAX,
        shuffle: 0,
    };

    pub(crate) fn bot(options: Options) -> Bot {
        Bot::new(
            "r3-218210",
            &Options {
                conversations: 500,
                ..options
            },
        )
    }

    #[test]
    fn ids_are_distinct_and_begin_with_the_second() {
        let bot = bot(Options::default());
        let mut seen = HashSet::new();
        for endpoint in [Endpoint::Conversations, Endpoint::Messages] {
            for index in 0..bot.len(endpoint) {
                let id = bot.id(endpoint, index);
                assert_eq!(
                    i64::from(id.second),
                    bot.times(endpoint, index, ALL).time / 1_000_000
                );
                assert!(seen.insert(id));
            }
        }
        assert!(seen.len() > 2_000);
        assert_eq!(
            Id::parse("0000001f0000000000000abc"),
            Some(Id {
                second: 0x1f,
                rest: 0xabc
            })
        );
        assert_eq!(Id::parse("0000001f0000000000000abg"), None);
        assert_eq!(Id::parse("1f"), None);
    }

    #[test]
    fn bots_and_seeds_have_contents_of_their_own() {
        let ids = |name: &str, seed| {
            let bot = Bot::new(
                name,
                &Options {
                    seed,
                    conversations: 100,
                    ..Options::default()
                },
            );
            (0..100)
                .map(|index| bot.id(Endpoint::Conversations, index))
                .collect::<HashSet<_>>()
        };
        assert_eq!(ids("a", 1), ids("a", 1));
        assert!(ids("a", 1).is_disjoint(&ids("b", 1)));
        assert!(ids("a", 1).is_disjoint(&ids("a", 2)));
    }

    #[test]
    fn growth_hides_records_and_their_messages_by_turns() {
        let growth = Growth {
            late_records: 40,
            updates: 30,
            ..Growth::default()
        };
        let bot = bot(Options {
            growth,
            ..Options::default()
        });
        let count = |act: &dyn Fn(u32, View) -> bool, revealed| {
            (0..500)
                .filter(|&index| act(index, View { revealed, ..ALL }))
                .count()
        };
        let visible = |index, view| bot.is_visible(Endpoint::Conversations, index, view);
        let early = |index, view| bot.is_early(index, view);
        assert_eq!(
            [0, 15, 40].map(|revealed| count(&visible, revealed)),
            [460, 475, 500]
        );
        assert_eq!([0, 15, 40].map(|revealed| count(&early, revealed)), [30, 15, 0]);
        let view = View { revealed: 0, ..ALL };
        for message in 0..bot.len(Endpoint::Messages) {
            let (of, _) = bot.conversation_of(message).unwrap();
            assert_eq!(
                bot.is_visible(Endpoint::Messages, message, view),
                visible(of, view)
            );
        }
    }

    #[test]
    fn what_is_later_than_now_is_not_there_yet() {
        let bot = bot(Options::default());
        let times = bot.final_times(Endpoint::Conversations, 250);
        let at = |now_us| View { now_us, ..ALL };
        let seen = |now_us| bot.times(Endpoint::Conversations, 250, at(now_us)).last_action;
        assert!(!bot.is_visible(Endpoint::Conversations, 250, at(times.time - 1)));
        assert!(bot.is_visible(Endpoint::Conversations, 250, at(times.time)));
        assert_eq!(seen(times.time), Some(times.time));
        assert_eq!(seen(times.last_action.unwrap()), times.last_action);
    }

    #[test]
    fn growth_by_the_clock_hides_and_deletes() {
        let growth = Growth {
            late_records: 40,
            late_seconds: 3600,
            deleted: 30,
            deleted_seconds: 7200,
            ..Growth::default()
        };
        let bot = bot(Options {
            growth,
            ..Options::default()
        });
        let at = |now_us| View { now_us, ..ALL };
        let (hour, mut late, mut deleted) = (micros(3600), 0, 0);
        for index in 0..500 {
            let times = bot.final_times(Endpoint::Conversations, index);
            let (start, last) = (times.time, times.last_action.unwrap());
            let is_seen = |now| bot.is_visible(Endpoint::Conversations, index, at(now));
            let is_late = bot.is_ever_late(Endpoint::Conversations, index);
            let is_deleted = !is_seen(last + 2 * hour);
            assert_eq!(is_seen(start), !is_late);
            assert_eq!(
                is_seen(start + hour),
                !(is_deleted && start + hour >= last + 2 * hour)
            );
            assert!(is_seen((last + 2 * hour - 1).max(start + hour)) || is_deleted);
            late += u32::from(is_late);
            deleted += u32::from(is_deleted);
        }
        assert_eq!((late, deleted), (40, 30));
        assert!(bot.last_moment_us() >= bot.conversations.last.iter().max().unwrap() + 2 * hour);
    }
}
