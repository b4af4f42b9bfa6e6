//! A small model, and a run of it in a few steps.

use std::{collections::BTreeSet, fs, path::Path};

use burn::backend::{Autodiff, Flex};
use burn::tensor::TensorData;
use smollm2_model::{FeedForwardKind, SmolLm2Config, weights};
use smollm2_train::{AdamWConfig, MemoryRows, RunOptions, TrainConfig, TrainError, Trainer, checkpoint};
use smoltalk_data::{LoaderConfig, PackedRow};

type B = Autodiff<Flex>;

pub(crate) fn rows() -> Vec<PackedRow> {
    let row = |seed: u32| PackedRow {
        ids: (0..24).map(|t| 3 + (t * (seed + 2) + seed * seed) % 90).collect(),
        loss_mask: (0..24).map(|t| !(t + seed).is_multiple_of(3)).collect(),
        positions: None,
        documents: None,
    };
    (0..7).map(row).collect()
}

pub(crate) fn recipe(steps: usize) -> TrainConfig {
    TrainConfig {
        steps,
        warmup_ratio: 0.2,
        data: LoaderConfig::of_length(24),
        gradient_accumulation: 2,
        micro_batch_rows: 2,
        eval_every: 3,
        checkpoint_every: 2,
        keep_checkpoints: 3,
        optimizer: AdamWConfig {
            weight_decay: 0.1,
            rational_input_size: 4.0,
            ..AdamWConfig::default()
        },
        ..TrainConfig::quick()
    }
}

/// A fixed model: drawn once by the parent of a test and read by everyone.
pub(crate) fn start(folder: &Path) -> Trainer<B> {
    let loaded = weights::load::<B>(folder, &Default::default()).unwrap();
    Trainer::new(loaded.model, recipe(12)).unwrap()
}

/// Writes a small model whose matrices are the same at every call: a test with a tolerance must not meet another model
/// each time.
pub(crate) fn draw(folder: &Path, kind: FeedForwardKind) {
    let mut config = SmolLm2Config::smollm2_135m();
    (config.vocab_size, config.hidden_size, config.intermediate_size) = (96, 32, 48);
    (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (2, 1, 16);
    config.num_hidden_layers = 2;
    (config.bos_token_id, config.eos_token_ids, config.pad_token_id) = (Some(1), vec![2], Some(2));
    let config = config.with_feed_forward(kind);
    let mut tensors = weights::named_tensors(&config.init::<Flex>(&Default::default()).unwrap());
    let mut state = 1u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        0.6 * ((state >> 40) as f32 / (1 << 24) as f32 - 0.5)
    };
    for (_, matrix) in tensors
        .iter_mut()
        .filter(|(name, data)| name.ends_with(".weight") && data.shape.len() == 2)
    {
        let values: Vec<f32> = (0..matrix.num_elements()).map(|_| uniform()).collect();
        *matrix = TensorData::new(values, matrix.shape.clone());
    }
    let model = weights::from_named_tensors::<Flex>(&config, tensors, &Default::default()).unwrap();
    weights::save(&model, folder).unwrap();
}

/// Trains in `output` to the end, from a checkpoint where there is one.
pub(crate) fn go_on(model: &Path, output: &Path) -> Trainer<B> {
    go_on_with(model, &RunOptions::new(output))
}

/// As [`go_on`], with these options.
pub(crate) fn go_on_with(model: &Path, options: &RunOptions<'_>) -> Trainer<B> {
    let mut source = MemoryRows::new(rows());
    let mut trainer = match checkpoint::latest(&options.checkpoints()) {
        Err(TrainError::NoCheckpoint { .. }) => start(model),
        found => {
            let checkpoint = found.unwrap().checkpoint;
            let recipe = checkpoint.recipe().unwrap();
            Trainer::resume(&checkpoint, recipe, &Default::default(), &mut source).unwrap()
        }
    };
    trainer.run(&mut source, &rows()[..3], options, &mut ()).unwrap();
    trainer
}

/// Names of all that stands in a folder.
pub(crate) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).collect()
}

pub(crate) fn full_disk(folder: &Path) -> TrainError {
    TrainError::Io {
        action: "write",
        path: folder.to_owned(),
        source: std::io::Error::other("no space left"),
    }
}

/// Fails the checkpoint of step 8, as a full disk would.
pub(crate) fn stop_at_eight(folder: &Path) -> Result<(), TrainError> {
    match folder.ends_with("step-00000008") {
        true => Err(full_disk(folder)),
        false => Ok(()),
    }
}
