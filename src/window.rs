//! Half-open ranges of time in Unix seconds, and sets of them. Pure: no clock, no time zone.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The seconds from `start` (included) to `end` (excluded), as Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// First second.
    pub start: i64,
    /// The second after the last one; never before `start`.
    pub end: i64,
}

impl Window {
    /// Creates the window from `start` to `end`; empty if `end` is before `start`.
    #[must_use]
    pub fn new(start: i64, end: i64) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// Number of seconds.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.end - self.start
    }

    /// Whether it contains no second.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether it contains `second`.
    #[must_use]
    pub fn contains(&self, second: i64) -> bool {
        self.start <= second && second < self.end
    }

    /// Returns the common seconds; empty if there are none.
    #[must_use]
    pub fn intersect(&self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// Splits it at `second`; either part may be empty.
    #[must_use]
    pub fn split_at(&self, second: i64) -> (Self, Self) {
        let cut = second.clamp(self.start, self.end);
        (Self::new(self.start, cut), Self::new(cut, self.end))
    }
}

/// An ISO 8601 interval, e.g. `2023-10-01T00:00:00Z/2023-10-06T00:00:00Z`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (
            Timestamp::from_second(self.start),
            Timestamp::from_second(self.end),
        ) {
            (Ok(start), Ok(end)) => write!(f, "{start}/{end}"),
            _ => write!(f, "{}/{}", self.start, self.end),
        }
    }
}

/// Error: a text is not an interval of whole seconds.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an interval such as 2023-10-01T00:00:00Z/2023-10-06T00:00:00Z")]
pub struct NoWindow(String);

impl FromStr for Window {
    type Err = NoWindow;

    fn from_str(text: &str) -> Result<Self, NoWindow> {
        let second = |text: &str| match text.parse::<Timestamp>() {
            Ok(at) => Some(at.as_second()),
            Err(_) => text.parse().ok(),
        };
        let bounds = text
            .split_once('/')
            .and_then(|(start, end)| Some((second(start)?, second(end)?)));
        bounds
            .map(|(start, end)| Self::new(start, end))
            .ok_or_else(|| NoWindow(text.to_owned()))
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A set of seconds as sorted, disjoint windows that are neither adjacent nor empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a window.
    pub fn insert(&mut self, window: Window) {
        if window.is_empty() {
            return;
        }
        let first = self.0.partition_point(|w| w.end < window.start);
        let last = self.0.partition_point(|w| w.start <= window.end);
        let joined = self.0[first..last].iter().fold(window, |all, w| {
            Window::new(all.start.min(w.start), all.end.max(w.end))
        });
        self.0.splice(first..last, [joined]);
    }

    /// Removes a window.
    pub fn subtract(&mut self, window: Window) {
        if window.is_empty() {
            return;
        }
        let first = self.0.partition_point(|w| w.end <= window.start);
        let last = self.0.partition_point(|w| w.start < window.end);
        let rest: Vec<Window> = self.0[first..last]
            .iter()
            .flat_map(|w| [Window::new(w.start, window.start), Window::new(window.end, w.end)])
            .filter(|w| !w.is_empty())
            .collect();
        self.0.splice(first..last, rest);
    }

    /// Removes all windows of `other`.
    pub fn subtract_all(&mut self, other: &Self) {
        for window in other {
            self.subtract(*window);
        }
    }

    /// Returns the part of the set within `window`.
    #[must_use]
    pub fn intersect(&self, window: Window) -> Self {
        let first = self.0.partition_point(|w| w.end <= window.start);
        self.0[first..]
            .iter()
            .take_while(|w| w.start < window.end)
            .map(|w| w.intersect(window))
            .collect()
    }

    /// Whether `second` is in the set.
    #[must_use]
    pub fn contains(&self, second: i64) -> bool {
        self.covers(Window::new(second, second + 1))
    }

    /// Whether the set contains the complete `window`. True for an empty window.
    #[must_use]
    pub fn covers(&self, window: Window) -> bool {
        let at = self.0.partition_point(|w| w.end < window.end);
        window.is_empty() || self.0.get(at).is_some_and(|w| w.start <= window.start)
    }

    /// Number of seconds.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.0.iter().map(Window::seconds).sum()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the smallest window that contains the set.
    #[must_use]
    pub fn hull(&self) -> Option<Window> {
        Some(Window::new(self.0.first()?.start, self.0.last()?.end))
    }

    /// Returns the windows, earliest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Window> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Windows {
    type Item = &'a Window;
    type IntoIter = std::slice::Iter<'a, Window>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<Window> for Windows {
    fn extend<I: IntoIterator<Item = Window>>(&mut self, windows: I) {
        for window in windows {
            self.insert(window);
        }
    }
}

impl FromIterator<Window> for Windows {
    fn from_iter<I: IntoIterator<Item = Window>>(windows: I) -> Self {
        let mut set = Self::new();
        set.extend(windows);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_written_as_an_interval_and_read_again() {
        let window = Window::new(1_696_118_400, 1_696_550_400);
        assert_eq!(window.to_string(), "2023-10-01T00:00:00Z/2023-10-06T00:00:00Z");
        assert_eq!(window.to_string().parse::<Window>().unwrap(), window);
        assert_eq!("5/9".parse::<Window>().unwrap(), Window::new(5, 9));
        assert!("2023-10-01".parse::<Window>().is_err());
    }

    fn set(windows: &[(i64, i64)]) -> Windows {
        windows
            .iter()
            .map(|&(start, end)| Window::new(start, end))
            .collect()
    }

    #[test]
    fn what_touches_or_overlaps_becomes_one() {
        assert_eq!(set(&[(5, 7), (1, 3), (3, 4), (6, 9)]), set(&[(1, 4), (5, 9)]));
        assert_eq!(set(&[(1, 2), (3, 4), (0, 9)]).iter().count(), 1);
        assert!(set(&[(4, 4), (6, 5)]).is_empty());
    }

    #[test]
    fn subtracting_leaves_both_ends() {
        let mut left = set(&[(0, 10), (20, 30)]);
        left.subtract(Window::new(8, 22));
        left.subtract(Window::new(3, 4));
        left.subtract(Window::new(5, 5));
        assert_eq!(left, set(&[(0, 3), (4, 8), (22, 30)]));
        assert_eq!(left.seconds(), 3 + 4 + 8);
    }

    #[test]
    fn every_operation_agrees_with_a_plain_list_of_seconds() {
        let mut state = 7_u64;
        let mut next = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            i64::try_from((state >> 33) % below).unwrap()
        };
        for _ in 0..2_000 {
            let (mut windows, mut plain) = (Windows::new(), [false; 40]);
            for _ in 0..6 {
                let start = next(40);
                let window = Window::new(start, (start + next(12)).min(40));
                let add = next(3) > 0;
                if add {
                    windows.insert(window)
                } else {
                    windows.subtract(window)
                }
                for second in window.start..window.end {
                    plain[usize::try_from(second).unwrap()] = add;
                }
            }
            let start = next(40);
            let probe = Window::new(start, start + next(9));
            let within = |s: &i64| plain.get(usize::try_from(*s).unwrap()).copied().unwrap_or(false);
            assert!((0..40).all(|s| windows.contains(s) == within(&s)));
            assert_eq!(
                windows.covers(probe),
                (probe.start..probe.end).all(|s| within(&s))
            );
            let common = (probe.start..probe.end).filter(within).count();
            assert_eq!(windows.intersect(probe).seconds(), i64::try_from(common).unwrap());
            assert!(windows.0.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }

    #[test]
    fn splitting_and_intersecting_stay_inside() {
        let window = Window::new(10, 20);
        assert_eq!(window.split_at(13), (Window::new(10, 13), Window::new(13, 20)));
        assert_eq!(window.split_at(99), (window, Window::new(20, 20)));
        assert!(window.intersect(Window::new(20, 30)).is_empty());
        assert_eq!(set(&[(1, 2), (8, 9)]).hull(), Some(Window::new(1, 9)));
    }
}
