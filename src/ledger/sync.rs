//! What is asked for anew though it is complete, and how a table keeps up with its API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Account;
use crate::window::{Window, Windows};

/// Time that is asked for anew though it is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refetch {
    /// All of it.
    pub ranges: Windows,
    /// Pages with smaller numbers were answered before, and so prove nothing of it.
    pub since: u64,
    /// What of it was answered anew.
    pub read: Windows,
}

/// How far a table is kept up by `sync`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// Where it begins.
    pub since: Timestamp,
    /// From `since` up to here all is complete.
    pub watermark: Timestamp,
    /// Records of up to the lookback before this moment are shown as they were then or later. It lies behind the
    /// watermark where a run was interrupted: what had been read again by then is not asked for twice, but the next
    /// run looks back from here.
    pub as_of: Timestamp,
    /// A run that has not come to its end.
    pub under_way: Option<SyncRun>,
}

/// A run of `sync` that has not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRun {
    /// Where the table will begin.
    pub since: Timestamp,
    /// What [`SyncState::as_of`] will be.
    pub as_of: Timestamp,
    /// What it reads again behind the watermark.
    pub behind: Refetch,
}

impl Refetch {
    fn begin(ranges: Windows, since: u64) -> Self {
        let read = Windows::new();
        Self { ranges, since, read }
    }

    /// What is still to be answered.
    #[must_use]
    pub fn unread(&self) -> Windows {
        let mut unread = self.ranges.clone();
        unread.subtract_all(&self.read);
        unread
    }

    /// Of what was `asked` for, `answered` is proven to be answered, and the rest is not.
    fn answered(&mut self, asked: &Windows, answered: &Windows) {
        self.read.subtract_all(asked);
        for window in &self.ranges {
            self.read.extend(answered.intersect(*window).iter().copied());
        }
    }
}

impl Account {
    /// Asks for all of `range` anew; pages from `since` on count. Where a run was asked for the same and did not come
    /// to its end, this one goes on from there.
    pub fn refetch(&mut self, range: Window, since: u64) {
        let ranges: Windows = [range].into_iter().collect();
        let goes_on = |begun: &Refetch| begun.ranges == ranges && !begun.unread().is_empty();
        if !self.refetching.as_ref().is_some_and(goes_on) {
            self.refetching = Some(Refetch::begin(ranges, since));
        }
    }

    /// Begins to bring the account up to the end of `range`, reading again so many seconds behind what is complete;
    /// pages from `since` on count. A run that was interrupted is gone on with.
    pub fn begin_sync(&mut self, range: Window, lookback: i64, since: u64) {
        let behind = self.behind(range, lookback);
        let (start, end) = (moment(range.start), moment(range.end));
        let sync = self.sync.get_or_insert(SyncState {
            since: start,
            watermark: start,
            as_of: start,
            under_way: None,
        });
        let run = match sync.under_way.take() {
            None => SyncRun {
                since: start,
                as_of: end,
                behind: Refetch::begin(behind, since),
            },
            Some(mut run) => {
                // what it has completed itself need not be read again
                let up_to = Window::new(range.start, sync.watermark.as_second());
                run.behind.ranges.extend(behind.intersect(up_to).iter().copied());
                run.behind.ranges = run.behind.ranges.intersect(range);
                run.since = start;
                run
            }
        };
        sync.under_way = Some(run);
    }

    /// What of the complete time is to be read again: behind the watermark, and behind the end of whatever else an
    /// export has completed beyond it.
    fn behind(&self, range: Window, lookback: i64) -> Windows {
        let complete = self.complete.intersect(range);
        let behind = complete.iter().map(|complete| {
            let kept_up = self.sync.as_ref();
            let kept_up = kept_up.filter(|sync| complete.start < sync.watermark.as_second());
            let as_of = kept_up.map_or(complete.end, |sync| sync.as_of.as_second());
            let from = as_of.saturating_sub(lookback).max(complete.start);
            Window::new(from, complete.end)
        });
        behind.collect()
    }

    /// Whether something is asked for anew.
    #[must_use]
    pub fn is_refetching(&self) -> bool {
        self.refetches().next().is_some()
    }

    /// A run over `range` is whole: ends what was asked for anew as far as it is read. What of a range to be fetched
    /// anew has not settled yet is left to later runs. Whether anything has ended.
    pub fn end_refetches(&mut self, range: Window) -> bool {
        let lies_within = |anew: &mut Refetch| {
            let ranges = anew.ranges.hull();
            ranges.is_none_or(|ranges| ranges.intersect(range) == ranges)
        };
        let refetched = self.refetching.take_if(lies_within).is_some();
        self.end_sync() || refetched
    }

    /// UncheckedRows the watermark, where all that a run of `sync` reads again is read. Whether there was such a run.
    fn end_sync(&mut self) -> bool {
        let Some(sync) = &mut self.sync else { return false };
        let is_read = |run: &mut SyncRun| run.behind.unread().is_empty();
        let Some(run) = sync.under_way.take_if(is_read) else {
            return false;
        };
        let since = run.since.as_second();
        let first = self.complete.iter().find(|window| window.contains(since));
        sync.since = run.since;
        sync.watermark = moment(first.map_or(since, |window| window.end));
        sync.as_of = run.as_of.min(sync.watermark);
        true
    }

    /// From the first second that is complete, or from where `sync` begins, everything up to here is complete.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        match &self.sync {
            Some(sync) => Some(sync.watermark),
            None => self.complete.iter().next().map(|window| moment(window.end)),
        }
    }

    /// What is asked for anew, whoever asked for it.
    pub fn refetches(&self) -> impl Iterator<Item = &Refetch> {
        let run = self.sync.as_ref().and_then(|sync| sync.under_way.as_ref());
        self.refetching.iter().chain(run.map(|run| &run.behind))
    }

    /// Of the windows that a run asked for, those that were `reread` had been complete; `answered` is proven now.
    pub fn answered(&mut self, asked: &Windows, reread: &Windows, answered: &Windows) {
        let mut fresh = asked.clone();
        fresh.subtract_all(reread);
        self.complete.subtract_all(&fresh);
        self.complete.extend(answered.iter().copied());
        let run = self.sync.as_mut().and_then(|sync| sync.under_way.as_mut());
        let anew = self.refetching.iter_mut().chain(run.map(|run| &mut run.behind));
        anew.for_each(|anew| anew.answered(asked, answered));
    }
}

/// A second as a moment; the last one that can be told where it lies beyond.
fn moment(second: i64) -> Timestamp {
    let bound = if second < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_second(second).unwrap_or(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(windows: &[(i64, i64)]) -> Windows {
        let windows = windows.iter();
        windows.map(|(start, end)| Window::new(*start, *end)).collect()
    }

    fn watermark(account: &Account) -> i64 {
        account.watermark().unwrap().as_second()
    }

    fn unread(account: &Account) -> Windows {
        let run = account.sync.as_ref().unwrap().under_way.as_ref();
        run.unwrap().behind.unread()
    }

    /// All that a run asks for is answered.
    fn answer(account: &mut Account, range: Window) {
        let mut asked = set(&[(range.start, range.end)]);
        asked.subtract_all(&account.complete);
        let reread = unread(account);
        asked.extend(reread.iter().copied());
        account.answered(&asked, &reread, &asked.clone());
    }

    #[test]
    fn a_range_is_fetched_anew_once_however_often_it_is_interrupted() {
        let range = Window::new(0, 100);
        let mut account = Account::default();
        account.complete.insert(Window::new(0, 200));
        account.refetch(range, 7);
        let unread = |account: &Account| account.refetching.as_ref().unwrap().unread();
        assert_eq!(unread(&account), set(&[(0, 100)]));
        // interrupted half way
        let asked = set(&[(0, 100)]);
        account.answered(&asked, &asked, &set(&[(0, 50)]));
        account.refetch(range, 9);
        assert_eq!(unread(&account), set(&[(50, 100)]), "it goes on");
        assert_eq!(account.refetching.as_ref().unwrap().since, 7);
        assert_eq!(account.complete, set(&[(0, 200)]), "nothing was forgotten");
        // another range, or the same one once it is whole, begins anew
        account.answered(&set(&[(50, 100)]), &asked, &set(&[(50, 100)]));
        account.refetch(range, 20);
        assert_eq!(unread(&account), asked);
        account.refetch(Window::new(0, 60), 30);
        assert_eq!(unread(&account), set(&[(0, 60)]));
    }

    #[test]
    fn each_sync_looks_back_from_the_watermark() {
        let mut account = Account::default();
        for (end, behind) in [
            (1000, set(&[])),
            (1100, set(&[(900, 1000)])),
            (1110, set(&[(1000, 1100)])),
        ] {
            let range = Window::new(10, end);
            account.begin_sync(range, 100, 5);
            assert_eq!(unread(&account), behind);
            answer(&mut account, range);
            assert!(account.end_sync());
            assert_eq!(watermark(&account), end);
        }
        assert!(!account.end_sync());
    }

    #[test]
    fn an_interrupted_sync_goes_on_and_the_next_one_looks_back_from_where_it_began() {
        let mut account = Account::default();
        account.begin_sync(Window::new(0, 1000), 100, 0);
        answer(&mut account, Window::new(0, 1000));
        account.end_sync();
        account.begin_sync(Window::new(0, 1060), 100, 7);
        let asked = set(&[(900, 1060)]);
        account.answered(&asked, &set(&[(900, 1000)]), &set(&[(900, 950), (1030, 1060)]));
        assert!(!account.end_sync());
        assert_eq!(watermark(&account), 1000);
        // days later
        account.begin_sync(Window::new(0, 5000), 100, 9);
        assert_eq!(unread(&account), set(&[(950, 1000)]));
        assert_eq!(account.refetches().next().unwrap().since, 7);
        answer(&mut account, Window::new(0, 5000));
        assert!(account.end_sync());
        assert_eq!(watermark(&account), 5000);
        // what was read early may have changed since
        account.begin_sync(Window::new(0, 5010), 100, 11);
        assert_eq!(unread(&account), set(&[(960, 5000)]));
        answer(&mut account, Window::new(0, 5010));
        account.end_sync();
        account.begin_sync(Window::new(0, 5020), 100, 12);
        assert_eq!(unread(&account), set(&[(4910, 5010)]));
    }

    #[test]
    fn what_exports_completed_is_looked_back_into_too() {
        let mut account = Account {
            complete: set(&[(0, 500), (700, 900)]),
            ..Account::default()
        };
        assert_eq!(watermark(&account), 500);
        account.begin_sync(Window::new(0, 2000), 100, 0);
        assert_eq!(unread(&account), set(&[(400, 500), (800, 900)]));
        answer(&mut account, Window::new(0, 2000));
        account.end_sync();
        assert_eq!(watermark(&account), 2000);
        // an order that fell takes back what it had proven, but not what was complete before
        account.begin_sync(Window::new(0, 2100), 100, 0);
        account.answered(
            &set(&[(1900, 2100)]),
            &set(&[(1900, 2000)]),
            &set(&[(1900, 2100)]),
        );
        account.answered(&set(&[(1900, 2100)]), &set(&[(1900, 2000)]), &set(&[]));
        assert_eq!(account.complete, set(&[(0, 2000)]));
        assert_eq!(unread(&account), set(&[(1900, 2000)]));
        assert!(!account.end_sync());
    }

    #[test]
    fn time_that_has_not_settled_stays_before_the_watermark() {
        let mut account = Account::default();
        account.begin_sync(Window::new(0, 1000), 100, 0);
        account.answered(&set(&[(0, 1000)]), &set(&[]), &set(&[(0, 990)]));
        assert!(account.end_sync());
        assert_eq!(watermark(&account), 990);
        account.begin_sync(Window::new(0, 1000), 100, 0);
        assert_eq!(unread(&account), set(&[(890, 990)]));
        // an earlier beginning counts once all from there is complete
        account.begin_sync(Window::new(-50, 1000), 100, 0);
        assert_eq!(watermark(&account), 990);
    }
}
