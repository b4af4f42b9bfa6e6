//! The held-out loss.

use std::collections::BTreeMap;

use burn::module::AutodiffModule;
use smollm2_model::weights;
use smoltalk_data::PackedRow;

use super::{Session, step::means};
use crate::{Batch, EvalRecord, MetricRecord, Objective, TrainBackend, TrainError, TrainObserver, Trainer};

impl<AB: TrainBackend, O: Objective<AB>> Trainer<AB, O> {
    /// Mean loss per term of held-out batches, without gradients.
    ///
    /// # Errors
    /// [`TrainError::NoHeldOutTargets`], [`TrainError::HeldOutNotFinite`], [`TrainError::BeyondModel`].
    pub fn evaluate(&self, batches: &[Batch<AB::InnerBackend>]) -> Result<EvalRecord, TrainError> {
        self.evaluate_watched(batches, &mut ())
    }

    /// As [`Trainer::evaluate`], and notifies `observer` after every batch.
    fn evaluate_watched(
        &self,
        batches: &[Batch<AB::InnerBackend>],
        observer: &mut dyn TrainObserver,
    ) -> Result<EvalRecord, TrainError> {
        let model = self.model().valid();
        let (mut sum, mut terms, mut metrics) = (0.0, 0, BTreeMap::new());
        for (done, batch) in batches.iter().enumerate() {
            observer.evaluating(done, batches.len());
            self.check(batch)?;
            if self.objective.terms(batch) == 0 {
                continue;
            }
            let found = self.objective.held_out_loss(&model, batch, self.config.loss_chunk);
            sum += found.loss.into_data().iter::<f64>().sum::<f64>();
            for (name, value) in found.metrics {
                *metrics.entry(name).or_default() += value.into_data().iter::<f64>().sum::<f64>();
            }
            terms += self.objective.terms(batch);
        }
        observer.evaluating(batches.len(), batches.len());
        if terms == 0 {
            return Err(TrainError::NoHeldOutTargets);
        }
        let loss = sum / terms as f64;
        if !loss.is_finite() {
            return Err(TrainError::HeldOutNotFinite {
                step: self.step,
                value: loss,
            });
        }
        Ok(EvalRecord {
            step: self.step,
            loss,
            target_tokens: terms,
            metrics: means(metrics.into_iter(), terms),
        })
    }

    /// The batches of the first held-out rows, as many as the recipe evaluates on.
    pub(super) fn held_out(&self, rows: &[PackedRow]) -> Result<Vec<Batch<AB::InnerBackend>>, TrainError> {
        let rows = &rows[..rows.len().min(self.config.eval_rows)];
        let device = self.model().device();
        // Rows of unequal length cannot share a batch; runs of equal ones do.
        let groups = rows.chunk_by(|a, b| a.ids.len() == b.ids.len());
        let batches = groups.flat_map(|group| group.chunks(self.config.micro_batch_rows));
        let batches = batches.map(|rows| Batch::from_rows(rows, &device));
        let batches: Vec<Batch<AB::InnerBackend>> = batches.collect::<Result<_, TrainError>>()?;
        batches.iter().try_for_each(|batch| self.check(batch))?;
        if !batches.is_empty() && batches.iter().all(|batch| self.objective.terms(batch) == 0) {
            return Err(TrainError::NoHeldOutTargets);
        }
        Ok(batches)
    }

    /// Whether every weight is finite. A checkpoint with non-finite weights would be useless.
    fn is_finite(&self) -> bool {
        let tensors = weights::named_tensors(self.model());
        tensors.values().all(|data| data.iter::<f32>().all(f32::is_finite))
    }
}

impl<AB: TrainBackend, O: Objective<AB>> Session<'_, '_, AB, O> {
    pub(super) fn evaluate(&mut self, held_out: &[Batch<AB::InnerBackend>]) -> Result<EvalRecord, TrainError> {
        match self.trainer.evaluate_watched(held_out, self.observer) {
            Ok(evaluation) => {
                self.metrics.append(&MetricRecord::Eval(evaluation.clone()))?;
                self.observer.evaluated(&evaluation);
                Ok(evaluation)
            }
            Err(error) if self.trainer.is_finite() => {
                let position = self.source.position()?;
                // The weights may be at fault nevertheless, so no earlier checkpoint is removed for this one.
                Err(self.saved_first(usize::MAX, position, error))
            }
            Err(error) => Err(error),
        }
    }
}
