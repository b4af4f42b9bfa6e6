//! # Brief overview
//!
//! This crate gives a program access to SmolLM2, with SwiGLU or Kolmogorov-Arnold (group rational) feed-forward layers,
//! through a single dependency. By default it loads models and generates text: an [`Engine`] is a model with its
//! tokenizer. Features add more:
//!
//! | feature | adds |
//! |---|---|
//! | `flex` (default) | Burn's CPU backend; disable it in a build only for GPUs |
//! | `cuda`, `wgpu` | kernels for CubeCL's backends |
//! | `train` | `train`, and `fine_tuning`: starts or resumes a supervised run |
//! | `bench` | `bench`, and `judge`: lets llm-bench evaluate an engine |
//! | `cache` | `hub`: models, conversations and task data by hub id, from the local cache |
//! | `hub` | `cache`; files missing from the cache are downloaded |
//! | `train`, `bench` | `study`: variants of one model, each trained with several seeds and evaluated on the same questions |
//!
//! The underlying crates are re-exported as [`model`], [`data`], [`infer`], [`rational`], `train` and `bench`. [`burn`]
//! contains the backends.
//!
//! ```
//! use kallm::burn::backend::Flex;
//! use kallm::data::{ChatTokenizer, Message};
//! use kallm::{Engine, GenerationConfig, SmolLm2Config};
//!
//! // `Engine::open` reads the model in a folder or a .gguf file; this one is small, with random weights.
//! let tokenizer = ChatTokenizer::byte_level()?;
//! let mut config = SmolLm2Config::smollm2_135m().with_instruct_tokens();
//! (config.vocab_size, config.hidden_size, config.intermediate_size) = (tokenizer.vocab_size(), 64, 128);
//! (config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads) = (1, 1, 1);
//! config.feed_forward.truncate(1);
//! let engine = Engine::new(config.init::<Flex>(&Default::default())?, tokenizer)?;
//!
//! let prompt = engine.tokenizer().encode_chat(&[Message::user("Hi")], true)?;
//! let settings = GenerationConfig { max_new_tokens: 3, ..GenerationConfig::default() };
//! let answer: Vec<u32> = engine.generate(&prompt, &settings)?.map(|event| event.map(|e| e.token)).collect::<Result<_, _>>()?;
//! assert_eq!(answer.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to start reading: `study/plan.rs` (what is compared), `study.rs`, `study/cell.rs` (one variant with one seed),
//! `study/record.rs` (the report), `fine_tuning.rs`, `training.rs` (where a model starts), `judge.rs`, `model_folder.rs`. The
//! example `compare` runs a study, `study` a cell of one, `sft` a fine-tuning.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub mod conversation;
mod error;
pub mod files;
#[cfg(feature = "train")]
pub mod fine_tuning;
#[cfg(feature = "bench")]
pub mod functions;
#[cfg(feature = "cache")]
pub mod hub;
pub mod identity;
#[cfg(feature = "bench")]
pub mod judge;
pub mod model_folder;
pub mod open;
#[cfg(all(feature = "bench", feature = "train"))]
pub mod study;
#[cfg(all(feature = "bench", feature = "train"))]
pub mod synthetic;
#[cfg(feature = "train")]
pub mod training;

pub use burn;
pub use kan_rational as rational;
#[cfg(feature = "bench")]
pub use llm_bench as bench;
pub use smollm2_infer as infer;
pub use smollm2_model as model;
#[cfg(feature = "train")]
pub use smollm2_train as train;
pub use smoltalk_data as data;

pub use error::{KallmError, Result};
pub use smollm2_infer::{Engine, GenerationConfig};
pub use smollm2_model::{SmolLm2, SmolLm2Config};
#[cfg(feature = "train")]
pub use smollm2_train::{TrainConfig, Trainer};
#[cfg(all(feature = "bench", feature = "train"))]
pub use study::{Study, StudyPlan};
