//! cargo run --release --example sft -- --model M --feed-forward gated-rational --data D --output out
//! Short: `cargo run --release --example sft -- --model compare-output/swiglu/model --data compare-output/synthetic/train.jsonl --preset quick --output compare-output/sft`
//!
//! Supervised fine-tuning. Checkpoints are complete models in the Hugging Face layout; `--resume` goes on from the
//! newest intact one.

use anyhow::{Context, Result, bail};
use burn::backend::Autodiff;
use clap::Parser;
use examples::device::DeviceKind;
use examples::hub::HubFlags;
use examples::progress::Training;
use examples::training::{self, PRETRAINED_GATE};
use examples::{on_device, open, output};
use smollm2_model::FeedForwardKind;
use smollm2_model::weights::ModelSource;
use smollm2_train::{ConversationRows, RunOptions, StepBackend, TrainConfig, TrainError, Trainer, checkpoint};
use smoltalk_data::{ChatTokenizer, PackedRow, Source};
use std::path::PathBuf;

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
    #[arg(long, conflicts_with = "held_out", allow_negative_numbers = true)]
    held_out_share: Option<f64>,
    /// A recipe in TOML.
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// A recipe by name: seconds on a CPU, the published one of SmolLM2-135M and 360M, or that of SmolLM2-1.7B.
    #[arg(long, default_value = "quick", value_parser = ["quick", "sft-smol", "sft-1.7b"])]
    preset: String,
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

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    on_device!(arguments.device, |Backend, device| run::<Backend>(&arguments, &device))
}

fn run<B: StepBackend>(arguments: &Arguments, device: &B::Device) -> Result<()> {
    let recipe = recipe(arguments)?;
    check_output(arguments)?;
    let tokenizer = open::tokenizer(&arguments.model, &arguments.hub)?;
    let (source, held_out) = conversations(arguments, recipe.seed)?;
    let held_out = held_out_rows(held_out, &tokenizer, &recipe)?;
    let order = training::loader_config(&recipe);
    let mut rows = ConversationRows::new(source.clone(), tokenizer.clone(), order)?;
    let save_tokenizer = training::tokenizer_saver(&tokenizer);
    let options = RunOptions {
        device_name: arguments.device_name.clone(),
        companions: &save_tokenizer,
        ..RunOptions::new(&arguments.output)
    };
    let mut observer = Training::new("sft", false);
    let mut trainer = if arguments.resume {
        observer.resuming();
        Trainer::resume(recipe, device, &mut rows, &options, &mut observer)?
    } else {
        start::<B>(arguments, recipe, &source, device)?
    };
    check_kind(arguments, &trainer)?;
    trainer.run(&mut rows, &held_out, &options, &mut observer)?;
    print_end(arguments, &rows);
    Ok(())
}

fn recipe(arguments: &Arguments) -> Result<TrainConfig> {
    let mut recipe = match &arguments.config {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            TrainConfig::from_toml(&text).with_context(|| path.display().to_string())?
        }
        None => {
            let preset = TrainConfig::preset(&arguments.preset);
            let mut preset = preset.with_context(|| format!("--preset: no recipe `{}`", arguments.preset))?;
            preset.optimizer.rational_input_size = PRETRAINED_GATE;
            preset
        }
    };
    recipe.steps = arguments.steps.unwrap_or(recipe.steps);
    recipe.validate()?;
    Ok(recipe)
}

/// What the run itself would refuse, before the model is opened and converted for it.
fn check_output(arguments: &Arguments) -> Result<()> {
    output::check_folder(&arguments.output)?;
    let path = RunOptions::new(&arguments.output).checkpoints();
    match (checkpoint::list(&path)?.pop(), arguments.resume) {
        (Some(newest), false) => {
            let step = newest.step;
            Err(TrainError::UsedFolder { path, from: 0, step }.into())
        }
        (None, true) => bail!(
            "{}: expected a checkpoint to go on from, found none; begin without --resume",
            path.display()
        ),
        _ => Ok(()),
    }
}

/// What is trained on, and what is held out.
fn conversations(arguments: &Arguments, seed: u64) -> Result<(Source, Option<Source>)> {
    let all = arguments.hub.conversations(&arguments.data)?;
    if let Some(path) = &arguments.held_out {
        return Ok((all, Some(arguments.hub.conversations(path)?)));
    }
    let Some(share) = arguments.held_out_share else {
        return Ok((all, None));
    };
    let (source, held_out) = all.split(share, seed)?;
    Ok((source, Some(held_out)))
}

fn held_out_rows(source: Option<Source>, tokenizer: &ChatTokenizer, recipe: &TrainConfig) -> Result<Vec<PackedRow>> {
    let Some(source) = source else {
        return Ok(Vec::new());
    };
    if recipe.eval_rows == 0 {
        bail!("eval_rows in the recipe: expected at least 1 row to evaluate on, found 0; raise it or hold nothing out");
    }
    training::held_out_rows(source, tokenizer, recipe)
}

/// A run from the first step, of the model or of what becomes of it with another feed-forward.
fn start<B: StepBackend>(
    arguments: &Arguments,
    recipe: TrainConfig,
    source: &Source,
    device: &B::Device,
) -> Result<Trainer<Autodiff<B>>> {
    let opened = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let (model, config) = (opened.loaded.model, opened.loaded.config);
    let (sequence_length, positions) = (recipe.sequence_length, config.max_position_embeddings);
    if sequence_length > positions {
        bail!(TrainError::SequenceTooLong {
            sequence_length,
            positions
        });
    }
    let (model, config) = match arguments.feed_forward {
        Some(kind) if training::kinds(&config) != kind.name() => match kind {
            FeedForwardKind::GatedRational => {
                advise(&recipe);
                training::to_gated_rational(model, &config, source, &opened.tokenizer)?
            }
            _ => training::fresh_feed_forward(&model, &config, kind, recipe.seed, device)?,
        },
        _ => (model, config),
    };
    Ok(Trainer::new(
        training::tracked(model, &config, device)?,
        config,
        recipe,
    )?)
}

/// A recipe from scratch lets the coefficients of a pretrained model's gates move much too fast (docs/log.md).
fn advise(recipe: &TrainConfig) {
    if recipe.optimizer.rational_input_size == 1.0 {
        eprintln!(
            "the recipe has rational_input_size = 1, which suits a model from scratch; for the gates of a pretrained \
             one add this line to [optimizer]:\n  rational_input_size = {PRETRAINED_GATE:.1}"
        );
    }
}

/// A resumed run has the feed-forward of its checkpoint, whatever the flag says.
fn check_kind<B: StepBackend>(arguments: &Arguments, trainer: &Trainer<Autodiff<B>>) -> Result<()> {
    let found = training::kinds(trainer.model_config());
    match arguments.feed_forward {
        Some(kind) if found != kind.name() => bail!(
            "--feed-forward: expected {found}, which the checkpoint in {} has, found {kind}; leave the flag out or \
             begin in another folder",
            arguments.output.display()
        ),
        _ => Ok(()),
    }
}

fn print_end(arguments: &Arguments, rows: &ConversationRows) {
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
}
