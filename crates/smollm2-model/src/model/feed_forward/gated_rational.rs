//! N rows, D hidden, F feed-forward width.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use kan_rational::{Activation, GroupRational};

use super::{SwiGlu, rational};
use crate::{
    GatedRationalConfig, SmolLm2Config,
    model::Projection,
    ops::{DecoderBackend, gated_silu},
};

/// `W_down (F_g(W_gate x) ⊙ W_up x)`, or with `silu(g) + F_g(g)` as the gate.
#[derive(Module, Debug)]
pub(crate) struct GatedRational<B: Backend> {
    /// `[D, F]`.
    gate_proj: Projection<B>,
    /// `[D, F]`.
    up_proj: Projection<B>,
    /// `[F, D]`.
    down_proj: Projection<B>,
    /// The function of the gate, over F channels.
    pub(super) gate_rational: GroupRational<B>,
    /// Whether SiLU is added to the function ([`GatedRationalConfig::keep_silu`]).
    pub(super) keep_silu: bool,
}

impl<B: DecoderBackend> GatedRational<B> {
    pub(super) fn new(gate: &GatedRationalConfig, config: &SmolLm2Config, device: &B::Device) -> Self {
        let (width, start) = (config.intermediate_size, start(gate));
        let layer = SwiGlu::new(config, device);
        Self::replacing(layer, rational(&gate.rational, start, width, device), gate.keep_silu)
    }

    /// The projections of a SwiGLU with `gate_rational` in place of its SiLU, or added to it.
    pub(crate) fn replacing(layer: SwiGlu<B>, gate_rational: GroupRational<B>, keep_silu: bool) -> Self {
        Self {
            gate_proj: layer.gate_proj,
            up_proj: layer.up_proj,
            down_proj: layer.down_proj,
            gate_rational,
            keep_silu,
        }
    }

    pub(super) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let gate = self.gate_proj.forward(x.clone()); // [N, F]
        let up = self.up_proj.forward(x); // [N, F]
        let product = if self.keep_silu {
            gated_silu(gate.clone(), up.clone()) + self.gate_rational.forward_gated(gate, up) // [N, F]
        } else {
            self.gate_rational.forward_gated(gate, up) // [N, F]
        };
        self.down_proj.forward(product) // [N, D]
    }
}

/// The initial function of a new layer.
fn start(gate: &GatedRationalConfig) -> Activation {
    if gate.keep_silu {
        Activation::Zero
    } else {
        Activation::Swish
    }
}
