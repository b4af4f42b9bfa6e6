//! The recipe of a run.

use serde::{Deserialize, Serialize};
use smoltalk_data::{Mask, Packing, SystemPrompt};

use crate::{AdamWConfig, Schedule, TrainError};

/// The recipe of a run. Read from TOML ([`TrainConfig::from_toml`]), where every field may be left out; the resolved
/// form is saved beside every checkpoint.
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
    /// Seed of the data order (and of a fresh model, where the application makes one). Default 42.
    pub seed: u64,
    /// Optimiser steps of the whole run; the schedule ends with it. Default 1000.
    pub steps: usize,
    /// Peak learning rate. Default 1e-3.
    pub learning_rate: f64,
    /// Share of the steps spent warming up, rounded up as Hugging Face does. Default 0.1.
    pub warmup_ratio: f64,
    /// Largest global norm of the gradient; larger ones are scaled down to it. 0 turns clipping off. Default 1.0.
    pub max_grad_norm: f64,
    /// Whether the gradients of rational coefficients are clipped apart from all others, each to `max_grad_norm`. A
    /// coefficient's gradient is a sum over every activation of its layer, thousands of times the others together;
    /// clipped with them it scales theirs down to where AdamW's epsilon stops them. Default true.
    pub clip_rational_apart: bool,
    /// Tokens per row. Default 2048.
    pub sequence_length: usize,
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
    /// Which tokens count: all (the published recipe) or the assistant's only. Default all.
    pub mask: Mask,
    /// How conversations fill rows. Default concat, the published recipe.
    pub packing: Packing,
    /// The system turn of conversations without one. Default: the template's sentence.
    pub system_prompt: SystemPrompt,
    /// Learning rate over the steps. Default cosine to 0.
    pub schedule: Schedule,
    /// AdamW's constants and decay groups.
    pub optimizer: AdamWConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 42,
            steps: 1000,
            learning_rate: 1e-3,
            warmup_ratio: 0.1,
            max_grad_norm: 1.0,
            clip_rational_apart: true,
            sequence_length: 2048,
            micro_batch_rows: 4,
            gradient_accumulation: 4,
            loss_chunk: 512,
            eval_every: 100,
            eval_rows: 64,
            checkpoint_every: 100,
            keep_checkpoints: 2,
            mask: Mask::All,
            packing: Packing::Concat,
            system_prompt: SystemPrompt::Default,
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
            sequence_length: 8192,
            micro_batch_rows: 4,
            gradient_accumulation: 32,
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
            sequence_length: 128,
            micro_batch_rows: 2,
            gradient_accumulation: 1,
            eval_every: 10,
            eval_rows: 8,
            checkpoint_every: 10,
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

    /// Reads and validates a recipe.
    ///
    /// # Errors
    /// [`TrainError::ConfigSyntax`] for an unknown or ill-typed key, [`TrainError::Config`] for an impossible value.
    pub fn from_toml(text: &str) -> Result<Self, TrainError> {
        let config: Self = toml::from_str(text).map_err(|error| TrainError::ConfigSyntax(Box::new(error)))?;
        config.validate()?;
        Ok(config)
    }

    /// The resolved recipe: every field, as [`TrainConfig::from_toml`] reads it back.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }

    /// Steps of the warm-up: `ceil(warmup_ratio * steps)`.
    pub fn warmup_steps(&self) -> usize {
        (self.warmup_ratio * self.steps as f64).ceil() as usize
    }

    /// Learning rate of the update of `step`, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        self.learning_rate * self.schedule.factor(step, self.warmup_steps(), self.steps)
    }

    /// Refuses values without meaning.
    ///
    /// # Errors
    /// [`TrainError::Config`], naming the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        for (field, value) in [
            ("steps", self.steps),
            ("micro_batch_rows", self.micro_batch_rows),
            ("gradient_accumulation", self.gradient_accumulation),
            ("loss_chunk", self.loss_chunk),
            ("keep_checkpoints", self.keep_checkpoints),
        ] {
            if value == 0 {
                return Err(TrainError::config(field, "at least 1", value));
            }
        }
        if self.sequence_length < 2 {
            let expected = "at least 2: a token is predicted from the one before";
            return Err(TrainError::config("sequence_length", expected, self.sequence_length));
        }
        let not_negative: fn(f64) -> bool = |x| x >= 0.0;
        let share: fn(f64) -> bool = |x| (0.0..=1.0).contains(&x);
        for (field, value, accepted, expected) in [
            (
                "learning_rate",
                self.learning_rate,
                not_negative,
                "a finite rate of at least 0",
            ),
            (
                "max_grad_norm",
                self.max_grad_norm,
                not_negative,
                "a finite norm of at least 0 (0: no clipping)",
            ),
            ("warmup_ratio", self.warmup_ratio, share, "a share from 0 to 1"),
        ] {
            within(field, value, accepted, expected)?;
        }
        self.schedule.validate()?;
        self.optimizer.validate()
    }
}

/// Refuses a number that is not finite or not accepted.
pub(crate) fn within(
    field: &'static str,
    value: f64,
    accepted: impl Fn(f64) -> bool,
    expected: &str,
) -> Result<(), TrainError> {
    if value.is_finite() && accepted(value) {
        Ok(())
    } else {
        Err(TrainError::config(field, expected, value))
    }
}
