//! Pseudo-random numbers that depend on nothing but what they are asked for: the same seeds give the same
//! numbers on every machine and in every version, which keeps a seeded archive the same archive.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Scrambles a number. It is a bijection, so different numbers stay different: ids are made with it.
pub(super) const fn mix(value: u64) -> u64 {
    let a = (value ^ (value >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    let b = (a ^ (a >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d);
    b ^ (b >> 33)
}

/// A seed for a name, so that every bot has an archive of its own.
pub(super) fn seed_of(name: &str, seed: u64) -> u64 {
    name.bytes().fold(mix(seed ^ STEP), |sum, byte| {
        mix(sum.wrapping_add(STEP) ^ u64::from(byte))
    })
}

/// A sequence of numbers, cheap enough to start one for every record.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, position: u64) -> Self {
        Self(mix(seed ^ mix(position.wrapping_add(STEP))))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A `u32` below `bound`; 0 where `bound` is 0.
    pub(super) fn small(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.small(n) == 0
    }

    /// A number in `0.0..1.0`.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of `choices`, which must not be empty.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[(((self.next() >> 32) * choices.len() as u64) >> 32) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_depend_on_seed_and_position_only() {
        let draw = |seed, position| Random::new(seed, position).next();
        assert_eq!(draw(7, 3), draw(7, 3));
        let distinct: HashSet<u64> = (0..100)
            .flat_map(|seed| (0..100).map(move |position| draw(seed, position)))
            .collect();
        assert_eq!(distinct.len(), 10_000);
        assert_ne!(seed_of("a", 1), seed_of("b", 1));
        assert_ne!(seed_of("a", 1), seed_of("a", 2));
    }

    #[test]
    fn bounds_are_kept_and_filled() {
        let mut random = Random::new(1, 1);
        let small: HashSet<u32> = (0..1000).map(|_| random.small(6)).collect();
        assert_eq!(small, (0..6).collect());
        let picked: HashSet<&str> = (0..1000).map(|_| random.pick(&["a", "b", "c"])).collect();
        assert_eq!(picked.len(), 3);
        assert!((0..1000).all(|_| random.below(9) < 9 && (0.0..1.0).contains(&random.fraction())));
        assert_eq!((random.below(0), random.small(0)), (0, 0));
        let hits = (0..10_000).filter(|_| random.one_in(10)).count();
        assert!((800..1200).contains(&hits), "{hits}");
    }
}
