//! # Brief overview
//!
//! Conversations to token batches. A [`Source`] streams [`Conversation`]s from Parquet, JSONL or a hub;
//! a [`ChatTokenizer`] writes each with the model's chat template and turns it into ids and a loss mask; a
//! [`DataLoader`] packs them into rows of one length, in a deterministic order that resumes anywhere; a [`Batch`] is
//! rows as tensors.
//!
//! ```
//! use smoltalk_data::{Batch, ChatTokenizer, Conversation, DataLoader, LoaderConfig, Mask, Message, Packing, Source};
//!
//! let message = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
//! let conversation = Conversation {
//!     messages: vec![message("user", "What is 2 + 3?"), message("assistant", "5.")],
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
//!
//! let batch = Batch::<burn::backend::Flex>::from_rows(&[row], &Default::default())?;
//! assert_eq!(batch.ids.dims(), [1, 256]);
//! # Ok::<(), smoltalk_data::DataError>(())
//! ```
//!
//! `examples/sft.rs` trains on them.
#![deny(missing_docs)]

mod batch;
mod conversation;
mod error;
mod loader;
mod mask;
mod packing;
mod panics;
mod source;
mod template;
mod tokenizer;

pub use batch::Batch;
pub use conversation::{Conversation, Message};
pub use error::DataError;
pub use hub_cache::{HubAccess, HubError, Retry, TransferEvent, TransferProgress};
pub use loader::{DataLoader, DataPosition, LoaderConfig};
pub use mask::{Mask, SystemPrompt, Tokenized};
pub use packing::{Overlong, PackedRow, Packer, Packing, PackingCounts};
pub use source::{Conversations, HubDataset, Source};
pub use template::ChatTemplate;
pub use tokenizer::{ChatTokenizer, DecodeStream, SPECIAL_TOKENS};
