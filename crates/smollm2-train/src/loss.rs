//! Cross-entropy of the next token, computed in chunks so that the complete `[N, V]` logits are never stored.
//!
//! N rows (positions whose next token is a target), D hidden, V vocab, n rows of one chunk.

mod chunked;
mod reference;
mod targets;

pub use chunked::{TrainBackend, chunked_cross_entropy, cross_entropy_sum};
pub use reference::chunked_cross_entropy_reference;
pub use targets::Targets;
