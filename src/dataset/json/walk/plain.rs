//! Finds the end of plain text in a JSON string.

use wide::u8x16;

/// Bytes that are compared together. Most strings are too short for a larger block or for memchr.
const BLOCK: usize = 16;

/// Returns the number of bytes before the first quote, backslash or control character.
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

/// Returns a bit for each byte that is a quote, a backslash or a control character; the lowest bit is the first byte.
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
