//! cargo run --release --example inspect -- --model M
//! Short: `cargo run --release --example inspect -- --model compare-output/gated-rational/model --output compare-output/functions.html`
//!
//! Draws every rational function of a model against SiLU, or against another model's.

use anyhow::{Context, Result, bail};
use clap::Parser;
use examples::functions::{all, drawn, silu};
use examples::hub::HubFlags;
use examples::open;
use llm_bench::report::Report;
use smollm2_model::weights::ModelSource;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Draw the learned functions of a model")]
struct Arguments {
    /// Folder of a model with rational feed-forward layers.
    #[arg(long)]
    model: ModelSource,
    /// The same model before training; SiLU without it.
    #[arg(long)]
    start: Option<ModelSource>,
    /// Functions drawn at most, spread over the layers.
    #[arg(long, default_value_t = 240)]
    most: usize,
    /// The page to write.
    #[arg(long, default_value = "functions.html")]
    output: PathBuf,
    #[command(flatten)]
    hub: HubFlags,
}

fn main() -> Result<()> {
    type Backend = burn::backend::Flex;
    let arguments = Arguments::parse();
    let device = Default::default();
    let opened = open::model::<Backend>(&arguments.model, &arguments.hub, &device)?;
    let learned = all(&opened.loaded.model, &opened.loaded.config);
    if learned.is_empty() {
        bail!(
            "{} has no rational layer: expected gated_rational or group_kan in its config.json",
            arguments.model
        );
    }
    let mut functions = match &arguments.start {
        Some(start) => {
            let opened = open::model::<Backend>(start, &arguments.hub, &device)?;
            drawn(
                &all(&opened.loaded.model, &opened.loaded.config),
                &learned,
                arguments.most,
            )
        }
        None => drawn(&learned, &learned, arguments.most),
    };
    if arguments.start.is_none() {
        for function in &mut functions {
            function.start = function.x.iter().map(|x| silu(*x)).collect();
        }
    }
    let furthest = |function: &llm_bench::report::LearnedFunction| {
        function
            .start
            .iter()
            .zip(&function.learned)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max)
    };
    for function in &functions {
        println!(
            "{:40} largest difference on [-8, 8]: {:.2e}",
            function.label,
            furthest(function)
        );
    }
    let report = Report {
        title: format!("Rational functions of {}", arguments.model),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        functions,
        ..Report::default()
    };
    std::fs::write(&arguments.output, report.to_html()?).with_context(|| arguments.output.display().to_string())?;
    println!("{} has the plots", arguments.output.display());
    Ok(())
}
