//! Causal attention, computed for one block of queries at a time. The complete `[T, S]` matrix is never stored, and
//! keys after the last query of a block are skipped.
//!
//! B batch, T query tokens, S key tokens, H heads, K key/value heads, C head dim, Q queries of a block.

use burn::tensor::TensorMetadata;
use burn_custom_op::{flex::from_values, vectorized};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::super::reference::{HIDDEN, scale};
use super::{
    matrix::{Matrix, Target, multiply},
    vector::{softmax, sum},
};

/// Queries of one block: enough rows for the products to be compute-bound, few enough that the scores of 2,048 keys
/// stay in the second-level cache.
const QUERIES: usize = 64;

/// A `[B, H or K, tokens, C]` tensor, read in place.
pub(super) struct Heads<'a> {
    values: &'a [f32],
    shape: [usize; 4],
    strides: [usize; 4],
}

impl<'a> Heads<'a> {
    /// # Panics
    /// When the tensor is not f32 of four dimensions with positive strides.
    pub(super) fn of(tensor: &'a FlexTensor) -> Self {
        let (shape, strides) = (tensor.shape(), tensor.layout().strides());
        Self {
            values: &tensor.storage()[tensor.layout().start_offset()..],
            shape: std::array::from_fn(|axis| shape[axis]),
            strides: std::array::from_fn(|axis| strides[axis].unsigned_abs()),
        }
    }

    /// `[tokens, C]` of one head.
    fn head(&self, batch: usize, head: usize) -> Matrix<'a> {
        let [.., tokens, channels] = self.shape;
        let start = batch * self.strides[0] + head * self.strides[1];
        Matrix {
            values: &self.values[start..],
            shape: [tokens, channels],
            strides: [self.strides[2], self.strides[3]],
        }
    }
}

/// One call of attention, forward or backward.
pub(super) struct Attention<'a> {
    query: Heads<'a>,
    key: Heads<'a>,
    value: Heads<'a>,
    /// `[B, T, S]`, not zero where a key is hidden.
    hidden: Option<&'a [u8]>,
}

impl<'a> Attention<'a> {
    /// `hidden` must be contiguous.
    pub(super) fn new(
        query: &'a FlexTensor,
        key: &'a FlexTensor,
        value: &'a FlexTensor,
        hidden: Option<&'a FlexTensor>,
    ) -> Self {
        Self {
            query: Heads::of(query),
            key: Heads::of(key),
            value: Heads::of(value),
            hidden: hidden.map(|hidden| &hidden.bytes()[hidden.layout().start_offset()..]),
        }
    }

    /// `[B, H, T, C]`, laid out as `[B, T, H, C]`: the rows that the output projection wants.
    pub(super) fn forward(&self) -> FlexTensor {
        let [batch, heads, tokens, channels] = self.query.shape;
        let width = heads * channels;
        let mut out = vec![0.0; batch * tokens * width];
        if !out.is_empty() {
            out.par_chunks_mut(tokens * width).enumerate().for_each(|(row, out)| {
                out.par_chunks_mut(QUERIES * width)
                    .enumerate()
                    .for_each_init(Vec::new, |scores, (block, out)| {
                        self.forward_block(row, block * QUERIES, scores, out);
                    });
            });
        }
        from_values(out, &[batch, tokens, heads, channels]).transpose(1, 2) // [B, H, T, C]
    }

    /// All heads of the queries from `start` of one sequence; `out: [Q, H·C]`.
    fn forward_block(&self, batch: usize, start: usize, scores: &mut Vec<f32>, out: &mut [f32]) {
        let [_, heads, _, channels] = self.query.shape;
        let width = heads * channels;
        let queries = out.len() / width;
        let keys = self.seen(start + queries);
        for head in 0..heads {
            self.probabilities(batch, head, start, queries, scores); // [Q, keys]
            let value = self.value.head(batch, self.group(head)).rows(0, keys); // [keys, C]
            let target = Target {
                values: &mut out[head * channels..],
                stride: width,
                add: false,
            };
            multiply(target, 1.0, Matrix::new(scores, keys), value); // [Q, C]
        }
    }

    /// Gradients of query `[B, H, T, C]`, key and value `[B, K, S, C]`, laid out as `[B, T, H, C]` and `[B, S, K, C]`.
    pub(super) fn backward(&self, grad: &Heads<'_>) -> [FlexTensor; 3] {
        let ([batch, heads, tokens, channels], [_, groups, keys, _]) = (self.query.shape, self.key.shape);
        let mut of_query = vec![0.0; batch * heads * tokens * channels];
        let mut of_key = vec![0.0; batch * heads * keys * channels];
        let mut of_value = vec![0.0; of_key.len()];
        if !of_query.is_empty() {
            let key_value = of_key
                .par_chunks_mut(keys * channels)
                .zip(of_value.par_chunks_mut(keys * channels));
            of_query
                .par_chunks_mut(tokens * channels)
                .zip(key_value)
                .enumerate()
                .for_each_init(Default::default, |scratch, (index, (query, (key, value)))| {
                    let gradients = HeadGradients { query, key, value };
                    self.backward_head(index / heads, index % heads, grad, gradients, scratch);
                });
        }
        let repeats = heads / groups;
        [
            gather(&of_query, [batch, heads, tokens, channels], 1),
            gather(&of_key, [batch, heads, keys, channels], repeats),
            gather(&of_value, [batch, heads, keys, channels], repeats),
        ]
    }

    fn backward_head(
        &self,
        batch: usize,
        head: usize,
        grad: &Heads<'_>,
        out: HeadGradients<'_>,
        scratch: &mut [Vec<f32>; 2],
    ) {
        let [_, _, tokens, channels] = self.query.shape;
        let factor = scale(channels) as f32;
        let [weights, scores] = scratch;
        for start in (0..tokens).step_by(QUERIES) {
            let queries = QUERIES.min(tokens - start);
            let keys = self.seen(start + queries);
            let grad = grad.head(batch, head).rows(start, queries); // [Q, C]
            let query = self.query.head(batch, head).rows(start, queries); // [Q, C]
            let key = self.key.head(batch, self.group(head)).rows(0, keys); // [keys, C]
            let value = self.value.head(batch, self.group(head)).rows(0, keys); // [keys, C]
            self.probabilities(batch, head, start, queries, weights); // [Q, keys]
            scores.resize(queries * keys, 0.0);
            multiply(target(scores, keys, false), 1.0, grad, value.transposed()); // [Q, keys]
            let weights = Matrix::new(weights, keys); // [Q, keys]
            multiply(target(out.value, channels, true), 1.0, weights.transposed(), grad); // [keys, C]
            score_gradients(scores, weights.values, keys);
            let scores = Matrix::new(scores, keys); // [Q, keys]
            let rows = &mut out.query[start * channels..];
            multiply(target(rows, channels, false), factor, scores, key); // [Q, C]
            multiply(target(out.key, channels, true), factor, scores.transposed(), query); // [keys, C]
        }
    }

    /// Attention weights of `queries` queries from `start`, `[Q, keys]` with the keys seen by the last of them; 0
    /// after a query's own last key.
    fn probabilities(&self, batch: usize, head: usize, start: usize, queries: usize, weights: &mut Vec<f32>) {
        let [_, _, tokens, channels] = self.query.shape;
        let keys = self.seen(start + queries);
        weights.resize(queries * keys, 0.0);
        let query = self.query.head(batch, head).rows(start, queries); // [Q, C]
        let key = self.key.head(batch, self.group(head)).rows(0, keys); // [keys, C]
        multiply(
            target(weights, keys, false),
            scale(channels) as f32,
            query,
            key.transposed(),
        ); // [Q, keys]
        let first = self.seen(start + 1);
        if let Some(hidden) = self.hidden {
            let all = self.key.shape[2];
            for (row, weights) in weights.chunks_exact_mut(keys).enumerate() {
                let hidden = &hidden[(batch * tokens + start + row) * all..];
                for (score, hidden) in weights.iter_mut().zip(hidden) {
                    *score = if *hidden == 0 { *score } else { HIDDEN as f32 };
                }
            }
        }
        softmax_rows(weights, keys, first);
    }

    /// Keys before the end of query `end - 1`.
    fn seen(&self, end: usize) -> usize {
        self.key.shape[2] - self.query.shape[2] + end
    }

    /// The key/value head of a query head.
    fn group(&self, head: usize) -> usize {
        head / (self.query.shape[1] / self.key.shape[1])
    }
}

/// Where the gradients of one query head go: `[T, C]`, `[S, C]`, `[S, C]`.
struct HeadGradients<'a> {
    query: &'a mut [f32],
    key: &'a mut [f32],
    value: &'a mut [f32],
}

fn target(values: &mut [f32], stride: usize, add: bool) -> Target<'_> {
    Target { values, stride, add }
}

vectorized! {
    /// The softmax of every row over its first `first + row` scores; the scores after them become 0.
    fn softmax_rows(scores: &mut [f32], keys: usize, first: usize) {
        for (row, scores) in scores.chunks_exact_mut(keys).enumerate() {
            let (seen, future) = scores.split_at_mut(first + row);
            future.fill(0.0);
            softmax(seen);
        }
    }
}

vectorized! {
    /// `dscores = weights ⊙ (dweights - sum(weights ⊙ dweights))`, in place of `dweights: [Q, keys]`.
    fn score_gradients(gradients: &mut [f32], weights: &[f32], keys: usize) {
        for (gradients, weights) in gradients.chunks_exact_mut(keys).zip(weights.chunks_exact(keys)) {
            let along = sum(weights, gradients, |weight, gradient| weight * gradient);
            for (gradient, weight) in gradients.iter_mut().zip(weights) {
                *gradient = weight * (*gradient - along);
            }
        }
    }
}

/// `[B, H, tokens, C]` to `[B, tokens, H/R, C]`, every R neighbouring heads summed; returned as `[B, H/R, tokens, C]`.
fn gather(values: &[f32], [batch, heads, tokens, channels]: [usize; 4], repeats: usize) -> FlexTensor {
    let groups = heads / repeats;
    let mut out = vec![0.0; batch * tokens * groups * channels];
    if !out.is_empty() {
        let width = groups * channels;
        out.par_chunks_mut(width)
            .with_min_len(16)
            .enumerate()
            .for_each(|(row, out)| {
                let (batch, token) = (row / tokens, row % tokens);
                for head in 0..heads {
                    let from = ((batch * heads + head) * tokens + token) * channels;
                    let to = &mut out[head / repeats * channels..][..channels];
                    for (sum, value) in to.iter_mut().zip(&values[from..][..channels]) {
                        *sum += value;
                    }
                }
            });
    }
    from_values(out, &[batch, tokens, groups, channels]).transpose(1, 2) // [B, H/R, tokens, C]
}
