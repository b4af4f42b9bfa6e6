//! The kinds of feed-forward layer, as configuration.

use std::{fmt, str::FromStr};

use kan_rational::{Degrees, Denominator, GroupRationalConfig, Init, MAX_DEGREES};
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// Name of a kind of feed-forward, as command lines and `config.json` spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeedForwardKind {
    /// `swiglu`: what the published checkpoints have.
    SwiGlu,
    /// `gated_rational`: SwiGLU with a learned group rational function in place of SiLU.
    GatedRational,
    /// `group_kan`: the block of the Kolmogorov-Arnold Transformer.
    GroupKan,
    /// `silu_mlp`: the control, without gate or rational function.
    SiluMlp,
}

impl FeedForwardKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::SwiGlu, Self::GatedRational, Self::GroupKan, Self::SiluMlp];

    /// The spelling in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SwiGlu => "swiglu",
            Self::GatedRational => "gated_rational",
            Self::GroupKan => "group_kan",
            Self::SiluMlp => "silu_mlp",
        }
    }

    /// The kind that `config.json` spells `name`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// All names, for messages.
    pub(crate) fn names() -> String {
        let [others @ .., last] = Self::ALL.map(Self::name);
        format!("{} or {last}", others.join(", "))
    }

    /// Keys of the `feed_forward` object of this kind.
    pub(crate) fn keys(self) -> Vec<&'static str> {
        match self {
            Self::SwiGlu => vec!["kind"],
            Self::GatedRational => [&["kind", "keep_silu"], &RATIONAL_KEYS[..]].concat(),
            Self::GroupKan => [&["kind", "hidden_size"], &RATIONAL_KEYS[..]].concat(),
            Self::SiluMlp => vec!["kind", "hidden_size"],
        }
    }
}

/// Keys of [`RationalConfig`].
const RATIONAL_KEYS: [&str; 6] = [
    "groups",
    "numerator_degree",
    "denominator_degree",
    "denominator_form",
    "share_numerator",
    "share_denominator",
];

impl fmt::Display for FeedForwardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for FeedForwardKind {
    type Err = ModelError;

    /// Accepts the spelling of `config.json` and the one of command lines (`gated-rational`).
    fn from_str(text: &str) -> Result<Self, ModelError> {
        Self::from_name(&text.replace('-', "_"))
            .ok_or_else(|| ModelError::config("feed_forward.kind", Self::names(), text))
    }
}

/// Feed-forward of one layer: the `feed_forward` object of `config.json`.
///
/// Shapes: D hidden, F ffn width. `⊙` is the elementwise product, `F_g` a group rational function
/// ([`kan_rational::GroupRational`]).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum FeedForwardConfig {
    /// `W_down (silu(W_gate x) ⊙ W_up x)` of width `intermediate_size`; [GLU Variants Improve
    /// Transformer](https://arxiv.org/abs/2002.05202), equation 6. The published checkpoints.
    #[default]
    #[serde(rename = "swiglu")]
    SwiGlu,
    /// `W_down (F_g(W_gate x) ⊙ W_up x)`: a pretrained SwiGLU converts into it.
    #[serde(rename = "gated_rational")]
    GatedRational(GatedRationalConfig),
    /// `W_2 F_g(W_1 F_g(x))`: the channel mixer of the [Kolmogorov-Arnold
    /// Transformer](https://arxiv.org/abs/2409.10594), equation 12, without biases.
    #[serde(rename = "group_kan")]
    GroupKan(GroupKanConfig),
    /// `W_2 silu(W_1 x)`: an ungated MLP of the same cost, to separate the effects of gating and activation.
    #[serde(rename = "silu_mlp")]
    SiluMlp {
        /// Width between the two projections.
        hidden_size: usize,
    },
}

/// Shape of a group rational function, flat as in `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RationalConfig {
    /// Number of contiguous channel groups that share coefficients. Default 8.
    pub groups: usize,
    /// Degree of the numerator. Default 5.
    pub numerator_degree: usize,
    /// Degree of the denominator. Default 4.
    pub denominator_degree: usize,
    /// Which denominator: `sum_of_abs` (what every published kernel computes, the default) or `abs_of_sum`.
    pub denominator_form: Denominator,
    /// One numerator for all groups. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub share_numerator: bool,
    /// One denominator for all groups. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub share_denominator: bool,
}

/// [`FeedForwardConfig::GatedRational`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GatedRationalConfig {
    /// The function of the gate.
    #[serde(flatten)]
    pub rational: RationalConfig,
    /// Exact conversion: the gate is `silu(g) + F_g(g)` and `F_g` starts at zero, so that the converted model equals
    /// the original to the last bit and learns the difference. Default false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep_silu: bool,
}

/// [`FeedForwardConfig::GroupKan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupKanConfig {
    /// Shape of both functions.
    #[serde(flatten)]
    pub rational: RationalConfig,
    /// Width between the two projections.
    pub hidden_size: usize,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Default for RationalConfig {
    fn default() -> Self {
        Self {
            groups: 8,
            numerator_degree: 5,
            denominator_degree: 4,
            denominator_form: Denominator::SumOfAbs,
            share_numerator: false,
            share_denominator: false,
        }
    }
}

impl RationalConfig {
    /// Rows and columns of the numerator's and the denominator's coefficients.
    pub(crate) fn shapes(&self) -> [[usize; 2]; 2] {
        [
            [self.rows(self.share_numerator), self.numerator_degree + 1],
            [self.rows(self.share_denominator), self.denominator_degree],
        ]
    }

    /// Rows of a table of coefficients that the groups share or do not.
    fn rows(&self, shared: bool) -> usize {
        if shared { 1 } else { self.groups }
    }

    /// The module of this shape, starting from `init`.
    pub(crate) fn module(&self, init: Init) -> GroupRationalConfig {
        GroupRationalConfig {
            groups: self.groups,
            degrees: Degrees::new(self.numerator_degree, self.denominator_degree),
            denominator: self.denominator_form,
            share_numerator: self.share_numerator,
            share_denominator: self.share_denominator,
            init,
        }
    }

    fn validate(&self, key: &str, channels: &[usize]) -> Result<(), ModelError> {
        if let Some(width) = channels
            .iter()
            .find(|width| self.groups == 0 || !width.is_multiple_of(self.groups))
        {
            let expected = format!("a divisor of the {width} channels it acts on");
            return Err(ModelError::config(format!("{key}.groups"), expected, self.groups));
        }
        for (field, found, most) in [
            ("numerator_degree", self.numerator_degree, MAX_DEGREES.numerator),
            ("denominator_degree", self.denominator_degree, MAX_DEGREES.denominator),
        ] {
            if !(1..=most).contains(&found) {
                let expected = format!("a degree between 1 and {most}");
                return Err(ModelError::config(format!("{key}.{field}"), expected, found));
            }
        }
        Ok(())
    }
}

impl FeedForwardConfig {
    /// The layer of `kind` with the cost of a SwiGLU of width `intermediate_size`: ungated kinds have two
    /// matrices instead of three and are therefore 1.5 times as wide. Rational functions have the default shape.
    pub fn matched(kind: FeedForwardKind, intermediate_size: usize) -> Self {
        let hidden_size = intermediate_size * 3 / 2;
        match kind {
            FeedForwardKind::SwiGlu => Self::SwiGlu,
            FeedForwardKind::GatedRational => Self::GatedRational(GatedRationalConfig::default()),
            FeedForwardKind::GroupKan => Self::GroupKan(GroupKanConfig {
                rational: RationalConfig::default(),
                hidden_size,
            }),
            FeedForwardKind::SiluMlp => Self::SiluMlp { hidden_size },
        }
    }

    /// Name of the kind.
    pub fn kind(&self) -> FeedForwardKind {
        match self {
            Self::SwiGlu => FeedForwardKind::SwiGlu,
            Self::GatedRational(_) => FeedForwardKind::GatedRational,
            Self::GroupKan(_) => FeedForwardKind::GroupKan,
            Self::SiluMlp { .. } => FeedForwardKind::SiluMlp,
        }
    }

    pub(crate) fn validate(&self, key: &str, hidden_size: usize, intermediate_size: usize) -> Result<(), ModelError> {
        match self {
            Self::SwiGlu => Ok(()),
            Self::GatedRational(config) => config.rational.validate(key, &[intermediate_size]),
            Self::GroupKan(config) => {
                check_width(key, config.hidden_size)?;
                config.rational.validate(key, &[hidden_size, config.hidden_size])
            }
            Self::SiluMlp { hidden_size } => check_width(key, *hidden_size),
        }
    }
}

fn check_width(key: &str, found: usize) -> Result<(), ModelError> {
    if (1..=1 << 28).contains(&found) {
        return Ok(());
    }
    let key = format!("{key}.hidden_size");
    Err(ModelError::config(key, "a size between 1 and 2^28", found))
}
