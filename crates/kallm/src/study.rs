//! Variants of one model, trained on the same data and judged on the same questions.

mod folder;
mod observer;
mod outcome;
mod plan;

pub use folder::StudyFolder;
pub use observer::StudyObserver;
pub use outcome::Outcome;
pub use plan::StudyPlan;

use crate::error::{KallmError, Result};
use crate::judge::Judged;
use crate::model_folder::save_model;
use crate::synthetic::SyntheticWorld;
use crate::{functions, identity, open, training};
use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use llm_bench::report::{Criteria, Report, Run};
use llm_bench::{DataSets, QuestionOutcomes};
use observer::Recorded;
use serde_json::{Value, json};
use smollm2_infer::Engine;
use smollm2_model::{FeedForwardKind, SmolLm2, SmolLm2Config};
use smollm2_train::{RowSource, RunOptions, StepBackend, Trainer};
use smoltalk_data::{ChatTokenizer, DataLoader, PackedRow, Source};
use std::path::Path;

/// Where every variant starts.
enum Start<B: StepBackend> {
    /// From scratch, with the configuration's shape.
    Scratch(Box<SmolLm2Config>),
    /// From a pretrained SwiGLU model; gated rational gates are fitted on what is trained on.
    Pretrained(Box<SmolLm2<B>>),
}

/// Functions are drawn over [-8, 8] in the report.
const REPORT_RANGE: f64 = 8.0;
/// Share of the conversations held out where none are given for it.
const HELD_OUT_SHARE: f64 = 0.05;
/// Where the synthetic world is written in the output folder.
const WORLD: &str = "synthetic";

/// Variants that share a start, data, a recipe and tasks: everything is loaded and checked.
pub struct Study<B: StepBackend> {
    plan: StudyPlan,
    start: Start<B>,
    tokenizer: ChatTokenizer,
    training: Source,
    /// What the held-out loss is of.
    held_out: Vec<PackedRow>,
    /// What is trained on and asked, where it comes from no file.
    world: Option<SyntheticWorld>,
    /// What identifies the model that is started from.
    start_identity: Value,
    /// What identifies the data that are trained on, held out and asked.
    data_identity: Value,
}

impl<B: StepBackend> Study<B> {
    /// A study of small models, trained from scratch on a synthetic world with a byte-level tokenizer.
    ///
    /// # Errors
    /// When the plan names a variant twice, or its recipe gives no row to evaluate on.
    pub fn synthetic(plan: StudyPlan, world: SyntheticWorld, observer: &mut dyn StudyObserver) -> Result<Self> {
        plan.check_variants()?;
        let tokenizer = SyntheticWorld::tokenizer()?;
        let held_out = Source::from_conversations(world.held_out.clone());
        let config = SyntheticWorld::model(&tokenizer);
        Ok(Self {
            held_out: training::held_out_rows(held_out, &tokenizer, &plan.recipe, observer.reading())?,
            start_identity: serde_json::from_str(&config.to_json()).map_err(KallmError::json("config.json"))?,
            data_identity: json!({ "world": world.identity()? }),
            start: Start::Scratch(Box::new(config)),
            training: Source::from_conversations(world.training.clone()),
            world: Some(world),
            tokenizer,
            plan,
        })
    }

    /// A study of variants made from the pretrained SwiGLU model in a folder or .gguf file. Without held-out
    /// conversations a twentieth of the others is held out. What can be wrong is looked for here, before the first step.
    ///
    /// # Errors
    /// When the plan, the model, the conversations, the tasks or their data are not usable, or do not fit together.
    pub fn pretrained(
        plan: StudyPlan,
        model: &Path,
        training: Source,
        held_out: Option<Source>,
        device: &B::Device,
        observer: &mut dyn StudyObserver,
    ) -> Result<Self> {
        plan.check_variants()?;
        let prompts = &plan.evaluation.prompts;
        open::check_tasks_without_model(&plan.tasks, prompts)?;
        let (training, held_out) = match held_out {
            Some(held_out) => (training, held_out),
            None => training::hold_out(training, HELD_OUT_SHARE)?,
        };
        observer.working("loading the model");
        let engine = Engine::<B>::open(model, device)?;
        check_swiglu(model, engine.model().config())?;
        open::check_tasks_for(&engine, &plan.tasks, prompts)?;
        let model_files = identity::of_model(model)?;
        let (model, tokenizer) = engine.into_parts();
        let held_out = training::held_out_rows(held_out, &tokenizer, &plan.recipe, observer.reading())?;
        let held_out_ids: Vec<_> = held_out.iter().map(|row| &row.ids).collect();
        Ok(Self {
            start_identity: json!(model_files),
            data_identity: json!({
                "data": plan.origin.data,
                "held_out": identity::of_value(&held_out_ids)?,
                "asked": plan.asked()?,
            }),
            start: Start::Pretrained(Box::new(training::with_chat_tokens(model, &tokenizer)?)),
            training,
            held_out,
            world: None,
            tokenizer,
            plan,
        })
    }

    /// Makes a folder this study's, and writes the synthetic world into it. What a study with other settings left there
    /// is removed if it is to be replaced; whether that happened is returned.
    ///
    /// # Errors
    /// When the folder cannot be written or holds what is not this study's, and when the world cannot be written.
    pub fn settle(&mut self, folder: &StudyFolder, replace: bool) -> Result<bool> {
        if self.world.is_some() {
            self.plan.evaluation.prompts.data = DataSets::below(folder.root().join(WORLD).join("data"));
        }
        let replaced = folder.settle(&self.resolved()?, replace)?;
        if let Some(world) = &self.world {
            world.write(&folder.root().join(WORLD))?;
        }
        Ok(replaced)
    }

    /// Everything that decides the numbers, for the record: a study is continued only with the same.
    fn resolved(&self) -> Result<Value> {
        let prompts = &self.plan.evaluation.prompts;
        Ok(json!({
            "program": identity::of_program()?,
            "device": self.plan.origin.device,
            "start": self.start_identity,
            "data": self.data_identity,
            "recipe": self.plan.recipe,
            "tasks": self.plan.tasks,
            "num_fewshot": prompts.num_fewshot,
            "limit": prompts.limit,
            "apply_chat_template": prompts.apply_chat_template,
        }))
    }

    /// Trains and judges every variant that an earlier run in the same, settled folder has not.
    ///
    /// # Errors
    /// Whatever training, saving or judging gives. The variants that are finished by then are kept.
    pub fn run(
        &self,
        folder: &StudyFolder,
        device: &B::Device,
        observer: &mut dyn StudyObserver,
    ) -> Result<Vec<Outcome>> {
        let variants = self.plan.variants.iter();
        variants
            .map(|kind| self.variant(*kind, folder, device, observer))
            .collect()
    }

    /// The paired comparison of outcomes of this study, the first as the baseline. Title and settings are filled in;
    /// command, hardware and date are the caller's.
    ///
    /// # Errors
    /// When there are no outcomes, two of them are not of the same data and questions, or a statistic is impossible.
    pub fn report(&self, outcomes: &[Outcome]) -> Result<Report> {
        let mut report = outcome::report(outcomes, Criteria::default())?;
        report.title = "SmolLM2: which feed-forward?".to_string();
        report.settings = self.plan.settings();
        Ok(report)
    }

    fn variant(
        &self,
        kind: FeedForwardKind,
        folder: &StudyFolder,
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
        let start = model.rational_functions();
        let trained = self.train(model, (&name, &place), observer)?;
        let learned = trained.model.rational_functions();
        observer.saving(&name);
        save_model(&trained.model, &self.tokenizer, &[], &place.join("model"))?;
        let engine = Engine::new(trained.model, self.tokenizer.clone())?;
        let (tasks, options) = (&self.plan.tasks, &self.plan.evaluation);
        let mut judged = Judged::new(name.clone(), engine).with_batch_size(options.batch_size);
        let evaluation = llm_bench::evaluate(&mut judged, tasks, options, observer.judging(&name))?;
        evaluation.write(&place.join("results"), true)?;
        let outcome = Outcome {
            name: name.clone(),
            parameters: trained.parameters,
            trained_on: trained.position,
            run: Run {
                tasks: evaluation.tasks.iter().flat_map(QuestionOutcomes::of).collect(),
                ..trained.run
            },
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
        let data = self.plan.recipe.data.clone();
        let mut rows = DataLoader::new(self.training.clone(), self.tokenizer.clone(), data)?;
        let save_tokenizer = training::tokenizer_saver(&self.tokenizer);
        let options = RunOptions {
            companions: &save_tokenizer,
            ..RunOptions::new(place)
        };
        let mut trainer = Trainer::new(model.tracked::<Autodiff<B>>(), self.plan.recipe.clone())?;
        let mut observer = Recorded::new(observer.training(name));
        let last = trainer.run(&mut rows, &self.held_out, &options, &mut observer)?;
        Ok(Trained {
            parameters: trainer.model().num_parameters(),
            model: trainer.into_model().valid(),
            run: Run {
                seed: self.plan.recipe.data.seed,
                tokens_per_second: observer.tokens_per_second(),
                held_out_loss: last.map(|evaluation| evaluation.loss),
                curve: observer.curve(),
                held_out_curve: observer.held_out_curve(),
                tasks: Vec::new(),
            },
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
                B::seed(device, self.plan.recipe.data.seed);
                Ok(config.init::<B>(device)?)
            }
            Start::Pretrained(model) => match kind {
                FeedForwardKind::SwiGlu => Ok(SmolLm2::clone(model)),
                FeedForwardKind::GatedRational => {
                    let (data, system_prompt) = (&self.training, self.plan.recipe.data.system_prompt);
                    let progress = |stage, done, total| observer.converting(stage, done, total);
                    let model = SmolLm2::clone(model);
                    training::to_gated_rational(model, data, &self.tokenizer, system_prompt, progress)
                }
                _ => training::fresh_feed_forward(model, kind, self.plan.recipe.data.seed),
            },
        }
    }
}

/// A variant after its last step.
struct Trained<B: StepBackend> {
    model: SmolLm2<B>,
    parameters: usize,
    /// Without its answers.
    run: Run,
    /// Where the training data were left.
    position: Value,
}

/// Every variant is made from the model's SwiGLU; of another model none would be what its name says.
fn check_swiglu(model: &Path, config: &SmolLm2Config) -> Result<()> {
    let (found, expected) = (training::kinds(config), FeedForwardKind::SwiGlu.name());
    if found == expected {
        return Ok(());
    }
    Err(KallmError::unusable(
        model.display(),
        format!("{expected} in every layer"),
        found,
        "give the SwiGLU model it was made from",
    ))
}

/// A variant's name in tables and folders.
fn variant_name(kind: FeedForwardKind) -> String {
    kind.name().replace('_', "-")
}
