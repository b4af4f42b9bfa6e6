//! Two models on the same documents.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::function::factorial::ln_binomial;

use super::{CONFIDENCE, Interval, check_level, mean, normal_quantile, turning_point};
use crate::BenchError;

/// Two-sided p-value of McNemar's exact test: the binomial test of `only_a` against `only_b`, the numbers of
/// documents that only one of the models gets right. 1 when they never differ.
pub fn mcnemar_exact(only_a: usize, only_b: usize) -> f64 {
    let (n, k) = ((only_a + only_b) as u64, only_a.min(only_b) as u64);
    if n == 2 * k {
        return 1.0;
    }
    // P(X = k) once through logarithms; the terms below it by the ratio of neighbours, which cannot overflow.
    let mut term = (ln_binomial(n, k) - n as f64 * std::f64::consts::LN_2).exp();
    let mut tail = 0.0;
    for i in (0..=k).rev() {
        tail += term;
        term *= i as f64 / (n - i + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

/// Score interval of the difference `(only_b - only_a) / n` of two paired proportions (Tango 1998): the differences
/// that a score test does not reject. Where the models never disagreed it still has a width.
///
/// # Errors
/// Without documents, with more disagreements than documents, or a confidence outside (0, 1).
pub fn paired_score_interval(only_a: usize, only_b: usize, n: usize, confidence: f64) -> Result<Interval, BenchError> {
    check_level("paired score interval", "the confidence", confidence)?;
    if n == 0 || only_a + only_b > n {
        return Err(BenchError::Statistic {
            statistic: "paired score interval",
            problem: format!("{only_a} and {only_b} documents right in one model alone, of {n}"),
        });
    }
    let (a, b, n) = (only_a as f64, only_b as f64, n as f64);
    let quantile = normal_quantile(0.5 + confidence / 2.0);
    let estimate = (b - a) / n;
    // The statistic falls as the difference grows, from above the quantile to below its negative.
    Ok(Interval {
        low: turning_point(-1.0, estimate, |d| score_statistic(a, b, n, d) > quantile),
        high: turning_point(estimate, 1.0, |d| score_statistic(a, b, n, d) >= -quantile),
    })
}

/// Tango's statistic for the hypothesis that the true difference is `d`: standard normal if it is.
fn score_statistic(a: f64, b: f64, n: f64, d: f64) -> f64 {
    // The probability that only the first model is right, at its most likely for a difference of `d`: the larger root
    // of 2 n q^2 + linear q - a d (1 - d) = 0.
    let linear = (2.0 * n + a - b) * d - a - b;
    let root = (linear * linear + 8.0 * n * a * d * (1.0 - d)).max(0.0).sqrt();
    let only_a = (root - linear) / (4.0 * n);
    (b - a - n * d) / (n * (2.0 * only_a + d * (1.0 - d))).sqrt()
}

/// How the bootstrap draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedOptions {
    /// Resamples: 10,000.
    pub resamples: usize,
    /// Seed: 0.
    pub seed: u64,
}

impl Default for PairedOptions {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            seed: 0,
        }
    }
}

/// Percentile interval of the mean difference `b - a` at confidence [`CONFIDENCE`], by resampling documents (Efron
/// 1979), seeded (ChaCha8). It is meant for values other than 0 and 1: for those it is too narrow where models rarely
/// disagree, and [`paired_score_interval`] is not.
///
/// # Errors
/// For inputs of different or zero length, or no resamples.
pub fn paired_bootstrap(a: &[f64], b: &[f64], options: &PairedOptions) -> Result<Interval, BenchError> {
    if a.len() != b.len() || a.is_empty() || options.resamples == 0 {
        return Err(BenchError::Statistic {
            statistic: "paired bootstrap",
            problem: format!("{} and {} values, {} resamples", a.len(), b.len(), options.resamples),
        });
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let n = differences.len();
    let mut resample = || (0..n).map(|_| differences[random.random_range(0..n)]).sum::<f64>() / n as f64;
    let mut means: Vec<f64> = (0..options.resamples).map(|_| resample()).collect();
    means.sort_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Ok(Interval {
        low: quantile(&means, tail),
        high: quantile(&means, 1.0 - tail),
    })
}

/// Linear interpolation between order statistics (NumPy's default).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (below, share) = (position.floor() as usize, position.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + share * (sorted[above] - sorted[below])
}

/// Two models' outcomes on the same documents, compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedComparison {
    /// Documents.
    pub n: usize,
    /// Mean of the second model less that of the first.
    pub difference: f64,
    /// Interval of the difference at confidence [`CONFIDENCE`], by [`paired_score_interval`].
    pub interval: Interval,
    /// Documents that only the first gets right.
    pub only_a: usize,
    /// Documents that only the second gets right.
    pub only_b: usize,
    /// Two-sided p-value of McNemar's exact test, uncorrected.
    pub p_value: f64,
}

/// Refuses outcomes other than 1 (right) and 0 (wrong).
pub(crate) fn check_outcomes(outcomes: &[f64]) -> Result<(), BenchError> {
    match outcomes.iter().find(|value| **value != 0.0 && **value != 1.0) {
        None => Ok(()),
        Some(odd) => Err(BenchError::Statistic {
            statistic: "right and wrong",
            problem: format!("outcomes are 0 or 1, found {odd}"),
        }),
    }
}

/// Compares two models' outcomes (1 right, 0 wrong) on the same documents in the same order.
///
/// # Errors
/// For inputs of different or zero length, or outcomes other than 0 and 1.
pub fn compare_paired(a: &[f64], b: &[f64]) -> Result<PairedComparison, BenchError> {
    check_outcomes(a)?;
    check_outcomes(b)?;
    if a.len() != b.len() || a.is_empty() {
        return Err(BenchError::Statistic {
            statistic: "paired comparison",
            problem: format!("{} and {} outcomes", a.len(), b.len()),
        });
    }
    let only_a = a.iter().zip(b).filter(|(a, b)| a > b).count();
    let only_b = a.iter().zip(b).filter(|(a, b)| a < b).count();
    Ok(PairedComparison {
        n: a.len(),
        difference: mean(b) - mean(a),
        interval: paired_score_interval(only_a, only_b, a.len(), CONFIDENCE)?,
        only_a,
        only_b,
        p_value: mcnemar_exact(only_a, only_b),
    })
}
