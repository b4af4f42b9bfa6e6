use burn::tensor::{Int, Tensor, backend::Backend};
use smollm2_model::{DecoderBackend, SmolLm2};

use super::{BatchLoss, Objective};
use crate::{
    Batch, TrainBackend,
    loss::{chunked_cross_entropy, cross_entropy_sum},
};

/// The name of [`Sft`].
pub(crate) const SFT: &str = "sft";

/// Supervised fine-tuning: the cross-entropy of every token that counts, given those before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sft;

impl<AB: TrainBackend> Objective<AB> for Sft {
    fn name(&self) -> &'static str {
        SFT
    }

    fn terms<B: Backend>(&self, batch: &Batch<B>) -> usize {
        batch.targets().len()
    }

    fn loss(&self, model: &SmolLm2<AB>, batch: &Batch<AB>, scale: f64, chunk: usize) -> BatchLoss<AB> {
        let (rows, ids) = predictions(model, batch); // [N, D], [N]
        chunked_cross_entropy(rows, model.output_embedding(), ids, scale, chunk).into()
    }

    fn held_out_loss(
        &self,
        model: &SmolLm2<AB::InnerBackend>,
        batch: &Batch<AB::InnerBackend>,
        chunk: usize,
    ) -> BatchLoss<AB::InnerBackend> {
        let (rows, ids) = predictions(model, batch); // [N, D], [N]
        cross_entropy_sum(rows, model.output_embedding(), ids, chunk).into()
    }
}

/// The hidden states that predict a token that counts, and these tokens.
fn predictions<B: DecoderBackend>(model: &SmolLm2<B>, batch: &Batch<B>) -> (Tensor<B, 2>, Tensor<B, 1, Int>) {
    let hidden = model.hidden(batch.ids().clone(), batch.layout()); // [B, T, D]
    batch.targets().select(hidden) // [N, D], [N]
}
