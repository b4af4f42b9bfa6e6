//! Root mean square normalisation.
//!
//! N rows, D hidden.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, backend::Backend},
};

use crate::ops::{DecoderBackend, rms_norm};

/// `x / sqrt(mean(x²) + eps) ⊙ weight`: [Root Mean Square Layer Normalization](https://arxiv.org/abs/1910.07467),
/// equation 4; `LlamaRMSNorm` in `transformers/models/llama/modeling_llama.py`.
///
/// The mean square is computed in f32 for activations of any type, and the weight is multiplied after the cast back.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm<B: Backend> {
    /// Scale of every channel, `[D]`.
    weight: Param<Tensor<B, 1>>,
    epsilon: f64,
}

impl<B: Backend> RmsNorm<B> {
    /// A norm of `channels` channels whose weight is 1.
    pub(crate) fn new(channels: usize, epsilon: f64, device: &B::Device) -> Self {
        Self {
            weight: burn::module::Initializer::Ones.init([channels], device),
            epsilon,
        }
    }
}

impl<B: DecoderBackend> RmsNorm<B> {
    /// Every row of `x` normalised.
    ///
    /// # Shapes
    /// - `x`: `[N, D]`
    /// - output: `[N, D]`
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        rms_norm(x, self.weight.val(), self.epsilon)
    }
}
