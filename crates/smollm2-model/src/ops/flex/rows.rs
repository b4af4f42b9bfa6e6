//! The operations that treat rows one by one.

use burn_custom_op::{
    flex::{TASK, whole_rows},
    vectorized,
};
use rayon::prelude::*;

use super::vector::{sigmoid, sum};

/// `x / sqrt(mean(x²) + epsilon) ⊙ weight`, row by row.
pub(super) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    if !x.is_empty() {
        let size = whole_rows(TASK, weight.len());
        x.par_chunks(size)
            .zip(out.par_chunks_mut(size))
            .for_each(|(x, out)| rms_norm_rows(x, weight, epsilon, out));
    }
    out
}

vectorized! {
    fn rms_norm_rows(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
        for (x, out) in x.chunks_exact(weight.len()).zip(out.chunks_exact_mut(weight.len())) {
            let scale = inverse_root_mean_square(x, epsilon);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        }
    }
}

#[inline(always)]
fn inverse_root_mean_square(row: &[f32], epsilon: f32) -> f32 {
    1.0 / (sum(row, row, |x, y| x * y) / row.len() as f32 + epsilon).sqrt()
}

/// Gradients in `x` and `weight`; see [`reference`](crate::ops::reference::rms_norm_backward).
pub(super) fn rms_norm_backward(x: &[f32], weight: &[f32], grad: &[f32], epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let width = weight.len();
    let mut out = vec![0.0; x.len()];
    if x.is_empty() {
        return (out, vec![0.0; width]);
    }
    let size = whole_rows(TASK, width);
    let partials: Vec<Vec<f32>> = x
        .par_chunks(size)
        .zip(grad.par_chunks(size))
        .zip(out.par_chunks_mut(size))
        .map(|((x, grad), out)| {
            let mut grad_weight = vec![0.0; width];
            rms_norm_backward_rows(x, weight, grad, epsilon, out, &mut grad_weight);
            grad_weight
        })
        .collect();
    let mut total = vec![0.0f64; width];
    for partial in partials {
        for (total, part) in total.iter_mut().zip(partial) {
            *total += f64::from(part);
        }
    }
    (out, total.into_iter().map(|sum| sum as f32).collect())
}

vectorized! {
    fn rms_norm_backward_rows(
        x: &[f32],
        weight: &[f32],
        grad: &[f32],
        epsilon: f32,
        out: &mut [f32],
        grad_weight: &mut [f32],
    ) {
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(grad.chunks_exact(width));
        for ((x, grad), out) in rows.zip(out.chunks_exact_mut(width)) {
            let scale = inverse_root_mean_square(x, epsilon);
            for ((sum, grad), x) in grad_weight.iter_mut().zip(grad).zip(x) {
                *sum += grad * (x * scale);
            }
            for ((out, grad), weight) in out.iter_mut().zip(grad).zip(weight) {
                *out = grad * weight;
            }
            let along = sum(out, x, |g, x| g * x) * scale * scale / width as f32;
            for (out, x) in out.iter_mut().zip(x) {
                *out = (*out - x * along) * scale;
            }
        }
    }
}

/// Turns every head of `channels` channels of every row; row `n` by row `n mod P` of the tables.
pub(super) fn rotate(x: &[f32], width: usize, cos: &[f32], sin: &[f32], channels: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    if !x.is_empty() {
        let (period, size) = (cos.len() / channels, whole_rows(TASK, width));
        x.par_chunks(size)
            .zip(out.par_chunks_mut(size))
            .enumerate()
            .for_each(|(index, (x, out))| {
                let first = index * (size / width);
                for (row, (x, out)) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
                    let table = (first + row) % period * channels;
                    rotate_row(x, &cos[table..][..channels], &sin[table..][..channels], out);
                }
            });
    }
    out
}

vectorized! {
    fn rotate_row(x: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
        let (channels, half) = (cos.len(), cos.len() / 2);
        for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            let ((low, high), (out_low, out_high)) = (x.split_at(half), out.split_at_mut(half));
            for ((((out, low), high), cos), sin) in out_low.iter_mut().zip(low).zip(high).zip(cos).zip(sin) {
                *out = low * cos + high * sin;
            }
            let tables = cos[half..].iter().zip(&sin[half..]);
            for (((out, low), high), (cos, sin)) in out_high.iter_mut().zip(low).zip(high).zip(tables) {
                *out = high * cos + low * sin;
            }
        }
    }
}

/// `silu(x)`.
pub(super) fn silu(x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    x.par_chunks(TASK)
        .zip(out.par_chunks_mut(TASK))
        .for_each(|(x, out)| silu_chunk(x, out));
    out
}

vectorized! {
    fn silu_chunk(x: &[f32], out: &mut [f32]) {
        for (x, out) in x.iter().zip(out) {
            *out = x * sigmoid(*x);
        }
    }
}

/// Gradient in `x`; see [`reference`](crate::ops::reference::silu_backward).
pub(super) fn silu_backward(x: &[f32], grad: &[f32]) -> Vec<f32> {
    let mut grad_x = vec![0.0; x.len()];
    x.par_chunks(TASK)
        .zip(grad.par_chunks(TASK))
        .zip(grad_x.par_chunks_mut(TASK))
        .for_each(|((x, grad), grad_x)| silu_backward_chunk(x, grad, grad_x));
    grad_x
}

vectorized! {
    fn silu_backward_chunk(x: &[f32], grad: &[f32], grad_x: &mut [f32]) {
        for ((x, grad), grad_x) in x.iter().zip(grad).zip(grad_x) {
            let (_, slope) = silu_and_slope(*x);
            *grad_x = grad * slope;
        }
    }
}

#[inline(always)]
fn silu_and_slope(x: f32) -> (f32, f32) {
    let s = sigmoid(x);
    let silu = x * s;
    (silu, s + silu - silu * s)
}

/// `silu(gate) ⊙ up`.
pub(super) fn gated_silu(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; gate.len()];
    gate.par_chunks(TASK)
        .zip(up.par_chunks(TASK))
        .zip(out.par_chunks_mut(TASK))
        .for_each(|((gate, up), out)| gated_silu_chunk(gate, up, out));
    out
}

vectorized! {
    fn gated_silu_chunk(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((gate, up), out) in gate.iter().zip(up).zip(out) {
            *out = gate * sigmoid(*gate) * up;
        }
    }
}

/// Gradients in `gate` and `up`; see [`reference`](crate::ops::reference::gated_silu_backward).
pub(super) fn gated_silu_backward(gate: &[f32], up: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut grad_gate, mut grad_up) = (vec![0.0; gate.len()], vec![0.0; gate.len()]);
    let inputs = gate
        .par_chunks(TASK)
        .zip(up.par_chunks(TASK))
        .zip(grad.par_chunks(TASK));
    inputs
        .zip(grad_gate.par_chunks_mut(TASK).zip(grad_up.par_chunks_mut(TASK)))
        .for_each(|(((gate, up), grad), (grad_gate, grad_up))| {
            gated_silu_backward_chunk(gate, up, grad, grad_gate, grad_up);
        });
    (grad_gate, grad_up)
}

vectorized! {
    fn gated_silu_backward_chunk(
        gate: &[f32],
        up: &[f32],
        grad: &[f32],
        grad_gate: &mut [f32],
        grad_up: &mut [f32],
    ) {
        let inputs = gate.iter().zip(up).zip(grad);
        for (((gate, up), grad), (grad_gate, grad_up)) in inputs.zip(grad_gate.iter_mut().zip(grad_up)) {
            let (silu, slope) = silu_and_slope(*gate);
            *grad_up = grad * silu;
            *grad_gate = grad * up * slope;
        }
    }
}
