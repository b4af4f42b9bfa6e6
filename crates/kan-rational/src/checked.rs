//! The checks that every implementation of [`RationalBackend`](crate::RationalBackend) makes before it reads a value.
//! There is one function per operation. The reference, the CPU kernels, the GPU kernels and the fusion queue call it
//! first.
//!
//! # Panics
//! Each function panics if a tensor does not have the shape, float type or device that the trait requires.

use crate::{Geometry, RationalError, RationalSpec};
use burn::tensor::{DType, TensorMetadata, backend::Backend, ops::FloatTensor};

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
    operation: &str,
    elements: &[Named<'_, B>],
    numerator: &FloatTensor<B>,
    denominator: &FloatTensor<B>,
    spec: RationalSpec,
) -> Geometry {
    let coefficients = [("numerator", numerator), ("denominator", denominator)];
    try_geometry::<B>(elements, coefficients, spec).unwrap_or_else(|error| panic!("{operation}: {error}"))
}

fn try_geometry<B: Backend>(
    elements: &[Named<'_, B>],
    coefficients: [Named<'_, B>; 2],
    spec: RationalSpec,
) -> Result<Geometry, RationalError> {
    let (_, input) = elements[0];
    let [(_, numerator), (_, denominator)] = coefficients;
    let geometry = spec.geometry(&input.shape(), &numerator.shape(), &denominator.shape())?;
    for (tensor, other) in &elements[1..] {
        if other.shape() != input.shape() {
            return Err(RationalError::Shape {
                tensor,
                expected: input.shape().to_vec(),
                found: other.shape().to_vec(),
            });
        }
        check_dtype(tensor, other.dtype(), input.dtype())?;
    }
    for (tensor, other) in coefficients {
        check_dtype(tensor, other.dtype(), DType::F32)?;
    }
    let device = B::float_device(input);
    for (tensor, other) in elements.iter().copied().chain(coefficients) {
        let found = B::float_device(other);
        if found != device {
            return Err(RationalError::Device {
                tensor,
                expected: format!("{device:?}"),
                found: format!("{found:?}"),
            });
        }
    }
    Ok(geometry)
}

fn check_dtype(tensor: &'static str, found: DType, expected: DType) -> Result<(), RationalError> {
    if found == expected {
        Ok(())
    } else {
        Err(RationalError::Dtype {
            tensor,
            expected,
            found,
        })
    }
}
