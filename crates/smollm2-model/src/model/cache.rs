//! Keys and values of the tokens seen so far.
//!
//! B batch, T new tokens, S key tokens, K key/value heads, C head dim, P capacity.

use burn::tensor::{Bool, Int, Tensor, TensorData, backend::Backend};

use crate::{DecoderBackend, SmolLm2, ops::write_tokens};

/// Keys and values of every layer, in buffers allocated once, at the first tokens and in their float type. Appending a
/// token writes one row per head; where [`write_tokens`] works in place, nothing else is copied.
///
/// Prompts of different lengths share a cache when the shorter ones are padded on the left:
/// [`KvCache::ragged`] remembers by how much, masks the padding and shifts the positions, so that every row computes
/// what it would compute alone.
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

impl<B: Backend> Buffers<B> {
    /// `rows` copies of buffers of one row.
    fn repeat(&self, rows: usize) -> Self {
        Self {
            key: self.key.clone().map(|buffer| buffer.repeat_dim(0, rows)),
            value: self.value.clone().map(|buffer| buffer.repeat_dim(0, rows)),
        }
    }
}

/// One layer of a [`KvCache`] whose buffers hold `len` of `capacity` positions.
pub(crate) struct LayerCache<'a, B: Backend> {
    buffers: &'a mut Buffers<B>,
    len: usize,
    capacity: usize,
}

impl<B: Backend> KvCache<B> {
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

    /// An empty cache for prompts of the given lengths, which the first
    /// [`forward_cached`](crate::SmolLm2::forward_cached) receives padded on the left to the longest (with any valid
    /// id).
    pub fn ragged(model: &SmolLm2<B>, lengths: &[usize], capacity: usize) -> Self {
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

    /// Most tokens a row can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Rows.
    pub fn batch(&self) -> usize {
        self.left_padding.len()
    }

    /// Forgets all but the first `len` tokens of every row; a no-op when there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// `rows` copies of a cache of one row: a prefix computed once serves a batch of continuations.
    ///
    /// # Panics
    /// When the cache has more than one row.
    pub fn repeat(&self, rows: usize) -> Self {
        assert_eq!(self.batch(), 1, "only a cache of one row can be repeated");
        Self {
            layers: self.layers.iter().map(|layer| layer.repeat(rows)).collect(),
            left_padding: vec![self.left_padding[0]; rows],
            device: self.device.clone(),
            ..*self
        }
    }

    /// Keeps the given rows, in the given order: finished rows of a batch cost nothing more.
    pub fn select_rows(&mut self, rows: &[usize]) {
        let index = rows.iter().map(|row| *row as i64).collect::<Vec<_>>();
        let index = Tensor::<B, 1, Int>::from_data(TensorData::new(index, [rows.len()]), &self.device);
        for layer in &mut self.layers {
            layer.key = layer.key.take().map(|buffer| buffer.select(0, index.clone()));
            layer.value = layer.value.take().map(|buffer| buffer.select(0, index.clone()));
        }
        self.left_padding = rows.iter().map(|row| self.left_padding[*row]).collect();
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
            // A padding token stands at position 0, like the first real one: it is never looked at.
            positions.extend((self.len..self.len + tokens).map(|place| place.saturating_sub(*padding) as i64));
        }
        let data = TensorData::new(positions, [self.batch(), tokens]);
        Some(Tensor::from_data(data, &self.device))
    }

    /// True at the left padding, for the next `tokens` tokens, `[B, T, S]`; `None` when there is none.
    pub(crate) fn mask(&self, tokens: usize) -> Option<Tensor<B, 3, Bool>> {
        if self.left_padding.iter().all(|padding| *padding == 0) {
            return None;
        }
        let (batch, keys) = (self.batch(), self.len + tokens);
        let padding = self.left_padding.iter().map(|padding| *padding as i64);
        let padding = TensorData::new(padding.collect::<Vec<_>>(), [batch, 1, 1]);
        let padding = Tensor::<B, 3, Int>::from_data(padding, &self.device); // [B, 1, 1]
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

/// Writes `new: [B, K, T, C]` at position `start` of a buffer and returns everything up to its end, `[B, K, S, C]`.
fn append<B: DecoderBackend>(
    buffer: &mut Option<Tensor<B, 4>>,
    new: Tensor<B, 4>,
    start: usize,
    capacity: usize,
) -> Tensor<B, 4> {
    let [batch, heads, tokens, channels] = new.dims();
    // Taken out so that the assignment owns the buffer alone and happens in place.
    let owned = match buffer.take() {
        Some(buffer) => buffer,
        None => Tensor::zeros([batch, heads, capacity, channels], (&new.device(), new.dtype())), // [B, K, P, C]
    };
    let whole = write_tokens(owned, new, start); // [B, K, P, C]
    *buffer = Some(whole.clone());
    whole.narrow(2, 0, start + tokens) // [B, K, S, C]
}
