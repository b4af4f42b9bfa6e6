//! The settings of generation.

use serde::{Deserialize, Serialize};

use crate::{InferError, Sampling};

/// How one row is continued: how tokens are chosen, and what ends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerationConfig {
    /// Most tokens to add. Default 256.
    pub max_new_tokens: usize,
    /// How a token is chosen. Default greedy.
    pub sampling: Sampling,
    /// Logits of tokens already in the row are divided by this when positive and multiplied when negative (CTRL,
    /// arXiv 1909.05858, as transformers applies it). 1 changes nothing. Default 1.
    pub repetition_penalty: f64,
    /// Seed of the draws. Default 0.
    pub seed: u64,
    /// Which of the seed's independent streams the row draws from. Default 0.
    pub stream: u64,
    /// Stop tokens. The stop token itself is part of the output. Default none; see
    /// [`Engine::stop_ids`](crate::Engine::stop_ids).
    pub stop_ids: Vec<u32>,
    /// Stop strings. A row ends with the token that completes one, and its text ends before it. The text of a special
    /// token counts. Default none.
    pub stop_strings: Vec<String>,
    /// Return the log-probability of each token, and of this many of the most probable tokens. Default `None`.
    pub logprobs: Option<usize>,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            sampling: Sampling::Greedy,
            repetition_penalty: 1.0,
            seed: 0,
            stream: 0,
            stop_ids: Vec::new(),
            stop_strings: Vec::new(),
            logprobs: None,
        }
    }
}

impl GenerationConfig {
    /// Checks that the settings are in their ranges.
    ///
    /// # Errors
    /// [`InferError::Setting`] naming the field.
    pub fn validate(&self) -> Result<(), InferError> {
        // Logits are f32: a penalty too small or too large for that would make them infinite or NaN.
        let penalty = self.repetition_penalty as f32;
        if !(penalty.is_normal() && penalty > 0.0) {
            return Err(InferError::Setting {
                setting: "repetition_penalty",
                expected: "a number above 0, within f32",
                found: self.repetition_penalty.to_string(),
            });
        }
        if self.stop_strings.iter().any(String::is_empty) {
            return Err(InferError::Setting {
                setting: "stop_strings",
                expected: "texts of at least one character",
                found: "an empty one".to_owned(),
            });
        }
        self.sampling.validate()
    }
}
