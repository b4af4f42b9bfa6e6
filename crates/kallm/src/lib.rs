//! SmolLM2 with SwiGLU or Kolmogorov-Arnold feed-forward layers: load, generate, train, judge and compare variants.
#![deny(missing_docs)]

pub mod conversation;
mod error;
pub mod files;
#[cfg(feature = "train")]
pub mod fine_tuning;
#[cfg(feature = "bench")]
pub mod functions;
pub mod identity;
#[cfg(feature = "bench")]
pub mod judge;
pub mod model_folder;
pub mod open;
#[cfg(all(feature = "bench", feature = "train"))]
pub mod study;
#[cfg(feature = "bench")]
pub mod synthetic;
#[cfg(feature = "train")]
pub mod training;

pub use error::{KallmError, Result};
