//! Training and judging the variants of one comparison.

mod folder;
mod outcome;

pub use folder::ComparisonFolder;
pub use outcome::{Outcome, TaskOutcome, fill, table};

use crate::model_folder::save_model;
use crate::progress::{Spinner, Tasks, Training};
use crate::terminal::note;
use crate::{functions, identity, training};
use anyhow::Result;
use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use llm_bench::report::Variant;
use llm_bench::{EvaluateOptions, SmolLm2Evaluator, Task};
use serde_json::{Value, json};
use smollm2_model::{FeedForwardKind, SmolLm2, SmolLm2Config};
use smollm2_train::{ConversationRows, RowSource, RunOptions, StepBackend, TrainConfig, Trainer};
use smoltalk_data::{ChatTokenizer, PackedRow, Source};
use std::path::Path;

/// Where every variant starts.
pub enum Start<B: StepBackend> {
    /// From scratch, with the configuration's shape.
    Scratch(Box<SmolLm2Config>),
    /// From a pretrained SwiGLU model; gated rational gates are fitted on what is trained on.
    Pretrained(Box<SmolLm2<B>>),
}

/// Functions are drawn over [-8, 8] in the report.
const REPORT_RANGE: f64 = 8.0;

/// All that the variants of a comparison share.
pub struct Setting<B: StepBackend> {
    /// Where every variant starts.
    pub start: Start<B>,
    /// Tokenizer and template.
    pub tokenizer: ChatTokenizer,
    /// What is trained on.
    pub training: Source,
    /// What the held-out loss is of.
    pub held_out: Vec<PackedRow>,
    /// The recipe.
    pub recipe: TrainConfig,
    /// Held-out tasks.
    pub tasks: Vec<Task>,
    /// How they are asked.
    pub evaluation: EvaluateOptions,
    /// Where it is computed, for the record.
    pub device: String,
    /// What identifies the model that is started from.
    pub start_identity: Value,
    /// What identifies the data that are trained on, held out and asked.
    pub data_identity: Value,
}

/// A variant after its last step.
struct Trained<B: StepBackend> {
    model: SmolLm2<B>,
    variant: Variant,
    /// Where the training data were left.
    position: Value,
}

impl<B: StepBackend> Setting<B> {
    /// Everything that decides the numbers, for the record: a comparison is continued only with the same.
    ///
    /// # Errors
    /// When this program's file cannot be read.
    pub fn resolved(&self) -> Result<Value> {
        let prompts = &self.evaluation.prompts;
        Ok(json!({
            "program": identity::of_program()?,
            "device": self.device,
            "start": self.start_identity,
            "data": self.data_identity,
            "recipe": self.recipe,
            "tasks": self.tasks,
            "num_fewshot": prompts.num_fewshot,
            "limit": prompts.limit,
            "apply_chat_template": prompts.apply_chat_template,
        }))
    }

    /// Trains and judges one variant, unless an earlier run in the same folder has.
    ///
    /// # Errors
    /// Whatever training, saving or judging gives.
    pub fn run(&self, kind: FeedForwardKind, folder: &ComparisonFolder, device: &B::Device) -> Result<Outcome> {
        let name = variant_name(kind);
        if let Some(outcome) = folder.finished(&name)? {
            note(format_args!("{name}: finished by an earlier run of this command, kept"));
            return Ok(outcome);
        }
        let place = folder.begin(&name)?;
        let model = self.initial(kind, device)?;
        let start = functions::all(&model);
        let trained = self.train(&name, model, &place)?;
        let learned = functions::all(&trained.model);
        let spinner = Spinner::new(&format!("{name}: saving"));
        save_model(&trained.model, &self.tokenizer, &[], &place.join("model"))?;
        drop(spinner);
        let mut evaluator = SmolLm2Evaluator::new(name.clone(), trained.model, self.tokenizer.clone());
        let evaluation = llm_bench::evaluate(&mut evaluator, &self.tasks, &self.evaluation, &mut Tasks::new(&name))?;
        evaluation.write(&place.join("results"), true)?;
        let outcome = Outcome {
            variant: trained.variant,
            trained_on: trained.position,
            tasks: evaluation.tasks.iter().map(TaskOutcome::of).collect::<Result<_>>()?,
            functions: functions::drawn(&start, &learned, 12, REPORT_RANGE)?,
        };
        folder.finish(&name, &outcome)?;
        Ok(outcome)
    }

    fn train(&self, name: &str, model: SmolLm2<B>, place: &Path) -> Result<Trained<B>> {
        let order = self.recipe.loader();
        let mut rows = ConversationRows::new(self.training.clone(), self.tokenizer.clone(), order)?;
        let save_tokenizer = training::tokenizer_saver(&self.tokenizer);
        let options = RunOptions {
            companions: &save_tokenizer,
            ..RunOptions::new(place)
        };
        let mut trainer = Trainer::new(model.tracked::<Autodiff<B>>(), self.recipe.clone())?;
        let mut observer = Training::new(name, true);
        let last = trainer.run(&mut rows, &self.held_out, &options, &mut observer)?;
        let curve = observer.steps.iter().map(|step| (step.step as f64, step.loss));
        let variant = Variant {
            name: name.to_string(),
            parameters: trainer.model().num_parameters(),
            tokens_per_second: observer.tokens_per_second(),
            held_out_loss: last.map(|evaluation| evaluation.loss),
            curve: curve.collect(),
        };
        Ok(Trained {
            model: trainer.into_model().valid(),
            variant,
            position: rows.position()?,
        })
    }

    fn initial(&self, kind: FeedForwardKind, device: &B::Device) -> Result<SmolLm2<B>> {
        match &self.start {
            Start::Scratch(config) => {
                let config = SmolLm2Config::clone(config).with_feed_forward(kind);
                // The same seed for every variant: what they share starts equal in distribution and order.
                B::seed(device, self.recipe.seed);
                Ok(config.init::<B>(device)?)
            }
            Start::Pretrained(model) => match kind {
                FeedForwardKind::SwiGlu => Ok(SmolLm2::clone(model)),
                FeedForwardKind::GatedRational => {
                    let (data, system_prompt) = (&self.training, self.recipe.system_prompt);
                    training::to_gated_rational(SmolLm2::clone(model), data, &self.tokenizer, system_prompt)
                }
                _ => training::fresh_feed_forward(model, kind, self.recipe.seed),
            },
        }
    }
}

/// A variant's name in tables and folders.
fn variant_name(kind: FeedForwardKind) -> String {
    kind.name().replace('_', "-")
}
