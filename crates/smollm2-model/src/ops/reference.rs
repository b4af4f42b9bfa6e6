//! The operations of [`DecoderBackend`](super::DecoderBackend) in plain tensor operations, for any backend and float
//! type. The gradients are written out; a test compares them with Burn's derivative of the forward pass.
//!
//! R = H/K query heads per key/value head; other letters as in [`super`].

use burn::tensor::{
    Bool, DType, Tensor,
    activation::{self, sigmoid, softmax},
    backend::Backend,
    ops::{BoolTensor, FloatTensor},
    s,
};
use burn_custom_op::{as_type, unwrap, wrap};

use super::checked;

/// Score of a hidden key. Finite, so that a row with no visible key (padding) is uniform and not NaN; within f16, so
/// that every float type holds it; and so low that `exp` of the distance to any real score is 0.
pub(super) const HIDDEN: f64 = -6.0e4;

/// `1 / sqrt(mean(x²) + epsilon)`, `[N, 1]` in f32.
fn inverse_root_mean_square<B: Backend>(x: Tensor<B, 2>, epsilon: f64) -> Tensor<B, 2> {
    x.clone().mul(x).mean_dim(1).add_scalar(epsilon).sqrt().recip() // [N, 1]
}

/// See [`super::rms_norm`].
pub fn rms_norm<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    checked::rms_norm::<B>(&x, &weight);
    let (x, weight) = (wrap::<B, 2>(x), wrap::<B, 1>(weight));
    let dtype = x.dtype();
    let x = as_type(x, DType::F32);
    let scale = inverse_root_mean_square(x.clone(), epsilon); // [N, 1]
    unwrap(as_type(x * scale, dtype) * as_type(weight, dtype).unsqueeze()) // [N, D]
}

/// With `r` the inverse root mean square and `g = dy ⊙ weight`: `dx = r (g - x r² mean(g ⊙ x))` and
/// `dweight = sum_n dy ⊙ x r`.
pub fn rms_norm_backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad_output: FloatTensor<B>,
    epsilon: f64,
) -> [FloatTensor<B>; 2] {
    checked::rms_norm_backward::<B>(&x, &weight, &grad_output);
    let (x, weight, grad) = (wrap::<B, 2>(x), wrap::<B, 1>(weight), wrap::<B, 2>(grad_output));
    let (dtype, weight_dtype) = (x.dtype(), weight.dtype());
    let (x, grad) = (as_type(x, DType::F32), as_type(grad, DType::F32));
    let scale = inverse_root_mean_square(x.clone(), epsilon); // [N, 1]
    let normal = x * scale.clone(); // [N, D]
    let channels = normal.dims()[1];
    let grad_weight = (grad.clone() * normal.clone()).sum_dim(0).reshape([channels]); // [D]
    let grad = grad * as_type(weight, DType::F32).unsqueeze(); // [N, D]
    let along = (grad.clone() * normal.clone()).mean_dim(1); // [N, 1]
    let grad_x = (grad - normal * along) * scale; // [N, D]
    [
        unwrap(as_type(grad_x, dtype)),
        unwrap(as_type(grad_weight, weight_dtype)),
    ]
}

/// See [`super::rotate`].
pub fn rotate<B: Backend>(x: FloatTensor<B>, cos: FloatTensor<B>, sin: FloatTensor<B>) -> FloatTensor<B> {
    checked::rotate::<B>(&x, &cos, &sin);
    let (x, cos, sin) = (wrap::<B, 2>(x), wrap::<B, 2>(cos), wrap::<B, 2>(sin));
    let ([rows, width], [period, channels]) = (x.dims(), cos.dims());
    let half = channels / 2;
    let x = x.reshape([rows / period.max(1), period, width / channels, channels]); // [N/P, P, H, C]
    let [cos, sin] = [cos, sin].map(|table| as_type(table, x.dtype()).reshape([1, period, 1, channels])); // [1, P, 1, C]
    let first = x.clone().narrow(3, 0, half); // [N/P, P, H, C/2]
    let second = x.clone().narrow(3, half, half); // [N/P, P, H, C/2]
    let swapped = Tensor::cat(vec![second, first], 3); // [N/P, P, H, C]
    unwrap((x * cos + swapped * sin).reshape([rows, width])) // [N, H·C]
}

/// See [`super::silu`].
pub fn silu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    checked::silu::<B>(&x);
    unwrap(activation::silu(wrap::<B, 2>(x))) // [N, F]
}

/// `dx = dy ⊙ s (1 + x (1 - s))` with `s` the sigmoid of `x`.
pub fn silu_backward<B: Backend>(x: FloatTensor<B>, grad_output: FloatTensor<B>) -> FloatTensor<B> {
    checked::silu_backward::<B>(&x, &grad_output);
    let (_, slope) = silu_and_slope(wrap::<B, 2>(x)); // [N, F]
    unwrap(wrap::<B, 2>(grad_output) * slope) // [N, F]
}

/// `silu(x)` and its derivative `s (1 + x (1 - s)) = s + silu - silu s`, with `s` the sigmoid of `x`.
fn silu_and_slope<B: Backend>(x: Tensor<B, 2>) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let sigmoid = sigmoid(x.clone()); // [N, F]
    let silu = x * sigmoid.clone(); // [N, F]
    let slope = sigmoid.clone() + silu.clone() - silu.clone() * sigmoid; // [N, F]
    (silu, slope)
}

/// See [`super::gated_silu`].
pub fn gated_silu<B: Backend>(gate: FloatTensor<B>, up: FloatTensor<B>) -> FloatTensor<B> {
    checked::gated_silu::<B>(&gate, &up);
    unwrap(activation::silu(wrap::<B, 2>(gate)) * wrap(up)) // [N, F]
}

/// `dup = dy ⊙ silu(gate)`, `dgate = dy ⊙ up ⊙ s (1 + gate (1 - s))` with `s` the sigmoid of the gate.
pub fn gated_silu_backward<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    grad_output: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    checked::gated_silu_backward::<B>(&gate, &up, &grad_output);
    let (gate, up, grad) = (wrap::<B, 2>(gate), wrap::<B, 2>(up), wrap::<B, 2>(grad_output));
    let (silu, slope) = silu_and_slope(gate); // [N, F]
    [unwrap(grad.clone() * up * slope), unwrap(grad * silu)] // [N, F] each
}

/// See [`super::causal_attention`]. The queries that share a key/value head are rows of one product, so keys and values are
/// never repeated.
pub fn causal_attention<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    hidden: Option<BoolTensor<B>>,
) -> FloatTensor<B> {
    checked::causal_attention::<B>(&query, &key, &value, hidden.as_ref());
    let (query, key, value) = (wrap::<B, 4>(query), wrap::<B, 4>(key), wrap::<B, 4>(value));
    let shape = query.dims();
    let weights = probabilities(query, key, hidden); // [B, K, R·T, S]
    unwrap(weights.matmul(value).reshape(shape)) // [B, H, T, C]
}

/// With `P` the probabilities and `dP = dy valueᵀ`: `dvalue = Pᵀ dy`, `dscores = P ⊙ (dP - sum_s P ⊙ dP)`,
/// `dquery = dscores key / sqrt(C)`, `dkey = dscoresᵀ query / sqrt(C)`. `P` is computed again.
pub fn causal_attention_backward<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    hidden: Option<BoolTensor<B>>,
    grad_output: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    checked::causal_attention_backward::<B>(&query, &key, &value, hidden.as_ref(), &grad_output);
    let (query, key, value) = (wrap::<B, 4>(query), wrap::<B, 4>(key), wrap::<B, 4>(value));
    let grad = wrap::<B, 4>(grad_output);
    let shape = query.dims();
    let rows = [shape[0], key.dims()[1], shape[1] / key.dims()[1] * shape[2], shape[3]];
    let weights = probabilities(query.clone(), key.clone(), hidden); // [B, K, R·T, S]
    let (query, grad) = (query.reshape(rows), grad.reshape(rows)); // [B, K, R·T, C]
    let grad_value = weights.clone().swap_dims(2, 3).matmul(grad.clone()); // [B, K, S, C]
    let grad_weights = grad.matmul(value.swap_dims(2, 3)); // [B, K, R·T, S]
    let along = (weights.clone() * grad_weights.clone()).sum_dim(3); // [B, K, R·T, 1]
    let grad_scores = weights * (grad_weights - along) * scale(shape[3]); // [B, K, R·T, S]
    let grad_query = grad_scores.clone().matmul(key).reshape(shape); // [B, H, T, C]
    let grad_key = grad_scores.swap_dims(2, 3).matmul(query); // [B, K, S, C]
    [unwrap(grad_query), unwrap(grad_key), unwrap(grad_value)]
}

/// See [`super::write_tokens`].
pub fn write_tokens<B: Backend>(buffer: FloatTensor<B>, new: FloatTensor<B>, start: usize) -> FloatTensor<B> {
    checked::write_tokens::<B>(&buffer, &new, start);
    let (buffer, new) = (wrap::<B, 4>(buffer), wrap::<B, 4>(new));
    let end = start + new.dims()[2];
    unwrap(buffer.slice_assign(s![.., .., start..end, ..], new)) // [B, K, P, C]
}

/// Factor of the scores for heads of `channels` channels.
pub(super) fn scale(channels: usize) -> f64 {
    (channels as f64).powf(-0.5)
}

/// Attention weights, `[B, K, R·T, S]`.
fn probabilities<B: Backend>(query: Tensor<B, 4>, key: Tensor<B, 4>, hidden: Option<BoolTensor<B>>) -> Tensor<B, 4> {
    let ([batch, heads, tokens, channels], [_, groups, keys, _]) = (query.dims(), key.dims());
    // The scale goes onto the queries: T·C products per head instead of T·S.
    let query = query.mul_scalar(scale(channels));
    let query = query.reshape([batch, groups, heads / groups * tokens, channels]); // [B, K, R·T, C]
    let scores = query.matmul(key.swap_dims(2, 3)); // [B, K, R·T, S]
    let scores = scores.reshape([batch, heads, tokens, keys]); // [B, H, T, S]
    let scores = if tokens == 1 && hidden.is_none() {
        scores
    } else {
        let past = (keys - tokens) as i64;
        let future = Tensor::<B, 2, Bool>::tril_mask([tokens, keys], past, &scores.device()); // [T, S]
        let future = future.unsqueeze::<4>(); // [1, 1, T, S]
        let mask = match hidden {
            Some(hidden) => Tensor::<B, 3, Bool>::from_primitive(hidden)
                .unsqueeze_dim::<4>(1) // [B, 1, T, S]
                .bool_or(future),
            None => future,
        };
        scores.mask_fill(mask, HIDDEN)
    };
    let dtype = scores.dtype();
    let weights = softmax(as_type(scores, DType::F32), 3); // [B, H, T, S]
    let weights = as_type(weights, dtype);
    weights.reshape([batch, groups, heads / groups * tokens, keys]) // [B, K, R·T, S]
}
