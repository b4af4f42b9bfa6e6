//! What `sft` and `compare` share: data as rows, and the model a run starts from.

use crate::open;
use crate::progress::conversion;
use anyhow::Result;
use burn::backend::Autodiff;
use smollm2_model::weights::{from_named_tensors, named_tensors};
use smollm2_model::{FeedForwardKind, SmolLm2, SmolLm2Config, convert};
use smollm2_train::{StepBackend, TrainConfig, TrainError};
use smoltalk_data::{ChatTokenizer, DataLoader, LoaderConfig, PackedRow, Source};
use std::path::Path;

/// Size of the larger gates of a pretrained SmolLM2: what [`rational_input_size`] is for training one.
///
/// [`rational_input_size`]: smollm2_train::AdamWConfig::rational_input_size
pub const PRETRAINED_GATE: f64 = 16.0;

/// The data order and packing of a recipe.
pub fn loader_config(recipe: &TrainConfig) -> LoaderConfig {
    LoaderConfig {
        sequence_length: recipe.sequence_length,
        packing: recipe.packing,
        mask: recipe.mask,
        system: recipe.system_prompt,
        seed: recipe.seed,
        ..LoaderConfig::default()
    }
}

/// The first rows of the conversations, as many as the recipe evaluates on.
///
/// # Errors
/// When they cannot be read or give no row.
pub fn held_out_rows(source: Source, tokenizer: &ChatTokenizer, recipe: &TrainConfig) -> Result<Vec<PackedRow>> {
    let config = LoaderConfig {
        shuffle: false,
        ..loader_config(recipe)
    };
    Ok(DataLoader::new(source, tokenizer.clone(), config)?.one_pass(recipe.eval_rows)?)
}

/// Puts the tokenizer into every checkpoint, so that its folder is a complete model.
pub fn tokenizer_saver(tokenizer: &ChatTokenizer) -> impl Fn(&Path) -> Result<(), TrainError> {
    |folder| {
        tokenizer.save(folder).map_err(|error| TrainError::Io {
            action: "write the tokenizer into",
            path: folder.to_path_buf(),
            source: std::io::Error::other(error.to_string()),
        })
    }
}

/// The same weights where they get gradients.
///
/// # Errors
/// When the configuration is not the model's.
pub fn tracked<B: StepBackend>(
    model: SmolLm2<B>,
    config: &SmolLm2Config,
    device: &B::Device,
) -> Result<SmolLm2<Autodiff<B>>> {
    Ok(from_named_tensors(config, named_tensors(&model), device)?)
}

/// A SwiGLU model with gates fitted to what they see on the beginning of `source`.
///
/// # Errors
/// When the source holds too little, or the model cannot be converted.
pub fn to_gated_rational<B: StepBackend>(
    model: SmolLm2<B>,
    config: &SmolLm2Config,
    source: &Source,
    tokenizer: &ChatTokenizer,
) -> Result<(SmolLm2<B>, SmolLm2Config)> {
    let rows = open::conversation_rows(source, tokenizer, open::CALIBRATION_ROW, open::CALIBRATION_TOKENS)?;
    let options = convert::ConversionOptions::default();
    let (model, config, _) = convert::to_gated_rational(model, config, &rows, &options, conversion())?;
    Ok((model, config))
}

/// The pretrained model with new feed-forward layers of `kind`; everything else keeps its weights.
///
/// # Errors
/// When the configuration is impossible.
pub fn fresh_feed_forward<B: StepBackend>(
    model: &SmolLm2<B>,
    config: &SmolLm2Config,
    kind: FeedForwardKind,
    seed: u64,
    device: &B::Device,
) -> Result<(SmolLm2<B>, SmolLm2Config)> {
    let config = config.clone().with_feed_forward(kind);
    B::seed(device, seed);
    let mut tensors = named_tensors(&config.init::<B>(device)?);
    tensors.extend(
        named_tensors(model)
            .into_iter()
            .filter(|(name, _)| !name.contains(".mlp.")),
    );
    Ok((from_named_tensors(&config, tensors, device)?, config))
}

/// The kinds of feed-forward a model has, each once: `swiglu`, or `swiglu, gated_rational`.
pub fn kinds(config: &SmolLm2Config) -> String {
    let has = |kind: &FeedForwardKind| config.feed_forward.iter().any(|layer| layer.kind() == *kind);
    let names: Vec<&str> = FeedForwardKind::ALL
        .into_iter()
        .filter(has)
        .map(FeedForwardKind::name)
        .collect();
    names.join(", ")
}
