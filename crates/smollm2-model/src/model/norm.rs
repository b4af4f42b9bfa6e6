//! Root mean square normalisation.
//!
//! N rows, D hidden.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor, backend::Backend},
};

/// `x / sqrt(mean(x²) + eps) ⊙ weight`: [Root Mean Square Layer Normalization](https://arxiv.org/abs/1910.07467),
/// equation 4; `LlamaRMSNorm` in `transformers/models/llama/modeling_llama.py`.
///
/// The mean square is taken in f32 whatever the activations' type, and the weight multiplies after the cast back.
#[derive(Module, Debug)]
pub struct RmsNorm<B: Backend> {
    /// Scale of every channel, `[D]`.
    pub weight: Param<Tensor<B, 1>>,
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

    /// # Shapes
    /// - `x`: `[N, D]`
    /// - output: `[N, D]`
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let dtype = x.dtype();
        let wide = if dtype == DType::F32 {
            x.clone()
        } else {
            x.clone().cast(DType::F32)
        };
        let square = wide.clone() * wide;
        let scale = square.mean_dim(1).add_scalar(self.epsilon).sqrt().recip(); // [N, 1]
        let scale = if dtype == DType::F32 { scale } else { scale.cast(dtype) };
        x * scale * self.weight.val().unsqueeze()
    }
}
