//! The checks that every implementation of [`RationalBackend`](crate::RationalBackend) makes before it reads a value.
//! There is one function per operation. The reference, the CPU kernels, the GPU kernels and the fusion queue call it
//! first.
//!
//! # Panics
//! Each function panics if a tensor does not have the shape, float type or device that the trait requires.

use crate::{Geometry, RationalSpec};
use burn::tensor::{DType, TensorMetadata, backend::Backend, ops::FloatTensor};
use burn_custom_op::Call;

/// A tensor and its name in messages.
type Named<'a, B> = (&'static str, &'a FloatTensor<B>);

pub(crate) fn group_rational<B: Backend>(
    x: &FloatTensor<B>,
    numerator: &FloatTensor<B>,
    denominator: &FloatTensor<B>,
    spec: RationalSpec,
) -> Geometry {
    geometry::<B>("group_rational", &[("x", x)], numerator, denominator, spec)
}

pub(crate) fn group_rational_backward<B: Backend>(
    x: &FloatTensor<B>,
    numerator: &FloatTensor<B>,
    denominator: &FloatTensor<B>,
    grad_output: &FloatTensor<B>,
    spec: RationalSpec,
) -> Geometry {
    let elements = [("x", x), ("grad_output", grad_output)];
    geometry::<B>("group_rational_backward", &elements, numerator, denominator, spec)
}

pub(crate) fn gated_rational<B: Backend>(
    gate: &FloatTensor<B>,
    up: &FloatTensor<B>,
    numerator: &FloatTensor<B>,
    denominator: &FloatTensor<B>,
    spec: RationalSpec,
) -> Geometry {
    let elements = [("gate", gate), ("up", up)];
    geometry::<B>("gated_rational", &elements, numerator, denominator, spec)
}

pub(crate) fn gated_rational_backward<B: Backend>(
    gate: &FloatTensor<B>,
    up: &FloatTensor<B>,
    numerator: &FloatTensor<B>,
    denominator: &FloatTensor<B>,
    grad_output: &FloatTensor<B>,
    spec: RationalSpec,
) -> Geometry {
    let elements = [("gate", gate), ("up", up), ("grad_output", grad_output)];
    geometry::<B>("gated_rational_backward", &elements, numerator, denominator, spec)
}

/// The sizes of a call. The first of `elements` is the input, and the others are tensors like it.
fn geometry<B: Backend>(
    operation: &'static str,
    elements: &[Named<'_, B>],
    numerator: &FloatTensor<B>,
    denominator: &FloatTensor<B>,
    spec: RationalSpec,
) -> Geometry {
    let (_, input) = elements[0];
    let geometry = spec
        .geometry(&input.shape(), &numerator.shape(), &denominator.shape())
        .unwrap_or_else(|error| panic!("{operation}: {error}"));
    let call = Call::<B>::new(operation, input);
    for (tensor, found) in &elements[1..] {
        call.like(tensor, found, input);
    }
    for (tensor, found) in [("numerator", numerator), ("denominator", denominator)] {
        call.dtype(tensor, found, DType::F32);
        call.on_device(tensor, found);
    }
    geometry
}
