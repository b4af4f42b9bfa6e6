//! Log-likelihoods of continuations, for many contexts at a time.
//!
//! N tokens of all sequences of a batch, D hidden.

use std::cmp::Reverse;
use std::ops::Range;

use smollm2_model::{Branched, DecoderBackend, TokenScore};

use crate::decoder::check_ids;
use crate::{Engine, InferError};

/// Most tokens of one forward pass, including padding, unless a single sequence has more. The memory of attention grows
/// with their number times the longest sequence.
const MOST_TOKENS: usize = 16_384;

/// A request for the log-likelihoods of several continuations of one context.
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
    /// Scores the continuations of every request. A context is computed once for all its continuations. The contexts of
    /// up to `rows` requests, or fewer if they are long, run in one forward pass; the results do not depend on their
    /// number. If context and continuation are longer than [`max_length`](Engine::max_length), the context is truncated
    /// at its beginning, as in lm-evaluation-harness.
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
        // Similar lengths run together, because attention pads. The longest run first: memory runs out early or never.
        sequences.sort_by_key(|sequence| Reverse(sequence.tokens()));
        let mut rest = &sequences[..];
        while let [longest, ..] = rest {
            let (batch, others) = rest.split_at(fitting(rows, longest.tokens()).min(rest.len()));
            self.score_batch(batch, &mut scores);
            rest = others;
        }
        Ok(scores)
    }

    fn check_request(&self, index: usize, request: &ScoreRequest) -> Result<(), InferError> {
        if request.context.is_empty() {
            return Err(InferError::EmptyContext { request: index });
        }
        let lengths = request.continuations.iter().map(Vec::len).enumerate();
        for (continuation, found) in lengths {
            if !(1..=self.max_length()).contains(&found) {
                return Err(InferError::Continuation {
                    request: index,
                    continuation,
                    expected: format!("1 to {}", self.max_length()),
                    found,
                });
            }
        }
        let ids = [&request.context[..], &request.continuations.concat()].concat();
        check_ids(index, &ids, self.model().config().vocab_size)
    }

    /// One sequence per group of continuations that fits, or one per continuation if the context has to be truncated,
    /// because each is truncated differently.
    fn sequences<'a>(&self, request: usize, asked: &'a ScoreRequest) -> Vec<Sequence<'a>> {
        let longest = asked.continuations.iter().map(Vec::len).max().unwrap_or(1);
        // The last token is only predicted.
        let most = self.max_length() + 1;
        let is_cut = asked.context.len() + longest > most;
        let pieces = pieces(&asked.continuations, if is_cut { 0 } else { self.max_length() });
        let sequences = pieces.into_iter().map(|piece| {
            let (first, continuations) = (piece.start, &asked.continuations[piece]);
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

/// Sequences of up to `longest` tokens that run together.
fn fitting(rows: usize, longest: usize) -> usize {
    rows.min(MOST_TOKENS / longest.max(1)).max(1)
}

/// Neighbouring continuations of at most `most` tokens together; a longer one is a piece of its own.
fn pieces(continuations: &[Vec<u32>], most: usize) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (index, ids) in continuations.iter().enumerate() {
        tokens += ids.len();
        match pieces.last_mut() {
            Some(piece) if tokens <= most => piece.end = index + 1,
            _ => {
                pieces.push(index..index + 1);
                tokens = ids.len();
            }
        }
    }
    pieces
}

fn branched<'a>(sequence: &Sequence<'a>) -> Branched<'a> {
    let continuations = sequence.continuations.iter();
    Branched {
        context: sequence.context,
        continuations: continuations.map(|ids| &ids[..ids.len() - 1]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sequences_run_in_smaller_batches() {
        let found = [(8, 100), (8, 8192), (8, 4096), (8, 20_000), (0, 1)].map(|(rows, longest)| fitting(rows, longest));
        assert_eq!(found, [8, 2, 4, 1, 1]);
    }

    #[test]
    fn a_piece_has_no_more_tokens_than_asked() {
        let continuations = [3, 4, 5, 9, 1, 1].map(|length| vec![0; length]);
        assert_eq!(pieces(&continuations, 8), [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(pieces(&continuations[..2], 0), [0..1, 1..2]);
        assert_eq!(pieces(&[], 8), Vec::<Range<usize>>::new());
    }
}
