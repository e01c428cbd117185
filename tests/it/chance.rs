//! Chance that can be repeated.

use std::env;
use std::str::FromStr;

/// Where this is set, a test of chance is repeated with this seed.
const SEED: &str = "CONVERSE_EXPORT_TEST_SEED";

/// A number that the environment gives, or the usual one.
pub(crate) fn number_from<T: FromStr>(variable: &str, usual: T) -> T {
    let given = env::var(variable).ok();
    given.map_or(usual, |text| {
        let number = text.parse().ok();
        number.unwrap_or_else(|| panic!("{variable} is no number: {text}"))
    })
}

/// One random number after another (SplitMix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed for this run of a test, printed so that it can be given again.
    pub(crate) fn seed() -> u64 {
        let seed = number_from(SEED, u64::from(std::process::id()));
        println!("{SEED}={seed} repeats this");
        seed
    }

    /// From 0 up to 1.
    pub(crate) fn next(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of several, each as likely.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.bits() % of.len() as u64).unwrap()]
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
