//! Which conversations growth concerns, and in what turn.

use std::collections::HashMap;
use std::ops::Range;

use super::random::Random;
use super::tables::count;

/// Conversations to which something happens later, each with its turn.
pub(super) struct Turns(HashMap<u32, u32>);

impl Turns {
    /// `wanted` of some conversations, or all of them where there are fewer.
    pub(super) fn draw(seed: u64, of: Range<u32>, wanted: u32) -> Self {
        let mut random = Random::new(seed, 0);
        let mut turns = HashMap::new();
        while turns.len() < of.len().min(wanted as usize) {
            let turn = count(turns.len());
            turns
                .entry(of.start + random.small(of.end - of.start))
                .or_insert(turn);
        }
        Self(turns)
    }

    /// Each conversation and its turn.
    pub(super) fn turns(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.0.iter().map(|(&index, &turn)| (index, turn))
    }

    /// The turn of a conversation, if it has one.
    pub(super) fn turn(&self, index: u32) -> Option<u32> {
        self.0.get(&index).copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.keys().copied()
    }

    /// Whether something happens to a conversation at all.
    pub(super) fn has(&self, index: u32) -> bool {
        self.0.contains_key(&index)
    }

    /// Whether a conversation's turn is not among the first `done`.
    pub(super) fn pending(&self, index: u32, done: u32) -> bool {
        self.0.get(&index).is_some_and(|&turn| turn >= done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_one_after_the_other() {
        let turns = Turns::draw(1, 0..100, 30);
        let pending = |done| (0..100).filter(|&index| turns.pending(index, done)).count();
        assert_eq!([0, 1, 29, 30, u32::MAX].map(pending), [30, 29, 1, 0, 0]);
        assert_eq!(Turns::draw(1, 10..15, 9).all().count(), 5);
        assert_eq!(Turns::draw(1, 0..0, 9).all().count(), 0);
    }
}
