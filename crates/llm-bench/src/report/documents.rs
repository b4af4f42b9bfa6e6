//! Comparisons of trained models: the models of one seed, document by document.

use super::variant::Variant;
use crate::stats::{
    self, CONFIDENCE, Equivalence, Interval, PairedComparison, PairedTest, SignFlip, compare_clustered, compare_paired,
    holm, mean_interval, permutation_test, wilson,
};
use crate::{BenchError, Measure, QuestionOutcomes, Scale};

/// Probability with which a detectable difference is found: four times out of five.
pub(super) const POWER: f64 = 0.8;

/// A trained model's score on a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VariantScore {
    /// The metric's aggregate over all questions.
    pub value: f64,
    /// Wilson's interval where outcomes are 0 and 1, Student's where they are other numbers. `None` where the value is
    /// not their mean, and for a single outcome other than 0 and 1.
    pub interval: Option<Interval>,
}

/// The scores of one seed's models on one task under one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskScores {
    /// The seed of the models.
    pub seed: u64,
    /// Task and metric.
    pub measure: Measure,
    /// Number of documents.
    pub n: usize,
    /// One score per variant, in the report's order.
    pub scores: Vec<VariantScore>,
}

/// Two models of one seed compared on one task under one metric, document by document.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The seed of both models.
    pub seed: u64,
    /// Task and metric.
    pub measure: Measure,
    /// The variant compared against.
    pub baseline: String,
    /// The variant compared.
    pub candidate: String,
    /// Scores of the baseline and of the candidate.
    pub scores: [f64; 2],
    /// The paired test; `b` is the candidate.
    pub result: PairedComparison,
    /// The p-value after Holm's correction over all of the report's comparisons of two trained models.
    pub p_adjusted: f64,
    /// The permutation test. `None` where the paired test is McNemar's, which is the permutation test of outcomes of 0
    /// and 1.
    pub permutation: Option<SignFlip>,
    /// Two one-sided tests with the stated margin, of scores that are percentages; uncorrected. `None` for models of a
    /// study, whose margin is one of variants.
    pub equivalence: Option<Equivalence>,
    /// Level 0.05 shared by all of the report's comparisons of two trained models.
    level: f64,
}

impl Comparison {
    /// Whether the corrected p-value is below 0.05.
    pub fn is_finding(&self) -> bool {
        self.p_adjusted < 1.0 - CONFIDENCE
    }

    /// The smallest difference found four times out of five at level 0.05 shared by all of the report's comparisons of
    /// two trained models (Bonferroni's share, the strictest that Holm's method asks for), at the disagreement seen.
    /// `None` where outcomes other than 0 and 1 never differed.
    pub fn detectable(&self) -> Option<f64> {
        let detectable = self.result.detectable(self.level, POWER);
        detectable.expect("both are probabilities, and the result is of at least one document")
    }

    /// The difference, positive where the candidate is better.
    pub fn improvement(&self) -> f64 {
        self.measure.improvement(self.result.difference)
    }

    /// Documents on which the candidate is better, and those on which the baseline is.
    pub fn documents_won(&self) -> (usize, usize) {
        let (a, b) = (self.result.larger_a, self.result.larger_b);
        if self.measure.higher_is_better { (b, a) } else { (a, b) }
    }
}

/// Scores of every seed's models on every task; `variants` have been checked.
pub(super) fn scores(variants: &[Variant]) -> Result<Vec<TaskScores>, BenchError> {
    let mut all = Vec::new();
    for (seed, task) in cells(variants) {
        let models = variants.iter().map(|variant| &variant.runs[seed].tasks[task]);
        let first = &variants[0].runs[seed].tasks[task];
        all.push(TaskScores {
            seed: variants[0].runs[seed].seed,
            measure: first.measure.clone(),
            n: first.values.len(),
            scores: models.map(variant_score).collect::<Result<_, _>>()?,
        });
    }
    Ok(all)
}

/// Every later variant with the first, for each seed and task, with Holm's correction over all of them.
pub(super) fn comparisons(variants: &[Variant]) -> Result<Vec<Comparison>, BenchError> {
    let mut all = Vec::new();
    for (seed, task) in cells(variants) {
        for candidate in &variants[1..] {
            all.push(compared(&variants[0], candidate, seed, task)?);
        }
    }
    correct_for_many(&mut all);
    Ok(all)
}

/// Indices of runs and of their tasks.
fn cells(variants: &[Variant]) -> Vec<(usize, usize)> {
    let runs = variants[0].runs.iter().enumerate();
    runs.flat_map(|(seed, run)| (0..run.tasks.len()).map(move |task| (seed, task)))
        .collect()
}

fn compared(baseline: &Variant, candidate: &Variant, seed: usize, task: usize) -> Result<Comparison, BenchError> {
    let (a, b) = (&baseline.runs[seed].tasks[task], &candidate.runs[seed].tasks[task]);
    let result = if a.clusters.is_empty() {
        compare_paired(&a.values, &b.values)?
    } else {
        compare_clustered(&a.values, &b.values, &a.clusters)?
    };
    let clusters = (!a.clusters.is_empty()).then_some(a.clusters.as_slice());
    let permutation = match result.test {
        PairedTest::McNemar => None,
        _ => Some(permutation_test(&a.values, &b.values, clusters)?),
    };
    Ok(Comparison {
        seed: baseline.runs[seed].seed,
        measure: a.measure.clone(),
        baseline: baseline.name.clone(),
        candidate: candidate.name.clone(),
        scores: [a.score, b.score],
        result,
        p_adjusted: 1.0,
        permutation,
        equivalence: None,
        level: 1.0 - CONFIDENCE,
    })
}

/// Tests all comparisons of percentages for equivalence within `margin`, a share.
pub(super) fn test_equivalence(comparisons: &mut [Comparison], margin: f64) -> Result<(), BenchError> {
    let shares = comparisons.iter_mut();
    for comparison in shares.filter(|comparison| comparison.measure.scale == Scale::Share) {
        comparison.equivalence = Some(comparison.result.equivalence(margin)?);
    }
    Ok(())
}

fn correct_for_many(comparisons: &mut [Comparison]) {
    let raw: Vec<f64> = comparisons.iter().map(|comparison| comparison.result.p_value).collect();
    let level = (1.0 - CONFIDENCE) / raw.len().max(1) as f64;
    for (comparison, adjusted) in comparisons.iter_mut().zip(holm(&raw)) {
        (comparison.p_adjusted, comparison.level) = (adjusted, level);
    }
}

fn variant_score(model: &QuestionOutcomes) -> Result<VariantScore, BenchError> {
    let (values, value) = (&model.values, model.score);
    stats::check_finite(values)?;
    let interval = if !is_mean(value, values) {
        None
    } else if stats::is_binary(values) {
        let right = values.iter().filter(|value| **value == 1.0).count();
        Some(wilson(right, values.len(), CONFIDENCE)?)
    } else if values.len() > 1 {
        Some(mean_interval(values, CONFIDENCE)?)
    } else {
        None
    };
    Ok(VariantScore { value, interval })
}

/// Up to rounding.
fn is_mean(value: f64, values: &[f64]) -> bool {
    let mean = stats::mean(values);
    (value - mean).abs() <= 1e-9 * mean.abs().max(f64::MIN_POSITIVE)
}
