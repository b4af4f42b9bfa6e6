//! Writes the checkpoints of a run and resumes from them.

use std::{fs, path::PathBuf};

use burn::tensor::backend::BackendTypes;
use serde::{Deserialize, Serialize};
use smollm2_model::weights::{self, LoadDtype, LoadOptions};
use smoltalk_data::Mismatch;

use super::{RunOptions, RunRecord, Session};
use crate::{
    AdamW, Difference, Objective, RowSource, TrainBackend, TrainConfig, TrainError, Trainer,
    checkpoint::{self, Checkpoint, OPTIMIZER, RECIPE, RECORD, STATE, damaged, read_json, write_json},
    objective::SFT,
    rows::loader_of,
};

/// The part of a checkpoint other than weights, optimiser and recipe. Training draws no random numbers except for the
/// data order, which the recipe's seed and the position determine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Steps made.
    pub step: usize,
    /// Position in the data.
    pub position: serde_json::Value,
}

impl Checkpoint {
    /// The recipe of the run that wrote it. Fields of the data loader that an older version left out of the recipe come
    /// from the position.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::Checkpoint`]; as [`TrainConfig::from_toml`].
    pub fn recipe(&self) -> Result<TrainConfig, TrainError> {
        let path = self.folder.join(RECIPE);
        let text = fs::read_to_string(&path).map_err(TrainError::io("read", &path))?;
        let recipe = TrainConfig::from_toml(&text)?;
        let state: RunState = read_json(&self.folder, STATE)?;
        Ok(TrainConfig {
            data: loader_of(&state.position).unwrap_or(recipe.data),
            ..recipe
        })
    }

    /// The record of the run that wrote it; `None` if an older version wrote none.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub fn record(&self) -> Result<Option<RunRecord>, TrainError> {
        if self.folder.join(RECORD).exists() {
            read_json(&self.folder, RECORD).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<AB: TrainBackend, O: Objective<AB>> Trainer<AB, O> {
    /// Writes a checkpoint into the folder of `options`. Of those up to this step the newest
    /// [`TrainConfig::keep_checkpoints`] stay; of those beyond it, damaged ones are removed.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::Model`], or what [`RunOptions::companions`] returns.
    pub fn save(&self, state: &RunState, options: &RunOptions<'_>) -> Result<PathBuf, TrainError> {
        self.save_keeping(self.config.keep_checkpoints, state, options)
    }

    /// As [`Trainer::save`], keeping this number of checkpoints.
    fn save_keeping(&self, keep: usize, state: &RunState, options: &RunOptions<'_>) -> Result<PathBuf, TrainError> {
        checkpoint::write(&options.checkpoints(), self.step, keep, |folder| {
            weights::save(self.model(), folder)?;
            self.optimizer.write(&folder.join(OPTIMIZER))?;
            write_json(folder, STATE, state)?;
            write_json(folder, RECORD, &self.record(&options.origin))?;
            let recipe = folder.join(RECIPE);
            fs::write(&recipe, self.config.to_toml()?).map_err(TrainError::io("write", &recipe))?;
            (options.companions)(folder)
        })
    }
}

impl<AB: TrainBackend> Trainer<AB> {
    /// Resumes from a checkpoint, [`checkpoint::latest`] for instance, and moves `source` to its position. Usually
    /// `config` is [`Checkpoint::recipe`]. A run with another objective is given it by [`Trainer::with_objective`];
    /// [`Trainer::run`] refuses one that the checkpoint was not made with.
    ///
    /// # Errors
    /// [`TrainError::ResumeMismatch`] when `config` describes other data, [`TrainError::OtherRows`] when `source` does
    /// not make the rows it describes; [`TrainError::Position`],
    /// [`TrainError::Checkpoint`], [`TrainError::Model`]; any error of reading the source up to the position.
    pub fn resume(
        checkpoint: &Checkpoint,
        config: TrainConfig,
        device: &<AB as BackendTypes>::Device,
        source: &mut dyn RowSource,
    ) -> Result<Self, TrainError> {
        let (trainer, state) = Self::load(checkpoint, config, device)?;
        trainer.check_source(source)?;
        source.seek(&state.position)?;
        Ok(trainer)
    }

    /// Weights, optimiser and step of a checkpoint, with its position in the data.
    ///
    /// # Errors
    /// As [`Trainer::resume`], except for those of the source.
    pub fn load(
        checkpoint: &Checkpoint,
        config: TrainConfig,
        device: &<AB as BackendTypes>::Device,
    ) -> Result<(Self, RunState), TrainError> {
        let folder = &checkpoint.folder;
        let state: RunState = read_json(folder, STATE)?;
        same_rows(&checkpoint.recipe()?, &config)?;
        // A run in bf16 is resumed in bf16.
        let options = LoadOptions {
            dtype: LoadDtype::Stored,
            ..LoadOptions::default()
        };
        let loaded = weights::load_with::<AB>(folder, &options, device)?;
        let mut trainer = Self::new(loaded.model, config)?;
        let tensors = weights::read_safetensors(&folder.join(OPTIMIZER))?;
        let optimizer = AdamW::from_tensors(
            trainer.config.optimizer.clone(),
            state.step,
            tensors,
            trainer.model(),
            device,
        );
        trainer.optimizer = optimizer.map_err(|error| match error {
            TrainError::OptimizerState(mismatch) => damaged(folder, OPTIMIZER, mismatch.expected, mismatch.found),
            other => other,
        })?;
        trainer.step = state.step;
        trainer.loaded_objective = Some(
            checkpoint
                .record()?
                .map_or_else(|| SFT.to_owned(), |record| record.objective),
        );
        Ok((trainer, state))
    }
}

impl<AB: TrainBackend, O: Objective<AB>> Session<'_, '_, AB, O> {
    /// Writes a checkpoint, and keeps the newest `keep`.
    pub(super) fn save(&mut self, keep: usize, position: serde_json::Value) -> Result<(), TrainError> {
        let step = self.trainer.step;
        self.metrics.sync()?;
        self.observer.saving(step);
        let folder = self
            .trainer
            .save_keeping(keep, &RunState { step, position }, self.options)?;
        self.observer.saved(step, &folder);
        self.saved = step;
        Ok(())
    }

    /// Saves the steps that no checkpoint holds yet, and returns the error that ends the run.
    pub(super) fn saved_first(&mut self, keep: usize, position: serde_json::Value, error: TrainError) -> TrainError {
        if self.saved == self.trainer.step {
            return error;
        }
        match self.save(keep, position) {
            Ok(()) => error,
            Err(saving) => TrainError::Unsaved {
                error: Box::new(error),
                saving: Box::new(saving),
            },
        }
    }
}

/// A resumed run continues at a position in the data, which has a meaning only for the same rows in the same order. The
/// limit on bad records affects none of them.
fn same_rows(saved: &TrainConfig, now: &TrainConfig) -> Result<(), TrainError> {
    let differences = saved.data_differences(&now.data)?;
    match differences
        .into_iter()
        .find(|difference| difference.field != "max_bad_records")
    {
        Some(Difference { field, here, there }) => Err(TrainError::ResumeMismatch {
            field,
            mismatch: Mismatch::new(here, there),
        }),
        None => Ok(()),
    }
}
