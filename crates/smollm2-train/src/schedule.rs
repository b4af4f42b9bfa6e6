//! Learning rate as a function of the step.

use serde::{Deserialize, Serialize};

use crate::{TrainError, config::within};

/// Shape of the learning rate after the warm-up.
///
/// Every schedule returns a factor of the peak rate for step `s` in `0..S` (the first update uses `s = 0`), after `W`
/// warm-up steps: `s / max(1, W)` while `s < W`, as `transformers/optimization.py` does, so that the very first update
/// of a warmed-up run has rate zero. Afterwards:
///
/// - constant: `1`
/// - cosine (`get_cosine_schedule_with_warmup`, half a period): `(1 + cos(pi p)) / 2`, `p = (s - W) / max(1, S - W)`,
///   scaled to end at `minimum`: `minimum + (1 - minimum) (1 + cos(pi p)) / 2`
/// - warm-up, stable, decay: `1` until `S - K`, then a straight line to `minimum`:
///   `1 - (1 - minimum) (s - (S - K)) / K`, with `K = decay_fraction * S` rounded, at most `S - W`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The peak rate throughout.
    Constant {},
    /// Half a cosine from the peak to `minimum` times the peak.
    Cosine {
        /// Last factor. Default 0: Hugging Face's schedule.
        #[serde(default)]
        minimum: f64,
    },
    /// Warm-up, stable, decay: SmolLM2's own pre-training schedule.
    Wsd {
        /// Share of all steps spent on the decay. Default 0.2.
        #[serde(default = "default_decay")]
        decay_fraction: f64,
        /// Factor the line ends at. Default 0.
        #[serde(default)]
        minimum: f64,
    },
}

fn default_decay() -> f64 {
    0.2
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine { minimum: 0.0 }
    }
}

impl Schedule {
    /// Refuses factors and shares outside 0 to 1, and a decay that would begin during a warm-up of this share.
    pub(crate) fn validate(&self, warmup_ratio: f64) -> Result<(), TrainError> {
        let (decay_fraction, minimum) = match *self {
            Self::Constant {} => (0.0, 0.0),
            Self::Cosine { minimum } => (0.0, minimum),
            Self::Wsd {
                decay_fraction,
                minimum,
            } => (decay_fraction, minimum),
        };
        within(
            "schedule.decay_fraction",
            decay_fraction,
            0.0..=1.0,
            "a share from 0 to 1",
        )?;
        within("schedule.minimum", minimum, 0.0..=1.0, "a factor from 0 to 1")?;
        if matches!(self, Self::Wsd { .. }) && warmup_ratio + decay_fraction > 1.0 + 1e-9 {
            let expected = format!("at most 1 - warmup_ratio = {}", 1.0 - warmup_ratio);
            return Err(TrainError::config("schedule.decay_fraction", expected, decay_fraction));
        }
        Ok(())
    }

    /// Factor of the peak rate for the update of step `step` (from 0) out of `steps`, after `warmup` steps.
    ///
    /// ```
    /// use smollm2_train::Schedule;
    ///
    /// let cosine = Schedule::default();
    /// assert_eq!(cosine.factor(0, 10, 100), 0.0);
    /// assert_eq!(cosine.factor(10, 10, 100), 1.0);
    /// assert!((cosine.factor(55, 10, 100) - 0.5).abs() < 1e-12);
    /// ```
    pub fn factor(&self, step: usize, warmup: usize, steps: usize) -> f64 {
        if step < warmup {
            return step as f64 / warmup.max(1) as f64;
        }
        match *self {
            Self::Constant {} => 1.0,
            Self::Cosine { minimum } => {
                let progress = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
                let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos());
                minimum + (1.0 - minimum) * cosine
            }
            Self::Wsd {
                decay_fraction,
                minimum,
            } => {
                let decay = (decay_fraction * steps as f64).round() as usize;
                // The warm-up is rounded up: both together may have a step more than there are.
                let start = steps.saturating_sub(decay).max(warmup);
                let decay = steps.saturating_sub(start);
                let progress = step.saturating_sub(start) as f64 / decay.max(1) as f64;
                1.0 - (1.0 - minimum) * progress.min(1.0)
            }
        }
    }
}
