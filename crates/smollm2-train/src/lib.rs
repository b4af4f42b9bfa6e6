//! # Brief overview
//!
//! This crate fine-tunes SmolLM2 with any of its feed-forwards. Its main types and modules are:
//!
//! - [`TrainConfig`]: the recipe, which can be read from TOML. There are presets for the published recipes. A recipe
//!   includes a [`Schedule`] and an [`AdamWConfig`].
//! - [`Batch`]: rows of tokens on the device, with their targets. A [`RowSource`] provides the rows: either a
//!   `smoltalk_data::DataLoader`, which reads conversations, or [`MemoryRows`].
//! - [`Objective`]: the loss of a batch, and other values measured on it. [`Sft`] is supervised fine-tuning.
//! - [`Trainer`]: model, objective and optimiser. [`Trainer::step`] performs one step, and [`Trainer::run`] a complete
//!   run with evaluation, checkpoints and records. [`Trainer::resume`] continues a run; on a CPU the result is
//!   bit-identical to that of an uninterrupted run.
//! - [`loss`]: cross-entropy that never stores the complete logits.
//! - [`checkpoint`]: folders in the Hugging Face layout, which appear only once they are complete. [`RunRecord`]
//!   records which model was trained on which data.
//! - [`TrainObserver`]: notifies an application of the progress of a run, and lets it end the run early.
//!   [`MetricRecord`] and [`plot_loss`] keep the losses and other measurements.
//!
//! Read the files in this order: `config.rs`, `batch.rs`, `objective.rs` and `objective/sft.rs`, `loss/chunked.rs`,
//! `trainer.rs`, `run.rs`, `run/step.rs`, `adamw.rs`, `run/evaluate.rs`, `run/resume.rs`, `checkpoint.rs`.
//!
//! ```
//! use burn::backend::{Autodiff, Flex};
//! use smollm2_model::SmolLm2Config;
//! use smollm2_train::{MemoryRows, RunOptions, TrainConfig, Trainer};
//! use smoltalk_data::{LoaderConfig, PackedRow};
//!
//! let mut model = SmolLm2Config::smollm2_135m();
//! (model.vocab_size, model.hidden_size, model.intermediate_size) = (64, 32, 48);
//! (model.num_attention_heads, model.num_key_value_heads, model.head_dim) = (2, 1, 16);
//! (model.num_hidden_layers, model.bos_token_id, model.eos_token_ids, model.pad_token_id) = (1, Some(1), vec![2], Some(2));
//! model.feed_forward.truncate(1);
//!
//! let ids: Vec<u32> = (0..32).map(|t| 3 + t % 5).collect();
//! let row = PackedRow { ids, loss_mask: vec![true; 32], positions: None, documents: None };
//! let data = LoaderConfig::of_length(32);
//! let recipe = TrainConfig { steps: 8, warmup_ratio: 0.0, data, ..TrainConfig::quick() };
//!
//! let mut trainer = Trainer::<Autodiff<Flex>>::new(model.init(&Default::default())?, recipe)?;
//! let output = tempfile::tempdir()?;
//! let mut rows = MemoryRows::new(vec![row.clone()]);
//! let last = trainer.run(&mut rows, &[row], &RunOptions::new(output.path()), &mut ())?;
//! assert!(last.is_some_and(|evaluation| evaluation.loss < 4.2));
//! assert!(output.path().join("checkpoints/step-00000008/model.safetensors").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/sft.rs` is a command for fine-tuning.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod adamw;
mod batch;
pub mod checkpoint;
mod config;
mod error;
mod files;
mod gradients;
pub mod loss;
mod memory;
mod metrics;
mod objective;
pub mod ops;
mod plot;
mod rows;
mod run;
mod schedule;
mod trainer;

pub use adamw::{AdamW, AdamWConfig, Clip};
pub use batch::Batch;
pub use config::{Difference, TrainConfig};
pub use error::TrainError;
pub use gradients::ModelGradients;
pub use loss::TrainBackend;
pub use memory::MemoryEstimate;
pub use metrics::{DamagedMetrics, MetricRecord, MetricsFile, read_metrics};
pub use objective::{BatchLoss, Objective, Sft};
pub use ops::StepBackend;
pub use plot::plot_loss;
pub use rows::{MemoryRows, RowSource};
pub use run::{
    Companions, EvalRecord, RunOptions, RunOrigin, RunProgress, RunRecord, RunState, StepLine, StepOutcome, StepRecord,
    TrainObserver, device_peak,
};
pub use schedule::Schedule;
pub use trainer::Trainer;
