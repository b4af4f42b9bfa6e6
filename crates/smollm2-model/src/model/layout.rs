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

/// What every layer of one forward pass shares: the rotation of its tokens and the mask of its scores.
#[derive(Clone, Debug)]
pub struct Sequence<B: Backend> {
    pub(crate) rotation: Rotation<B>,
    pub(crate) mask: Mask<B>,
}

/// Which scores are removed before the softmax.
#[derive(Clone, Debug)]
pub(crate) enum Mask<B: Backend> {
    /// Query `t` sees keys `0..=t + (S - T)`.
    Causal,
    /// Causal, and further keys are hidden: true where query and key must not meet, `[B, T, S]`.
    Hidden(Tensor<B, 3, Bool>),
}

impl<B: Backend> Mask<B> {
    /// Causal within documents, `documents: [B, T]`.
    pub(crate) fn within_documents(documents: Tensor<B, 2, Int>) -> Self {
        let tokens = documents.dims()[1];
        let device = documents.device();
        let query = documents.clone().unsqueeze_dim::<3>(2); // [B, T, 1]
        let key = documents.unsqueeze_dim::<3>(1); // [B, 1, T]
        let foreign = query.not_equal(key); // [B, T, T]
        let future = future(tokens, tokens, &device).unsqueeze::<3>(); // [1, T, T]
        Self::Hidden(foreign.bool_or(future))
    }
}

/// True where the key comes after the query, `[T, S]`, the last query being at the last key.
pub(crate) fn future<B: Backend>(queries: usize, keys: usize, device: &B::Device) -> Tensor<B, 2, Bool> {
    Tensor::<B, 2, Bool>::tril_mask([queries, keys], (keys - queries) as i64, device)
}
