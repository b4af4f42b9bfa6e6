//! The decoder loop. Prompts can be added at any time, and each step generates one token for every row.
//!
//! B rows, T tokens, D hidden, V vocab.

use std::collections::BTreeMap;

use burn::tensor::{DType, Tensor};
use smollm2_model::{DecoderBackend, KvCache};

use crate::prefix::Prefixes;
use crate::row::Row;
use crate::{Engine, GenerationConfig, InferError, TokenEvent};

/// Positions that a cache gets in advance: enough for most answers, so that it rarely has to grow.
const ROOM: usize = 512;

/// Continues rows of tokens side by side. Rows are admitted at any time and leave when they end, and what they held in
/// the cache is free again. A row yields the tokens that it would yield alone.
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
    /// Keys and values of `rows`, in their order, of all their tokens but the last.
    cache: KvCache<B>,
    rows: Vec<Row>,
    waiting: Vec<Row>,
    prefixes: Prefixes<B>,
    admitted: usize,
    /// Events of a step that failed for another row.
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

    /// Keeps the keys and values of the last `rows` rows that ended. A prompt that begins as one of them does, as the
    /// next turn of a conversation, computes only what is new, if at least 64 tokens and half of it are the same: such
    /// prompts are computed one by one, all others together. Without it none are kept.
    pub fn with_prefixes(mut self, rows: usize) -> Self {
        self.prefixes = Prefixes::new(rows);
        self
    }

    /// Admits a prompt and names its row: 0 for the first prompt of a decoder, then 1, and so on. It is computed in the
    /// next step. A row of no new tokens ends at once, without an event.
    ///
    /// # Errors
    /// For a prompt that is empty, too long or outside the vocabulary, and for impossible settings.
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

    /// Whether no row is left and no event is to come.
    pub fn is_idle(&self) -> bool {
        self.rows.is_empty() && self.waiting.is_empty() && self.ready.is_empty() && self.failed.is_empty()
    }

    /// Ends a row now: nothing more is reported of it. Does nothing for a row that has ended.
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
    /// [`InferError::NotANumber`] and [`InferError::Text`] name a row that could not be continued, the first of those
    /// of the step. It has ended; the other errors and the tokens of the other rows are those of the next calls.
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

    /// One more token of the rows that run.
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

    /// The first token of the rows that wait, which then run. Those that continue a row kept are computed one by one.
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

    /// The first token of a row of which `cache` holds the beginning.
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

    /// Finished rows leave the cache too, so that they cost nothing more.
    fn drop_finished(&mut self) {
        let (finished, kept): (Vec<usize>, Vec<usize>) =
            (0..self.rows.len()).partition(|index| self.rows[*index].is_finished);
        if finished.is_empty() {
            return;
        }
        if self.prefixes.keeps() {
            for index in finished {
                let ids = &self.rows[index].ids;
                // The last token was never run.
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

/// Positions to make room for beyond those that `rows` have.
fn room(rows: &[Row]) -> usize {
    let most = rows.iter().map(Row::remaining).max();
    most.unwrap_or(0).min(ROOM)
}
