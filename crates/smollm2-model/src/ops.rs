//! The operations of a decoder that have their own implementation instead of a chain of tensor operations:
//! normalisation, rotation, attention and gating.
//!
//! B batch, T query tokens, S key tokens, N = B·T rows, P rows of a rotation or positions of a cache, D hidden,
//! F feed-forward width, H heads, K key/value heads, C head dim.

mod autodiff;
mod checked;
#[cfg(feature = "cubecl")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
pub mod reference;

use burn::tensor::{
    Bool, DType, Tensor,
    backend::Backend,
    ops::{BoolTensor, FloatTensor},
};
use burn_custom_op::{unwrap, wrap};
use kan_rational::RationalBackend;

/// A backend that runs a decoder.
///
/// The default methods are the plain-tensor [`mod@reference`], and every backward pass is explicit: an operation keeps
/// its inputs and recomputes the rest, so attention keeps no `[B, H, T, S]` weights, only the mask if there is one. A
/// backend with faster kernels overrides the methods; Flex does, with one pass over memory per operation
/// on all cores.
///
/// Tensors may be views. Inputs of one operation have one float type, except the weight of a norm and the tables of a
/// rotation, which may have another. A gradient has shape and float type of the input it belongs to, `grad_output`
/// those of the operation's output.
///
/// # Panics
/// Every implementation panics before it reads a value if a tensor has the wrong shape, element type or device: that is
/// an error in the calling program, as with Burn's own operations. The message names the operation, the tensor, what
/// was expected and what was found.
pub trait DecoderBackend: RationalBackend {
    /// See [`rms_norm`].
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        reference::rms_norm::<Self>(x, weight, epsilon)
    }

    /// Gradients of [`rms_norm`](Self::rms_norm) in `x: [N, D]` and `weight: [D]`, for `grad_output: [N, D]`.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 2] {
        reference::rms_norm_backward::<Self>(x, weight, grad_output, epsilon)
    }

    /// See [`rotate`]. The gradient is the rotation back: the same with the sines negated.
    fn rotate(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::rotate::<Self>(x, cos, sin)
    }

    /// See [`silu`].
    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::silu::<Self>(x)
    }

    /// Gradient of [`silu`](Self::silu) in `x: [N, F]`, for `grad_output: [N, F]`.
    fn silu_backward(x: FloatTensor<Self>, grad_output: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::silu_backward::<Self>(x, grad_output)
    }

    /// See [`gated_silu`].
    fn gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::gated_silu::<Self>(gate, up)
    }

    /// Gradients of [`gated_silu`](Self::gated_silu) in `gate` and `up`, `[N, F]`, for `grad_output: [N, F]`.
    fn gated_silu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        reference::gated_silu_backward::<Self>(gate, up, grad_output)
    }

    /// See [`causal_attention`].
    fn causal_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        hidden: Option<BoolTensor<Self>>,
    ) -> FloatTensor<Self> {
        reference::causal_attention::<Self>(query, key, value, hidden)
    }

    /// Gradients of [`causal_attention`](Self::causal_attention) in `query: [B, H, T, C]`, `key` and `value`,
    /// `[B, K, S, C]`, for `grad_output: [B, H, T, C]`.
    fn causal_attention_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        hidden: Option<BoolTensor<Self>>,
        grad_output: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        reference::causal_attention_backward::<Self>(query, key, value, hidden, grad_output)
    }

    /// See [`write_tokens`].
    fn write_tokens(buffer: FloatTensor<Self>, new: FloatTensor<Self>, start: usize) -> FloatTensor<Self> {
        reference::write_tokens::<Self>(buffer, new, start)
    }
}

/// `x / sqrt(mean(x²) + epsilon) ⊙ weight` over the last dimension, differentiable in `x` and `weight`:
/// [Root Mean Square Layer Normalization](https://arxiv.org/abs/1910.07467), equation 4.
///
/// # Shapes
/// - `x`, output: `[N, D]`; `weight`: `[D]`
///
/// Half-precision rows are normalised in f32 and rounded before the weight multiplies, as in `transformers`.
pub fn rms_norm<B: DecoderBackend>(x: Tensor<B, 2>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
    wrap(B::rms_norm(unwrap(x), unwrap(weight), epsilon))
}

/// Rotary position embedding, rotate-half: within each head, channel `i` turns with channel `i + C/2`
/// ([RoFormer](https://arxiv.org/abs/2104.09864), equation 34, arranged as in
/// `transformers/models/llama/modeling_llama.py`). Differentiable in `x`.
///
/// # Shapes
/// - `x`: `[N, H·C]`, heads contiguous
/// - `cos`, `sin`: `[P, C]`, P dividing N: row `n` turns by row `n mod P`. The first half of each sine row is negated,
///   which makes a rotation two products and a sum.
/// - output: `[N, H·C]`
pub fn rotate<B: DecoderBackend>(x: Tensor<B, 2>, cos: Tensor<B, 2>, sin: Tensor<B, 2>) -> Tensor<B, 2> {
    wrap(B::rotate(unwrap(x), unwrap(cos), unwrap(sin)))
}

/// `silu(x) = x sigmoid(x)`, differentiable.
///
/// # Shapes
/// - `x`, output: `[N, F]`
pub fn silu<B: DecoderBackend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    wrap(B::silu(unwrap(x)))
}

/// `silu(gate) ⊙ up`, differentiable in both.
///
/// # Shapes
/// - `gate`, `up`, output: `[N, F]`
pub fn gated_silu<B: DecoderBackend>(gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
    wrap(B::gated_silu(unwrap(gate), unwrap(up)))
}

/// Causal grouped-query attention, `softmax(query keyᵀ / sqrt(C)) value`, differentiable in all three.
///
/// The last query is aligned with the last key: query `t` sees keys `0 ..= t + (S - T)`. H is a multiple of K, and
/// query head `h` reads key/value head `h / (H/K)`. The softmax is taken in f32. A row that sees no key at all is
/// finite and otherwise unspecified.
///
/// # Shapes
/// - `query`: `[B, H, T, C]`; `key`, `value`: `[B, K, S, C]`, S at least T
/// - `hidden`: `[B, T, S]`, true where a key is hidden from a query, other than those after it
/// - output: `[B, H, T, C]`
pub fn causal_attention<B: DecoderBackend>(
    query: Tensor<B, 4>,
    key: Tensor<B, 4>,
    value: Tensor<B, 4>,
    hidden: Option<Tensor<B, 3, Bool>>,
) -> Tensor<B, 4> {
    let hidden = hidden.map(Tensor::into_primitive);
    wrap(B::causal_attention(unwrap(query), unwrap(key), unwrap(value), hidden))
}

/// Writes the keys or values of new tokens at positions `start .. start + T` of a cache; in place where the backend
/// can and `buffer` is the only handle.
///
/// # Shapes
/// - `buffer`, output: `[B, K, P, C]`
/// - `new`: `[B, K, T, C]`, of the same float type; `start + T` at most P
pub fn write_tokens<B: DecoderBackend>(buffer: Tensor<B, 4>, new: Tensor<B, 4>, start: usize) -> Tensor<B, 4> {
    wrap(B::write_tokens(unwrap(buffer), unwrap(new), start))
}

/// The values of a tensor as f32, row-major.
pub(crate) fn floats<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    let values = tensor.cast(DType::F32).into_data().into_vec();
    values.expect("a tensor cast to f32 holds f32")
}
