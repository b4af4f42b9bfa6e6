//! Estimates the memory that a run will need, before it starts.

use std::fmt;

use smollm2_model::SmolLm2Config;
use smoltalk_data::Packing;

use crate::TrainConfig;

/// Bytes a run needs at its peak, by kind. Weights, gradients and optimiser state are exact; activations are an upper
/// estimate from the tensors kept for the backward, which a backend may need more of for a moment.
///
/// Sums that exceed 64 bits are the largest number of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights, f32.
    pub weights: u64,
    /// Gradients, f32: a second set with accumulation, the sum and what is added to it; one more gradient of the output
    /// embedding exists in the loss.
    pub gradients: u64,
    /// Two moments, f32.
    pub optimizer: u64,
    /// What the blocks keep for the backward.
    pub activations: u64,
    /// Which tokens of a row belong to different documents, `[B, T, T]`, where rows hold several: 4 bytes for each
    /// pair, as WGPU stores booleans; the CPU takes one.
    pub documents: u64,
    /// Logits of one chunk, twice: the exponentials replace them, a copy may exist for a moment.
    pub logits: u64,
}

impl MemoryEstimate {
    /// The estimate for a model and a recipe, in 4-byte floats.
    pub fn new(model: &SmolLm2Config, recipe: &TrainConfig) -> Self {
        let [rows, length] = [recipe.micro_batch_rows, recipe.data.sequence_length];
        let [hidden, ffn] = [model.hidden_size, model.intermediate_size];
        // Per token and block: the inputs of both norms and of all projections, rotated queries and keys, and values
        // are at most 9 D; gate, up and their product 3 F, or three times 1.5 F in the layers without a gate. Attention
        // keeps no scores.
        let block = product(&[9, hidden]).saturating_add(product(&[9, ffn]) / 2);
        let chunk = recipe.loss_chunk.min(rows.saturating_mul(length));
        let parameters = product(&[4, model.num_parameters()]);
        let sets = if recipe.gradient_accumulation > 1 { 2 } else { 1 };
        let documents = match recipe.data.packing {
            Packing::Concat => 0,
            Packing::BestFit | Packing::None => product(&[4, rows, length, length]),
        };
        Self {
            weights: parameters,
            gradients: parameters
                .saturating_mul(sets)
                .saturating_add(product(&[4, model.vocab_size, hidden])),
            optimizer: parameters.saturating_mul(2),
            activations: product(&[4, rows, length, model.num_hidden_layers]).saturating_mul(block),
            documents,
            logits: product(&[8, chunk, model.vocab_size]),
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        [
            self.weights,
            self.gradients,
            self.optimizer,
            self.activations,
            self.documents,
            self.logits,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

fn product(factors: &[usize]) -> u64 {
    factors
        .iter()
        .fold(1, |product, factor| product.saturating_mul(*factor as u64))
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "about {:.2} GiB: weights {:.2}, gradients {:.2}, optimiser {:.2}, activations {:.2}, document mask {:.2}, \
             logits {:.2}",
            gib(self.total()),
            gib(self.weights),
            gib(self.gradients),
            gib(self.optimizer),
            gib(self.activations),
            gib(self.documents),
            gib(self.logits)
        )
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
