//! One bot's archive, as a few integers for each record; everything else is derived when it is rendered.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::choices::{Endpoint, Filter, Growth, Injected, MessageFilter, Order, Traffic};
use super::clock::micros;
use super::options::Options;
use super::random::{Random, mix, seed_of};
use super::traffic;

/// What an endpoint shows at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    /// Nothing later is there yet.
    pub(super) now_us: i64,
    /// How many of the late records have appeared, and of the updates have happened.
    pub(super) revealed: u32,
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

/// Written as 24 hexadecimal digits that sort as this does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    pub(super) second: u32,
    pub(super) rest: u64,
}

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parsed = digits.then(|| text.split_at(8))?;
        Some(Self {
            second: u32::from_str_radix(parsed.0, 16).ok()?,
            rest: u64::from_str_radix(parsed.1, 16).ok()?,
        })
    }
}

struct Conversations {
    start: Vec<i64>,
    last: Vec<i64>,
    by_filter: Vec<u32>,
}

pub(super) struct Messages {
    time: Vec<i64>,
    /// The conversation of each; injected messages, which come last, have none.
    conversation: Vec<u32>,
    /// The first message of each conversation.
    first: Vec<u32>,
    by_filter: Vec<u32>,
}

pub(super) struct Bot {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) order: Order,
    filter: Filter,
    message_filter: MessageFilter,
    one_second: bool,
    /// How many conversations are generated; injected ones come after them.
    generated: u32,
    conversations: Conversations,
    messages: OnceLock<Messages>,
    late: HashMap<u32, u32>,
    updates: HashMap<u32, u32>,
    extra_conversations: Vec<Injected>,
    extra_messages: Vec<Injected>,
}

impl Bot {
    pub(super) fn new(name: &str, options: &Options) -> Self {
        let seed = seed_of(name, options.seed);
        let one_second = options.traffic == Traffic::OneSecond;
        let extra = |endpoint| {
            options
                .extra
                .iter()
                .filter(move |extra| extra.endpoint == endpoint)
                .cloned()
        };
        let extra_conversations: Vec<Injected> = extra(Endpoint::Conversations).collect();
        let mut start = traffic::starts(options, seed);
        let generated = count(start.len());
        let mut last: Vec<i64> = start
            .iter()
            .zip(0..)
            .map(|(start, index)| {
                if one_second {
                    *start
                } else {
                    start + duration(seed, index)
                }
            })
            .collect();
        let injected = extra_conversations.iter().map(|extra| micros(extra.time_seconds));
        start.extend(injected.clone());
        last.extend(injected);
        let filter = match options.filter {
            Filter::Start => &start,
            Filter::LastAction => &last,
        };
        let by_filter = sorted_by(filter);
        let Growth {
            late_records,
            updates,
            ..
        } = options.growth;
        Self {
            name: name.to_owned(),
            seed,
            order: options.order,
            filter: options.filter,
            message_filter: options.message_filter,
            one_second,
            generated,
            conversations: Conversations {
                start,
                last,
                by_filter,
            },
            messages: OnceLock::new(),
            late: chosen(seed ^ 1, generated, late_records),
            updates: chosen(seed ^ 2, generated, updates),
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
                self.conversation_times(self.conversations.start[at], self.conversations.last[at])
            }
            Endpoint::Messages => {
                let time = self.messages().time[at];
                let filter = match (self.message_filter, self.messages().conversation.get(at)) {
                    (MessageFilter::ConversationStart, Some(&of)) => self.conversations.start[of as usize],
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
                self.conversation_times(times.time, times.time)
            }
            _ => times,
        }
    }

    fn conversation_times(&self, start: i64, last: i64) -> Times {
        let filter = match self.filter {
            Filter::Start => start,
            Filter::LastAction => last,
        };
        Times {
            time: start,
            last_action: Some(last),
            filter,
        }
    }

    /// Whether a conversation still is as it was when it began.
    pub(super) fn is_early(&self, index: u32, view: View) -> bool {
        self.conversations.last[index as usize] > view.now_us || pending(&self.updates, index, view)
    }

    pub(super) fn is_visible(&self, endpoint: Endpoint, index: u32, view: View) -> bool {
        let late = self.is_late(endpoint, index, view);
        !late && self.final_times(endpoint, index).time <= view.now_us
    }

    /// Whether growth still hides a record; with nothing revealed, whether it ever does.
    pub(super) fn is_late(&self, endpoint: Endpoint, index: u32, view: View) -> bool {
        let conversation = match endpoint {
            Endpoint::Conversations => Some(index),
            Endpoint::Messages => self.messages().conversation.get(index as usize).copied(),
        };
        conversation.is_some_and(|of| pending(&self.late, of, view))
    }

    /// The conversations whose filtered time can differ from the final one in `view`.
    pub(super) fn unsettled(&self, view: View) -> Vec<u32> {
        if self.filter == Filter::Start {
            return Vec::new();
        }
        let Conversations { last, by_filter, .. } = &self.conversations;
        let over = by_filter.partition_point(|&index| last[index as usize] <= view.now_us);
        by_filter[over..]
            .iter()
            .chain(self.updates.keys())
            .copied()
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
        self.conversations
            .last
            .iter()
            .copied()
            .chain(extra)
            .max()
            .unwrap_or(0)
    }

    /// Built when the endpoint is used for the first time.
    fn messages(&self) -> &Messages {
        self.messages.get_or_init(|| {
            let (mut time, mut conversation, mut first) = (Vec::new(), Vec::new(), Vec::new());
            let spans = self.conversations.start.iter().zip(&self.conversations.last);
            for ((&start, &last), index) in spans.zip(0..self.generated) {
                first.push(count(time.len()));
                let mut random = Random::new(self.seed ^ 3, u64::from(index));
                let of = message_count(&mut random);
                let step = (last - start) / i64::from(of);
                for nth in 0..of {
                    let pause = if nth == 0 {
                        0
                    } else {
                        random.below(step.unsigned_abs())
                    };
                    let at = (start + step * i64::from(nth)).saturating_add_unsigned(pause);
                    time.push(if self.one_second { start } else { at });
                    conversation.push(index);
                }
            }
            time.extend(self.extra_messages.iter().map(|extra| micros(extra.time_seconds)));
            let by_filter = match self.message_filter {
                MessageFilter::Time => sorted_by(&time),
                MessageFilter::ConversationStart => {
                    let starts = conversation
                        .iter()
                        .map(|&of| self.conversations.start[of as usize]);
                    sorted_by(
                        &starts
                            .chain(time[conversation.len()..].iter().copied())
                            .collect::<Vec<_>>(),
                    )
                }
            };
            Messages {
                time,
                conversation,
                first,
                by_filter,
            }
        })
    }
}

/// From 1 to 12, about 5.
fn message_count(random: &mut Random) -> u32 {
    const COUNTS: [u32; 20] = [1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 6, 6, 7, 8, 9, 10, 12];
    COUNTS[random.small(20) as usize]
}

/// Mostly minutes, now and then hours, in microseconds.
fn duration(seed: u64, index: u64) -> i64 {
    let mut random = Random::new(seed ^ 4, index);
    let minutes = if random.one_in(10) { 360 } else { 25 };
    micros(30).saturating_add_unsigned(random.below(minutes * 60_000_000))
}

/// `wanted` of `0..of`, each with its turn.
fn chosen(seed: u64, of: u32, wanted: u32) -> HashMap<u32, u32> {
    let mut random = Random::new(seed, 0);
    let mut turns = HashMap::new();
    while turns.len() < wanted.min(of) as usize {
        let turn = count(turns.len());
        turns.entry(random.small(of)).or_insert(turn);
    }
    turns
}

fn pending(turns: &HashMap<u32, u32>, index: u32, view: View) -> bool {
    turns.get(&index).is_some_and(|&turn| turn >= view.revealed)
}

fn sorted_by(times: &[i64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count(times.len())).collect();
    order.sort_unstable_by_key(|&index| (times[index as usize], index));
    order
}

/// Records are numbered with 32 bits; `Options::check` keeps archives below that.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
