//! Supervised fine-tuning as one run: from the first step, or from the newest checkpoint.

use crate::error::{AtPlace, KallmError, Result};
use crate::training::{self, PRETRAINED_GATE, StartObserver};
use burn::backend::Autodiff;
use smollm2_infer::{Engine, open_tokenizer};
use smollm2_model::{FeedForwardKind, SmolLm2, SmolLm2Config};
use smollm2_train::checkpoint::{self, Checkpoint};
use smollm2_train::{RunOptions, RunOrigin, RunRecord, StepBackend, TrainConfig, TrainError, TrainObserver, Trainer};
use smoltalk_data::{ChatTokenizer, DataLoader, LoaderCounts, PackedRow, Source};
use std::path::{Path, PathBuf};

/// The name of a share of the training data in the record of a run.
const SHARE: &str = "share ";

/// What the held-out loss is of.
pub enum HeldOut {
    /// Nothing: the run has no held-out loss.
    Nothing,
    /// Separate conversations.
    Conversations(Source),
    /// This share of the training data, between 0 and 1. A resumed run needs the same.
    Share(f64),
}

/// What a run reads and where it writes.
pub struct FineTuningPlan {
    /// Conversations to train on.
    pub training: Source,
    /// What the held-out loss is of.
    pub held_out: HeldOut,
    /// Feed-forward to train: a SwiGLU model is converted to gated rational; the others start from scratch in each
    /// layer. The model's own when absent.
    pub feed_forward: Option<FeedForwardKind>,
    /// Folder for checkpoints, recipe, metrics and the loss curve.
    pub output: PathBuf,
    /// Names for the record of the run. If a model is named, it must be the one a resumed run was started from.
    pub origin: RunOrigin,
    /// The device's name, to compute MFU; an unknown one gives none.
    pub device_name: Option<String>,
}

/// Settings given to a resumed run, which has its own.
#[derive(Default)]
pub struct Resumption {
    /// Refused unless it equals the run's recipe or `change_recipe` is set.
    pub recipe: Option<TrainConfig>,
    /// A larger number of steps extends the run.
    pub steps: Option<usize>,
    /// Accept a different recipe or fewer steps. Fields that determine the order of the data must not change.
    pub change_recipe: bool,
}

/// The result of opening a run to resume.
pub enum Resumed<B: StepBackend> {
    /// It can continue.
    Ready(Box<FineTuning<B>>),
    /// It has made all its steps.
    Finished {
        /// How many.
        steps: usize,
    },
}

/// A run before its first step in this process.
pub struct FineTuning<B: StepBackend> {
    trainer: Trainer<Autodiff<B>>,
    rows: DataLoader,
    held_out: Vec<PackedRow>,
    tokenizer: ChatTokenizer,
    origin: RunOrigin,
    output: PathBuf,
    device_name: Option<String>,
}

impl<B: StepBackend> FineTuning<B> {
    /// Starts a run from the first step with the model in a folder or .gguf file, converted if another feed-forward is
    /// asked for. Anything that the run would refuse is refused before the model is loaded.
    ///
    /// # Errors
    /// When the output folder is in use, or when recipe, data or model are unusable or do not fit together.
    pub fn begin(
        plan: FineTuningPlan,
        model: &Path,
        recipe: TrainConfig,
        device: &B::Device,
        observer: &mut dyn StartObserver,
    ) -> Result<Self> {
        recipe.validate()?;
        refuse_used(&plan)?;
        let origin = plan.origin();
        let tokenizer = open_tokenizer(model)?;
        let (data, held_out) = conversations(plan.training, plan.held_out)?;
        let held_out = held_out_rows(held_out, &tokenizer, &recipe, observer)?;
        let rows = DataLoader::new(data.clone(), tokenizer.clone(), recipe.data.clone())?;
        let rows = rows.with_observer(observer.reading());
        observer.working("loading the model");
        let (model, _) = Engine::<B>::open(model, device)?.into_parts();
        check_length(&recipe, &model)?;
        let model = with_feed_forward(plan.feed_forward, model, &recipe, &data, &tokenizer, observer)?;
        let model = training::with_chat_tokens(model, &tokenizer)?;
        Ok(Self {
            trainer: Trainer::new(model.tracked::<Autodiff<B>>(), recipe)?,
            rows,
            held_out,
            tokenizer,
            origin,
            output: plan.output,
            device_name: plan.device_name,
        })
    }

    /// Resumes the run in the output folder from its newest intact checkpoint, with its recipe and tokenizer.
    ///
    /// # Errors
    /// [`KallmError::OtherRun`] and [`KallmError::OtherRecipe`] when a given setting differs from the run's; when there
    /// is no intact checkpoint, or the data are not those of the run.
    pub fn resume(
        plan: FineTuningPlan,
        given: &Resumption,
        device: &B::Device,
        observer: &mut dyn StartObserver,
    ) -> Result<Resumed<B>> {
        observer.working("verifying checkpoints");
        let found = checkpoint::latest(&RunOptions::new(&plan.output).checkpoints())?;
        for reason in &found.rejected {
            observer.note(&format!("passed over a checkpoint: {reason}"));
        }
        let checkpoint = found.checkpoint;
        let recipe = resumed_recipe(given, &checkpoint)?;
        let origin = resumed_origin(plan.origin(), checkpoint.record()?.as_ref())?;
        if checkpoint.step >= recipe.steps {
            return Ok(Resumed::Finished { steps: recipe.steps });
        }
        let plan = FineTuningPlan { origin, ..plan };
        let run = Self::from_checkpoint(plan, &checkpoint, recipe, device, observer)?;
        Ok(Resumed::Ready(Box::new(run)))
    }

    fn from_checkpoint(
        plan: FineTuningPlan,
        checkpoint: &Checkpoint,
        recipe: TrainConfig,
        device: &B::Device,
        observer: &mut dyn StartObserver,
    ) -> Result<Self> {
        let tokenizer = ChatTokenizer::open(&checkpoint.folder)
            .at_place(|| format!("the tokenizer of {}", checkpoint.folder.display()))?;
        let (data, held_out) = conversations(plan.training, plan.held_out)?;
        let held_out = held_out_rows(held_out, &tokenizer, &recipe, observer)?;
        let rows = DataLoader::new(data, tokenizer.clone(), recipe.data.clone())?;
        let mut rows = rows.with_observer(observer.reading());
        observer.working("resuming from the newest checkpoint");
        let trainer = Trainer::resume(checkpoint, recipe, device, &mut rows)?;
        check_vocabulary(&tokenizer, trainer.model().config())?;
        let run = Self {
            trainer,
            rows,
            held_out,
            tokenizer,
            origin: plan.origin,
            output: plan.output,
            device_name: plan.device_name,
        };
        run.check_kind(plan.feed_forward)?;
        Ok(run)
    }

    /// What is trained, on what and with which version.
    pub fn record(&self) -> RunRecord {
        self.trainer.record(&self.origin)
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> &TrainConfig {
        self.trainer.config()
    }

    /// Steps made so far.
    pub fn step_count(&self) -> usize {
        self.trainer.step_count()
    }

    /// Counts of what was read, packed and trained on so far.
    pub fn counts(&self) -> LoaderCounts {
        self.rows.counts()
    }

    /// Trains to the last step of the recipe, or until the observer asks to stop. Every checkpoint is a complete model
    /// with its tokenizer.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn run(&mut self, observer: &mut dyn TrainObserver) -> Result<()> {
        let save_tokenizer = training::tokenizer_saver(&self.tokenizer);
        let options = RunOptions {
            origin: self.origin.clone(),
            device_name: self.device_name.clone(),
            companions: &save_tokenizer,
            ..RunOptions::new(&self.output)
        };
        self.trainer.run(&mut self.rows, &self.held_out, &options, observer)?;
        Ok(())
    }

    /// A resumed run has the feed-forward of its checkpoint.
    fn check_kind(&self, given: Option<FeedForwardKind>) -> Result<()> {
        let found = training::kinds(self.trainer.model().config());
        match given {
            Some(kind) if found != kind.name() => Err(KallmError::OtherRun {
                setting: "feed_forward",
                run: format!("in {} has {found}", self.output.display()),
                given: kind.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

impl FineTuningPlan {
    fn origin(&self) -> RunOrigin {
        let held_out = match self.held_out {
            HeldOut::Nothing => String::new(),
            HeldOut::Conversations(_) => self.origin.held_out.clone(),
            HeldOut::Share(share) => format!("{SHARE}{share}"),
        };
        RunOrigin {
            held_out,
            ..self.origin.clone()
        }
    }
}

/// Refuses what the run itself would refuse, before the model is opened and converted.
fn refuse_used(plan: &FineTuningPlan) -> Result<()> {
    let options = RunOptions::new(&plan.output);
    options.check_folder()?;
    let path = options.checkpoints();
    let Some(newest) = checkpoint::list(&path)?.pop() else {
        return Ok(());
    };
    let step = newest.step;
    Err(TrainError::UsedFolder { path, from: 0, step }.into())
}

/// What is trained on, and what is held out.
fn conversations(training: Source, held_out: HeldOut) -> Result<(Source, Option<Source>)> {
    Ok(match held_out {
        HeldOut::Nothing => (training, None),
        HeldOut::Conversations(held_out) => (training, Some(held_out)),
        HeldOut::Share(share) => {
            let (training, held_out) = training::hold_out(training, share)?;
            (training, Some(held_out))
        }
    })
}

fn held_out_rows(
    source: Option<Source>,
    tokenizer: &ChatTokenizer,
    recipe: &TrainConfig,
    observer: &mut dyn StartObserver,
) -> Result<Vec<PackedRow>> {
    let Some(source) = source else {
        return Ok(Vec::new());
    };
    if recipe.eval_rows == 0 {
        let (expected, remedy) = (
            "at least 1 row to evaluate on",
            "raise it in the recipe or hold nothing out",
        );
        return Err(KallmError::unusable("eval_rows", expected, "0", remedy));
    }
    training::held_out_rows(source, tokenizer, recipe, observer.reading())
}

/// Refuses a tokenizer that has ids beyond the model's vocabulary.
fn check_vocabulary(tokenizer: &ChatTokenizer, model: &SmolLm2Config) -> Result<()> {
    let (ids, vocabulary) = (tokenizer.vocab_size(), model.vocab_size);
    if ids > vocabulary {
        let expected = format!("at most {vocabulary} ids, the model's vocabulary");
        let remedy = "they do not belong together";
        return Err(KallmError::unusable("tokenizer", expected, ids.to_string(), remedy));
    }
    Ok(())
}

fn check_length<B: StepBackend>(recipe: &TrainConfig, model: &SmolLm2<B>) -> Result<()> {
    let (sequence_length, positions) = (recipe.data.sequence_length, model.config().max_position_embeddings);
    if sequence_length > positions {
        return Err(TrainError::SequenceTooLong {
            sequence_length,
            positions,
        }
        .into());
    }
    Ok(())
}

fn with_feed_forward<B: StepBackend>(
    wanted: Option<FeedForwardKind>,
    model: SmolLm2<B>,
    recipe: &TrainConfig,
    data: &Source,
    tokenizer: &ChatTokenizer,
    observer: &mut dyn StartObserver,
) -> Result<SmolLm2<B>> {
    let Some(kind) = wanted.filter(|kind| training::kinds(model.config()) != kind.name()) else {
        return Ok(model);
    };
    if kind != FeedForwardKind::GatedRational {
        return training::fresh_feed_forward(&model, kind, recipe.data.seed);
    }
    // A recipe from scratch lets the coefficients of a pretrained model's gates move much too fast (docs/log.md).
    if recipe.optimizer.rational_input_size == 1.0 {
        observer.note(&format!(
            "the recipe has rational_input_size = 1, which suits a model from scratch; for the gates of a pretrained \
             one add this line to [optimizer]:\n  rational_input_size = {PRETRAINED_GATE:.1}"
        ));
    }
    let progress = |stage, done, total| observer.converting(stage, done, total);
    training::to_gated_rational(model, data, tokenizer, recipe.data.system_prompt, progress)
}

/// The recipe of the run with another number of steps. A contradicting field is refused by name.
fn resumed_recipe(given: &Resumption, checkpoint: &Checkpoint) -> Result<TrainConfig> {
    let run = checkpoint.recipe()?;
    let mut recipe = run.clone();
    recipe.steps = given.steps.unwrap_or(run.steps);
    recipe.validate()?;
    if recipe.steps < run.steps && !given.change_recipe {
        return Err(KallmError::OtherRun {
            setting: "steps",
            run: format!("has {} steps", run.steps),
            given: recipe.steps.to_string(),
        });
    }
    let Some(mut other) = given.recipe.clone() else {
        return Ok(recipe);
    };
    other.steps = given.steps.unwrap_or(other.steps);
    other.validate()?;
    if given.change_recipe {
        return Ok(other);
    }
    let differences = recipe.differences(&other)?;
    if differences.is_empty() {
        return Ok(recipe);
    }
    let lines = differences.iter().map(|difference| {
        let (field, run, given) = (&difference.field, &difference.here, &difference.there);
        format!("\n  {field}: the run has {run}, given {given}")
    });
    Err(KallmError::OtherRecipe {
        differences: lines.collect(),
    })
}

/// What the run was started from, which must not be contradicted. Older checkpoints have no record of it.
fn resumed_origin(now: RunOrigin, record: Option<&RunRecord>) -> Result<RunOrigin> {
    let Some(record) = record else { return Ok(now) };
    let (run, given) = (&record.origin, now.model.as_str());
    if !given.is_empty() && given != run.model && !run.model.starts_with(&format!("{given}, commit ")) {
        return Err(KallmError::OtherRun {
            setting: "model",
            run: format!("started from {}", run.model),
            given: given.to_string(),
        });
    }
    // Another share would leave other conversations to train on; other held-out data only changes what is measured.
    let is_share = now.held_out.starts_with(SHARE) || run.held_out.starts_with(SHARE);
    if now.held_out != run.held_out && is_share {
        return Err(KallmError::OtherRun {
            setting: "held_out_share",
            run: format!("has {}", named_or_none(&run.held_out)),
            given: named_or_none(&now.held_out).to_string(),
        });
    }
    let model = run.model.clone();
    Ok(RunOrigin { model, ..now })
}

fn named_or_none(held_out: &str) -> &str {
    if held_out.is_empty() { "none" } else { held_out }
}
