//! Which token may look at which, and at what position each token stands.
//!
//! B batch, T query tokens, S key tokens.

use burn::tensor::{Bool, Int, Tensor, backend::Backend};

use super::rotary::Rotation;

/// How the rows of a batch are to be read. The default is one causal sequence per row at positions `0..T`.
///
/// A packed row holds several documents one after another. With `documents`, a token sees only tokens of its own
/// document; with `positions` restarting at each document, the logits equal those of the documents run alone.
#[derive(Clone, Debug)]
pub struct SequenceLayout<B: Backend> {
    /// Position of every token, `[B, T]`, below `max_position_embeddings`. `None`: `0..T` in every row.
    pub positions: Option<Tensor<B, 2, Int>>,
    /// Document of every token, `[B, T]`: any ids, only their equality counts. `None`: a row is one document.
    pub documents: Option<Tensor<B, 2, Int>>,
}

impl<B: Backend> Default for SequenceLayout<B> {
    fn default() -> Self {
        Self {
            positions: None,
            documents: None,
        }
    }
}

/// What every layer of one forward pass shares, computed once by [`SmolLm2::context`](crate::SmolLm2::context).
#[derive(Clone, Debug)]
pub struct ForwardContext<B: Backend> {
    pub(crate) rotation: Rotation<B>,
    /// True where a query must not see a key, `[B, T, S]`; keys after the query are never seen.
    pub(crate) mask: Option<Tensor<B, 3, Bool>>,
}

/// True where query and key belong to different documents, `documents: [B, T]`; output `[B, T, T]`.
pub(crate) fn document_mask<B: Backend>(documents: Tensor<B, 2, Int>) -> Tensor<B, 3, Bool> {
    let query = documents.clone().unsqueeze_dim::<3>(2); // [B, T, 1]
    let key = documents.unsqueeze_dim::<3>(1); // [B, 1, T]
    query.not_equal(key) // [B, T, T]
}
