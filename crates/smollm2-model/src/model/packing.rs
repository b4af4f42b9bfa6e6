//! Rows of different lengths in one forward pass. Only attention computes padding positions.
//!
//! B rows, T tokens of the longest, N tokens of all rows, W width, D hidden.

use burn::tensor::{Bool, Int, Tensor, backend::Backend};

use super::{ForwardContext, KvCache, SmolLm2, indices};
use crate::DecoderBackend;

/// A context and continuations of it, in one sequence. Each continuation follows the context directly: it sees the
/// context and itself.
#[derive(Clone, Debug)]
pub struct Branched<'a> {
    /// Ids of the context.
    pub context: &'a [u32],
    /// Ids of each continuation; may be empty.
    pub continuations: Vec<&'a [u32]>,
}

impl Branched<'_> {
    fn tokens(&self) -> usize {
        self.context.len() + self.continuations.iter().map(|ids| ids.len()).sum::<usize>()
    }

    /// Ids of the context, then of each continuation.
    fn ids(&self) -> impl Iterator<Item = u32> {
        self.context
            .iter()
            .chain(self.continuations.iter().copied().flatten())
            .copied()
    }

    /// The position of each token: every continuation begins where the context ends.
    fn positions(&self) -> impl Iterator<Item = i64> {
        let context = self.context.len();
        let after = self
            .continuations
            .iter()
            .flat_map(move |ids| context..context + ids.len());
        (0..context).chain(after).map(|position| position as i64)
    }

    /// 0 for each token of the context, and the number of its continuation, from 1, for the others.
    fn branches(&self) -> impl Iterator<Item = i64> {
        let context = std::iter::repeat_n(0, self.context.len());
        let continuations = self.continuations.iter().zip(1..);
        context.chain(continuations.flat_map(|(ids, branch)| std::iter::repeat_n(branch, ids.len())))
    }

    /// Whether a mask is needed: a single continuation is only causal.
    fn is_forked(&self) -> bool {
        self.continuations.iter().filter(|ids| !ids.is_empty()).count() > 1
    }
}

/// Where the tokens of rows of different lengths are: one after another, `[N, W]`, for operations on single tokens, and
/// padded, `[B, T, W]`, for attention.
#[derive(Clone, Debug)]
pub(crate) struct Packing<B: Backend> {
    /// The token in each slot of `[B·T]`; padding names the first of its own row, so that no row reads another's
    /// values.
    tokens: Tensor<B, 1, Int>,
    /// The slot of each token, `[N]`.
    slots: Tensor<B, 1, Int>,
    /// B.
    rows: usize,
}

impl<B: Backend> Packing<B> {
    /// `None` when no row needs padding. `left` puts the padding before a row, for a cache, instead of after it.
    fn new(lengths: &[usize], left: bool, device: &B::Device) -> Option<Self> {
        let (batch, longest) = (lengths.len(), lengths.iter().copied().max()?);
        if lengths.iter().all(|length| *length == longest) {
            return None;
        }
        let (mut tokens, mut slots) = (Vec::with_capacity(batch * longest), Vec::new());
        for (row, length) in lengths.iter().enumerate() {
            let (own, padding) = (slots.len() as i64, longest - length);
            let (before, after) = if left { (padding, 0) } else { (0, padding) };
            tokens.extend(std::iter::repeat_n(own, before));
            tokens.extend(own..own + *length as i64);
            tokens.extend(std::iter::repeat_n(own, after));
            let first = (row * longest + before) as i64;
            slots.extend(first..first + *length as i64);
        }
        Some(Self {
            tokens: indices(tokens, device),
            slots: indices(slots, device),
            rows: batch,
        })
    }

    /// B.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// `[N, W]` to `[B·T, W]`. Padding holds the values of a token: nothing attends to it, but it must be finite if
    /// the row is.
    pub(crate) fn pad(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        x.select(0, self.tokens.clone())
    }

    /// `[B·T, W]` to `[N, W]`.
    pub(crate) fn unpad(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        x.select(0, self.slots.clone())
    }
}

impl<B: DecoderBackend> SmolLm2<B> {
    /// Hidden states after the last norm of every token of `sequences`, in one forward pass: the tokens of the first
    /// sequence (context, then continuations), of the second, and so on. A context is computed once for all its
    /// continuations, and padding costs nothing outside attention.
    ///
    /// # Shapes
    /// - output: `[1, N, D]`
    ///
    /// # Panics
    /// When there is no sequence, a context is empty, or a context and one of its continuations exceed
    /// `max_position_embeddings`.
    ///
    /// ```
    /// use burn::backend::Flex;
    /// use smollm2_model::{Branched, SmolLm2Config};
    ///
    /// # let mut config = SmolLm2Config::smollm2_135m();
    /// # (config.vocab_size, config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (64, 64, 128, 1);
    /// # (config.num_attention_heads, config.num_key_value_heads) = (1, 1);
    /// # config.feed_forward.truncate(1);
    /// let model = config.init::<Flex>(&Default::default())?;
    /// let first = Branched { context: &[1, 2, 3], continuations: vec![&[4, 5], &[6]] };
    /// let second = Branched { context: &[7], continuations: vec![&[8]] };
    /// let hidden = model.hidden_branched(&[first, second]); // [1, 8, D]
    /// assert_eq!(hidden.dims(), [1, 8, 64]);
    /// # Ok::<(), smollm2_model::ModelError>(())
    /// ```
    pub fn hidden_branched(&self, sequences: &[Branched<'_>]) -> Tensor<B, 3> {
        assert!(!sequences.is_empty(), "at least one sequence");
        let device = self.device();
        let empty = sequences.iter().any(|sequence| sequence.context.is_empty());
        assert!(!empty, "a context has at least one token");
        let ids: Vec<u32> = sequences.iter().flat_map(Branched::ids).collect();
        let positions: Vec<i64> = sequences.iter().flat_map(Branched::positions).collect();
        let lengths: Vec<usize> = sequences.iter().map(Branched::tokens).collect();
        let context = ForwardContext {
            rotation: self.rotary.gather(indices(positions, &device).unsqueeze()),
            mask: siblings(sequences, &lengths, &device),
            packing: Packing::new(&lengths, false, &device),
        };
        let tokens = ids.len();
        let ids = context.arranged(self.ids(&[ids]), lengths.len()); // [1, N] or [B, T]
        let hidden = self.run(ids, &context, None, |_| {}); // [1, N, D] or [B, T, D]
        let channels = hidden.dims()[2];
        hidden.reshape([1, tokens, channels]) // [1, N, D]
    }

    /// Runs prompts of any lengths and keeps their keys and values, with room for `room` more tokens each. Returns each
    /// prompt's hidden state of the last token, after the last norm.
    ///
    /// # Shapes
    /// - output: `[B, 1, D]`
    ///
    /// # Panics
    /// When there is no prompt, or one is empty or exceeds `max_position_embeddings`.
    pub fn prefill(&self, prompts: &[&[u32]], room: usize) -> (Tensor<B, 3>, KvCache<B>) {
        assert!(!prompts.is_empty(), "at least one prompt");
        let device = self.device();
        let lengths: Vec<usize> = prompts.iter().map(|prompt| prompt.len()).collect();
        assert!(!lengths.contains(&0), "a prompt has at least one token");
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut cache = KvCache::ragged(self, &lengths, longest + room);
        let positions: Vec<i64> = lengths.iter().flat_map(|length| 0..*length as i64).collect();
        let context = ForwardContext {
            rotation: self.rotary.gather(indices(positions, &device).unsqueeze()),
            mask: cache.mask(longest),
            packing: Packing::new(&lengths, true, &device),
        };
        let ids = context.arranged(self.ids(&[prompts.concat()]), lengths.len()); // [1, N] or [B, T]
        let hidden = self.run(ids, &context, Some(&mut cache), |_| {}); // [1, N, D] or [B, T, D]
        cache.advance(longest);
        let channels = hidden.dims()[2];
        let mut end = 0;
        let last = lengths.iter().map(|length| {
            end += length;
            end as i64 - 1
        });
        let rows = hidden.reshape([-1, channels as i32]); // [N, D]
        let last: Tensor<B, 2> = rows.select(0, indices(last, &device)); // [B, D]
        (last.unsqueeze_dim(1), cache) // [B, 1, D]
    }
}

/// The keys that continuations hide from each other, `[B, T, T]`; `None` when no sequence has two.
fn siblings<B: Backend>(
    sequences: &[Branched<'_>],
    lengths: &[usize],
    device: &B::Device,
) -> Option<Tensor<B, 3, Bool>> {
    if !sequences.iter().any(Branched::is_forked) {
        return None;
    }
    let (batch, longest) = (lengths.len(), lengths.iter().copied().max()?);
    let padded = sequences.iter().zip(lengths).flat_map(|(sequence, length)| {
        let padding = std::iter::repeat_n(0, longest - length);
        sequence.branches().chain(padding)
    });
    let branches = indices(padded, device).reshape([batch, longest]); // [B, T]
    let query = branches.clone().unsqueeze_dim::<3>(2); // [B, T, 1]
    let key = branches.unsqueeze_dim::<3>(1); // [B, 1, T]
    let in_context = key.clone().equal_elem(0).expand([batch, longest, longest]); // [B, T, T]
    Some(query.equal(key).bool_or(in_context).bool_not()) // [B, T, T]
}
