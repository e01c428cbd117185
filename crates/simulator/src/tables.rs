//! The integers that an archive keeps of its records, and how they are made.

use super::choices::{Filter, Injected, MessageFilter, Traffic};
use super::clock::micros;
use super::growth::Turns;
use super::insertion::{self, Insertion};
use super::options::Options;
use super::random::Random;
use super::traffic;

/// By number: those that are made from the seed, by start, then the injected ones. Unix microseconds.
pub(super) struct Conversations {
    pub(super) start: Vec<i64>,
    pub(super) last: Vec<i64>,
    /// The numbers, by the time that windows filter.
    pub(super) by_filter: Vec<u32>,
    /// Those that growth hides at first.
    pub(super) late: Turns,
    pub(super) insertion: Insertion,
}

impl Conversations {
    pub(super) fn new(options: &Options, seed: u64, extra: &[Injected]) -> Self {
        let mut start = traffic::starts(options, seed);
        let at_once = options.traffic == Traffic::OneSecond;
        let end = |(start, index): (&i64, u64)| match options.equal_gap {
            Some(gap) => start + micros(gap.into()),
            None if at_once => *start,
            None => ending(*start, seed, index),
        };
        let mut last: Vec<i64> = start.iter().zip(0..).map(end).collect();
        let candidates = insertion::candidates(options, &start);
        let late = Turns::draw(seed ^ 1, candidates, options.growth.late_records);
        let insertion = Insertion::draw(options, seed, &late, &mut start, &mut last);
        let injected = extra.iter().map(|extra| micros(extra.time_seconds));
        start.extend(injected.clone());
        last.extend(injected);
        let by_filter = match options.filter {
            Filter::Start => sorted_by(&start),
            Filter::LastAction => sorted_by(&last),
            Filter::Inserted => {
                let inserted = start
                    .iter()
                    .zip(0..)
                    .map(|(&start, index)| insertion.of_conversation(index, start));
                sorted_by(&inserted.collect::<Vec<_>>())
            }
        };
        Self {
            start,
            last,
            by_filter,
            late,
            insertion,
        }
    }
}

impl Conversations {
    /// When a conversation is inserted.
    pub(super) fn inserted(&self, index: u32) -> i64 {
        self.insertion.of_conversation(index, self.start[index as usize])
    }

    /// When a message of the conversation `of` is inserted; an injected one, which has none, at its own time.
    pub(super) fn message_inserted(&self, index: u32, time: i64, of: Option<u32>) -> i64 {
        of.map_or(time, |of| {
            self.insertion.of_message(index, time, self.inserted(of))
        })
    }
}

/// By number: conversation by conversation, then the injected ones. Unix microseconds.
pub(super) struct Messages {
    pub(super) time: Vec<i64>,
    /// The conversation of each; injected messages have none.
    pub(super) conversation: Vec<u32>,
    /// The first message of each conversation.
    pub(super) first: Vec<u32>,
    /// The numbers, by the time that windows filter.
    pub(super) by_filter: Vec<u32>,
}

impl Messages {
    /// The messages of the first `generated` conversations, each from its start to its last action.
    pub(super) fn new(
        conversations: &Conversations,
        generated: u32,
        filter: MessageFilter,
        seed: u64,
        extra: &[Injected],
    ) -> Self {
        let (mut time, mut conversation, mut first) = (Vec::new(), Vec::new(), Vec::new());
        let spans = conversations.start.iter().zip(&conversations.last);
        for ((&start, &last), index) in spans.zip(0..generated) {
            first.push(count(time.len()));
            let mut random = Random::new(seed ^ 3, u64::from(index));
            let of = message_count(&mut random);
            let step = (last - start) / i64::from(of);
            for nth in 0..of {
                let pause = if nth == 0 {
                    0
                } else {
                    random.below(step.unsigned_abs())
                };
                time.push((start + step * i64::from(nth)).saturating_add_unsigned(pause));
                conversation.push(index);
            }
        }
        time.extend(extra.iter().map(|extra| micros(extra.time_seconds)));
        let by_filter = match filter {
            MessageFilter::Time => sorted_by(&time),
            MessageFilter::ConversationStart => {
                let starts = conversation.iter().map(|&of| conversations.start[of as usize]);
                let injected = time[conversation.len()..].iter().copied();
                sorted_by(&starts.chain(injected).collect::<Vec<_>>())
            }
            MessageFilter::Inserted => {
                let all = time.iter().zip(0..);
                let inserted = all.map(|(&time, index)| {
                    let of = conversation.get(index as usize).copied();
                    conversations.message_inserted(index, time, of)
                });
                sorted_by(&inserted.collect::<Vec<_>>())
            }
        };
        Self {
            time,
            conversation,
            first,
            by_filter,
        }
    }
}

/// Records are numbered with 32 bits; `Options::check` keeps archives below that.
pub(super) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// From 1 to 12, about 5.
fn message_count(random: &mut Random) -> u32 {
    const COUNTS: [u32; 20] = [1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 6, 6, 7, 8, 9, 10, 12];
    COUNTS[random.small(20) as usize]
}

/// The last action: mostly minutes after the start, now and then hours. One in sixteen lies on a whole second,
/// as starts do.
fn ending(start: i64, seed: u64, index: u64) -> i64 {
    let mut random = Random::new(seed ^ 4, index);
    let minutes = if random.one_in(10) { 360 } else { 25 };
    let end = (start + micros(30)).saturating_add_unsigned(random.below(minutes * 60_000_000));
    if random.one_in(16) {
        end - end.rem_euclid(1_000_000)
    } else {
        end
    }
}

fn sorted_by(times: &[i64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count(times.len())).collect();
    order.sort_unstable_by_key(|&index| (times[index as usize], index));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lie_within_their_conversations() {
        let options = Options {
            conversations: 2_000,
            ..Options::default()
        };
        let conversations = Conversations::new(&options, 1, &[]);
        let messages = Messages::new(&conversations, 2_000, MessageFilter::Time, 1, &[]);
        let mut counts = vec![0_usize; 2_000];
        for (&time, &of) in messages.time.iter().zip(&messages.conversation) {
            counts[of as usize] += 1;
            let of = of as usize;
            assert!((conversations.start[of]..=conversations.last[of]).contains(&time));
        }
        assert!(counts.iter().all(|count| (1..=12).contains(count)));
        assert!(
            (9_000..11_000).contains(&messages.time.len()),
            "{}",
            messages.time.len()
        );
        for (of, &first) in messages.first.iter().enumerate() {
            let all = &messages.time[first as usize..first as usize + counts[of]];
            assert!(all.is_sorted() && all[0] == conversations.start[of]);
        }
    }

    #[test]
    fn one_second_holds_messages_too() {
        let options = Options {
            traffic: Traffic::OneSecond,
            conversations: 100,
            ..Options::default()
        };
        let conversations = Conversations::new(&options, 1, &[]);
        let messages = Messages::new(&conversations, 100, MessageFilter::Time, 1, &[]);
        let second = conversations.start[0] / 1_000_000;
        let times = messages.time.iter().chain(&conversations.last);
        assert!(messages.time.len() > 300 && times.into_iter().all(|us| us / 1_000_000 == second));
    }

    #[test]
    fn injected_records_find_their_place() {
        let range = Options::default().range;
        let extra = [range.end, range.start - 1].map(|time_seconds| Injected {
            endpoint: super::super::Endpoint::Messages,
            time_seconds,
            raw_json: String::new(),
        });
        let options = Options {
            conversations: 10,
            ..Options::default()
        };
        let conversations = Conversations::new(&options, 1, &extra);
        assert_eq!(
            (conversations.by_filter[0], conversations.by_filter[11]),
            (11, 10)
        );
        for filter in [MessageFilter::Time, MessageFilter::ConversationStart] {
            let messages = Messages::new(&conversations, 10, filter, 1, &extra);
            let last = count(messages.time.len()) - 1;
            assert_eq!(messages.by_filter[0], last);
            assert_eq!(messages.conversation.len(), messages.time.len() - 2);
        }
    }
}
