//! Parquet's DELTA_BINARY_PACKED: numbers by how far each is from the one before.

use super::bits;

/// Differences whose smallest is told once.
const BLOCK: usize = 128;
/// Differences of one width.
const MINIBLOCK: usize = 32;

/// Appends numbers.
pub(super) fn encode(numbers: &[i64], out: &mut Vec<u8>) {
    bits::varint(BLOCK as u64, out);
    bits::varint((BLOCK / MINIBLOCK) as u64, out);
    bits::varint(numbers.len() as u64, out);
    bits::zigzag(numbers.first().copied().unwrap_or(0), out);
    let differences = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let differences: Vec<i64> = differences.collect();
    for block in differences.chunks(BLOCK) {
        let least = block.iter().copied().min().unwrap_or(0);
        bits::zigzag(least, out);
        let above = |difference: &i64| difference.wrapping_sub(least).cast_unsigned();
        let widths = out.len();
        out.resize(widths + BLOCK / MINIBLOCK, 0);
        for (place, miniblock) in block.chunks(MINIBLOCK).enumerate() {
            let width = bits::width(miniblock.iter().map(above).max().unwrap_or(0));
            out[widths + place] = width.to_le_bytes()[0];
            let end = out.len() + MINIBLOCK * width as usize / 8;
            bits::pack(miniblock.iter().map(above), width, out);
            out.resize(end, 0);
        }
    }
}
