//! Finds repeated keys of an object, of which the last value is kept.

use std::collections::HashSet;

/// Finds the keys that occur again later in an object. It is reused for its buffers.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    prints: Vec<u64>,
}

impl Repeats {
    /// Returns the indices of the keys that occur again, last first; almost always none.
    pub(super) fn find<'k>(&mut self, keys: impl DoubleEndedIterator<Item = &'k str> + Clone) -> Vec<usize> {
        self.prints.clear();
        self.prints.extend(keys.clone().map(fingerprint));
        self.prints.sort_unstable();
        if self.prints.windows(2).all(|pair| pair[0] != pair[1]) {
            return Vec::new();
        }
        let count = self.prints.len();
        let mut seen = HashSet::with_capacity(count);
        let backwards = (0..count).rev().zip(keys.rev());
        backwards
            .filter(|(_, key)| !seen.insert(*key))
            .map(|(position, _)| position)
            .collect()
    }
}

/// Returns a cheap hash of a key: its length and both ends.
#[inline]
pub(super) fn fingerprint(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let ends = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29),
        _ => bytes.iter().fold(0, |print, byte| print << 8 | u64::from(*byte)),
    };
    ends ^ (bytes.len() as u64) << 56
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(keys: &[&str]) -> Vec<usize> {
        Repeats::default().find(keys.iter().copied())
    }

    #[test]
    fn all_but_the_last_of_a_key_are_found() {
        assert_eq!(find(&["a", "b", "a", "c", "a"]), [2, 0]);
        assert_eq!(find(&["", "b", ""]), [0]);
        assert!(find(&["a", "b", ""]).is_empty());
        assert!(find(&[]).is_empty());
    }

    #[test]
    fn keys_with_one_fingerprint_are_still_told_apart() {
        let (one, other) = ("12345678-one-12345678", "12345678-two-12345678");
        assert_eq!(fingerprint(one), fingerprint(other));
        assert!(find(&[one, other]).is_empty());
        assert_eq!(find(&[one, other, one]), [0]);
    }
}
