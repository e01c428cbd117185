//! Seeded contents of a simulated archive.

/// A small generator (SplitMix64): the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `end`.
    pub(super) fn below(&mut self, end: i64) -> i64 {
        let end = u64::try_from(end.max(1)).unwrap();
        i64::try_from(self.next() % end).unwrap()
    }

    /// From 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next() % from.len() as u64).unwrap()]
    }
}

pub(super) fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: u64,
    pub(super) time: i64,
    pub(super) last_action: i64,
}

pub(super) const DAY: i64 = 86_400;
pub(super) const SECOND: i64 = 1_000_000;

/// How traffic spreads over the days.
#[derive(Debug, Clone, Copy)]
pub(super) enum Traffic {
    /// By day and night, by weekday, one day twenty times as busy, one empty.
    Uneven,
    /// All on one day.
    OneDay,
    /// Nearly all in one second.
    OneSecond,
    Even,
}

/// `count` records over `days` days from `start` on.
pub(super) fn records(
    traffic: Traffic,
    start: i64,
    days: i64,
    count: usize,
    random: &mut Random,
) -> Vec<Record> {
    let (busy, empty) = (random.below(days), random.below(days));
    let hours: Vec<f64> = (0..days * 24)
        .map(|hour| weight(traffic, hour, busy, empty))
        .collect();
    let total: f64 = hours.iter().sum();
    let mut sums = Vec::new();
    let mut sum = 0.0;
    for hour in &hours {
        sum += hour / total;
        sums.push(sum);
    }
    let second = start + random.below(days * DAY);
    let precise = random.chance(0.5);
    (0..count)
        .map(|number| {
            let draw = random.unit();
            let hour = i64::try_from(sums.partition_point(|sum| *sum < draw))
                .unwrap()
                .min(days * 24 - 1);
            let mut time = (start + hour * 3600) * SECOND + random.below(3600 * SECOND);
            if matches!(traffic, Traffic::OneSecond) && !random.chance(0.1) {
                time = second * SECOND + random.below(SECOND);
            }
            let mut lasts =
                random.below(1200 * SECOND) + if random.chance(0.02) { 2 * DAY * SECOND } else { 0 };
            if !precise {
                time -= time.rem_euclid(SECOND);
                lasts -= lasts.rem_euclid(SECOND);
            }
            Record {
                id: mix(number as u64 + 1),
                time,
                last_action: time + lasts,
            }
        })
        .collect()
}

fn weight(traffic: Traffic, hour: i64, busy: i64, empty: i64) -> f64 {
    let (day, of_day) = (hour / 24, hour % 24);
    match traffic {
        Traffic::Even | Traffic::OneSecond => 1.0,
        Traffic::OneDay => f64::from(u8::from(day == busy)) + 1e-12,
        Traffic::Uneven if day == busy => 20.0 * daily(of_day),
        Traffic::Uneven if day == empty => 0.0,
        Traffic::Uneven if day % 7 > 4 => 0.4 * daily(of_day),
        Traffic::Uneven => daily(of_day),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an hour of the day")]
fn daily(hour: i64) -> f64 {
    1.0 + 0.9 * ((hour as f64 - 14.0) / 24.0 * std::f64::consts::TAU).cos()
}

/// Records of each day.
pub(super) fn by_day(records: &[Record], start: i64, days: i64) -> Vec<(crate::window::Window, u64)> {
    (0..days)
        .map(|day| {
            let window = crate::window::Window::new(start + day * DAY, start + (day + 1) * DAY);
            let count = records
                .iter()
                .filter(|record| window.contains(record.time.div_euclid(SECOND)));
            (window, count.count() as u64)
        })
        .collect()
}
