//! cargo run --release --example sft -- --model M --feed-forward gated-rational --data D --config recipe.toml --output out
//! Short: `cargo run --release --example sft -- --model compare-output/swiglu/seed-1/model --data compare-output/synthetic/seed-1/train.jsonl --preset quick --output compare-output/sft`
//!
//! Supervised fine-tuning. Checkpoints are complete models in the Hugging Face layout; `--resume` continues from the
//! newest intact one, with the recipe and the tokenizer of the run.
//!
//! On SIGTERM or Ctrl-C the run finishes its step, saves a checkpoint, and exits with status 143 or 130. A second
//! signal ends it immediately.

use anyhow::{Context, Error, Result};
use clap::{ArgGroup, Parser};
use examples::device::DeviceKind;
use examples::hub::HubFlags;
use examples::on_device;
use examples::progress::Training;
use examples::signals::Signals;
use examples::terminal::{note, print_line};
use kallm::fine_tuning::{FineTuning, FineTuningPlan, HeldOut, Resumed, Resumption};
use kallm::hub::ModelSource;
use kallm::training::PRETRAINED_GATE;
use kallm::{KallmError, files};
use smollm2_model::FeedForwardKind;
use smollm2_train::{RunOrigin, StepBackend, TrainConfig};
use smoltalk_data::LoaderCounts;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Supervised fine-tuning")]
#[command(group(ArgGroup::new("recipe").args(["config", "preset", "resume"]).required(true).multiple(true)))]
struct Arguments {
    /// Folder, .gguf file or hub id to start from. Not needed with --resume.
    #[arg(long, required_unless_present = "resume")]
    model: Option<ModelSource>,
    /// Feed-forward to train. For gated-rational, a SwiGLU model is converted; the other kinds start from random
    /// weights in each layer. The default is the model's own.
    #[arg(long)]
    feed_forward: Option<FeedForwardKind>,
    /// Conversations: a .jsonl or .parquet file, a folder, or a hub id
    /// (`owner/name[@revision][:configuration[:split]]`).
    #[arg(long)]
    data: PathBuf,
    /// Conversations for the held-out loss.
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// Fraction of --data to hold out, instead of --held-out. It must be the same when a run is resumed.
    #[arg(long, conflicts_with = "held_out", allow_negative_numbers = true)]
    held_out_share: Option<f64>,
    /// TOML file with the recipe. A recipe is required: give --config or --preset, or continue a run with --resume.
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Name of a built-in recipe. `quick` takes seconds on a CPU and only shows that everything works. `sft-smol` is
    /// the published recipe of SmolLM2-135M and 360M, and `sft-1.7b` that of SmolLM2-1.7B.
    #[arg(long, value_parser = ["quick", "sft-smol", "sft-1.7b"])]
    preset: Option<String>,
    /// Optimiser steps, instead of the recipe's. With --resume a larger number extends the run.
    #[arg(long)]
    steps: Option<usize>,
    /// Output folder for checkpoints, the recipe, metrics.jsonl and loss.svg.
    #[arg(long)]
    output: PathBuf,
    /// Continue from the newest intact checkpoint in --output, with its recipe and tokenizer.
    #[arg(long)]
    resume: bool,
    /// With --resume: use the recipe of --config or --preset although it differs from the run's. Fields that determine
    /// the order of the data must not change.
    #[arg(long, requires = "resume")]
    change_recipe: bool,
    /// Name of the GPU, needed to log the model FLOPs utilisation. Unknown names log none.
    #[arg(long)]
    device_name: Option<String>,
    /// Device to compute on.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    #[command(flatten)]
    hub: HubFlags,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let signals = Signals::listen()?;
    on_device!(arguments.device, |Backend, device| run::<Backend>(
        &arguments, &signals, &device
    ))
}

fn run<B: StepBackend>(arguments: &Arguments, signals: &Signals, device: &B::Device) -> Result<ExitCode> {
    files::check_folder(&arguments.output)?;
    let mut observer = Training::new("sft", false).until(signals);
    let mut run = if arguments.resume {
        match arguments.resumed::<B>(device, &mut observer)? {
            Resumed::Ready(run) => *run,
            Resumed::Finished { steps } => {
                print_line(format_args!(
                    "nothing left to do: the run has made all {steps} steps of its recipe; a larger --steps extends it"
                ))?;
                return Ok(ExitCode::SUCCESS);
            }
        }
    } else {
        arguments.begun::<B>(device, &mut observer)?
    };
    note(run.record());
    note(format_args!("recipe\n{}", run.recipe().to_toml()?));
    signals.hold();
    run.run(&mut observer)?;
    print_line(arguments.end(&run.counts()))?;
    let (made, steps) = (run.step_count(), run.recipe().steps);
    match signals.received() {
        Some(status) if made < steps => {
            print_line(format_args!(
                "stopped by a signal after step {made} of {steps}; --resume continues"
            ))?;
            Ok(ExitCode::from(status))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

impl Arguments {
    fn begun<B: StepBackend>(&self, device: &B::Device, observer: &mut Training) -> Result<FineTuning<B>> {
        let recipe = self.recipe()?;
        let mut recipe = recipe.context("--config or --preset: expected a recipe, found none")?;
        recipe.steps = self.steps.unwrap_or(recipe.steps);
        let source = self.model.as_ref().context("--model: expected a model, found none")?;
        let model = self.hub.model(source)?;
        let plan = self.plan(model_name(source, &model))?;
        Ok(FineTuning::begin(plan, &model, recipe, device, observer)?)
    }

    fn resumed<B: StepBackend>(&self, device: &B::Device, observer: &mut Training) -> Result<Resumed<B>> {
        let plan = self.plan(self.model.as_ref().map(ToString::to_string).unwrap_or_default())?;
        let given = Resumption {
            recipe: self.recipe()?,
            steps: self.steps,
            change_recipe: self.change_recipe,
        };
        FineTuning::resume(plan, &given, device, observer).map_err(|error| self.with_flags(error))
    }

    fn plan(&self, model: String) -> Result<FineTuningPlan> {
        let held_out = match (&self.held_out, self.held_out_share) {
            (Some(path), _) => HeldOut::Conversations(self.hub.conversations(path)?),
            (None, Some(share)) => HeldOut::Share(share),
            (None, None) => HeldOut::Nothing,
        };
        let held_out_name = self.held_out.as_ref().map(|path| path.display().to_string());
        let device = match &self.device_name {
            Some(name) => format!("{}, {name}", self.device),
            None => self.device.to_string(),
        };
        Ok(FineTuningPlan {
            training: self.hub.conversations(&self.data)?,
            held_out,
            feed_forward: self.feed_forward,
            output: self.output.clone(),
            origin: RunOrigin {
                model,
                data: self.data.display().to_string(),
                held_out: held_out_name.unwrap_or_default(),
                device,
            },
            device_name: self.device_name.clone(),
        })
    }

    /// The recipe of --config or --preset.
    fn recipe(&self) -> Result<Option<TrainConfig>> {
        if let Some(path) = &self.config {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let recipe = TrainConfig::from_toml(&text).with_context(|| path.display().to_string())?;
            return Ok(Some(recipe));
        }
        let Some(name) = &self.preset else { return Ok(None) };
        let preset = TrainConfig::preset(name);
        let mut preset = preset.with_context(|| format!("--preset: no recipe `{name}`"))?;
        preset.optimizer.rational_input_size = PRETRAINED_GATE;
        Ok(Some(preset))
    }

    /// Names the flag that contradicts the run.
    fn with_flags(&self, error: KallmError) -> Error {
        match error {
            KallmError::OtherRun { setting, run, given } => {
                let flag = setting.replace('_', "-");
                let remedy = match setting {
                    "steps" => "leave the flag out, or give --change-recipe too",
                    _ => "leave the flag out, or begin in another folder",
                };
                Error::msg(format!("--{flag}: the run {run}, given {given}; {remedy}"))
            }
            KallmError::OtherRecipe { differences } => {
                let flag = self.config.as_ref().map_or("--preset", |_| "--config");
                Error::msg(format!(
                    "{flag}: the recipe is not that of the run:{differences}\nleave the flag out, or give --change-recipe too"
                ))
            }
            other => other.into(),
        }
    }

    fn end(&self, counts: &LoaderCounts) -> String {
        let packing = counts.packing;
        format!(
            "trained on {} rows, {} tokens ({} targets)\n\
             packed for them: {} conversations, {} tokens in, {} in rows, {} truncated, {} dropped\n\
             skipped {} records that cannot be used\n\
             checkpoints, train.toml, run.json, metrics.jsonl and loss.svg are in {}",
            counts.rows,
            counts.tokens,
            counts.targets,
            packing.conversations,
            packing.tokens_in,
            packing.tokens_out,
            packing.tokens_truncated,
            packing.tokens_dropped,
            counts.bad_records,
            self.output.display()
        )
    }
}

/// The name of the model as given. For a hub id, it includes the commit, which is the name of the folder in the cache.
fn model_name(source: &ModelSource, path: &Path) -> String {
    match (source, path.file_name()) {
        (ModelSource::Hub(_), Some(commit)) => format!("{source}, commit {}", commit.display()),
        _ => source.to_string(),
    }
}
