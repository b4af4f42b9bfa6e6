//! What a run will need, said before it starts.

use std::fmt;

use smollm2_model::SmolLm2Config;

use crate::TrainConfig;

/// Bytes a run needs at its peak, by kind. Weights, gradients and optimiser state are exact; activations are an upper
/// estimate from the tensors kept for the backward, which a backend may need more of for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights, f32.
    pub weights: u64,
    /// Gradients, f32: a second set with accumulation, the sum and what is added to it; one more gradient of the output
    /// embedding lives beside them in the loss.
    pub gradients: u64,
    /// Two moments, f32.
    pub optimizer: u64,
    /// What the blocks keep for the backward.
    pub activations: u64,
    /// Logits of one chunk, twice: the exponentials replace them, a copy may exist for a moment.
    pub logits: u64,
}

impl MemoryEstimate {
    /// The estimate for a model and a recipe, in 4-byte floats.
    pub fn new(model: &SmolLm2Config, recipe: &TrainConfig) -> Self {
        let parameters = model.num_parameters() as u64;
        let tokens = (recipe.micro_batch_rows * recipe.sequence_length) as u64;
        let (hidden, ffn) = (model.hidden_size as u64, model.intermediate_size as u64);
        // Per token and block: the inputs of both norms and of all projections, rotated queries and keys, and values are
        // at most 9 D; gate, up and their product 3 F, or three times 1.5 F in the layers without a gate. Attention
        // keeps no scores.
        let block = 9 * hidden + 9 * ffn / 2;
        let chunk = (recipe.loss_chunk as u64).min(tokens);
        let vocabulary = model.vocab_size as u64;
        let sets = if recipe.gradient_accumulation > 1 { 2 } else { 1 };
        Self {
            weights: 4 * parameters,
            gradients: 4 * (sets * parameters + vocabulary * hidden),
            optimizer: 8 * parameters,
            activations: 4 * tokens * block * model.num_hidden_layers as u64,
            logits: 8 * chunk * vocabulary,
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.activations + self.logits
    }
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        write!(
            f,
            "about {:.2} GiB: weights {:.2}, gradients {:.2}, optimiser {:.2}, activations {:.2}, logits {:.2}",
            gib(self.total()),
            gib(self.weights),
            gib(self.gradients),
            gib(self.optimizer),
            gib(self.activations),
            gib(self.logits)
        )
    }
}
