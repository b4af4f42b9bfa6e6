//! One transformer block.
//!
//! N = B·T rows, D hidden.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};

use super::{
    attention::Attention, cache::LayerCache, context::ForwardContext, feed_forward::FeedForward, norm::RmsNorm,
};
use crate::{DecoderBackend, FeedForwardConfig, SmolLm2Config};

/// Attention and feed-forward, each behind a norm and a residual: `LlamaDecoderLayer` in
/// `transformers/models/llama/modeling_llama.py`.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// Norm before attention.
    input_layernorm: RmsNorm<B>,
    /// Attention.
    self_attn: Attention<B>,
    /// Norm before the feed-forward.
    pub(crate) post_attention_layernorm: RmsNorm<B>,
    /// Feed-forward.
    pub(crate) mlp: FeedForward<B>,
}

impl<B: DecoderBackend> Block<B> {
    pub(crate) fn new(config: &SmolLm2Config, feed_forward: &FeedForwardConfig, device: &B::Device) -> Self {
        let (d, epsilon) = (config.hidden_size, config.rms_norm_eps);
        Self {
            input_layernorm: RmsNorm::new(d, epsilon, device),
            self_attn: Attention::new(config, device),
            post_attention_layernorm: RmsNorm::new(d, epsilon, device),
            mlp: FeedForward::new(feed_forward, config, device),
        }
    }

    /// The output of the block on `x`.
    ///
    /// # Shapes
    /// - `x`: `[B, T, D]`
    /// - output: `[B, T, D]`
    pub fn forward(&self, x: Tensor<B, 3>, context: &ForwardContext<B>) -> Tensor<B, 3> {
        let [batch, tokens, channels] = x.dims();
        let x = x.reshape([batch * tokens, channels]); // [N, D]
        self.forward_rows(x, batch, context, None)
            .reshape([batch, tokens, channels]) // [B, T, D]
    }

    /// The block on `x: [N, D]`. Rows instead of `[B, T, D]`, because a product of two matrices is one large GEMM
    /// (and its weight gradient one GEMM, not one per sequence) where a batched product is B small ones.
    pub(crate) fn forward_rows(
        &self,
        x: Tensor<B, 2>,
        batch: usize,
        context: &ForwardContext<B>,
        cache: Option<LayerCache<'_, B>>,
    ) -> Tensor<B, 2> {
        let x = self.attend(x, batch, context, cache); // [N, D]
        self.mlp.forward(self.post_attention_layernorm.forward(x.clone())) + x // [N, D]
    }

    /// The first half of the block: attention and its residual, `[N, D]`.
    pub(crate) fn attend(
        &self,
        x: Tensor<B, 2>,
        batch: usize,
        context: &ForwardContext<B>,
        cache: Option<LayerCache<'_, B>>,
    ) -> Tensor<B, 2> {
        let normed = self.input_layernorm.forward(x.clone()); // [N, D]
        self.self_attn.forward(normed, batch, context, cache) + x // [N, D]
    }
}
