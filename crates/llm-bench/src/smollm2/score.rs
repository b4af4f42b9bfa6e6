//! Log-likelihoods: the plain way, and with the shared context computed once.

use burn::tensor::activation::log_softmax;
use burn::tensor::{FloatDType, Int, Tensor, TensorData};
use smollm2_model::DecoderBackend;
use smollm2_model::{KvCache, SequenceLayout};

use super::SmolLm2Evaluator;
use crate::encoding::EncodedPair;
use crate::{BenchError, Loglikelihood};

/// Positions whose logits exist at once: 256 rows of 49,152 logits in f32 are 48 MiB.
const LOGIT_ROWS: usize = 256;

/// Log-probability of a token, and whether it was the most likely one.
type TokenScore = (f64, bool);

impl<B: DecoderBackend> SmolLm2Evaluator<B> {
    /// Every pair a row; the longest first, so that padding is small and memory is exhausted early or never.
    pub(super) fn score_plain(&self, pairs: &[EncodedPair], rows: usize) -> Result<Vec<Loglikelihood>, BenchError> {
        let inputs: Vec<Vec<u32>> = pairs.iter().map(|pair| pair.input(self.max_length)).collect();
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(inputs[index].len()));
        let mut scores = vec![total(&[]); pairs.len()];
        for batch in order.chunks(rows) {
            let longest = inputs[batch[0]].len();
            let padded = batch
                .iter()
                .map(|&index| padded(&inputs[index], longest))
                .collect::<Vec<_>>();
            let hidden = self.model.hidden(self.ids(&padded), &SequenceLayout::default()); // [B, T, D]
            let (mut positions, mut targets) = (Vec::new(), Vec::new());
            for (row, &index) in batch.iter().enumerate() {
                let continuation = &pairs[index].continuation;
                let first = row * longest + inputs[index].len() - continuation.len();
                positions.extend(first..first + continuation.len());
                targets.extend_from_slice(continuation);
            }
            let tokens = self.score_positions(hidden, &positions, &targets)?;
            let mut rest = tokens.as_slice();
            for &index in batch {
                let (own, others) = rest.split_at(pairs[index].continuation.len());
                scores[index] = total(own);
                rest = others;
            }
        }
        Ok(scores)
    }

    /// Runs of requests with the same context share its computation. A run too long for the model is scored plainly,
    /// because each of its pairs is truncated differently. Without a context there is nothing to share: requests of
    /// different documents would meet in one run, and their rounding would depend on how documents are batched.
    pub(super) fn score_shared(&self, pairs: &[EncodedPair]) -> Result<Vec<Loglikelihood>, BenchError> {
        let mut scores = Vec::with_capacity(pairs.len());
        for group in pairs.chunk_by(|a, b| a.context == b.context && a.context.len() > 1) {
            let longest = group.iter().map(|pair| pair.continuation.len()).max().unwrap_or(0);
            if group[0].context.len() + longest > self.max_length + 1 {
                scores.extend(self.score_plain(group, 1)?);
            } else {
                scores.extend(self.score_group(group, longest)?);
            }
        }
        Ok(scores)
    }

    fn score_group(&self, group: &[EncodedPair], longest: usize) -> Result<Vec<Loglikelihood>, BenchError> {
        let context = &group[0].context;
        let mut cache = KvCache::new(&self.model, 1, context.len() + longest - 1);
        let hidden = self
            .model
            .forward_cached(self.ids(std::slice::from_ref(context)), &mut cache); // [1, T, D]
        let firsts: Vec<u32> = group.iter().map(|pair| pair.continuation[0]).collect();
        let last = vec![context.len() - 1; group.len()];
        let mut tokens: Vec<Vec<TokenScore>> = self
            .score_positions(hidden, &last, &firsts)?
            .into_iter()
            .map(|score| vec![score])
            .collect();
        let longer: Vec<usize> = (0..group.len())
            .filter(|&row| group[row].continuation.len() > 1)
            .collect();
        if !longer.is_empty() {
            let mut cache = cache.repeat(longer.len());
            let input = |row: &usize| {
                let continuation = &group[*row].continuation;
                padded(&continuation[..continuation.len() - 1], longest - 1)
            };
            let inputs: Vec<Vec<u32>> = longer.iter().map(input).collect();
            let hidden = self.model.forward_cached(self.ids(&inputs), &mut cache); // [B, T, D]
            let (mut positions, mut targets) = (Vec::new(), Vec::new());
            for (slot, &row) in longer.iter().enumerate() {
                let rest = &group[row].continuation[1..];
                let first = slot * (longest - 1);
                positions.extend(first..first + rest.len());
                targets.extend_from_slice(rest);
            }
            let mut scored = self.score_positions(hidden, &positions, &targets)?.into_iter();
            for &row in &longer {
                let count = group[row].continuation.len() - 1;
                tokens[row].extend(scored.by_ref().take(count));
            }
        }
        Ok(tokens.iter().map(|tokens| total(tokens)).collect())
    }

    /// Scores `targets` at flat `positions` of `hidden`, `[B, T, D]`. Logits exist for [`LOGIT_ROWS`] positions at a
    /// time, and for no others.
    fn score_positions(
        &self,
        hidden: Tensor<B, 3>,
        positions: &[usize],
        targets: &[u32],
    ) -> Result<Vec<TokenScore>, BenchError> {
        let [batch, tokens, channels] = hidden.dims();
        let flat = hidden.reshape([batch * tokens, channels]); // [B * T, D]
        let mut scores = Vec::with_capacity(targets.len());
        for (positions, targets) in positions.chunks(LOGIT_ROWS).zip(targets.chunks(LOGIT_ROWS)) {
            let n = targets.len();
            let rows = flat
                .clone()
                .select(0, self.indices(positions.iter().map(|p| *p as i64))); // [N, D]
            let logits = self.model.logits(rows.unsqueeze_dim(0)).cast(FloatDType::F32); // [1, N, V]
            let log_probabilities = log_softmax(logits.squeeze_dim::<2>(0), 1); // [N, V]
            let best = log_probabilities.clone().argmax(1).reshape([n]); // [N]
            let target = self.indices(targets.iter().map(|id| i64::from(*id))).reshape([n, 1]); // [N, 1]
            let scored = log_probabilities.gather(1, target).reshape([n]); // [N]
            let values = scored.into_data().convert::<f32>().to_vec::<f32>();
            let values = values.map_err(|error| BenchError::Model(error.into()))?;
            let best = best.into_data().convert::<i64>().to_vec::<i64>();
            let best = best.map_err(|error| BenchError::Model(error.into()))?;
            let tokens = values.iter().zip(&best).zip(targets);
            scores.extend(tokens.map(|((value, best), target)| (f64::from(*value), *best == i64::from(*target))));
        }
        Ok(scores)
    }

    fn indices(&self, values: impl Iterator<Item = i64>) -> Tensor<B, 1, Int> {
        let values: Vec<i64> = values.collect();
        let count = values.len();
        Tensor::from_data(TensorData::new(values, [count]), &self.model.device()) // [N]
    }
}

/// Padding on the right is never looked at by what stands before it, so any id serves.
fn padded(ids: &[u32], length: usize) -> Vec<u32> {
    let mut padded = ids.to_vec();
    padded.resize(length, 0);
    padded
}

fn total(tokens: &[TokenScore]) -> Loglikelihood {
    Loglikelihood {
        sum: tokens.iter().map(|(value, _)| value).sum(),
        is_greedy: tokens.iter().all(|(_, greedy)| *greedy),
    }
}
