//! The backend extension: four operations with a plain default and explicit gradients.

use crate::{RationalSpec, reference};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

/// Gradients of [`RationalBackend::group_rational`].
#[derive(Clone, Debug)]
pub struct RationalGradients<B: Backend> {
    /// With respect to `x`: `[.., D]`, its dtype.
    pub input: FloatTensor<B>,
    /// With respect to the numerator, `[G or 1, n + 1]`, f32.
    pub numerator: FloatTensor<B>,
    /// With respect to the denominator, `[G or 1, m]`, f32.
    pub denominator: FloatTensor<B>,
}

/// Gradients of [`RationalBackend::gated_rational`].
#[derive(Clone, Debug)]
pub struct GatedGradients<B: Backend> {
    /// With respect to `gate`: `[.., D]`, its dtype.
    pub gate: FloatTensor<B>,
    /// With respect to `up`: `[.., D]`, its dtype.
    pub up: FloatTensor<B>,
    /// With respect to the numerator, `[G or 1, n + 1]`, f32.
    pub numerator: FloatTensor<B>,
    /// With respect to the denominator, `[G or 1, m]`, f32.
    pub denominator: FloatTensor<B>,
}

/// A backend that computes group rational functions.
///
/// Every default method is the plain reference in tensor operations, so an empty `impl RationalBackend for MyBackend`
/// is complete; a backend with something faster overrides what it has.
///
/// # Shapes
/// - `x`, `gate`, `up`, `grad_output`: `[.., D]`, D divisible by `spec.groups`, groups contiguous; f32, f16 or bf16.
/// - `numerator`: `[G or 1, n + 1]`, `a_0` first; one row when shared by all groups; f32.
/// - `denominator`: `[G or 1, m]`, `b_1` first; f32.
///
/// Arithmetic is f32 whatever the dtype of `x`; results are rounded once.
pub trait RationalBackend: Backend {
    /// `F(x) = P(x) / Q(x)` per channel group; `[.., D]`.
    fn group_rational(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        reference::group_rational::<Self>(x, numerator, denominator, spec)
    }

    /// Gradients of [`RationalBackend::group_rational`]; F is computed anew.
    fn group_rational_backward(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> RationalGradients<Self> {
        reference::group_rational_backward::<Self>(x, numerator, denominator, grad_output, spec)
    }

    /// `F(gate) * up`; `[.., D]`.
    fn gated_rational(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        reference::gated_rational::<Self>(gate, up, numerator, denominator, spec)
    }

    /// Gradients of [`RationalBackend::gated_rational`]; F is computed anew.
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

#[cfg(feature = "flex")]
impl RationalBackend for burn_flex::Flex {}

#[cfg(feature = "cubecl")]
impl<R, F, I, BT> RationalBackend for burn_cubecl::CubeBackend<R, F, I, BT>
where
    R: burn_cubecl::CubeRuntime,
    F: burn_cubecl::FloatElement,
    I: burn_cubecl::IntElement,
    BT: burn_cubecl::BoolElement,
{
}

#[cfg(feature = "cubecl")]
impl<B: burn_fusion::FusionBackend + RationalBackend> RationalBackend for burn_fusion::Fusion<B> {}

/// `F(x) = P(x) / Q(x)` per channel group, differentiable when `B` is.
///
/// # Shapes
/// - `x`: `[.., D]`
/// - `numerator`: `[G or 1, n + 1]`
/// - `denominator`: `[G or 1, m]`
/// - output: `[.., D]`, the dtype of `x`
pub fn group_rational<B: RationalBackend, const D: usize>(
    x: Tensor<B, D>,
    numerator: Tensor<B, 2>,
    denominator: Tensor<B, 2>,
    spec: RationalSpec,
) -> Tensor<B, D> {
    float(B::group_rational(
        primitive(x),
        primitive(numerator),
        primitive(denominator),
        spec,
    ))
}

/// `F(gate) * up`, differentiable when `B` is.
///
/// # Shapes
/// - `gate`, `up`: `[.., D]`
/// - `numerator`: `[G or 1, n + 1]`
/// - `denominator`: `[G or 1, m]`
/// - output: `[.., D]`, the dtype of `gate`
pub fn gated_rational<B: RationalBackend, const D: usize>(
    gate: Tensor<B, D>,
    up: Tensor<B, D>,
    numerator: Tensor<B, 2>,
    denominator: Tensor<B, 2>,
    spec: RationalSpec,
) -> Tensor<B, D> {
    float(B::gated_rational(
        primitive(gate),
        primitive(up),
        primitive(numerator),
        primitive(denominator),
        spec,
    ))
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn float<B: Backend, const D: usize>(tensor: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}
