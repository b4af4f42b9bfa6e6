//! Grouped-query causal self-attention.
//!
//! B batch, T query tokens, S key tokens, N = B·T rows, D hidden, H heads, K key/value heads, C head dim.

use burn::{
    module::Module,
    nn::Linear,
    tensor::{Tensor, backend::Backend},
};

use super::{cache::LayerCache, layout::Sequence, linear};
use crate::{
    SmolLm2Config,
    ops::{DecoderBackend, causal_attention},
};

/// Grouped-query attention ([Ainslie et al. 2023](https://arxiv.org/abs/2305.13245)) with rotary positions and no
/// biases: `LlamaAttention` in `transformers/models/llama/modeling_llama.py`.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Queries, `[D, H·C]`.
    pub q_proj: Linear<B>,
    /// Keys, `[D, K·C]`.
    pub k_proj: Linear<B>,
    /// Values, `[D, K·C]`.
    pub v_proj: Linear<B>,
    /// Output, `[H·C, D]`.
    pub o_proj: Linear<B>,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl<B: Backend> Attention<B> {
    pub(crate) fn new(config: &SmolLm2Config, device: &B::Device) -> Self {
        let (d, c) = (config.hidden_size, config.head_dim);
        let (heads, kv_heads) = (config.num_attention_heads, config.num_key_value_heads);
        let projection = |input, output| linear(input, output, config.initializer_range, device);
        Self {
            q_proj: projection(d, heads * c),
            k_proj: projection(d, kv_heads * c),
            v_proj: projection(d, kv_heads * c),
            o_proj: projection(heads * c, d),
            heads,
            kv_heads,
            head_dim: c,
        }
    }
}

impl<B: DecoderBackend> Attention<B> {
    /// Attention of `x: [N, D]` over itself and, with a cache, over the tokens before it. N = `batch`·T, unless the rows
    /// of `sequence` are packed.
    ///
    /// # Shapes
    /// - `x`: `[N, D]`
    /// - output: `[N, D]`
    pub(crate) fn forward(
        &self,
        x: Tensor<B, 2>,
        batch: usize,
        sequence: &Sequence<B>,
        cache: Option<LayerCache<'_, B>>,
    ) -> Tensor<B, 2> {
        let packing = sequence.packing.as_ref();
        let [batch, tokens] = packing.map_or([batch, x.dims()[0] / batch], |packing| packing.shape);
        let split = |rows: Tensor<B, 2>, heads| {
            let rows = match packing {
                Some(packing) => packing.pad(rows), // [B·T, ..]
                None => rows,
            };
            let rows = rows.reshape([batch, tokens, heads, self.head_dim]); // [B, T, H or K, C]
            rows.swap_dims(1, 2) // [B, H or K, T, C]
        };
        let query = sequence.rotation.apply(self.q_proj.forward(x.clone())); // [N, H·C]
        let key = sequence.rotation.apply(self.k_proj.forward(x.clone())); // [N, K·C]
        let query = split(query, self.heads); // [B, H, T, C]
        let key = split(key, self.kv_heads); // [B, K, T, C]
        let value = split(self.v_proj.forward(x), self.kv_heads); // [B, K, T, C]
        let (key, value) = match cache {
            Some(cache) => cache.append(key, value), // [B, K, S, C]
            None => (key, value),
        };
        let context = causal_attention(query, key, value, sequence.hidden.clone()); // [B, H, T, C]
        let context = context.swap_dims(1, 2); // [B, T, H, C]
        let context = context.reshape([batch * tokens, self.heads * self.head_dim]); // [B·T, H·C]
        let context = match packing {
            Some(packing) => packing.unpad(context), // [N, H·C]
            None => context,
        };
        self.o_proj.forward(context) // [N, D]
    }
}
