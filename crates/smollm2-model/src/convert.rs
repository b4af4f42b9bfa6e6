//! Converts a pretrained SwiGLU layer to a layer with a group rational gate.
//!
//! SwiGLU is `W_down (silu(W_gate x) ⊙ W_up x)`. In the converted layer, a learned function per channel group replaces
//! SiLU. Trained gates have outliers tens of times larger than most values, so using one published function for all
//! layers ruins the model. [`to_gated_rational`] therefore fits the function of each group to the gate values that
//! occur. It weights each squared error by the square of the up value that multiplies the gate. [`to_exact`] keeps SiLU
//! and adds a function that starts at zero.
//!
//! ```
//! use burn::backend::Flex;
//! use smollm2_model::{FeedForwardKind, SmolLm2Config, convert};
//!
//! # let mut config = SmolLm2Config::smollm2_135m();
//! # (config.vocab_size, config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (64, 64, 128, 1);
//! # (config.num_attention_heads, config.num_key_value_heads) = (1, 1);
//! # config.feed_forward.truncate(1);
//! let model = config.init::<Flex>(&Default::default())?;
//! let rows = vec![(0..64).collect::<Vec<u32>>()];
//! let options = convert::ConversionOptions::default();
//! let (converted, report) = convert::to_gated_rational(model.clone(), &rows, &options, |_stage, _done, _total| {})?;
//! assert_eq!(converted.config().feed_forward[0].kind(), FeedForwardKind::GatedRational);
//! assert!(report.worst_relative_error() < 0.01);
//! let comparison = convert::compare(&model, &converted, &rows)?;
//! assert!(comparison.mean_kl < 1e-4);
//! # Ok::<(), smollm2_model::ModelError>(())
//! ```

mod calibrate;
mod compare;
mod fit;
mod reservoir;

pub use compare::{ModelComparison, compare, compare_watched};

use std::collections::{BTreeMap, BTreeSet};

use kan_rational::{Activation, Coefficients, Degrees, Denominator, Init};
use serde::Serialize;

use self::fit::LayerFit;
use crate::{
    DecoderBackend, FeedForwardConfig, GatedRationalConfig, ModelError, RationalConfig, SmolLm2, SmolLm2Config,
    model::{FeedForward, GatedRational},
};

/// Half-width of the range on which the denominators of [`to_exact`] suit SiLU: it spans the bulk of the gates of
/// the published checkpoints.
const EXACT_RANGE: f64 = 16.0;

/// Options of a conversion: which layers, and how they are fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversionOptions {
    /// Channel groups per layer. Default 8.
    pub groups: usize,
    /// Degrees of every function. Default (5, 4); (7, 6) is closer by two orders of magnitude. For
    /// [`to_gated_rational`] the numerator is at most one degree above the denominator: SiLU grows linearly.
    pub degrees: Degrees,
    /// Degrees of single layers, instead of `degrees`. Default none.
    pub layer_degrees: BTreeMap<usize, Degrees>,
    /// Bound on the relative error ([`GroupReport::relative_error`]) of every group: layers that exceed it, or have an
    /// unguarded group, are fitted again with the higher ones of degrees (5, 4), (7, 6) and (9, 8), and the best fit
    /// is taken: a guarded one where there is one, and of those the closest. Default none.
    pub max_error: Option<f64>,
    /// Form of the denominator. Default [`Denominator::SumOfAbs`].
    pub denominator: Denominator,
    /// Gate values kept per layer and group. Default 16,384: 32 MB of memory for 30 layers of 8 groups.
    pub samples: usize,
    /// Seed of the sampling. Default 0.
    pub seed: u64,
    /// Layers to convert, each once whatever their order. Default `None`: all.
    pub layers: Option<Vec<usize>>,
}

impl Default for ConversionOptions {
    fn default() -> Self {
        Self {
            groups: 8,
            degrees: Degrees::default(),
            layer_degrees: BTreeMap::new(),
            max_error: None,
            denominator: Denominator::SumOfAbs,
            samples: 16_384,
            seed: 0,
            layers: None,
        }
    }
}

impl ConversionOptions {
    fn degrees_of(&self, layer: usize) -> Degrees {
        self.layer_degrees.get(&layer).copied().unwrap_or(self.degrees)
    }
}

/// Stage of a conversion, for progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Running calibration rows; counted in rows.
    Calibrate,
    /// Fitting functions; counted in layers.
    Fit,
}

/// Where the coefficients of a group come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Fitted to the observed gate values.
    Fitted,
    /// SiLU's own, because calibration says nothing about the function: `up` is 0 wherever the gate moves, as in a
    /// pruned group, or the gate does not move.
    Dead,
    /// SiLU's own, because no fit has coefficients that f32 can hold and is safe outside the range: the gates stay very
    /// close to 0.
    NoFit,
}

/// The calibration values of one function and how well it fits them. Errors are those of the stored f32 coefficients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// Layer, from 0.
    pub layer: usize,
    /// Group, from 0.
    pub group: usize,
    /// Smallest and largest gate value seen.
    pub range: (f64, f64),
    /// Gate values seen; a sample of them was fitted.
    pub seen: u64,
    /// Degrees of the function.
    pub degrees: Degrees,
    /// Where the coefficients come from.
    pub origin: Origin,
    /// `sqrt(sum up² (F - silu)² / sum up² silu²)` over the samples: the relative error of the gated product.
    pub relative_error: f64,
    /// Largest `|F - silu|` over the samples, unweighted.
    pub max_error: f64,
    /// Whether the function is guarded outside the range seen ([`to_gated_rational`] says how). False: these degrees
    /// allow no guard, and larger gates than those of calibration may break the model.
    pub guarded: bool,
}

/// Every function of a conversion, layer by layer and group by group.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ConversionReport {
    /// One entry per layer and group, in order.
    pub groups: Vec<GroupReport>,
    /// Tokens the calibration ran over.
    pub calibration_tokens: usize,
}

impl ConversionReport {
    /// The largest relative error of any group; 0 when there is none.
    pub fn worst_relative_error(&self) -> f64 {
        self.groups.iter().map(|group| group.relative_error).fold(0.0, f64::max)
    }

    /// The groups that kept SiLU's function because no fit could replace it.
    pub fn unfitted(&self) -> impl Iterator<Item = &GroupReport> {
        self.groups.iter().filter(|group| group.origin != Origin::Fitted)
    }
}

/// Replaces the SiLU of SwiGLU layers by group rational functions fitted to the gate values on `rows`.
///
/// `rows` are token ids of text similar to what the model is used on, each a separate sequence; a few thousand tokens
/// are enough. Outside the range seen a function is guarded: it is kept near SiLU up to twice the range, and beyond
/// grows no faster than linearly, with a slope of at most 2 (a rational of these degrees has one slope at both ends,
/// SiLU two, so one of its ends must drift: report and calibration text should cover the gates that matter). The report
/// says for every group whether it is guarded.
///
/// A group that calibration says nothing about (its `up` projection is pruned, say), or whose fit f32 cannot hold,
/// keeps SiLU's function: [`ConversionReport::unfitted`].
///
/// # Errors
/// [`ModelError::Conversion`] for options, rows or activations that cannot be used, [`ModelError::Fit`] when no
/// function fits, [`ModelError::Config`] when `groups` does not divide the width.
pub fn to_gated_rational<B: DecoderBackend>(
    mut model: SmolLm2<B>,
    rows: &[Vec<u32>],
    options: &ConversionOptions,
    mut progress: impl FnMut(Stage, usize, usize),
) -> Result<(SmolLm2<B>, ConversionReport), ModelError> {
    let layers = swiglu_layers(model.config(), options)?;
    calibrate::check_rows(rows, model.config(), 1)?;
    check_fit(model.config(), &layers, options)?;
    let mut seen = calibrate::collect(&model, rows, &layers, options, |done| {
        progress(Stage::Calibrate, done, rows.len());
    })?;
    let calibration_tokens = rows.iter().map(Vec::len).sum();
    let mut report = ConversionReport {
        groups: Vec::new(),
        calibration_tokens,
    };
    for (index, (layer, reservoirs)) in layers.iter().zip(&mut seen).enumerate() {
        let LayerFit {
            coefficients,
            groups,
            degrees,
        } = fit::fit_layer(*layer, reservoirs, options)?;
        report.groups.extend(groups);
        replace(&mut model, *layer, gated_config(options, degrees, false), coefficients)?;
        progress(Stage::Fit, index + 1, layers.len());
    }
    Ok((model, report))
}

/// Refuses unusable options before the calibration runs.
fn check_fit(config: &SmolLm2Config, layers: &[usize], options: &ConversionOptions) -> Result<(), ModelError> {
    if options.samples < 64 {
        return Err(ModelError::conversion("samples", "at least 64", options.samples));
    }
    if let Some(bound) = options.max_error.filter(|bound| bound.is_nan() || *bound < 0.0) {
        return Err(ModelError::conversion(
            "max_error",
            "a number that is not negative",
            bound,
        ));
    }
    for layer in layers {
        let degrees = options.degrees_of(*layer);
        if degrees.numerator > degrees.denominator + 1 {
            let expected = "a numerator at most one degree above the denominator (SiLU grows linearly)";
            return Err(ModelError::conversion(
                format!("degrees of layer {layer}"),
                expected,
                degrees,
            ));
        }
        with_layer(config.clone(), *layer, gated_config(options, degrees, false)).validate()?;
    }
    Ok(())
}

/// Keeps SiLU and adds a group rational function that is zero: the logits stay the same to the last bit.
///
/// The residual trains: a numerator that is zero has a gradient. The denominator's gradient is proportional to the
/// numerator, so it is exactly zero until the numerator has moved, that is in the first step; no start that is
/// exactly zero can avoid this. The denominators start at those of a fit of SiLU, which keeps the numerators'
/// gradients `x^k / Q(x)` moderate for gates far from zero.
///
/// `degrees`, `groups`, `denominator`, `layer_degrees` and `layers` of `options` count; no calibration is needed.
///
/// # Errors
/// As [`to_gated_rational`].
pub fn to_exact<B: DecoderBackend>(
    mut model: SmolLm2<B>,
    options: &ConversionOptions,
) -> Result<SmolLm2<B>, ModelError> {
    let layers = swiglu_layers(model.config(), options)?;
    let mut starts: BTreeMap<(usize, usize), Coefficients> = BTreeMap::new();
    for layer in layers {
        let degrees = options.degrees_of(layer);
        let gate = gated_config(options, degrees, true);
        with_layer(model.config().clone(), layer, gate.clone()).validate()?;
        let key = (degrees.numerator, degrees.denominator);
        let start = match starts.get(&key) {
            Some(start) => start.clone(),
            None => zero_start(layer, degrees, options.denominator)?,
        };
        replace(&mut model, layer, gate, vec![start.clone(); options.groups])?;
        starts.insert(key, start);
    }
    Ok(model)
}

fn zero_start(layer: usize, degrees: Degrees, form: Denominator) -> Result<Coefficients, ModelError> {
    let range = (-EXACT_RANGE, EXACT_RANGE);
    let fit = kan_rational::fit::minimax(|x| Activation::Swish.eval(x), range, degrees, form);
    let fit = fit.map_err(|source| ModelError::Fit {
        layer,
        group: 0,
        source,
    })?;
    let numerator = vec![0.0; fit.coefficients.numerator.len()];
    Ok(Coefficients {
        numerator,
        ..fit.coefficients
    })
}

/// The layers to convert, which must all be SwiGLU.
fn swiglu_layers(config: &SmolLm2Config, options: &ConversionOptions) -> Result<Vec<usize>, ModelError> {
    let layers: BTreeSet<usize> = match &options.layers {
        None => (0..config.num_hidden_layers)
            .filter(|layer| is_swiglu(config, *layer))
            .collect(),
        Some(layers) => layers.iter().copied().collect(),
    };
    if let Some(layer) = options.layer_degrees.keys().find(|layer| !layers.contains(*layer)) {
        return Err(ModelError::conversion(
            "layer_degrees",
            "layers that are converted",
            layer,
        ));
    }
    match layers.iter().find(|layer| !is_swiglu(config, **layer)) {
        Some(layer) => Err(ModelError::conversion("layers", "SwiGLU layers of the model", layer)),
        None if layers.is_empty() => Err(ModelError::conversion("layers", "at least one SwiGLU layer", "none")),
        None => Ok(layers.into_iter().collect()),
    }
}

fn is_swiglu(config: &SmolLm2Config, layer: usize) -> bool {
    matches!(config.feed_forward.get(layer), Some(FeedForwardConfig::SwiGlu))
}

fn gated_config(options: &ConversionOptions, degrees: Degrees, keep_silu: bool) -> GatedRationalConfig {
    let rational = RationalConfig {
        groups: options.groups,
        numerator_degree: degrees.numerator,
        denominator_degree: degrees.denominator,
        denominator_form: options.denominator,
        ..RationalConfig::default()
    };
    GatedRationalConfig { rational, keep_silu }
}

/// The configuration with another feed-forward in `layer`, one of [`swiglu_layers`].
fn with_layer(mut config: SmolLm2Config, layer: usize, gate: GatedRationalConfig) -> SmolLm2Config {
    config.feed_forward[layer] = FeedForwardConfig::GatedRational(gate);
    config
}

/// Swaps the SwiGLU of `layer` for a gated rational with the same projections.
fn replace<B: DecoderBackend>(
    model: &mut SmolLm2<B>,
    layer: usize,
    gate: GatedRationalConfig,
    coefficients: Vec<Coefficients>,
) -> Result<(), ModelError> {
    let FeedForward::SwiGlu(mlp) = model.model.layers[layer].mlp.clone() else {
        unreachable!("`swiglu_layers` gives only layers whose configuration says SwiGLU");
    };
    let gate_rational = gate.rational.module(Init::PerGroup(coefficients));
    let gate_rational = gate_rational
        .try_init(model.config().intermediate_size, &model.device())
        .map_err(|source| ModelError::Fit {
            layer,
            group: 0,
            source,
        })?;
    let mlp = FeedForward::GatedRational(GatedRational::replacing(mlp, gate_rational, gate.keep_silu));
    model.set_feed_forward(layer, FeedForwardConfig::GatedRational(gate), mlp);
    Ok(())
}
