//! Bodies of pages at hand: a partition is mostly built soon after its last page came, and what a run finds in the spool is
//! read once to see what it is, and once more to be built.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of bodies that are held at most, whatever the range.
const MOST: usize = 32 * 1024 * 1024;
/// Bodies that are held at most: going through them has to stay short.
const PAGES: usize = 256;

/// Bodies by the numbers of their pages, those that go first before the others.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<(u64, Bytes)>>);

impl Recent {
    /// Holds a body, and lets go of the oldest that there is no room for.
    pub(super) fn keep(&self, sequence: u64, body: Bytes) {
        self.with(|bodies| {
            bodies.push_back((sequence, body));
            let mut bytes: usize = bodies.iter().map(|(_, body)| body.len()).sum();
            while (bytes > MOST || bodies.len() > PAGES)
                && let Some((_, oldest)) = bodies.pop_front()
            {
                bytes -= oldest.len();
            }
        });
    }

    /// Holds a body that was read, where there is room for it.
    pub(super) fn keep_beside(&self, sequence: u64, body: Bytes) {
        self.with(|bodies| {
            let bytes: usize = bodies.iter().map(|(_, body)| body.len()).sum();
            if bytes + body.len() <= MOST && bodies.len() < PAGES {
                bodies.push_front((sequence, body));
            }
        });
    }

    pub(super) fn get(&self, sequence: u64) -> Option<Bytes> {
        self.with(|bodies| {
            let found = bodies.iter().find(|(number, _)| *number == sequence);
            found.map(|(_, body)| body.clone())
        })
    }

    pub(super) fn drop(&self, sequence: u64) {
        self.with(|bodies| bodies.retain(|(number, _)| *number != sequence));
    }

    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<(u64, Bytes)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_held_and_no_more_than_there_is_room_for() {
        let recent = Recent::default();
        let body = Bytes::from(vec![0; MOST / 3]);
        (0..5).for_each(|number| recent.keep(number, body.clone()));
        let held: Vec<u64> = (0..5).filter(|number| recent.get(*number).is_some()).collect();
        assert_eq!(held, [2, 3, 4]);
        recent.drop(3);
        assert_eq!(recent.get(3), None);
        recent.keep_beside(6, body.clone());
        recent.keep_beside(7, body.clone());
        assert!(recent.get(6).is_some() && recent.get(7).is_none());
        recent.keep(8, body);
        assert!(recent.get(6).is_none() && recent.get(8).is_some());
        recent.keep(9, Bytes::from(vec![0; MOST + 1]));
        assert!((0..10).all(|number| recent.get(number).is_none()));
        (0..1_000).for_each(|number| recent.keep(number, Bytes::new()));
        assert!(recent.get(743).is_none() && recent.get(744).is_some());
    }
}
