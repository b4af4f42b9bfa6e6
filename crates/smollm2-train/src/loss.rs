//! Cross-entropy of the next token, computed in chunks so that `[N, V]` logits never exist whole.
//!
//! N rows (positions whose next token counts), D hidden, V vocab, n rows of one chunk.

mod chunked;
mod reference;
mod targets;

pub use chunked::{TrainBackend, chunked_cross_entropy, cross_entropy_sum};
pub use reference::chunked_cross_entropy_reference;
pub use targets::Targets;
