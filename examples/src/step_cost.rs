//! What a training step costs with each kind of feed-forward.

use crate::kernels::Shape;
use anyhow::{Result, anyhow};
use burn::backend::Autodiff;
use clap::ValueEnum;
use serde::Serialize;
use smollm2_model::{FeedForwardKind, SmolLm2Config};
use smollm2_train::{Batch, StepBackend, TrainConfig, Trainer};
use smoltalk_data::{LoaderConfig, PackedRow};
use std::time::Instant;

/// Steps before the first measured one: memory, compiled kernels and optimiser state settle in three.
const WARM_UP: usize = 3;

/// Architecture of the models, with random weights: the time does not depend on the values.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModelShape {
    /// 0.54 million parameters: 2 layers, 192 hidden channels, 256 feed-forward channels, a vocabulary of 256.
    Tiny,
    /// SmolLM2-135M.
    #[value(name = "135m")]
    Smol135M,
}

impl ModelShape {
    fn config(self) -> SmolLm2Config {
        let mut config = SmolLm2Config::smollm2_135m();
        if matches!(self, Self::Tiny) {
            config.vocab_size = 256;
            config.hidden_size = 192;
            config.intermediate_size = 256;
            config.num_hidden_layers = 2;
            config.num_attention_heads = 3;
            config.num_key_value_heads = 1;
            config.feed_forward.truncate(config.num_hidden_layers);
        }
        config
    }
}

/// The cost of a training step of one model.
#[derive(Serialize)]
pub struct StepCost {
    /// Architecture, see [`ModelShape`].
    pub model: String,
    /// Feed-forward layers.
    pub feed_forward: String,
    /// Parameters of the model.
    pub parameters: usize,
    /// Rows x tokens of the batch.
    pub batch: String,
    /// Median seconds of a step.
    pub seconds: f64,
    /// Over those of the SwiGLU model.
    pub over_swiglu: f64,
}

/// Times `repeats` f32 training steps of a model with each kind of feed-forward, SwiGLU first, the kinds taking
/// turns, from an idle device to an idle device. `batch` is rows x tokens.
///
/// # Errors
/// What [`Trainer::new`] and [`Trainer::step`] return: a batch longer than the model's positions, for instance.
pub fn step_cost<B: StepBackend>(
    shape: ModelShape,
    batch: Shape,
    repeats: usize,
    device: &B::Device,
) -> Result<Vec<StepCost>> {
    let config = shape.config();
    let rows = rows(batch, config.vocab_size);
    let recipe = TrainConfig {
        data: LoaderConfig::of_length(batch.channels),
        ..TrainConfig::default()
    };
    let mut models = Vec::new();
    for kind in FeedForwardKind::ALL {
        let config = config.clone().with_feed_forward(kind);
        let trainer = Trainer::<Autodiff<B>>::new(config.init(device)?, recipe.clone())?;
        models.push((config.num_parameters(), trainer, Vec::new()));
    }
    for repeat in 0..WARM_UP + repeats.max(1) {
        for (_, trainer, seconds) in &mut models {
            wait::<B>(device)?;
            let clock = Instant::now();
            trainer.step(&[Batch::from_rows(&rows, device)?])?;
            wait::<B>(device)?;
            if repeat >= WARM_UP {
                seconds.push(clock.elapsed().as_secs_f64());
            }
        }
    }
    let swiglu = median(&models[0].2);
    let costs = FeedForwardKind::ALL.into_iter().zip(models);
    let costs = costs.map(|(kind, (parameters, _, seconds))| StepCost {
        model: format!("{shape:?}"),
        feed_forward: format!("{kind:?}"),
        parameters,
        batch: batch.to_string(),
        seconds: median(&seconds),
        over_swiglu: median(&seconds) / swiglu,
    });
    Ok(costs.collect())
}

fn wait<B: StepBackend>(device: &B::Device) -> Result<()> {
    B::sync(device).map_err(|error| anyhow!("the device did not finish its work: {error}"))
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Rows of any ids: the time does not depend on them.
fn rows(batch: Shape, vocabulary: usize) -> Vec<PackedRow> {
    let tokens = batch.channels;
    let rows = (0..batch.rows).map(|row| PackedRow {
        ids: (0..tokens)
            .map(|i| ((row * tokens + i) * 7919 % vocabulary) as u32)
            .collect(),
        loss_mask: (0..tokens).map(|i| i > 0).collect(),
        positions: None,
        documents: None,
    });
    rows.collect()
}
