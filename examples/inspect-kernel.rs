//! `cargo run --release -p examples --features cuda --example inspect-kernel -- --device cuda --output kernels.json`
//! Short: `cargo run --release -p examples --example inspect-kernel -- --shapes 64x576 --dtypes f32 --repeats 3 --training tiny --training-batch 2x64`
//!
//! Checks the group rational kernels of a device against f64 arithmetic, then times them beside a copy of the same
//! tensor and Burn's own SiLU. Prints a line per operation, shape and element type; `--output` keeps the figures.
//! `--training tiny,135m` also times whole training steps, gated rational beside SwiGLU.

use anyhow::{Context, Result, bail};
use burn::tensor::{DType, Distribution, Tensor, TensorData, TensorPrimitive, activation, backend::Backend};
use clap::Parser;
use examples::{
    device::DeviceKind,
    on_device,
    step_cost::{ModelShape, StepCost, step_cost},
};
use kan_rational::{Degrees, Denominator, RationalBackend, RationalSpec, reference::scalar};
use serde::Serialize;
use smollm2_train::StepBackend;
use std::{path::PathBuf, str::FromStr, time::Instant};

/// Checks and times the group rational kernels of a device.
#[derive(Parser)]
struct Arguments {
    /// Where the kernels run: cpu, wgpu or cuda.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    /// Rows x channels of the tensors.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "16384x576,16384x1536,16384x2304,8192x8192"
    )]
    shapes: Vec<Shape>,
    /// Element types: f32, f16, bf16. One the device lacks is skipped.
    #[arg(long, value_delimiter = ',', default_value = "bf16,f32")]
    dtypes: Vec<Element>,
    /// Groups of channels.
    #[arg(long, default_value_t = 8)]
    groups: usize,
    /// Degrees of numerator and denominator.
    #[arg(long, value_delimiter = ',', num_args = 2, default_values_t = [5, 4])]
    degrees: Vec<usize>,
    /// Timed calls of each operation; the median counts.
    #[arg(long, default_value_t = 50)]
    repeats: usize,
    /// Rows of the check against f64 arithmetic, which runs on one core.
    #[arg(long, default_value_t = 512)]
    check_rows: usize,
    /// Check only.
    #[arg(long)]
    no_timing: bool,
    /// Models whose f32 training step is timed, gated rational beside SwiGLU.
    #[arg(long, value_delimiter = ',')]
    training: Vec<ModelShape>,
    /// Rows x tokens of a training step.
    #[arg(long, default_value = "8x512")]
    training_batch: Shape,
    /// Where the figures go as JSON.
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    rows: usize,
    channels: usize,
}

impl FromStr for Shape {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (rows, channels) = text
            .split_once('x')
            .with_context(|| format!("`{text}` is not ROWSxCHANNELS"))?;
        Ok(Self {
            rows: rows.parse()?,
            channels: channels.parse()?,
        })
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Element {
    F32,
    F16,
    Bf16,
}

impl Element {
    fn dtype(self) -> DType {
        match self {
            Element::F32 => DType::F32,
            Element::F16 => DType::F16,
            Element::Bf16 => DType::BF16,
        }
    }

    /// Norm-relative error allowed for one rounding to this type.
    fn tolerance(self) -> f64 {
        match self {
            Element::F32 => 4e-6,
            Element::F16 => 1e-3,
            Element::Bf16 => 8e-3,
        }
    }
}

/// One operation's figures on one tensor.
#[derive(Serialize)]
struct Figures {
    operation: &'static str,
    rows: usize,
    channels: usize,
    dtype: String,
    /// Median time of a call, less that of the same call on one row.
    microseconds: f64,
    /// The same call on one row: what launching and waiting cost.
    launch_microseconds: f64,
    /// Inputs once and outputs once.
    bytes: usize,
    gigabytes_per_second: f64,
    /// The same for `y = x + 1` on this tensor.
    copy_gigabytes_per_second: f64,
    fraction_of_copy: f64,
    /// Time over that of the same operation with SiLU, as Burn fuses it.
    over_silu: f64,
}

/// Errors of one shape and element type, `||found - exact|| / ||exact||`.
#[derive(Serialize)]
struct Check {
    rows: usize,
    channels: usize,
    dtype: String,
    errors: Vec<(&'static str, f64)>,
    passed: bool,
}

#[derive(Serialize)]
struct Report {
    backend: String,
    device: String,
    groups: usize,
    degrees: [usize; 2],
    checks: Vec<Check>,
    figures: Vec<Figures>,
    steps: Vec<StepCost>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let report = on_device!(arguments.device, |B, device| inspect::<B>(&arguments, &device))?;
    if let Some(path) = &arguments.output {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match report.checks.iter().filter(|check| !check.passed).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} checks failed", report.checks.len()),
    }
}

fn inspect<B: StepBackend>(arguments: &Arguments, device: &B::Device) -> Result<Report> {
    let degrees = Degrees::new(arguments.degrees[0], arguments.degrees[1]).validate()?;
    let mut report = Report {
        backend: B::name(device),
        device: format!("{device:?}"),
        groups: arguments.groups,
        degrees: [degrees.numerator, degrees.denominator],
        checks: Vec::new(),
        figures: Vec::new(),
        steps: Vec::new(),
    };
    println!("{}, {} groups, degrees {degrees}", report.backend, arguments.groups);
    let elements: Vec<Element> = arguments
        .dtypes
        .iter()
        .copied()
        .filter(|e| is_present::<B>(*e, device))
        .collect();
    for &shape in &arguments.shapes {
        for &element in &elements {
            let rows = shape.rows.min(arguments.check_rows);
            let call = Call::<B>::new(Shape { rows, ..shape }, element, arguments.groups, degrees, device);
            report.checks.push(call.check(element));
        }
    }
    if arguments.no_timing {
        return Ok(report);
    }
    print_header();
    for &shape in &arguments.shapes {
        for &element in &elements {
            let one = Call::<B>::new(Shape { rows: 1, ..shape }, element, arguments.groups, degrees, device);
            let call = Call::<B>::new(shape, element, arguments.groups, degrees, device);
            for figures in call.time(&one, arguments.repeats, device) {
                print_figures(&figures);
                report.figures.push(figures);
            }
        }
    }
    let Shape { rows, channels: tokens } = arguments.training_batch;
    for &model in &arguments.training {
        let cost = step_cost::<B>(model, [rows, tokens], arguments.repeats, device)?;
        println!(
            "training step of {} with {rows}x{tokens} tokens: SwiGLU {:.2} ms, gated rational {:.2} ms, ratio {:.3}",
            cost.model,
            cost.swiglu_seconds * 1e3,
            cost.gated_rational_seconds * 1e3,
            cost.ratio
        );
        report.steps.push(cost);
    }
    Ok(report)
}

fn is_present<B: Backend>(element: Element, device: &B::Device) -> bool {
    let present = B::supports_dtype(device, element.dtype());
    if !present {
        println!("skipped: the device has no {element:?}");
    }
    present
}

/// Tensors of a call: gate (or x), up and the gradient of the output `[rows, channels]`, and the coefficients.
struct Call<B: Backend> {
    gate: Tensor<B, 2>,
    up: Tensor<B, 2>,
    gradient: Tensor<B, 2>,
    numerator: Tensor<B, 2>,
    denominator: Tensor<B, 2>,
    spec: RationalSpec,
    shape: Shape,
}

/// An operation on a call's tensors.
type Run<'a, B> = &'a dyn Fn(&Call<B>) -> Vec<Tensor<B, 2>>;

impl<B: RationalBackend> Call<B> {
    fn new(shape: Shape, element: Element, groups: usize, degrees: Degrees, device: &B::Device) -> Self {
        let draw = |shape: [usize; 2], distribution| Tensor::<B, 2>::random(shape, distribution, device);
        let normal = || {
            let values = draw([shape.rows, shape.channels], Distribution::Normal(0.0, 2.0));
            values.cast(element.dtype())
        };
        Self {
            gate: normal(),
            up: normal(),
            gradient: normal(),
            numerator: draw([groups, degrees.numerator + 1], Distribution::Uniform(-1.0, 1.0)).cast(DType::F32),
            denominator: draw([groups, degrees.denominator], Distribution::Uniform(-1.0, 1.0)).cast(DType::F32),
            spec: RationalSpec {
                groups,
                denominator: Denominator::SumOfAbs,
            },
            shape,
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

    /// `d silu(x) / dx`
    fn silu_slope(&self) -> Tensor<B, 2> {
        let s = activation::sigmoid(self.gate.clone());
        s.clone() * (self.gate.clone() * (s.neg() + 1.0) + 1.0)
    }

    /// The gradients of `silu(gate) * up`.
    fn silu_gated_backward(&self) -> [Tensor<B, 2>; 2] {
        let to_gate = self.gradient.clone() * self.up.clone() * self.silu_slope();
        [to_gate, self.gradient.clone() * activation::silu(self.gate.clone())]
    }

    /// Compares every output with f64 arithmetic on the same numbers.
    fn check(&self, element: Element) -> Check {
        let exact = self.exact();
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
        let mut passed = true;
        let mut errors = Vec::new();
        for ((name, found), exact) in found.into_iter().zip(&exact) {
            let error = relative_error(&numbers(found), exact);
            let limit = if name.ends_with(['a', 'b']) {
                1e-5
            } else {
                element.tolerance()
            };
            passed &= error <= limit;
            errors.push((name, error));
        }
        let Shape { rows, channels } = self.shape;
        let list: Vec<String> = errors
            .iter()
            .map(|(name, error)| format!("{name} {error:.0e}"))
            .collect();
        let verdict = if passed { "ok    " } else { "FAILED" };
        println!("{verdict} {rows}x{channels} {element:?}: {}", list.join(", "));
        Check {
            rows,
            channels,
            dtype: format!("{element:?}"),
            errors,
            passed,
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
            for (k, term) in one.numerator.iter().enumerate() {
                out[2][group * n + k] += g * term;
                out[7][group * n + k] += g * u * term;
            }
            for (k, term) in one.denominator.iter().enumerate() {
                out[3][group * m + k] += g * term;
                out[8][group * m + k] += g * u * term;
            }
        }
        out
    }

    /// Times the four operations, their SiLU counterparts and a copy.
    fn time(&self, one: &Self, repeats: usize, device: &B::Device) -> Vec<Figures> {
        let net = |run: Run<B>| {
            let launch = median::<B>(repeats, device, || run(one));
            ((median::<B>(repeats, device, || run(self)) - launch).max(1e-9), launch)
        };
        let tensor_bytes = self.shape.rows * self.shape.channels * self.gate.dtype().size();
        let copy = 2.0 * tensor_bytes as f64 / net(&|call| vec![call.gate.clone() + 1.0]).0;
        let operations: [(&'static str, usize, Run<B>, Run<B>); 4] = [
            ("forward", 2, &|c| vec![c.forward()], &|c| {
                vec![activation::silu(c.gate.clone())]
            }),
            ("backward", 3, &|c| c.backward().into(), &|c| {
                vec![c.gradient.clone() * c.silu_slope()]
            }),
            ("gated", 3, &|c| vec![c.gated()], &|c| {
                vec![activation::silu(c.gate.clone()) * c.up.clone()]
            }),
            ("gated backward", 5, &|c| c.gated_backward().into(), &|c| {
                c.silu_gated_backward().into()
            }),
        ];
        let figures = |(operation, tensors, run, silu): (&'static str, usize, Run<B>, Run<B>)| {
            let (seconds, launch) = net(run);
            let bytes = tensors * tensor_bytes;
            let speed = bytes as f64 / seconds;
            Figures {
                operation,
                rows: self.shape.rows,
                channels: self.shape.channels,
                dtype: format!("{:?}", self.gate.dtype()),
                microseconds: seconds * 1e6,
                launch_microseconds: launch * 1e6,
                bytes,
                gigabytes_per_second: speed / 1e9,
                copy_gigabytes_per_second: copy / 1e9,
                fraction_of_copy: speed / copy,
                over_silu: seconds / net(silu).0,
            }
        };
        operations.map(figures).into_iter().collect()
    }
}

/// Median seconds from an idle device to an idle device.
///
/// Every call is waited for, and its results are kept until then: left alone, fusion would merge several calls of the
/// plain operations into one kernel, and leave out those whose results nobody holds.
fn median<B: Backend>(repeats: usize, device: &B::Device, run: impl Fn() -> Vec<Tensor<B, 2>>) -> f64 {
    let wait = || B::sync(device).expect("the device finishes its work");
    let mut times: Vec<f64> = (0..repeats + 2)
        .map(|_| {
            wait();
            let clock = Instant::now();
            let kept = run();
            wait();
            let seconds = clock.elapsed().as_secs_f64();
            drop(kept);
            seconds
        })
        .skip(2)
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn raw<B: Backend>(tensor: &Tensor<B, 2>) -> B::FloatTensorPrimitive {
    tensor.clone().into_primitive().tensor()
}

fn cooked<B: Backend>(primitive: B::FloatTensorPrimitive) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn numbers<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f64> {
    let data: TensorData = tensor.into_data();
    data.iter::<f64>().collect()
}

fn relative_error(found: &[f64], exact: &[f64]) -> f64 {
    let norm = exact.iter().map(|v| v * v).sum::<f64>().sqrt();
    let difference = found
        .iter()
        .zip(exact)
        .map(|(f, e)| (f - e).powi(2))
        .sum::<f64>()
        .sqrt();
    difference / norm.max(f64::MIN_POSITIVE)
}

fn print_header() {
    println!(
        "{:<15} {:>12} {:>5} {:>11} {:>9} {:>9} {:>8} {:>9}",
        "operation", "shape", "type", "time us", "launch us", "GB/s", "of copy", "over SiLU"
    );
}

fn print_figures(f: &Figures) {
    println!(
        "{:<15} {:>12} {:>5} {:>11.1} {:>9.1} {:>9.1} {:>8.2} {:>9.2}",
        f.operation,
        format!("{}x{}", f.rows, f.channels),
        f.dtype,
        f.microseconds,
        f.launch_microseconds,
        f.gigabytes_per_second,
        f.fraction_of_copy,
        f.over_silu
    );
}
