//! The group rational function in plain tensor operations, and in f64 one element at a time ([`scalar`]).
//!
//! It works on any backend without a kernel. Every fused implementation is tested against it, so it is written to be
//! easy to read: one statement per term of the formulas in `docs/kat.md`. The gradients are explicit. Differentiating
//! the forward pass through Burn's `abs` would give no gradient to a denominator coefficient that is exactly zero.
//!
//! Shapes: N rows (all leading dimensions), G groups, W channels per group, `D = G W`.

pub mod scalar;

use crate::{Denominator, GatedGradients, Geometry, RationalGradients, RationalSpec, checked};
use burn::tensor::{DType, Shape, Tensor, TensorMetadata, backend::Backend, ops::FloatTensor};
use burn_custom_op::{unwrap, wrap};

/// [`crate::group_rational`] for any backend. Values only: take gradients from [`group_rational_backward`].
///
/// # Shapes
/// - x: `[.., D]`; numerator: `[G or 1, n + 1]`; denominator: `[G or 1, m]`
/// - returns `[.., D]`, in the dtype of `x`
///
/// # Panics
/// As [`RationalBackend`](crate::RationalBackend) says.
pub fn group_rational<B: Backend>(
    x: FloatTensor<B>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
    spec: RationalSpec,
) -> FloatTensor<B> {
    let geometry = checked::group_rational::<B>(&x, &numerator, &denominator, spec);
    let (shape, dtype) = (x.shape(), x.dtype());
    let call = Call::<B>::new(geometry, dtype, numerator, denominator, spec);
    if call.is_empty() {
        return x;
    }
    let x = call.split(x); // [N, G, W]
    let f = call.numerator(&x).0 * call.denominator(&x).0.recip();
    join(f, shape, dtype)
}

/// Gradients of [`group_rational`] for `grad_output` of the shape of `x`.
///
/// # Panics
/// As [`RationalBackend`](crate::RationalBackend) says.
pub fn group_rational_backward<B: Backend>(
    x: FloatTensor<B>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
    grad_output: FloatTensor<B>,
    spec: RationalSpec,
) -> RationalGradients<B> {
    let geometry = checked::group_rational_backward::<B>(&x, &numerator, &denominator, &grad_output, spec);
    let (shape, dtype) = (x.shape(), x.dtype());
    let call = Call::<B>::new(geometry, dtype, numerator, denominator, spec);
    if call.is_empty() {
        let (numerator, denominator) = call.zero_gradients();
        return RationalGradients {
            input: x,
            numerator,
            denominator,
        };
    }
    let grads = call.backward(call.split(x), call.split(grad_output));
    RationalGradients {
        input: join(grads.input, shape, dtype),
        numerator: grads.numerator,
        denominator: grads.denominator,
    }
}

/// [`crate::gated_rational`] for any backend: `F(gate) * up`. Values only.
///
/// # Panics
/// As [`RationalBackend`](crate::RationalBackend) says.
pub fn gated_rational<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
    spec: RationalSpec,
) -> FloatTensor<B> {
    let geometry = checked::gated_rational::<B>(&gate, &up, &numerator, &denominator, spec);
    let (shape, dtype) = (gate.shape(), gate.dtype());
    let call = Call::<B>::new(geometry, dtype, numerator, denominator, spec);
    if call.is_empty() {
        return gate;
    }
    let gate = call.split(gate); // [N, G, W]
    let f = call.numerator(&gate).0 * call.denominator(&gate).0.recip();
    join(f * call.split(up), shape, dtype)
}

/// Gradients of [`gated_rational`] for `grad_output` of the shape of `gate`.
///
/// # Panics
/// As [`RationalBackend`](crate::RationalBackend) says.
pub fn gated_rational_backward<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
    grad_output: FloatTensor<B>,
    spec: RationalSpec,
) -> GatedGradients<B> {
    let geometry = checked::gated_rational_backward::<B>(&gate, &up, &numerator, &denominator, &grad_output, spec);
    let (shape, dtype) = (gate.shape(), gate.dtype());
    let call = Call::<B>::new(geometry, dtype, numerator, denominator, spec);
    if call.is_empty() {
        let (numerator, denominator) = call.zero_gradients();
        return GatedGradients {
            gate,
            up,
            numerator,
            denominator,
        };
    }
    let (up, grad_output) = (call.split(up), call.split(grad_output)); // [N, G, W]
    let grads = call.backward(call.split(gate), grad_output.clone() * up);
    GatedGradients {
        gate: join(grads.input, shape.clone(), dtype),
        up: join(grad_output * grads.value, shape, dtype),
        numerator: grads.numerator,
        denominator: grads.denominator,
    }
}

/// One call's coefficients, spread to one column per power: `[1, G or 1, 1]` each.
struct Call<B: Backend> {
    geometry: Geometry,
    form: Denominator,
    dtype: DType,
    a: Vec<Tensor<B, 3>>,
    b: Vec<Tensor<B, 3>>,
}

/// What [`Call::backward`] finds; `value` is `F` itself, which the gated form needs.
struct Gradients<B: Backend> {
    value: Tensor<B, 3>,
    input: Tensor<B, 3>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
}

impl<B: Backend> Call<B> {
    fn new(
        geometry: Geometry,
        dtype: DType,
        numerator: FloatTensor<B>,
        denominator: FloatTensor<B>,
        spec: RationalSpec,
    ) -> Self {
        // Half-precision inputs are computed in f32: x^5 overflows f16 at 9.2, and bf16 keeps 8 bits of mantissa.
        let dtype = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        Self {
            a: columns::<B>(numerator, dtype),
            b: columns::<B>(denominator, dtype),
            geometry,
            form: spec.denominator,
            dtype,
        }
    }

    fn is_empty(&self) -> bool {
        self.geometry.rows == 0
    }

    fn split(&self, x: FloatTensor<B>) -> Tensor<B, 3> {
        let Geometry {
            rows, groups, width, ..
        } = self.geometry;
        wrap::<B, 3>(B::float_reshape(x, Shape::new([rows, groups, width]))).cast(self.dtype) // [N, G, W]
    }

    /// `P` and its derivative at every element.
    fn numerator(&self, x: &Tensor<B, 3>) -> (Tensor<B, 3>, Tensor<B, 3>) {
        horner(x, &self.a)
    }

    /// `Q`, `Q'` and the sign the coefficient gradients carry: 1 in form A, `sgn(s)` in form B.
    fn denominator(&self, x: &Tensor<B, 3>) -> (Tensor<B, 3>, Tensor<B, 3>, Option<Tensor<B, 3>>) {
        let zero = self.b[0].zeros_like();
        match self.form {
            Denominator::SumOfAbs => {
                let b = std::iter::once(zero.ones_like()).chain(self.b.iter().map(|b| b.clone().abs()));
                let (q, slope) = horner(&x.clone().abs(), &b.collect::<Vec<_>>());
                (q, slope * sign(x.clone()), None)
            }
            Denominator::AbsOfSum => {
                let b = std::iter::once(zero).chain(self.b.iter().cloned());
                let (s, slope) = horner(x, &b.collect::<Vec<_>>());
                let direction = s.clone().sign();
                (s.abs() + 1.0, slope * direction.clone(), Some(direction))
            }
        }
    }

    fn backward(&self, x: Tensor<B, 3>, grad_output: Tensor<B, 3>) -> Gradients<B> {
        let (p, p_slope) = self.numerator(&x);
        let (q, q_slope, direction) = self.denominator(&x);
        let reciprocal = q.recip();
        let value = p * reciprocal.clone();
        let t = grad_output * reciprocal;
        let input = t.clone() * (p_slope - value.clone() * q_slope);
        let numerator = self.reduce(t.clone(), &x, self.a.len(), self.geometry.shared_numerator);

        let base = match self.form {
            Denominator::SumOfAbs => x.abs(),
            Denominator::AbsOfSum => x,
        };
        let tf = t * value.clone() * direction.unwrap_or_else(|| value.ones_like());
        let mut denominator = -self.reduce(tf * base.clone(), &base, self.b.len(), false); // [G, m]
        if self.form == Denominator::SumOfAbs {
            let columns = self.b.iter().map(|b| sign(b.clone()).reshape([-1, 1])).collect(); // [G or 1, 1]
            denominator = denominator * Tensor::cat(columns, 1); // [G, m]
        }
        if self.geometry.shared_denominator {
            denominator = denominator.sum_dim(0); // [1, m]
        }
        Gradients {
            value,
            input,
            numerator: unwrap(numerator.cast(DType::F32)),
            denominator: unwrap(denominator.cast(DType::F32)),
        }
    }

    /// Sums `weight * base^k` for `k = 0 .. count` over rows and the channels of each group.
    fn reduce(&self, weight: Tensor<B, 3>, base: &Tensor<B, 3>, count: usize, shared: bool) -> Tensor<B, 2> {
        let mut term = weight;
        let mut columns = Vec::with_capacity(count);
        for k in 0..count {
            if k > 0 {
                term = term * base.clone();
            }
            columns.push(term.clone().sum_dim(2).sum_dim(0).reshape([-1, 1])); // [G, 1]
        }
        let sums = Tensor::cat(columns, 1); // [G, count]
        if shared { sums.sum_dim(0) } else { sums } // [G or 1, count]
    }

    fn zero_gradients(&self) -> (FloatTensor<B>, FloatTensor<B>) {
        (zeros(&self.a), zeros(&self.b))
    }
}

/// A zero per group and coefficient.
fn zeros<B: Backend>(columns: &[Tensor<B, 3>]) -> FloatTensor<B> {
    let columns = columns.iter().map(|c| c.zeros_like().reshape([-1, 1])).collect(); // [G or 1, 1]
    unwrap(Tensor::<B, 2>::cat(columns, 1).cast(DType::F32)) // [G or 1, columns]
}

/// `sum_k c_k x^k` and its derivative in one Horner pass.
fn horner<B: Backend>(x: &Tensor<B, 3>, coefficients: &[Tensor<B, 3>]) -> (Tensor<B, 3>, Tensor<B, 3>) {
    let mut value = x.zeros_like();
    let mut slope = x.zeros_like();
    for c in coefficients.iter().rev() {
        slope = slope * x.clone() + value.clone();
        value = value * x.clone() + c.clone();
    }
    (value, slope)
}

/// `+1` at zero and above, `-1` below: an identity start (`b = 0`) must still train its denominator.
fn sign<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    let negative = x.clone().lower_elem(0.0);
    x.ones_like().mask_fill(negative, -1.0)
}

fn columns<B: Backend>(coefficients: FloatTensor<B>, dtype: DType) -> Vec<Tensor<B, 3>> {
    let coefficients = wrap::<B, 2>(coefficients).cast(dtype);
    let count = coefficients.dims()[1];
    (0..count)
        .map(|k| coefficients.clone().narrow(1, k, 1).reshape([1, -1, 1]))
        .collect() // [1, G or 1, 1]
}

fn join<B: Backend>(x: Tensor<B, 3>, shape: Shape, dtype: DType) -> FloatTensor<B> {
    B::float_reshape(unwrap(x.cast(dtype)), shape) // [.., D]
}
