//! Progress reports of a run.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{DamagedMetrics, MemoryEstimate};

/// Observes a run. Every method does nothing by default. The library itself never prints; an application does so here.
pub trait TrainObserver {
    /// Before the first step of this session: where it starts, where it ends, what memory it will take.
    fn started(&mut self, from_step: usize, steps: usize, memory: &MemoryEstimate) {
        let _ = (from_step, steps, memory);
    }
    /// After every step.
    fn stepped(&mut self, step: &StepRecord, progress: &RunProgress) {
        let _ = (step, progress);
    }
    /// During an evaluation on held-out rows: batches done, from 0, and how many there are.
    fn evaluating(&mut self, done: usize, batches: usize) {
        let _ = (done, batches);
    }
    /// After every evaluation on held-out rows.
    fn evaluated(&mut self, evaluation: &EvalRecord) {
        let _ = evaluation;
    }
    /// Before a checkpoint is written.
    fn saving(&mut self, step: usize) {
        let _ = step;
    }
    /// After a checkpoint is complete on disk.
    fn saved(&mut self, step: usize, folder: &Path) {
        let _ = (step, folder);
    }
    /// Before the first step of a resumed run, if lines of its `metrics.jsonl` were not records and were left out.
    fn damaged_metrics(&mut self, damaged: &DamagedMetrics) {
        let _ = damaged;
    }
    /// Called after every step: whether the run should end here. If so, it writes a checkpoint first.
    fn stop_requested(&mut self) -> bool {
        false
    }
}

/// Ignores all events.
impl TrainObserver for () {}

/// One optimiser step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps made, from 1.
    pub step: usize,
    /// Mean loss per term of the objective before the update; nats per target token for [`Sft`](crate::Sft).
    pub loss: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The part of the rational coefficients in it, 0 where the model has none. `None` in older records.
    #[serde(default)]
    pub rational_norm: Option<f64>,
    /// The part of all other parameters.
    #[serde(default)]
    pub other_norm: Option<f64>,
    /// Tokens that went through the model.
    pub tokens: usize,
    /// Terms of the loss: the tokens that counted, for [`Sft`](crate::Sft).
    pub target_tokens: usize,
    /// Wall-clock seconds of the step.
    pub seconds: f64,
    /// Share of the device's peak arithmetic, or `None` where the device is not in the table.
    pub mfu: Option<f64>,
    /// Means of what the objective measures next to the loss, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// One evaluation on held-out rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// Steps made before it.
    pub step: usize,
    /// Mean loss per term of the objective; nats per target token for [`Sft`](crate::Sft).
    pub loss: f64,
    /// Terms of the loss: the tokens that counted, for [`Sft`](crate::Sft).
    pub target_tokens: usize,
    /// Means of what the objective measures next to the loss, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// The progress of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunProgress {
    /// Steps of the whole run.
    pub steps: usize,
    /// Time left, from the mean of this session's steps.
    pub remaining: Duration,
}

/// The line of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepLine<'a>(pub &'a StepRecord, pub &'a RunProgress);

impl fmt::Display for StepLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(step, progress) = self;
        let rate = step.tokens as f64 / step.seconds.max(1e-9);
        let mfu = step.mfu.map_or("n/a".to_owned(), |mfu| format!("{:.1} %", 100.0 * mfu));
        let left = progress.remaining.as_secs();
        let parts = match (step.rational_norm, step.other_norm) {
            (Some(rational), Some(other)) if rational > 0.0 => format!(" (rational {rational:.3}, other {other:.3})"),
            _ => String::new(),
        };
        let metrics = step.metrics.iter().map(|(name, mean)| format!(" | {name} {mean:.4}"));
        let metrics: String = metrics.collect();
        write!(
            f,
            "step {}/{} | loss {:.4}{metrics} | lr {:.2e} | grad norm {:.3}{parts} | {:.0} tokens/s | MFU {} | ETA {}:{:02}:{:02}",
            step.step,
            progress.steps,
            step.loss,
            step.learning_rate,
            step.gradient_norm,
            rate,
            mfu,
            left / 3600,
            left / 60 % 60,
            left % 60
        )
    }
}
