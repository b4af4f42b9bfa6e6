//! The run: steps, evaluation, checkpoints, resume.

mod record;
mod resume;
mod rows;
mod run;

use burn::{
    module::AutodiffModule,
    tensor::{Tensor, backend::Backend},
};
use smollm2_model::SmolLm2;

use crate::{
    AdamW, Batch, Clip, EvalRecord, ModelGradients, TrainBackend, TrainConfig, TrainError, TrainObserver,
    adamw::is_rational,
    loss::{chunked_cross_entropy, cross_entropy_sum},
};

pub use record::{RunOrigin, RunRecord};
pub use resume::RunState;
pub use rows::{MemoryRows, RowSource};
pub use run::{Companions, RunOptions};

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOutcome {
    /// Mean loss per target token before the update, nats.
    pub loss: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The part of the rational coefficients in it.
    pub rational_norm: f64,
    /// The part of all other parameters.
    pub other_norm: f64,
    /// Tokens that counted.
    pub target_tokens: usize,
}

/// A model in training: weights, optimiser, recipe and the number of steps made.
#[derive(Debug)]
pub struct Trainer<AB: TrainBackend> {
    /// Absent only while an update runs, which must own it to work in place.
    model: Option<SmolLm2<AB>>,
    config: TrainConfig,
    optimizer: AdamW<AB::InnerBackend>,
    step: usize,
}

impl<AB: TrainBackend> Trainer<AB> {
    /// A run from its start. Weights in f32, or in bf16 with f32 master copies; small gradients vanish in f16.
    /// Checkpoints hold the very bits of the weights.
    ///
    /// # Errors
    /// [`TrainError::Config`], [`TrainError::SequenceTooLong`].
    pub fn new(model: SmolLm2<AB>, config: TrainConfig) -> Result<Self, TrainError> {
        config.validate()?;
        let positions = model.config().max_position_embeddings;
        let sequence_length = config.data.sequence_length;
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
            optimizer,
            step: 0,
        })
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

    /// Ends the run and hands the model over.
    ///
    /// # Panics
    /// As [`Trainer::model`].
    pub fn into_model(self) -> SmolLm2<AB> {
        self.model
            .expect("an earlier update panicked and took the model with it")
    }

    /// Gradients of the mean loss over all target tokens of the micro-batches together, with that loss.
    ///
    /// Every micro-batch is divided by the targets of all of them, so that k micro-batches give the gradients of one
    /// batch k times as large, however unevenly the targets are spread.
    ///
    /// # Errors
    /// [`TrainError::NoTargets`], [`TrainError::NotFinite`].
    pub fn gradients(
        &self,
        micro_batches: &[Batch<AB>],
    ) -> Result<(ModelGradients<AB::InnerBackend>, StepOutcome), TrainError> {
        micro_batches.iter().try_for_each(|batch| self.check(batch))?;
        let target_tokens: usize = micro_batches.iter().map(|batch| batch.targets.len()).sum();
        if target_tokens == 0 {
            return Err(TrainError::NoTargets { step: self.step + 1 });
        }
        let mut gradients = ModelGradients::default();
        let mut losses = Vec::with_capacity(micro_batches.len());
        for batch in micro_batches.iter().filter(|batch| !batch.targets.is_empty()) {
            let loss = self.loss(batch, 1.0 / target_tokens as f64); // [1]
            losses.push(loss.clone().inner());
            gradients.collect(loss.backward(), self.model());
        }
        let outcome = self.outcome(losses, &gradients, target_tokens)?;
        Ok((gradients, outcome))
    }

    /// Refuses ids and positions that the model has no row for: on a GPU they would read beyond a table.
    fn check<B: Backend>(&self, batch: &Batch<B>) -> Result<(), TrainError> {
        let model = self.model().config();
        for (quantity, found, limit) in [
            ("token id", batch.largest_id, model.vocab_size),
            ("position", batch.largest_position, model.max_position_embeddings),
        ] {
            if found as usize >= limit {
                return Err(TrainError::BeyondModel {
                    step: self.step + 1,
                    quantity,
                    found,
                    limit,
                });
            }
        }
        Ok(())
    }

    /// What the host needs to know of a step, in one transfer.
    fn outcome(
        &self,
        losses: Vec<Tensor<AB::InnerBackend, 1>>,
        gradients: &ModelGradients<AB::InnerBackend>,
        target_tokens: usize,
    ) -> Result<StepOutcome, TrainError> {
        let parts = losses.len();
        let numbers = losses.into_iter().chain(gradients.square_sums()).collect();
        let numbers: Vec<f64> = Tensor::cat(numbers, 0).into_data().iter::<f64>().collect();
        let (losses, squares) = numbers.split_at(parts);
        let norm = |rational: bool| {
            let squares = gradients.names().zip(squares);
            let squares = squares.filter(|(name, _)| is_rational(name) == rational);
            squares.map(|(_, square)| square).sum::<f64>().sqrt()
        };
        let (loss, rational_norm, other_norm) = (losses.iter().sum::<f64>(), norm(true), norm(false));
        let gradient_norm = rational_norm.hypot(other_norm);
        for (quantity, value) in [("loss", loss), ("gradient norm", gradient_norm)] {
            if !value.is_finite() {
                let step = self.step + 1;
                return Err(TrainError::NotFinite { step, quantity, value });
            }
        }
        Ok(StepOutcome {
            loss,
            gradient_norm,
            rational_norm,
            other_norm,
            target_tokens,
        })
    }

    /// One optimiser step over the micro-batches.
    ///
    /// # Errors
    /// As [`Trainer::gradients`]; the weights and the optimiser are unchanged then.
    pub fn step(&mut self, micro_batches: &[Batch<AB>]) -> Result<StepOutcome, TrainError> {
        let (gradients, outcome) = self.gradients(micro_batches)?;
        let clip = self.clip(&outcome);
        let rate = self.config.rate(self.step);
        let model = self.model.take();
        self.model = model.map(|model| self.optimizer.update(model, gradients, rate, clip));
        self.step += 1;
        Ok(outcome)
    }

    fn clip(&self, step: &StepOutcome) -> Clip {
        let factor = |norm| clip_factor(norm, self.config.max_grad_norm);
        if self.config.clip_rational_apart {
            Clip {
                rational: factor(step.rational_norm),
                others: factor(step.other_norm),
            }
        } else {
            let factor = factor(step.gradient_norm);
            Clip {
                rational: factor,
                others: factor,
            }
        }
    }

    fn loss(&self, batch: &Batch<AB>, scale: f64) -> Tensor<AB, 1> {
        let hidden = self.model().hidden(batch.ids.clone(), &batch.layout); // [B, T, D]
        let (rows, ids) = batch.targets.select(hidden); // [N, D], [N]
        chunked_cross_entropy(
            rows,
            self.model().output_embedding(),
            ids,
            scale,
            self.config.loss_chunk,
        )
    }

    /// Mean loss per target token of held-out batches, without gradients.
    ///
    /// # Errors
    /// [`TrainError::NoHeldOutTargets`], [`TrainError::NotFinite`].
    pub fn evaluate(&self, batches: &[Batch<AB::InnerBackend>]) -> Result<EvalRecord, TrainError> {
        self.evaluate_watched(batches, &mut ())
    }

    /// As [`Trainer::evaluate`], telling `observer` after every batch.
    fn evaluate_watched(
        &self,
        batches: &[Batch<AB::InnerBackend>],
        observer: &mut dyn TrainObserver,
    ) -> Result<EvalRecord, TrainError> {
        let model = self.model().valid();
        let (mut sum, mut target_tokens) = (0.0, 0);
        for (done, batch) in batches.iter().enumerate() {
            observer.evaluating(done, batches.len());
            self.check(batch)?;
            if batch.targets.is_empty() {
                continue;
            }
            let hidden = model.hidden(batch.ids.clone(), &batch.layout); // [B, T, D]
            let (rows, ids) = batch.targets.select(hidden); // [N, D], [N]
            let loss = cross_entropy_sum(rows, model.output_embedding(), ids, self.config.loss_chunk);
            sum += loss.into_data().iter::<f64>().sum::<f64>();
            target_tokens += batch.targets.len();
        }
        observer.evaluating(batches.len(), batches.len());
        if target_tokens == 0 {
            return Err(TrainError::NoHeldOutTargets);
        }
        let loss = sum / target_tokens as f64;
        if !loss.is_finite() {
            return Err(TrainError::HeldOutNotFinite {
                step: self.step,
                value: loss,
            });
        }
        Ok(EvalRecord {
            step: self.step,
            loss,
            target_tokens,
        })
    }
}

/// `clip_coef` of `torch.nn.utils.clip_grad_norm_`: `min(1, max / (norm + 1e-6))`; 1 when `max` is 0.
fn clip_factor(norm: f64, max: f64) -> f64 {
    if max > 0.0 { (max / (norm + 1e-6)).min(1.0) } else { 1.0 }
}
