//! Skips a list or an object of any depth without recursion.

use super::Walk;
use crate::dataset::distinct::fingerprint;

impl Walk<'_> {
    /// Skips the list or object that begins here. Returns whether its text is its compact form: no whitespace, no
    /// escapes, no repeated keys. The result may be false for a compact text, and is false if `ASKED` is false.
    pub(super) fn pass_nested<const ASKED: bool>(&mut self) -> bool {
        let start = self.at;
        let mut prints = std::mem::take(&mut self.prints);
        prints.clear();
        let mut open = Brackets::default();
        // number of bytes that are not whitespace
        let mut passed = 0;
        let mut compact = true;
        'values: loop {
            // a value is next
            let first = self.next();
            let at = self.at;
            match first {
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    passed += 1;
                    // `[` and `]` differ by two, `{` and `}` too
                    if self.next() == Some(bracket + 2) {
                        self.at += 1;
                        passed += 1;
                    } else {
                        open.push(bracket == b'{');
                        if bracket == b'{' {
                            if ASKED {
                                prints.push(LEVEL);
                            }
                            self.pass_key::<ASKED>(&mut prints, &mut passed, &mut compact);
                        }
                        continue;
                    }
                }
                Some(b'"') => {
                    compact &= !self.pass_string();
                    passed += self.at - at;
                }
                _ => {
                    self.pass_bare();
                    passed += self.at - at;
                }
            }
            // a value has ended
            while let Some(is_object) = open.innermost() {
                match (self.next(), is_object) {
                    (Some(b','), _) => {
                        self.at += 1;
                        passed += 1;
                        if is_object {
                            self.pass_key::<ASKED>(&mut prints, &mut passed, &mut compact);
                        }
                        continue 'values;
                    }
                    (Some(b'}'), true) => {
                        self.at += 1;
                        passed += 1;
                        open.pop();
                        compact &= ASKED && close(&mut prints);
                    }
                    (Some(b']'), false) => {
                        self.at += 1;
                        passed += 1;
                        open.pop();
                    }
                    _ => {
                        self.fail();
                        break 'values;
                    }
                }
            }
            break;
        }
        self.at = self.at.min(self.text.len());
        self.prints = prints;
        ASKED && compact && passed == self.at - start
    }

    #[inline]
    fn pass_key<const ASKED: bool>(&mut self, prints: &mut Vec<u64>, passed: &mut usize, compact: &mut bool) {
        let key = self.string();
        self.expect(b':');
        if ASKED {
            prints.push(fingerprint(key.inner).min(LEVEL - 1));
            *compact &= !key.escaped;
            *passed += key.inner.len() + 3;
        }
    }
}

/// Separator before the fingerprints of an object's keys; no fingerprint has this value.
const LEVEL: u64 = u64::MAX;

/// Removes the fingerprints of the object that ends here. Returns whether all of them differ.
fn close(prints: &mut Vec<u64>) -> bool {
    let start = prints.iter().rposition(|print| *print == LEVEL).unwrap_or(0);
    let keys = &mut prints[start..];
    let differ = if keys.len() <= 16 {
        let differs = |(place, print): (usize, &u64)| !keys[..place].contains(print);
        keys.iter().enumerate().all(differs)
    } else {
        keys.sort_unstable();
        keys.windows(2).all(|pair| pair[0] != pair[1])
    };
    prints.truncate(start);
    differ
}

/// The open lists and objects, one bit each, the innermost last.
#[derive(Default)]
struct Brackets {
    count: usize,
    /// The last 64 at most; the others are in a list.
    last: u64,
    before: Vec<u64>,
}

impl Brackets {
    fn push(&mut self, is_object: bool) {
        if self.count > 0 && self.count.is_multiple_of(64) {
            self.before.push(self.last);
        }
        self.last = self.last << 1 | u64::from(is_object);
        self.count += 1;
    }

    fn pop(&mut self) {
        self.count -= 1;
        self.last >>= 1;
        if self.count > 0 && self.count.is_multiple_of(64) {
            self.last = self.before.pop().unwrap_or_default();
        }
    }

    /// Whether the innermost one is an object; `None` if none is open.
    fn innermost(&self) -> Option<bool> {
        (self.count > 0).then_some(self.last & 1 == 1)
    }
}
