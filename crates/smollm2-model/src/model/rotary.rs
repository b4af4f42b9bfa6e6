//! Rotary position embedding.
//!
//! B batch, T tokens, H heads, C head dim, P positions of the table.

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData, backend::Backend},
};

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

/// The rows of a [`RotaryTable`] for the tokens of one forward pass, shared by all layers: `[B or 1, 1, T, C]`. The
/// first half of every sine row is negated, which makes a rotation two products and a sum.
#[derive(Clone, Debug)]
pub(crate) struct Rotation<B: Backend> {
    cos: Tensor<B, 4>,
    sin: Tensor<B, 4>,
}

impl<B: Backend> RotaryTable<B> {
    /// Tables for positions `0..positions`.
    pub(crate) fn new(positions: usize, head_dim: usize, theta: f64, device: &B::Device) -> Self {
        let half = head_dim / 2;
        let frequency = |i: usize| 1.0_f32 / theta.powf(2.0 * i as f64 / head_dim as f64) as f32;
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
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
        let table = |values| Tensor::from_data(TensorData::new(values, [positions, head_dim]), device); // [P, C]
        Self {
            cos: table(cos),
            sin: table(sin),
        }
    }

    /// Rows `start..start + tokens`, the same for every sequence of the batch.
    pub(crate) fn range(&self, start: usize, tokens: usize) -> Rotation<B> {
        let rows = |table: &Tensor<B, 2>| {
            let rows = table.clone().narrow(0, start, tokens); // [T, C]
            rows.unsqueeze::<4>() // [1, 1, T, C]
        };
        Rotation {
            cos: rows(&self.cos),
            sin: rows(&self.sin),
        }
    }

    /// The row of every token's own position, `positions: [B, T]`.
    pub(crate) fn gather(&self, positions: Tensor<B, 2, Int>) -> Rotation<B> {
        let [batch, tokens] = positions.dims();
        let [_, channels] = self.cos.dims();
        let index: Tensor<B, 1, Int> = positions.reshape([batch * tokens]); // [B·T]
        let rows = |table: &Tensor<B, 2>| {
            let rows = table.clone().select(0, index.clone()); // [B·T, C]
            rows.reshape([batch, 1, tokens, channels]) // [B, 1, T, C]
        };
        Rotation {
            cos: rows(&self.cos),
            sin: rows(&self.sin),
        }
    }
}

impl<B: Backend> Rotation<B> {
    /// Turns queries or keys by their positions.
    ///
    /// # Shapes
    /// - `x`: `[B, H, T, C]`
    /// - output: `[B, H, T, C]`
    pub(crate) fn apply(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let half = x.dims()[3] / 2;
        let first = x.clone().narrow(3, 0, half); // [B, H, T, C/2]
        let second = x.clone().narrow(3, half, half); // [B, H, T, C/2]
        let swapped = Tensor::cat(vec![second, first], 3); // [B, H, T, C]
        x * self.cos.clone() + swapped * self.sin.clone()
    }
}
