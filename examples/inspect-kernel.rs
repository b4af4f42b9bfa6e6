//! `cargo run --release -p examples --features cuda --example inspect-kernel -- --device cuda --output kernels.json`
//! Short: `cargo run --release -p examples --example inspect-kernel -- --shapes 64x576 --degrees 7,6 --dtypes f32 --repeats 3 --training tiny --training-batch 2x64`
//!
//! Compares the group rational kernels of a device with f64 arithmetic. Then times them, and for comparison a copy of
//! the same tensor and Burn's own SiLU. Prints a line for each operation, shape and element type; `--output` saves the
//! results. `--training tiny,135m` also times complete training steps with gated rational, the KAT block, an ungated
//! MLP and SwiGLU.

use anyhow::{Context, Result, bail};
use burn::tensor::backend::Backend;
use clap::Parser;
use examples::{
    device::DeviceKind,
    kernels::{Call, Check, Clock, Element, Figures, Limits, Shape},
    on_device,
    step_cost::{ModelShape, StepCost, step_cost},
    terminal::print_line,
};
use fixtures::tolerance;
use kan_rational::Degrees;
use serde::Serialize;
use smollm2_train::StepBackend;
use std::path::PathBuf;

/// Checks and times the group rational kernels of a device.
#[derive(Parser)]
struct Arguments {
    /// Device on which the kernels run: cpu, wgpu or cuda.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    /// Rows x channels of the tensors.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "16384x576,16384x1536,16384x2304,8192x8192"
    )]
    shapes: Vec<Shape>,
    /// Element types: f32, f16, bf16. A type that the device does not support is skipped.
    #[arg(long, value_delimiter = ',', default_value = "bf16,f32")]
    dtypes: Vec<Element>,
    /// Number of channel groups.
    #[arg(long, default_value_t = 8)]
    groups: usize,
    /// Degrees of numerator and denominator.
    #[arg(long, default_value = "5,4")]
    degrees: Degrees,
    /// Number of timed calls of each operation; the median is reported.
    #[arg(long, default_value_t = 50)]
    repeats: usize,
    /// Number of rows compared with f64 arithmetic, which runs on one core.
    #[arg(long, default_value_t = 512)]
    check_rows: usize,
    /// Only compare with f64; do not time anything.
    #[arg(long)]
    no_timing: bool,
    /// Models whose f32 training steps are timed.
    #[arg(long, value_delimiter = ',')]
    training: Vec<ModelShape>,
    /// Rows x tokens of a training step.
    #[arg(long, default_value = "8x512")]
    training_batch: Shape,
    /// JSON file for the results. It is rewritten after every shape.
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    command: Vec<String>,
    backend: String,
    device: String,
    /// Seconds to launch one kernel and wait for it, subtracted from every time.
    launch_seconds: f64,
    checks: Vec<Check>,
    figures: Vec<Figures>,
    steps: Vec<StepCost>,
}

impl Report {
    fn save(&self, path: Option<&PathBuf>) -> Result<()> {
        let Some(path) = path else { return Ok(()) };
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for shape in &arguments.shapes {
        if arguments.groups == 0 || !shape.channels.is_multiple_of(arguments.groups) {
            bail!(
                "--groups {}: does not divide the channels of --shapes {shape}",
                arguments.groups
            );
        }
    }
    let report = on_device!(arguments.device, |B, device| inspect::<B>(&arguments, &device))?;
    match report.checks.iter().filter(|check| !check.passed).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} checks failed", report.checks.len()),
    }
}

fn inspect<B: StepBackend>(arguments: &Arguments, device: &B::Device) -> Result<Report> {
    let mut report = Report {
        command: std::env::args().collect(),
        backend: B::name(device),
        device: format!("{device:?}"),
        launch_seconds: 0.0,
        checks: Vec::new(),
        figures: Vec::new(),
        steps: Vec::new(),
    };
    // The same numbers in every run, so that a failing check can be looked at again.
    B::seed(device, 0);
    let (groups, degrees) = (arguments.groups, arguments.degrees);
    print_line(format_args!("{}, {groups} groups, degrees {degrees}", report.backend))?;
    let mut elements = arguments.dtypes.clone();
    elements.retain(|element| is_present::<B>(*element, device));
    let missing = arguments
        .dtypes
        .iter()
        .filter(|element| !is_present::<B>(**element, device));
    for missing in missing {
        print_line(format_args!("skipped: the device has no {missing:?}"))?;
    }
    print_line("checks: errors of the norm (and the largest of the largest number)")?;
    for &shape in &arguments.shapes {
        for &element in &elements {
            let rows = shape.rows.min(arguments.check_rows);
            let call = Call::<B>::new(Shape { rows, ..shape }, element, groups, degrees, device);
            let check = call.check(limits(element));
            print_line(check_line(&check))?;
            report.checks.push(check);
        }
    }
    report.save(arguments.output.as_ref())?;
    if arguments.no_timing {
        return Ok(report);
    }
    let clock = Clock::new(arguments.repeats, device);
    report.launch_seconds = clock.launch();
    print_line(header(&clock))?;
    for &shape in &arguments.shapes {
        for &element in &elements {
            let figures = Call::<B>::new(shape, element, groups, degrees, device).time(&clock);
            for figures in &figures {
                print_line(figures_line(figures))?;
            }
            report.figures.extend(figures);
        }
        report.save(arguments.output.as_ref())?;
    }
    for &model in &arguments.training {
        let costs = step_cost::<B>(model, arguments.training_batch, arguments.repeats, device)?;
        for cost in &costs {
            print_line(cost_line(cost))?;
        }
        report.steps.extend(costs);
        report.save(arguments.output.as_ref())?;
    }
    Ok(report)
}

fn is_present<B: Backend>(element: Element, device: &B::Device) -> bool {
    B::supports_dtype(device, element.dtype())
}

fn limits(element: Element) -> Limits {
    Limits {
        tensors: match element {
            Element::F32 => tolerance::RATIONAL_KERNEL,
            Element::F16 => tolerance::ROUNDED_TO_F16,
            Element::Bf16 => tolerance::ROUNDED_TO_BF16,
        },
        coefficients: tolerance::RATIONAL_COEFFICIENT_GRADIENT,
    }
}

fn check_line(check: &Check) -> String {
    let list: Vec<String> = check
        .errors
        .iter()
        .map(|error| format!("{} {:.0e} ({:.0e})", error.output, error.of_norm, error.largest))
        .collect();
    let verdict = if check.passed { "ok    " } else { "FAILED" };
    format!("{verdict} {} {}: {}", check.shape, check.dtype, list.join(", "))
}

fn header<B: Backend>(clock: &Clock<B>) -> String {
    format!(
        "{:.1} us to launch a kernel, left out below\n\
         {:<15} {:>12} {:>5} {:>8} {:>11} {:>9} {:>8} {:>9}",
        clock.launch() * 1e6,
        "operation",
        "shape",
        "type",
        "MB",
        "time us",
        "GB/s",
        "of copy",
        "over SiLU"
    )
}

fn figures_line(f: &Figures) -> String {
    format!(
        "{:<15} {:>12} {:>5} {:>8.1} {:>11.1} {:>9.1} {:>8.2} {:>9}",
        f.operation,
        f.shape.to_string(),
        f.dtype,
        f.bytes as f64 / 1e6,
        f.microseconds,
        f.gigabytes_per_second,
        f.fraction_of_copy,
        f.over_silu.map_or(String::new(), |ratio| format!("{ratio:.2}"))
    )
}

fn cost_line(cost: &StepCost) -> String {
    format!(
        "training step of {} as {}, {} tokens: {:.2} ms, {:.3} of SwiGLU's",
        cost.model,
        cost.feed_forward,
        cost.batch,
        cost.seconds * 1e3,
        cost.over_swiglu
    )
}
