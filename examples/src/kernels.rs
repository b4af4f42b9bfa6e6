//! The group rational operations on one tensor: checked against f64 arithmetic, timed beside a copy and Burn's SiLU.

use anyhow::{Context, Error, Result};
use burn::tensor::{DType, Distribution, Tensor, TensorPrimitive, activation, backend::Backend};
use fixtures::tolerance;
use kan_rational::{Degrees, RationalBackend, RationalSpec, reference::scalar};
use serde::Serialize;
use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

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
        let wrong = || format!("expected ROWSxCHANNELS as in 16384x576, found `{text}`");
        let (rows, channels) = text.split_once('x').with_context(wrong)?;
        Ok(Self {
            rows: rows.parse().with_context(wrong)?,
            channels: channels.parse().with_context(wrong)?,
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rows, self.channels)
    }
}

/// Type of a tensor's elements; coefficients are f32 always.
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

    /// Norm-relative error allowed for values and gradients of tensors.
    fn tolerance(self) -> f64 {
        match self {
            Self::F32 => tolerance::RATIONAL_KERNEL,
            Self::F16 => tolerance::ROUNDED_TO_F16,
            Self::Bf16 => tolerance::ROUNDED_TO_BF16,
        }
    }
}

/// How far one output is from f64 arithmetic.
#[derive(Serialize)]
pub struct OutputError {
    /// Name of the output.
    pub output: &'static str,
    /// `||found - exact|| / ||exact||`
    pub of_norm: f64,
    /// `max|found - exact| / max|exact|`
    pub largest: f64,
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
        let draw = |shape: [usize; 2], distribution| Tensor::<B, 2>::random(shape, distribution, device);
        let normal = || {
            let values = draw([shape.rows, shape.channels], Distribution::Normal(0.0, 2.0));
            values.cast(element.dtype())
        };
        let uniform = |columns| draw([groups, columns], Distribution::Uniform(-1.0, 1.0)).cast(DType::F32);
        Self {
            gate: normal(),
            up: normal(),
            gradient: normal(),
            numerator: uniform(degrees.numerator + 1),
            denominator: uniform(degrees.denominator),
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
    pub fn check(&self) -> Check {
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
        let compare = |((output, found), exact): ((&'static str, Tensor<B, 2>), &Vec<f64>)| {
            let [of_norm, largest] = errors(&numbers(found), exact);
            OutputError {
                output,
                of_norm,
                largest,
            }
        };
        let errors: Vec<OutputError> = found.into_iter().zip(&self.exact()).map(compare).collect();
        let limit = |error: &OutputError| {
            if error.output.ends_with(['a', 'b']) {
                tolerance::RATIONAL_COEFFICIENT_GRADIENT
            } else {
                self.element.tolerance()
            }
        };
        Check {
            shape: self.shape,
            dtype: format!("{:?}", self.element.dtype()),
            passed: errors.iter().all(|error| error.of_norm <= limit(error)),
            errors,
        }
    }

    /// The nine outputs of [`check`](Self::check) in f64.
    fn exact(&self) -> [Vec<f64>; 9] {
        let [gate, up, gradient] = [&self.gate, &self.up, &self.gradient].map(|t| numbers(t.clone()));
        let [a, b] = [&self.numerator, &self.denominator].map(|t| numbers(t.clone()));
        let (n, m) = (a.len() / self.spec.groups, b.len() / self.spec.groups);
        let mut out: [Vec<f64>; 9] = Default::default();
        for (sums, length) in [(2, a.len()), (3, b.len()), (7, a.len()), (8, b.len())] {
            out[sums] = vec![0.0; length];
        }
        let add = |sums: &mut [f64], scale: f64, terms: &[f64]| {
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += scale * term);
        };
        for (i, ((&x, &u), &g)) in gate.iter().zip(&up).zip(&gradient).enumerate() {
            let group = i % self.shape.channels * self.spec.groups / self.shape.channels;
            let (a, b) = (&a[group * n..][..n], &b[group * m..][..m]);
            let value = scalar::value(x, a, b, self.spec.denominator);
            let one = scalar::gradients(x, a, b, 1.0, self.spec.denominator);
            out[0].push(value);
            out[1].push(g * one.input);
            out[4].push(value * u);
            out[5].push(g * u * one.input);
            out[6].push(g * value);
            add(&mut out[2][group * n..], g, &one.numerator);
            add(&mut out[3][group * m..], g, &one.denominator);
            add(&mut out[7][group * n..], g * u, &one.numerator);
            add(&mut out[8][group * m..], g * u, &one.denominator);
        }
        out
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

/// Calls of an operation before the first that counts go on for as long as this: clocks rise, kernels compile.
const WARM_UP: Duration = Duration::from_millis(300);

/// Numbers that push everything else out of the caches of a large device: 64 MiB of f32.
const EVICTING: usize = 1 << 24;

/// Times calls from an idle device with cold caches to an idle device.
pub struct Clock<'a, B: Backend> {
    device: &'a B::Device,
    repeats: usize,
    evicting: Tensor<B, 1>,
    launch: f64,
}

impl<'a, B: Backend> Clock<'a, B> {
    /// A clock that takes the median of `repeats` calls and leaves out what launching one kernel costs.
    pub fn new(repeats: usize, device: &'a B::Device) -> Self {
        let mut clock = Self {
            device,
            repeats: repeats.max(1),
            evicting: Tensor::zeros([EVICTING], device),
            launch: 0.0,
        };
        let few = Tensor::<B, 2>::zeros([1, 8], device);
        clock.launch = clock.seconds(|| vec![few.clone() + 1.0]);
        clock
    }

    /// What launching one kernel and waiting for it costs, in seconds. An operation of several kernels launches the
    /// later ones while the first runs, so no more is taken off it.
    pub fn launch(&self) -> f64 {
        self.launch
    }

    /// Median seconds of a call, less [`launch`](Self::launch).
    ///
    /// Every call is waited for, and its results are kept until then: left alone, fusion would merge several calls of
    /// the plain operations into one kernel, and leave out those whose results nobody holds.
    fn seconds(&self, run: impl Fn() -> Vec<Tensor<B, 2>>) -> f64 {
        let wait = || B::sync(self.device).expect("the device finishes its work");
        let timed = || {
            let evicted = self.evicting.clone() + 1.0;
            wait();
            drop(evicted);
            let clock = Instant::now();
            let kept = run();
            wait();
            let seconds = clock.elapsed().as_secs_f64();
            drop(kept);
            seconds
        };
        let begin = Instant::now();
        timed();
        while begin.elapsed() < WARM_UP {
            timed();
        }
        let mut times: Vec<f64> = (0..self.repeats).map(|_| timed()).collect();
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2] - self.launch).max(1e-9)
    }
}

fn raw<B: Backend>(tensor: &Tensor<B, 2>) -> B::FloatTensorPrimitive {
    tensor.clone().into_primitive().tensor()
}

fn cooked<B: Backend>(primitive: B::FloatTensorPrimitive) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn numbers<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Error relative to the norm, and the largest error relative to the largest number; NaN where a number is.
fn errors(found: &[f64], exact: &[f64]) -> [f64; 2] {
    let differences = || found.iter().zip(exact).map(|(f, e)| (f - e).abs());
    let norm = |squares: f64| squares.sqrt().max(f64::MIN_POSITIVE);
    let largest = |values: &mut dyn Iterator<Item = f64>| {
        values.fold(
            0.0,
            |most: f64, value| if most.is_nan() || value <= most { most } else { value },
        )
    };
    let of_norm = differences().map(|d| d * d).sum::<f64>().sqrt() / norm(exact.iter().map(|e| e * e).sum());
    let most = largest(&mut exact.iter().map(|e| e.abs())).max(f64::MIN_POSITIVE);
    [of_norm, largest(&mut differences()) / most]
}
