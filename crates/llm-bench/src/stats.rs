//! Statistics of benchmark scores: intervals, paired tests of two models on the same documents, corrections for many
//! tests, and the smallest difference a test of this size can find.
//!
//! ```
//! use llm_bench::stats;
//!
//! // Two models on the same 200 documents: one alone is right on 30, the other alone on 14.
//! let p = stats::mcnemar_exact(30, 14);
//! assert!((p - 0.0226).abs() < 1e-4);
//! // Of three such tests only the first survives Holm's correction at 0.05.
//! let adjusted = stats::holm(&[0.01, 0.04, 0.03]);
//! assert_eq!(adjusted.iter().filter(|p| **p < 0.05).count(), 1);
//! ```

mod clusters;
mod equivalence;
mod paired;
mod power;
mod sign_flip;
mod student;

use statrs::distribution::{ContinuousCDF, Normal};

pub use clusters::{cluster_sums, clustered_stderr};
pub use equivalence::{Equivalence, equivalence, paired_equivalence};
pub(crate) use paired::is_binary;
pub use paired::{
    PairedComparison, PairedTest, compare_clustered, compare_paired, mcnemar_exact, paired_score_interval,
    permutation_test,
};
pub use power::{mcnemar_power, minimal_detectable_difference, t_detectable, t_power};
pub use sign_flip::{SignFlip, sign_flip};
pub(crate) use student::check_finite;
pub use student::{MeanTest, mean_interval, mean_test};

use crate::BenchError;

/// Confidence of every interval of a difference, and of every interval in a report.
pub const CONFIDENCE: f64 = 0.95;

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Arithmetic mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard error of the mean as lm-evaluation-harness reports it: the sample standard deviation (division by
/// `n - 1`) over `sqrt(n)`. `None` for fewer than two values.
pub fn mean_stderr(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let (centre, n) = (mean(values), values.len() as f64);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    Some((squares / (n - 1.0)).sqrt() / n.sqrt())
}

/// Quantile of the standard normal distribution.
fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// Probability of a standard normal value up to `z`.
fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

fn check_level(statistic: &'static str, name: &str, level: f64) -> Result<(), BenchError> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    Err(BenchError::Statistic {
        statistic,
        problem: format!("{name} must lie between 0 and 1, found {level}"),
    })
}

/// Wilson's score interval of a proportion (Wilson 1927): unlike the normal one it stays within 0 and 1 and keeps
/// its coverage for small samples and extreme proportions.
///
/// # Errors
/// Without trials, with more successes than trials, or a confidence outside (0, 1).
pub fn wilson(successes: usize, trials: usize, confidence: f64) -> Result<Interval, BenchError> {
    check_level("wilson", "the confidence", confidence)?;
    if trials == 0 || successes > trials {
        return Err(BenchError::Statistic {
            statistic: "wilson",
            problem: format!("{successes} successes in {trials} trials"),
        });
    }
    let (n, p) = (trials as f64, successes as f64 / trials as f64);
    let z = normal_quantile(0.5 + confidence / 2.0);
    let scale = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / scale;
    let half = z / scale * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // The ends are exactly 0 and 1 in real arithmetic for no and for only successes.
    let low = if successes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if successes == trials {
        1.0
    } else {
        (centre + half).min(1.0)
    };
    Ok(Interval { low, high })
}

/// Holm's step-down correction (Holm 1979): adjusted p-values, in the order given, that keep the probability of any
/// false finding below the level they are compared with.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        let remaining = (p_values.len() - rank) as f64;
        largest = largest.max((p_values[index] * remaining).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// Where a condition that holds up to some point between `low` and `high` stops to hold, by bisection.
fn turning_point(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
