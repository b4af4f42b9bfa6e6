//! Grouped-query causal self-attention.
//!
//! B batch, T query tokens, S key tokens, N = B·T rows, D hidden, H heads, K key/value heads, R = H/K, C head dim.

use burn::{
    module::Module,
    nn::Linear,
    tensor::{Tensor, activation::softmax, backend::Backend},
};

use super::{
    cache::LayerCache,
    layout::{Mask, Sequence, future},
    linear,
};
use crate::SmolLm2Config;

/// Grouped-query attention ([Ainslie et al. 2023](https://arxiv.org/abs/2305.13245)) with rotary positions and no
/// biases: `LlamaAttention` in `transformers/models/llama/modeling_llama.py`.
///
/// Keys and values are never repeated: the R queries that share a key/value head are rows of one product,
/// `[B, K, R·T, C] x [B, K, C, S]`.
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

    /// Attention of `x: [N, D]`, N = `batch`·T, over itself and, with a cache, over the tokens before it.
    ///
    /// # Shapes
    /// - `x`: `[N, D]`
    /// - output: `[N, D]`
    pub(crate) fn forward(
        &self,
        x: Tensor<B, 2>,
        batch: usize,
        sequence: &Sequence<B>,
        cache: Option<&mut LayerCache<B>>,
    ) -> Tensor<B, 2> {
        let tokens = x.dims()[0] / batch;
        let split = |rows: Tensor<B, 2>, heads| {
            let rows = rows.reshape([batch, tokens, heads, self.head_dim]); // [B, T, H or K, C]
            rows.swap_dims(1, 2) // [B, H or K, T, C]
        };
        let query = split(self.q_proj.forward(x.clone()), self.heads); // [B, H, T, C]
        let key = split(self.k_proj.forward(x.clone()), self.kv_heads); // [B, K, T, C]
        let value = split(self.v_proj.forward(x), self.kv_heads); // [B, K, T, C]
        // The scale goes onto the queries: T·C products per head instead of T·S.
        let query = sequence
            .rotation
            .apply(query)
            .mul_scalar((self.head_dim as f64).powf(-0.5));
        let key = sequence.rotation.apply(key);
        let (key, value) = match cache {
            Some(cache) => cache.append(key, value), // [B, K, S, C]
            None => (key, value),
        };
        let context = self.attend(query, key, value, &sequence.mask); // [B, H, T, C]
        let context = context.swap_dims(1, 2); // [B, T, H, C]
        let context = context.reshape([batch * tokens, self.heads * self.head_dim]); // [N, H·C]
        self.o_proj.forward(context) // [N, D]
    }

    /// `softmax(query keyᵀ) value`, masked; the scale is already in the queries.
    fn attend(&self, query: Tensor<B, 4>, key: Tensor<B, 4>, value: Tensor<B, 4>, mask: &Mask<B>) -> Tensor<B, 4> {
        let [batch, heads, queries, channels] = query.dims();
        let keys = key.dims()[2];
        let (groups, repeats) = (self.kv_heads, heads / self.kv_heads);
        let query = query.reshape([batch, groups, repeats * queries, channels]); // [B, K, R·T, C]
        let scores = query.matmul(key.swap_dims(2, 3)); // [B, K, R·T, S]
        let scores = scores.reshape([batch, heads, queries, keys]); // [B, H, T, S]
        let scores = match mask {
            Mask::Causal if queries == 1 => scores,
            Mask::Causal => {
                let future = future(queries, keys, &scores.device()).unsqueeze::<4>(); // [1, 1, T, S]
                scores.mask_fill(future, HIDDEN)
            }
            Mask::Hidden(hidden) => scores.mask_fill(hidden.clone().unsqueeze_dim::<4>(1), HIDDEN),
        };
        let weights = softmax(scores, 3).reshape([batch, groups, repeats * queries, keys]); // [B, K, R·T, S]
        weights.matmul(value).reshape([batch, heads, queries, channels]) // [B, H, T, C]
    }
}

/// Score of a hidden key. Finite, so that a row with no visible key (padding) is uniform and not NaN; within f16, so
/// that every float type holds it; and so low that `exp` of the distance to any real score is 0.
const HIDDEN: f64 = -6.0e4;
