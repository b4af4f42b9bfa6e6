//! The plain reference in tensor operations: what every fused path is held against.
//!
//! Shape legend: N rows, G groups, W channels of a group, S coefficient rows (G, or 1 when shared).

use crate::{Denominator, GatedGradients, RationalGradients, RationalSpec};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, FloatDType, Tensor, TensorMetadata, TensorPrimitive};

/// The parts of `F = P / Q` and its derivatives at every element.
struct Parts<B: Backend> {
    x: Tensor<B, 3>,
    value: Tensor<B, 3>,
    reciprocal: Tensor<B, 3>,
    /// Form A: the sign of x with sgn(0) = +1. Form B: the sign of the sum, equally.
    sign: Tensor<B, 3>,
}

/// See [`crate::RationalBackend::group_rational`].
pub fn group_rational<B: Backend>(
    x: FloatTensor<B>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
    spec: RationalSpec,
) -> FloatTensor<B> {
    let shape = x.shape();
    let dtype = x.dtype();
    let x = grouped::<B>(x, spec.groups); // [N, G, W]
    let value = parts(x, &table(numerator), &table(denominator), spec.denominator).value;
    ungrouped(value, shape, dtype)
}

/// See [`crate::RationalBackend::group_rational_backward`].
pub fn group_rational_backward<B: Backend>(
    x: FloatTensor<B>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
    grad_output: FloatTensor<B>,
    spec: RationalSpec,
) -> RationalGradients<B> {
    let shape = x.shape();
    let dtype = x.dtype();
    let (numerator, denominator) = (table::<B>(numerator), table::<B>(denominator));
    let parts = parts(grouped(x, spec.groups), &numerator, &denominator, spec.denominator);
    let grad = grouped(grad_output, spec.groups); // [N, G, W]
    let (input, numerator, denominator) = backward(&parts, numerator, denominator, grad, spec.denominator);
    RationalGradients {
        input: ungrouped(input, shape, dtype),
        numerator: primitive(numerator),
        denominator: primitive(denominator),
    }
}

/// See [`crate::RationalBackend::gated_rational`].
pub fn gated_rational<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
    spec: RationalSpec,
) -> FloatTensor<B> {
    let shape = gate.shape();
    let dtype = gate.dtype();
    let gate = grouped::<B>(gate, spec.groups); // [N, G, W]
    let value = parts(gate, &table(numerator), &table(denominator), spec.denominator).value;
    ungrouped(value * grouped(up, spec.groups), shape, dtype)
}

/// See [`crate::RationalBackend::gated_rational_backward`].
pub fn gated_rational_backward<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
    grad_output: FloatTensor<B>,
    spec: RationalSpec,
) -> GatedGradients<B> {
    let shape = gate.shape();
    let dtype = gate.dtype();
    let (numerator, denominator) = (table::<B>(numerator), table::<B>(denominator));
    let parts = parts(grouped(gate, spec.groups), &numerator, &denominator, spec.denominator);
    let grad = grouped::<B>(grad_output, spec.groups); // [N, G, W]
    let up_grad = grad.clone() * parts.value.clone();
    let inner = grad * grouped(up, spec.groups);
    let (gate, numerator, denominator) = backward(&parts, numerator, denominator, inner, spec.denominator);
    GatedGradients {
        gate: ungrouped(gate, shape.clone(), dtype),
        up: ungrouped(up_grad, shape, dtype),
        numerator: primitive(numerator),
        denominator: primitive(denominator),
    }
}

fn parts<B: Backend>(
    x: Tensor<B, 3>,
    numerator: &Tensor<B, 2>,
    denominator: &Tensor<B, 2>,
    form: Denominator,
) -> Parts<B> {
    let p = horner(&x, numerator);
    let (q, sign) = match form {
        Denominator::SumOfAbs => {
            let magnitude = x.clone().abs();
            let terms = horner(&magnitude, &denominator.clone().abs()) * magnitude;
            (terms + 1.0, sign(x.clone()))
        }
        Denominator::AbsOfSum => {
            let sum = horner(&x, denominator) * x.clone();
            (sum.clone().abs() + 1.0, sign(sum))
        }
    };
    let reciprocal = q.recip();
    Parts {
        x,
        value: p * reciprocal.clone(),
        reciprocal,
        sign,
    }
}

/// `t = dy / Q`; `dx = t (P' - F Q')`; `da_k = sum t x^k`; `db_k = -sign sum t F |x|^k` (A), `-sum t F sgn(q) x^k` (B).
fn backward<B: Backend>(
    parts: &Parts<B>,
    numerator: Tensor<B, 2>,
    denominator: Tensor<B, 2>,
    grad: Tensor<B, 3>,
    form: Denominator,
) -> (Tensor<B, 3>, Tensor<B, 2>, Tensor<B, 2>) {
    let Parts {
        x,
        value,
        reciprocal,
        sign: element_sign,
    } = parts;
    let t = grad * reciprocal.clone(); // [N, G, W]
    let slope_p = horner(x, &derivative(numerator.clone(), 0));
    let (base, slope_q) = match form {
        Denominator::SumOfAbs => {
            let magnitude = x.clone().abs();
            let slope = horner(&magnitude, &derivative(denominator.clone().abs(), 1));
            (magnitude, slope * element_sign.clone())
        }
        Denominator::AbsOfSum => {
            let slope = horner(x, &derivative(denominator.clone(), 1));
            (x.clone(), slope * element_sign.clone())
        }
    };
    let input = t.clone() * (slope_p - value.clone() * slope_q);
    let [rows, terms] = numerator.dims();
    let numerator_grad = moments(t.clone(), x, terms, rows);
    let weight = match form {
        Denominator::SumOfAbs => t * value.clone() * base.clone(),
        Denominator::AbsOfSum => t * value.clone() * base.clone() * element_sign.clone(),
    };
    let [rows, terms] = denominator.dims();
    let denominator_grad = moments(weight, &base, terms, rows).neg();
    let denominator_grad = match form {
        Denominator::SumOfAbs => denominator_grad * sign(denominator),
        Denominator::AbsOfSum => denominator_grad,
    };
    (input, numerator_grad, denominator_grad)
}

/// `sum over rows and channels of weight * base^k` for k in 0..terms, as [S, terms].
fn moments<B: Backend>(weight: Tensor<B, 3>, base: &Tensor<B, 3>, terms: usize, rows: usize) -> Tensor<B, 2> {
    let mut power = weight;
    let mut sums = Vec::with_capacity(terms);
    for k in 0..terms {
        let sum = power.clone().sum_dim(2).sum_dim(0); // [1, G, 1]
        let groups = sum.dims()[1];
        sums.push(sum.reshape([groups, 1])); // [G, 1]
        if k + 1 < terms {
            power = power * base.clone();
        }
    }
    let sums = Tensor::cat(sums, 1); // [G, terms]
    if rows == 1 { sums.sum_dim(0) } else { sums }
}

/// `sum_k c_k x^k` with one coefficient row per group, by Horner's rule; c is [S, terms].
fn horner<B: Backend>(x: &Tensor<B, 3>, coefficients: &Tensor<B, 2>) -> Tensor<B, 3> {
    let [rows, terms] = coefficients.dims();
    let coefficient = |k: usize| coefficients.clone().slice([0..rows, k..k + 1]).reshape([1, rows, 1]);
    if terms == 0 {
        return x.zeros_like();
    }
    let mut sum = x.zeros_like() + coefficient(terms - 1);
    for k in (0..terms - 1).rev() {
        sum = sum * x.clone() + coefficient(k);
    }
    sum
}

/// Coefficients of the derivative: entry k of c is the factor of `x^(k + first)`; c is [S, terms].
fn derivative<B: Backend>(coefficients: Tensor<B, 2>, first: usize) -> Tensor<B, 2> {
    let [rows, terms] = coefficients.dims();
    let skipped = 1 - first;
    let factors: Vec<f32> = (skipped..terms).map(|k| (k + first) as f32).collect();
    let factors = Tensor::<B, 1>::from_floats(factors.as_slice(), &coefficients.device()).unsqueeze::<2>();
    coefficients.slice([0..rows, skipped..terms]) * factors
}

/// The sign with sgn(0) = +1, so that a zero coefficient can start to move.
fn sign<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    let negative = x.lower_elem(0.0).float();
    negative * -2.0 + 1.0
}

fn grouped<B: Backend>(x: FloatTensor<B>, groups: usize) -> Tensor<B, 3> {
    let shape = x.shape();
    let channels = shape.iter().last().copied().unwrap_or(1);
    let rows = shape.num_elements() / channels.max(1);
    let x = B::float_cast(x, FloatDType::F32);
    let x = B::float_reshape(x, [rows, groups, channels / groups].into());
    Tensor::from_primitive(TensorPrimitive::Float(x)) // [N, G, W]
}

fn ungrouped<B: Backend>(x: Tensor<B, 3>, shape: burn::tensor::Shape, dtype: DType) -> FloatTensor<B> {
    let x = B::float_reshape(primitive(x), shape); // [.., D]
    B::float_cast(x, dtype.into())
}

fn table<B: Backend>(coefficients: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(B::float_cast(coefficients, FloatDType::F32)))
}

fn primitive<B: Backend, const D: usize>(x: Tensor<B, D>) -> FloatTensor<B> {
    x.into_primitive().tensor()
}
