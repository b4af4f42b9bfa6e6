//! N rows, D hidden, F feed-forward width.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use kan_rational::{Activation, GroupRational, RationalBackend};

use super::rational;
use crate::{GroupKanConfig, SmolLm2Config, model::Projection};

/// `W_2 F_g(W_1 F_g(x))`: the reference is `KAN` in `katransformer.py` of the Kolmogorov-Arnold Transformer.
#[derive(Module, Debug)]
pub(crate) struct GroupKan<B: Backend> {
    /// Starts as the identity, over D channels.
    pub(super) act1: GroupRational<B>,
    /// `[D, F]`.
    fc1: Projection<B>,
    /// Starts as swish, over F channels.
    pub(super) act2: GroupRational<B>,
    /// `[F, D]`.
    fc2: Projection<B>,
}

impl<B: RationalBackend> GroupKan<B> {
    pub(super) fn new(kan: &GroupKanConfig, config: &SmolLm2Config, device: &B::Device) -> Self {
        let (d, f, std) = (config.hidden_size, kan.hidden_size, config.initializer_range);
        Self {
            act1: rational(&kan.rational, Activation::Identity, d, device),
            fc1: Projection::new(d, f, std, device),
            act2: rational(&kan.rational, Activation::Swish, f, device),
            fc2: Projection::new(f, d, std, device),
        }
    }

    pub(super) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let hidden = self.fc1.forward(self.act1.forward(x)); // [N, F]
        self.fc2.forward(self.act2.forward(hidden)) // [N, D]
    }
}
