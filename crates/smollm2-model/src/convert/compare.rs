//! How far two models of one vocabulary are apart on held-out text.
//!
//! T tokens, V vocab.

use burn::tensor::{DType, Int, Tensor, activation::log_softmax};

use super::calibrate::{check_rows, row_tensor};
use crate::{DecoderBackend, ModelError, SequenceLayout, SmolLm2, SmolLm2Config};

/// Positions whose logits exist at one time: `[256, V]` four times over is 200 MB for the published vocabulary.
const CHUNK: usize = 256;

/// Two models on the same rows of tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
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

impl Comparison {
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

/// Compares `after` with `before` on `rows`, each a sequence of its own.
///
/// # Errors
/// [`ModelError::Conversion`] for models of different vocabularies, and for a row that is shorter than two tokens, too
/// long for one of the models, or holds an id outside the vocabulary.
pub fn compare<B: DecoderBackend>(
    before: &SmolLm2<B>,
    after: &SmolLm2<B>,
    rows: &[Vec<u32>],
) -> Result<Comparison, ModelError> {
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
) -> Result<Comparison, ModelError> {
    check_vocabularies(before.config(), after.config())?;
    check_rows(rows, before.config(), 2)?;
    check_rows(rows, after.config(), 2)?;
    let device = before.device();
    let mut sums = Sums::default();
    for (done, row) in rows.iter().enumerate() {
        progress(done, rows.len());
        let ids = row_tensor::<B>(row, &device); // [1, T]
        let layout = SequenceLayout::default();
        let (first, second) = (before.hidden(ids.clone(), &layout), after.hidden(ids.clone(), &layout)); // [1, T, D]
        for start in (0..row.len()).step_by(CHUNK) {
            let end = (start + CHUNK).min(row.len());
            let probabilities = |model: &SmolLm2<B>, hidden: &Tensor<B, 3>| {
                let hidden = hidden.clone().narrow(1, start, end - start); // [1, t, D]
                let logits = model.logits(hidden).squeeze_dim::<2>(0); // [t, V]
                log_softmax(logits.cast(DType::F32), 1) // [t, V]
            };
            sums.add(
                probabilities(before, &first),
                probabilities(after, &second),
                &ids,
                start,
            );
        }
    }
    progress(rows.len(), rows.len());
    let mean = |sum: f64, count: usize| sum / count as f64;
    Ok(Comparison {
        perplexity_before: (-mean(sums.before, sums.predicted)).exp(),
        perplexity_after: (-mean(sums.after, sums.predicted)).exp(),
        mean_kl: mean(sums.kl, sums.positions),
        top1_agreement: mean(sums.agreed, sums.positions),
        tokens: sums.predicted,
    })
}

/// Probabilities of different vocabularies have no common events.
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

impl Sums {
    /// Adds the positions from `start` on, whose log-probabilities are `before` and `after: [t, V]`.
    fn add<B: DecoderBackend>(
        &mut self,
        before: Tensor<B, 2>,
        after: Tensor<B, 2>,
        ids: &Tensor<B, 2, Int>,
        start: usize,
    ) {
        let [positions, _] = before.dims();
        let predicted = positions.min(ids.dims()[1] - start - 1);
        if predicted > 0 {
            let targets = ids.clone().narrow(1, start + 1, predicted).reshape([predicted, 1]); // [t, 1]
            let score = |table: &Tensor<B, 2>| total(table.clone().narrow(0, 0, predicted).gather(1, targets.clone()));
            self.before += score(&before);
            self.after += score(&after);
        }
        let best = |table: &Tensor<B, 2>| table.clone().argmax(1); // [t, 1]
        self.agreed += total(best(&before).equal(best(&after)).float());
        let terms = before.clone().exp() * (before - after); // [t, V]
        self.kl += total(terms.sum_dim(1));
        self.positions += positions;
        self.predicted += predicted;
    }
}

/// Sum in f64 of a column `[t, 1]`.
fn total<B: DecoderBackend>(column: Tensor<B, 2>) -> f64 {
    column.into_data().iter::<f64>().sum()
}
