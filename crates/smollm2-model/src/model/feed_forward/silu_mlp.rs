//! N rows, D hidden, F feed-forward width.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};

use crate::{
    SmolLm2Config,
    model::Projection,
    ops::{DecoderBackend, silu},
};

/// `W_2 silu(W_1 x)`.
#[derive(Module, Debug)]
pub(crate) struct SiluMlp<B: Backend> {
    /// `[D, F]`.
    fc1: Projection<B>,
    /// `[F, D]`.
    fc2: Projection<B>,
}

impl<B: DecoderBackend> SiluMlp<B> {
    pub(super) fn new(width: usize, config: &SmolLm2Config, device: &B::Device) -> Self {
        let (d, std) = (config.hidden_size, config.initializer_range);
        Self {
            fc1: Projection::new(d, width, std, device),
            fc2: Projection::new(width, d, std, device),
        }
    }

    pub(super) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let hidden = self.fc1.forward(x); // [N, F]
        self.fc2.forward(silu(hidden)) // [N, D]
    }
}
