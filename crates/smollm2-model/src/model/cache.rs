//! Keys and values of the tokens seen so far.
//!
//! B batch, T new tokens, S key tokens, K key/value heads, C head dim, P capacity.

use burn::tensor::{Bool, Int, Tensor, backend::Backend};

use super::indices;
use crate::{DecoderBackend, SmolLm2, ops::write_tokens};

/// Keys and values of every layer, in buffers allocated once, at the first tokens and in their float type. Appending a
/// token writes one row per head; where [`write_tokens`] works in place, nothing else is copied.
///
/// Rows of different lengths end together: the shorter ones are padded on the left. The cache remembers by how much,
/// masks the padding and shifts the positions, so that every row computes what it would compute alone. Rows leave by
/// [`KvCache::select_rows`] and are added by [`KvCache::join`].
#[derive(Clone, Debug)]
pub struct KvCache<B: Backend> {
    layers: Vec<Buffers<B>>,
    left_padding: Vec<usize>,
    len: usize,
    capacity: usize,
    device: B::Device,
}

/// Keys and values of one layer, `[B, K, P, C]` each; `None` before the first tokens.
#[derive(Clone, Debug)]
struct Buffers<B: Backend> {
    key: Option<Tensor<B, 4>>,
    value: Option<Tensor<B, 4>>,
}

/// One layer of a [`KvCache`] whose buffers hold `len` of `capacity` positions.
pub(crate) struct LayerCache<'a, B: Backend> {
    buffers: &'a mut Buffers<B>,
    len: usize,
    capacity: usize,
}

impl<B: DecoderBackend> KvCache<B> {
    /// An empty cache of `model` for `batch` rows of up to `capacity` tokens.
    pub fn new(model: &SmolLm2<B>, batch: usize, capacity: usize) -> Self {
        let empty = Buffers { key: None, value: None };
        Self {
            layers: vec![empty; model.config().num_hidden_layers],
            left_padding: vec![0; batch],
            len: 0,
            capacity,
            device: model.device(),
        }
    }

    /// An empty cache for prompts of the given lengths, padded on the left to the longest.
    pub(crate) fn ragged(model: &SmolLm2<B>, lengths: &[usize], capacity: usize) -> Self {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let left_padding = lengths.iter().map(|length| longest - length).collect();
        Self {
            left_padding,
            ..Self::new(model, lengths.len(), capacity)
        }
    }

    /// Tokens per row so far, left padding included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token has been seen.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Maximum number of tokens per row.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Rows.
    pub fn batch(&self) -> usize {
        self.left_padding.len()
    }

    /// Forgets all but the first `len` tokens of every row, left padding included; a no-op when there are fewer.
    ///
    /// # Panics
    /// When a row has more than `len` tokens of padding.
    pub fn truncate(&mut self, len: usize) {
        let padding = self.left_padding.iter().copied().max().unwrap_or(0);
        assert!(padding <= len, "{len} tokens do not cover the {padding} of padding");
        self.len = self.len.min(len);
    }

    /// Row `index` as a separate cache, without padding.
    pub fn row(&self, index: usize) -> Self {
        let padding = self.left_padding[index];
        let len = self.len - padding;
        let layers = self.layers.iter().map(|layer| Buffers {
            key: one_row(&layer.key, index, padding, len),
            value: one_row(&layer.value, index, padding, len),
        });
        Self {
            layers: layers.collect(),
            left_padding: vec![0],
            len,
            capacity: len,
            device: self.device.clone(),
        }
    }

    /// Keeps the given rows, in the given order, so that finished rows of a batch cost nothing more. Padding common to
    /// all remaining rows is freed once it is a quarter of the cache.
    pub fn select_rows(&mut self, rows: &[usize]) {
        let common = rows.iter().map(|row| self.left_padding[*row]).min().unwrap_or(self.len);
        let dropped = if common * 4 >= self.len { common } else { 0 };
        // Without its part of the capacity, the room for more tokens would grow with every padding given back.
        self.rearrange(rows, dropped, 0, self.capacity - dropped);
    }

    /// Makes room for `tokens` more tokens in every row, and frees the rest.
    pub fn reserve(&mut self, tokens: usize) {
        if self.len + tokens != self.capacity {
            self.rearrange(&self.every_row(), 0, 0, self.len + tokens);
        }
    }

    /// Adds the rows of another cache of the same model. Rows end together: the shorter cache is padded on the left.
    /// The room for more tokens is the larger of the two.
    ///
    /// # Panics
    /// When one has rows without tokens.
    pub fn join(&mut self, mut other: Self) {
        if self.batch() == 0 {
            *self = other;
            return;
        }
        assert!(!self.is_empty() && !other.is_empty(), "rows with tokens join");
        let len = self.len.max(other.len);
        let capacity = len + (self.capacity - self.len).max(other.capacity - other.len);
        self.rearrange(&self.every_row(), 0, len - self.len, capacity);
        other.rearrange(&other.every_row(), 0, len - other.len, capacity);
        for (layer, added) in self.layers.iter_mut().zip(other.layers) {
            layer.key = both(layer.key.take(), added.key);
            layer.value = both(layer.value.take(), added.value);
        }
        self.left_padding.extend(other.left_padding);
    }

    fn every_row(&self) -> Vec<usize> {
        (0..self.batch()).collect()
    }

    /// Keeps the given rows, without their first `dropped` positions and with `added` new ones of padding, in buffers of
    /// `capacity`. Layer by layer, so that little exists twice.
    fn rearrange(&mut self, rows: &[usize], dropped: usize, added: usize, capacity: usize) {
        let kept = self.len - dropped;
        let is_moved = (dropped, added, capacity) != (0, 0, self.capacity);
        let is_every_row = rows.iter().copied().eq(0..self.batch());
        let index = indices(rows.iter().map(|row| *row as i64), &self.device); // [B]
        let moved = |buffer: &mut Option<Tensor<B, 4>>| {
            let mut tokens = buffer.take().filter(|_| !rows.is_empty() && kept > 0)?; // [B, K, P, C]
            if is_moved {
                tokens = tokens.narrow(2, dropped, kept); // [B, K, kept, C]
            }
            if !is_every_row {
                tokens = tokens.select(0, index.clone()); // [B, K, P or kept, C]
            }
            if !is_moved {
                return Some(tokens);
            }
            let [batch, heads, _, channels] = tokens.dims();
            let new = Tensor::zeros([batch, heads, capacity, channels], (&self.device, tokens.dtype())); // [B, K, P, C]
            Some(write_tokens(new, tokens, added)) // [B, K, P, C]
        };
        for layer in &mut self.layers {
            layer.key = moved(&mut layer.key);
            layer.value = moved(&mut layer.value);
        }
        let padding = rows.iter().map(|row| self.left_padding[*row] + added - dropped);
        self.left_padding = padding.collect();
        (self.len, self.capacity) = (kept + added, capacity);
    }

    /// Layer `index`.
    pub(crate) fn layer(&mut self, index: usize) -> LayerCache<'_, B> {
        LayerCache {
            buffers: &mut self.layers[index],
            len: self.len,
            capacity: self.capacity,
        }
    }

    /// Counts `tokens` as seen, once every layer has appended them.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// Positions of the next `tokens` tokens, `[B, T]`, or `None` when every row continues at [`KvCache::len`].
    pub(crate) fn positions(&self, tokens: usize) -> Option<Tensor<B, 2, Int>> {
        if self.left_padding.iter().all(|padding| *padding == 0) {
            return None;
        }
        let mut positions = Vec::with_capacity(self.batch() * tokens);
        for padding in &self.left_padding {
            // A padding token has position 0, like the first real one: nothing attends to it.
            positions.extend((self.len..self.len + tokens).map(|place| place.saturating_sub(*padding) as i64));
        }
        Some(indices(positions, &self.device).reshape([self.batch(), tokens])) // [B, T]
    }

    /// True at the left padding, for the next `tokens` tokens, `[B, T, S]`; `None` when there is none.
    pub(crate) fn mask(&self, tokens: usize) -> Option<Tensor<B, 3, Bool>> {
        if self.left_padding.iter().all(|padding| *padding == 0) {
            return None;
        }
        let (batch, keys) = (self.batch(), self.len + tokens);
        let padding = self.left_padding.iter().map(|padding| *padding as i64);
        let padding = indices(padding, &self.device).reshape([batch, 1, 1]); // [B, 1, 1]
        let key = Tensor::<B, 1, Int>::arange(0..keys as i64, &self.device).unsqueeze::<3>(); // [1, 1, S]
        let mask = key.expand([batch, 1, keys]).lower(padding); // [B, 1, S]
        Some(mask.expand([batch, tokens, keys])) // [B, T, S]
    }
}

impl<B: DecoderBackend> LayerCache<'_, B> {
    /// Writes the new keys and values, `[B, K, T, C]`, and returns all, `[B, K, S, C]`. They count as seen once
    /// [`KvCache::advance`] is called.
    pub(crate) fn append(self, key: Tensor<B, 4>, value: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 4>) {
        let Self { buffers, len, capacity } = self;
        (
            append(&mut buffers.key, key, len, capacity),
            append(&mut buffers.value, value, len, capacity),
        )
    }
}

/// `len` positions of row `index` from `start` on, `[1, K, len, C]`, in a separate buffer.
fn one_row<B: DecoderBackend>(
    buffer: &Option<Tensor<B, 4>>,
    index: usize,
    start: usize,
    len: usize,
) -> Option<Tensor<B, 4>> {
    let rows = buffer.as_ref().filter(|_| len > 0)?; // [B, K, P, C]
    let tokens = rows.clone().narrow(0, index, 1).narrow(2, start, len); // [1, K, len, C]
    let new = Tensor::zeros(tokens.dims(), (&rows.device(), tokens.dtype())); // [1, K, len, C]
    Some(write_tokens(new, tokens, 0)) // [1, K, len, C]
}

/// The rows of two buffers; no rows have no buffer.
fn both<B: Backend>(first: Option<Tensor<B, 4>>, second: Option<Tensor<B, 4>>) -> Option<Tensor<B, 4>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(Tensor::cat(vec![first, second], 0)), // [B, K, P, C]
        (first, second) => first.or(second),
    }
}

/// Writes `new: [B, K, T, C]` at position `start` of a buffer and returns everything up to its end, `[B, K, S, C]`.
fn append<B: DecoderBackend>(
    buffer: &mut Option<Tensor<B, 4>>,
    new: Tensor<B, 4>,
    start: usize,
    capacity: usize,
) -> Tensor<B, 4> {
    let [batch, heads, tokens, channels] = new.dims();
    // Taken out so that the assignment owns the only handle and happens in place.
    let owned = match buffer.take() {
        Some(buffer) => buffer,
        None => Tensor::zeros([batch, heads, capacity, channels], (&new.device(), new.dtype())), // [B, K, P, C]
    };
    let whole = write_tokens(owned, new, start); // [B, K, P, C]
    *buffer = Some(whole.clone());
    whole.narrow(2, 0, start + tokens) // [B, K, S, C]
}
