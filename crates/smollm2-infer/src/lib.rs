//! # Brief overview
//!
//! This crate generates text with SmolLM2. An [`Engine`] is a model together with its tokenizer; creating it checks
//! that the two fit together. A [`Decoder`] generates many rows in parallel and returns a [`TokenEvent`] for every
//! token. A [`GenerationConfig`] sets sampling, penalty, stop ids, stop strings and length. [`Engine::score`] computes
//! the log-likelihoods of continuations, with the contexts of many requests in one forward pass.
//!
//! ```
//! use burn::backend::Flex;
//! use smollm2_infer::{Engine, GenerationConfig, ScoreRequest};
//! # use smollm2_model::SmolLm2Config;
//! # use smoltalk_data::ChatTokenizer;
//! # let mut config = SmolLm2Config::smollm2_135m();
//! # (config.vocab_size, config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (273, 64, 128, 1);
//! # (config.num_attention_heads, config.num_key_value_heads) = (1, 1);
//! # config.feed_forward.truncate(1);
//! # let model = config.init::<Flex>(&Default::default())?;
//! # let tokenizer = ChatTokenizer::byte_level()?;
//!
//! // `Engine::open` creates an engine from a folder or a .gguf file.
//! let engine = Engine::new(model, tokenizer)?;
//! let prompt = engine.tokenizer().encode("Once upon a time")?;
//! let settings = GenerationConfig { max_new_tokens: 5, stop_ids: engine.stop_ids(), ..Default::default() };
//! let mut ids = Vec::new();
//! for event in engine.generate(&prompt, &settings)? {
//!     ids.push(event?.token);
//! }
//!
//! // Each greedily generated token is the most probable one.
//! let request = ScoreRequest { context: prompt, continuations: vec![ids, vec![1]] };
//! let scores = engine.score(&[request], 1)?;
//! assert!(scores[0][0].is_greedy() && scores[0][0].sum() < 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to start reading: `engine.rs`, `decoder.rs` (the loop), `row.rs`, `sampling.rs`, `stream.rs` (stop strings),
//! `score.rs`, `prefix.rs`. The example `generate` continues a prompt, `chat` keeps a conversation.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod decoder;
mod engine;
mod error;
mod prefix;
mod row;
mod sampling;
mod score;
mod settings;
mod stream;

pub use decoder::Decoder;
pub use engine::{Engine, Generation, open_tokenizer};
pub use error::InferError;
pub use row::{End, TokenEvent, TokenLogprobs};
pub use sampling::Sampling;
pub use score::{ContinuationScore, ScoreRequest};
pub use settings::GenerationConfig;
pub use smollm2_model::TokenScore;
