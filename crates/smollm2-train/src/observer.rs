//! What a run reports while it goes.

use std::{fmt, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{DamagedMetrics, MemoryEstimate};

/// Watches a run. Every method does nothing by default; an application prints or draws what it wants. The library
/// itself never prints.
pub trait TrainObserver {
    /// Before the first step of this session: where it starts, where it ends, what memory it will take.
    fn started(&mut self, from_step: usize, steps: usize, memory: &MemoryEstimate) {
        let _ = (from_step, steps, memory);
    }
    /// After every step.
    fn stepped(&mut self, step: &StepRecord, progress: &Progress) {
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
    /// Before the first step of a resumed run, when lines of its `metrics.jsonl` were no records and were left out.
    fn damaged_metrics(&mut self, damaged: &DamagedMetrics) {
        let _ = damaged;
    }
    /// Asked after every step: whether the run should end here. It then writes a checkpoint first.
    fn stop_requested(&mut self) -> bool {
        false
    }
}

/// Watches nothing.
impl TrainObserver for () {}

/// One optimiser step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps made, from 1.
    pub step: usize,
    /// Mean loss per target token, before the update, nats.
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
    /// Tokens that counted.
    pub target_tokens: usize,
    /// Wall-clock seconds of the step.
    pub seconds: f64,
    /// Share of the device's peak arithmetic, or `None` where the device is not in the table.
    pub mfu: Option<f64>,
}

/// One evaluation on held-out rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// Steps made before it.
    pub step: usize,
    /// Mean loss per target token, nats.
    pub loss: f64,
    /// Tokens that counted.
    pub target_tokens: usize,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps of the whole run.
    pub steps: usize,
    /// Time left, from the mean of this session's steps.
    pub remaining: Duration,
}

/// The line of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepLine<'a>(pub &'a StepRecord, pub &'a Progress);

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
        write!(
            f,
            "step {}/{} | loss {:.4} | lr {:.2e} | grad norm {:.3}{parts} | {:.0} tokens/s | MFU {} | ETA {}:{:02}:{:02}",
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

/// Dense bf16 peaks in FLOP/s, by words of the device's name, from the vendors' data sheets (without sparsity). The
/// first that fits counts.
const PEAKS: [(&str, f64); 11] = [
    ("GH200", 989e12),
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("A100", 312e12),
    ("A10", 125e12),
    ("L40S", 362e12),
    ("L40", 181e12),
    ("L4", 121e12),
    ("RTX 4090", 165e12),
];

/// Peak bf16 arithmetic of a device by name, FLOP/s; `None` when it is not in the table, because a guessed figure is
/// worse than none.
pub fn device_peak(name: &str) -> Option<f64> {
    // Whole words only: an L40 is no L4, an A1000 no A100.
    let words = |text: &str| -> Vec<String> { text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect() };
    let name = words(name);
    let fits = |part: &str| {
        let part = words(part);
        name.windows(part.len()).any(|found| found == part)
    };
    PEAKS.iter().find(|(part, _)| fits(part)).map(|(_, peak)| *peak)
}
