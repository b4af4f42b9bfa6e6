//! A model in training.

use smollm2_model::SmolLm2;

use crate::{AdamW, Objective, Sft, TrainBackend, TrainConfig, TrainError};

/// A model in training: weights, optimiser, recipe, objective and the number of steps made.
///
/// [`Trainer::step`] performs one step, [`Trainer::run`] a complete run.
#[derive(Debug)]
pub struct Trainer<AB: TrainBackend, O = Sft> {
    /// Absent only while an update runs, which must own it to work in place.
    pub(crate) model: Option<SmolLm2<AB>>,
    pub(crate) config: TrainConfig,
    pub(crate) objective: O,
    pub(crate) optimizer: AdamW<AB::InnerBackend>,
    pub(crate) step: usize,
    /// The name of the objective that made the checkpoint this was loaded from.
    pub(crate) loaded_objective: Option<String>,
}

impl<AB: TrainBackend> Trainer<AB> {
    /// Supervised fine-tuning from its start. Weights in f32, or in bf16 with f32 master copies; small gradients vanish
    /// in f16. Checkpoints hold the exact bits of the weights.
    ///
    /// # Errors
    /// [`TrainError::Config`], [`TrainError::SequenceTooLong`].
    pub fn new(model: SmolLm2<AB>, config: TrainConfig) -> Result<Self, TrainError> {
        config.validate()?;
        let (sequence_length, positions) = (config.data.sequence_length, model.config().max_position_embeddings);
        if sequence_length > positions {
            return Err(TrainError::SequenceTooLong {
                sequence_length,
                positions,
            });
        }
        let optimizer = AdamW::new(config.optimizer.clone());
        Ok(Self {
            model: Some(model),
            config,
            objective: Sft,
            optimizer,
            step: 0,
            loaded_objective: None,
        })
    }
}

impl<AB: TrainBackend, O> Trainer<AB, O> {
    /// Continues training the same model with another objective.
    pub fn with_objective<P: Objective<AB>>(self, objective: P) -> Trainer<AB, P> {
        Trainer {
            model: self.model,
            config: self.config,
            objective,
            optimizer: self.optimizer,
            step: self.step,
            loaded_objective: self.loaded_objective,
        }
    }

    /// The model as it is now.
    ///
    /// # Panics
    /// When an earlier update panicked halfway.
    pub fn model(&self) -> &SmolLm2<AB> {
        self.model
            .as_ref()
            .expect("an earlier update panicked and took the model with it")
    }

    /// The recipe.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The optimiser.
    pub fn optimizer(&self) -> &AdamW<AB::InnerBackend> {
        &self.optimizer
    }

    /// Steps made.
    pub fn step_count(&self) -> usize {
        self.step
    }

    /// Ends training and returns the model.
    ///
    /// # Panics
    /// As [`Trainer::model`].
    pub fn into_model(self) -> SmolLm2<AB> {
        self.model
            .expect("an earlier update panicked and took the model with it")
    }
}
