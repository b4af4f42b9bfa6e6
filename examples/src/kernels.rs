//! The group rational operations on one tensor: checked against f64 arithmetic, timed against a copy and Burn's SiLU.

mod clock;
mod exact;

pub use clock::Clock;
pub use exact::OutputError;

use anyhow::{Context, Error, Result};
use burn::tensor::{DType, Distribution, Tensor, TensorPrimitive, activation, backend::Backend};
use kan_rational::{Degrees, RationalBackend, RationalSpec};
use serde::Serialize;
use std::{fmt, str::FromStr};

/// Rows and channels of a tensor, written `ROWSxCHANNELS`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shape {
    /// Product of all dimensions but the last.
    pub rows: usize,
    /// The last dimension.
    pub channels: usize,
}

impl FromStr for Shape {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('x').and_then(|(rows, channels)| {
            Some(Self {
                rows: rows.parse().ok()?,
                channels: channels.parse().ok()?,
            })
        });
        numbers.with_context(|| format!("expected ROWSxCHANNELS as in 16384x576, found `{text}`"))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rows, self.channels)
    }
}

/// Type of a tensor's elements; coefficients are always f32.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Element {
    /// 32 bits.
    F32,
    /// 16 bits, 11 of them significant.
    F16,
    /// 16 bits, 8 of them significant.
    Bf16,
}

impl Element {
    /// Burn's name of the type.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// All outputs of one shape and element type against f64 arithmetic.
#[derive(Serialize)]
pub struct Check {
    /// Shape of the tensors.
    pub shape: Shape,
    /// Type of their elements.
    pub dtype: String,
    /// Every output of the four operations.
    pub errors: Vec<OutputError>,
    /// Whether every norm-relative error is within its tolerance.
    pub passed: bool,
}

/// Norm-relative errors allowed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of values, and of gradients of tensors.
    pub tensors: f64,
    /// Of gradients of coefficients.
    pub coefficients: f64,
}

impl Limits {
    fn hold(self, error: &OutputError) -> bool {
        let is_of_coefficients = error.output.ends_with(['a', 'b']);
        error.of_norm
            <= if is_of_coefficients {
                self.coefficients
            } else {
                self.tensors
            }
    }
}

/// One operation's figures on one tensor.
#[derive(Serialize)]
pub struct Figures {
    /// Name of the operation.
    pub operation: &'static str,
    /// Shape of the tensors.
    pub shape: Shape,
    /// Type of their elements.
    pub dtype: String,
    /// Median time from an idle device to an idle device, less that of launching one kernel on a few numbers.
    pub microseconds: f64,
    /// Inputs once and outputs once.
    pub bytes: usize,
    /// `bytes` over the time.
    pub gigabytes_per_second: f64,
    /// Over the same for the copy `y = x + 1` of this tensor.
    pub fraction_of_copy: f64,
    /// Time over that of the same operation with SiLU, as Burn fuses it; nothing for the copy.
    pub over_silu: Option<f64>,
}

/// Tensors of a call: gate (or x), up and the gradient of the output `[rows, channels]`, and the coefficients.
pub struct Call<B: Backend> {
    gate: Tensor<B, 2>,
    up: Tensor<B, 2>,
    gradient: Tensor<B, 2>,
    numerator: Tensor<B, 2>,
    denominator: Tensor<B, 2>,
    spec: RationalSpec,
    shape: Shape,
    element: Element,
}

/// An operation on a call's tensors.
type Run<'a, B> = &'a dyn Fn(&Call<B>) -> Vec<Tensor<B, 2>>;

/// Name, tensors moved, the operation, and the same with SiLU.
type Operation<'a, B> = (&'static str, usize, Run<'a, B>, Option<Run<'a, B>>);

impl<B: RationalBackend> Call<B> {
    /// Random tensors: normal with deviation 2, coefficients uniform in `[-1, 1]`, form A.
    pub fn new(shape: Shape, element: Element, groups: usize, degrees: Degrees, device: &B::Device) -> Self {
        let (size, normal) = ([shape.rows, shape.channels], Distribution::Normal(0.0, 2.0));
        let [gate, up, gradient] = [(); 3].map(|()| Tensor::<B, 2>::random(size, normal, device).cast(element.dtype()));
        let [numerator, denominator] = [degrees.numerator + 1, degrees.denominator].map(|columns| {
            let values = Tensor::<B, 2>::random([groups, columns], Distribution::Uniform(-1.0, 1.0), device);
            values.cast(DType::F32)
        });
        Self {
            gate,
            up,
            gradient,
            numerator,
            denominator,
            spec: RationalSpec::new(groups),
            shape,
            element,
        }
    }

    fn coefficients(&self) -> (B::FloatTensorPrimitive, B::FloatTensorPrimitive) {
        (raw(&self.numerator), raw(&self.denominator))
    }

    fn forward(&self) -> Tensor<B, 2> {
        let (a, b) = self.coefficients();
        cooked(B::group_rational(raw(&self.gate), a, b, self.spec))
    }

    fn backward(&self) -> [Tensor<B, 2>; 3] {
        let (a, b) = self.coefficients();
        let found = B::group_rational_backward(raw(&self.gate), a, b, raw(&self.gradient), self.spec);
        [found.input, found.numerator, found.denominator].map(cooked)
    }

    fn gated(&self) -> Tensor<B, 2> {
        let (a, b) = self.coefficients();
        cooked(B::gated_rational(raw(&self.gate), raw(&self.up), a, b, self.spec))
    }

    fn gated_backward(&self) -> [Tensor<B, 2>; 4] {
        let (a, b) = self.coefficients();
        let (gate, up, gradient) = (raw(&self.gate), raw(&self.up), raw(&self.gradient));
        let found = B::gated_rational_backward(gate, up, a, b, gradient, self.spec);
        [found.gate, found.up, found.numerator, found.denominator].map(cooked)
    }

    /// `silu(x)` and its derivative.
    fn silu_and_slope(&self) -> [Tensor<B, 2>; 2] {
        let s = activation::sigmoid(self.gate.clone());
        let value = self.gate.clone() * s.clone();
        let slope = s.clone() + value.clone() * (s.neg() + 1.0);
        [value, slope]
    }

    /// The gradients of `silu(gate) * up`.
    fn silu_gated_backward(&self) -> [Tensor<B, 2>; 2] {
        let [value, slope] = self.silu_and_slope();
        let to_gate = self.gradient.clone() * self.up.clone() * slope;
        [to_gate, self.gradient.clone() * value]
    }

    /// Compares every output with f64 arithmetic on the same numbers.
    pub fn check(&self, limits: Limits) -> Check {
        let [to_x, to_a, to_b] = self.backward();
        let [to_gate, to_up, gated_to_a, gated_to_b] = self.gated_backward();
        let found = [
            ("value", self.forward()),
            ("x", to_x),
            ("a", to_a),
            ("b", to_b),
            ("gated", self.gated()),
            ("gate", to_gate),
            ("up", to_up),
            ("gated a", gated_to_a),
            ("gated b", gated_to_b),
        ];
        let pairs = found.into_iter().zip(self.exact());
        let errors = pairs.map(|((output, found), exact)| OutputError::of(output, found, &exact));
        let errors: Vec<OutputError> = errors.collect();
        Check {
            shape: self.shape,
            dtype: format!("{:?}", self.element.dtype()),
            passed: errors.iter().all(|error| limits.hold(error)),
            errors,
        }
    }

    /// Times a copy, the four operations and their SiLU counterparts.
    pub fn time(&self, clock: &Clock<B>) -> Vec<Figures> {
        let tensor_bytes = self.shape.rows * self.shape.channels * self.element.dtype().size();
        let operations: [Operation<B>; 5] = [
            ("copy", 2, &|c| vec![c.gate.clone() + 1.0], None),
            (
                "forward",
                2,
                &|c| vec![c.forward()],
                Some(&|c| vec![activation::silu(c.gate.clone())]),
            ),
            (
                "backward",
                3,
                &|c| c.backward().into(),
                Some(&|c| {
                    let [_, slope] = c.silu_and_slope();
                    vec![c.gradient.clone() * slope]
                }),
            ),
            (
                "gated",
                3,
                &|c| vec![c.gated()],
                Some(&|c| vec![activation::silu(c.gate.clone()) * c.up.clone()]),
            ),
            (
                "gated backward",
                5,
                &|c| c.gated_backward().into(),
                Some(&|c| c.silu_gated_backward().into()),
            ),
        ];
        let mut copy = f64::NAN;
        let mut all = Vec::new();
        for (operation, tensors, run, silu) in operations {
            let seconds = clock.seconds(|| run(self));
            let bytes = tensors * tensor_bytes;
            let speed = bytes as f64 / seconds;
            if silu.is_none() {
                copy = speed;
            }
            all.push(Figures {
                operation,
                shape: self.shape,
                dtype: format!("{:?}", self.element.dtype()),
                microseconds: seconds * 1e6,
                bytes,
                gigabytes_per_second: speed / 1e9,
                fraction_of_copy: speed / copy,
                over_silu: silu.map(|silu| seconds / clock.seconds(|| silu(self))),
            });
        }
        all
    }
}

fn raw<B: Backend>(tensor: &Tensor<B, 2>) -> B::FloatTensorPrimitive {
    tensor.clone().into_primitive().tensor()
}

fn cooked<B: Backend>(primitive: B::FloatTensorPrimitive) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}
