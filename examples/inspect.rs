//! cargo run --release --example inspect -- --model M
//! Short: `cargo run --release --example inspect -- --model compare-output/gated-rational/seed-1/model --output compare-output/functions.html`
//!
//! Plots every rational function of a model together with SiLU, or with the functions of another model.

use anyhow::{Context, Result, bail};
use clap::Parser;
use examples::device::DeviceKind;
use examples::flags::{above_zero, at_least_one};
use examples::hub::HubFlags;
use examples::terminal::print_line;
use examples::{on_device, open};
use kallm::files;
use kallm::functions::drawn;
use kallm::hub::ModelSource;
use kallm::training::kinds;
use kan_rational::Activation;
use llm_bench::report::{LearnedFunction, Report};
use smollm2_model::{DecoderBackend, RationalFunction};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Draw the learned functions of a model")]
struct Arguments {
    /// Folder of a model with rational feed-forward layers.
    #[arg(long)]
    model: ModelSource,
    /// The same model before training, to plot for comparison. The default is SiLU.
    #[arg(long)]
    start: Option<ModelSource>,
    /// Maximum number of functions to plot, spread over the layers.
    #[arg(long, default_value_t = 240, value_parser = at_least_one)]
    most: usize,
    /// Plot and compare the functions on [-RANGE, RANGE]. The gates of a pretrained model reach 50; `convert` prints
    /// the range of the gates of its model.
    #[arg(long, default_value_t = 8.0, value_parser = above_zero)]
    range: f64,
    /// The HTML file to write.
    #[arg(long, default_value = "functions.html")]
    output: PathBuf,
    /// Device on which the model is opened. The functions are evaluated on the CPU.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    #[command(flatten)]
    hub: HubFlags,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    on_device!(arguments.device, |Backend, device| run::<Backend>(&arguments, &device))
}

fn run<B: DecoderBackend>(arguments: &Arguments, device: &B::Device) -> Result<()> {
    files::prepare_file(&arguments.output)?;
    let (learned, range) = (functions::<B>(arguments, &arguments.model, device)?, arguments.range);
    let functions = match &arguments.start {
        Some(start) => drawn(
            &functions::<B>(arguments, start, device)?,
            &learned,
            arguments.most,
            range,
        )
        .with_context(|| format!("--model {} and --start {start}", arguments.model))?,
        None => against_silu(drawn(&learned, &learned, arguments.most, range)?),
    };
    for function in &functions {
        print_line(format_args!(
            "{:40} largest difference on [-{range}, {range}]: {:.2e}",
            function.label,
            largest_difference(function)
        ))?;
    }
    let mut report = Report::of_functions(arguments.model.to_string(), functions)?;
    report.title = format!("Rational functions of {}", arguments.model);
    report.command = std::env::args().collect::<Vec<_>>().join(" ");
    files::write_whole(&arguments.output, &report.to_html()?)?;
    print_line(format_args!("{} has the plots", arguments.output.display()))?;
    Ok(())
}

fn functions<B: DecoderBackend>(
    arguments: &Arguments,
    model: &ModelSource,
    device: &B::Device,
) -> Result<Vec<RationalFunction>> {
    let engine = open::model::<B>(model, &arguments.hub, device)?;
    let functions = engine.model().rational_functions();
    if functions.is_empty() {
        bail!(
            "{model}: expected layers of gated_rational or group_kan, found {}; convert or train makes such a model",
            kinds(engine.model().config())
        );
    }
    Ok(functions)
}

fn against_silu(mut functions: Vec<LearnedFunction>) -> Vec<LearnedFunction> {
    for function in &mut functions {
        function.start = function.x.iter().map(|x| Activation::Swish.eval(*x)).collect();
    }
    functions
}

fn largest_difference(function: &LearnedFunction) -> f64 {
    let pairs = function.start.iter().zip(&function.learned);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
