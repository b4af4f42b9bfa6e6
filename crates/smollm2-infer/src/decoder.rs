//! The decoder loop. Prompts can be added at any time, and each step generates one token for every row.
//!
//! B rows, T tokens, D hidden, V vocab.

use std::collections::BTreeMap;

use burn::tensor::{DType, Tensor};
use smollm2_model::{DecoderBackend, KvCache};

use crate::prefix::Prefixes;
use crate::row::Row;
use crate::{Engine, GenerationConfig, InferError, TokenEvent};

/// Positions reserved in a new cache: enough for most answers, so that it rarely has to grow.
const ROOM: usize = 512;

/// Generates many rows of tokens in parallel. Rows can be admitted at any time. A row that ends leaves the batch and
/// frees its part of the cache. Each row yields the same tokens as if it were generated alone.
///
/// ```
/// use burn::backend::Flex;
/// use smollm2_infer::{Decoder, End, Engine, GenerationConfig};
/// # use smollm2_model::SmolLm2Config;
/// # use smoltalk_data::ChatTokenizer;
/// # let mut config = SmolLm2Config::smollm2_135m();
/// # (config.vocab_size, config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (273, 64, 128, 1);
/// # (config.num_attention_heads, config.num_key_value_heads) = (1, 1);
/// # config.feed_forward.truncate(1);
/// # let model = config.init::<Flex>(&Default::default())?;
/// # let engine = Engine::new(model, ChatTokenizer::byte_level()?)?;
///
/// let mut decoder = Decoder::new(&engine);
/// let settings = GenerationConfig { max_new_tokens: 3, ..GenerationConfig::default() };
/// decoder.admit(&[1, 2], &settings)?;
/// assert_eq!(decoder.step()?.len(), 1);
/// decoder.admit(&[3, 4, 5, 6], &settings)?;
/// let both = decoder.step()?;
/// assert_eq!(both.iter().map(|event| event.row).collect::<Vec<_>>(), [0, 1]);
/// let last = decoder.step()?;
/// assert_eq!((last[0].end, last[1].end), (Some(End::Length), None));
/// decoder.remove(1);
/// assert!(decoder.is_idle());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Decoder<B: DecoderBackend> {
    engine: Engine<B>,
    /// Keys and values of `rows`, in the same order, for all their tokens except the last.
    cache: KvCache<B>,
    rows: Vec<Row>,
    waiting: Vec<Row>,
    prefixes: Prefixes<B>,
    admitted: usize,
    /// Events from a step in which another row failed.
    ready: Vec<TokenEvent>,
    /// Errors still to be reported, by row.
    failed: BTreeMap<usize, InferError>,
}

impl<B: DecoderBackend> Decoder<B> {
    /// A decoder without rows.
    pub fn new(engine: &Engine<B>) -> Self {
        Self {
            engine: engine.clone(),
            cache: KvCache::new(engine.model(), 0, 0),
            rows: Vec::new(),
            waiting: Vec::new(),
            prefixes: Prefixes::new(0),
            admitted: 0,
            ready: Vec::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Keeps the keys and values of the last `rows` rows that ended; by default none are kept. If a prompt shares at
    /// least its first 64 tokens and half of its length with one of them, as the next turn of a conversation does, only
    /// the rest is computed. Such prompts are computed one by one, all others together.
    pub fn with_prefixes(mut self, rows: usize) -> Self {
        self.prefixes = Prefixes::new(rows);
        self
    }

    /// Admits a prompt and returns the number of its row: 0 for the first prompt of a decoder, then 1, and so on. The
    /// prompt is computed in the next step. If `max_new_tokens` is 0, the row ends at once, without an event.
    ///
    /// # Errors
    /// For a prompt that is empty, too long or outside the vocabulary, and for invalid settings.
    pub fn admit(&mut self, prompt: &[u32], settings: &GenerationConfig) -> Result<usize, InferError> {
        settings.validate()?;
        let row = self.admitted;
        self.check(row, prompt)?;
        let limit = settings.max_new_tokens.min(self.engine.max_length() - prompt.len());
        self.admitted += 1;
        if limit > 0 {
            let tokenizer = self.engine.tokenizer();
            self.waiting.push(Row::new(row, prompt, limit, settings, tokenizer));
        }
        Ok(row)
    }

    /// Whether there are no rows and no pending events.
    pub fn is_idle(&self) -> bool {
        self.rows.is_empty() && self.waiting.is_empty() && self.ready.is_empty() && self.failed.is_empty()
    }

    /// Ends a row now, without further events for it. Does nothing for a row that has ended.
    pub fn remove(&mut self, row: usize) {
        self.waiting.retain(|waiting| waiting.index != row);
        self.ready.retain(|event| event.row != row);
        self.failed.remove(&row);
        if let Some(running) = self.rows.iter_mut().find(|running| running.index == row) {
            running.is_finished = true;
            self.drop_finished();
        }
    }

    /// The next token of every row, running rows before those admitted since the last step.
    ///
    /// # Errors
    /// [`InferError::NotANumber`] and [`InferError::Text`] name the first row that failed in this step; it has ended.
    /// The next calls return the errors of the other failed rows, then the tokens of the rest.
    pub fn step(&mut self) -> Result<Vec<TokenEvent>, InferError> {
        if self.ready.is_empty() && self.failed.is_empty() {
            self.advance();
            self.prefill();
            self.drop_finished();
        }
        match self.failed.pop_first() {
            Some((_, error)) => Err(error),
            None => Ok(std::mem::take(&mut self.ready)),
        }
    }

    fn check(&self, row: usize, prompt: &[u32]) -> Result<(), InferError> {
        let (limit, vocab_size) = (self.engine.max_length(), self.engine.model().config().vocab_size);
        if prompt.is_empty() {
            return Err(InferError::EmptyPrompt { row });
        }
        if prompt.len() >= limit {
            let length = prompt.len();
            return Err(InferError::PromptTooLong { row, length, limit });
        }
        check_ids(row, prompt, vocab_size)
    }

    /// Generates one more token for every running row.
    fn advance(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        if self.cache.len() == self.cache.capacity() {
            self.cache.reserve(room(&self.rows));
        }
        let last: Vec<Vec<u32>> = self.rows.iter().map(|row| vec![row.last()]).collect();
        let model = self.engine.model();
        let hidden = model.forward_cached(model.ids(&last), &mut self.cache); // [B, 1, D]
        let mut rows = std::mem::take(&mut self.rows);
        self.extend(&mut rows, hidden);
        self.rows = rows;
    }

    /// Generates the first token of the waiting rows, which then run. Those that continue a kept row are computed one
    /// by one.
    fn prefill(&mut self) {
        let mut fresh = Vec::new();
        for row in std::mem::take(&mut self.waiting) {
            match self.prefixes.longest(&row.ids) {
                Some(cache) => self.resume(row, cache),
                None => fresh.push(row),
            }
        }
        if fresh.is_empty() {
            return;
        }
        let prompts: Vec<&[u32]> = fresh.iter().map(|row| row.ids.as_slice()).collect();
        let (hidden, cache) = self.engine.model().prefill(&prompts, room(&fresh)); // [B, 1, D]
        self.join(fresh, hidden, cache);
    }

    /// Generates the first token of a row whose beginning is in `cache`.
    fn resume(&mut self, row: Row, mut cache: KvCache<B>) {
        let rest = row.ids[cache.len()..].to_vec();
        let (tokens, rows) = (rest.len(), vec![row]);
        cache.reserve(tokens + room(&rows));
        let model = self.engine.model();
        let hidden = model.forward_cached(model.ids(&[rest]), &mut cache); // [1, T, D]
        self.join(rows, hidden.narrow(1, tokens - 1, 1), cache); // [1, 1, D]
    }

    fn join(&mut self, mut rows: Vec<Row>, hidden: Tensor<B, 3>, cache: KvCache<B>) {
        self.extend(&mut rows, hidden);
        self.cache.join(cache);
        self.rows.extend(rows);
    }

    /// Adds a token to each of `rows`, whose last hidden states are `hidden: [B, 1, D]`.
    fn extend(&mut self, rows: &mut [Row], hidden: Tensor<B, 3>) {
        let logits = self.engine.model().logits(hidden); // [B, 1, V]
        let logits = logits.cast(DType::F32).into_data().into_vec::<f32>();
        let mut logits = logits.expect("a tensor cast to f32 holds f32");
        let vocab = logits.len() / rows.len();
        for (row, logits) in rows.iter_mut().zip(logits.chunks_exact_mut(vocab)) {
            match row.extend(logits) {
                Ok(event) => self.ready.push(event),
                Err(error) => drop(self.failed.insert(row.index, error)),
            }
        }
    }

    /// Removes finished rows, also from the cache, so that they cost nothing more.
    fn drop_finished(&mut self) {
        let (finished, kept): (Vec<usize>, Vec<usize>) =
            (0..self.rows.len()).partition(|index| self.rows[*index].is_finished);
        if finished.is_empty() {
            return;
        }
        if self.prefixes.keeps() {
            for index in finished {
                let ids = &self.rows[index].ids;
                // The last token has not been through the model.
                let ids = ids[..ids.len() - 1].to_vec();
                self.prefixes.insert(ids, self.cache.row(index));
            }
        }
        self.cache.select_rows(&kept);
        self.rows.retain(|row| !row.is_finished);
    }
}

/// Refuses ids outside the vocabulary.
pub(crate) fn check_ids(row: usize, ids: &[u32], vocab_size: usize) -> Result<(), InferError> {
    match ids.iter().position(|id| *id as usize >= vocab_size) {
        None => Ok(()),
        Some(position) => Err(InferError::TokenOutOfRange {
            row,
            position,
            token: ids[position],
            vocab_size,
        }),
    }
}

/// Positions to reserve beyond the current length of `rows`.
fn room(rows: &[Row]) -> usize {
    let most = rows.iter().map(Row::remaining).max();
    most.unwrap_or(0).min(ROOM)
}
