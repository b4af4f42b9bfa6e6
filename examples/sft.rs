//! cargo run --release --example sft -- --model M --feed-forward gated-rational --data D --config recipe.toml --output out
//! Short: `cargo run --release --example sft -- --model compare-output/swiglu/model --data compare-output/synthetic/train.jsonl --preset quick --output compare-output/sft`
//!
//! Supervised fine-tuning. Checkpoints are complete models in the Hugging Face layout; `--resume` continues from the
//! newest intact one, with the recipe and the tokenizer of the run.
//!
//! On SIGTERM or Ctrl-C the run makes its step, saves, and ends with status 143 or 130; a second signal ends it at once.

use anyhow::{Context, Result, bail};
use burn::backend::Autodiff;
use clap::{ArgGroup, Parser};
use examples::device::DeviceKind;
use examples::hub::HubFlags;
use examples::progress::{Loading, Spinner, Training, conversion};
use examples::signals::Signals;
use examples::terminal::{note, print_line};
use examples::{on_device, open};
use kallm::files;
use kallm::training::{self, PRETRAINED_GATE};
use smollm2_model::weights::ModelSource;
use smollm2_model::{FeedForwardKind, SmolLm2, SmolLm2Config};
use smollm2_train::checkpoint::{self, Checkpoint};
use smollm2_train::{RunOptions, RunOrigin, RunRecord, StepBackend, TrainConfig, TrainError, Trainer};
use smoltalk_data::{ChatTokenizer, DataLoader, PackedRow, Source};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Supervised fine-tuning")]
#[command(group(ArgGroup::new("recipe").args(["config", "preset", "resume"]).required(true).multiple(true)))]
struct Arguments {
    /// Folder, .gguf file or hub id to start from. Not needed with --resume.
    #[arg(long, required_unless_present = "resume")]
    model: Option<ModelSource>,
    /// Feed-forward to train: a SwiGLU model is converted to gated-rational; the others start from scratch in each
    /// layer. The model's own without it.
    #[arg(long)]
    feed_forward: Option<FeedForwardKind>,
    /// Conversations: a .jsonl or .parquet file, a folder, or a hub id (`owner/name[@revision][:configuration[:split]]`).
    #[arg(long)]
    data: PathBuf,
    /// Conversations for the held-out loss.
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// Share of --data to hold out instead; a resumed run needs the same.
    #[arg(long, conflicts_with = "held_out", allow_negative_numbers = true)]
    held_out_share: Option<f64>,
    /// A recipe in TOML. A recipe must be named: this, --preset, or --resume for that of the run.
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// A recipe by name: `quick` takes seconds on a CPU and only shows that everything works; `sft-smol` is the published
    /// one of SmolLM2-135M and 360M, `sft-1.7b` that of SmolLM2-1.7B.
    #[arg(long, value_parser = ["quick", "sft-smol", "sft-1.7b"])]
    preset: Option<String>,
    /// Optimiser steps, instead of the recipe's. With --resume a larger number extends the run.
    #[arg(long)]
    steps: Option<usize>,
    /// Checkpoints, the recipe, metrics.jsonl and loss.svg go here.
    #[arg(long)]
    output: PathBuf,
    /// Continue from the newest intact checkpoint in --output, with its recipe and tokenizer.
    #[arg(long)]
    resume: bool,
    /// With --resume: take the recipe of --config or --preset although the run's differs. What decides the order of the
    /// data must stay.
    #[arg(long, requires = "resume")]
    change_recipe: bool,
    /// Name of the device, for the share of its peak; unknown ones give none.
    #[arg(long)]
    device_name: Option<String>,
    /// Where to compute.
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

/// A run before its first step in this process.
struct Run<B: StepBackend> {
    trainer: Trainer<Autodiff<B>>,
    rows: DataLoader,
    held_out: Vec<PackedRow>,
    tokenizer: ChatTokenizer,
    origin: RunOrigin,
}

fn run<B: StepBackend>(arguments: &Arguments, signals: &Signals, device: &B::Device) -> Result<ExitCode> {
    files::check_folder(&arguments.output)?;
    let mut observer = Training::new("sft", false).until(signals);
    let run = if arguments.resume {
        resume::<B>(arguments, &mut observer, device)?
    } else {
        Some(begin::<B>(arguments, device)?)
    };
    let Some(mut run) = run else {
        return Ok(ExitCode::SUCCESS);
    };
    let save_tokenizer = training::tokenizer_saver(&run.tokenizer);
    let options = RunOptions {
        origin: run.origin,
        device_name: arguments.device_name.clone(),
        companions: &save_tokenizer,
        ..RunOptions::new(&arguments.output)
    };
    note(run.trainer.record(&options.origin));
    note(format_args!("recipe\n{}", run.trainer.config().to_toml()?));
    signals.hold();
    run.trainer.run(&mut run.rows, &run.held_out, &options, &mut observer)?;
    print_end(arguments, &run.rows)?;
    let (made, steps) = (run.trainer.step_count(), run.trainer.config().steps);
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

/// A run from the first step, of the model or of what becomes of it with another feed-forward.
fn begin<B: StepBackend>(arguments: &Arguments, device: &B::Device) -> Result<Run<B>> {
    let recipe = named_recipe(arguments)?.context("--config or --preset: expected a recipe, found none")?;
    refuse_used(arguments)?;
    let source = arguments
        .model
        .as_ref()
        .context("--model: expected a model, found none")?;
    let resolved = arguments.hub.model(source)?;
    let tokenizer = kallm::open::tokenizer(&resolved)?;
    let (data, held_out) = conversations(arguments)?;
    let held_out = held_out_rows(held_out, &tokenizer, &recipe)?;
    let rows = DataLoader::new(data.clone(), tokenizer.clone(), recipe.data.clone())?
        .with_observer(Box::new(Loading::default()));
    let (model, _) = open::model::<B>(&resolved, &arguments.hub, device)?.into_parts();
    let (sequence_length, positions) = (recipe.data.sequence_length, model.config().max_position_embeddings);
    if sequence_length > positions {
        bail!(TrainError::SequenceTooLong {
            sequence_length,
            positions
        });
    }
    let model = with_feed_forward(arguments, model, &recipe, &data, &tokenizer)?;
    let model = training::with_chat_tokens(model, &tokenizer)?;
    Ok(Run {
        trainer: Trainer::new(model.tracked::<Autodiff<B>>(), recipe)?,
        rows,
        held_out,
        tokenizer,
        origin: origin(arguments, model_name(source, &resolved)),
    })
}

/// The run in the output folder; `None` when nothing is left to do.
fn resume<B: StepBackend>(
    arguments: &Arguments,
    observer: &mut Training,
    device: &B::Device,
) -> Result<Option<Run<B>>> {
    let spinner = Spinner::new("verifying checkpoints");
    let found = checkpoint::latest(&RunOptions::new(&arguments.output).checkpoints())?;
    drop(spinner);
    observer.passed_over(&found.rejected);
    let checkpoint = found.checkpoint;
    let recipe = resumed_recipe(arguments, &checkpoint)?;
    let origin = resumed_origin(arguments, checkpoint.record()?.as_ref())?;
    if checkpoint.step >= recipe.steps {
        print_line(format_args!(
            "nothing left to do: the run has made all {} steps of its recipe; a larger --steps extends it",
            recipe.steps
        ))?;
        return Ok(None);
    }
    let tokenizer = ChatTokenizer::open(&checkpoint.folder)
        .with_context(|| format!("the tokenizer of {}", checkpoint.folder.display()))?;
    let (data, held_out) = conversations(arguments)?;
    let held_out = held_out_rows(held_out, &tokenizer, &recipe)?;
    let mut rows =
        DataLoader::new(data, tokenizer.clone(), recipe.data.clone())?.with_observer(Box::new(Loading::default()));
    observer.resuming();
    let trainer = Trainer::resume(&checkpoint, recipe, device, &mut rows)?;
    kallm::open::check_vocabulary(&tokenizer, trainer.model().config())?;
    check_kind(arguments, trainer.model().config())?;
    Ok(Some(Run {
        trainer,
        rows,
        held_out,
        tokenizer,
        origin,
    }))
}

/// The recipe of --config or --preset with --steps.
fn named_recipe(arguments: &Arguments) -> Result<Option<TrainConfig>> {
    let mut recipe = match (&arguments.config, &arguments.preset) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            TrainConfig::from_toml(&text).with_context(|| path.display().to_string())?
        }
        (None, Some(name)) => {
            let preset = TrainConfig::preset(name);
            let mut preset = preset.with_context(|| format!("--preset: no recipe `{name}`"))?;
            preset.optimizer.rational_input_size = PRETRAINED_GATE;
            preset
        }
        (None, None) => return Ok(None),
    };
    recipe.steps = arguments.steps.unwrap_or(recipe.steps);
    recipe.validate()?;
    Ok(Some(recipe))
}

/// The recipe of the run; flags that contradict it are refused by name.
fn resumed_recipe(arguments: &Arguments, checkpoint: &Checkpoint) -> Result<TrainConfig> {
    let run = checkpoint.recipe()?;
    let mut recipe = run.clone();
    recipe.steps = arguments.steps.unwrap_or(run.steps);
    recipe.validate()?;
    if recipe.steps < run.steps && !arguments.change_recipe {
        bail!(
            "--steps: the run has {} steps, given {}; leave the flag out, or give --change-recipe too",
            run.steps,
            recipe.steps
        );
    }
    let Some(given) = named_recipe(arguments)? else {
        return Ok(recipe);
    };
    if arguments.change_recipe {
        return Ok(given);
    }
    let flag = if arguments.config.is_some() {
        "--config"
    } else {
        "--preset"
    };
    let differences = recipe.differences(&given)?.into_iter();
    let differences: Vec<String> = differences
        .map(|difference| {
            let (field, run, given) = (difference.field, difference.here, difference.there);
            format!("\n  {field}: the run has {run}, given {given}")
        })
        .collect();
    if !differences.is_empty() {
        bail!(
            "{flag}: the recipe is not that of the run:{}\nleave the flag out, or give --change-recipe too",
            differences.concat()
        );
    }
    Ok(recipe)
}

/// What the run was started from, which flags must not contradict. Older checkpoints have no record of it.
fn resumed_origin(arguments: &Arguments, record: Option<&RunRecord>) -> Result<RunOrigin> {
    let given = arguments.model.as_ref().map(ToString::to_string);
    let Some(record) = record else {
        return Ok(origin(arguments, given.unwrap_or_default()));
    };
    let run = &record.origin;
    if let Some(given) = given
        && given != run.model
        && !run.model.starts_with(&format!("{given}, commit "))
    {
        bail!(
            "--model: the run started from {}, given {given}; leave the flag out, or begin in another folder",
            run.model
        );
    }
    let now = origin(arguments, run.model.clone());
    // Another share would leave other conversations to train on; other held-out data only changes what is measured.
    let is_share = |held_out: &str| held_out.starts_with(SHARE);
    if now.held_out != run.held_out && (is_share(&now.held_out) || is_share(&run.held_out)) {
        bail!(
            "--held-out-share: the run has {}, given {}",
            named_or_none(&run.held_out),
            named_or_none(&now.held_out)
        );
    }
    Ok(now)
}

/// How a share of the training data is called in the record of a run.
const SHARE: &str = "share ";

fn named_or_none(held_out: &str) -> &str {
    if held_out.is_empty() { "none" } else { held_out }
}

fn origin(arguments: &Arguments, model: String) -> RunOrigin {
    let held_out = match (&arguments.held_out, arguments.held_out_share) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(share)) => format!("{SHARE}{share}"),
        (None, None) => String::new(),
    };
    RunOrigin {
        model,
        data: arguments.data.display().to_string(),
        held_out,
        device: arguments
            .device_name
            .as_ref()
            .map_or(arguments.device.to_string(), |name| {
                format!("{}, {name}", arguments.device)
            }),
    }
}

/// The model as it was given; of a hub id the commit too, which names the folder in the cache.
fn model_name(source: &ModelSource, resolved: &ModelSource) -> String {
    match (source, resolved) {
        (ModelSource::Hub(_), ModelSource::Folder(folder)) => {
            let commit = folder.file_name().unwrap_or_default();
            format!("{source}, commit {}", commit.display())
        }
        _ => source.to_string(),
    }
}

/// What the run itself would refuse, before the model is opened and converted for it.
fn refuse_used(arguments: &Arguments) -> Result<()> {
    let options = RunOptions::new(&arguments.output);
    options.check_folder()?;
    let path = options.checkpoints();
    match checkpoint::list(&path)?.pop() {
        Some(newest) => bail!(TrainError::UsedFolder {
            path,
            from: 0,
            step: newest.step
        }),
        None => Ok(()),
    }
}

/// What is trained on, and what is held out.
fn conversations(arguments: &Arguments) -> Result<(Source, Option<Source>)> {
    let all = arguments.hub.conversations(&arguments.data)?;
    if let Some(path) = &arguments.held_out {
        return Ok((all, Some(arguments.hub.conversations(path)?)));
    }
    let Some(share) = arguments.held_out_share else {
        return Ok((all, None));
    };
    let (source, held_out) = training::hold_out(all, share)?;
    Ok((source, Some(held_out)))
}

fn held_out_rows(source: Option<Source>, tokenizer: &ChatTokenizer, recipe: &TrainConfig) -> Result<Vec<PackedRow>> {
    let Some(source) = source else {
        return Ok(Vec::new());
    };
    if recipe.eval_rows == 0 {
        bail!("eval_rows in the recipe: expected at least 1 row to evaluate on, found 0; raise it or hold nothing out");
    }
    Ok(training::held_out_rows(
        source,
        tokenizer,
        recipe,
        Box::new(Loading::default()),
    )?)
}

fn with_feed_forward<B: StepBackend>(
    arguments: &Arguments,
    model: SmolLm2<B>,
    recipe: &TrainConfig,
    data: &Source,
    tokenizer: &ChatTokenizer,
) -> Result<SmolLm2<B>> {
    match arguments.feed_forward {
        Some(kind) if training::kinds(model.config()) != kind.name() => match kind {
            FeedForwardKind::GatedRational => {
                advise(recipe);
                let system_prompt = recipe.data.system_prompt;
                Ok(training::to_gated_rational(
                    model,
                    data,
                    tokenizer,
                    system_prompt,
                    conversion(),
                )?)
            }
            _ => Ok(training::fresh_feed_forward(&model, kind, recipe.data.seed)?),
        },
        _ => Ok(model),
    }
}

/// A recipe from scratch lets the coefficients of a pretrained model's gates move much too fast (docs/log.md).
fn advise(recipe: &TrainConfig) {
    if recipe.optimizer.rational_input_size == 1.0 {
        note(format_args!(
            "the recipe has rational_input_size = 1, which suits a model from scratch; for the gates of a pretrained \
             one add this line to [optimizer]:\n  rational_input_size = {PRETRAINED_GATE:.1}"
        ));
    }
}

/// A resumed run has the feed-forward of its checkpoint.
fn check_kind(arguments: &Arguments, model: &SmolLm2Config) -> Result<()> {
    let found = training::kinds(model);
    match arguments.feed_forward {
        Some(kind) if found != kind.name() => bail!(
            "--feed-forward: the run in {} has {found}, given {kind}; leave the flag out or begin in another folder",
            arguments.output.display()
        ),
        _ => Ok(()),
    }
}

fn print_end(arguments: &Arguments, rows: &DataLoader) -> Result<()> {
    let counts = rows.counts();
    let packing = counts.packing;
    print_line(format_args!(
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
        arguments.output.display()
    ))?;
    Ok(())
}
