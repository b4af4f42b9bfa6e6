//! Objectives: the quantity that a run minimises.

mod sft;

use burn::tensor::{Tensor, backend::Backend};
use smollm2_model::SmolLm2;

use crate::{Batch, TrainBackend};

pub(crate) use sft::SFT;
pub use sft::Sft;

/// The loss of a batch: how many terms it has, their sum, and what else is worth recording.
///
/// A step divides by the terms of all its micro-batches together. They are counted before the first forward pass, so
/// that several devices can add up their counts first, and afterwards their gradients.
pub trait Objective<AB: TrainBackend> {
    /// The name under which a [`RunRecord`](crate::RunRecord) holds it: a checkpoint of another one is not resumed.
    fn name(&self) -> &'static str;

    /// How many terms the batch adds to the loss, from what the host knows of it: the tokens that count, for [`Sft`]. A
    /// batch without any is left out.
    fn terms<B: Backend>(&self, batch: &Batch<B>) -> usize;

    /// The sum over the terms times `scale`, with its derivatives. At most `chunk` rows of logits exist at a time.
    fn loss(&self, model: &SmolLm2<AB>, batch: &Batch<AB>, scale: f64, chunk: usize) -> BatchLoss<AB>;

    /// The sum over the terms without derivatives, for held-out batches.
    fn held_out_loss(
        &self,
        model: &SmolLm2<AB::InnerBackend>,
        batch: &Batch<AB::InnerBackend>,
        chunk: usize,
    ) -> BatchLoss<AB::InnerBackend>;
}

/// What an [`Objective`] computes of a batch, still on the device.
#[derive(Clone, Debug)]
pub struct BatchLoss<B: Backend> {
    /// The loss, `[1]`, f32.
    pub loss: Tensor<B, 1>,
    /// Further sums over the terms by the name they are recorded under, each `[1]`, f32, and not scaled: their means
    /// are in the record of the step where they are finite.
    pub metrics: Vec<(&'static str, Tensor<B, 1>)>,
}

impl<B: Backend> From<Tensor<B, 1>> for BatchLoss<B> {
    /// A loss alone.
    fn from(loss: Tensor<B, 1>) -> Self {
        Self {
            loss,
            metrics: Vec::new(),
        }
    }
}
