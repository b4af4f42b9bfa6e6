//! What a training step of the gated rational model costs beside one of the SwiGLU model.

use anyhow::Result;
use burn::backend::Autodiff;
use clap::ValueEnum;
use serde::Serialize;
use smollm2_model::{FeedForwardKind, SmolLm2Config};
use smollm2_train::{StepBackend, TrainConfig, Trainer};
use smoltalk_data::{Batch, PackedRow};
use std::time::Instant;

/// Steps before the first measured one: memory, compiled kernels and optimiser state settle in three.
const WARM_UP: usize = 3;

/// Architecture of the two models, with random weights: the time does not depend on the values.
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

/// Median seconds of a step of each model, measured in turns.
#[derive(Serialize)]
pub struct StepCost {
    /// Architecture, see [`ModelShape`].
    pub model: String,
    /// Parameters of the SwiGLU model.
    pub parameters: usize,
    /// Rows of a batch.
    pub rows: usize,
    /// Tokens of a row.
    pub tokens: usize,
    /// Seconds of a SwiGLU step.
    pub swiglu_seconds: f64,
    /// Seconds of a gated rational step.
    pub gated_rational_seconds: f64,
    /// The second over the first.
    pub ratio: f64,
}

/// Times `repeats` f32 training steps of each model, the two taking turns, from an idle device to an idle device.
///
/// # Errors
/// What [`Trainer::new`] and [`Trainer::step`] return: a batch longer than the model's positions, for instance.
pub fn step_cost<B: StepBackend>(
    shape: ModelShape,
    [rows, tokens]: [usize; 2],
    repeats: usize,
    device: &B::Device,
) -> Result<StepCost> {
    let config = shape.config();
    let row = |row: usize| PackedRow {
        ids: (0..tokens)
            .map(|i| ((row * tokens + i) * 7919 % config.vocab_size) as u32)
            .collect(),
        loss_mask: (0..tokens).map(|i| i > 0).collect(),
        positions: None,
        documents: None,
    };
    let batch: Vec<PackedRow> = (0..rows).map(row).collect();
    let kinds = [FeedForwardKind::SwiGlu, FeedForwardKind::GatedRational];
    let mut trainers = Vec::new();
    for kind in kinds {
        let config = config.clone().with_feed_forward(kind);
        let recipe = TrainConfig {
            sequence_length: tokens,
            ..TrainConfig::default()
        };
        trainers.push(Trainer::<Autodiff<B>>::new(config.init(device)?, config, recipe)?);
    }
    let mut seconds = [Vec::new(), Vec::new()];
    for repeat in 0..WARM_UP + repeats.max(1) {
        for (trainer, seconds) in trainers.iter_mut().zip(&mut seconds) {
            B::sync(device).map_err(|error| anyhow::anyhow!("the device did not finish its work: {error}"))?;
            let clock = Instant::now();
            trainer.step(&[Batch::from_rows(&batch, device)?])?;
            B::sync(device).map_err(|error| anyhow::anyhow!("the device did not finish its work: {error}"))?;
            if repeat >= WARM_UP {
                seconds.push(clock.elapsed().as_secs_f64());
            }
        }
    }
    let [swiglu_seconds, gated_rational_seconds] = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    });
    Ok(StepCost {
        model: format!("{shape:?}"),
        parameters: config.num_parameters(),
        rows,
        tokens,
        swiglu_seconds,
        gated_rational_seconds,
        ratio: gated_rational_seconds / swiglu_seconds,
    })
}
