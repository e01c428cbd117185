//! When records are inserted into the archive, where that is not at their own time.

use std::collections::HashMap;
use std::ops::Range;

use super::clock::micros;
use super::growth::Turns;
use super::options::Options;
use super::random::Random;
use super::tables::count;

const DAY: i64 = 86_400;

/// Conversations of an earlier time that are inserted together, as a migration does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import {
    /// How many conversations of each bot are imported, with their messages.
    pub records: u32,
    /// How many seconds before the time that traffic gave them their own times lie.
    pub seconds_back: u32,
    /// When the first one is inserted, in Unix seconds.
    pub begins: i64,
    /// Within how many seconds all are inserted, evenly; 0 = all at once.
    pub lasts: u32,
}

/// When conversations and messages are inserted.
pub(super) struct Insertion {
    seed: u64,
    /// Conversations that are not inserted at their start; Unix microseconds.
    apart: HashMap<u32, i64>,
    /// How long after its own time a message is inserted at the latest.
    arrival_us: u64,
}

impl Insertion {
    /// Draws the insertion times of late and imported conversations. Moves the imported ones into the past.
    pub(super) fn draw(
        options: &Options,
        seed: u64,
        late: &Turns,
        start: &mut [i64],
        last: &mut [i64],
    ) -> Self {
        let growth = options.growth;
        let delay = |index: u32| {
            let most = u64::from(growth.late_seconds);
            let seconds = match growth.late_spread {
                true => 1 + Random::new(seed ^ 8, index.into()).below(most),
                false => most,
            };
            micros(seconds.cast_signed())
        };
        let is_late_by_clock = |_: &u32| growth.late_seconds > 0;
        let mut apart: HashMap<u32, i64> = late
            .all()
            .filter(is_late_by_clock)
            .map(|index| (index, start[index as usize].saturating_add(delay(index))))
            .collect();
        if let Some(import) = options.import {
            let imported = Turns::draw(seed ^ 9, 0..options.conversations, import.records);
            for (index, turn) in imported.turns() {
                let (begins, lasts) = (micros(import.begins), micros(import.lasts.into()));
                let records = i64::from(import.records.min(options.conversations));
                apart.insert(index, begins + lasts / records.max(1) * i64::from(turn));
                let back = micros(import.seconds_back.into());
                start[index as usize] -= back;
                last[index as usize] -= back;
            }
        }
        Self {
            seed,
            apart,
            arrival_us: micros(options.arrival_seconds.into()).unsigned_abs(),
        }
    }

    /// When a conversation with this start is inserted.
    pub(super) fn of_conversation(&self, index: u32, start: i64) -> i64 {
        self.apart.get(&index).copied().unwrap_or(start)
    }

    /// When a message is inserted whose conversation is inserted at `conversation`: never before that.
    pub(super) fn of_message(&self, index: u32, time: i64, conversation: i64) -> i64 {
        let delay = match self.arrival_us {
            0 => 0,
            most => Random::new(self.seed ^ 10, index.into()).below(most + 1),
        };
        time.saturating_add_unsigned(delay).max(conversation)
    }

    /// The latest insertion of a conversation apart from its start, and what messages can add to that.
    pub(super) fn latest(&self) -> (Option<i64>, i64) {
        (self.apart.values().copied().max(), self.arrival_us.cast_signed())
    }
}

/// The conversations that may be late: all, or those that start on one day of the range.
pub(super) fn candidates(options: &Options, start: &[i64]) -> Range<u32> {
    let Some(day) = options.growth.late_day else {
        return 0..count(start.len());
    };
    let from = options.range.start + i64::from(day) * DAY;
    let at = |second| count(start.partition_point(|&us| us < micros(second)));
    at(from)..at(from + DAY)
}

#[cfg(test)]
mod tests {
    use super::super::bot::View;
    use super::super::bot::tests::{ALL, bot};
    use super::super::choices::{Endpoint, Filter, Growth, MessageFilter};
    use super::*;

    #[test]
    fn late_ones_are_of_the_day_and_late_by_up_to_the_seconds() {
        let growth = Growth {
            late_records: 40,
            late_seconds: 7_200,
            late_spread: true,
            late_day: Some(2),
            ..Growth::default()
        };
        let bot = bot(Options {
            growth,
            ..Options::default()
        });
        let day = Options::default().range.start + 2 * DAY;
        let (mut late, mut delays) = (0, Vec::new());
        for index in 0..500 {
            let start = bot.final_times(Endpoint::Conversations, index).time;
            let inserted = bot.inserted(Endpoint::Conversations, index);
            if bot.is_ever_late(Endpoint::Conversations, index) {
                late += 1;
                assert!((micros(day)..micros(day + DAY)).contains(&start));
                assert!((micros(1)..=micros(7_200)).contains(&(inserted - start)));
                delays.push(inserted - start);
                let seen = |now_us| bot.is_visible(Endpoint::Conversations, index, View { now_us, ..ALL });
                assert!(!seen(inserted - 1) && seen(inserted));
            } else {
                assert_eq!(inserted, start);
            }
        }
        delays.sort_unstable();
        delays.dedup();
        assert!(late == 40 && delays.len() > 20);
    }

    #[test]
    fn an_import_has_times_of_the_past_and_is_inserted_in_the_range() {
        let begins = Options::default().range.start + 1_000;
        let import = Some(Import {
            records: 100,
            seconds_back: 365 * 86_400,
            begins,
            lasts: 60,
        });
        let (filter, message_filter) = (Filter::Inserted, MessageFilter::Inserted);
        let bot = bot(Options {
            import,
            filter,
            message_filter,
            ..Options::default()
        });
        let mut imported = 0;
        for endpoint in [Endpoint::Conversations, Endpoint::Messages] {
            for index in 0..bot.len(endpoint) {
                let times = bot.final_times(endpoint, index);
                assert_eq!(times.filter, bot.inserted(endpoint, index));
                if times.time < micros(begins - 30 * DAY) {
                    imported += u32::from(endpoint == Endpoint::Conversations);
                    assert!((micros(begins)..micros(begins + 60)).contains(&times.filter));
                }
            }
        }
        assert_eq!(imported, 100);
    }

    #[test]
    fn messages_arrive_later_than_their_time_and_not_before_their_conversation() {
        let bot = bot(Options {
            arrival_seconds: 90,
            message_filter: MessageFilter::Inserted,
            growth: Growth {
                late_records: 50,
                late_seconds: 100_000,
                ..Growth::default()
            },
            ..Options::default()
        });
        let mut most = 0;
        for index in 0..bot.len(Endpoint::Messages) {
            let times = bot.final_times(Endpoint::Messages, index);
            let (of, _) = bot.conversation_of(index).unwrap();
            let conversation = bot.inserted(Endpoint::Conversations, of);
            assert!(times.filter >= times.time && times.filter >= conversation);
            if !bot.is_ever_late(Endpoint::Messages, index) {
                most = most.max(times.filter - times.time);
            }
        }
        assert!((micros(80)..=micros(90)).contains(&most), "{most}");
        assert!(
            bot.by_filter(Endpoint::Messages)
                .is_sorted_by_key(|&index| { bot.final_times(Endpoint::Messages, index).filter })
        );
    }
}
