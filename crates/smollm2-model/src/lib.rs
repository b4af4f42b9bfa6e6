//! # Brief overview
//!
//! This crate implements SmolLM2 on Burn (CPU, CUDA, WGPU), with SwiGLU or Kolmogorov-Arnold feed-forward layers. A
//! [`SmolLm2Config`] describes a model, and [`SmolLm2`] is a model. [`weights`] loads and saves it (Hugging Face
//! folder, GGUF), and [`convert`] turns its SwiGLU layers into group rational ones. A [`KvCache`] keeps keys and
//! values for later tokens. The crate does not handle text: a model takes token ids and returns hidden states, logits
//! or log-probabilities. smollm2-infer generates text.
//!
//! [`SmolLm2Config::parameters`] lists all parameters with name, shape and [`ParameterKind`].
//! [`SmolLm2::token_logprobs`] scores given tokens, and [`SmolLm2::rational_functions`] returns the learned functions.
//!
//! Read the files in this order: `config.rs`, `schema.rs`, `model.rs`, `model/block.rs`, `model/attention.rs`,
//! `model/feed_forward.rs`, `model/scores.rs`, `model/cache.rs`, `model/packing.rs`, `weights.rs`, `weights/named.rs`,
//! `convert.rs`, `convert/fit.rs`, `ops.rs`.
//!
//! ```
//! use burn::backend::Flex;
//! use burn::tensor::{Int, Tensor};
//! use smollm2_model::{FeedForwardKind, SequenceLayout, SmolLm2Config};
//!
//! # let mut config = SmolLm2Config::smollm2_135m();
//! # (config.vocab_size, config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (64, 64, 128, 1);
//! # (config.num_attention_heads, config.num_key_value_heads) = (1, 1);
//! # config.feed_forward.truncate(1);
//! let config = config.with_feed_forward(FeedForwardKind::GatedRational);
//! let model = config.init::<Flex>(&Default::default())?;
//! let ids = Tensor::<Flex, 2, Int>::from_ints([[1, 2, 3]], &Default::default()); // [B, T]
//! let logits = model.forward(ids, &SequenceLayout::default()); // [B, T, V]
//! assert_eq!(logits.dims(), [1, 3, 64]);
//! # Ok::<(), smollm2_model::ModelError>(())
//! ```
//!
//! `examples/generate.rs` continues a prompt, `examples/convert.rs` converts a model.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod config;
pub mod convert;
mod error;
mod model;
pub mod ops;
mod schema;
pub mod weights;

pub use config::{
    FeedForwardConfig, FeedForwardKind, GatedRationalConfig, GroupKanConfig, RationalConfig, SmolLm2Config, StoredDtype,
};
pub use error::ModelError;
pub use model::{
    Block, Branched, ForwardContext, KvCache, ParameterPath, RationalFunction, SequenceLayout, SmolLm2, TokenScore,
};
pub use ops::DecoderBackend;
pub use schema::{ParameterKind, ParameterSpec};
