//! SmolLM2 on any Burn backend, with SwiGLU or Kolmogorov-Arnold feed-forward layers.
#![deny(missing_docs)]

mod config;
pub mod convert;
mod error;
mod model;
pub mod weights;

pub use config::{
    FeedForwardConfig, FeedForwardKind, GatedRationalConfig, GroupKanConfig, RationalConfig, SmolLm2Config, StoredDtype,
};
pub use error::ModelError;
pub use model::{
    Attention, Block, Decoder, FeedForward, GatedRational, GroupKan, KvCache, ParameterPath, RmsNorm, Sequence,
    SequenceLayout, SiluMlp, SmolLm2, SwiGlu,
};
