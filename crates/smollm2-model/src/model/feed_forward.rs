//! The four feed-forward layers.
//!
//! N rows, D hidden, F feed-forward width, G groups.

use burn::{
    module::Module,
    nn::Linear,
    tensor::{Tensor, backend::Backend},
};
use kan_rational::{Activation, Degrees, GroupRational, GroupRationalConfig, Init, RationalBackend};

use super::linear;
use crate::{
    FeedForwardConfig, GatedRationalConfig, GroupKanConfig, RationalConfig, SmolLm2Config,
    ops::{DecoderBackend, gated_silu, silu},
};

/// Feed-forward of one block, chosen by [`FeedForwardConfig`].
#[derive(Module, Debug)]
pub enum FeedForward<B: Backend> {
    /// See [`FeedForwardConfig::SwiGlu`].
    SwiGlu(SwiGlu<B>),
    /// See [`FeedForwardConfig::GatedRational`].
    GatedRational(GatedRational<B>),
    /// See [`FeedForwardConfig::GroupKan`].
    GroupKan(GroupKan<B>),
    /// See [`FeedForwardConfig::SiluMlp`].
    SiluMlp(SiluMlp<B>),
}

/// `W_down (silu(W_gate x) ⊙ W_up x)`: `LlamaMLP` in `transformers/models/llama/modeling_llama.py`.
#[derive(Module, Debug)]
pub struct SwiGlu<B: Backend> {
    /// `[D, F]`.
    pub gate_proj: Linear<B>,
    /// `[D, F]`.
    pub up_proj: Linear<B>,
    /// `[F, D]`.
    pub down_proj: Linear<B>,
}

/// `W_down (F_g(W_gate x) ⊙ W_up x)`, or with `silu(g) + F_g(g)` as the gate.
#[derive(Module, Debug)]
pub struct GatedRational<B: Backend> {
    /// `[D, F]`.
    pub gate_proj: Linear<B>,
    /// `[D, F]`.
    pub up_proj: Linear<B>,
    /// `[F, D]`.
    pub down_proj: Linear<B>,
    /// The function of the gate, over F channels.
    pub gate_rational: GroupRational<B>,
    /// Whether SiLU is added to the function ([`GatedRationalConfig::keep_silu`]).
    pub keep_silu: bool,
}

/// `W_2 F_g(W_1 F_g(x))`: the reference is `KAN` in `katransformer.py` of the Kolmogorov-Arnold Transformer.
#[derive(Module, Debug)]
pub struct GroupKan<B: Backend> {
    /// Starts as the identity, over D channels.
    pub act1: GroupRational<B>,
    /// `[D, F]`.
    pub fc1: Linear<B>,
    /// Starts as swish, over F channels.
    pub act2: GroupRational<B>,
    /// `[F, D]`.
    pub fc2: Linear<B>,
}

/// `W_2 silu(W_1 x)`.
#[derive(Module, Debug)]
pub struct SiluMlp<B: Backend> {
    /// `[D, F]`.
    pub fc1: Linear<B>,
    /// `[F, D]`.
    pub fc2: Linear<B>,
}

impl<B: DecoderBackend> FeedForward<B> {
    /// Draws the feed-forward of one layer.
    pub(crate) fn new(kind: &FeedForwardConfig, config: &SmolLm2Config, device: &B::Device) -> Self {
        let (d, f, std) = (config.hidden_size, config.intermediate_size, config.initializer_range);
        let projection = |input, output| linear(input, output, std, device);
        match kind {
            FeedForwardConfig::SwiGlu => Self::SwiGlu(SwiGlu {
                gate_proj: projection(d, f),
                up_proj: projection(d, f),
                down_proj: projection(f, d),
            }),
            FeedForwardConfig::GatedRational(GatedRationalConfig {
                rational: shape,
                keep_silu,
            }) => {
                let start = if *keep_silu {
                    Activation::Zero
                } else {
                    Activation::Swish
                };
                Self::GatedRational(GatedRational {
                    gate_proj: projection(d, f),
                    up_proj: projection(d, f),
                    down_proj: projection(f, d),
                    gate_rational: rational(shape, start, f, device),
                    keep_silu: *keep_silu,
                })
            }
            FeedForwardConfig::GroupKan(GroupKanConfig {
                rational: shape,
                hidden_size,
            }) => Self::GroupKan(GroupKan {
                act1: rational(shape, Activation::Identity, d, device),
                fc1: projection(d, *hidden_size),
                act2: rational(shape, Activation::Swish, *hidden_size, device),
                fc2: projection(*hidden_size, d),
            }),
            FeedForwardConfig::SiluMlp { hidden_size } => Self::SiluMlp(SiluMlp {
                fc1: projection(d, *hidden_size),
                fc2: projection(*hidden_size, d),
            }),
        }
    }

    /// The output of the layer on every row of `x`.
    ///
    /// # Shapes
    /// - `x`: `[N, D]`
    /// - output: `[N, D]`
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::SwiGlu(layer) => layer.forward(x),
            Self::GatedRational(layer) => layer.forward(x),
            Self::GroupKan(layer) => layer.forward(x),
            Self::SiluMlp(layer) => layer.forward(x),
        }
    }
}

impl<B: DecoderBackend> SwiGlu<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let gate = self.gate_proj.forward(x.clone()); // [N, F]
        let up = self.up_proj.forward(x); // [N, F]
        self.down_proj.forward(gated_silu(gate, up)) // [N, D]
    }
}

impl<B: DecoderBackend> GatedRational<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
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

impl<B: RationalBackend> GroupKan<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let hidden = self.fc1.forward(self.act1.forward(x)); // [N, F]
        self.fc2.forward(self.act2.forward(hidden)) // [N, D]
    }
}

impl<B: DecoderBackend> SiluMlp<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let hidden = self.fc1.forward(x); // [N, F]
        self.fc2.forward(silu(hidden)) // [N, D]
    }
}

/// A group rational function over `channels` channels, of the configured shape.
fn rational<B: Backend>(
    shape: &RationalConfig,
    init: Activation,
    channels: usize,
    device: &B::Device,
) -> GroupRational<B> {
    let degrees = Degrees {
        numerator: shape.numerator_degree,
        denominator: shape.denominator_degree,
    };
    GroupRationalConfig {
        groups: shape.groups,
        degrees,
        denominator: shape.denominator_form,
        share_numerator: shape.share_numerator,
        share_denominator: shape.share_denominator,
        init: Init::Activation(init),
    }
    .init(channels, device)
}
