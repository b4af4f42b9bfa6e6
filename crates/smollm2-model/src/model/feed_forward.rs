//! The feed-forward of a block, an enum over the kinds of layer.
//!
//! N rows, D hidden.

mod gated_rational;
mod group_kan;
mod silu_mlp;
mod swiglu;

pub(crate) use gated_rational::GatedRational;
pub(crate) use swiglu::SwiGlu;

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use kan_rational::{Activation, GroupRational, Init};

use self::{group_kan::GroupKan, silu_mlp::SiluMlp};
use crate::{FeedForwardConfig, RationalConfig, SmolLm2Config, ops::DecoderBackend};

/// Feed-forward of one block, chosen by [`FeedForwardConfig`].
#[derive(Module, Debug)]
pub(crate) enum FeedForward<B: Backend> {
    SwiGlu(SwiGlu<B>),
    GatedRational(GatedRational<B>),
    GroupKan(GroupKan<B>),
    SiluMlp(SiluMlp<B>),
}

impl<B: DecoderBackend> FeedForward<B> {
    /// Draws the feed-forward `kind` of one layer of a model.
    pub(crate) fn new(kind: &FeedForwardConfig, config: &SmolLm2Config, device: &B::Device) -> Self {
        match kind {
            FeedForwardConfig::SwiGlu => Self::SwiGlu(SwiGlu::new(config, device)),
            FeedForwardConfig::GatedRational(gate) => Self::GatedRational(GatedRational::new(gate, config, device)),
            FeedForwardConfig::GroupKan(kan) => Self::GroupKan(GroupKan::new(kan, config, device)),
            FeedForwardConfig::SiluMlp { hidden_size } => Self::SiluMlp(SiluMlp::new(*hidden_size, config, device)),
        }
    }

    /// The output of the layer on every row of `x`.
    ///
    /// # Shapes
    /// - `x`: `[N, D]`
    /// - output: `[N, D]`
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::SwiGlu(layer) => layer.forward(x),
            Self::GatedRational(layer) => layer.forward(x),
            Self::GroupKan(layer) => layer.forward(x),
            Self::SiluMlp(layer) => layer.forward(x),
        }
    }
}

impl<B: Backend> FeedForward<B> {
    /// The rational functions of the layer under their names in a checkpoint, in the order in which they are applied.
    pub(crate) fn rationals(&self) -> Vec<(&'static str, &GroupRational<B>)> {
        match self {
            Self::SwiGlu(_) | Self::SiluMlp(_) => Vec::new(),
            Self::GatedRational(layer) => vec![("gate_rational", &layer.gate_rational)],
            Self::GroupKan(layer) => vec![("act1", &layer.act1), ("act2", &layer.act2)],
        }
    }

    /// Whether SiLU is added to the rational function.
    pub(crate) fn keeps_silu(&self) -> bool {
        matches!(self, Self::GatedRational(layer) if layer.keep_silu)
    }
}

/// A group rational function over `channels` channels, initialised to `init`.
fn rational<B: Backend>(
    shape: &RationalConfig,
    init: Activation,
    channels: usize,
    device: &B::Device,
) -> GroupRational<B> {
    shape.module(Init::Activation(init)).init(channels, device)
}
