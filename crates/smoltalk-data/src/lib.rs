//! # Brief overview
//!
//! This crate turns conversations into rows of tokens. A [`Source`] streams [`Conversation`]s from Parquet or JSONL
//! files. A [`ChatTokenizer`] formats each conversation with the model's chat template and converts it to ids and a
//! loss mask. A [`DataLoader`] packs these into rows of equal length. The order of the rows is deterministic and can be
//! resumed at any position. Rows are plain vectors, not tensors.
//!
//! ```
//! use smoltalk_data::{ChatTokenizer, Conversation, DataLoader, LoaderConfig, Mask, Message, Packing, Source};
//!
//! let conversation = Conversation {
//!     messages: vec![Message::user("What is 2 + 3?"), Message::assistant("5.")],
//!     source: None,
//! };
//! let tokenizer = ChatTokenizer::byte_level()?;
//! let config = LoaderConfig {
//!     sequence_length: 256,
//!     packing: Packing::BestFit,
//!     mask: Mask::AssistantOnly,
//!     ..LoaderConfig::default()
//! };
//! let mut loader = DataLoader::new(Source::from_conversations(vec![conversation]), tokenizer, config)?;
//! let row = loader.next_row()?;
//! // The targets are "5", "." and the end of the turn.
//! assert_eq!(row.loss_mask.iter().filter(|target| **target).count(), 3);
//! assert_eq!(row.ids.len(), 256);
//! # Ok::<(), smoltalk_data::DataError>(())
//! ```
//!
//! `examples/sft.rs` trains on these rows.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod conversation;
mod error;
mod loader;
mod mask;
mod packing;
mod source;
mod template;
mod tokenizer;

pub use conversation::{Conversation, Message};
pub use error::{DataError, Mismatch};
pub use loader::{DataLoader, DataPosition, LoaderConfig, LoaderCounts, LoaderObserver};
pub use mask::{Mask, SystemPrompt, Tokenized};
pub use packing::{Overlong, PackedRow, Packer, Packing, PackingCounts};
pub use record_files::RecordError;
pub use source::{Conversations, Source};
pub use template::ChatTemplate;
pub use tokenizer::{ChatTokenizer, DecodeStream, Rendered, SPECIAL_TOKENS};
