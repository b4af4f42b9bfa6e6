//! One optimiser step.

use std::{collections::BTreeMap, time::Instant};

use burn::tensor::{Tensor, backend::Backend};
use smollm2_model::ParameterKind;

use super::Session;
use crate::{Batch, Clip, ModelGradients, Objective, StepRecord, TrainBackend, TrainError, Trainer};

/// The measurements of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutcome {
    /// Mean loss per term of the objective before the update; nats per target token for [`Sft`](crate::Sft).
    pub loss: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The part of the rational coefficients in it.
    pub rational_norm: f64,
    /// The part of all other parameters.
    pub other_norm: f64,
    /// Terms of the loss: the tokens that counted, for [`Sft`](crate::Sft).
    pub target_tokens: usize,
    /// Means of what the objective measures next to the loss, by name; without those that are not finite.
    pub metrics: BTreeMap<String, f64>,
}

impl<AB: TrainBackend, O: Objective<AB>> Trainer<AB, O> {
    /// Gradients of the mean loss over all terms of the micro-batches together, with that loss.
    ///
    /// Every micro-batch is divided by the terms of all of them, so that k micro-batches give the gradients of one batch
    /// k times as large, however unevenly the terms are spread.
    ///
    /// # Errors
    /// [`TrainError::NoTargets`], [`TrainError::BeyondModel`], [`TrainError::NotFinite`].
    pub fn gradients(
        &self,
        micro_batches: &[Batch<AB>],
    ) -> Result<(ModelGradients<AB::InnerBackend>, StepOutcome), TrainError> {
        micro_batches.iter().try_for_each(|batch| self.check(batch))?;
        let terms: usize = micro_batches.iter().map(|batch| self.objective.terms(batch)).sum();
        if terms == 0 {
            return Err(TrainError::NoTargets { step: self.step + 1 });
        }
        let (mut gradients, mut sums) = (ModelGradients::default(), Sums::default());
        for batch in micro_batches.iter().filter(|batch| self.objective.terms(batch) > 0) {
            let (scale, chunk) = (1.0 / terms as f64, self.config.loss_chunk);
            let found = self.objective.loss(self.model(), batch, scale, chunk);
            sums.losses.push(found.loss.clone().inner());
            let metrics = found.metrics.into_iter();
            sums.metrics.extend(metrics.map(|(name, sum)| (name, sum.inner())));
            gradients.collect(found.loss.backward(), self.model());
        }
        let outcome = self.outcome(sums, &gradients, terms)?;
        Ok((gradients, outcome))
    }

    /// Refuses ids and positions that the model has no row for: a GPU would read beyond the table.
    pub(super) fn check<B: Backend>(&self, batch: &Batch<B>) -> Result<(), TrainError> {
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

    /// The values of a step that the host needs, in one transfer.
    fn outcome(
        &self,
        sums: Sums<AB::InnerBackend>,
        gradients: &ModelGradients<AB::InnerBackend>,
        terms: usize,
    ) -> Result<StepOutcome, TrainError> {
        let (losses, names) = (sums.losses.len(), sums.names());
        let numbers = sums.tensors().chain(gradients.square_sums()).collect();
        let numbers: Vec<f64> = Tensor::cat(numbers, 0).into_data().iter::<f64>().collect();
        let (losses, numbers) = numbers.split_at(losses);
        let (metrics, squares) = numbers.split_at(names.len());
        let [rational_norm, other_norm] = norms(gradients.kinds(), squares);
        let (loss, gradient_norm) = (losses.iter().sum::<f64>(), rational_norm.hypot(other_norm));
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
            target_tokens: terms,
            metrics: means(names.into_iter().zip(metrics.iter().copied()), terms),
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
        let (rational, others) = if self.config.clip_rational_apart {
            (step.rational_norm, step.other_norm)
        } else {
            (step.gradient_norm, step.gradient_norm)
        };
        Clip {
            rational: clip_factor(rational, self.config.max_grad_norm),
            others: clip_factor(others, self.config.max_grad_norm),
        }
    }
}

/// What an objective computed from the micro-batches of a step, still on the device.
struct Sums<B: Backend> {
    losses: Vec<Tensor<B, 1>>,
    metrics: Vec<(&'static str, Tensor<B, 1>)>,
}

impl<B: Backend> Default for Sums<B> {
    fn default() -> Self {
        Self {
            losses: Vec::new(),
            metrics: Vec::new(),
        }
    }
}

impl<B: Backend> Sums<B> {
    fn names(&self) -> Vec<&'static str> {
        self.metrics.iter().map(|(name, _)| *name).collect()
    }

    /// The losses, then the metrics.
    fn tensors(self) -> impl Iterator<Item = Tensor<B, 1>> {
        let metrics = self.metrics.into_iter().map(|(_, sum)| sum);
        self.losses.into_iter().chain(metrics)
    }
}

/// Sums of equal names added up and divided by the number of terms. Only finite ones are kept: JSON cannot represent
/// others, and values that an objective measures in addition to the loss must not end a run.
pub(super) fn means<'a>(sums: impl Iterator<Item = (&'a str, f64)>, terms: usize) -> BTreeMap<String, f64> {
    let mut means = BTreeMap::<String, f64>::new();
    for (name, sum) in sums {
        *means.entry(name.to_owned()).or_default() += sum / terms as f64;
    }
    means.retain(|_, mean| mean.is_finite());
    means
}

/// Norms of the gradients of rational coefficients and of all others, from the sum of squares of each parameter.
fn norms(kinds: impl Iterator<Item = ParameterKind>, squares: &[f64]) -> [f64; 2] {
    let (mut rational, mut others) = (0.0, 0.0);
    for (kind, square) in kinds.zip(squares) {
        if kind.is_rational() {
            rational += square;
        } else {
            others += square;
        }
    }
    [f64::sqrt(rational), f64::sqrt(others)]
}

/// `clip_coef` of `torch.nn.utils.clip_grad_norm_`: `min(1, max / (norm + 1e-6))`; 1 when `max` is 0.
fn clip_factor(norm: f64, max: f64) -> f64 {
    if max > 0.0 { (max / (norm + 1e-6)).min(1.0) } else { 1.0 }
}

impl<AB: TrainBackend, O: Objective<AB>> Session<'_, '_, AB, O> {
    /// Reads the rows of the next step and performs it.
    pub(super) fn step(&mut self) -> Result<StepRecord, TrainError> {
        let start = Instant::now();
        let before = self.source.position()?;
        let batches = match self.batches() {
            Ok(batches) => batches,
            Err(error) => return Err(self.saved_first(self.trainer.config.keep_checkpoints, before, error)),
        };
        let learning_rate = self.trainer.config.rate(self.trainer.step);
        let tokens = batches.iter().map(Batch::tokens).sum();
        let outcome = match self.trainer.step(&batches) {
            // The data are at fault, and the weights are as they were.
            Err(error @ (TrainError::NoTargets { .. } | TrainError::BeyondModel { .. })) => {
                return Err(self.saved_first(self.trainer.config.keep_checkpoints, before, error));
            }
            outcome => outcome?,
        };
        let seconds = start.elapsed().as_secs_f64();
        let device = self.options.device_name.as_deref();
        Ok(StepRecord {
            step: self.trainer.step,
            loss: outcome.loss,
            learning_rate,
            gradient_norm: outcome.gradient_norm,
            rational_norm: Some(outcome.rational_norm),
            other_norm: Some(outcome.other_norm),
            tokens,
            target_tokens: outcome.target_tokens,
            seconds,
            mfu: self.trainer.mfu(tokens as f64 / seconds, device),
            metrics: outcome.metrics,
        })
    }

    /// The micro-batches of the next step.
    fn batches(&mut self) -> Result<Vec<Batch<AB>>, TrainError> {
        let (config, device) = (&self.trainer.config, self.trainer.model().device());
        let mut batches = Vec::new();
        for _ in 0..config.gradient_accumulation {
            let rows = self.source.next_rows(config.micro_batch_rows)?;
            if rows.is_empty() {
                break;
            }
            batches.push(Batch::from_rows(&rows, &device)?);
        }
        if batches.is_empty() {
            return Err(TrainError::NoData {
                step: self.trainer.step + 1,
                sequence_length: config.data.sequence_length,
            });
        }
        Ok(batches)
    }
}
