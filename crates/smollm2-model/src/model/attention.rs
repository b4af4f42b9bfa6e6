//! Grouped-query causal self-attention.
//!
//! B batch, T query tokens, S key tokens, N = B·T rows, D hidden, H heads, K key/value heads, C head dim.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};

use super::{cache::LayerCache, context::ForwardContext, projection::Projection};
use crate::{
    SmolLm2Config,
    ops::{DecoderBackend, causal_attention},
};

/// Grouped-query attention ([Ainslie et al. 2023](https://arxiv.org/abs/2305.13245)) with rotary positions and no
/// biases: `LlamaAttention` in `transformers/models/llama/modeling_llama.py`.
#[derive(Module, Debug)]
pub(crate) struct Attention<B: Backend> {
    /// Queries, `[D, H·C]`.
    q_proj: Projection<B>,
    /// Keys, `[D, K·C]`.
    k_proj: Projection<B>,
    /// Values, `[D, K·C]`.
    v_proj: Projection<B>,
    /// Output, `[H·C, D]`.
    o_proj: Projection<B>,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl<B: Backend> Attention<B> {
    pub(crate) fn new(config: &SmolLm2Config, device: &B::Device) -> Self {
        let (d, c) = (config.hidden_size, config.head_dim);
        let (heads, kv_heads) = (config.num_attention_heads, config.num_key_value_heads);
        let std = config.initializer_range;
        Self {
            q_proj: Projection::new(d, heads * c, std, device),
            k_proj: Projection::new(d, kv_heads * c, std, device),
            v_proj: Projection::new(d, kv_heads * c, std, device),
            o_proj: Projection::new(heads * c, d, std, device),
            heads,
            kv_heads,
            head_dim: c,
        }
    }
}

impl<B: DecoderBackend> Attention<B> {
    /// Attention of `x: [N, D]` over itself and, with a cache, over the tokens before it. N = `batch`·T, unless the rows
    /// of `context` are packed.
    ///
    /// # Shapes
    /// - `x`: `[N, D]`
    /// - output: `[N, D]`
    pub(crate) fn forward(
        &self,
        x: Tensor<B, 2>,
        batch: usize,
        context: &ForwardContext<B>,
        cache: Option<LayerCache<'_, B>>,
    ) -> Tensor<B, 2> {
        let query = context.rotation.apply(self.q_proj.forward(x.clone())); // [N, H·C]
        let key = context.rotation.apply(self.k_proj.forward(x.clone())); // [N, K·C]
        let [query, key, value] = [query, key, self.v_proj.forward(x)].map(|rows| context.padded(rows)); // [B·T, ..]
        let batch = context.rows(batch);
        let query = split(query, batch, self.heads); // [B, H, T, C]
        let key = split(key, batch, self.kv_heads); // [B, K, T, C]
        let value = split(value, batch, self.kv_heads); // [B, K, T, C]
        let (key, value) = match cache {
            Some(cache) => cache.append(key, value), // [B, K, S, C]
            None => (key, value),
        };
        let mixed = causal_attention(query, key, value, context.mask.clone()); // [B, H, T, C]
        let [_, _, tokens, _] = mixed.dims();
        let mixed = mixed.swap_dims(1, 2); // [B, T, H, C]
        let mixed = mixed.reshape([batch * tokens, self.heads * self.head_dim]); // [B·T, H·C]
        self.o_proj.forward(context.packed(mixed)) // [N, D]
    }
}

/// The channels of `rows: [N, H·C]` by head, `[B, H, T, C]`; of keys and values with K for H.
fn split<B: Backend>(rows: Tensor<B, 2>, batch: usize, heads: usize) -> Tensor<B, 4> {
    let [count, channels] = rows.dims();
    let rows = rows.reshape([batch, count / batch, heads, channels / heads]); // [B, T, H, C]
    rows.swap_dims(1, 2) // [B, H, T, C]
}
