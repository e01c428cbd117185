//! What a JSON string holds as it is.

use wide::u8x16;

/// Bytes that are looked at together: most strings are too short for more, or for a call of memchr, to pay.
const BLOCK: usize = 16;

/// How many bytes come before the first that a string cannot hold as it is: a quote, a backslash, a control character.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    let mut passed = 0;
    while let Some(block) = bytes.get(passed..).and_then(<[u8]>::first_chunk) {
        let marks = marks(block);
        if marks != 0 {
            return passed + marks.trailing_zeros() as usize;
        }
        passed += BLOCK;
    }
    let rest = bytes.get(passed..).unwrap_or_default();
    passed + rest.iter().take_while(|byte| !is_special(**byte)).count()
}

/// A bit for each byte that a string cannot hold as it is, the lowest for the first.
#[inline]
fn marks(block: &[u8; BLOCK]) -> u32 {
    let block = u8x16::new(*block);
    let quotes = block.simd_eq(u8x16::splat(b'"'));
    let backslashes = block.simd_eq(u8x16::splat(b'\\'));
    let controls = block.simd_eq(block.min(u8x16::splat(0x1f)));
    (quotes | backslashes | controls).to_bitmask()
}

#[inline]
fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for place in 0..40 {
                let mut text = [b'~'; 41];
                text[place] = byte;
                text[40] = b'"';
                let is_plain = !matches!(byte, b'"' | b'\\' | 0..0x20);
                let expected = if is_plain { 40 } else { place };
                assert_eq!(plain(&text), expected, "{byte} at {place}");
                assert_eq!(plain(&text[..40]), expected, "{byte} at {place}");
            }
        }
        assert_eq!(plain(b""), 0);
    }
}
