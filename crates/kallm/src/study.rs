//! Training and judging the variants of one comparison.

mod folder;
mod outcome;

pub use folder::ComparisonFolder;
pub use outcome::{Outcome, fill, table};

use crate::error::Result;
use crate::model_folder::save_model;
use crate::{functions, identity, training};
use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use llm_bench::report::Variant;
use llm_bench::{EvaluateOptions, EvaluationProgress, QuestionOutcomes, SmolLm2Evaluator, Task};
use serde_json::{Value, json};
use smollm2_model::convert::Stage;
use smollm2_model::{FeedForwardKind, SmolLm2, SmolLm2Config};
use smollm2_train::{
    DamagedMetrics, EvalRecord, MemoryEstimate, RowSource, RunOptions, StepBackend, StepRecord, TrainConfig,
    TrainObserver, Trainer,
};
use smoltalk_data::{ChatTokenizer, DataLoader, PackedRow, Source};
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

/// Watches a study: which variant is being worked on, and how far that work is. `()` watches nothing.
pub trait StudyObserver {
    /// The variant was finished by an earlier run and is kept.
    fn kept(&mut self, variant: &str) {
        let _ = variant;
    }
    /// A pretrained model's layers are being converted: `done` of `total` of a stage.
    fn converting(&mut self, stage: Stage, done: usize, total: usize) {
        let _ = (stage, done, total);
    }
    /// The variant is trained next: what watches its training.
    fn training(&mut self, variant: &str) -> &mut dyn TrainObserver;
    /// The trained variant is about to be written, which may take seconds.
    fn saving(&mut self, variant: &str) {
        let _ = variant;
    }
    /// The variant is judged next: what watches its evaluation.
    fn judging(&mut self, variant: &str) -> &mut dyn EvaluationProgress;
}

impl StudyObserver for () {
    fn training(&mut self, _variant: &str) -> &mut dyn TrainObserver {
        self
    }

    fn judging(&mut self, _variant: &str) -> &mut dyn EvaluationProgress {
        self
    }
}

/// Keeps every step for the report.
struct Recorded<'a> {
    observer: &'a mut dyn TrainObserver,
    steps: Vec<StepRecord>,
}

impl Recorded<'_> {
    /// Median tokens a second, the first step apart when there are others: it warms up.
    fn tokens_per_second(&self) -> Option<f64> {
        let settled = if self.steps.len() > 1 {
            &self.steps[1..]
        } else {
            &self.steps[..]
        };
        let mut rates: Vec<f64> = settled.iter().map(|step| step.tokens as f64 / step.seconds).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }
}

impl TrainObserver for Recorded<'_> {
    fn started(&mut self, from_step: usize, steps: usize, memory: &MemoryEstimate) {
        self.observer.started(from_step, steps, memory);
    }

    fn stepped(&mut self, step: &StepRecord, progress: &smollm2_train::RunProgress) {
        self.steps.push(step.clone());
        self.observer.stepped(step, progress);
    }

    fn evaluating(&mut self, done: usize, batches: usize) {
        self.observer.evaluating(done, batches);
    }

    fn evaluated(&mut self, evaluation: &EvalRecord) {
        self.observer.evaluated(evaluation);
    }

    fn saving(&mut self, step: usize) {
        self.observer.saving(step);
    }

    fn saved(&mut self, step: usize, folder: &Path) {
        self.observer.saved(step, folder);
    }

    fn damaged_metrics(&mut self, damaged: &DamagedMetrics) {
        self.observer.damaged_metrics(damaged);
    }

    fn stop_requested(&mut self) -> bool {
        self.observer.stop_requested()
    }
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
    pub fn run(
        &self,
        kind: FeedForwardKind,
        folder: &ComparisonFolder,
        device: &B::Device,
        observer: &mut dyn StudyObserver,
    ) -> Result<Outcome> {
        let name = variant_name(kind);
        if let Some(outcome) = folder.finished(&name)? {
            observer.kept(&name);
            return Ok(outcome);
        }
        let place = folder.begin(&name)?;
        let model = self.initial(kind, device, observer)?;
        let start = functions::all(&model);
        let trained = self.train(model, (&name, &place), observer)?;
        let learned = functions::all(&trained.model);
        observer.saving(&name);
        save_model(&trained.model, &self.tokenizer, &[], &place.join("model"))?;
        let mut evaluator = SmolLm2Evaluator::new(name.clone(), trained.model, self.tokenizer.clone());
        let evaluation = llm_bench::evaluate(&mut evaluator, &self.tasks, &self.evaluation, observer.judging(&name))?;
        evaluation.write(&place.join("results"), true)?;
        let outcome = Outcome {
            variant: trained.variant,
            trained_on: trained.position,
            tasks: evaluation.tasks.iter().flat_map(QuestionOutcomes::of).collect(),
            functions: functions::drawn(&start, &learned, 12, REPORT_RANGE)?,
        };
        folder.finish(&name, &outcome)?;
        Ok(outcome)
    }

    fn train(
        &self,
        model: SmolLm2<B>,
        (name, place): (&str, &Path),
        observer: &mut dyn StudyObserver,
    ) -> Result<Trained<B>> {
        let data = self.recipe.data.clone();
        let mut rows = DataLoader::new(self.training.clone(), self.tokenizer.clone(), data)?;
        let save_tokenizer = training::tokenizer_saver(&self.tokenizer);
        let options = RunOptions {
            companions: &save_tokenizer,
            ..RunOptions::new(place)
        };
        let mut trainer = Trainer::new(model.tracked::<Autodiff<B>>(), self.recipe.clone())?;
        let mut observer = Recorded {
            observer: observer.training(name),
            steps: Vec::new(),
        };
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
            position: RowSource::position(&rows)?,
        })
    }

    fn initial(
        &self,
        kind: FeedForwardKind,
        device: &B::Device,
        observer: &mut dyn StudyObserver,
    ) -> Result<SmolLm2<B>> {
        match &self.start {
            Start::Scratch(config) => {
                let config = SmolLm2Config::clone(config).with_feed_forward(kind);
                // The same seed for every variant: what they share starts equal in distribution and order.
                B::seed(device, self.recipe.data.seed);
                Ok(config.init::<B>(device)?)
            }
            Start::Pretrained(model) => match kind {
                FeedForwardKind::SwiGlu => Ok(SmolLm2::clone(model)),
                FeedForwardKind::GatedRational => {
                    let (data, system_prompt) = (&self.training, self.recipe.data.system_prompt);
                    let progress = |stage, done, total| observer.converting(stage, done, total);
                    let model = SmolLm2::clone(model);
                    training::to_gated_rational(model, data, &self.tokenizer, system_prompt, progress)
                }
                _ => training::fresh_feed_forward(model, kind, self.recipe.data.seed),
            },
        }
    }
}

/// A variant's name in tables and folders.
fn variant_name(kind: FeedForwardKind) -> String {
    kind.name().replace('_', "-")
}
