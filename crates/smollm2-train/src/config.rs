//! The recipe of a run.

mod toml_form;

use std::ops::RangeBounds;

use serde::{Deserialize, Serialize};
use smoltalk_data::{DataError, LoaderConfig};

use crate::{AdamWConfig, Schedule, TrainError};

pub use toml_form::Difference;

/// The recipe of a run. In TOML ([`TrainConfig::from_toml`]) every field is optional, and the fields of
/// [`LoaderConfig`] are on the same level as the others. The resolved form is saved in every checkpoint.
///
/// ```
/// use smollm2_train::TrainConfig;
///
/// let recipe = TrainConfig::from_toml("steps = 200\nlearning_rate = 5e-4\n[schedule]\nkind = \"wsd\"")?;
/// assert_eq!((recipe.steps, recipe.warmup_steps()), (200, 20));
/// assert!(TrainConfig::from_toml("learning_rte = 5e-4").is_err());
/// # Ok::<(), smollm2_train::TrainError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimiser steps of the whole run; the schedule ends with it. Default 1000.
    pub steps: usize,
    /// Peak learning rate. Default 1e-3.
    pub learning_rate: f64,
    /// Share of the steps spent warming up, rounded up as Hugging Face does. Default 0.1.
    pub warmup_ratio: f64,
    /// Largest global norm of the gradient; larger ones are scaled down to it. 0 turns clipping off. Default 1.0.
    pub max_grad_norm: f64,
    /// Whether the gradients of rational coefficients are clipped separately from all others, each to `max_grad_norm`.
    /// A coefficient's gradient is a sum over every activation of its layer, thousands of times the others together.
    /// Clipped jointly, it would scale them down so far that AdamW's epsilon stops their updates. Default true.
    pub clip_rational_apart: bool,
    /// Rows that go through the model at once. Default 4.
    pub micro_batch_rows: usize,
    /// Micro-batches per optimiser step, weighted by their target tokens. Default 4.
    pub gradient_accumulation: usize,
    /// Rows of the vocabulary projection computed at a time; bounds the memory of the logits. Default 512.
    pub loss_chunk: usize,
    /// Steps between evaluations on held-out rows; 0: only at the end. Default 100.
    pub eval_every: usize,
    /// Most held-out rows used per evaluation. Default 64.
    pub eval_rows: usize,
    /// Steps between checkpoints; 0: only at the end. Default 100.
    pub checkpoint_every: usize,
    /// Newest checkpoints kept; at least 1. Default 2.
    pub keep_checkpoints: usize,
    /// How conversations become rows. A [`RowSource`](crate::RowSource) that makes rows differently is refused. The
    /// seed is also that of a fresh model, where the application makes one.
    #[serde(flatten)]
    pub data: LoaderConfig,
    /// Learning rate over the steps. Default cosine to 0.
    pub schedule: Schedule,
    /// AdamW's constants and decay groups.
    pub optimizer: AdamWConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            learning_rate: 1e-3,
            warmup_ratio: 0.1,
            max_grad_norm: 1.0,
            clip_rational_apart: true,
            micro_batch_rows: 4,
            gradient_accumulation: 4,
            loss_chunk: 512,
            eval_every: 100,
            eval_rows: 64,
            checkpoint_every: 100,
            keep_checkpoints: 2,
            data: LoaderConfig::default(),
            schedule: Schedule::default(),
            optimizer: AdamWConfig::default(),
        }
    }
}

impl TrainConfig {
    /// The published supervised recipe of SmolLM2-135M and 360M: `recipes/smollm2/sft/config_smol.yaml` of
    /// huggingface/alignment-handbook at ae3f44f. 128 rows of 8192 tokens a step (there 4 x 4 on 8 devices, here
    /// 4 x 32 on one), two epochs of smol-smoltalk, which are about 800 steps.
    pub fn sft_smol() -> Self {
        Self {
            steps: 800,
            learning_rate: 1e-3,
            micro_batch_rows: 4,
            gradient_accumulation: 32,
            data: LoaderConfig::of_length(8192),
            ..Self::default()
        }
    }

    /// The published supervised recipe of SmolLM2-1.7B (`recipes/smollm2/sft/config.yaml`): as
    /// [`TrainConfig::sft_smol`] with a peak rate of 3e-4, on SmolTalk. The number of steps was not published;
    /// set it from the data.
    pub fn sft_1_7b() -> Self {
        Self {
            learning_rate: 3e-4,
            ..Self::sft_smol()
        }
    }

    /// A run of seconds on a CPU, to see that everything works.
    pub fn quick() -> Self {
        Self {
            steps: 20,
            micro_batch_rows: 2,
            gradient_accumulation: 1,
            eval_every: 10,
            eval_rows: 8,
            checkpoint_every: 10,
            data: LoaderConfig::of_length(128),
            ..Self::default()
        }
    }

    /// A preset by name: `sft-smol`, `sft-1.7b` or `quick`.
    pub fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "sft-smol" => Self::sft_smol(),
            "sft-1.7b" => Self::sft_1_7b(),
            "quick" => Self::quick(),
            _ => return None,
        })
    }

    /// Steps of the warm-up: `ceil(warmup_ratio * steps)`.
    pub fn warmup_steps(&self) -> usize {
        (self.warmup_ratio * self.steps as f64).ceil() as usize
    }

    /// Learning rate of the update of `step`, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        self.learning_rate * self.schedule.factor(step, self.warmup_steps(), self.steps)
    }

    /// Refuses meaningless values, and sizes too large to compute with.
    ///
    /// # Errors
    /// [`TrainError::Config`], naming the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        for (field, value, most) in [
            ("steps", self.steps, MOST_STEPS),
            ("micro_batch_rows", self.micro_batch_rows, MOST_ROWS),
            ("gradient_accumulation", self.gradient_accumulation, MOST_ROWS),
            ("loss_chunk", self.loss_chunk, MOST_TOKENS),
            ("keep_checkpoints", self.keep_checkpoints, MOST_STEPS),
        ] {
            if value == 0 {
                return Err(TrainError::config(field, "at least 1", value));
            }
            at_most(field, value as u64, most as u64)?;
        }
        at_most("eval_every", self.eval_every as u64, MOST_STEPS as u64)?;
        at_most("eval_rows", self.eval_rows as u64, MOST_ROWS as u64)?;
        at_most("checkpoint_every", self.checkpoint_every as u64, MOST_STEPS as u64)?;
        validate_data(&self.data)?;
        let rate = "a finite rate of at least 0";
        within("learning_rate", self.learning_rate, 0.0..=f64::MAX, rate)?;
        let norm = "a finite norm of at least 0 (0: no clipping)";
        within("max_grad_norm", self.max_grad_norm, 0.0..=f64::MAX, norm)?;
        within("warmup_ratio", self.warmup_ratio, 0.0..=1.0, "a share from 0 to 1")?;
        self.schedule.validate(self.warmup_ratio)?;
        self.optimizer.validate()
    }
}

fn validate_data(data: &LoaderConfig) -> Result<(), TrainError> {
    data.validate().map_err(|error| match error {
        DataError::Config { field, mismatch } => TrainError::Config { field, mismatch },
        other => other.into(),
    })?;
    at_most("sequence_length", data.sequence_length as u64, MOST_TOKENS as u64)?;
    for (field, value) in [
        ("seed", data.seed),
        ("buffer", data.buffer as u64),
        ("buffer_rows", data.buffer_rows as u64),
        ("max_bad_records", data.max_bad_records),
    ] {
        // TOML has signed integers only.
        at_most(field, value, i64::MAX as u64)?;
    }
    Ok(())
}

/// Bounds on counts: far above realistic values, and low enough that no product of them overflows.
const MOST_STEPS: usize = 1 << 31;
const MOST_TOKENS: usize = 1 << 20;
const MOST_ROWS: usize = 1 << 20;

fn at_most(field: &'static str, value: u64, most: u64) -> Result<(), TrainError> {
    if value <= most {
        Ok(())
    } else {
        Err(TrainError::config(field, format!("at most {most}"), value))
    }
}

/// Refuses a number that is not in `accepted`, NaN among them.
pub(crate) fn within(
    field: &'static str,
    value: f64,
    accepted: impl RangeBounds<f64>,
    expected: &str,
) -> Result<(), TrainError> {
    if accepted.contains(&value) {
        Ok(())
    } else {
        Err(TrainError::config(field, expected, value))
    }
}
