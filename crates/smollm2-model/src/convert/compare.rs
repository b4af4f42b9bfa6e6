//! Measures how much two models with the same vocabulary differ on held-out text.
//!
//! T tokens, V vocab.

use burn::tensor::Tensor;

use super::calibrate::check_rows;
use crate::{
    DecoderBackend, ModelError, SequenceLayout, SmolLm2, SmolLm2Config,
    model::{LOGIT_ROWS, gather},
};

/// Two models on the same rows of tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelComparison {
    /// Perplexity of the first: the exponential of the mean negative log-likelihood per predicted token.
    pub perplexity_before: f64,
    /// Perplexity of the second.
    pub perplexity_after: f64,
    /// Mean over positions of `KL(before || after)`, in nats; every position counts, the last of a row too.
    pub mean_kl: f64,
    /// Share of positions where both give the same token the highest probability.
    pub top1_agreement: f64,
    /// Predicted tokens: all but the first of every row.
    pub tokens: usize,
}

impl ModelComparison {
    /// `perplexity_after / perplexity_before`.
    pub fn perplexity_ratio(&self) -> f64 {
        self.perplexity_after / self.perplexity_before
    }
}

/// Sums over positions.
#[derive(Default)]
struct Sums {
    before: f64,
    after: f64,
    kl: f64,
    agreed: f64,
    positions: usize,
    predicted: usize,
}

/// Compares `after` with `before` on `rows`, each a separate sequence.
///
/// # Errors
/// [`ModelError::Conversion`] for models of different vocabularies, and for a row that is shorter than two tokens, too
/// long for one of the models, or holds an id outside the vocabulary.
pub fn compare<B: DecoderBackend>(
    before: &SmolLm2<B>,
    after: &SmolLm2<B>,
    rows: &[Vec<u32>],
) -> Result<ModelComparison, ModelError> {
    compare_watched(before, after, rows, |_done, _total| {})
}

/// As [`compare`]; `progress` is called before the first row and after each with the rows done and their number.
///
/// # Errors
/// As [`compare`].
pub fn compare_watched<B: DecoderBackend>(
    before: &SmolLm2<B>,
    after: &SmolLm2<B>,
    rows: &[Vec<u32>],
    mut progress: impl FnMut(usize, usize),
) -> Result<ModelComparison, ModelError> {
    check_vocabularies(before.config(), after.config())?;
    check_rows(rows, before.config(), 2)?;
    check_rows(rows, after.config(), 2)?;
    let mut sums = Sums::default();
    for (done, row) in rows.iter().enumerate() {
        progress(done, rows.len());
        let (first, second) = (hidden(before, row), hidden(after, row)); // [T, D]
        for start in (0..row.len()).step_by(LOGIT_ROWS) {
            let end = (start + LOGIT_ROWS).min(row.len());
            let next = &row[start + 1..row.len().min(end + 1)];
            let [before, after] = [(before, &first), (after, &second)]
                .map(|(model, hidden)| model.log_probabilities(hidden.clone().narrow(0, start, end - start))); // [t, V]
            sums.add(before, after, next);
        }
    }
    progress(rows.len(), rows.len());
    let (predicted, positions) = (sums.predicted as f64, sums.positions as f64);
    Ok(ModelComparison {
        perplexity_before: (-(sums.before / predicted)).exp(),
        perplexity_after: (-(sums.after / predicted)).exp(),
        mean_kl: sums.kl / positions,
        top1_agreement: sums.agreed / positions,
        tokens: sums.predicted,
    })
}

/// Probabilities over different vocabularies cannot be compared.
fn check_vocabularies(before: &SmolLm2Config, after: &SmolLm2Config) -> Result<(), ModelError> {
    if before.vocab_size == after.vocab_size {
        return Ok(());
    }
    let expected = format!("{}, that of the first", before.vocab_size);
    Err(ModelError::conversion(
        "vocab_size of the second model",
        expected,
        after.vocab_size,
    ))
}

/// Hidden states of one row, `[T, D]`.
fn hidden<B: DecoderBackend>(model: &SmolLm2<B>, row: &[u32]) -> Tensor<B, 2> {
    let hidden = model.hidden(model.ids(&[row]), &SequenceLayout::default()); // [1, T, D]
    hidden.squeeze_dim(0) // [T, D]
}

impl Sums {
    /// Adds positions whose log-probabilities are `before` and `after: [t, V]`; the first of them are followed by
    /// `next`.
    fn add<B: DecoderBackend>(&mut self, before: Tensor<B, 2>, after: Tensor<B, 2>, next: &[u32]) {
        let [positions, _] = before.dims();
        self.before += score(&before, next);
        self.after += score(&after, next);
        let (best, other) = (before.clone().argmax(1), after.clone().argmax(1)); // [t, 1]
        self.agreed += total(best.equal(other).float());
        let terms = before.clone().exp() * (before - after); // [t, V]
        self.kl += total(terms.sum_dim(1));
        self.positions += positions;
        self.predicted += next.len();
    }
}

/// Sum in f64 of the log-probabilities of `next` in the first rows of `table: [t, V]`.
fn score<B: DecoderBackend>(table: &Tensor<B, 2>, next: &[u32]) -> f64 {
    if next.is_empty() {
        return 0.0; // a chunk that is only the last position of its row
    }
    let logprobs = gather(&table.clone().narrow(0, 0, next.len()), next);
    logprobs.into_iter().map(f64::from).sum()
}

/// Sum in f64 of a column `[t, 1]`.
fn total<B: DecoderBackend>(column: Tensor<B, 2>) -> f64 {
    column.into_data().iter::<f64>().sum()
}
