//! When conversations start: uneven, as traffic is, and exactly as many as were asked for.

use super::choices::Traffic;
use super::clock::micros;
use super::options::Options;
use super::random::Random;

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// Of the 24 hours, in UTC.
const HOURS: [u64; 24] = [
    3, 2, 1, 1, 1, 2, 4, 7, 10, 13, 15, 15, 14, 14, 15, 14, 13, 12, 11, 10, 8, 7, 5, 4,
];
/// From Monday to Sunday.
const WEEKDAYS: [u64; 7] = [10, 10, 10, 10, 9, 5, 4];
const BUSY: u64 = 20;

/// The starts of all conversations in Unix microseconds, ascending.
pub(super) fn starts(options: &Options, seed: u64) -> Vec<i64> {
    let mut random = Random::new(seed, 0);
    let total = u64::from(options.conversations);
    if options.traffic == Traffic::OneSecond {
        let second = options.range.start + (options.range.end - options.range.start) / 2;
        return within(&mut random, second, second + 1, total);
    }
    let hours = hours(options);
    let weight: u128 = hours.iter().map(|hour| u128::from(hour.weight)).sum();
    let mut all = Vec::new();
    let (mut sum, mut given) = (0_u128, 0_u64);
    for hour in hours {
        sum += u128::from(hour.weight);
        let due = u64::try_from(sum * u128::from(total) / weight.max(1)).unwrap_or(total);
        all.extend(within(&mut random, hour.from, hour.to, due - given));
        given = due;
    }
    all
}

struct Hour {
    from: i64,
    to: i64,
    weight: u64,
}

/// The hours of the range; the first and the last may be cut short.
fn hours(options: &Options) -> Vec<Hour> {
    let range = &options.range;
    let special = range.end - range.start >= 4 * DAY;
    let mut hours = Vec::new();
    let mut from = range.start;
    while from < range.end {
        let to = (from - from.rem_euclid(HOUR) + HOUR).min(range.end);
        let day = u32::try_from((from - range.start) / DAY).ok();
        let share = match options.traffic {
            Traffic::Even | Traffic::OneSecond => 1,
            Traffic::Uneven if special && day == options.empty_day => 0,
            Traffic::Uneven if special && day == options.busy_day => BUSY * usual(from),
            Traffic::Uneven => usual(from),
        };
        hours.push(Hour {
            from,
            to,
            weight: share * (to - from).unsigned_abs(),
        });
        from = to;
    }
    hours
}

fn usual(second: i64) -> u64 {
    // 1970-01-01 was a Thursday.
    let weekday = (second.div_euclid(DAY) + 3).rem_euclid(7);
    let hour = second.rem_euclid(DAY) / HOUR;
    let of = |table: &[u64], position: i64| usize::try_from(position).map_or(1, |position| table[position]);
    of(&HOURS, hour) * of(&WEEKDAYS, weekday)
}

/// `count` times within `from..to` seconds, ascending. One in sixteen lies on a whole second, so that records
/// at exactly the bound of a window are no rarity in any time format.
fn within(random: &mut Random, from: i64, to: i64, count: u64) -> Vec<i64> {
    let span = micros(to - from).unsigned_abs();
    let mut times: Vec<i64> = (0..count)
        .map(|_| {
            let us = random.below(span);
            let us = if random.one_in(16) {
                us - us % 1_000_000
            } else {
                us
            };
            micros(from).saturating_add_unsigned(us)
        })
        .collect();
    times.sort_unstable();
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_day(options: &Options) -> Vec<usize> {
        let times = starts(options, 5);
        let days = (options.range.end - options.range.start) / DAY;
        let day = |us: &i64| (us / 1_000_000 - options.range.start) / DAY;
        (0..days)
            .map(|nth| times.iter().filter(|us| day(us) == nth).count())
            .collect()
    }

    #[test]
    fn exactly_as_many_as_asked_for_in_order_and_in_the_range() {
        for traffic in [Traffic::Uneven, Traffic::Even, Traffic::OneSecond] {
            let options = Options {
                conversations: 12_345,
                range: 1_000_001..1_500_777,
                traffic,
                ..Options::default()
            };
            let times = starts(&options, 9);
            assert_eq!(times.len(), 12_345);
            assert!(times.is_sorted());
            assert!(
                times
                    .iter()
                    .all(|us| options.range.contains(&us.div_euclid(1_000_000)))
            );
        }
    }

    #[test]
    fn days_are_busy_and_empty_as_chosen() {
        let days = per_day(&Options::default());
        assert!(days[2] > 15 * days[1] && days[3] == 0, "{days:?}");
        let plain = per_day(&Options {
            busy_day: None,
            empty_day: None,
            ..Options::default()
        });
        assert!(plain.iter().all(|&count| count > 500), "{plain:?}");
        let even = per_day(&Options {
            traffic: Traffic::Even,
            ..Options::default()
        });
        assert_eq!(even, [2000; 5]);
    }

    #[test]
    fn one_second_is_one_second() {
        let times = starts(
            &Options {
                traffic: Traffic::OneSecond,
                ..Options::default()
            },
            3,
        );
        assert_eq!(times[0] / 1_000_000, times[9_999] / 1_000_000);
        assert!(times[0] < times[9_999]);
    }
}
