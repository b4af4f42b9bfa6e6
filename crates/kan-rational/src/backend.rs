use crate::{RationalSpec, reference};
use burn::tensor::{DType, Tensor, backend::Backend, ops::FloatTensor};
use burn_custom_op::{as_type, unwrap, wrap};

/// Gradients of [`RationalBackend::group_rational`]; those of coefficients are sums over all elements
/// that share them.
#[derive(Debug, Clone)]
pub struct RationalGradients<B: Backend> {
    /// `dL/dx`, `[.., D]` in the dtype of `x`.
    pub input: FloatTensor<B>,
    /// `dL/da`, the shape and dtype of the numerator.
    pub numerator: FloatTensor<B>,
    /// `dL/db`, the shape and dtype of the denominator.
    pub denominator: FloatTensor<B>,
}

/// Gradients of [`RationalBackend::gated_rational`]; those of coefficients are sums over all elements
/// that share them.
#[derive(Debug, Clone)]
pub struct GatedGradients<B: Backend> {
    /// `dL/dgate`, `[.., D]` in the dtype of the gate.
    pub gate: FloatTensor<B>,
    /// `dL/dup`, `[.., D]` in the dtype of the gate.
    pub up: FloatTensor<B>,
    /// `dL/da`, the shape and dtype of the numerator.
    pub numerator: FloatTensor<B>,
    /// `dL/db`, the shape and dtype of the denominator.
    pub denominator: FloatTensor<B>,
}

/// A backend that evaluates group rational functions.
///
/// The default methods are the plain-tensor [`mod@reference`]; a backend with faster kernels overrides them. Inputs
/// need not be contiguous: transposed and sliced views are accepted.
///
/// # Shapes
/// - x, gate, up, grad_output: `[.., D]`, all of one shape and float type (f16, bf16, f32 or f64)
/// - numerator: `[G or 1, n + 1]`; denominator: `[G or 1, m]`, f32
///
/// # Panics
/// Every implementation panics before it reads a value if a tensor has the wrong shape, float type or device: that is
/// an error in the calling program, as with Burn's own operations. The message names the operation, the tensor, what
/// was expected and what was found. [`RationalSpec::geometry`] checks the shapes without panicking.
pub trait RationalBackend: Backend {
    /// `F(x) = P(x) / Q(x)` with the coefficients of each channel's group.
    fn group_rational(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        reference::group_rational::<Self>(x, numerator, denominator, spec)
    }

    /// Gradients of [`group_rational`](Self::group_rational), given the gradient of its output.
    fn group_rational_backward(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> RationalGradients<Self> {
        reference::group_rational_backward::<Self>(x, numerator, denominator, grad_output, spec)
    }

    /// `F(gate) * up`: the gated feed-forward's activation in one pass.
    fn gated_rational(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        reference::gated_rational::<Self>(gate, up, numerator, denominator, spec)
    }

    /// Gradients of [`gated_rational`](Self::gated_rational), given the gradient of its output.
    fn gated_rational_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> GatedGradients<Self> {
        reference::gated_rational_backward::<Self>(gate, up, numerator, denominator, grad_output, spec)
    }
}

/// `F(x) = P(x) / Q(x)`, differentiable in `x` and both coefficient tensors.
///
/// # Shapes
/// - x: `[.., D]`, any float dtype; half precision is computed in f32 and rounded once
/// - numerator: `[G or 1, n + 1]`, ascending; denominator: `[G or 1, m]`, `b_1` first; one row is shared by all groups
/// - returns `[.., D]` in the dtype of `x`
///
/// # Panics
/// When the shapes do not fit together ([`RationalSpec::geometry`] checks them without panicking).
pub fn group_rational<B: RationalBackend, const D: usize>(
    x: Tensor<B, D>,
    numerator: Tensor<B, 2>,
    denominator: Tensor<B, 2>,
    spec: RationalSpec,
) -> Tensor<B, D> {
    wrap(B::group_rational(
        unwrap(x),
        coefficients(numerator),
        coefficients(denominator),
        spec,
    ))
}

/// `F(gate) * up`, differentiable in all four tensors.
///
/// # Shapes
/// - gate, up: `[.., D]`, `up` is cast to the dtype of `gate`; numerator and denominator as in [`group_rational`]
/// - returns `[.., D]` in the dtype of `gate`
///
/// # Panics
/// When the shapes do not fit together.
pub fn gated_rational<B: RationalBackend, const D: usize>(
    gate: Tensor<B, D>,
    up: Tensor<B, D>,
    numerator: Tensor<B, 2>,
    denominator: Tensor<B, 2>,
    spec: RationalSpec,
) -> Tensor<B, D> {
    let dtype = gate.dtype();
    wrap(B::gated_rational(
        unwrap(gate),
        unwrap(as_type(up, dtype)),
        coefficients(numerator),
        coefficients(denominator),
        spec,
    ))
}

/// Kernels read f32 coefficients; a model cast to half precision as a whole still computes with f32 ones.
fn coefficients<B: Backend>(tensor: Tensor<B, 2>) -> FloatTensor<B> {
    unwrap(as_type(tensor, DType::F32))
}
