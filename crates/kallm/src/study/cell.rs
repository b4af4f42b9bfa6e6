//! Runs one cell: train, save, evaluate. After a kill at any point it resumes from the last checkpoint or answer.

use super::folder::{CellFolder, StudyFolder};
use super::plan::{Cell, FeedForwardStart};
use super::record::{CellRecord, Curves};
use super::{Data, Start, Study, StudyObserver};
use crate::error::{KallmError, OfPath, Result};
use crate::files::write_whole;
use crate::functions;
use crate::judge::Judged;
use crate::model_folder::save_model;
use crate::synthetic::SyntheticWorld;
use crate::training;
use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use llm_bench::report::{LearnedFunction, Run};
use llm_bench::{DataSets, Evaluation, PromptOptions, QuestionOutcomes};
use serde_json::Value;
use smollm2_infer::Engine;
use smollm2_model::SmolLm2;
use smollm2_train::checkpoint::{self, Checkpoint};
use smollm2_train::{RowSource, RunOptions, StepBackend, TrainError, Trainer, read_metrics};
use smoltalk_data::{DataLoader, PackedRow, Source};
use std::path::Path;

/// Functions are drawn over [-8, 8] in the report.
const REPORT_RANGE: f64 = 8.0;
/// Functions drawn per variant.
const DRAWN: usize = 12;
/// The functions before the first step, in the cell's folder.
const FUNCTIONS: &str = "functions.json";
/// Journal of the answers, kept until the cell is finished.
const ANSWERS: &str = "answers.jsonl";
const METRICS: &str = "metrics.jsonl";

/// The training data and questions that all cells of one seed share.
struct Material {
    training: Source,
    held_out: Vec<PackedRow>,
    prompts: PromptOptions,
}

/// A model after its last step.
struct Trained<B: StepBackend> {
    model: SmolLm2<B>,
    /// Position in the training data after the last step.
    position: Value,
}

impl<B: StepBackend> Study<B> {
    /// Trains and evaluates a cell, unless it is finished. If it was interrupted, training resumes from the newest
    /// checkpoint, provided that the recipe's `checkpoint_every` left one, and evaluation from the last answer. Returns
    /// false if the observer stopped the training; a checkpoint to resume from is written then.
    ///
    /// # Errors
    /// Any error of training, saving or evaluating; when another process works on the cell.
    pub fn run_cell(
        &self,
        cell: &Cell<'_>,
        folder: &StudyFolder,
        device: &B::Device,
        observer: &mut dyn StudyObserver,
    ) -> Result<bool> {
        // Checked before locking, which a finished cell does not need, and again after, because another process may
        // just have finished the cell.
        if folder.record(cell)?.is_some() {
            observer.kept(cell);
            return Ok(true);
        }
        let place = folder.cell(cell)?;
        if folder.record(cell)?.is_some() {
            observer.kept(cell);
            return Ok(true);
        }
        let material = self.material(cell, folder, observer)?;
        let Some(trained) = self.trained(cell, &place, &material, device, observer)? else {
            return Ok(false);
        };
        let work = place.begin(cell.variant)?;
        let (parameters, position) = (trained.model.num_parameters(), trained.position);
        let functions = learned(&work, &trained.model)?;
        observer.saving(cell);
        let model = work.join("model");
        // It appears complete or not at all.
        if !model.exists() {
            save_model(&trained.model, &self.tokenizer, &[], &model)?;
        }
        let evaluation = self.judged(cell, trained.model, &material.prompts, &work, observer)?;
        place.finish(&CellRecord {
            variant: cell.variant.clone(),
            parameters,
            run: run(cell, &work, &evaluation)?,
            trained_on: position,
            functions,
        })?;
        Ok(true)
    }

    fn material(&self, cell: &Cell<'_>, folder: &StudyFolder, observer: &mut dyn StudyObserver) -> Result<Material> {
        match &self.data {
            Data::Files { training, held_out } => Ok(Material {
                training: training.clone(),
                held_out: held_out.clone(),
                prompts: self.evaluation.prompts.clone(),
            }),
            Data::Worlds(conversations) => {
                let (world, root) = (
                    SyntheticWorld::generate(cell.seed, *conversations),
                    folder.world(cell.seed),
                );
                world.write(&root)?;
                let held_out = Source::from_conversations(world.held_out);
                let recipe = &self.plan.recipe;
                Ok(Material {
                    held_out: training::held_out_rows(held_out, &self.tokenizer, recipe, observer.reading())?,
                    training: Source::from_conversations(world.training),
                    prompts: PromptOptions {
                        data: DataSets::below(root.join("data")),
                        ..self.evaluation.prompts.clone()
                    },
                })
            }
        }
    }

    /// The model after its last step; `None` if the observer stopped earlier.
    fn trained(
        &self,
        cell: &Cell<'_>,
        place: &CellFolder,
        material: &Material,
        device: &B::Device,
        observer: &mut dyn StudyObserver,
    ) -> Result<Option<Trained<B>>> {
        let recipe = self.plan.recipe_of(cell.seed);
        let mut rows = DataLoader::new(material.training.clone(), self.tokenizer.clone(), recipe.data.clone())?;
        let mut work = place.begin(cell.variant)?;
        let mut trainer = match newest(&work)? {
            Some(checkpoint) => {
                observer.working("resuming from the newest checkpoint");
                Trainer::<Autodiff<B>>::resume(&checkpoint, recipe, device, &mut rows)?
            }
            None => {
                work = place.restart(cell.variant)?;
                let model = self.initial(cell, &material.training, device, observer)?;
                write_functions(&work, &model)?;
                Trainer::new(model.tracked::<Autodiff<B>>(), recipe)?
            }
        };
        let save_tokenizer = training::tokenizer_saver(&self.tokenizer);
        let options = RunOptions {
            companions: &save_tokenizer,
            ..RunOptions::new(&work)
        };
        trainer.run(&mut rows, &material.held_out, &options, observer.training(cell))?;
        if trainer.step_count() < trainer.config().steps {
            return Ok(None);
        }
        Ok(Some(Trained {
            model: trainer.into_model().valid(),
            position: RowSource::position(&rows)?,
        }))
    }

    /// The model of a cell before its first step.
    fn initial(
        &self,
        cell: &Cell<'_>,
        training: &Source,
        device: &B::Device,
        observer: &mut dyn StudyObserver,
    ) -> Result<SmolLm2<B>> {
        let kind = cell.variant.feed_forward;
        match (&self.start, cell.variant.start) {
            (Start::Scratch(config), _) => {
                let config = config.as_ref().clone().with_feed_forward(kind);
                // The same seed for every variant: shared parameters start with the same distribution and order.
                B::seed(device, cell.seed);
                Ok(config.init::<B>(device)?)
            }
            (Start::Pretrained(model), FeedForwardStart::Kept) => Ok(model.as_ref().clone()),
            (Start::Pretrained(model), FeedForwardStart::Converted) => {
                let system_prompt = self.plan.recipe.data.system_prompt;
                let progress = |stage, done, total| observer.converting(stage, done, total);
                training::to_gated_rational(
                    model.as_ref().clone(),
                    training,
                    &self.tokenizer,
                    system_prompt,
                    progress,
                )
            }
            (Start::Pretrained(model), FeedForwardStart::Fresh) => training::fresh_feed_forward(model, kind, cell.seed),
        }
    }

    fn judged(
        &self,
        cell: &Cell<'_>,
        model: SmolLm2<B>,
        prompts: &PromptOptions,
        work: &Path,
        observer: &mut dyn StudyObserver,
    ) -> Result<Option<Evaluation>> {
        if self.tasks.is_empty() {
            return Ok(None);
        }
        let engine = Engine::new(model, self.tokenizer.clone())?;
        let mut options = self.evaluation.clone();
        options.prompts = prompts.clone();
        let answers = work.join(ANSWERS);
        options.journal = Some(answers.clone());
        let mut judged = Judged::new(cell.variant.name.clone(), engine).with_batch_size(options.batch_size);
        let evaluation = llm_bench::evaluate(&mut judged, &self.tasks, &options, observer.judging(cell))?;
        let results = work.join("results");
        // An interrupted process may have written some, under another date.
        super::folder::remove_folder(&results)?;
        evaluation.write(&results, true)?;
        std::fs::remove_file(&answers).of_path("remove", &answers)?;
        Ok(Some(evaluation))
    }
}

/// The newest intact checkpoint of an interrupted cell.
///
/// # Errors
/// When there are checkpoints but none is intact, or when they cannot be read: the cell would start again from nothing.
fn newest(work: &Path) -> Result<Option<Checkpoint>> {
    match checkpoint::latest(&RunOptions::new(work).checkpoints()) {
        Ok(found) => Ok(Some(found.checkpoint)),
        Err(TrainError::NoCheckpoint { rejected, .. }) if rejected.is_empty() => Ok(None),
        Err(TrainError::NoCheckpoint { folder, rejected }) => Err(KallmError::unusable(
            folder.display(),
            "an intact checkpoint",
            rejected.join("; "),
            "remove the cell's `.partial` folder to train it from the start",
        )),
        Err(error) => Err(error.into()),
    }
}

/// What the report shows of a run.
fn run(cell: &Cell<'_>, work: &Path, evaluation: &Option<Evaluation>) -> Result<Run> {
    let curves = Curves::of(&read_metrics(&work.join(METRICS))?);
    let tasks = evaluation.iter().flat_map(|evaluation| &evaluation.tasks);
    Ok(Run {
        seed: cell.seed,
        tokens_per_second: curves.tokens_per_second(),
        held_out_loss: curves.held_out.last().map(|point| point.loss),
        tasks: tasks.flat_map(QuestionOutcomes::of).collect(),
        curve: curves.training,
        held_out_curve: curves.held_out,
    })
}

/// Saves the functions as they were before the first step, for a resumed cell to read.
fn write_functions<B: StepBackend>(work: &Path, model: &SmolLm2<B>) -> Result<()> {
    let start = model.rational_functions();
    let drawn = functions::drawn(&start, &start, DRAWN, REPORT_RANGE)?;
    let text = serde_json::to_string(&drawn).map_err(KallmError::json(FUNCTIONS))?;
    write_whole(&work.join(FUNCTIONS), &text)
}

/// The functions of a trained model together with their initial curves.
fn learned<B: StepBackend>(work: &Path, model: &SmolLm2<B>) -> Result<Vec<LearnedFunction>> {
    let start: Vec<LearnedFunction> = super::folder::read_json(&work.join(FUNCTIONS))?;
    let now = model.rational_functions();
    let now = functions::drawn(&now, &now, DRAWN, REPORT_RANGE)?;
    let pairs = now.into_iter().zip(start);
    let learned = pairs.map(|(now, start)| LearnedFunction {
        start: start.start,
        ..now
    });
    Ok(learned.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_of_which_none_is_intact_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(newest(folder.path()).unwrap().is_none());
        let damaged = folder.path().join("checkpoints/step-00000001");
        std::fs::create_dir_all(&damaged).unwrap();
        let error = newest(folder.path()).err().unwrap().to_string();
        assert!(
            error.contains("expected an intact checkpoint") && damaged.is_dir(),
            "{error}"
        );
    }
}
