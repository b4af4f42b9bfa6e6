//! cargo run --release --example convert -- --model M --calibrate text.txt --output out
//! Short: `cargo run --release --example convert -- --model compare-output/swiglu/seed-1/model --calibrate compare-output/synthetic/seed-1/train.jsonl --calibration-tokens 2048 --output compare-output/converted`
//!
//! Converts a SwiGLU model to a gated-rational one. The rational functions are fitted to the values of the gates on the
//! given text. The model is then compared with the original on other text. An interrupted conversion leaves a folder
//! `OUTPUT.partial-..`, which can be removed.

use anyhow::{Context, Result, bail};
use clap::Parser;
use examples::device::DeviceKind;
use examples::flags::at_least_one;
use examples::hub::HubFlags;
use examples::progress::{Spinner, comparison, conversion};
use examples::terminal::print_line;
use examples::{on_device, open};
use kallm::hub::ModelSource;
use kallm::identity;
use kallm::model_folder::{check_new_model, save_model};
use kallm::open::{CALIBRATION_ROW, CALIBRATION_TOKENS};
use kan_rational::Degrees;
use serde_json::json;
use smollm2_model::convert::{self, ConversionOptions, ConversionReport, ModelComparison, Origin};
use smollm2_model::{DecoderBackend, SmolLm2};
use smoltalk_data::ChatTokenizer;
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(about = "SwiGLU to gated rational")]
struct Arguments {
    /// Folder, .gguf file or hub id of a SwiGLU model.
    #[arg(long)]
    model: ModelSource,
    /// Calibration data: text (.txt) or conversations (.jsonl, .parquet, a folder, a hub id). Separate several by
    /// commas; the number of tokens is divided among them.
    #[arg(long, value_delimiter = ',', required_unless_present = "exact")]
    calibrate: Vec<PathBuf>,
    /// Text or conversations on which to compare the models. The default is the tokens after the calibration tokens.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Degrees of numerator and denominator.
    #[arg(long, default_value = "5,4")]
    degrees: Degrees,
    /// Raise the degrees of each layer until the relative error of every group is at most this.
    #[arg(long)]
    max_error: Option<f64>,
    /// Number of channel groups in a layer.
    #[arg(long, default_value_t = 8)]
    groups: usize,
    /// Number of tokens to calibrate on.
    #[arg(long, default_value_t = CALIBRATION_TOKENS, value_parser = at_least_one)]
    calibration_tokens: usize,
    /// Number of tokens to compare on.
    #[arg(long, default_value_t = 3072, value_parser = at_least_one)]
    compare_tokens: usize,
    /// Keep SiLU and add a function that starts at zero, so that the logits stay bit-identical.
    #[arg(long)]
    exact: bool,
    /// Output folder. It must not contain a model.
    #[arg(long)]
    output: PathBuf,
    /// Device to compute on.
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
    check_new_model(&arguments.output)?;
    let engine = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let source = record(arguments)?;
    let (model, tokenizer) = engine.into_parts();
    let (calibration, held_out) = texts(arguments, &tokenizer)?;
    let converted = converted(arguments, &model, &calibration);
    let converted = converted.with_context(|| format!("converting {}", arguments.model))?;
    let spinner = Spinner::new("saving");
    let records = [("conversion.json", source)];
    save_model(&converted, &tokenizer, &records, &arguments.output)?;
    drop(spinner);
    print_line(format_args!("written to {}", arguments.output.display()))?;
    if !held_out.is_empty() {
        let found = convert::compare_watched(&model, &converted, &held_out, comparison())?;
        print_line(sentence(&found))?;
    }
    Ok(())
}

/// A record of the source model, the texts and the settings, for the output folder.
fn record(arguments: &Arguments) -> Result<String> {
    let options = options(arguments);
    let degrees = (options.degrees.numerator, options.degrees.denominator);
    let record = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": arguments.model.to_string(),
        "files": identity::of_model(&arguments.hub.model(&arguments.model)?)?,
        "calibrate": arguments.calibrate,
        "calibration_tokens": arguments.calibration_tokens,
        "exact": arguments.exact,
        "groups": options.groups,
        "degrees": degrees,
        "max_error": options.max_error,
        "seed": options.seed,
    });
    Ok(serde_json::to_string_pretty(&record)?)
}

fn options(arguments: &Arguments) -> ConversionOptions {
    ConversionOptions {
        groups: arguments.groups,
        degrees: arguments.degrees,
        max_error: arguments.max_error,
        ..ConversionOptions::default()
    }
}

type Rows = Vec<Vec<u32>>;

fn rows(arguments: &Arguments, tokenizer: &ChatTokenizer, path: &Path, tokens: usize) -> Result<Rows> {
    open::token_rows(path, &arguments.hub, tokenizer, CALIBRATION_ROW, tokens)
}

/// Token rows to calibrate on, and others to compare on.
fn texts(arguments: &Arguments, tokenizer: &ChatTokenizer) -> Result<(Rows, Rows)> {
    let sources = arguments.calibrate.len().max(1);
    let [fit, kept] = [arguments.calibration_tokens, arguments.compare_tokens].map(|tokens| tokens.div_ceil(sources));
    let (mut calibration, mut held_out) = (Vec::new(), Vec::new());
    for path in &arguments.calibrate {
        let mut both = rows(arguments, tokenizer, path, fit + kept)?;
        held_out.extend(both.split_off(fit.div_ceil(CALIBRATION_ROW).min(both.len())));
        calibration.extend(both);
    }
    if let Some(path) = &arguments.compare {
        held_out = rows(arguments, tokenizer, path, arguments.compare_tokens)?;
    }
    if held_out.is_empty() && !arguments.exact {
        bail!(
            "--calibrate: expected more than {} tokens, to compare on the rest, found {}; give more text, --compare, or \
             fewer --calibration-tokens",
            arguments.calibration_tokens,
            calibration.iter().map(Vec::len).sum::<usize>()
        );
    }
    Ok((calibration, held_out))
}

fn converted<B: DecoderBackend>(
    arguments: &Arguments,
    model: &SmolLm2<B>,
    calibration: &[Vec<u32>],
) -> Result<SmolLm2<B>> {
    let options = options(arguments);
    if arguments.exact {
        return Ok(convert::to_exact(model.clone(), &options)?);
    }
    let (converted, report) = convert::to_gated_rational(model.clone(), calibration, &options, conversion())?;
    print_line(table(&report))?;
    Ok(converted)
}

fn sentence(comparison: &ModelComparison) -> String {
    format!(
        "on {} tokens not used for calibration: perplexity {:.4} before, {:.4} after (ratio {:.5}), mean KL {:.2e}, \
         top-1 agreement {:.4}",
        comparison.tokens,
        comparison.perplexity_before,
        comparison.perplexity_after,
        comparison.perplexity_ratio(),
        comparison.mean_kl,
        comparison.top1_agreement
    )
}

/// One line per layer: the range of values in its groups, and the largest errors.
fn table(report: &ConversionReport) -> String {
    let mut text = format!(
        "{:>5} {:>22} {:>8} {:>16} {:>12}",
        "layer", "gate range seen", "degrees", "relative error", "max error"
    );
    let layers = report
        .groups
        .iter()
        .map(|group| group.layer)
        .max()
        .map_or(0, |last| last + 1);
    for layer in 0..layers {
        let groups: Vec<_> = report.groups.iter().filter(|group| group.layer == layer).collect();
        let Some(first) = groups.first() else { continue };
        let low = groups.iter().map(|group| group.range.0).fold(f64::INFINITY, f64::min);
        let high = groups
            .iter()
            .map(|group| group.range.1)
            .fold(f64::NEG_INFINITY, f64::max);
        let relative = groups.iter().map(|group| group.relative_error).fold(0.0, f64::max);
        let error = groups.iter().map(|group| group.max_error).fold(0.0, f64::max);
        let range = format!("{low:.2} .. {high:.2}");
        let degrees = format!("({},{})", first.degrees.numerator, first.degrees.denominator);
        text.push_str(&format!(
            "\n{layer:>5} {range:>22} {degrees:>8} {relative:>16.2e} {error:>12.2e}"
        ));
        let unsafe_groups = groups.iter().filter(|group| !group.guarded).count();
        if unsafe_groups > 0 {
            text.push_str(&format!("  {unsafe_groups} groups may grow fast outside the range"));
        }
    }
    for group in report.unfitted() {
        let reason = match group.origin {
            Origin::NoFit => "its gates are too close to 0 for a fit in f32",
            _ => "the calibration text does not determine its function",
        };
        text.push_str(&format!(
            "\nlayer {}, group {} keeps SiLU: {reason}",
            group.layer, group.group
        ));
    }
    text
}
