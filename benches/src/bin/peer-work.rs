//! The work that `benches/peers/run.py` times against PyTorch: prefill, single-token decode, one training step.
//!
//! `peer-work export MODEL FOLDER` writes the model in a folder or .gguf file as the Hugging Face folder both sides open.
//! `peer-work time FOLDER WORK REPEATS` prints one JSON object with the seconds of every repeat; RAYON_NUM_THREADS sets
//! the number of threads.
#![deny(missing_docs)]

use anyhow::{Result, bail};
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Int, Tensor, TensorData};
use smollm2_model::weights;
use smollm2_model::{FeedForwardKind, KvCache, SmolLm2};
use smollm2_train::{Batch, TrainConfig, Trainer};
use smoltalk_data::{LoaderConfig, PackedRow};
use std::path::Path;
use std::time::Instant;

const TOKENS: usize = 512;
/// Runs before the first measured one: memory, thread pools and optimiser state settle in two.
const WARM_UP: usize = 2;
const PROMPT: usize = 64;
const DECODED: usize = 32;

fn main() -> Result<()> {
    examples::memory::keep_freed();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["export", model, folder] => {
            let loaded = weights::load::<Flex>(Path::new(model), &Default::default())?;
            Ok(weights::save(&loaded.model, Path::new(folder))?)
        }
        ["time", folder, work, repeats] => {
            let seconds = time(Path::new(folder), work, repeats.parse()?)?;
            println!("{}", serde_json::json!({ "work": work, "seconds": seconds }));
            Ok(())
        }
        _ => bail!("expected `export MODEL FOLDER` or `time FOLDER WORK REPEATS`"),
    }
}

/// Seconds of every repeat after the warm-up.
fn time(folder: &Path, work: &str, repeats: usize) -> Result<Vec<f64>> {
    let ids: Vec<u32> = (0..TOKENS as u32).map(|i| (i * 7919) % 49_000 + 100).collect();
    let mut step: Box<dyn FnMut() -> Result<f64>> = match work {
        "prefill" | "decode" => {
            let loaded = weights::load::<Flex>(folder, &Default::default())?;
            let run = if work == "prefill" { prefilled } else { decoded };
            Box::new(move || Ok(run(&loaded.model, &ids)))
        }
        "train" | "train-gated-rational" => {
            let mut trainer = trainer(folder, work != "train")?;
            Box::new(move || trained(&mut trainer, &ids))
        }
        other => bail!("work: expected prefill, decode, train or train-gated-rational, found `{other}`"),
    };
    for _ in 0..WARM_UP {
        step()?;
    }
    (0..repeats).map(|_| step()).collect()
}

/// The model of a folder in training; with `rational` its shape as gated rational, from random weights: the time does
/// not depend on the values.
fn trainer(folder: &Path, rational: bool) -> Result<Trainer<Autodiff<Flex>>> {
    let loaded = weights::load(folder, &Default::default())?;
    let mut model = loaded.model;
    if rational {
        let config = model.config().clone().with_feed_forward(FeedForwardKind::GatedRational);
        model = config.init(&Default::default())?;
    }
    let recipe = TrainConfig {
        data: LoaderConfig::of_length(TOKENS),
        learning_rate: 1e-5,
        ..TrainConfig::default()
    };
    Ok(Trainer::new(model, recipe)?)
}

fn trained(trainer: &mut Trainer<Autodiff<Flex>>, ids: &[u32]) -> Result<f64> {
    let row = PackedRow {
        ids: ids.to_vec(),
        loss_mask: vec![true; TOKENS],
        positions: None,
        documents: None,
    };
    let start = Instant::now();
    trainer.step(&[Batch::from_rows(&[row], &Default::default())?])?;
    Ok(start.elapsed().as_secs_f64())
}

fn tensor(ids: &[u32]) -> Tensor<Flex, 2, Int> {
    let values: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    Tensor::from_data(TensorData::new(values, [1, ids.len()]), &Default::default())
}

fn prefilled(model: &SmolLm2<Flex>, ids: &[u32]) -> f64 {
    let mut cache = KvCache::new(model, 1, ids.len());
    let start = Instant::now();
    let hidden = model.forward_cached(tensor(ids), &mut cache); // [1, T, D]
    // Logits of the last position only, as generation asks for them.
    let logits = model.logits(hidden.narrow(1, ids.len() - 1, 1)); // [1, 1, V]
    drop(logits.into_data());
    start.elapsed().as_secs_f64()
}

fn decoded(model: &SmolLm2<Flex>, ids: &[u32]) -> f64 {
    let mut cache = KvCache::new(model, 1, PROMPT + DECODED);
    drop(model.forward_cached(tensor(&ids[..PROMPT]), &mut cache).into_data());
    let start = Instant::now();
    for id in &ids[PROMPT..PROMPT + DECODED] {
        let hidden = model.forward_cached(tensor(&[*id]), &mut cache); // [1, 1, D]
        drop(model.logits(hidden).argmax(2).into_data());
    }
    start.elapsed().as_secs_f64()
}
