//! Log-probabilities of given tokens, without gradients.
//!
//! B batch, T tokens, N scored positions, D hidden, V vocab.

use burn::tensor::{DType, Int, Tensor, TensorData, activation::log_softmax, backend::Backend};

use super::indices;
use crate::{DecoderBackend, SmolLm2, ops::floats};

/// Number of positions whose logits are in memory at one time: `[256, V]` in f32 is 50 MB for the published vocabulary.
pub(crate) const LOGIT_ROWS: usize = 256;

/// The probability that a model assigns to one given token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenScore {
    /// Natural logarithm of its probability; NaN where the logits are not numbers.
    pub logprob: f32,
    /// Whether it is the most probable token; false where the logits are not numbers.
    pub is_greedy: bool,
}

impl<B: DecoderBackend> SmolLm2<B> {
    /// Rows of token ids on the device of the model, as [`SmolLm2::forward`] takes them.
    ///
    /// # Shapes
    /// - output: `[B, T]`, B rows of T ids
    ///
    /// # Panics
    /// When the rows differ in length.
    pub fn ids<R: AsRef<[u32]>>(&self, rows: &[R]) -> Tensor<B, 2, Int> {
        let tokens = rows.first().map_or(0, |row| row.as_ref().len());
        let mut flat = Vec::with_capacity(rows.len() * tokens);
        for row in rows {
            assert_eq!(row.as_ref().len(), tokens, "ids of every row");
            flat.extend(row.as_ref().iter().map(|id| i64::from(*id)));
        }
        Tensor::from_data(TensorData::new(flat, [rows.len(), tokens]), &self.device()) // [B, T]
    }

    /// Scores each of `targets` as the token that follows the position of the same index in `positions`. Position
    /// `b·T + t` is token `t` of row `b`; positions may repeat.
    ///
    /// The softmax is computed in f32 for weights of any type. Logits exist for 256 positions at a time, and only for
    /// the requested positions.
    ///
    /// # Shapes
    /// - `hidden`: `[B, T, D]`, from [`SmolLm2::hidden`] or [`SmolLm2::forward_cached`]
    ///
    /// # Panics
    /// When there are more or fewer positions than targets, a position is B·T or larger, or a target is V or larger.
    ///
    /// ```
    /// use burn::backend::Flex;
    /// use smollm2_model::{SequenceLayout, SmolLm2Config};
    ///
    /// # let mut config = SmolLm2Config::smollm2_135m();
    /// # (config.vocab_size, config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (64, 64, 128, 1);
    /// # (config.num_attention_heads, config.num_key_value_heads) = (1, 1);
    /// # config.feed_forward.truncate(1);
    /// let model = config.init::<Flex>(&Default::default())?;
    /// let row = [1, 2, 3, 4];
    /// let hidden = model.hidden(model.ids(&[row]), &SequenceLayout::default()); // [1, 4, D]
    /// let scores = model.token_logprobs(hidden, &[0, 1, 2], &row[1..]);
    /// assert!(scores.iter().all(|score| score.logprob < 0.0));
    /// # Ok::<(), smollm2_model::ModelError>(())
    /// ```
    pub fn token_logprobs(&self, hidden: Tensor<B, 3>, positions: &[usize], targets: &[u32]) -> Vec<TokenScore> {
        assert_eq!(positions.len(), targets.len(), "positions and targets");
        let [batch, tokens, channels] = hidden.dims();
        if let Some(position) = positions.iter().find(|position| **position >= batch * tokens) {
            panic!("position {position} of {batch} rows of {tokens} tokens");
        }
        let flat = hidden.reshape([batch * tokens, channels]); // [B·T, D]
        let mut scores = Vec::with_capacity(targets.len());
        for (positions, targets) in positions.chunks(LOGIT_ROWS).zip(targets.chunks(LOGIT_ROWS)) {
            let index = indices(positions.iter().map(|position| *position as i64), &flat.device()); // [N]
            let table = self.log_probabilities(flat.clone().select(0, index)); // [N, V]
            let best = table.clone().argmax(1).into_data(); // [N, 1]
            let logprobs = gather(&table, targets);
            let triples = logprobs.into_iter().zip(best.iter::<i64>()).zip(targets);
            scores.extend(triples.map(|((logprob, best), target)| TokenScore {
                logprob,
                is_greedy: best == i64::from(*target) && !logprob.is_nan(),
            }));
        }
        scores
    }

    /// Log-probabilities of every token, in f32.
    ///
    /// # Shapes
    /// - `rows`: `[N, D]`, N at most [`LOGIT_ROWS`]
    /// - output: `[N, V]`
    pub(crate) fn log_probabilities(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let logits = self.logits(rows.unsqueeze_dim(0)); // [1, N, V]
        log_softmax(logits.squeeze_dim::<2>(0).cast(DType::F32), 1) // [N, V]
    }
}

/// `table[n, targets[n]]` for every row of `table: [N, V]`.
pub(crate) fn gather<B: Backend>(table: &Tensor<B, 2>, targets: &[u32]) -> Vec<f32> {
    let [rows, vocab] = table.dims();
    assert!(
        targets.iter().all(|id| (*id as usize) < vocab),
        "a target outside the vocabulary of {vocab} tokens"
    );
    let index = indices(targets.iter().map(|id| i64::from(*id)), &table.device()); // [N]
    floats(table.clone().gather(1, index.reshape([rows, 1]))) // N
}
