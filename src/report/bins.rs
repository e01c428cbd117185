//! Days put together so that a chart of any range can be read: days, weeks, months, quarters or years.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Range};

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use serde::Serialize;

/// Bins of a chart, at most.
const BINS: usize = 120;
/// Days without a row after which what comes is another stretch of time.
const FAR: i32 = 400;

/// What was counted of some days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Conversations.
    pub sessions: u64,
    /// Of them, those that an agent took over.
    pub handovers: u64,
    /// Of them, those with a confirmed resolution.
    pub resolved: u64,
    /// Of them, those whose user was informed.
    pub informed: u64,
    /// Messages.
    pub messages: u64,
}

impl Count {
    /// Conversations without an agent.
    #[must_use]
    pub fn self_served(&self) -> u64 {
        self.sessions - self.handovers
    }

    /// Conversations without an agent as a part of all; none of none.
    #[must_use]
    pub fn self_service_rate(&self) -> Option<f64> {
        (self.sessions > 0).then(|| self.self_served() as f64 / self.sessions as f64)
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.handovers += other.handovers;
        self.resolved += other.resolved;
        self.informed += other.informed;
        self.messages += other.messages;
    }
}

/// How many days a bin holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// One.
    Day,
    /// Seven, from a Monday on.
    Week,
    /// Those of a month.
    Month,
    /// Those of three months.
    Quarter,
    /// Those of a year.
    Year,
    /// Those of a century: nobody's clock is off by less.
    Century,
}

/// Some days and what was counted of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// The first of its days.
    pub first: Date,
    /// The last of its days.
    pub last: Date,
    /// What was counted.
    #[serde(flatten)]
    pub count: Count,
}

/// A stretch of time in bins without a gap between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bins {
    /// What each of them holds.
    pub unit: Unit,
    /// The first day that has something.
    pub first: Date,
    /// The last day that has something.
    pub last: Date,
    /// In order.
    pub bins: Vec<Bin>,
    /// What lies so far from the rest that it would only make it unreadable.
    pub far: Count,
}

impl Unit {
    const ALL: [Self; 6] = [
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Quarter,
        Self::Year,
        Self::Century,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
            Self::Century => "century",
        }
    }

    /// The first day of the bin that a day lies in.
    fn begin(self, day: Date) -> Date {
        let of_year = |month: i8| Date::new(day.year(), month, 1).unwrap_or(day);
        match self {
            Self::Day => day,
            Self::Week => {
                let since = day.weekday().since(Weekday::Monday);
                day.checked_sub(i32::from(since).days()).unwrap_or(day)
            }
            Self::Month => of_year(day.month()),
            Self::Quarter => of_year((day.month() - 1) / 3 * 3 + 1),
            Self::Year => of_year(1),
            Self::Century => Date::new(day.year().div_euclid(100) * 100, 1, 1).unwrap_or(day),
        }
    }

    /// The first day of the bin after the one that begins on a day; none where time ends.
    fn next(self, begin: Date) -> Option<Date> {
        let span = match self {
            Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month => 1.month(),
            Self::Quarter => 3.months(),
            Self::Year => 1.year(),
            Self::Century => 100.years(),
        };
        begin.checked_add(span).ok()
    }

    /// The bins from a day to another, both included.
    fn bins(self, days: &Range<Date>) -> Vec<Bin> {
        let mut bins = Vec::new();
        let mut begin = Some(self.begin(days.start));
        while let Some(first) = begin.filter(|first| *first < days.end && bins.len() <= BINS) {
            begin = self.next(first);
            let last = begin.and_then(|next| next.yesterday().ok()).unwrap_or(Date::MAX);
            bins.push(Bin {
                first,
                last,
                count: Count::default(),
            });
        }
        bins
    }
}

/// Puts days together; none of no days.
pub(crate) fn bins(days: &BTreeMap<Date, Count>) -> Option<Bins> {
    let (stretch, far) = stretch(days)?;
    let mut found = None;
    for unit in Unit::ALL {
        let bins = unit.bins(&stretch);
        if bins.len() <= BINS {
            found = Some((unit, bins));
            break;
        }
    }
    let (unit, mut bins) = found?;
    let mut at = 0;
    let (first, last) = (stretch.start, stretch.end.yesterday().unwrap_or(stretch.end));
    for (day, count) in days.range(stretch) {
        while bins.get(at).is_some_and(|bin| bin.last < *day) {
            at += 1;
        }
        bins.get_mut(at)?.count += *count;
    }
    Some(Bins {
        unit,
        first,
        last,
        bins,
        far,
    })
}

/// The stretch of time that holds the most, half-open, and what lies far from it: one record with a time of 1970
/// would make decades of a month.
fn stretch(days: &BTreeMap<Date, Count>) -> Option<(Range<Date>, Count)> {
    let mut stretches: Vec<(Date, Date, Count)> = Vec::new();
    for (day, count) in days {
        match stretches.last_mut() {
            Some((_, last, sum)) if day.since(*last).is_ok_and(|span| span.get_days() <= FAR) => {
                *last = *day;
                *sum += *count;
            }
            _ => stretches.push((*day, *day, *count)),
        }
    }
    let size = |count: &Count| count.sessions + count.messages;
    let (at, _) = stretches
        .iter()
        .enumerate()
        .max_by_key(|(_, (.., count))| size(count))?;
    let (first, last, _) = stretches.swap_remove(at);
    let mut far = Count::default();
    stretches.into_iter().for_each(|(.., count)| far += count);
    Some((first..last.tomorrow().unwrap_or(last), far))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn sessions(days: impl IntoIterator<Item = Date>) -> BTreeMap<Date, Count> {
        let count = Count {
            sessions: 1,
            ..Count::default()
        };
        days.into_iter().map(|day| (day, count)).collect()
    }

    fn each_day(first: Date, days: i32) -> impl Iterator<Item = Date> {
        (0..days).map(move |day| first.checked_add(day.days()).unwrap())
    }

    #[test]
    fn a_bin_holds_as_many_days_as_are_needed() {
        let first = date(2023, 10, 4);
        for (days, unit) in [
            (1, Unit::Day),
            (120, Unit::Day),
            (121, Unit::Week),
            (900, Unit::Month),
            (3_700, Unit::Quarter),
            (20_000, Unit::Year),
        ] {
            let days = sessions(each_day(first, days));
            let bins = bins(&days).unwrap();
            assert_eq!(bins.unit, unit, "{} days", days.len());
            let sum: u64 = bins.bins.iter().map(|bin| bin.count.sessions).sum();
            assert_eq!(sum, days.len() as u64);
            assert!(bins.bins.len() <= BINS);
            for pair in bins.bins.windows(2) {
                assert_eq!(pair[0].last.tomorrow().unwrap(), pair[1].first);
            }
        }
        assert_eq!(bins(&BTreeMap::new()), None);
    }

    #[test]
    fn weeks_begin_on_mondays_and_quiet_days_have_bins() {
        let days = sessions([date(2023, 10, 4), date(2023, 10, 8)]);
        let found = bins(&days).unwrap();
        let counts: Vec<u64> = found.bins.iter().map(|bin| bin.count.sessions).collect();
        assert_eq!(counts, [1, 0, 0, 0, 1]);
        let days = sessions([date(2023, 10, 4), date(2024, 9, 1)]);
        let found = bins(&days).unwrap();
        assert_eq!((found.unit, found.bins[0].first), (Unit::Week, date(2023, 10, 2)));
    }

    #[test]
    fn a_clock_that_was_off_does_not_hide_the_rest() {
        let days = each_day(date(2023, 10, 1), 30).chain([date(1970, 1, 1), date(9999, 12, 31)]);
        let found = bins(&sessions(days)).unwrap();
        assert_eq!(
            (found.unit, found.bins.len(), found.far.sessions),
            (Unit::Day, 30, 2)
        );
        // the ends of time are no end of the program
        for day in [Date::MAX, Date::MIN] {
            assert!(bins(&sessions([day])).is_some());
        }
    }
}
