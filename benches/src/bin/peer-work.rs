//! The work that `benches/peers/run.py` times beside PyTorch: prefill, single-token decode, one training step.
//!
//! `peer-work export MODEL FOLDER` writes any model source as the Hugging Face folder both sides open.
//! `peer-work time FOLDER WORK THREADS REPEATS` prints one JSON object with the seconds of every repeat; the pool's
//! size is set by RAYON_NUM_THREADS.
#![deny(missing_docs)]

use anyhow::{Result, bail};
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Int, Tensor, TensorData};
use smollm2_model::weights::{self, ModelSource};
use smollm2_model::{FeedForwardKind, KvCache, SmolLm2, SmolLm2Config};
use smollm2_train::{TrainConfig, Trainer};
use smoltalk_data::{Batch, PackedRow};
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
            let loaded = weights::load::<Flex>(&model.parse::<ModelSource>()?, &Default::default())?;
            Ok(weights::save(&loaded.model, &loaded.config, Path::new(folder))?)
        }
        ["time", folder, work, _threads, repeats] => {
            let seconds = time(&folder.parse()?, work, repeats.parse()?)?;
            println!("{}", serde_json::json!({ "work": work, "seconds": seconds }));
            Ok(())
        }
        _ => bail!("expected `export MODEL FOLDER` or `time FOLDER WORK THREADS REPEATS`"),
    }
}

/// Seconds of every repeat after the warm-up.
fn time(source: &ModelSource, work: &str, repeats: usize) -> Result<Vec<f64>> {
    let ids: Vec<u32> = (0..TOKENS as u32).map(|i| (i * 7919) % 49_000 + 100).collect();
    let mut step: Box<dyn FnMut() -> Result<f64>> = match work {
        "prefill" | "decode" => {
            let loaded = weights::load::<Flex>(source, &Default::default())?;
            let (model, config, prefill) = (loaded.model, loaded.config, work == "prefill");
            Box::new(move || {
                Ok(if prefill {
                    prefilled(&model, &config, &ids)
                } else {
                    decoded(&model, &config, &ids)
                })
            })
        }
        "train" | "train-gated-rational" => {
            let loaded = weights::load::<Autodiff<Flex>>(source, &Default::default())?;
            let (model, config) = match work {
                "train" => (loaded.model, loaded.config),
                // The same shape from random weights: the time does not depend on the values.
                _ => {
                    let config = loaded.config.with_feed_forward(FeedForwardKind::GatedRational);
                    (config.init(&Default::default())?, config)
                }
            };
            let recipe = TrainConfig {
                sequence_length: TOKENS,
                learning_rate: 1e-5,
                ..TrainConfig::default()
            };
            let mut trainer = Trainer::new(model, config, recipe)?;
            let row = PackedRow {
                ids,
                loss_mask: vec![true; TOKENS],
                positions: None,
                documents: None,
            };
            Box::new(move || {
                let start = Instant::now();
                trainer.step(&[Batch::from_rows(std::slice::from_ref(&row), &Default::default())?])?;
                Ok(start.elapsed().as_secs_f64())
            })
        }
        other => bail!("work: expected prefill, decode, train or train-gated-rational, found `{other}`"),
    };
    for _ in 0..WARM_UP {
        step()?;
    }
    (0..repeats).map(|_| step()).collect()
}

fn tensor(ids: &[u32]) -> Tensor<Flex, 2, Int> {
    let values: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    Tensor::from_data(TensorData::new(values, [1, ids.len()]), &Default::default())
}

fn prefilled(model: &SmolLm2<Flex>, config: &SmolLm2Config, ids: &[u32]) -> f64 {
    let mut cache = KvCache::new(config, 1, ids.len(), &Default::default());
    let start = Instant::now();
    let hidden = model.forward_cached(tensor(ids), &mut cache); // [1, T, D]
    // Logits of the last position only, as generation asks for them.
    let logits = model.logits(hidden.narrow(1, ids.len() - 1, 1)); // [1, 1, V]
    drop(logits.into_data());
    start.elapsed().as_secs_f64()
}

fn decoded(model: &SmolLm2<Flex>, config: &SmolLm2Config, ids: &[u32]) -> f64 {
    let mut cache = KvCache::new(config, 1, PROMPT + DECODED, &Default::default());
    drop(model.forward_cached(tensor(&ids[..PROMPT]), &mut cache).into_data());
    let start = Instant::now();
    for id in &ids[PROMPT..PROMPT + DECODED] {
        let hidden = model.forward_cached(tensor(&[*id]), &mut cache); // [1, 1, D]
        drop(model.logits(hidden).argmax(2).into_data());
    }
    start.elapsed().as_secs_f64()
}
