//! Parquet's RLE / bit-packed hybrid: levels, and numbers of a dictionary's values.

use super::bits;

/// Runs but the last are as many numbers long or a multiple of it, which readers go through at a stroke.
const BLOCK: usize = 32;

/// Appends numbers of `width` bits at most.
pub(super) fn encode<N: Copy + PartialEq + Into<u64>>(numbers: &[N], width: u32, out: &mut Vec<u8>) {
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let equal = blocks(rest, |block| is_all(block, first));
        let run = match equal {
            0 => blocks(rest, |block| !is_all(block, block[0])),
            equal => equal,
        };
        let (now, later) = rest.split_at(run);
        if equal > 0 {
            bits::varint((run as u64) << 1, out);
            let bytes = first.into().to_le_bytes();
            out.extend_from_slice(&bytes[..width.div_ceil(8) as usize]);
        } else {
            let eights = run.div_ceil(8);
            bits::varint((eights as u64) << 1 | 1, out);
            let end = out.len() + eights * width as usize;
            bits::pack(now.iter().map(|number| (*number).into()), width, out);
            out.resize(end, 0);
        }
        rest = later;
    }
}

/// How many numbers the blocks have that come first and are of a kind.
fn blocks<N>(numbers: &[N], is: impl Fn(&[N]) -> bool) -> usize {
    let blocks = numbers.chunks(BLOCK).take_while(|block| is(block));
    blocks.map(<[N]>::len).sum()
}

/// Whether a block has nothing but a number; looked at as a whole, since that is quicker.
fn is_all<N: Copy + PartialEq>(block: &[N], number: N) -> bool {
    block.iter().fold(true, |all, other| all & (*other == number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(numbers: &[u32], width: u32) -> Vec<u8> {
        let mut out = Vec::new();
        encode(numbers, width, &mut out);
        out
    }

    #[test]
    fn runs_are_told_from_mixed_numbers() {
        assert!(encoded(&[], 3).is_empty());
        assert_eq!(encoded(&[5; 10], 3), [20, 5]);
        assert_eq!(encoded(&[0; 3], 0), [6]);
        assert_eq!(encoded(&[300; 100], 9), [200, 1, 44, 1]);
        // one group of eight, filled up with zeros
        assert_eq!(encoded(&[0, 1, 2], 2), [3, 0b10_01_00, 0]);
        let mut numbers = vec![1; 64];
        numbers.extend([0, 1].repeat(16));
        numbers.extend([1; 5]);
        assert_eq!(
            encoded(&numbers, 1),
            [128, 1, 1, 9, 0xaa, 0xaa, 0xaa, 0xaa, 10, 1]
        );
    }
}
