//! Numbers side by side, each in as few bits as the largest takes.

/// Bits that a number takes.
pub(super) fn width(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

/// Appends numbers of `width` bits each, 64 at most, the first in the lowest bits; the last byte is filled up with zeros.
pub(super) fn pack(numbers: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut word, mut used) = (0_u64, 0);
    for number in numbers {
        word |= number.checked_shl(used).unwrap_or(0);
        let free = u64::BITS - used;
        if width < free {
            used += width;
        } else {
            out.extend_from_slice(&word.to_le_bytes());
            word = number.checked_shr(free).unwrap_or(0);
            used = width - free;
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..used.div_ceil(8) as usize]);
}

/// Appends a number seven bits at a time, the lowest first.
pub(super) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_stand_side_by_side() {
        for width in 0..=64 {
            let most = u64::MAX.checked_shr(64 - width).unwrap_or(0);
            let numbers: Vec<u64> = (0..77_u64)
                .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) & most)
                .collect();
            let mut packed = Vec::new();
            pack(numbers.iter().copied(), width, &mut packed);
            assert_eq!(packed.len(), (77 * width as usize).div_ceil(8));
            let bit = |at: usize| u64::from(packed[at / 8] >> (at % 8) & 1);
            for (place, number) in numbers.iter().enumerate() {
                let read = (0..width as usize).fold(0, |all, n| all | bit(place * width as usize + n) << n);
                assert_eq!(read, *number, "width {width}");
            }
        }
    }
}
