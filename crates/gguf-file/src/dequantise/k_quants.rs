//! The K-quants: blocks of 256 values in groups of 16 or 32. Each group has its own quantised scale.
//!
//! Groups of 16 are numbered `g` in the order of their values, and the 256 values form two halves of 128. The low bits
//! of values that are 32 apart are in the same byte: four values per byte for 2-bit values, two for 4-bit values.

use super::half_at;

/// 16 bytes of scales (low 4 bits: scale, high 4 bits: minimum), 64 bytes of 2-bit values, `d`, `d_min`.
/// `(d scale) q - d_min minimum`.
pub(super) fn q2_k(block: &[u8; 84], values: &mut [f32; 256]) {
    let (scales, quants) = (&block[..16], &block[16..80]);
    let (d, d_min) = (half_at(block, 80), half_at(block, 82));
    let (groups, _) = values.as_chunks_mut::<16>();
    for (g, (group, packed)) in groups.iter_mut().zip(scales).enumerate() {
        let (scale, minimum) = (d * f32::from(packed & 15), d_min * f32::from(packed >> 4));
        let (bytes, shift) = two_bits(quants, g);
        for (value, byte) in group.iter_mut().zip(bytes) {
            *value = scale * f32::from(byte >> shift & 3) - minimum;
        }
    }
}

/// 32 bytes of third bits, 64 bytes of 2-bit values, 12 bytes of 6-bit scales, `d`. `(d (scale - 32)) (q - 4)`: the
/// third bit of `q` is set where 4 is not subtracted.
pub(super) fn q3_k(block: &[u8; 110], values: &mut [f32; 256]) {
    let (third, quants, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half_at(block, 108);
    let (groups, _) = values.as_chunks_mut::<16>();
    for (g, group) in groups.iter_mut().enumerate() {
        // The low 4 bits of scale g are in byte g mod 8, its high 2 bits in byte 8 + g mod 4.
        let low = scales[g % 8] >> (g / 8 * 4) & 15;
        let high = scales[8 + g % 4] >> (g / 4 * 2) & 3;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        let (bytes, shift) = two_bits(quants, g);
        let third = &third[g % 2 * 16..];
        for ((value, byte), third) in group.iter_mut().zip(bytes).zip(third) {
            let quant = (byte >> shift & 3) | (third >> (g / 2) & 1) << 2;
            *value = scale * (f32::from(quant) - 4.0);
        }
    }
}

/// The 16 bytes that hold 2-bit group `g`, and the number of bits to shift them by.
fn two_bits(quants: &[u8], g: usize) -> (&[u8], usize) {
    let (half, within) = (g / 8, g % 8);
    (&quants[half * 32 + within % 2 * 16..][..16], within / 2 * 2)
}

/// `d`, `d_min`, 12 bytes of 6-bit scales and minima of groups of 32, 128 bytes of 4-bit values.
/// `(d scale) q - d_min minimum`.
pub(super) fn q4_k(block: &[u8; 144], values: &mut [f32; 256]) {
    let (d, d_min) = (half_at(block, 0), half_at(block, 2));
    let (scales, quants) = (&block[4..16], &block[16..]);
    let (groups, _) = values.as_chunks_mut::<32>();
    for (g, group) in groups.iter_mut().enumerate() {
        let (scale, minimum) = scale_and_minimum(scales, g);
        let (scale, minimum) = (d * scale, d_min * minimum);
        for (value, byte) in group.iter_mut().zip(&quants[g / 2 * 32..]) {
            *value = scale * f32::from(byte >> (g % 2 * 4) & 15) - minimum;
        }
    }
}

/// Like Q4_K, with 32 bytes of fifth bits before the 4-bit values: bit `g` of byte `i` for value `i` of group `g`.
pub(super) fn q5_k(block: &[u8; 176], values: &mut [f32; 256]) {
    let (d, d_min) = (half_at(block, 0), half_at(block, 2));
    let (scales, fifth, quants) = (&block[4..16], &block[16..48], &block[48..]);
    let (groups, _) = values.as_chunks_mut::<32>();
    for (g, group) in groups.iter_mut().enumerate() {
        let (scale, minimum) = scale_and_minimum(scales, g);
        let (scale, minimum) = (d * scale, d_min * minimum);
        for ((value, byte), fifth) in group.iter_mut().zip(&quants[g / 2 * 32..]).zip(fifth) {
            let quant = (byte >> (g % 2 * 4) & 15) | (fifth >> g & 1) << 4;
            *value = scale * f32::from(quant) - minimum;
        }
    }
}

/// Scale and minimum of group `g` of 8. The first four pairs are the low 6 bits of bytes `g` and `g + 4`. The others
/// have their low 4 bits in byte `g + 4`, and their high 2 bits in the high bits of the bytes of the first four.
fn scale_and_minimum(scales: &[u8], g: usize) -> (f32, f32) {
    let (scale, minimum) = if g < 4 {
        (scales[g] & 63, scales[g + 4] & 63)
    } else {
        let low = scales[g + 4];
        (
            (low & 15) | (scales[g - 4] >> 6) << 4,
            (low >> 4) | (scales[g] >> 6) << 4,
        )
    };
    (f32::from(scale), f32::from(minimum))
}

/// 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed scales of groups of 16, `d`. `(d scale) (q - 32)`.
pub(super) fn q6_k(block: &[u8; 210], values: &mut [f32; 256]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half_at(block, 208);
    let (groups, _) = values.as_chunks_mut::<16>();
    for (g, (group, scale)) in groups.iter_mut().zip(scales).enumerate() {
        let scale = d * f32::from(scale.cast_signed());
        // Quarter `k` of a half: 64 low bytes hold quarters 0 and 2, then 1 and 3.
        let (half, quarter, start) = (g / 8, g % 8 / 2, g % 2 * 16);
        let low = &low[half * 64 + quarter % 2 * 32 + start..];
        let high = &high[half * 32 + start..];
        for ((value, low), high) in group.iter_mut().zip(low).zip(high) {
            let quant = (low >> (quarter / 2 * 4) & 15) | (high >> (quarter * 2) & 3) << 4;
            *value = scale * (f32::from(quant) - 32.0);
        }
    }
}
