//! Text generation: token ids in, an iterator of token ids out.
//!
//! B batch, T prompt tokens, D hidden, V vocab.
//!
//! ```
//! use burn::backend::Flex;
//! use smollm2_model::generate::{GenerationConfig, generate};
//! # use smollm2_model::SmolLm2Config;
//! # let mut config = SmolLm2Config::smollm2_135m();
//! # (config.vocab_size, config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (64, 64, 128, 1);
//! # (config.num_attention_heads, config.num_key_value_heads) = (1, 1);
//! # config.feed_forward.truncate(1);
//! # let model = config.init::<Flex>(&Default::default())?;
//! let settings = GenerationConfig { max_new_tokens: 5, ..GenerationConfig::default() };
//! let ids: Vec<u32> = generate(&model, &[1, 2, 3], &settings)?.collect::<Result<_, _>>()?;
//! assert_eq!(ids.len(), 5);
//! # Ok::<(), smollm2_model::ModelError>(())
//! ```

mod sampler;

pub use sampler::{Sampler, Sampling};

use std::collections::BTreeSet;

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{DecoderBackend, KvCache, ModelError, SmolLm2, SmolLm2Config, ops::floats};

/// How to continue a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerationConfig {
    /// Most tokens to add. Default 256.
    pub max_new_tokens: usize,
    /// How a token is chosen. Default greedy.
    pub sampling: Sampling,
    /// Logits of tokens already in the row are divided by this when positive and multiplied when negative (CTRL,
    /// arXiv 1909.05858, as transformers applies it). 1 changes nothing. Default 1.
    pub repetition_penalty: f64,
    /// Seed of the draws. Default 0.
    pub seed: u64,
    /// Which of the seed's independent streams the first row draws from; row `i` takes stream `stream + i`. Default 0.
    pub stream: u64,
    /// Stop tokens. The stop token itself is part of the output. Default none.
    pub stop_ids: Vec<u32>,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            sampling: Sampling::Greedy,
            repetition_penalty: 1.0,
            seed: 0,
            stream: 0,
            stop_ids: Vec::new(),
        }
    }
}

impl GenerationConfig {
    /// Refuses settings that have no meaning.
    ///
    /// # Errors
    /// [`ModelError::Setting`] naming the field.
    pub fn validate(&self) -> Result<(), ModelError> {
        // Logits are f32: a penalty too small or too large for that would make them infinite or NaN.
        let penalty = self.repetition_penalty as f32;
        if !(penalty.is_normal() && penalty > 0.0) {
            return Err(ModelError::Setting {
                setting: "repetition_penalty",
                expected: "a number above 0, within f32",
                found: self.repetition_penalty.to_string(),
            });
        }
        self.sampling.validate()
    }
}

/// Continues one prompt, token by token.
///
/// # Errors
/// For a prompt that is empty, too long or outside the vocabulary, and for impossible settings.
pub fn generate<'a, B: DecoderBackend>(
    model: &'a SmolLm2<B>,
    prompt: &[u32],
    settings: &GenerationConfig,
) -> Result<Generator<'a, B>, ModelError> {
    Ok(Generator {
        batch: BatchGenerator::new(model, &[prompt.to_vec()], settings)?,
    })
}

/// Continues many prompts at once. Row `i` yields the tokens that it would yield alone with
/// [`stream`](GenerationConfig::stream) `+ i`.
///
/// # Errors
/// As [`generate`], and [`ModelError::NotANumber`].
pub fn generate_batch<B: DecoderBackend>(
    model: &SmolLm2<B>,
    prompts: &[Vec<u32>],
    settings: &GenerationConfig,
) -> Result<Vec<Vec<u32>>, ModelError> {
    let mut outputs = vec![Vec::new(); prompts.len()];
    if prompts.is_empty() {
        return Ok(outputs);
    }
    let mut batch = BatchGenerator::new(model, prompts, settings)?;
    while let Some(tokens) = batch.step()? {
        for (row, token) in tokens {
            outputs[row].push(token);
        }
    }
    Ok(outputs)
}

/// The tokens that follow one prompt. Ends after a stop token, after `max_new_tokens`, or when the positions of the
/// model are used up.
#[derive(Debug)]
pub struct Generator<'a, B: DecoderBackend> {
    batch: BatchGenerator<'a, B>,
}

impl<B: DecoderBackend> Iterator for Generator<'_, B> {
    type Item = Result<u32, ModelError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.batch.step() {
            Ok(tokens) => tokens.and_then(|tokens| tokens.first().map(|(_, token)| Ok(*token))),
            Err(error) => {
                self.batch.rows.clear();
                Some(Err(error))
            }
        }
    }
}

/// One unfinished row.
#[derive(Debug)]
struct Row {
    index: usize,
    /// Tokens of the prompt and of the continuation, each once: what the repetition penalty applies to.
    seen: BTreeSet<u32>,
    last: u32,
    added: usize,
    limit: usize,
    finished: bool,
    sampler: Sampler,
}

impl Row {
    fn choose(&mut self, logits: &mut [f32], settings: &GenerationConfig) -> Result<u32, ModelError> {
        sampler::penalise(logits, &self.seen, settings.repetition_penalty);
        let token = self.sampler.choose(logits).ok_or(ModelError::NotANumber {
            row: self.index,
            step: self.added,
        })?;
        self.seen.insert(token);
        self.last = token;
        self.added += 1;
        self.finished = self.added == self.limit || settings.stop_ids.contains(&token);
        Ok(token)
    }
}

#[derive(Debug)]
struct BatchGenerator<'a, B: DecoderBackend> {
    model: &'a SmolLm2<B>,
    settings: GenerationConfig,
    cache: KvCache<B>,
    /// Ids to run next, `[B, T]`: the padded prompts, later the last tokens.
    next: Tensor<B, 2, Int>,
    rows: Vec<Row>,
    device: B::Device,
}

impl<'a, B: DecoderBackend> BatchGenerator<'a, B> {
    fn new(model: &'a SmolLm2<B>, prompts: &[Vec<u32>], settings: &GenerationConfig) -> Result<Self, ModelError> {
        let config = model.config();
        settings.validate()?;
        check(prompts, config)?;
        let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        // Left padding takes room in the cache, but no position: a short prompt may continue beyond a long one's end.
        let limit = |prompt: &Vec<u32>| {
            settings
                .max_new_tokens
                .min(config.max_position_embeddings - prompt.len())
        };
        let capacity = longest + prompts.iter().map(limit).max().unwrap_or(0);
        let device = model.device();
        let padded = prompts.iter().flat_map(|prompt| {
            let padding = std::iter::repeat_n(0, longest - prompt.len());
            padding.chain(prompt.iter().map(|id| *id as i32))
        });
        let next = ints::<B>(padded.collect(), [prompts.len(), longest], &device); // [B, T]
        let row = |(index, prompt): (usize, &Vec<u32>)| Row {
            index,
            seen: prompt.iter().copied().collect(),
            last: 0,
            added: 0,
            limit: limit(prompt),
            finished: false,
            sampler: Sampler::new(
                settings.sampling,
                settings.seed,
                settings.stream.wrapping_add(index as u64),
            ),
        };
        Ok(Self {
            model,
            settings: settings.clone(),
            cache: KvCache::ragged(model, &lengths, capacity),
            next,
            rows: prompts
                .iter()
                .enumerate()
                .map(row)
                .filter(|row| row.limit > 0)
                .collect(),
            device,
        })
    }

    /// The next token of every unfinished row, with the row's index; `None` when all are finished.
    fn step(&mut self) -> Result<Option<Vec<(usize, u32)>>, ModelError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let [batch, tokens] = self.next.dims();
        let hidden = self.model.forward_cached(self.next.clone(), &mut self.cache); // [B, T, D]
        let last = hidden.narrow(1, tokens - 1, 1); // [B, 1, D]
        let mut logits = floats(self.model.logits(last)); // B * V
        let vocab = logits.len() / batch;
        let mut emitted = Vec::with_capacity(batch);
        for (row, logits) in self.rows.iter_mut().zip(logits.chunks_exact_mut(vocab)) {
            emitted.push((row.index, row.choose(logits, &self.settings)?));
        }
        self.drop_finished();
        let last = self.rows.iter().map(|row| row.last as i32).collect();
        self.next = ints::<B>(last, [self.rows.len(), 1], &self.device); // [B, 1]
        Ok(Some(emitted))
    }

    /// Finished rows leave the cache too, so that they cost nothing more.
    fn drop_finished(&mut self) {
        let kept: Vec<usize> = (0..self.rows.len())
            .filter(|index| !self.rows[*index].finished)
            .collect();
        if kept.len() < self.rows.len() {
            if !kept.is_empty() {
                self.cache.select_rows(&kept);
            }
            self.rows.retain(|row| !row.finished);
        }
    }
}

fn check(prompts: &[Vec<u32>], config: &SmolLm2Config) -> Result<(), ModelError> {
    let limit = config.max_position_embeddings;
    for (row, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            return Err(ModelError::EmptyPrompt { row });
        }
        if prompt.len() >= limit {
            return Err(ModelError::PromptTooLong {
                row,
                length: prompt.len(),
                limit,
            });
        }
        if let Some(position) = prompt.iter().position(|id| *id as usize >= config.vocab_size) {
            let (token, vocab_size) = (prompt[position], config.vocab_size);
            return Err(ModelError::TokenOutOfRange {
                row,
                position,
                token,
                vocab_size,
            });
        }
    }
    Ok(())
}

fn ints<B: Backend>(values: Vec<i32>, shape: [usize; 2], device: &B::Device) -> Tensor<B, 2, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
