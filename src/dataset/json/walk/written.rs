//! A key as it is written.

/// Bytes that are compared without a call, which covers most keys: a call of memcmp takes as long as everything else.
const BEGIN: usize = 32;

/// A key as it is written, with its quotes and colon.
#[derive(Clone, Copy, Debug)]
pub(in crate::dataset) struct Written<'a> {
    pub(in crate::dataset) text: &'a str,
    /// Its beginning, and a mask of the bytes that belong to it.
    begin: [u64; BEGIN / 8],
    mask: [u64; BEGIN / 8],
}

impl<'a> Written<'a> {
    pub(in crate::dataset) fn new(text: &'a str) -> Self {
        let (mut begin, mut mask) = ([0; BEGIN], [0; BEGIN]);
        for ((begin, mask), byte) in begin.iter_mut().zip(&mut mask).zip(text.bytes()) {
            (*begin, *mask) = (byte, u8::MAX);
        }
        Self {
            text,
            begin: words(&begin),
            mask: words(&mask),
        }
    }

    /// Whether a text begins with it.
    #[inline]
    pub(super) fn begins(&self, text: &[u8]) -> bool {
        let Some(begin) = text.first_chunk() else {
            return text.starts_with(self.text.as_bytes());
        };
        let words = words(begin).into_iter().zip(self.begin).zip(self.mask);
        let differs = words.fold(0, |differs, ((word, begin), mask)| {
            differs | (word ^ begin) & mask
        });
        differs == 0 && (self.text.len() <= BEGIN || text.starts_with(self.text.as_bytes()))
    }
}

#[inline]
fn words(bytes: &[u8; BEGIN]) -> [u64; BEGIN / 8] {
    let mut words = [0; BEGIN / 8];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_what_begins_with_it() {
        let text = "\"a key of some length, longer than what is compared at a stroke\":1";
        for end in 0..text.len() {
            let written = Written::new(&text[..end]);
            for length in 0..text.len() {
                let other = &text.as_bytes()[..length];
                assert_eq!(written.begins(other), length >= end, "{end} of {length}");
                let mut other = other.to_vec();
                for place in 0..length {
                    other[place] ^= 1;
                    assert_eq!(written.begins(&other), length >= end && place >= end);
                    other[place] ^= 1;
                }
            }
        }
    }
}
