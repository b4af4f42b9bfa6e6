//! Log-likelihoods of continuations, many contexts at a time.
//!
//! N tokens of all sequences of a batch, D hidden.

use std::cmp::Reverse;

use smollm2_model::{Branched, DecoderBackend, TokenScore};

use crate::decoder::check_ids;
use crate::{Engine, InferError};

/// Asks how probable each of several continuations of one context is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreRequest {
    /// Ids before the continuations; at least one.
    pub context: Vec<u32>,
    /// Ids of each continuation; at least one.
    pub continuations: Vec<Vec<u32>>,
}

/// The score of one continuation.
#[derive(Clone, Debug, PartialEq)]
pub struct ContinuationScore {
    /// Score of each of its tokens.
    pub tokens: Vec<TokenScore>,
}

impl ContinuationScore {
    /// Log-likelihood: the sum of the tokens' natural log-probabilities.
    pub fn sum(&self) -> f64 {
        self.tokens.iter().map(|token| f64::from(token.logprob)).sum()
    }

    /// Whether every token is the most probable one, so that greedy decoding would have written the continuation.
    pub fn is_greedy(&self) -> bool {
        self.tokens.iter().all(|token| token.is_greedy)
    }
}

/// A context and continuations that are computed together.
struct Sequence<'a> {
    request: usize,
    /// Index of the first of the continuations in its request.
    first: usize,
    context: &'a [u32],
    continuations: &'a [Vec<u32>],
}

impl Sequence<'_> {
    /// Tokens that the model reads; the last token of a continuation is only predicted.
    fn tokens(&self) -> usize {
        self.context.len() + self.continuations.iter().map(|ids| ids.len() - 1).sum::<usize>()
    }
}

impl<B: DecoderBackend> Engine<B> {
    /// Scores the continuations of every request. A context is computed once for all its continuations, and the
    /// contexts of `rows` requests run in one forward pass; results do not depend on how many. Where context and
    /// continuation are longer than [`max_length`](Engine::max_length), the context loses its beginning, as in
    /// lm-evaluation-harness.
    ///
    /// # Errors
    /// [`InferError::EmptyContext`], [`InferError::Continuation`] for one that is empty or longer than the longest
    /// sequence, [`InferError::TokenOutOfRange`].
    pub fn score(&self, requests: &[ScoreRequest], rows: usize) -> Result<Vec<Vec<ContinuationScore>>, InferError> {
        let mut scores = Vec::with_capacity(requests.len());
        let mut sequences = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            self.check_request(index, request)?;
            sequences.extend(self.sequences(index, request));
            scores.push(vec![
                ContinuationScore { tokens: Vec::new() };
                request.continuations.len()
            ]);
        }
        // Similar lengths together: attention pads. The longest first: memory is exhausted early or never.
        sequences.sort_by_key(|sequence| Reverse(sequence.tokens()));
        for batch in sequences.chunks(rows.max(1)) {
            self.score_batch(batch, &mut scores);
        }
        Ok(scores)
    }

    fn check_request(&self, index: usize, request: &ScoreRequest) -> Result<(), InferError> {
        if request.context.is_empty() {
            return Err(InferError::EmptyContext { request: index });
        }
        let wrong = |ids: &Vec<u32>| ids.is_empty() || ids.len() > self.max_length();
        if let Some(continuation) = request.continuations.iter().position(wrong) {
            return Err(InferError::Continuation {
                request: index,
                continuation,
                expected: format!("1 to {}", self.max_length()),
                found: request.continuations[continuation].len(),
            });
        }
        let ids = [&request.context[..], &request.continuations.concat()].concat();
        check_ids(index, &ids, self.model().config().vocab_size)
    }

    /// One sequence, unless a context has to be cut: then one for each continuation, because each is cut differently.
    fn sequences<'a>(&self, request: usize, asked: &'a ScoreRequest) -> Vec<Sequence<'a>> {
        let longest = asked.continuations.iter().map(Vec::len).max().unwrap_or(1);
        // The last token is only predicted.
        let most = self.max_length() + 1;
        let pieces = if asked.context.len() + longest > most {
            1
        } else {
            asked.continuations.len().max(1)
        };
        let pieces = asked.continuations.chunks(pieces).enumerate();
        let sequences = pieces.map(|(first, continuations)| {
            let end = asked.context.len() + continuations.iter().map(Vec::len).max().unwrap_or(0);
            Sequence {
                request,
                first,
                context: &asked.context[end.saturating_sub(most)..],
                continuations,
            }
        });
        sequences.collect()
    }

    fn score_batch(&self, batch: &[Sequence<'_>], scores: &mut [Vec<ContinuationScore>]) {
        let (mut positions, mut targets, mut start) = (Vec::new(), Vec::new(), 0);
        for sequence in batch {
            let last = start + sequence.context.len() - 1;
            let mut next = last + 1;
            for ids in sequence.continuations {
                positions.push(last);
                positions.extend(next..next + ids.len() - 1);
                targets.extend_from_slice(ids);
                next += ids.len() - 1;
            }
            start += sequence.tokens();
        }
        let branched: Vec<Branched> = batch.iter().map(branched).collect();
        let hidden = self.model().hidden_branched(&branched); // [1, N, D]
        let mut scored = self.model().token_logprobs(hidden, &positions, &targets).into_iter();
        for sequence in batch {
            for (ids, score) in sequence
                .continuations
                .iter()
                .zip(&mut scores[sequence.request][sequence.first..])
            {
                score.tokens.extend(scored.by_ref().take(ids.len()));
            }
        }
    }
}

fn branched<'a>(sequence: &Sequence<'a>) -> Branched<'a> {
    let read = |ids: &'a Vec<u32>| &ids[..ids.len() - 1];
    Branched {
        context: sequence.context,
        continuations: sequence.continuations.iter().map(read).collect(),
    }
}
