//! Rotary position embedding.
//!
//! B batch, T tokens, H heads, C head dim, P positions of the table.

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData, backend::Backend},
};

use crate::ops::{DecoderBackend, rotate};

/// Cosines and sines of every position, computed once: [RoFormer](https://arxiv.org/abs/2104.09864), equation 34, in
/// the rotate-half arrangement of `transformers/models/llama/modeling_llama.py` (channel `i` is paired with channel
/// `i + C/2`, not with its neighbour).
///
/// Frequencies and angles are rounded to f32 as the reference does, so that long positions agree with it; cosine and
/// sine of the rounded angle are then taken in f64.
#[derive(Module, Debug)]
pub(crate) struct RotaryTable<B: Backend> {
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
}

/// The rows of a [`RotaryTable`] for the tokens of one forward pass, shared by all layers: `[T, C]` when all sequences
/// of the batch have the same positions, `[B·T, C]` otherwise. The first half of every sine row is negated, as
/// [`rotate`] requires.
#[derive(Clone, Debug)]
pub(crate) struct Rotation<B: Backend> {
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
}

impl<B: Backend> RotaryTable<B> {
    /// Tables for positions `0..positions`.
    pub(crate) fn new(positions: usize, head_dim: usize, theta: f64, device: &B::Device) -> Self {
        let half = head_dim / 2;
        let frequencies: Vec<f32> = (0..half)
            .map(|i| 1.0_f32 / theta.powf(2.0 * i as f64 / head_dim as f64) as f32)
            .collect();
        let mut cos = Vec::with_capacity(positions * head_dim);
        let mut sin = Vec::with_capacity(positions * head_dim);
        for position in 0..positions {
            for channel in 0..head_dim {
                let angle = f64::from(position as f32 * frequencies[channel % half]);
                let sign = if channel < half { -1.0 } else { 1.0 };
                cos.push(angle.cos() as f32);
                sin.push((sign * angle.sin()) as f32);
            }
        }
        let [cos, sin] = [cos, sin].map(|values| TensorData::new(values, [positions, head_dim])); // [P, C]
        Self {
            cos: Tensor::from_data(cos, device),
            sin: Tensor::from_data(sin, device),
        }
    }

    /// Rows `start..start + tokens`, the same for every sequence of the batch.
    pub(crate) fn range(&self, start: usize, tokens: usize) -> Rotation<B> {
        Rotation {
            cos: self.cos.clone().narrow(0, start, tokens), // [T, C]
            sin: self.sin.clone().narrow(0, start, tokens), // [T, C]
        }
    }

    /// The row of every token's own position, `positions: [B, T]`.
    pub(crate) fn gather(&self, positions: Tensor<B, 2, Int>) -> Rotation<B> {
        let index: Tensor<B, 1, Int> = positions.flatten(0, 1); // [B·T]
        Rotation {
            cos: self.cos.clone().select(0, index.clone()), // [B·T, C]
            sin: self.sin.clone().select(0, index),         // [B·T, C]
        }
    }
}

impl<B: DecoderBackend> Rotation<B> {
    /// Rotates the queries or keys of every token by its position.
    ///
    /// # Shapes
    /// - `x`: `[N, H·C]`
    /// - output: `[N, H·C]`
    pub(crate) fn apply(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        rotate(x, self.cos.clone(), self.sin.clone())
    }
}
