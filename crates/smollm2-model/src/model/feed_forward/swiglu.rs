//! N rows, D hidden, F feed-forward width.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};

use crate::{
    SmolLm2Config,
    model::Projection,
    ops::{DecoderBackend, gated_silu},
};

/// `W_down (silu(W_gate x) ⊙ W_up x)`: `LlamaMLP` in `transformers/models/llama/modeling_llama.py`.
#[derive(Module, Debug)]
pub(crate) struct SwiGlu<B: Backend> {
    /// `[D, F]`.
    pub(crate) gate_proj: Projection<B>,
    /// `[D, F]`.
    pub(crate) up_proj: Projection<B>,
    /// `[F, D]`.
    pub(crate) down_proj: Projection<B>,
}

impl<B: DecoderBackend> SwiGlu<B> {
    pub(super) fn new(config: &SmolLm2Config, device: &B::Device) -> Self {
        let (d, f, std) = (config.hidden_size, config.intermediate_size, config.initializer_range);
        Self {
            gate_proj: Projection::new(d, f, std, device),
            up_proj: Projection::new(d, f, std, device),
            down_proj: Projection::new(f, d, std, device),
        }
    }

    pub(super) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let gate = self.gate_proj.forward(x.clone()); // [N, F]
        let up = self.up_proj.forward(x); // [N, F]
        self.down_proj.forward(gated_silu(gate, up)) // [N, D]
    }
}
