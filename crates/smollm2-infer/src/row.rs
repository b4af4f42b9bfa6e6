//! The state of one prompt in the decoder.

use std::collections::BTreeSet;

use smoltalk_data::{ChatTokenizer, DataError};

use crate::sampling::{Sampler, penalise, sort_first};
use crate::stream::TextStream;
use crate::{GenerationConfig, InferError};

/// One token of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenEvent {
    /// The number of the row, as returned by [`Decoder::admit`](crate::Decoder::admit).
    pub row: usize,
    /// The token.
    pub token: u32,
    /// Text that this token completes: whole characters, without text that may begin a stop string and without special
    /// tokens. The concatenated texts of a row are its answer.
    pub text: String,
    /// Log-probabilities, when [`GenerationConfig::logprobs`] asks for them.
    pub logprobs: Option<TokenLogprobs>,
    /// Why the row ends with this token; `None` while it continues.
    pub end: Option<End>,
}

/// The model's natural log-probabilities at one position, before penalty, temperature and filters.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// Of the chosen token.
    pub chosen: f32,
    /// The most probable tokens with their log-probabilities, in descending order.
    pub top: Vec<(u32, f32)>,
}

/// Why a row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its last token is a stop token.
    StopId,
    /// Its last token completes a stop string.
    StopString,
    /// It has `max_new_tokens` tokens, or the model has no position left.
    Length,
}

/// An unfinished row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) index: usize,
    /// Prompt and continuation.
    pub(crate) ids: Vec<u32>,
    /// Distinct ids of the row: what the repetition penalty applies to.
    seen: BTreeSet<u32>,
    added: usize,
    limit: usize,
    pub(crate) is_finished: bool,
    settings: GenerationConfig,
    sampler: Sampler,
    stream: TextStream,
}

impl Row {
    /// A row that adds at most `limit` tokens to `prompt`.
    pub(crate) fn new(
        index: usize,
        prompt: &[u32],
        limit: usize,
        settings: &GenerationConfig,
        tokenizer: &ChatTokenizer,
    ) -> Self {
        Self {
            index,
            ids: prompt.to_vec(),
            seen: prompt.iter().copied().collect(),
            added: 0,
            limit,
            is_finished: false,
            settings: settings.clone(),
            sampler: Sampler::new(settings.sampling, settings.seed, settings.stream),
            stream: TextStream::new(tokenizer, &settings.stop_strings),
        }
    }

    /// Tokens that may still be added.
    pub(crate) fn remaining(&self) -> usize {
        self.limit - self.added
    }

    /// The token that is not in the cache yet.
    pub(crate) fn last(&self) -> u32 {
        *self.ids.last().expect("a row has a prompt")
    }

    /// Chooses the next token; an error ends the row.
    pub(crate) fn extend(&mut self, logits: &mut [f32]) -> Result<TokenEvent, InferError> {
        let event = self.chosen(logits);
        self.is_finished = event.as_ref().map_or(true, |event| event.end.is_some());
        event
    }

    fn chosen(&mut self, logits: &mut [f32]) -> Result<TokenEvent, InferError> {
        let table = self.settings.logprobs.map(|count| (count, log_probabilities(logits)));
        penalise(logits, &self.seen, self.settings.repetition_penalty);
        let token = self.sampler.choose(logits).ok_or(InferError::NotANumber {
            row: self.index,
            step: self.added,
        })?;
        self.seen.insert(token);
        self.ids.push(token);
        self.added += 1;
        let (text, end) = self.text(token).map_err(|source| InferError::Text {
            row: self.index,
            source,
        })?;
        Ok(TokenEvent {
            row: self.index,
            token,
            text,
            logprobs: table.map(|(count, table)| TokenLogprobs::of(&table, token, count)),
            end,
        })
    }

    /// The text that `token` completes, and why the row ends with it.
    fn text(&mut self, token: u32) -> Result<(String, Option<End>), DataError> {
        let (mut text, stopped) = self.stream.push(token)?;
        if stopped {
            return Ok((text, Some(End::StopString)));
        }
        let end = self.end(token);
        if end.is_some() {
            text.push_str(&self.stream.finish()?);
        }
        Ok((text, end))
    }

    fn end(&self, token: u32) -> Option<End> {
        if self.settings.stop_ids.contains(&token) {
            return Some(End::StopId);
        }
        (self.added == self.limit).then_some(End::Length)
    }
}

impl TokenLogprobs {
    fn of(table: &[f32], token: u32, count: usize) -> Self {
        let mut order: Vec<u32> = (0..table.len() as u32).collect();
        let count = count.min(order.len());
        sort_first(&mut order, table, count);
        order.truncate(count);
        Self {
            chosen: table[token as usize],
            top: order.into_iter().map(|id| (id, table[id as usize])).collect(),
        }
    }
}

/// `logits` less the logarithm of the sum of their exponentials, which is taken in f64. The logits of a step are on the
/// host for the sampler, so this does not go through `SmolLm2::token_logprobs`, which scores everything else.
fn log_probabilities(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    let normaliser = f64::from(highest) + sum.ln();
    logits
        .iter()
        .map(|logit| (f64::from(*logit) - normaliser) as f32)
        .collect()
}
