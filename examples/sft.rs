//! cargo run --release --example sft -- --model M --feed-forward gated-rational --data D --output out
//! Short: `cargo run --release --example sft -- --model compare-output/swiglu/model --data compare-output/synthetic/train.jsonl --preset quick --output compare-output/sft`
//!
//! Supervised fine-tuning. Checkpoints are complete models in the Hugging Face layout; `--resume` goes on from the
//! newest intact one.

use anyhow::{Context, Result, bail};
use burn::backend::Autodiff;
use clap::{Parser, ValueEnum};
use examples::comparison::{PRETRAINED_GATE, fresh_feed_forward, loader_config, tracked};
use examples::device::DeviceKind;
use examples::hub::HubFlags;
use examples::progress::{Training, conversion};
use examples::{on_device, open};
use smollm2_model::weights::ModelSource;
use smollm2_model::{FeedForwardKind, convert};
use smollm2_train::StepBackend;
use smollm2_train::{ConversationRows, RunOptions, TrainConfig, TrainError, Trainer};
use smoltalk_data::{DataLoader, LoaderConfig};
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(about = "Supervised fine-tuning")]
struct Arguments {
    /// Folder, .gguf file or hub id to start from.
    #[arg(long)]
    model: ModelSource,
    /// Feed-forward to train: a SwiGLU model is converted to gated-rational; the others start anew in each layer.
    /// The model's own without it.
    #[arg(long)]
    feed_forward: Option<FeedForwardKind>,
    /// Conversations: a .jsonl or .parquet file, a folder, or a hub id (`owner/name[@revision][:configuration[:split]]`).
    #[arg(long)]
    data: PathBuf,
    /// Conversations for the held-out loss.
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// Share of --data to hold out instead; the same for a resumed run.
    #[arg(long, conflicts_with = "held_out")]
    held_out_share: Option<f64>,
    /// A recipe in TOML.
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// A recipe by name.
    #[arg(long, default_value = "quick")]
    preset: Preset,
    /// Optimiser steps, instead of the recipe's.
    #[arg(long)]
    steps: Option<usize>,
    /// Checkpoints, metrics.jsonl and loss.svg go here.
    #[arg(long)]
    output: PathBuf,
    /// Go on from the newest intact checkpoint in --output.
    #[arg(long)]
    resume: bool,
    /// Name of the device, for the share of its peak; unknown ones give none.
    #[arg(long)]
    device_name: Option<String>,
    /// Where to compute.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    #[command(flatten)]
    hub: HubFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum Preset {
    /// Seconds on a CPU.
    Quick,
    /// The published recipe of SmolLM2-135M and 360M.
    SftSmol,
    /// The published recipe of SmolLM2-1.7B.
    #[value(name = "sft-1.7b")]
    Sft17b,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    on_device!(arguments.device, |Backend, device| run::<Backend>(&arguments, &device))
}

fn recipe(arguments: &Arguments) -> Result<TrainConfig> {
    let mut recipe = match &arguments.config {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            TrainConfig::from_toml(&text).with_context(|| path.display().to_string())?
        }
        None => {
            let mut preset = match arguments.preset {
                Preset::Quick => TrainConfig::quick(),
                Preset::SftSmol => TrainConfig::sft_smol(),
                Preset::Sft17b => TrainConfig::sft_1_7b(),
            };
            preset.optimizer.rational_input_size = PRETRAINED_GATE;
            preset
        }
    };
    recipe.steps = arguments.steps.unwrap_or(recipe.steps);
    Ok(recipe)
}

fn run<B: StepBackend>(arguments: &Arguments, device: &B::Device) -> Result<()> {
    let recipe = recipe(arguments)?;
    let opened = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let tokenizer = opened.tokenizer;
    let (training, held_out) = match (&arguments.held_out, arguments.held_out_share) {
        (Some(path), _) => (
            arguments.hub.conversations(&arguments.data)?,
            Some(arguments.hub.conversations(path)?),
        ),
        (None, Some(share)) => {
            let (training, held_out) = arguments
                .hub
                .conversations(&arguments.data)?
                .split(share, recipe.seed)?;
            (training, Some(held_out))
        }
        (None, None) => (arguments.hub.conversations(&arguments.data)?, None),
    };
    let held_out = match held_out {
        Some(source) => {
            if recipe.eval_rows == 0 {
                bail!(
                    "eval_rows in the recipe: expected at least 1 row to evaluate on, found 0; raise it or hold nothing out"
                );
            }
            let config = LoaderConfig {
                shuffle: false,
                ..loader_config(&recipe)
            };
            DataLoader::new(source, tokenizer.clone(), config)?.one_pass(recipe.eval_rows)?
        }
        None => Vec::new(),
    };
    let calibration = training.clone();
    let mut rows = ConversationRows::new(training, tokenizer.clone(), loader_config(&recipe))?;
    let save_tokenizer = |folder: &Path| {
        tokenizer.save(folder).map_err(|error| TrainError::Io {
            action: "write the tokenizer into",
            path: folder.to_path_buf(),
            source: std::io::Error::other(error.to_string()),
        })
    };
    let options = RunOptions {
        device_name: arguments.device_name.clone(),
        companions: &save_tokenizer,
        ..RunOptions::new(&arguments.output)
    };
    let mut observer = Training::new("sft", false);
    let mut trainer = if arguments.resume {
        Trainer::<Autodiff<B>>::resume(recipe, device, &mut rows, &options, &mut observer)?
    } else {
        let (model, config) = (opened.loaded.model, opened.loaded.config);
        let (model, config) = match arguments.feed_forward {
            Some(kind) if config.uniform_feed_forward().map(|layer| layer.kind()) != Some(kind) => match kind {
                FeedForwardKind::GatedRational => {
                    let calibration = open::conversation_rows(&calibration, &tokenizer, 512, 4096)?;
                    let options = convert::ConversionOptions::default();
                    let converted = convert::to_gated_rational(model, &config, &calibration, &options, conversion())?;
                    (converted.0, converted.1)
                }
                _ => fresh_feed_forward(&model, &config, kind, recipe.seed, device)?,
            },
            _ => (model, config),
        };
        Trainer::new(tracked(model, &config, device)?, config, recipe)?
    };
    trainer.run(&mut rows, &held_out, &options, &mut observer)?;
    let counts = rows.loader().counts();
    println!(
        "{} conversations, {} tokens in, {} in rows ({} targets), {} truncated, {} dropped",
        counts.conversations,
        counts.tokens_in,
        counts.tokens_out,
        counts.targets,
        counts.tokens_truncated,
        counts.tokens_dropped
    );
    println!(
        "checkpoints, metrics.jsonl and loss.svg are in {}",
        arguments.output.display()
    );
    Ok(())
}
