//! Converts blocks to values. Layouts and arithmetic are those of ggml: the structures `block_*` in
//! [`ggml-common.h`](https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h) and the functions
//! `dequantize_row_*` in [`ggml-quants.c`](https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c). Products
//! and sums are computed in the same order as in ggml, so that the values are bit-identical.

mod k_quants;

use crate::TensorType;
use half::{bf16, f16};

/// Overwrites `values` with the values of the blocks in `bytes`.
pub(crate) fn dequantise(kind: TensorType, bytes: &[u8], values: &mut [f32]) {
    match kind {
        TensorType::F32 => each(bytes, values, |bytes, [value]| *value = f32::from_le_bytes(*bytes)),
        TensorType::F16 => each(bytes, values, |bytes, [value]| {
            *value = f16::from_le_bytes(*bytes).to_f32()
        }),
        TensorType::Bf16 => each(bytes, values, |bytes, [value]| {
            *value = bf16::from_le_bytes(*bytes).to_f32()
        }),
        TensorType::Q4_0 => each(bytes, values, q4_0),
        TensorType::Q4_1 => each(bytes, values, q4_1),
        TensorType::Q5_0 => each(bytes, values, q5_0),
        TensorType::Q5_1 => each(bytes, values, q5_1),
        TensorType::Q8_0 => each(bytes, values, q8_0),
        TensorType::Q2K => each(bytes, values, k_quants::q2_k),
        TensorType::Q3K => each(bytes, values, k_quants::q3_k),
        TensorType::Q4K => each(bytes, values, k_quants::q4_k),
        TensorType::Q5K => each(bytes, values, k_quants::q5_k),
        TensorType::Q6K => each(bytes, values, k_quants::q6_k),
    }
}

/// Calls `block` with every block and its values.
fn each<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    values: &mut [f32],
    block: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) {
    let (blocks, rest) = bytes.as_chunks();
    let (values, more) = values.as_chunks_mut();
    debug_assert!(rest.is_empty() && more.is_empty() && blocks.len() == values.len());
    for (bytes, values) in blocks.iter().zip(values) {
        block(bytes, values);
    }
}

/// The f16 at byte offset `at`.
fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Scale `d`, then 4 bits per value: byte `i` holds value `i` in its low half and value `i + 16` in its high half.
/// `(q - 8) d`.
fn q4_0(block: &[u8; 18], values: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    let (low, high) = values.split_at_mut(16);
    for ((byte, low), high) in block[2..].iter().zip(low).zip(high) {
        *low = (f32::from(byte & 15) - 8.0) * scale;
        *high = (f32::from(byte >> 4) - 8.0) * scale;
    }
}

/// Scale `d` and minimum `m`, then 4 bits per value as in Q4_0. `q d + m`.
fn q4_1(block: &[u8; 20], values: &mut [f32; 32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    let (low, high) = values.split_at_mut(16);
    for ((byte, low), high) in block[4..].iter().zip(low).zip(high) {
        *low = f32::from(byte & 15) * scale + minimum;
        *high = f32::from(byte >> 4) * scale + minimum;
    }
}

/// Scale `d`, the fifth bits of all values (bit `i` for value `i`), then their low 4 bits as in Q4_0. `(q - 16) d`.
fn q5_0(block: &[u8; 22], values: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for (value, quant) in values.iter_mut().zip(five_bits(&block[2..])) {
        *value = (f32::from(quant) - 16.0) * scale;
    }
}

/// Scale `d` and minimum `m`, then 5 bits per value as in Q5_0. `q d + m`.
fn q5_1(block: &[u8; 24], values: &mut [f32; 32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    for (value, quant) in values.iter_mut().zip(five_bits(&block[4..])) {
        *value = f32::from(quant) * scale + minimum;
    }
}

/// The 32 values of 4 bytes of fifth bits and 16 bytes of low bits.
fn five_bits(bytes: &[u8]) -> [u8; 32] {
    let fifth = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    std::array::from_fn(|i| {
        let low = bytes[4 + i % 16] >> (i / 16 * 4) & 15;
        low | ((fifth >> i & 1) as u8) << 4
    })
}

/// Scale `d`, then a signed byte per value. `q d`.
fn q8_0(block: &[u8; 34], values: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for (value, quant) in values.iter_mut().zip(&block[2..]) {
        *value = f32::from(quant.cast_signed()) * scale;
    }
}
