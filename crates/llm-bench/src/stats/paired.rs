//! Two models on the same documents.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::function::factorial::ln_binomial;

use super::{Interval, check_level, mean, minimal_detectable_difference};
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

/// How two models are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedOptions {
    /// Resamples of the bootstrap: 10,000.
    pub resamples: usize,
    /// Confidence of the interval: 0.95.
    pub confidence: f64,
    /// Seed of the bootstrap: 0.
    pub seed: u64,
    /// Power at which the minimal detectable difference is reported: 0.8.
    pub power: f64,
}

impl Default for PairedOptions {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            confidence: 0.95,
            seed: 0,
            power: 0.8,
        }
    }
}

/// Percentile interval of the mean difference `b - a` by resampling documents (Efron 1979), seeded (ChaCha8).
///
/// # Errors
/// For inputs of different or zero length, no resamples, or a confidence outside (0, 1).
pub fn paired_bootstrap(a: &[f64], b: &[f64], options: &PairedOptions) -> Result<Interval, BenchError> {
    check_level("paired bootstrap", "the confidence", options.confidence)?;
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
    let tail = (1.0 - options.confidence) / 2.0;
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
    /// Mean of the first model.
    pub mean_a: f64,
    /// Mean of the second.
    pub mean_b: f64,
    /// `mean_b - mean_a`.
    pub difference: f64,
    /// Bootstrap interval of the difference.
    pub interval: Interval,
    /// Documents that only the first gets right.
    pub only_a: usize,
    /// Documents that only the second gets right.
    pub only_b: usize,
    /// Two-sided p-value of McNemar's exact test, uncorrected.
    pub p_value: f64,
    /// The smallest difference this comparison finds with the power of [`PairedOptions::power`], at the observed
    /// discordance.
    pub minimal_detectable_difference: f64,
}

/// Compares two models' outcomes (1 right, 0 wrong) on the same documents in the same order.
///
/// # Errors
/// For inputs of different or zero length, outcomes other than 0 and 1, or options out of range.
pub fn compare_paired(a: &[f64], b: &[f64], options: &PairedOptions) -> Result<PairedComparison, BenchError> {
    if let Some(odd) = a.iter().chain(b).find(|value| **value != 0.0 && **value != 1.0) {
        return Err(BenchError::Statistic {
            statistic: "McNemar's test",
            problem: format!("outcomes are 0 or 1, found {odd}"),
        });
    }
    let interval = paired_bootstrap(a, b, options)?;
    let count = |first: f64| a.iter().zip(b).filter(|(a, b)| **a == first && **b != first).count();
    let (only_a, only_b) = (count(1.0), count(0.0));
    let discordance = (only_a + only_b) as f64 / a.len() as f64;
    let alpha = 1.0 - options.confidence;
    Ok(PairedComparison {
        n: a.len(),
        mean_a: mean(a),
        mean_b: mean(b),
        difference: mean(b) - mean(a),
        interval,
        only_a,
        only_b,
        p_value: mcnemar_exact(only_a, only_b),
        minimal_detectable_difference: minimal_detectable_difference(a.len(), discordance, alpha, options.power)?,
    })
}
