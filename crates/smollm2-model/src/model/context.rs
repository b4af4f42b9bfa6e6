//! Determines the tokens that a token attends to, and the position of each token.
//!
//! B batch, T query tokens, S key tokens.

use burn::tensor::{Bool, Int, Tensor, backend::Backend};

use super::{packing::Packing, rotary::Rotation};

/// The layout of the rows of a batch. The default is one causal sequence per row at positions `0..T`.
///
/// A packed row holds several documents one after another. With `documents`, a token attends only to its
/// document; with `positions` restarting at each document, the logits equal those of separately run documents.
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

/// The values that all layers of one forward pass share, computed once by
/// [`SmolLm2::context`](crate::SmolLm2::context).
#[derive(Clone, Debug)]
pub struct ForwardContext<B: Backend> {
    pub(crate) rotation: Rotation<B>,
    /// True where a query must not see a key, `[B, T, S]`; keys after the query are never seen.
    pub(crate) mask: Option<Tensor<B, 3, Bool>>,
    /// Where the tokens of rows of different lengths are.
    pub(crate) packing: Option<Packing<B>>,
}

impl<B: Backend> ForwardContext<B> {
    /// Ids of all tokens, `[1, N]`, as the model reads them: as they are when they are packed, otherwise as the rows of
    /// equal length that they are, `[B, T]`.
    pub(crate) fn arranged(&self, ids: Tensor<B, 2, Int>, batch: usize) -> Tensor<B, 2, Int> {
        let [_, tokens] = ids.dims();
        match &self.packing {
            Some(_) => ids,                               // [1, N]
            None => ids.reshape([batch, tokens / batch]), // [B, T]
        }
    }

    /// Rows that attention sees of `batch` rows of ids: those that are packed in one.
    pub(crate) fn rows(&self, batch: usize) -> usize {
        self.packing.as_ref().map_or(batch, Packing::rows)
    }

    /// `[N, W]` as attention reads it, `[B·T, W]`.
    pub(crate) fn padded(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.packing {
            Some(packing) => packing.pad(x),
            None => x,
        }
    }

    /// The inverse of [`ForwardContext::padded`].
    pub(crate) fn packed(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.packing {
            Some(packing) => packing.unpad(x),
            None => x,
        }
    }
}

/// True where query and key belong to different documents, `documents: [B, T]`; output `[B, T, T]`.
pub(crate) fn document_mask<B: Backend>(documents: Tensor<B, 2, Int>) -> Tensor<B, 3, Bool> {
    let query = documents.clone().unsqueeze_dim::<3>(2); // [B, T, 1]
    let key = documents.unsqueeze_dim::<3>(1); // [B, 1, T]
    query.not_equal(key) // [B, T, T]
}
