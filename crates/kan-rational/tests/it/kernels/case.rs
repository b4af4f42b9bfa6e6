//! One call of every operation: its data, what a backend makes of it, and what f64 arithmetic makes of it.

use burn::tensor::{Tensor, TensorData, TensorPrimitive, backend::Backend, ops::FloatTensor};
use kan_rational::{Degrees, Denominator, RationalBackend, RationalSpec, reference::scalar};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) groups: usize,
    pub(crate) shared_numerator: bool,
    pub(crate) shared_denominator: bool,
    pub(crate) degrees: Degrees,
    pub(crate) form: Denominator,
}

impl Case {
    /// Form A of degrees (5, 4), a coefficient row for every group.
    pub(crate) fn new(rows: usize, width: usize, groups: usize) -> Self {
        let (degrees, form) = (Degrees::default(), Denominator::SumOfAbs);
        Self {
            rows,
            width,
            groups,
            shared_numerator: false,
            shared_denominator: false,
            degrees,
            form,
        }
    }

    pub(crate) fn degrees(self, numerator: usize, denominator: usize) -> Self {
        Self {
            degrees: Degrees::new(numerator, denominator),
            ..self
        }
    }

    pub(crate) fn form(self, form: Denominator) -> Self {
        Self { form, ..self }
    }

    pub(crate) fn shared(self, shared_numerator: bool, shared_denominator: bool) -> Self {
        Self {
            shared_numerator,
            shared_denominator,
            ..self
        }
    }

    pub(crate) fn spec(&self) -> RationalSpec {
        RationalSpec {
            groups: self.groups,
            denominator: self.form,
        }
    }

    fn numerator_shape(&self) -> [usize; 2] {
        [
            if self.shared_numerator { 1 } else { self.groups },
            self.degrees.numerator + 1,
        ]
    }

    fn denominator_shape(&self) -> [usize; 2] {
        [
            if self.shared_denominator { 1 } else { self.groups },
            self.degrees.denominator,
        ]
    }
}

/// Inputs of a case.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) x: Vec<f32>,
    pub(crate) up: Vec<f32>,
    pub(crate) gradient: Vec<f32>,
    pub(crate) numerator: Vec<f32>,
    pub(crate) denominator: Vec<f32>,
}

impl Data {
    /// Uniform in +-3, coefficients in +-1.
    pub(crate) fn random(case: &Case, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
        let mut draw = |length: usize, scale: f32| -> Vec<f32> {
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * scale
            };
            (0..length).map(|_| next()).collect()
        };
        let elements = case.rows * case.width;
        Self {
            x: draw(elements, 3.0),
            up: draw(elements, 3.0),
            gradient: draw(elements, 3.0),
            numerator: draw(case.numerator_shape().iter().product(), 1.0),
            denominator: draw(case.denominator_shape().iter().product(), 1.0),
        }
    }
}

/// Every output of the four operations.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outputs<T> {
    pub(crate) value: Vec<T>,
    pub(crate) to_x: Vec<T>,
    pub(crate) to_numerator: Vec<T>,
    pub(crate) to_denominator: Vec<T>,
    pub(crate) gated: Vec<T>,
    pub(crate) to_gate: Vec<T>,
    pub(crate) to_up: Vec<T>,
    pub(crate) gated_to_numerator: Vec<T>,
    pub(crate) gated_to_denominator: Vec<T>,
}

impl<T> Outputs<T> {
    /// Names and values; coefficient gradients are the ones whose name begins with `coefficients`.
    pub(crate) fn named(&self) -> [(&'static str, &[T]); 9] {
        [
            ("value", &self.value),
            ("x", &self.to_x),
            ("coefficients a", &self.to_numerator),
            ("coefficients b", &self.to_denominator),
            ("gated", &self.gated),
            ("gate", &self.to_gate),
            ("up", &self.to_up),
            ("coefficients a, gated", &self.gated_to_numerator),
            ("coefficients b, gated", &self.gated_to_denominator),
        ]
    }

    /// Whether the bits of every output are the same.
    pub(crate) fn same_bits(&self, other: &Self) -> bool
    where
        T: Copy + Into<f64>,
    {
        let bits = |values: &[T]| values.iter().map(|v| (*v).into().to_bits()).collect::<Vec<u64>>();
        self.named()
            .iter()
            .zip(other.named())
            .all(|((_, left), (_, right))| bits(left) == bits(right))
    }
}

pub(crate) fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

pub(crate) fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn numbers<B: Backend>(primitive: FloatTensor<B>) -> Vec<f32> {
    let data = tensor::<B, 2>(primitive).into_data();
    data.convert::<f32>().to_vec().expect("f32 data")
}

/// Tensors of a case on a device; tests reshape, slice or cast them before the call.
pub(crate) struct Tensors<B: Backend> {
    pub(crate) x: Tensor<B, 2>,
    pub(crate) up: Tensor<B, 2>,
    pub(crate) gradient: Tensor<B, 2>,
    pub(crate) numerator: Tensor<B, 2>,
    pub(crate) denominator: Tensor<B, 2>,
}

impl<B: RationalBackend> Tensors<B> {
    pub(crate) fn new(case: &Case, data: &Data) -> Self {
        let device = B::Device::default();
        let matrix =
            |values: &[f32], shape: [usize; 2]| Tensor::from_data(TensorData::new(values.to_vec(), shape), &device);
        let shape = [case.rows, case.width];
        Self {
            x: matrix(&data.x, shape),
            up: matrix(&data.up, shape),
            gradient: matrix(&data.gradient, shape),
            numerator: matrix(&data.numerator, case.numerator_shape()),
            denominator: matrix(&data.denominator, case.denominator_shape()),
        }
    }

    /// Runs all four operations.
    pub(crate) fn run(&self, spec: RationalSpec) -> Outputs<f32> {
        let (a, b) = (
            || primitive(self.numerator.clone()),
            || primitive(self.denominator.clone()),
        );
        let (x, up, gradient) = (
            || primitive(self.x.clone()),
            || primitive(self.up.clone()),
            || primitive(self.gradient.clone()),
        );
        let value = B::group_rational(x(), a(), b(), spec);
        let plain = B::group_rational_backward(x(), a(), b(), gradient(), spec);
        let gated = B::gated_rational(x(), up(), a(), b(), spec);
        let both = B::gated_rational_backward(x(), up(), a(), b(), gradient(), spec);
        Outputs {
            value: numbers::<B>(value),
            to_x: numbers::<B>(plain.input),
            to_numerator: numbers::<B>(plain.numerator),
            to_denominator: numbers::<B>(plain.denominator),
            gated: numbers::<B>(gated),
            to_gate: numbers::<B>(both.gate),
            to_up: numbers::<B>(both.up),
            gated_to_numerator: numbers::<B>(both.numerator),
            gated_to_denominator: numbers::<B>(both.denominator),
        }
    }
}

/// The outputs in f64, element by element.
pub(crate) fn expected(case: &Case, data: &Data) -> Outputs<f64> {
    let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let (numerator, denominator) = (wide(&data.numerator), wide(&data.denominator));
    let elements = data.x.len();
    let mut out = Outputs {
        value: vec![0.0; elements],
        to_x: vec![0.0; elements],
        to_numerator: vec![0.0; numerator.len()],
        to_denominator: vec![0.0; denominator.len()],
        gated: vec![0.0; elements],
        to_gate: vec![0.0; elements],
        to_up: vec![0.0; elements],
        gated_to_numerator: vec![0.0; numerator.len()],
        gated_to_denominator: vec![0.0; denominator.len()],
    };
    let (n, m) = (case.degrees.numerator + 1, case.degrees.denominator);
    for i in 0..elements {
        let group = i % case.width / (case.width / case.groups);
        let start_a = if case.shared_numerator { 0 } else { group * n };
        let start_b = if case.shared_denominator { 0 } else { group * m };
        let (a, b) = (&numerator[start_a..start_a + n], &denominator[start_b..start_b + m]);
        let (x, up, gradient) = (f64::from(data.x[i]), f64::from(data.up[i]), f64::from(data.gradient[i]));
        let value = scalar::value(x, a, b, case.form);
        let one = scalar::gradients(x, a, b, 1.0, case.form);
        out.value[i] = value;
        out.gated[i] = value * up;
        out.to_x[i] = gradient * one.input;
        out.to_gate[i] = gradient * up * one.input;
        out.to_up[i] = gradient * value;
        for (k, term) in one.numerator.iter().enumerate() {
            out.to_numerator[start_a + k] += gradient * term;
            out.gated_to_numerator[start_a + k] += gradient * up * term;
        }
        for (k, term) in one.denominator.iter().enumerate() {
            out.to_denominator[start_b + k] += gradient * term;
            out.gated_to_denominator[start_b + k] += gradient * up * term;
        }
    }
    out
}

/// `||found - expected|| / ||expected||`
pub(crate) fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = expected.iter().map(|v| v * v).sum::<f64>().sqrt();
    let difference = found
        .iter()
        .zip(expected)
        .map(|(f, e)| (f64::from(*f) - e).powi(2))
        .sum::<f64>()
        .sqrt();
    if difference == 0.0 { 0.0 } else { difference / norm }
}

/// Fails unless every output is within its tolerance of the f64 outputs.
pub(crate) fn assert_close(case: &Case, found: &Outputs<f32>, expected: &Outputs<f64>) {
    for ((name, found), (_, expected)) in found.named().into_iter().zip(expected.named()) {
        let error = relative_error(found, expected);
        let limit = if name.starts_with("coefficients") {
            fixtures::tolerance::RATIONAL_COEFFICIENT_GRADIENT
        } else {
            fixtures::tolerance::RATIONAL_KERNEL
        };
        assert!(error <= limit, "{name}: {error:.2e} > {limit:.0e} in {case:?}");
    }
}
